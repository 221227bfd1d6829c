"""Put a number on a payload, and take it off again (DESIGN.md, "the number")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from pybuilder.errors import BuildError, ValidationError
from pybuilder.names import numbered_version, split_number
from pybuilder.wheel.read import Wheel, open_wheel
from pybuilder.wheel.rewrite import rewrite

SBOM = "sboms/pybuild.cdx.json"
"""Where the bill of materials lies in dist-info (PEP 770)."""

# Python's email parser, which reads METADATA everywhere, takes each of the three line ends, also mixed.
_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\r|\n|\Z)")
_VERSION = re.compile(rb"version:[ \t]*(\S+)[ \t]*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbered:
    """A numbered wheel.

    Attributes:
        path: The file, under its own name.
        sha256: Its digest, in lower-case hex.
        metadata: The bytes of its METADATA, which the index publishes beside it (PEP 658).
        version: The numbered version.
    """

    path: Path
    sha256: str
    metadata: bytes
    version: Version


def number(payload: Path, destination_dir: Path, *, label: str, number: int, sbom: bytes) -> Numbered:
    """Make a numbered wheel of a payload.

    Changed are the version in METADATA, in the file name and in the names of the dist-info and data directories;
    the bill of materials is added, RECORD made anew, and the entries are compressed. Nothing else differs.

    Args:
        payload: The payload, under its own file name.
        destination_dir: Where the numbered wheel is written, under the name that its version gives it.
        label: The channel's label.
        number: The number, from 1.
        sbom: The bill of materials.

    Raises:
        BuildError: It is no sound wheel, has no single version, or holds a bill of materials of ours already.
    """
    wheel = open_wheel(payload)
    if any(entry.name == f"{wheel.dist_info}/{SBOM}" for entry in wheel.entries):
        raise BuildError(
            f"{payload.name} already has {SBOM}, so it was numbered before",
            where=str(payload),
            cure="build from upstream's source, not from a wheel of ours",
        )
    upstream = wheel.filename.version
    _, end = _version_span(wheel)
    metadata = wheel.metadata[:end] + _suffix(upstream, label, number).encode() + wheel.metadata[end:]
    version = numbered_version(upstream, label, number)
    prefix = _prefix(wheel, version)
    path = destination_dir / f"{prefix}-{wheel.filename.tag}.whl"
    changes = {"METADATA": metadata, SBOM: sbom}
    sha256 = rewrite(wheel, path, prefix=prefix, changes=changes, moment=wheel.moment, compress=True)
    return Numbered(path=path, sha256=sha256, metadata=metadata, version=version)


def strip(numbered: Path, destination: Path, *, label: str) -> str:
    """Take the number off a wheel: write the payload that it was made of.

    Args:
        numbered: The numbered wheel, under its own file name.
        destination: The file to write.
        label: The channel's label.

    Returns:
        The payload's sha256, in lower-case hex.

    Raises:
        ValidationError: The wheel carries no number under this label.
        BuildError: It is no sound wheel.
    """
    wheel = open_wheel(numbered)
    split = split_number(wheel.filename.version, label)
    start, end = _version_span(wheel)
    suffix = _suffix(split[0], label, split[1]).encode() if split else b""
    if not split or not wheel.metadata[start:end].endswith(suffix):
        raise ValidationError(
            f"{numbered.name} carries no number under the label {label!r}",
            where=str(numbered),
            cure=f"a wheel of ours has a version such as 1.2.3+{label}.1, in its name and in METADATA",
        )
    metadata = wheel.metadata[: end - len(suffix)] + wheel.metadata[end:]
    changes = {"METADATA": metadata, SBOM: None}
    prefix = _prefix(wheel, split[0])
    return rewrite(wheel, destination, prefix=prefix, changes=changes, moment=wheel.moment, compress=False)


def _suffix(upstream: Version, label: str, number: int) -> str:
    """What a number adds to an upstream version however that is spelled (PEP 440, local version identifiers)."""
    return f"{'.' if upstream.local else '+'}{label}.{number}"


def _prefix(wheel: Wheel, version: Version) -> str:
    return f"{wheel.filename.name.replace('-', '_')}-{version}"


def _version_span(wheel: Wheel) -> tuple[int, int]:
    """Where the value of METADATA's one Version header begins and ends.

    Raises:
        BuildError: There is no such header, or more than one, or it says another version than the file name.
    """
    spans = []
    for line in _LINE.finditer(wheel.metadata):
        if not line[1]:  # the empty line that ends the headers: what follows is the description
            break
        if match := _VERSION.fullmatch(line[1]):
            spans.append((line.start() + match.start(1), line.start() + match.end(1)))
    values = [wheel.metadata[start:end].decode("ascii", "replace") for start, end in spans]
    try:
        if [Version(value) for value in values] == [wheel.filename.version]:
            return spans[0]
    except InvalidVersion:
        pass
    raise BuildError(
        f"METADATA in {wheel.path.name} has the version {' and '.join(values) or 'nowhere'}, not that of the file name",
        where=str(wheel.path),
        cure="look at how the build backend makes its wheel",
    )

"""Make the payload of a wheel: the form that depends only on what the wheel holds (DESIGN.md, "the payload")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.wheel.archive import moment_of
from pybuilder.wheel.read import open_archive, open_wheel

_BUILD = re.compile(rb"^build[ \t]*:[^\r\n]*(?:\r\n|\r|\n|\Z)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """A canonical wheel.

    Attributes:
        sha256: Its digest, in lower-case hex.
        filename: The name it is to be kept under, ``NAME-VERSION-TAG.whl`` with name and version normalised.
        name: The project.
        version: Upstream's version.
        tags: The single tags it serves, sorted.
        size: Its bytes.
    """

    sha256: str
    filename: str
    name: NormalizedName
    version: Version
    tags: tuple[str, ...]
    size: int


def canonicalise(source: Path, destination: Path, *, epoch: int) -> Payload:
    """Make the payload of a wheel.

    Entries are stored, in order of name with dist-info last and RECORD last of all; all have one time and mode 0644 or
    0755. RECORD is made anew, its signatures and the build tag are dropped. The dist-info and data directories get the
    normalised name and version that the file name has, since installers look for the one by the other.

    Args:
        source: The wheel that a backend made.
        destination: The file to write; the caller moves it to where it is kept. It may not be ``source``.
        epoch: SOURCE_DATE_EPOCH, the time of all entries.

    Raises:
        BuildError: The source is no sound wheel.
    """
    # Imported here, since every plan has our version in it, and few are built.
    from pybuilder.wheel.record import SIGNATURES
    from pybuilder.wheel.rewrite import rewrite

    wheel = open_wheel(source)
    changes: dict[str, bytes | None] = dict.fromkeys(SIGNATURES)
    if wheel.field("Build"):
        with open_archive(source) as archive:
            changes["WHEEL"] = _BUILD.sub(b"", archive.read(f"{wheel.dist_info}/WHEEL"))
    prefix = wheel.filename.prefix
    moment = moment_of(epoch)
    sha256 = rewrite(wheel, destination, prefix=prefix, changes=changes, moment=moment, compress=False)
    return Payload(
        sha256=sha256,
        filename=f"{prefix}-{wheel.filename.tag}.whl",
        name=wheel.filename.name,
        version=wheel.filename.version,
        tags=wheel.filename.tags,
        size=destination.stat().st_size,
    )

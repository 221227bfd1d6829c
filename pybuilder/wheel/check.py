"""Everything that is wrong with a wheel, collected (the wheel specification; PEP 376; entry points specification)."""

from __future__ import annotations

import base64
import configparser
import hashlib
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from pybuilder.errors import BuildError
from pybuilder.printable import printable
from pybuilder.wheel.read import Wheel, open_archive, open_wheel, pieces
from pybuilder.wheel.record import SIGNATURES, Line, parse
from pybuilder.wheel.tags import expand_tag

_ALGORITHMS = ("sha256", "sha384", "sha512")  # "sha256 or better"
_SCHEMES = ("purelib", "platlib", "headers", "scripts", "data")
_OBJECT = re.compile(r"[\w.]+(?:\s*:\s*[\w.]+)?\s*(?:\[[^\]]*\])?")
_NO_FILE = re.compile(r"[\x00-\x1f/\\]")


# What a backend has written may be as long as it likes, and is told in errors, records and logs.
_TOLD = 20
_LONGEST = 500


def problems(path: Path, *, name: NormalizedName, version: Version) -> tuple[str, ...]:
    """What is wrong with a wheel, one sentence each, of many only the first; empty when nothing is.

    Args:
        path: The wheel, under its own file name. A backend's wheel, a payload or a numbered wheel.
        name: The project it must be of.
        version: The version it must have, with its number if it is numbered.
    """
    try:
        wheel = open_wheel(path)
        with open_archive(path) as archive:
            record = tuple(_record_problems(wheel, archive))
        entry_points = tuple(_entry_point_problems(wheel.entry_points()))
    except BuildError as error:
        return (error.what,)
    identity = _identity_problems(wheel, name, version)
    found = (*identity, *_field_problems(wheel), *_data_problems(wheel), *record, *entry_points)
    more = (f"and {len(found) - _TOLD} more",) if len(found) > _TOLD else ()
    return (*(printable(each[:_LONGEST]) for each in found[:_TOLD]), *more)


def _identity_problems(wheel: Wheel, name: NormalizedName, version: Version) -> Iterator[str]:
    """Names and versions: what was asked for, the file name's and METADATA's (dist-info's is checked on opening)."""
    from packaging.metadata import parse_email

    if (wheel.filename.name, wheel.filename.version) != (name, version):
        yield f"the file name says {wheel.filename.name} {wheel.filename.version}, not {name} {version}"
    try:
        wheel.metadata.decode()
    except UnicodeDecodeError as error:
        yield f"METADATA is not UTF-8: {error}"
    raw, _ = parse_email(wheel.metadata)
    if "metadata_version" not in raw:
        yield "METADATA has no single Metadata-Version"
    if canonicalize_name(raw.get("name", "")) != name:
        yield f"METADATA says Name: {raw.get('name', '(none, or several)')}, not {name}"
    try:
        if Version(raw.get("version", "")) == version:
            return
    except InvalidVersion:
        pass
    yield f"METADATA says Version: {raw.get('version', '(none, or several)')}, not {version}"


def _field_problems(wheel: Wheel) -> Iterator[str]:
    """The fields of WHEEL."""
    versions = wheel.field("Wheel-Version")
    if len(versions) != 1 or not versions[0].startswith("1."):
        yield f"WHEEL says Wheel-Version: {', '.join(versions) or '(none)'}, and only 1.x is known"
    pure = wheel.field("Root-Is-Purelib")
    if pure not in (["true"], ["false"]):
        yield f"WHEEL says Root-Is-Purelib: {', '.join(pure) or '(none)'}, which is neither true nor false"
    tags = {single for tag in wheel.field("Tag") for single in expand_tag(tag)}
    if tags != set(wheel.filename.tags):
        yield f"WHEEL has the tags {', '.join(sorted(tags)) or '(none)'}, the file name {wheel.filename.tag}"
    build = wheel.field("Build")
    if build != ([wheel.filename.build] if wheel.filename.build else []):
        yield f"WHEEL says Build: {', '.join(build) or '(none)'}, the file name {wheel.filename.build or '(none)'}"


def _data_problems(wheel: Wheel) -> Iterator[str]:
    """What lies in the data directory must go to a place that installers know (sysconfig's install paths)."""
    for entry in wheel.entries:
        top, *rest = entry.name.split("/")
        if top == f"{wheel.prefix}.data" and (len(rest) < 2 or rest[0] not in _SCHEMES):
            yield f"{entry.name!r} is in none of {', '.join(_SCHEMES)}"


def _record_problems(wheel: Wheel, archive: zipfile.ZipFile) -> Iterator[str]:
    """RECORD against the files: nothing missing, nothing more, and every digest and size right."""
    try:
        lines = parse(wheel.record)
    except ValueError as error:
        yield f"RECORD can't be read: {error}"
        return
    for path, count in Counter(line.path for line in lines).items():
        if count > 1:
            yield f"RECORD lists {path!r} {count} times"
    known = {line.path: line for line in lines}
    signatures = {f"{wheel.dist_info}/{name}" for name in SIGNATURES}
    for entry in wheel.entries:
        line = known.pop(entry.name, None)
        if entry.name in signatures:
            if line:
                yield f"RECORD lists its own signature {entry.name!r}"
        elif line is None:
            yield f"RECORD does not list {entry.name!r}"
        elif entry.name == f"{wheel.dist_info}/RECORD":
            if line.digest or line.size:
                yield "RECORD has a digest or size of itself"
        elif reason := _mismatch(line, archive):
            yield f"RECORD has {reason} for {entry.name!r}"
    yield from (f"RECORD lists {path!r}, which is not in the wheel" for path in known)


def _mismatch(line: Line, archive: zipfile.ZipFile) -> str:
    """What a line says wrongly about its file; empty when it is right."""
    algorithm, _, expected = line.digest.partition("=")
    if algorithm not in _ALGORITHMS:
        return f"no digest by {' or '.join(_ALGORITHMS)}"
    size, digest = 0, hashlib.new(algorithm)
    for chunk in pieces(archive, line.path):
        size += len(chunk)
        digest.update(chunk)
    if base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode() != expected:
        return "another digest"
    return "" if line.size == str(size) else f"the size {line.size or '(none)'} instead of {size}"


def _entry_point_problems(data: bytes) -> Iterator[str]:
    """The entry points specification, "file format"."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the names are case-sensitive
    try:
        parser.read_string(data.decode())
    except (UnicodeDecodeError, configparser.Error) as error:
        yield f"entry_points.txt can't be read: {' '.join(str(error).split())}"
        return
    for group in parser.sections():
        script = group in ("console_scripts", "gui_scripts")
        for name, value in parser.items(group):
            # Only scripts become files, so only their names can do harm.
            if script and (_NO_FILE.search(name) or name in (".", "..")):
                yield f"entry_points.txt has a script with the name {name!r}"
            if not _OBJECT.fullmatch(value) or (script and ":" not in value):
                yield f"entry_points.txt points {name!r} to {value!r}, which is no object reference"

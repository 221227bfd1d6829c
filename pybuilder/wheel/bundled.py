"""What a payload bundles of others, as far as its files tell: vendored Python packages, libraries, code from Rust."""

from __future__ import annotations

import base64
import binascii
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pybuilder.wheel.archive import CHUNK
from pybuilder.wheel.read import Entry, Wheel, open_archive
from pybuilder.wheel.record import parse

# As pip, setuptools, poetry-core and conda name it.
_VENDOR = re.compile(r"(?:.*/)?_?vendor(?:ed)?/", re.IGNORECASE)
_STATED = re.compile(r".*\.(?:dist-info/METADATA|egg-info/PKG-INFO)", re.DOTALL)
_LISTED = re.compile(r".*/vendor(?:ed)?\.txt", re.DOTALL)
_BILL = re.compile(r"sboms/.+\.json", re.DOTALL)
_SHARED = re.compile(r"lib[^/]*\.so(?:\.[^/]*)?", re.DOTALL)
_AUDITWHEEL = re.compile(r"-[0-9a-f]{8}(?=\.so(?:\.|\Z))")
_LARGEST = 8 << 20
_ELF, _ARCHIVE = b"\x7fELF", b"!<arch>\n"
# What rustc leaves in what it compiles: its name in .comment, and in panics the paths of its own library's files. Two
# marks, since each is looked for in every byte.
_RUST = (b"rustc version ", b"library/core/src/")
_OVERLAP = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Vendored:
    """A Python package that was copied into another.

    Attributes:
        name: Normalised.
        version: Its version, as PEP 440 spells it.
        metadata: Its METADATA or PKG-INFO; empty where only a list names it.
        found_in: The files in the wheel that tell of it, sorted.
    """

    name: str
    version: str
    metadata: bytes
    found_in: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BundledFile:
    """A file in a wheel.

    Attributes:
        name: What it is called; of a library, without the digest that auditwheel puts into its name.
        path: Its name in the payload.
        sha256: Its digest, in lower-case hex.
    """

    name: str
    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundled:
    """What a payload bundles.

    Attributes:
        packages: Vendored Python packages, sorted.
        libraries: Shared libraries that are no extension modules, and static archives, sorted.
        bills: Bills of materials that its build backend put into it (PEP 770), sorted; their paths are from dist-info.
        rust: Whether any of its machine code was compiled from Rust.
    """

    packages: tuple[Vendored, ...]
    libraries: tuple[BundledFile, ...]
    bills: tuple[BundledFile, ...]
    rust: bool


def read_bundled(wheel: Wheel) -> Bundled:
    """What a payload bundles, from the names of its files, the text of those that state it, and its ELF files.

    Raises:
        BuildError: The archive is damaged.
    """
    digests = _digests(wheel)
    files = {entry.name: entry for entry in wheel.entries if entry.name in digests}
    own = f"{wheel.dist_info}/"
    bills = [name for name in files if name.startswith(own) and _BILL.fullmatch(name.removeprefix(own))]
    with open_archive(wheel.path) as archive:
        elf = [name for name, entry in files.items() if _may_be_elf(entry) and _begins(archive, name, _ELF)]
        shared = [name for name in elf if _is_library(name)]
        static = [name for name in files if name.endswith(".a") and _begins(archive, name, _ARCHIVE)]
        return Bundled(
            packages=_packages(archive, [entry for entry in files.values() if not entry.name.startswith(own)]),
            libraries=tuple(
                BundledFile(name=_library_name(name), path=name, sha256=digests[name])
                for name in sorted((*shared, *static))
            ),
            bills=tuple(
                BundledFile(name=name.rpartition("/")[2], path=name.removeprefix(own), sha256=digests[name])
                for name in sorted(bills)
            ),
            rust=any(_has_rust(archive, name) for name in elf),
        )


def _digests(wheel: Wheel) -> dict[str, str]:
    """The sha256 of each file, from RECORD, which was made anew when the wheel became a payload."""
    found = {}
    for line in parse(wheel.record):
        algorithm, _, encoded = line.digest.partition("=")
        if algorithm == "sha256":
            try:
                found[line.path] = base64.urlsafe_b64decode(encoded + "=").hex()
            except binascii.Error:
                continue
    return found


def _may_be_elf(entry: Entry) -> bool:
    return entry.executable or ".so" in entry.name.rpartition("/")[2] or ".data/scripts/" in entry.name


def _begins(archive: zipfile.ZipFile, name: str, magic: bytes) -> bool:
    with archive.open(name) as stream:
        return stream.read(len(magic)) == magic


def _is_library(name: str) -> bool:
    directory, _, file = name.rpartition("/")
    return directory.endswith(".libs") or bool(_SHARED.fullmatch(file))


def _library_name(path: str) -> str:
    return _AUDITWHEEL.sub("", path.rpartition("/")[2])


def _has_rust(archive: zipfile.ZipFile, name: str) -> bool:
    with archive.open(name) as stream:
        return any(mark in piece for piece in _overlapping(stream) for mark in _RUST)


def _overlapping(stream: IO[bytes]) -> Iterator[bytes]:
    """A stream in pieces, and what lies around their ends, so that whatever is short lies whole in one of them."""
    before = b""
    while chunk := stream.read(CHUNK):
        yield before + chunk[:_OVERLAP]
        yield chunk
        before = chunk[-_OVERLAP:]


def _packages(archive: zipfile.ZipFile, entries: list[Entry]) -> tuple[Vendored, ...]:
    found: dict[tuple[str, str], list[tuple[str, bytes]]] = {}
    for entry in entries:
        if not _VENDOR.match(entry.name) or entry.size > _LARGEST:
            continue
        if _STATED.fullmatch(entry.name):
            data = archive.read(entry.name)
            for identity in _stated(data):
                found.setdefault(identity, []).append((entry.name, data))
        elif _LISTED.fullmatch(entry.name):
            for identity in _listed(archive.read(entry.name)):
                found.setdefault(identity, []).append((entry.name, b""))
    return tuple(
        Vendored(
            name=name,
            version=version,
            metadata=next((data for _, data in sorted(tellers) if data), b""),
            found_in=tuple(sorted({path for path, _ in tellers})),
        )
        for (name, version), tellers in sorted(found.items())
    )


def _stated(metadata: bytes) -> Iterator[tuple[str, str]]:
    """The name and version that a metadata file states, if it does."""
    from packaging.metadata import parse_email

    raw, _ = parse_email(metadata)
    try:
        yield canonicalize_name(raw["name"], validate=True), str(Version(raw["version"]))
    except (KeyError, ValueError):
        return


def _listed(text: bytes) -> Iterator[tuple[str, str]]:
    """The pinned requirements in a list, as pip's tool ``vendoring`` reads it; indented are what others need."""
    for line in text.decode("utf-8", "replace").splitlines():
        try:
            requirement = Requirement(line.partition("#")[0].strip())
            [pin] = requirement.specifier
            if pin.operator in ("==", "==="):
                yield canonicalize_name(requirement.name), str(Version(pin.version))
        except (InvalidRequirement, InvalidVersion, ValueError):
            continue

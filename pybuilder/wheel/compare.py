"""Where two payloads of one plan differ first: the file, in it the part, in that the byte."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pybuilder.wheel.read import open_archive, pieces

_AROUND = 24  # bytes that are shown before and after the first that differs
_LARGEST = 256 << 20  # bytes of a file that are looked into; of larger ones only the first difference is told
_DEEPEST = 3  # archives in archives
# Sections that merely follow from others (ld(1), --build-id; objcopy(1), --add-gnu-debuglink), or that are no bytes.
_FOLLOWING = (".note.gnu.build-id", ".gnu_debuglink")
# Those with text, which tells most: where it has another length, code that comes before it differs as well.
_TELLING = (".rodata", ".data", ".comment", ".debug_str", ".debug_line_str")


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """What one of two payloads has at the place of a difference.

    Attributes:
        data: All of the part in which they differ; None where it has no such part, or that is too large to look into.
        start: The offset of ``window`` in the part.
        window: The bytes around the first that differs.
    """

    data: bytes | None
    start: int
    window: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The first difference of two payloads.

    Attributes:
        file: Its name in the wheel.
        part: Where in the file: members of archives in it, a section of an ELF file, outermost first.
        offset: Of the first byte that differs, in the part; None where the part is there only once.
        recorded: The one.
        again: The other.
        mode: Whether it is only their execute bits that differ.
        files: All files that differ, in order of name, RECORD left out, which follows from the others.
    """

    file: str
    part: tuple[str, ...]
    offset: int | None
    recorded: Side
    again: Side
    mode: bool
    files: tuple[str, ...]


def first_difference(recorded: Path, again: Path) -> Difference | None:
    """Compare two payloads.

    Returns:
        None where they have the same files with the same contents and modes.

    Raises:
        BuildError: One of them is damaged.
    """
    with open_archive(recorded) as one, open_archive(again) as other:
        infos = {info.filename: info for info in one.infolist()}, {info.filename: info for info in other.infolist()}
        names = sorted({*infos[0], *infos[1]})
        files = tuple(
            name
            for name in names
            if not name.endswith(".dist-info/RECORD") and _differs(one, other, infos[0].get(name), infos[1].get(name))
        )
        if not files:
            return None
        first = files[0]
        archives = one if first in infos[0] else None, other if first in infos[1] else None
        if any(info[first].file_size > _LARGEST for info in infos if first in info):
            return _large(files, *archives)
        mine, theirs = (archive.read(first) if archive else None for archive in archives)
        if mine is None or theirs is None:
            return _difference(files, (), mine, theirs)
        return _within(files, (), mine, theirs)


def _differs(
    one: zipfile.ZipFile, other: zipfile.ZipFile, info: zipfile.ZipInfo | None, also: zipfile.ZipInfo | None
) -> bool:
    if info is None or also is None:
        return True
    alike = (info.CRC, info.file_size, _is_executable(info)) == (also.CRC, also.file_size, _is_executable(also))
    return not alike or any(
        mine != theirs for mine, theirs in zip(pieces(one, info.filename), pieces(other, also.filename), strict=True)
    )


def _is_executable(info: zipfile.ZipInfo) -> bool:
    return bool(info.external_attr >> 16 & stat.S_IXUSR)


def _within(files: tuple[str, ...], part: tuple[str, ...], one: bytes, other: bytes) -> Difference:
    """The first difference of two files, inside whatever form they have that is known here."""
    if one == other or len(part) >= _DEEPEST:
        return _difference(files, part, one, other)
    for parts_of in (_members, _unzipped, _sections):
        parts = parts_of(one), parts_of(other)
        if parts[0] is None or parts[1] is None:
            continue
        for name in dict.fromkeys([*parts[0], *parts[1]]):
            mine, theirs = parts[0].get(name), parts[1].get(name)
            if mine == theirs:
                continue
            if mine is None or theirs is None:
                return _difference(files, (*part, name), mine, theirs)
            return _within(files, (*part, name), mine, theirs)
    return _difference(files, part, one, other)


def _members(data: bytes) -> Mapping[str, bytes] | None:
    """The members of a zip archive; None of anything else."""
    if not data.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            if sum(info.file_size for info in infos) > _LARGEST:
                return None
            return {info.filename: archive.read(info) for info in infos}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError, EOFError, OSError):
        return None


def _unzipped(data: bytes) -> Mapping[str, bytes] | None:
    """What a gzip file holds; None of anything else."""
    if not data.startswith(b"\x1f\x8b"):
        return None
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            content = stream.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error):
        return None
    return {"the compressed file": content} if len(content) <= _LARGEST else None


def _sections(data: bytes) -> Mapping[str, bytes] | None:
    """The sections of an ELF file, those with text first, those last that follow from others; None of anything else."""
    if not data.startswith(b"\x7fELF"):
        return None
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    found: dict[str, bytes] = {}
    try:
        for section in ELFFile(io.BytesIO(data)).iter_sections():
            # Two of one name are told apart by their order.
            name = section.name if section.name not in found else f"{section.name} {len(found)}"
            if section.name and section["sh_type"] != "SHT_NOBITS":
                found[name] = data[section["sh_offset"] : section["sh_offset"] + section["sh_size"]]
    except (ELFError, LookupError, ValueError, TypeError, AssertionError, struct.error, AttributeError):
        return None
    return dict(sorted(found.items(), key=lambda item: (item[0] in _FOLLOWING, not item[0].startswith(_TELLING))))


def _difference(files: tuple[str, ...], part: tuple[str, ...], one: bytes | None, other: bytes | None) -> Difference:
    if one is None or other is None:
        sides = [Side(data=data, start=0, window=(data or b"")[: 2 * _AROUND]) for data in (one, other)]
        return Difference(
            file=files[0], part=part, offset=None, recorded=sides[0], again=sides[1], mode=False, files=files
        )
    offset = first_differing_byte(one, other)
    start = max(0, offset - _AROUND)
    sides = [Side(data=data, start=start, window=data[start : offset + _AROUND]) for data in (one, other)]
    same = one == other
    return Difference(
        file=files[0], part=part, offset=offset, recorded=sides[0], again=sides[1], mode=same, files=files
    )


def first_differing_byte(one: bytes, other: bytes) -> int:
    """The offset of the first byte that differs; the length of the shorter where it is how the other begins."""
    low, high = 0, min(len(one), len(other))
    # The equal beginning is found by halves: comparing slices is a hundred times as fast as a loop over bytes.
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _large(files: tuple[str, ...], one: zipfile.ZipFile | None, other: zipfile.ZipFile | None) -> Difference:
    """The first difference of files too large to hold; None for the archive that has no such file."""
    if one is None or other is None:
        return _difference(files, (), None if one is None else b"", None if other is None else b"")
    start = 0
    for mine, theirs in _pairs(pieces(one, files[0]), pieces(other, files[0])):
        if mine != theirs:
            offset = first_differing_byte(mine, theirs)
            begin = max(0, offset - _AROUND)
            sides = [
                Side(data=None, start=start + begin, window=data[begin : offset + _AROUND]) for data in (mine, theirs)
            ]
            break
        start += len(mine)
    else:
        raise AssertionError(files[0])
    return Difference(
        file=files[0],
        part=(),
        offset=start + offset,
        recorded=sides[0],
        again=sides[1],
        mode=False,
        files=files,
    )


def _pairs(one: Iterable[bytes], other: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Pieces side by side, empty where one has ended."""
    mine, theirs = iter(one), iter(other)
    while True:
        pair = next(mine, b""), next(theirs, b"")
        if pair == (b"", b""):
            return
        yield pair

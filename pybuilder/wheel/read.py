"""Open a wheel, refuse what no installer should touch, and see what is in it without loading it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from pybuilder.errors import BuildError
from pybuilder.wheel.archive import CHUNK, IN_MEMORY, UTF8, Moment
from pybuilder.wheel.filename import WheelName

MAX_ENTRIES = 500_000
MAX_SIZE = 32 << 30
"""Uncompressed bytes of a whole wheel; more is a bomb."""
MAX_METADATA = 64 << 20
"""Uncompressed bytes of one file in dist-info that is read into memory."""
READ_WHOLE = ("METADATA", "WHEEL", "RECORD", "entry_points.txt")
"""The files of dist-info that are read into memory; the last may be missing."""

_SMALL = 4 << 20  # bytes of a wheel, and of all that is in it, that stay in memory for who reads it next
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SHOWN = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One file in a wheel.

    Attributes:
        name: Its name, from the wheel's root, with forward slashes.
        size: Its uncompressed bytes, as the archive says; reading it finds out whether that is true.
        executable: Whether any of its execute bits is set.
    """

    name: str
    size: int
    executable: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheel:
    """A wheel whose structure is sound: regular files with harmless names, one dist-info directory.

    Attributes:
        path: The file.
        filename: What its name says.
        prefix: How its dist-info directory begins, spelled as the wheel spells it: ``MarkupSafe-3.0``.
        entries: Its files in the archive's order; directories are left out.
        moment: The time of its last file, in UTC.
        metadata: The bytes of METADATA.
        fields: The fields of WHEEL, in order, as ``(name, value)``.
        record: The bytes of RECORD.
    """

    path: Path
    filename: WheelName
    prefix: str
    entries: tuple[Entry, ...]
    moment: Moment
    metadata: bytes
    fields: tuple[tuple[str, str], ...]
    record: bytes

    @property
    def dist_info(self) -> str:
        """The name of the dist-info directory."""
        return f"{self.prefix}.dist-info"

    def field(self, name: str) -> list[str]:
        """All values of one field of WHEEL."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def entry_points(self) -> bytes:
        """The bytes of entry_points.txt, empty where there is none.

        Raises:
            BuildError: It can't be read.
        """
        name = f"{self.dist_info}/entry_points.txt"
        if all(entry.name != name for entry in self.entries):
            return b""
        with open_archive(self.path) as archive:
            return archive.read(name)


def open_wheel(path: Path) -> Wheel:
    """Open a wheel.

    Raises:
        BuildError: It is no zip, its file name or its structure is not a wheel's; the message lists every reason.
    """
    return _open_wheel(path, *_identity_of(path.stat()))


# Each wheel that is built or published is looked at a dozen times in a row.
@lru_cache(maxsize=32)
def _open_wheel(path: Path, *_identity: int) -> Wheel:
    filename = WheelName.parse(path.name)
    with open_archive(path) as archive:
        infos = archive.infolist()
        if reasons := structure_problems(infos, filename):
            more = f"\n  and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
            raise BuildError(
                "\n  ".join((f"{path.name} is not a sound wheel:", *reasons[:_SHOWN])) + more,
                where=str(path),
                cure="look at how the build backend makes its wheel",
            )
        files = [info for info in infos if not info.is_dir()]
        dist_info = next(iter(_dist_infos(files)))
        return Wheel(
            path=path,
            filename=filename,
            prefix=dist_info.removesuffix(".dist-info"),
            entries=tuple(map(_entry, files)),
            moment=files[-1].date_time,
            metadata=archive.read(f"{dist_info}/METADATA"),
            fields=_fields(archive.read(f"{dist_info}/WHEEL")),
            record=archive.read(f"{dist_info}/RECORD"),
        )


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip inside a wheel, for as long as the block lasts.

    Raises:
        BuildError: Opening it, or reading from it inside the block, shows that it is damaged.
    """
    try:
        facts = path.stat()
        if facts.st_size <= _SMALL and (kept := _kept(path, *_identity_of(facts))):
            yield kept
            return
        content = io.BytesIO(path.read_bytes()) if facts.st_size <= IN_MEMORY else path
        with zipfile.ZipFile(content) as archive:
            archive.filename = str(path)
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, struct.error) as error:
        raise BuildError(
            f"{path.name} is damaged or no zip archive: {error}",
            where=str(path),
            cure="look at how the build backend makes its wheel",
        ) from error


@lru_cache(maxsize=8)
def _kept(path: Path, *_identity: int) -> _Kept | None:
    archive = _Kept(io.BytesIO(path.read_bytes()))
    archive.filename = str(path)
    return archive if sum(info.file_size for info in archive.infolist()) <= _SMALL else None


class _Kept(zipfile.ZipFile):
    """A small wheel in memory, for several threads; what was read of it stays, since it is read through six times."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._reading = threading.Lock()
        # By offset: a wheel that is not sound may have two entries of one name.
        self._contents: dict[int, bytes] = {}

    def open(self, name: str | zipfile.ZipInfo, *arguments: Any, **options: Any) -> IO[bytes]:
        info = self.getinfo(name) if isinstance(name, str) else name
        with self._reading:
            if info.header_offset not in self._contents:
                with super().open(info, *arguments, **options) as stream:
                    self._contents[info.header_offset] = stream.read()
        return io.BytesIO(self._contents[info.header_offset])


def _identity_of(facts: os.stat_result) -> tuple[int, ...]:
    """Of what is there now: the kernel sets the time of a change, whatever else says that nothing has changed."""
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def pieces(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """The bytes of one entry, in pieces of at most a mebibyte."""
    with archive.open(name) as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def structure_problems(infos: Sequence[zipfile.ZipInfo], filename: WheelName) -> tuple[str, ...]:
    """What is wrong with the list of a wheel's entries, before any of them is read."""
    if len(infos) > MAX_ENTRIES or sum(info.file_size for info in infos) > MAX_SIZE:
        return (f"it has more than {MAX_ENTRIES} files or {MAX_SIZE >> 30} GiB",)
    found = [f"{info.orig_filename!r} {reason}" for info in infos for reason in _entry_problems(info)]
    files = [info for info in infos if not info.is_dir()]
    return (*found, *_clashes([info.filename for info in files]), *_layout_problems(files, filename))


def _entry_problems(info: zipfile.ZipInfo) -> Iterator[str]:
    kind = stat.S_IFMT(info.external_attr >> 16)
    name = info.orig_filename
    if info.flag_bits & 0x2061:  # encrypted, patched data, strong encryption, masked headers (APPNOTE 4.4.4)
        yield "is encrypted or patched"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        yield "is neither stored nor deflated"
    if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
        yield "is a link or a special file"
    if not name.isascii() and not info.flag_bits & UTF8:
        yield "has a name that is not marked as UTF-8"
    if _CONTROL.search(name) or "\\" in name:
        yield "has a control character or a backslash in its name"
    if any(part in ("", ".", "..") for part in name.removesuffix("/").split("/")):
        yield "has a name that is absolute or leads out of the wheel"
    if info.is_dir() and info.file_size:
        yield "is a directory with contents"


def _clashes(names: list[str]) -> Iterator[str]:
    seen: set[str] = set()
    parents = {name[:index] for name in names for index, char in enumerate(name) if char == "/"}
    for name in names:
        if name in seen:
            yield f"{name!r} is in the archive twice"
        if name in parents:
            yield f"{name!r} is a file and a directory"
        seen.add(name)


def _layout_problems(files: list[zipfile.ZipInfo], filename: WheelName) -> Iterator[str]:
    dist_infos = _dist_infos(files)
    if len(dist_infos) != 1:
        found = ", ".join(dist_infos) or "none"
        yield f"it needs one dist-info directory, and has {found}"
        return
    prefix = next(iter(dist_infos)).removesuffix(".dist-info")
    if _identity(prefix) != (filename.name, filename.version):
        yield f"the directory {prefix}.dist-info does not agree with the file name"
    sizes = {info.filename: info.file_size for info in files}
    for name in READ_WHOLE:
        size = sizes.get(f"{prefix}.dist-info/{name}")
        if size is None and name != "entry_points.txt":
            yield f"it has no {prefix}.dist-info/{name}"
        elif size is not None and size > MAX_METADATA:
            yield f"{prefix}.dist-info/{name} has more than {MAX_METADATA >> 20} MiB"
    # Installers take every top-level name that ends so for a data directory (pip: is_data_scheme_path).
    for top in dict.fromkeys(name.partition("/")[0] for name in sizes):
        if top.endswith(".data") and top != f"{prefix}.data":
            yield f"the name {top!r} is not that of its data directory, {prefix}.data"


def _dist_infos(files: Iterable[zipfile.ZipInfo]) -> dict[str, None]:
    tops = (info.filename.partition("/") for info in files)
    return dict.fromkeys(top for top, slash, _ in tops if slash and top.endswith(".dist-info"))


def _identity(prefix: str) -> tuple[NormalizedName, Version] | None:
    """The name and version in ``NAME-VERSION`` however it is spelled; old tools left dashes in names."""
    name, _, version = prefix.rpartition("-")
    try:
        return canonicalize_name(name), Version(version)
    except InvalidVersion:
        return None


def _entry(info: zipfile.ZipInfo) -> Entry:
    executable = bool(info.external_attr >> 16 & 0o111)
    return Entry(name=info.filename, size=info.file_size, executable=executable)


def _fields(data: bytes) -> tuple[tuple[str, str], ...]:
    lines = (line.partition(":") for line in data.decode("utf-8", "replace").splitlines())
    return tuple((name.strip(), value.strip()) for name, colon, value in lines if colon)

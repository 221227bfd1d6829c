"""One view of tar and zip archives: their members one after another, read as a stream and never all at once."""

from __future__ import annotations

import bz2
import calendar
import contextlib
import errno
import gzip
import io
import lzma
import stat
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal, NamedTuple, cast

from pybuilder.errors import FetchError
from pybuilder.sources.limits import Limits, whole_seconds

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Kind = Literal["file", "directory", "symlink", "hardlink"]

# What the headers before one member may take: names and pax records, of which tarfile reads all into memory.
_HEADERS = 1 << 20
_TRAILER = 16 << 20
_LINK_TARGET = 4096
_DIRECTORY_RECORD = 46 + 1024
_END_OF_DIRECTORY = b"PK\x05\x06"
_ZIP = (b"PK\x03\x04", _END_OF_DIRECTORY)
_CHUNK = 1 << 20  # bytes that are decompressed at once
_MAGIC = 262 + 3  # bytes that tell what an archive is


class Member(NamedTuple):
    """One entry of an archive.

    Attributes:
        name: Its path, as the archive has it: nothing has been checked.
        kind: What it is.
        executable: Whether its owner may execute it.
        mtime: Its time, in whole seconds since the epoch.
        size: The bytes that it says it has.
        target: Where a link leads: from beside a symbolic link, from the top of the archive for a hard link.
        data: The bytes of a file, to be read before the next member is asked for.
    """

    name: str
    kind: Kind
    executable: bool = False
    mtime: int = 0
    size: int = 0
    target: str = ""
    data: IO[bytes] | None = None


@contextlib.contextmanager
def damage(archive: Path) -> Iterator[None]:
    """Turn whatever the standard library raises for a broken archive into an error that names the archive.

    Raises:
        FetchError: The archive is truncated, damaged or of no kind that is known.
    """
    broken = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, zstd.ZstdError, EOFError)
    try:
        yield
    except (*broken, NotImplementedError, ValueError, struct.error) as error:
        raise _damaged(archive, str(error)) from error
    except OSError as error:
        # gzip and bz2 report bad data so; what the system reports has a number, also that there is nothing before the
        # beginning of a file, where a zip may say that a member lies.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise _damaged(archive, str(error)) from error


def members(archive: Path, limits: Limits) -> Iterator[Member]:
    """All members of a tar (plain, gz, bz2, xz, zst) or zip archive; its first bytes tell which it is.

    Use it inside ``damage``: the data of a member is read by the caller, and may turn out broken there.

    Raises:
        FetchError: It is a bomb, is encrypted, or holds something that is no file, directory or link.
    """
    with archive.open("rb") as stream:
        magic = stream.read(_MAGIC)
    if magic.startswith(_ZIP):
        yield from _zip_members(archive, limits)
        return
    with archive.open("rb") as raw, decompressed(raw, magic) as stream:
        yield from _tar_members(archive, stream, limits)


def loaded_members(archive: Path, most: int) -> Iterator[Member]:
    """The same of a small archive, a tar from memory, which takes half the time.

    Of a tar whatever is in any way unusual is an error here, which ``members`` may know better.

    Args:
        archive: The archive.
        most: Bytes that a tar may have, unpacked.

    Raises:
        FetchError: As ``members``, or it is larger.
    """
    with archive.open("rb") as raw:
        magic = raw.peek(_MAGIC)
        if magic.startswith(_ZIP):
            yield from _zip_members(archive, Limits())
            return
        content = io.BytesIO()
        with decompressed(raw, magic) as stream:
            while chunk := stream.read(_CHUNK):
                content.write(chunk)
                if content.tell() > most:
                    raise refused(archive, f"it has more than {most} bytes")
    end = content.seek(0)
    with tarfile.open(fileobj=content, mode="r:", tarinfo=_StrictInfo, encoding="utf-8") as tar:
        while (info := tar.next()) is not None:
            size = info.size if info.isreg() else 0
            content.seek(info.offset_data)
            data = content.read(size)
            if info.offset_data - end > _HEADERS or len(data) < size:
                raise tarfile.ReadError("its headers are too large, or it ends too early")
            end = info.offset_data + size
            plain = info.isreg() and not info.issparse()
            yield _tar_member(archive, info, io.BytesIO(data) if plain else None)


def _damaged(archive: Path, detail: str) -> FetchError:
    cure = "fetch it again; if its digest is the pinned one, upstream's file itself is broken"
    return FetchError(
        f"{archive.name} is truncated or damaged: {detail or 'no reason given'}", where=str(archive), cure=cure
    )


def refused(archive: Path, why: str) -> FetchError:
    """The error for an archive that asks for something no source should."""
    cure = "no sound source asks for this: tell whoever published it, and pin another version meanwhile"
    return FetchError(f"{archive.name} is refused: {why}", where=str(archive), cure=cure)


def decompressed(raw: IO[bytes], magic: bytes) -> contextlib.AbstractContextManager[IO[bytes]]:
    """A file as it was before it was compressed, by gz, bz2, xz or zst; a tar that is not compressed as it is.

    Args:
        raw: The file, at its beginning.
        magic: Its first 262 bytes or more.

    Raises:
        tarfile.ReadError: It is none of these; ``damage`` turns it into an error of ours.
    """
    if magic.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if magic.startswith(b"BZh"):
        return cast("IO[bytes]", bz2.BZ2File(raw))
    if magic.startswith(b"\xfd7zXZ\x00"):
        return cast("IO[bytes]", lzma.LZMAFile(raw))
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        return cast("IO[bytes]", zstd.ZstdFile(raw))
    if magic[257:262] == b"ustar":
        return contextlib.nullcontext(raw)
    raise tarfile.ReadError("it is neither a tar nor a zip archive")


class _Meter:
    """The decompressed stream, with a bound on all of it and on what may come before the next member."""

    def __init__(self, archive: Path, stream: IO[bytes], bound: int) -> None:
        self.archive = archive
        self.stream = stream
        self.left = bound
        self.allowance = _HEADERS

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        self.allowance -= len(data)
        if self.left < 0:
            raise refused(self.archive, "it unpacks to far more than a source archive should (a bomb)")
        if self.allowance < 0:
            raise refused(self.archive, f"the headers of one member take more than {_HEADERS} bytes")
        return data


class _StrictInfo(tarfile.TarInfo):
    """A header that is wrong is an error everywhere: tarfile takes all but the first for the archive's end."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> _StrictInfo:
        try:
            info = super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"bad header: {error}") from error
        if info.size < 0:
            raise tarfile.ReadError("negative size")
        return info


def _tar_members(archive: Path, stream: IO[bytes], limits: Limits) -> Iterator[Member]:
    # Headers and padding are not counted by Limits.total, which the caller counts by files.
    bound = limits.bytes_of(archive.stat().st_size) + limits.entries * 1024 + _TRAILER
    meter = _Meter(archive, stream, bound)
    with tarfile.open(fileobj=cast("IO[bytes]", meter), mode="r|", tarinfo=_StrictInfo, encoding="utf-8") as tar:
        while (info := tar.next()) is not None:
            meter.allowance = _HEADERS + (info.size if info.isreg() else 0)
            plain = info.isreg() and not info.issparse()
            yield _tar_member(archive, info, cast("IO[bytes]", tar.extractfile(info)) if plain else None)
            # It keeps every header it has seen, for searches that a stream can't serve anyway.
            tar.members.clear()  # type: ignore[attr-defined]
    meter.allowance = _TRAILER
    while meter.read(1 << 16):
        pass  # the checksum comes last


def _tar_member(archive: Path, info: tarfile.TarInfo, data: IO[bytes] | None) -> Member:
    mtime, executable = whole_seconds(info.mtime), bool(info.mode & stat.S_IXUSR)
    if data is not None:
        return Member(name=info.name, kind="file", executable=executable, mtime=mtime, size=info.size, data=data)
    if info.isdir():
        return Member(name=info.name, kind="directory", mtime=mtime)
    if info.issym() or info.islnk():
        kind: Kind = "symlink" if info.issym() else "hardlink"
        return Member(name=info.name, kind=kind, mtime=mtime, target=info.linkname)
    raise refused(archive, f"{info.name!r} is neither file, directory nor link")


def _zip_members(archive: Path, limits: Limits) -> Iterator[Member]:
    _check_directory_size(archive, limits)
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            if info.flag_bits & 1:
                raise refused(archive, f"{info.filename!r} is encrypted")
            mode = info.external_attr >> 16 if info.create_system == 3 else 0
            if stat.S_IFMT(mode) == stat.S_IFLNK:
                target = _zip_target(archive, file, info)
                yield Member(name=info.filename, kind="symlink", mtime=zip_time(info), target=target)
            elif info.is_dir():
                yield Member(name=info.filename, kind="directory", mtime=zip_time(info))
            elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
                with file.open(info) as data:
                    yield Member(
                        name=info.filename,
                        kind="file",
                        executable=bool(mode & stat.S_IXUSR),
                        mtime=zip_time(info),
                        size=info.file_size,
                        data=data,
                    )
            else:
                raise refused(archive, f"{info.filename!r} is neither file, directory nor link")


def _check_directory_size(archive: Path, limits: Limits) -> None:
    """Refuse a central directory that would fill the memory: zipfile reads it whole."""
    size = archive.stat().st_size
    with archive.open("rb") as stream:
        stream.seek(max(0, size - (1 << 16) - 22))
        tail = stream.read()
    end = tail.rfind(_END_OF_DIRECTORY)
    if end < 0 or len(tail) < end + 22:
        raise zipfile.BadZipFile("it has no end")
    entries, length = struct.unpack("<HL", tail[end + 10 : end + 16])
    # All ones: zip64, which a source needs for a file over 4 GB only; its directory is as small as others'.
    if length == 0xFFFFFFFF or entries == 0xFFFF or length > limits.entries * 256:
        raise refused(
            archive, f"it has more than {min(limits.entries, 0xFFFE)} entries, or its list of them is too long"
        )


def _zip_target(archive: Path, file: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    if info.file_size > _LINK_TARGET:
        raise refused(archive, f"the link {info.filename!r} has a target of {info.file_size} bytes")
    return file.read(info).decode("utf-8", "surrogateescape")


def zip_time(info: zipfile.ZipInfo) -> int:
    """The time of an entry, in seconds since the epoch; 0 where it is none that there is."""
    # The format has local time without a zone. Reading it as UTC gives the same number everywhere.
    try:
        return calendar.timegm(info.date_time)
    except ValueError:
        return 0

"""Write a zip whose bytes depend on nothing but what is put into it.

The standard library's writer is not used because a payload's digest is a contract: zipfile's headers have changed
between Python versions (python/cpython#103861 moved the ZIP64 fields), and ours may not. The numbers in parentheses are
sections of PKWARE's APPNOTE 6.3.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

CHUNK = 1 << 20
IN_MEMORY = 16 << 20
"""Bytes of a wheel that is read and written in memory: each of the many steps back and forth takes a moment on disk."""
UTF8 = 0x800
"""The flag that says a name is UTF-8 (appendix D)."""

Moment = tuple[int, int, int, int, int, int]
"""Year, month, day, hour, minute, second in UTC, as ``zipfile.ZipInfo.date_time``."""

_UNIX = 3
_LEVEL = 6
_STORED, _DEFLATED = 0, 8
_MAX16, _MAX32 = 0xFFFF, 0xFFFF_FFFF
# Below 4 GiB, so that deflate's growth of what it can't compress never reaches a field that has no room for it.
_ZIP64_SIZE = 0xF000_0000
_FIRST, _LAST = 315532800, 4354819198  # 1980-01-01 and 2107-12-31 23:59:58: all that DOS time can hold


def moment_of(epoch: int) -> Moment:
    """The time of day in UTC for a number of seconds since 1970, kept within what a zip can say."""
    moment = time.gmtime(min(max(epoch, _FIRST), _LAST))
    return (moment.tm_year, moment.tm_mon, moment.tm_mday, moment.tm_hour, moment.tm_min, moment.tm_sec)


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in lower-case hex; reads in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """One entry that has been written.

    Attributes:
        name: Its name in the archive.
        digest: ``sha256=`` and the digest as RECORD spells it: URL-safe base64 without padding (PEP 376).
        size: Its uncompressed bytes.
    """

    name: str
    digest: str
    size: int


class ArchiveWriter:
    """Writes entries in the order they are given; every one is a regular file with the same time."""

    def __init__(self, stream: IO[bytes], *, moment: Moment, compress: bool) -> None:
        year, month, day, hour, minute, second = moment
        self._stream = stream
        self._when = hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day
        self._method = _DEFLATED if compress else _STORED
        self._directory: list[bytes] = []

    def add(self, name: str, chunks: Iterable[bytes], *, size: int, executable: bool) -> Written:
        """Write one file.

        Args:
            name: Its name, with forward slashes.
            chunks: Its bytes, in pieces.
            size: How many bytes that will be: it decides beforehand whether the entry needs ZIP64 fields.
            executable: Whether its mode is 0755 rather than 0644.

        Raises:
            ValueError: There were more or fewer bytes than ``size``.
        """
        raw_name, start = name.encode(), self._stream.tell()
        self._stream.write(self._local_header(raw_name, 0, 0, size))
        body = self._stream.tell()
        crc, real_size, digest = self._copy(chunks)
        if real_size != size:
            raise ValueError(f"{name}: {real_size} bytes instead of {size}")
        end = self._stream.tell()
        self._stream.seek(start)
        self._stream.write(self._local_header(raw_name, crc, end - body, size))
        self._stream.seek(end)
        mode = 0o100755 if executable else 0o100644
        self._directory.append(self._central_header(raw_name, crc, end - body, size, mode, start))
        encoded = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return Written(name=name, digest=f"sha256={encoded}", size=size)

    def close(self) -> None:
        """Write the central directory (4.3.12) and its end records (4.3.14 to 4.3.16); the stream stays open."""
        start = self._stream.tell()
        for header in self._directory:
            self._stream.write(header)
        end, count = self._stream.tell(), len(self._directory)
        size = end - start
        if count >= _MAX16 or start >= _MAX32 or size >= _MAX32:
            record = (0x06064B50, 44, _UNIX << 8 | 45, 45, 0, 0, count, count, size, start)
            self._stream.write(struct.pack("<IQHHIIQQQQ", *record))
            self._stream.write(struct.pack("<IIQI", 0x07064B50, 0, end, 1))
        count, size, start = min(count, _MAX16), min(size, _MAX32), min(start, _MAX32)
        self._stream.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, size, start, 0))

    def _copy(self, chunks: Iterable[bytes]) -> tuple[int, int, bytes]:
        crc, size, digest = 0, 0, hashlib.sha256()
        press = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15) if self._method == _DEFLATED else None
        for chunk in chunks:
            crc, size = zlib.crc32(chunk, crc), size + len(chunk)
            digest.update(chunk)
            self._stream.write(press.compress(chunk) if press else chunk)
        if press:
            self._stream.write(press.flush())
        return crc, size, digest.digest()

    def _local_header(self, name: bytes, crc: int, packed: int, size: int) -> bytes:
        """The header before an entry's bytes (4.3.7)."""
        extra = _zip64([size, packed] if size >= _ZIP64_SIZE else [])
        return struct.pack("<I", 0x04034B50) + self._common(name, crc, packed, size, extra) + name + extra

    def _central_header(self, name: bytes, crc: int, packed: int, size: int, mode: int, offset: int) -> bytes:
        """The entry's line in the central directory (4.3.12)."""
        wide = [size, packed] if size >= _ZIP64_SIZE else []
        extra = _zip64(wide + ([offset] if offset >= _MAX32 else []))
        head = struct.pack("<IH", 0x02014B50, _UNIX << 8 | _version(extra))
        tail = struct.pack("<HHHII", 0, 0, 0, mode << 16, min(offset, _MAX32))
        return head + self._common(name, crc, packed, size, extra) + tail + name + extra

    def _common(self, name: bytes, crc: int, packed: int, size: int, extra: bytes) -> bytes:
        """The fields that both headers have in the same order (4.4.3 to 4.4.11)."""
        flags = 0 if name.isascii() else UTF8
        if size >= _ZIP64_SIZE:
            size = packed = _MAX32
        sizes = crc, packed, size, len(name), len(extra)
        return struct.pack("<HHHHHIIIHH", _version(extra), flags, self._method, *self._when, *sizes)


def _zip64(values: list[int]) -> bytes:
    """The extra field for numbers that 32 bits can't or may not hold (4.5.3); empty where there are none."""
    return struct.pack(f"<HH{len(values)}Q", 1, 8 * len(values), *values) if values else b""


def _version(extra: bytes) -> int:
    """The version of the format that is needed to extract (4.4.3): 2.0, or 4.5 with ZIP64 fields."""
    return 45 if extra else 20

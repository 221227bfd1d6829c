"""The METADATA of a wheel that stays where it is: only the end of the file and that member are fetched."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

from pybuilder.http import Client

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# The central directory of most wheels, and the METADATA as well, is in the last few kilobytes.
_END = 32 << 10
_MAX_METADATA = 8 << 20
# What zipfile and what it decompresses with raise over bytes that make no sense, or are encrypted.
_DAMAGED = (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, OSError, struct.error, zlib.error, lzma.LZMAError)


def remote_metadata(client: Client, url: str) -> bytes | None:
    """What a wheel says of itself.

    Returns:
        Its METADATA; None where the server sends whole files only, or where this is no wheel.

    Raises:
        FetchError: It can't be fetched.
    """
    end = client.part(url, -_END, _END)
    if end is None:
        return None
    try:
        with zipfile.ZipFile(io.BufferedReader(_Remote(client, url, *end), _END)) as wheel:
            names = [name for name in wheel.namelist() if name.count("/") == 1 and name.endswith(".dist-info/METADATA")]
            if len(names) != 1 or wheel.getinfo(names[0]).file_size > _MAX_METADATA:
                return None
            return wheel.read(names[0])
    except _DAMAGED:
        return None


class _Remote(io.RawIOBase):
    """A remote file as a readable, seekable one; a read outside its end is a request."""

    def __init__(self, client: Client, url: str, end: bytes, size: int) -> None:
        super().__init__()
        self._client, self._url, self._end, self._size = client, url, end, size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence])
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        data = self._read(min(len(view), self._size - self._position))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _read(self, length: int) -> bytes:
        if length <= 0:
            return b""
        into_end = self._position - (self._size - len(self._end))
        if into_end >= 0:
            return self._end[into_end : into_end + length]
        part = self._client.part(self._url, self._position, length)
        return part[0] if part else b""

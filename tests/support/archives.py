"""Archives with whatever in them, good and hostile."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar.gz": lambda data: gzip.compress(data, mtime=0),
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
    # Without this a frame has no checksum.
    "tar.zst": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
}


@dataclass(frozen=True)
class Item:
    """One member: a file, or what ``type`` (tarfile's constants) says."""

    name: str
    data: bytes = b""
    mode: int = 0o644
    mtime: float = 1_600_000_000
    type: bytes = tarfile.REGTYPE
    target: str = ""


def link(name: str, target: str) -> Item:
    return Item(name, type=tarfile.SYMTYPE, target=target)


def hard(name: str, target: str) -> Item:
    return Item(name, type=tarfile.LNKTYPE, target=target)


def directory(name: str) -> Item:
    return Item(name, type=tarfile.DIRTYPE, mode=0o755)


def tar(items: Sequence[Item]) -> bytes:
    """An uncompressed tar of the items."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for item in items:
            info = tarfile.TarInfo(item.name)
            info.size, info.mode, info.mtime = len(item.data), item.mode, item.mtime
            info.type, info.linkname = item.type, item.target
            archive.addfile(info, io.BytesIO(item.data))
    return buffer.getvalue()


def zipped(items: Sequence[Item]) -> bytes:
    """A zip of the items; times are those of their Unix times in UTC."""
    kinds = {tarfile.SYMTYPE: stat.S_IFLNK, tarfile.FIFOTYPE: stat.S_IFIFO, tarfile.CHRTYPE: stat.S_IFCHR}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for item in items:
            is_directory = item.type == tarfile.DIRTYPE
            info = zipfile.ZipInfo(item.name + ("/" if is_directory else ""), (2020, 9, 13, 12, 26, 40))
            info.create_system = 3
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (kinds.get(item.type, stat.S_IFREG) | item.mode) << 16
            archive.writestr(info, item.target.encode() if item.type == tarfile.SYMTYPE else item.data)
    return buffer.getvalue()


def write(path: Path, items: Sequence[Item], kind: str = "tar.gz") -> Path:
    """An archive of the items at ``path.kind``."""
    path = path.with_name(f"{path.name}.{kind}")
    path.write_bytes(zipped(items) if kind == "zip" else COMPRESSIONS[kind](tar(items)))
    return path


EVERY_KIND = (
    directory("x-1"),
    Item("x-1/one", b"1" * 100_000, mode=0o755),
    Item("x-1/empty"),
    Item("x-1/\u00e9", b"\0"),
    link("x-1/soft", "one"),
    hard("x-1/hard", "x-1/one"),
)
"""Whatever may be in an archive; a zip has no hard links."""

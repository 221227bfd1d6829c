"""Unpacking an archive that nobody vouches for, and packing one that is the same for everybody."""

from __future__ import annotations

import functools
import os
import tarfile
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pybuilder import clock
from pybuilder.files import CHUNK, disk_errors, remove_tree
from pybuilder.sources.kept import members
from pybuilder.sources.limits import EARLIEST, Limits, source_date_epoch
from pybuilder.sources.members import Member, damage, refused

__all__ = ["Extracted", "Head", "Limits", "extract", "pack", "read_head", "source_date_epoch", "walk"]

Parts = tuple[str, ...]

_PKG_INFO_LIMIT = 8 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Extracted:
    """An unpacked source.

    Attributes:
        root: Where it is: what the one directory at the top of the archive was.
        newest_mtime: The newest time in any header, in seconds since the epoch, as it stands there.
        files: The paths of all files and links below ``root``, in the archive's order.
    """

    root: Path
    newest_mtime: int
    files: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What an archive says of itself.

    Attributes:
        top: The directory that its first member is in; empty where it is in none.
        pkg_info: The PKG-INFO of that directory, if there is one.
    """

    top: str
    pkg_info: bytes | None


def extract(archive: Path, destination: Path, *, now: int | None = None, limits: Limits | None = None) -> Extracted:
    """Unpack an archive whole or not at all, without the one directory at its top.

    Files belong to whoever calls, with modes 0644 or 0755 and the times of their headers, clamped to 1980-01-02 and
    ``now``. Memory does not grow with the size of the files.

    Args:
        archive: A tar (plain, gz, bz2, xz, zst) or zip file, whatever its name.
        destination: A directory that does not exist yet; it becomes what the directory at the top is.
        now: The time it is, in seconds since the epoch; None asks the clock.
        limits: How large it may get.

    Raises:
        FetchError: It is damaged, a bomb, leads out of its top directory, holds devices or the same name twice, or has
            not exactly one directory at its top. Nothing is left of it.
    """
    bounds = limits or Limits()
    time = int(clock.now().timestamp()) if now is None else now
    with disk_errors(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{destination.name[:80]}.", suffix=".tmp", dir=destination.parent))
        try:
            tree = _Tree(archive=archive, root=fresh, limits=bounds, now=time)
            with damage(archive):
                for member in members(archive, bounds):
                    tree.add(member)
            top, files = tree.finish()
            top.rename(destination)
        finally:
            remove_tree(fresh)
    return Extracted(root=destination, newest_mtime=tree.newest, files=files)


def read_head(archive: Path, *, limits: Limits | None = None) -> Head:
    """Find the top directory and its PKG-INFO without unpacking; reads no further than it must.

    Raises:
        FetchError: As ``extract``, as far as it was read.
    """
    top, bounds = "", limits or Limits()
    with damage(archive):
        for member in members(archive, bounds):
            parts = _safe_parts(archive, member.name, bounds)
            if parts and (len(parts) > 1 or member.kind == "directory"):
                top = top or parts[0]
            if parts == (top, "PKG-INFO") and member.data is not None:
                if member.size > _PKG_INFO_LIMIT:
                    raise refused(archive, f"its PKG-INFO has {member.size} bytes")
                return Head(top=top, pkg_info=member.data.read(_PKG_INFO_LIMIT))
    return Head(top=top, pkg_info=None)


def walk(archive: Path, *, limits: Limits | None = None) -> Iterator[tuple[str, Member]]:
    """Every file and link of an archive without unpacking it: the path below the directory at the top, and the member.

    Use it inside ``damage``: the data of a member is read by the caller, before the next is asked for, and may turn out
    broken there. Less is refused than by ``extract``, since nothing is written.

    Raises:
        FetchError: It is damaged, a bomb, or has not exactly one directory at its top.
    """
    bounds = limits or Limits()
    top = ""
    files: set[Parts] = set()
    for count, member in enumerate(members(archive, bounds)):
        if count > bounds.entries:
            raise refused(archive, f"it has more than {bounds.entries} entries (a bomb)")
        parts = _safe_parts(archive, member.name, bounds)
        if not parts or (len(parts) == 1 and member.kind != "directory"):
            continue
        top = top or parts[0]
        if parts[0] != top:
            raise refused(archive, f"it needs exactly one directory at its top; found: {top}, {parts[0]}")
        _check_link(archive, parts, member, files)
        files.add(parts)
        yield "/".join(parts[1:]), member
    if not top:
        raise refused(archive, "it needs exactly one directory at its top; found: none")


def _check_link(archive: Path, parts: Parts, member: Member, files: Collection[Parts]) -> None:
    """Refuse a link that leads out of the top directory by its own words; ``extract`` also follows chains of them."""
    if member.kind == "symlink":
        end = os.path.normpath(os.path.join(*parts[1:-1], member.target))
        if member.target.startswith("/") or end.split("/")[0] == "..":
            raise refused(archive, f"the link {'/'.join(parts)!r} to {member.target!r} leads out of it")
    if member.kind == "hardlink" and tuple(p for p in member.target.split("/") if p not in ("", ".")) not in files:
        raise refused(archive, f"the hard link {member.name!r} to {member.target!r} leads to no file before it")


def pack(stream: IO[bytes], content: Iterable[Member], *, top: str, mtime: int) -> None:
    """Write an uncompressed tar whose bytes depend on its content alone.

    Args:
        stream: Where it goes.
        content: Files and symbolic links, in the order in which they are written.
        top: The directory that all go below.
        mtime: The time of all.
    """
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
        for member in content:
            info = tarfile.TarInfo(f"{top}/{member.name}")
            info.mtime = mtime
            info.mode = 0o755 if member.executable or member.kind == "symlink" else 0o644
            if member.kind == "symlink":
                info.type, info.linkname = tarfile.SYMTYPE, member.target
            info.size = member.size
            tar.addfile(info, member.data)


def _safe_parts(archive: Path, name: str, limits: Limits) -> Parts:
    """The components of a member's path, of which none leads anywhere but down."""
    parts, fault = _judged_parts(name, limits.path)
    if fault:
        raise refused(archive, fault)
    return parts


@functools.lru_cache(1 << 14)
def _judged_parts(name: str, longest: int) -> tuple[Parts, str]:
    """The components of a path, and what is wrong with it; a new source is gone through five times in a row."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts:
        return parts, f"the path {name!r} leads out of it"
    if "\0" in name or "\\" in name:
        return parts, f"the path {name!r} has a character that no source needs"
    length = len(os.fsencode(name))
    if length > longest or (length > 255 and any(len(os.fsencode(part)) > 255 for part in parts)):
        return parts, f"the path {name[:80]!r}… is too long"
    return parts, ""


@dataclass(kw_only=True)
class _Tree:
    """A tree in the making.

    Links are made last. Until then there is none through which a file could be written to another place.
    """

    archive: Path
    root: Path
    limits: Limits
    now: int
    newest: int = 0
    entries: int = 0
    left: int = field(init=False)
    directories: dict[Parts, int] = field(default_factory=dict)
    files: dict[Parts, None] = field(default_factory=dict)
    links: dict[Parts, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.left = self.limits.bytes_of(self.archive.stat().st_size)

    def add(self, member: Member) -> None:
        self.entries += 1
        if self.entries > self.limits.entries:
            raise refused(self.archive, f"it has more than {self.limits.entries} entries (a bomb)")
        self.newest = max(self.newest, member.mtime)
        parts = _safe_parts(self.archive, member.name, self.limits)
        if member.kind == "directory":
            self._make_directories(parts)
            self.directories[parts] = member.mtime
            return
        if not parts or parts in self.files or parts in self.directories:
            raise refused(self.archive, f"{member.name!r} is in it twice, or is a directory as well")
        self._make_directories(parts[:-1])
        self.files[parts] = None
        if member.kind == "symlink":
            self.links[parts] = member.target
        elif member.kind == "hardlink":
            self._link(parts, member)
        else:
            self._write(parts, member)

    def finish(self) -> tuple[Path, tuple[str, ...]]:
        top = self._top()
        for parts, target in self.links.items():
            (self.root / Path(*parts)).symlink_to(target)
        self._check_links(top)
        for parts, mtime in reversed(self.directories.items()):
            self._set_time(os.path.join(self.root, *parts), mtime)
        return top, tuple("/".join(parts[1:]) for parts in self.files if parts[0] == top.name)

    def _top(self) -> Path:
        # Files beside it are ignored: archives from macOS have ._name there.
        tops = sorted({parts[0] for parts in self.directories if parts})
        if len(tops) != 1:
            found = ", ".join(tops[:5]) or "none"
            raise refused(self.archive, f"it needs exactly one directory at its top; found: {found}")
        return self.root / tops[0]

    def _check_links(self, top: Path) -> None:
        base = os.path.realpath(top)
        for parts, target in self.links.items():
            # With all links in place this follows chains of them as the kernel would.
            end = os.path.realpath(os.path.join(self.root, *parts))
            if target.startswith("/") or (end != base and not end.startswith(base + os.sep)):
                raise refused(self.archive, f"the link {'/'.join(parts)!r} to {target!r} leads out of it")

    def _make_directories(self, parts: Parts) -> None:
        if parts in self.directories:
            return
        for length in range(1, len(parts) + 1):
            path = parts[:length]
            if path in self.files:
                raise refused(self.archive, f"{'/'.join(parts)!r} goes through something that is no directory")
            if path not in self.directories:
                os.mkdir(os.path.join(self.root, *path), 0o755)
                os.chmod(os.path.join(self.root, *path), 0o755)
                self.directories[path] = EARLIEST

    def _write(self, parts: Parts, member: Member) -> None:
        assert member.data is not None, member.name
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(os.path.join(self.root, *parts), flags, 0o600)
        try:
            while chunk := member.data.read(CHUNK):
                self.left -= len(chunk)
                if self.left < 0:
                    raise refused(self.archive, "it unpacks to far more than a source archive should (a bomb)")
                rest = memoryview(chunk)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            os.fchmod(descriptor, 0o755 if member.executable else 0o644)
            self._set_time(descriptor, member.mtime)
        finally:
            os.close(descriptor)

    def _link(self, parts: Parts, member: Member) -> None:
        target = _safe_parts(self.archive, member.target, self.limits)
        if target not in self.files or target in self.links or target == parts:
            raise refused(
                self.archive, f"the hard link {member.name!r} to {member.target!r} leads to no file before it"
            )
        os.link(os.path.join(self.root, *target), os.path.join(self.root, *parts))

    def _set_time(self, path: str | int, mtime: int) -> None:
        time = min(max(mtime, EARLIEST), self.now)
        os.utime(path, (time, time))

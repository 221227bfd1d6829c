"""Files that appear whole or not at all: write beside, fsync, rename."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pybuilder import interruption
from pybuilder.errors import LockedError, StateError

CHUNK = 1 << 20
_LONGEST_PAUSE = 0.05  # seconds
_LONG = 1024  # characters of a path, far from what the system takes


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a read-only file system, missing rights and a file in the way into an error with a cure.

    Args:
        path: What is about to be written.

    Raises:
        StateError: Instead of the OSError that has one of these causes.
    """
    cures = {
        errno.ENOSPC: ("the disk is full", "free some space (`pybuild gc`), then run the same command again"),
        errno.EDQUOT: ("the disk quota is used up", "free some space, then run the same command again"),
        errno.EROFS: (
            "the file system is read-only",
            "mount it writable, or choose another place with --state",
        ),
        errno.EACCES: (
            "permission denied",
            "run as the owner of this directory, or choose another with --state",
        ),
        errno.EPERM: (
            "permission denied",
            "run as the owner of this directory, or choose another with --state",
        ),
        errno.EIO: ("the disk can't be read", "check the disk; what is whole stays usable"),
        errno.ENOTDIR: ("a file stands where a directory belongs", "move it away, then run the same command again"),
        errno.EEXIST: ("a file stands where a directory belongs", "move it away, then run the same command again"),
        errno.EISDIR: ("a directory stands where a file belongs", "move it away, then run the same command again"),
        errno.ELOOP: ("a link leads to itself", "remove it, then run the same command again"),
    }
    try:
        yield
    except OSError as error:
        if error.errno not in cures:
            raise
        what, cure = cures[error.errno]
        raise StateError(what, where=str(error.filename or path), cure=cure) from error


def sha256_file(path: Path) -> str:
    """The sha256 of a file's bytes, in lower-case hex; reads in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fsync_dir(path: Path | str) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_filesystem(path: Path) -> None:
    """Make durable whatever was written to the file system that a directory is on (syncfs(2)).

    For trees of many files: the disk is asked once, not for each of them, which takes a hundred times as long.

    Raises:
        OSError: Something could not be written.
    """
    import ctypes

    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_writer(path: Path, *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """A stream whose bytes become the file ``path`` if, and only if, the block ends without an exception."""
    # By strings: making paths took longer than asking the system, and this is done a thousand times in a run.
    target = str(path)
    directory, name = os.path.split(target)
    directory = directory or "."
    os.makedirs(directory, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name[:80]}.", suffix=".tmp", dir=directory)
    try:
        with open(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(temporary, target)
        fsync_dir(directory)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a small file whole or not at all."""
    with atomic_writer(path, mode=mode) as stream:
        stream.write(data)


def write_named(path: Path, data: bytes) -> None:
    """Write a file that a person has named: links are followed, and what is no file, as a device, stays what it is."""
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            stream.write(data)
    else:
        write_atomic(path.resolve(), data)


@contextlib.contextmanager
def atomic_dir(path: Path) -> Iterator[Path]:
    """A fresh directory beside ``path`` that is renamed to it when the block ends well, and removed when not.

    Content-addressed, so when somebody else was first, theirs stays and ours is dropped.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name[:80]}.", suffix=".tmp", dir=path.parent))
    temporary.chmod(0o755)
    try:
        yield temporary
        fsync_dir(temporary)
        try:
            temporary.rename(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        fsync_dir(path.parent)
    finally:
        if temporary.exists():
            remove_tree(temporary)


def remove_tree(path: Path) -> None:
    """Remove whatever is there, also a tree that a build has left without rights and deeper than any path may be long.

    The name is free at once. Each directory is then made ours and moved up before it is emptied, so that neither depth
    nor a directory's own mode is in the way.
    """
    if (heap := set_aside(path)) is not None:
        remove_heap(heap)


def set_aside(path: Path) -> Path | None:
    """The first and short part of ``remove_tree``: a heap for ``remove_heap``, or None where nothing is left to do."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return None
    try:
        heap = _make_heap(path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        # A full disk has no room for it; what goes without one makes room.
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return None
        heap = _make_heap(path)
    # Two runs may clear away after the same dead one.
    with contextlib.suppress(FileNotFoundError):
        _move_to(str(heap), str(path), "0")
    return heap


def remove_heap(heap: Path) -> None:
    """Remove what ``set_aside`` has set aside; by strings, since making paths took longer than removing files."""
    top = str(heap)
    # Those to look into, and those looked into, which are empty once all that were found later are gone.
    pending = [f"{top}/{name}" for name in os.listdir(top)]
    emptied: list[str] = []
    names = itertools.count(1)
    while pending:
        directory = pending.pop()
        emptied.append(directory)
        # Whatever somebody has made of it: what is in it can be reached and removed now.
        os.chmod(directory, 0o700)
        with os.scandir(directory) as entries:
            found = list(entries)
        for entry in found:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
            elif len(entry.path) < _LONG:
                pending.append(entry.path)
            else:
                pending.append(_move_to(top, entry.path, str(next(names))))
    for directory in reversed(emptied):
        os.rmdir(directory)
    os.rmdir(top)


def _make_heap(path: Path) -> Path:
    # With the number of this process, since others take for left over what nobody works with.
    return Path(tempfile.mkdtemp(prefix=f".{path.name[:80]}.new-{os.getpid()}.", suffix=".tmp", dir=path.parent))


def _move_to(heap: str, directory: str, name: str) -> str:
    # Moving a directory rewrites its "..", for which it must be writable.
    os.chmod(directory, 0o700)
    moved = f"{heap}/{name}"
    os.rename(directory, moved)
    return moved


@contextlib.contextmanager
def file_lock(path: Path, *, wait: bool = True, shared: bool = False, what: str = "") -> Iterator[None]:
    """Hold an advisory lock; the kernel drops it when the process dies, however it dies.

    Args:
        path: The lock file, made where it is missing.
        wait: Whether to wait for whoever holds it.
        shared: Whether others may hold it at the same time, shared as well.
        what: What to say when somebody else holds it.

    Raises:
        LockedError: ``wait`` is false and another process holds it.
        StateError: The disk is full or can't be written.
    """
    descriptor = _locked(path, wait=wait, shared=shared, what=what)
    try:
        yield
    finally:
        os.close(descriptor)


def remove_lock(path: Path) -> bool:
    """Remove a lock file unless somebody holds it, beside whoever opens it meanwhile; whether it is gone."""
    try:
        with file_lock(path, wait=False):
            path.unlink(missing_ok=True)
            return True
    except LockedError:
        return False


def is_locked(path: Path) -> bool:
    """Whether somebody holds a lock file."""
    try:
        with file_lock(path, wait=False):
            return False
    except LockedError:
        return True


def _locked(path: Path, *, wait: bool, shared: bool, what: str) -> int:
    """The descriptor of a lock file, locked."""
    while True:
        with disk_errors(path):
            descriptor = _opened_lock(path)
        try:
            _lock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, wait=wait)
            # Whoever removed it while we waited left us one that nobody else will ever open.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise LockedError(
                what or "another run holds the lock", where=str(path), cure="wait until it has ended"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _opened_lock(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o644)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o644)


def _lock(descriptor: int, how: int, *, wait: bool) -> None:
    """Lock an open file; a thread that may be interrupted looks again and again, since no signal would wake it."""
    if not wait or interruption.patience() is None:
        fcntl.flock(descriptor, how | (0 if wait else fcntl.LOCK_NB))
        return
    pause = 0.001
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            interruption.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            return

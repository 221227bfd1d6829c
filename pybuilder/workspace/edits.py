"""Changes of a workspace's files: whole or not at all, and only of what is still as it was read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pybuilder.errors import ConfigError
from pybuilder.files import disk_errors, write_atomic


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What becomes of one file.

    Attributes:
        file: Its path below the workspace, with slashes.
        before: Its bytes when the change was thought out; None where there was no such file.
        after: Its bytes from now on; None where there is to be no such file.
    """

    file: str
    before: bytes | None
    after: bytes | None


def changed(root: Path, changes: Iterable[Change]) -> tuple[str, ...]:
    """The files that are neither as they were nor as they are to be: somebody has changed them meanwhile.

    Args:
        root: The workspace.
        changes: What is to become of them.
    """
    return tuple(each.file for each in changes if content(root / each.file) not in (each.before, each.after))


def write(root: Path, changes: Sequence[Change], *, recheck: Callable[[], None] = lambda: None) -> None:
    """Make changes, in the order given; each file is whole at every moment. What is as it is to be stays untouched.

    Args:
        root: The workspace.
        changes: What is to become of its files.
        recheck: Called while nobody else can write; where it raises, nothing is written.

    Raises:
        ConfigError: Somebody has changed a file meanwhile; nothing has been written.
        StateError: The disk doesn't let us; everything is as it was.
    """
    with disk_errors(root):
        (root / "specs").mkdir(exist_ok=True)
        with locked(root / "specs"):
            recheck()
            if others := changed(root, changes):
                raise ConfigError(
                    f"{others[0]} was changed by somebody else meanwhile",
                    where=str(root / others[0]),
                    cure="run the same command again",
                )
            done: list[Change] = []
            try:
                for each in changes:
                    done.append(each)
                    _set(root / each.file, each.after)
            except BaseException:
                _undo(root, done)
                raise


def undo(root: Path, changes: Sequence[Change]) -> None:
    """Make files what they were before changes that have just been made, in the opposite order.

    Raises:
        StateError: The disk doesn't let us.
    """
    with disk_errors(root), locked(root / "specs"):
        _undo(root, changes)


def _undo(root: Path, changes: Sequence[Change]) -> None:
    for each in reversed(changes):
        _set(root / each.file, each.before)


def clear_unfinished(root: Path, changes: Iterable[Change]) -> None:
    """Remove what a killed run has left of files that it was about to write."""
    with disk_errors(root), locked(root / "specs"):
        for path in [root / each.file for each in changes]:
            # As ``files.atomic_writer`` names them.
            name = re.compile(rf"\.{re.escape(path.name[:80])}\.\w{{8}}\.tmp")
            for stray in path.parent.iterdir() if path.parent.is_dir() else ():
                if name.fullmatch(stray.name):
                    stray.unlink(missing_ok=True)


def content(path: Path) -> bytes | None:
    """The bytes of a file, or None where there is none."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _set(path: Path, data: bytes | None) -> None:
    if content(path) == data:
        return
    if data is None:
        path.unlink()
        return
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    write_atomic(path, data, mode=mode)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a lock on a directory itself: a lock file would show up in the packager's git status."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

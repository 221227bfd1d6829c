"""Taking things away from a state, so that nobody who is at work loses what they have found, and whoever dies in the
middle has lost nothing but space.

What goes is first renamed to a name that nobody looks for, which happens at once, and then removed.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from pybuilder.files import remove_tree
from pybuilder.layout import Layout
from pybuilder.usage import last_use, taking

# So many are renamed while whoever looks for something waits: some milliseconds.
_BATCH = 200
# Removing a file waits for the disk, most of the time.
_AT_ONCE = 8
_ASIDE = r"[0-9a-f]{24}\.gc"
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """Something that can be taken away.

    Attributes:
        kind: What it is, in the plural.
        path: Where it is.
        marked: What is marked when it is used: itself, or the directory that it is in.
    """

    kind: str
    path: Path
    marked: Path


@dataclass(slots=True)
class Space:
    """The bytes that become free while things go, one after the other: of files with several names, with the last."""

    _names: dict[tuple[int, int], int] = field(default_factory=dict)

    def freed_with(self, path: Path) -> int:
        """The bytes that go with a file or directory, when all that was asked about before it has gone."""
        return sum(self._freed(facts) for facts in _files(str(path)))

    def _freed(self, facts: os.stat_result) -> int:
        if facts.st_nlink > 1:
            file = (facts.st_dev, facts.st_ino)
            self._names[file] = left = self._names.get(file, facts.st_nlink) - 1
            if left:
                return 0
        return facts.st_blocks * 512


def used_by(paths: Iterable[Path]) -> int:
    """The bytes of everything below some paths, each file once, however many names it has there."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for facts in (facts for path in paths for facts in _files(str(path))):
        file = (facts.st_dev, facts.st_ino)
        if facts.st_nlink == 1 or file not in seen:
            total += facts.st_blocks * 512
            if facts.st_nlink > 1:
                seen.add(file)
    return total


def _files(path: str) -> Iterator[os.stat_result]:
    """Of everything below a path that is no directory, or of the path itself; what goes meanwhile is left out."""
    pending = [path]
    while pending:
        directory = pending.pop()
        try:
            entries = os.scandir(directory)
        except NotADirectoryError:
            yield os.lstat(directory)
            continue
        except OSError:
            continue
        with entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                    continue
                with suppress(FileNotFoundError):
                    yield entry.stat(follow_symlinks=False)


def objects(layout: Layout, kind: str, name: str, *, suffix: str = "", needed: Collection[str] = ()) -> Iterator[Thing]:
    """Everything of a kind in the store that is filed under a digest.

    Args:
        layout: Where the store is.
        kind: What it is called.
        name: The name of its directory.
        suffix: What follows the digest.
        needed: The digests of those to be left out.
    """
    directory = layout.kind(name)
    for each in _listed(directory):
        digest = each.removesuffix(suffix)
        if digest not in needed and each == digest + suffix and _DIGEST.fullmatch(digest):
            path = directory / each
            yield Thing(kind=kind, path=path, marked=path)


def everything(kind: str, directory: Path, pattern: str = ".*") -> Iterator[Thing]:
    """Whatever is in a directory under a name of a pattern."""
    for each in _listed(directory):
        if re.fullmatch(pattern, each):
            path = directory / each
            yield Thing(kind=kind, path=path, marked=path)


def unfinished(directory: Path, *, name: str = ".*", below: bool = False) -> Iterator[Thing]:
    """What was to become something else in a directory, by `pybuilder.files`, or is being removed.

    Args:
        directory: The directory.
        name: A pattern for what it was to become.
        below: Whether the directories in it are looked into as well.
    """
    pattern = re.compile(rf"\.({name}\..*|{_ASIDE})\.tmp")
    for each in _listed(directory):
        for found in (each, *(f"{each}/{inner}" for inner in (_listed(f"{directory}/{each}") if below else ()))):
            if pattern.fullmatch(os.path.basename(found)):
                path = directory / found
                yield Thing(kind="unfinished", path=path, marked=path)


def _listed(directory: str | Path) -> list[str]:
    # Names, not Path objects, which take longer to make than all the rest.
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def unused_since(thing: Thing, moment: int) -> int | None:
    """When something was last used, if it is there and that was before a moment; in nanoseconds since 1970."""
    try:
        mark = last_use(thing.marked)
    except FileNotFoundError:
        return None
    return mark if mark < moment else None


def take(layout: Layout, things: Iterable[Thing], before: int, space: Space) -> Iterator[tuple[Thing, int]]:
    """Remove things, those excepted that somebody has used meanwhile.

    Args:
        layout: Where they are.
        things: What nobody needs.
        before: When the oldest run at work began; see ``usage.horizon``.
        space: Counts the bytes.

    Returns:
        What has been removed, and the bytes that became free.
    """
    pending = iter(things)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while batch := list(islice(pending, _BATCH)):
            with taking(layout):
                aside = [(each, path) for each in batch if (path := _aside(each, before)) is not None]
            freed = [space.freed_with(path) for _, path in aside]
            list(pool.map(_remove, [path for _, path in aside]))
            yield from zip((each for each, _ in aside), freed, strict=True)


def _aside(thing: Thing, before: int) -> Path | None:
    """Rename something to a name that nobody looks for, unless it was used; None then."""
    mark = unused_since(thing, before)
    if mark is None:
        return None
    # Beside what is marked, which would count as used when something goes from it later on.
    aside = thing.marked.with_name(f".{secrets.token_hex(12)}.gc.tmp")
    try:
        thing.path.rename(aside)
    except FileNotFoundError:
        return None
    if thing.path != thing.marked:
        os.utime(thing.marked, ns=(mark, mark))
    return aside


def _remove(path: Path) -> None:
    try:
        # What most things are: a directory with a file in it. What a link leads to is not ours.
        for name in () if path.is_symlink() else os.listdir(path):
            os.unlink(path / name)
        path.rmdir()
    except OSError:
        remove_tree(path)

"""What nothing needs any more goes.

Needed is whatever is published or was begun to be; what somebody told us to keep; the last attempts at each package;
what the workspace locks and pins; each with all that it was made from, to the end; and what a run at work has found or
made (see ``usage``). Records, with their logs, and what is in an index are never removed.

It may end at any moment. What goes is not needed, so nothing that stays is made of it; a database that still names it
finds out that it is gone, and builds. What was renamed and not yet removed goes the next time.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from pybuilder.files import disk_errors, file_lock, is_locked, remove_lock
from pybuilder.gc.facts import Facts, Named
from pybuilder.layout import Layout
from pybuilder.reachability import Needed
from pybuilder.rpm.roots import Root, Roots
from pybuilder.stages.reap import reap
from pybuilder.stages.recover import recover
from pybuilder.state import State
from pybuilder.sweep import Space, Thing, everything, objects, take, unfinished, unused_since, used_by
from pybuilder.usage import at_work, horizon
from pybuilder.work import strays

_ROOTS, _WORK = "roots", "work"


# Bytes below which a database may not even be read.
_ROOM = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """What gc asks.

    Attributes:
        state: Says what was built and published.
        roots: The roots of RPMs.
        clear: Ends what a sandbox left that had a work directory.
    """

    state: State
    roots: Roots
    clear: Callable[[Path], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What went, or would go.

    Attributes:
        count: Things by kind.
        freed: Bytes by kind.
        size: The bytes that are left of what gc looks after; None where nobody asked for a greatest size.
        unread: Records of what is needed that can't be read; what these were made from is not known, so no payload,
            source or RPM went.
    """

    count: Mapping[str, int]
    freed: Mapping[str, int]
    size: int | None
    unread: tuple[str, ...]


@dataclass(kw_only=True, slots=True)
class Collector:
    """One pass over a state.

    Attributes:
        layout: Where things lie.
        ground: Opens the database; given whether the disk is full.
        named: What the workspace names.
        keep: How many of the last attempts at a package are needed.
        dry_run: Whether nothing is to be removed.
    """

    layout: Layout
    ground: Callable[[bool], AbstractContextManager[Ground]]
    named: Named
    keep: int
    dry_run: bool
    _before: int = 0
    _space: Space = field(default_factory=Space)
    _count: Counter[str] = field(default_factory=Counter)
    _freed: Counter[str] = field(default_factory=Counter)
    _gone: set[Path] = field(default_factory=set)

    def run(self, max_size: int | None) -> Report:
        """Remove what nothing needs; then, while that is too much, what can be made or fetched again.

        Args:
            max_size: The greatest size in bytes of what gc looks after; None for any.

        Raises:
            LockedError: Another gc is at work.
            StateError: The disk can't be written.
        """
        one_at_a_time = file_lock(self.layout.lock("gc"), wait=False, what="another gc is at work")
        with disk_errors(self.layout.root), one_at_a_time, at_work(self.layout):
            self._before = horizon(self.layout)
            # First what nobody need be asked about: where the disk is full, it makes room for asking.
            self._take(self._left_over())
            self._take(self._environments())
            full = shutil.disk_usage(self.layout.root).free < _ROOM
            if full:
                self._take(self._trees())
            with self.ground(full) as ground:
                size, unread = self._ask(ground, max_size)
            self._take_locks()
        return Report(count=self._count, freed=self._freed, size=size, unread=unread)

    def _ask(self, ground: Ground, max_size: int | None) -> tuple[int | None, tuple[str, ...]]:
        """Find out what is needed, and take the rest; the size that is left, and the records that can't be read."""
        self._clear_work(ground)
        recover(self.layout, ground.state)
        facts = Facts(self.layout, ground.state)
        must, should = facts.needed(self.keep)
        if not facts.unread:
            self._take(self._files_but(must | should | self.named.needed))
        self._take(self._repodata(self.named.repomds))
        self._take_roots(ground.roots, (root for root in ground.roots.list() if not self._is_locked(root)))
        size = None if max_size is None else self._shrink(ground.roots, max_size, None if facts.unread else must)
        return size, tuple(facts.unread)

    # What there is.

    def _left_over(self) -> Iterator[Thing]:
        """What runs left that ended somehow, and what was set aside."""
        kinds = ("sources", "rpms", "envs", "repodata", "damaged")
        yield from unfinished(self.layout.root, name=re.escape(self.layout.owner.name))
        for directory in (self.layout.plans, *map(self.layout.kind, kinds)):
            yield from unfinished(directory)
        yield from unfinished(self.layout.kind("payloads"), below=True)
        # By their names, since a person may take a directory of theirs for a state.
        yield from everything("downloads", self.layout.downloads, "[0-9a-f]{64}.*")
        yield from everything("damaged", self.layout.damaged)
        yield from objects(self.layout, "logs of roots that failed", "roots", suffix=".log")

    def _spare(self, roots: Iterable[Root], must: Needed | None) -> Iterator[Thing]:
        """What can be made or fetched again, and what is kept only so that it need not be."""
        yield from self._repodata(())
        yield from map(_thing, roots)
        if self.layout.uv_cache.exists():
            yield Thing(kind="uv-cache", path=self.layout.uv_cache, marked=self.layout.uv_cache)
        yield from self._trees()
        if must is not None:
            yield from self._files_but(must)

    def _files_but(self, needed: Needed) -> Iterator[Thing]:
        """Payloads, sources and RPMs, what something is made of after what is made of it."""
        for kind, kept in (("payloads", needed.payloads), ("sources", needed.sources), ("rpms", needed.rpms)):
            yield from objects(self.layout, kind, kind, needed=kept)

    def _environments(self) -> Iterator[Thing]:
        """Build environments, which are made again in no time."""
        return objects(self.layout, "environments", "envs")

    def _trees(self) -> Iterator[Thing]:
        """Payloads unpacked for environments."""
        for payload in objects(self.layout, "payloads", "payloads"):
            for tree in payload.path.glob("tree-*"):
                yield Thing(kind="trees", path=tree, marked=payload.path)

    def _repodata(self, needed: Collection[str]) -> Iterator[Thing]:
        return objects(self.layout, "repodata", "repodata", suffix=".solv", needed=needed)

    def _is_locked(self, root: Root) -> bool:
        return all(sha256 in self.named.needed.rpms for _, sha256 in root.rpms)

    # Taking it away, or counting what would go.

    def _take(self, things: Iterable[Thing]) -> None:
        if self.dry_run:
            for each in things:
                if unused_since(each, self._before) is not None:
                    self._note(each.kind, each.path, self._space.freed_with(each.path))
            return
        for each, freed in take(self.layout, things, self._before, self._space):
            self._note(each.kind, each.path, freed)

    def _take_roots(self, roots: Roots, some: Iterable[Root]) -> None:
        for root in some:
            if unused_since(_thing(root), self._before) is None:
                continue
            freed = self._space.freed_with(root.directory) if self.dry_run else roots.remove(root, self._space)
            if freed is not None:
                self._note(_ROOTS, root.directory, freed)

    def _clear_work(self, ground: Ground) -> None:
        """Remove what killed runs left of what they were at."""
        for work in strays(self.layout):
            self._note(_WORK, work, self._space.freed_with(work))
        for root in unfinished(self.layout.roots):
            if unused_since(root, self._before) is not None:
                self._note(root.kind, root.path, self._space.freed_with(root.path))
        if not self.dry_run:
            ground.roots.sweep()
            reap(self.layout, ground.state, ground.clear)

    def _take_locks(self) -> None:
        for path in sorted(self.layout.locks.glob(self.layout.lock("*").name)):
            if (not is_locked(path)) if self.dry_run else remove_lock(path):
                self._note("locks", path, 0)

    def _shrink(self, roots: Roots, max_size: int, must: Needed | None) -> int:
        """Remove what is spare, what was used least recently first, until the rest is small enough; its size.

        Args:
            roots: The roots of RPMs.
            max_size: Bytes.
            must: What must stay; None where nobody knows.
        """
        size = used_by((self.layout.store, self.layout.downloads, self.layout.uv_cache))
        size -= (self._freed.total() - self._freed[_WORK]) if self.dry_run else 0
        known = {root.directory: root for root in roots.list()}
        spare = [each for each in self._spare(known.values(), must) if not {each.path, each.marked} & self._gone]
        aged = [(mark, each) for each in spare if (mark := unused_since(each, self._before)) is not None]
        oldest = deque(each for _, each in sorted(aged, key=lambda pair: pair[0]))
        # Again, where somebody has begun to use some of it.
        while oldest and size > max_size:
            due, before = self._enough(oldest, size - max_size), self._freed.total()
            self._take_roots(roots, [known[each.path] for each in due if each.kind == _ROOTS])
            self._take(each for each in due if each.kind != _ROOTS)
            size -= self._freed.total() - before
        return size

    def _enough(self, oldest: deque[Thing], excess: int) -> list[Thing]:
        """So many of the first as free so many bytes; many at once go in a fraction of the time."""
        space, due = deepcopy(self._space), []
        while oldest and excess > 0:
            due.append(oldest.popleft())
            excess -= space.freed_with(due[-1].path)
        return due

    def _note(self, kind: str, path: Path, freed: int) -> None:
        self._count[kind] += 1
        self._freed[kind] += freed
        self._gone.add(path)


def _thing(root: Root) -> Thing:
    return Thing(kind=_ROOTS, path=root.directory, marked=root.marked)

"""The roots of one state: directory trees installed from locked RPMs, each made once, addressed by what is in it.

The RPMs that every build of a buildroot has make a *base*; what a spec wants besides is a *layer*, a root of its own
whose files are the base's, hard-linked, wherever the layer has no other.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pybuilder import interruption
from pybuilder.clock import now
from pybuilder.errors import EngineError, LockedError, PybuildError, StateError
from pybuilder.files import atomic_dir, disk_errors, file_lock, remove_tree, write_atomic
from pybuilder.layout import Layout
from pybuilder.lockfile import Rpm
from pybuilder.plan import canonical_json, rpm_root_digest
from pybuilder.processes import run
from pybuilder.rpm.faults import fault
from pybuilder.rpm.install import Installer, Ran, Transaction
from pybuilder.rpm.layers import flatten
from pybuilder.store import Store
from pybuilder.sweep import Space

_TREE, _DATABASE, _LIST = "tree", "rpmdb", "root.json"
_UPPER, _OVERLAY, _LOG, _STARTED = "upper", "overlay", "log", "started"
_UNFINISHED = re.compile(r"\.+([0-9a-f]{64})\..*\.tmp")


@dataclass(frozen=True, kw_only=True, slots=True)
class Root:
    """A root in the store.

    Attributes:
        digest: Of its RPMs and macros.
        base: The digest of the root that it was made as a layer of; empty if it is none.
        rpms: Name and EVRA, and the file's sha256, of every RPM, sorted.
        directory: Where it lies.
    """

    digest: str
    base: str
    rpms: tuple[tuple[str, str], ...]
    directory: Path

    @property
    def tree(self) -> Path:
        """The tree; nothing may write to it. Its files may be those of other roots as well."""
        return self.directory / _TREE

    @property
    def marked(self) -> Path:
        """The file whose time is that of the last use."""
        return self.directory / _LIST

    @property
    def last_use(self) -> datetime:
        """When a build last began or ended in it."""
        return datetime.fromtimestamp(self.marked.stat().st_mtime, UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """What was removed: the digests of roots, and the bytes that became free."""

    digests: tuple[str, ...]
    freed: int


def root_digest(rpms: Iterable[Rpm], macros: Mapping[str, str]) -> str:
    """The address of the root that consists of these RPMs, whichever way it is made."""
    return rpm_root_digest(_pairs(rpms), macros)


def _pairs(rpms: Iterable[Rpm]) -> list[tuple[str, str]]:
    return sorted({(rpm.nevra, rpm.sha256) for rpm in rpms})


@dataclass(frozen=True, kw_only=True, slots=True)
class Roots:
    """The roots of one state; safe to use from several processes and threads at once.

    Attributes:
        layout: The state's paths.
        store: Has the RPMs.
        installer: Runs rpm.
        fetch: Gets RPMs into the store and gives their files by sha256, such as ``Fetcher.fetch_all``; asked only when
            a root has to be made and an RPM is missing.
    """

    layout: Layout
    store: Store
    installer: Installer
    fetch: Callable[[Iterable[Rpm]], Mapping[str, Path]]

    @contextmanager
    def use(self, base: Sequence[Rpm], rpms: Sequence[Rpm], macros: Mapping[str, str]) -> Iterator[Root]:
        """A root, prepared, that is not pruned until the block is left; see ``prepare``."""
        name = root_digest((*base, *rpms), macros)
        with ExitStack() as held:
            with disk_errors(self.layout.locks):
                held.enter_context(file_lock(self._in_use(name), shared=True))
            root = self.prepare(base, rpms, macros)
            os.utime(root.marked)
            try:
                yield root
            finally:
                os.utime(root.marked)

    def prepare(self, base: Sequence[Rpm], rpms: Sequence[Rpm], macros: Mapping[str, str]) -> Root:
        """The root of some RPMs, made unless it is there.

        Args:
            base: The RPMs in every build of the buildroot, a closed set.
            rpms: What this build needs, a closed set. What is not in the base makes a layer over it.
            macros: RPM macros by name.

        Raises:
            EngineError: A scriptlet fails, the RPMs don't fit together, or rpm can't be run here.
            FetchError: An RPM is in the store no more, and can't be fetched either.
            StateError: The disk is full or can't be written.
        """
        name = root_digest((*base, *rpms), macros)
        if found := self._find(name):
            return found
        with disk_errors(self.layout.roots):
            self.sweep()
            with file_lock(self._making(name)):
                # Somebody else may have made it while we waited.
                return self._find(name) or self._make(name, base, rpms, macros)

    def list(self) -> tuple[Root, ...]:
        """All roots, the one used last first."""
        if not self.layout.roots.is_dir():
            return ()
        names = [path.name for path in self.layout.roots.iterdir() if re.fullmatch("[0-9a-f]{64}", path.name)]
        found = [root for root in map(self._find, names) if root]
        return tuple(sorted(found, key=lambda root: root.last_use, reverse=True))

    def prune(self, unused_for: timedelta | None = None) -> Pruned:
        """Remove roots that no build uses.

        Args:
            unused_for: How long they must not have been used; None takes all.
        """
        latest = now() - unused_for if unused_for is not None else None
        self.sweep()
        old = [root for root in self.list() if latest is None or root.last_use <= latest]
        space = Space()
        freed = {root.digest: bytes_ for root in old if (bytes_ := self.remove(root, space)) is not None}
        return Pruned(digests=tuple(sorted(freed)), freed=sum(freed.values()))

    def remove(self, root: Root, space: Space) -> int | None:
        """Remove a root unless it is in use: the bytes that become free, or None."""
        try:
            with (
                disk_errors(self.layout.roots),
                file_lock(self._in_use(root.digest), wait=False),
                file_lock(self._making(root.digest), wait=False),
            ):
                freed = space.freed_with(root.directory)
                # No root any more at once, whatever becomes of the rest of this.
                doomed = root.directory.with_name(f".{root.digest}.{os.getpid()}.tmp")
                remove_tree(root.directory.rename(doomed))
                return freed
        except LockedError:
            return None

    def sweep(self) -> None:
        """Remove what runs have left that were killed; those that live hold the lock of what they make."""
        for path in self.layout.roots.glob(".*.tmp"):
            found = _UNFINISHED.fullmatch(path.name)
            if found:
                with suppress(LockedError, EngineError, OSError), file_lock(self._making(found[1]), wait=False):
                    # rpm in a container makes files of the user's subordinate ids, and gives them up at its end only.
                    self.installer.reclaim(path)
                    remove_tree(path)

    def _find(self, name: str) -> Root | None:
        directory = self.layout.root_of(name)
        try:
            listed = json.loads((directory / _LIST).read_bytes())
            rpms = tuple((nevra, sha256) for nevra, sha256 in listed["rpms"])
            return Root(digest=name, base=listed["base"], rpms=rpms, directory=directory)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(
                f"the list of a root's RPMs is damaged: {error}",
                where=str(directory / _LIST),
                cure=f"remove {directory}; it will be made again",
            ) from error

    def _make(self, name: str, base: Sequence[Rpm], rpms: Sequence[Rpm], macros: Mapping[str, str]) -> Root:
        known = {rpm.sha256 for rpm in base}
        added = [rpm for rpm in rpms if rpm.sha256 not in known]
        if not added:
            self._install(name, None, base, macros)
        else:
            with self.use(base, (), macros) as below:
                self._install(name, below, added, macros)
        found = self._find(name)
        assert found is not None, name
        return found

    def _install(self, name: str, below: Root | None, rpms: Sequence[Rpm], macros: Mapping[str, str]) -> None:
        directory, kept = self.layout.root_of(name), self.layout.root_log(name)
        files = self._files(rpms)
        with atomic_dir(directory) as work:
            for each in (_TREE, _DATABASE, *((_UPPER, _OVERLAY) if below else ())):
                (work / each).mkdir()
            if below:
                shutil.copytree(below.directory / _DATABASE, work / _DATABASE, dirs_exist_ok=True)
            transaction = Transaction(
                work=work, base=below.tree if below else None, store=self.layout.rpms, rpms=files, macros=macros
            )
            self._run(transaction, kept)
            pairs = sorted({*_pairs(rpms), *(below.rpms if below else ())})
            _settle(work, below)
            listed = {"base": below.digest if below else "", "macros": dict(macros), "rpms": pairs}
            write_atomic(work / _LIST, canonical_json(listed))
            # One call for thousands of files: a power failure after the rename must not leave a root of empty ones.
            run(["sync", "--file-system", str(work)])
            # What was not finished by us, who rename it whole, is not a root.
            if directory.exists():
                remove_tree(directory)
        kept.unlink(missing_ok=True)

    def _run(self, transaction: Transaction, kept: Path) -> None:
        """Run rpm; when that fails, keep what it said."""
        log = transaction.work / _LOG
        started = time.monotonic()
        ran = self.installer.run(transaction)
        if ran.status and time.monotonic() - started >= self.installer.time_limit:
            problem: PybuildError | None = _too_long(self.installer.time_limit, kept)
        else:
            problem = fault(_said(ran, log), status=ran.status, log=str(kept))
        if problem:
            with suppress(FileNotFoundError):
                log.replace(kept)
            raise problem

    def _files(self, rpms: Sequence[Rpm]) -> Sequence[Path]:
        """The RPMs' files, below the store's directory; each has just been found to be the one that is locked."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            # rpm would see damage too late, or not at all.
            list(pool.map(interruption.carried(self.store.sound_rpm), [rpm.sha256 for rpm in rpms]))
        files = self.fetch(rpms)
        return [files[rpm.sha256].relative_to(self.layout.rpms) for rpm in rpms]

    def _making(self, name: str) -> Path:
        return self.layout.lock(f"root-{name}")

    def _in_use(self, name: str) -> Path:
        return self.layout.lock(f"root-{name}-use")


def _settle(work: Path, below: Root | None) -> None:
    """Turn the work directory of a transaction that went well into a root."""
    if below:
        flatten(str(below.tree), str(work / _UPPER), str(work / _TREE))
        remove_tree(work / _UPPER)
        remove_tree(work / _OVERLAY)
    for name in (_LOG, _STARTED):
        (work / name).unlink()


def _said(ran: Ran, log: Path) -> Iterator[str]:
    yield from ran.said.splitlines()
    with suppress(FileNotFoundError), log.open(errors="replace") as lines:
        yield from lines


def _too_long(limit: float, log: Path) -> EngineError:
    what = f"rpm was still at work after {limit:.0f} s, and was ended"
    return EngineError(what, where=str(log), cure=f"read {log}: a scriptlet may wait for what never comes")

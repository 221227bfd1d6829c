"""Locking a buildroot: from its definition, the specs' requests and the last lock to the next one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pybuilder.buildroot import Buildroot
from pybuilder.errors import UsageError
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.lock_exchange import Export, Listed
from pybuilder.lockfile import Lock, Rpm
from pybuilder.rpm import exchange, headers
from pybuilder.rpm.packages import Fetcher, verifier
from pybuilder.rpm.repositories import Found, advisories, find, load
from pybuilder.rpm.requests import Request
from pybuilder.rpm.solve import Solution, Universe
from pybuilder.rpm.updateinfo import by_name, newest_advisory
from pybuilder.store import Store
from pybuilder.toml import nearest

EVERYTHING = "*"


@dataclass(frozen=True, kw_only=True, slots=True)
class Locked:
    """A lock that was just made, and what it was made of.

    Attributes:
        lock: The lock.
        fetcher: Has its RPMs in the store, and the repositories as they were found.
        gone: By sha256, the RPMs that none of these lists any more.
    """

    lock: Lock
    fetcher: Fetcher
    gone: frozenset[str]

    def exports(self) -> tuple[Export, ...]:
        """The RPMs as other tools want to know of them."""
        return exchange.exports(self.lock, self.gone, self.fetcher)


@dataclass(frozen=True, kw_only=True, slots=True)
class Locker:
    """Makes locks.

    Attributes:
        layout: The state's paths.
        store: Where RPMs go.
        client: Fetches.
        home: The directory of the definitions, below which the keys are.
        report: Told, in a few words, what takes a while.
    """

    layout: Layout
    store: Store
    client: Client
    home: Path
    report: Callable[[str], None]

    def lock(
        self,
        buildroot: Buildroot,
        requests: Sequence[Request],
        *,
        old: Lock | None,
        update: Collection[str] = (),
        listed: Collection[Listed] = (),
    ) -> Locked:
        """The lock that answers all requests, every RPM of it in the store and its signature verified.

        Args:
            buildroot: The definition.
            requests: What must be answered.
            old: The lock so far, whose RPMs stay where they are needed.
            update: The RPMs that may move, by name, or ``*`` for all. Those of the same source RPM move with them,
                since they require each other's exact version.
            listed: RPMs of another tool's lock, which stay likewise as far as they are still to be had, those in
                ``update`` apart.

        Raises:
            UsageError: ``update`` names something that is not locked.
            ConfigError: Nothing provides what is asked for, locked RPMs must move for it, or a key can't be read.
            EngineError: The requests contradict each other.
            FetchError: A repository or an RPM can't be had, or is not to be trusted.
        """
        held, listed = _held(old, update), _free(listed, update)
        fetcher = self._fetcher(buildroot)
        universe = self._universe(buildroot, fetcher.repositories)
        for repo in universe.pool.repos:
            self.report(f"{repo.name}: {repo.nsolvables} packages at {fetcher.repositories[repo.name].mirrors[0]}")
        held |= exchange.still_there(listed, universe, fetcher, self.report)
        gone = _add_gone(held.values(), universe, fetcher)
        solution = universe.solve(requests, held)
        lock = Lock(
            buildroot=buildroot.name,
            arch=buildroot.arch,
            repositories={name: each.repomd for name, each in fetcher.repositories.items()},
            answers=solution.answers,
            rpms=self._advised(self._verified(solution, fetcher), old, fetcher),
        )
        return Locked(lock=lock, fetcher=fetcher, gone=gone)

    def _fetcher(self, buildroot: Buildroot) -> Fetcher:
        found = {name: find(name, each, self.client) for name, each in sorted(buildroot.repositories.items())}
        return Fetcher(layout=self.layout, store=self.store, client=self.client, repositories=found)

    def _universe(self, buildroot: Buildroot, repositories: Mapping[str, Found]) -> Universe:
        import solv

        pool = solv.Pool()
        pool.setarch(buildroot.arch)
        for each in repositories.values():
            load(pool, each, self.client, self.layout)
        return Universe(
            pool=pool,
            arch=buildroot.arch,
            excludes={name: each.exclude for name, each in buildroot.repositories.items()},
            place=f"buildroots/{buildroot.name}.toml",
        )

    def _verified(self, solution: Solution, fetcher: Fetcher) -> dict[str, Rpm]:
        # Damage here would look like a signature that doesn't hold.
        missing = [rpm for rpm in solution.rpms.values() if self.store.sound_rpm(rpm.sha256) is None]
        if missing:
            self.report(f"fetching {len(missing)} RPMs, {sum(rpm.size for rpm in missing) / 1e6:.0f} MB")
        files = fetcher.fetch_all(solution.rpms.values())
        check = {name: verifier(name, each.definition, self.home) for name, each in fetcher.repositories.items()}
        return {
            name: rpm.model_copy(update={"key": check[rpm.repository](files[rpm.sha256])})
            for name, rpm in solution.rpms.items()
        }

    def _advised(self, rpms: Mapping[str, Rpm], old: Lock | None, fetcher: Fetcher) -> dict[str, Rpm]:
        """The same RPMs, with what is known of their security."""
        repositories = fetcher.repositories.values()
        advised = by_name(a for each in repositories for a in advisories(each, rpms.keys(), self.client, self.layout))
        before = old.rpms if old else {}
        notes = {name: newest_advisory(rpm, before.get(name), advised.get(name, ())) for name, rpm in rpms.items()}
        return {name: rpm.model_copy(update={"security": notes[name]}) for name, rpm in rpms.items()}


def _add_gone(held: Iterable[Rpm], universe: Universe, fetcher: Fetcher) -> frozenset[str]:
    """Put those that no repository lists any more back among the candidates; which these are, by sha256."""
    repos = {repo.name: repo for repo in universe.pool.repos}
    gone = [rpm for rpm in held if rpm.repository in repos and not universe.has(rpm)]
    files = fetcher.fetch_all(gone)
    for rpm in gone:
        headers.add(repos[rpm.repository], files[rpm.sha256], rpm)
    return frozenset(files)


def _held(old: Lock | None, update: Collection[str]) -> dict[str, Rpm]:
    if old is None or EVERYTHING in update:
        return {}
    _check_names(update, old.rpms.keys(), f"the lock of {old.buildroot}")
    sources = {old.rpms[name].source for name in update}
    return {name: rpm for name, rpm in old.rpms.items() if rpm.source not in sources}


def _free(listed: Collection[Listed], update: Collection[str]) -> Collection[Listed]:
    if not listed or EVERYTHING in update:
        return ()
    _check_names(update, {each.name for each in listed}, "the imported lock")
    return [each for each in listed if each.name not in update]


def _check_names(update: Collection[str], known: Collection[str], lock: str) -> None:
    for name in update:
        if name not in known:
            raise UsageError(
                f"{name!r} is not in {lock}; {nearest(name, known)}",
                cure="name locked RPMs after --update, and the buildroot before it",
            )

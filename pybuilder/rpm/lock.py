"""Locking a buildroot: from its definition, the specs' requests and the last lock to the next one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybuilder.buildroot import Buildroot
from pybuilder.errors import UsageError
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.lockfile import Lock, Rpm
from pybuilder.rpm import headers
from pybuilder.rpm.packages import Fetcher, verifier
from pybuilder.rpm.repositories import Found, find, load
from pybuilder.rpm.requests import Request
from pybuilder.rpm.solve import Solution, Universe
from pybuilder.store import Store
from pybuilder.toml import nearest

EVERYTHING = "*"


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
        self, buildroot: Buildroot, requests: Sequence[Request], *, old: Lock | None, update: Collection[str] = ()
    ) -> Lock:
        """The lock that answers all requests, every RPM of it in the store and its signature verified.

        Args:
            buildroot: The definition.
            requests: What must be answered.
            old: The lock so far, whose RPMs stay where they are needed.
            update: The RPMs that may move, by name, or ``*`` for all. Those of the same source RPM move with them,
                since they require each other's exact version.

        Raises:
            UsageError: ``update`` names something that is not locked.
            ConfigError: Nothing provides what is asked for, locked RPMs must move for it, or a key can't be read.
            EngineError: The requests contradict each other.
            FetchError: A repository or an RPM can't be had, or is not to be trusted.
        """
        held = _held(old, update)
        found = {name: find(name, each, self.client) for name, each in sorted(buildroot.repositories.items())}
        fetcher = Fetcher(layout=self.layout, store=self.store, client=self.client, repositories=found)
        solution = self._solve(buildroot, requests, held, fetcher)
        return Lock(
            buildroot=buildroot.name,
            arch=buildroot.arch,
            repositories={name: each.repomd for name, each in found.items()},
            answers=solution.answers,
            rpms=self._verified(solution, fetcher),
        )

    def _solve(
        self, buildroot: Buildroot, requests: Sequence[Request], held: Mapping[str, Rpm], fetcher: Fetcher
    ) -> Solution:
        import solv

        pool = solv.Pool()
        pool.setarch(buildroot.arch)
        repos = {name: self._load(pool, each) for name, each in fetcher.repositories.items()}
        universe = Universe(
            pool=pool,
            arch=buildroot.arch,
            excludes={name: each.exclude for name, each in buildroot.repositories.items()},
            place=f"buildroots/{buildroot.name}.toml",
        )
        gone = [rpm for rpm in held.values() if rpm.repository in repos and not universe.has(rpm)]
        files = fetcher.fetch_all(gone)
        for rpm in gone:
            headers.add(repos[rpm.repository], files[rpm.sha256], rpm)
        return universe.solve(requests, held)

    def _load(self, pool: Any, found: Found) -> Any:
        repo = load(pool, found, self.client, self.layout)
        self.report(f"{found.name}: {repo.nsolvables} packages at {found.mirrors[0]}")
        return repo

    def _verified(self, solution: Solution, fetcher: Fetcher) -> dict[str, Rpm]:
        missing = [rpm for rpm in solution.rpms.values() if self.store.rpm(rpm.sha256) is None]
        if missing:
            self.report(f"fetching {len(missing)} RPMs, {sum(rpm.size for rpm in missing) / 1e6:.0f} MB")
        files = fetcher.fetch_all(solution.rpms.values())
        check = {name: verifier(name, each.definition, self.home) for name, each in fetcher.repositories.items()}
        return {
            name: rpm.model_copy(update={"key": check[rpm.repository](files[rpm.sha256])})
            for name, rpm in solution.rpms.items()
        }


def _held(old: Lock | None, update: Collection[str]) -> dict[str, Rpm]:
    if old is None or EVERYTHING in update:
        return {}
    for name in update:
        if name not in old.rpms:
            raise UsageError(
                f"{name!r} is not in the lock of {old.buildroot}; {nearest(name, old.rpms)}",
                cure="name locked RPMs after --update, and the buildroot before it",
            )
    sources = {old.rpms[name].source for name in update}
    return {name: rpm for name, rpm in old.rpms.items() if rpm.source not in sources}

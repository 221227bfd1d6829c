"""What lies under the builds of a locked buildroot: for each set of RPMs that is asked for, a root of exactly those."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pybuilder.buildroot import Buildroot
from pybuilder.events import Listener, Preparing
from pybuilder.lacking import Lack
from pybuilder.lockfile import Lock, Rpm
from pybuilder.plan import Root
from pybuilder.rpm.lacking import Search, advice
from pybuilder.rpm.provides import providers
from pybuilder.rpm.roots import Roots, root_digest
from pybuilder.system_requires import Installation, SystemAccount, WheelNeeds, system_requires

RPM_FIELDS = ("name", "evra", "sha256", "repository", "source", "key")


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedRoots:
    """The roots of one locked buildroot.

    Attributes:
        buildroot: The definition.
        lock: Its lock.
        roots: Makes them and keeps them.
        listen: Told when one has to be made, which takes seconds.
    """

    buildroot: Buildroot
    lock: Lock
    roots: Roots
    listen: Listener
    _known: dict[tuple[frozenset[str], frozenset[str]], Root] = field(default_factory=dict)

    def for_build(self, system: Iterable[str]) -> Root:
        """The root of a build: the definition's ``packages``, and what a spec and its build requirements ask for.

        Raises:
            EngineError: The lock has no answer to some of it.
        """
        return self._root(self.buildroot.packages, system)

    def for_test(self, system: Iterable[str]) -> Root:
        """The root of an install test: the definition's ``runtime``, and what the installed packages ask for.

        Raises:
            EngineError: The lock has no answer to some of it.
        """
        return self._root(self.buildroot.runtime or self.buildroot.packages, system)

    def compare(self, wheel: WheelNeeds, built_on: Root) -> SystemAccount:
        """Which RPMs a wheel needs, and whether its install test has them.

        Args:
            wheel: What it needs, and is said to need.
            built_on: The root that it was built on.

        Raises:
            EngineError: The lock has no answer to an entry of ``[system] runtime``.
            StateError: An RPM in the store is damaged.
        """
        base = self.buildroot.runtime or self.buildroot.packages
        found = system_requires(
            wheel.package,
            wheel.needs,
            declared=wheel.declared,
            # Most wheels have no ELF file, and looking at some hundred RPMs takes a while.
            providers=self._providers(base, wheel.system, built_on) if wheel.needs else {},
            installation=Installation(lock=self.lock, base=base, system=wheel.system, beside=wheel.beside),
        )
        return SystemAccount(problems=found.problems(), document=found.document(self.lock))

    def advice(self, lacks: Sequence[Lack], *, package: str, built_on: Root) -> str:
        """Which RPMs a build lacked, and where to ask for them; what is not here is not fetched for it.

        Args:
            lacks: What its log says that it lacked.
            package: The name of its project.
            built_on: The root that it was built on.
        """
        search = Search(
            buildroot=self.buildroot,
            lock=self.lock,
            store=self.roots.store,
            layout=self.roots.layout,
            there={entry["name"] for entry in built_on.contents["rpms"]},
        )
        return advice(search.answers(lacks), package=package, lock=self.lock)

    def has(self, root: Root) -> bool:
        """Whether the lock still has every RPM of a root, with the same digest."""
        rpms = [rpm for entry in root.contents["rpms"] if (rpm := self.lock.rpms.get(entry["name"]))]
        return root_digest(rpms, self.buildroot.macros) == root.digest

    @contextmanager
    def tree(self, root: Root) -> Iterator[Path]:
        """The root as a directory tree, made unless it is there; nobody prunes it as long as the block lasts.

        Raises:
            PybuildError: Its RPMs can't be had or can't be installed.
        """
        base = [self.lock.rpms[name] for name in root.contents["base"]]
        rpms = [self.lock.rpms[entry["name"]] for entry in root.contents["rpms"]]
        if not self.roots.layout.root_of(root.digest).is_dir():
            more = f", a layer over {len(base)}" if len(rpms) > len(base) else ""
            self.listen(Preparing(what=f"{self.buildroot.name}: making a root of {len(rpms)} RPMs{more}"))
        with self.roots.use(base, rpms, self.buildroot.macros) as made:
            yield made.tree

    def _providers(self, base: Iterable[str], system: Iterable[str], built_on: Root) -> Mapping[str, tuple[str, ...]]:
        """What the RPMs of a build and of an install test provide."""
        tested = self.lock.closure({*base, *system})
        names = {entry["name"] for entry in built_on.contents["rpms"]} | {rpm.name for rpm in tested}
        # A lock that has moved since it was built may have dropped an RPM; the sonames of the others still tell.
        rpms = [self.lock.rpms[name] for name in sorted(names & self.lock.rpms.keys())]
        return providers({rpm.name: file for rpm in rpms if (file := self.roots.store.rpm(rpm.sha256))})

    def _root(self, packages: Iterable[str], system: Iterable[str]) -> Root:
        asked = (frozenset(packages), frozenset(system))
        if asked not in self._known:
            self._known[asked] = self._made_of(*asked)
        return self._known[asked]

    def _made_of(self, packages: Iterable[str], system: Iterable[str]) -> Root:
        base = self.lock.closure(packages)
        rpms = self.lock.closure({*packages, *system})
        contents = {
            "distribution": self.buildroot.distribution,
            "release": self.buildroot.release,
            "base": [rpm.name for rpm in base],
            "rpms": [_entry(rpm) for rpm in rpms],
        }
        return Root(kind="rpm", digest=root_digest(rpms, self.buildroot.macros), contents=contents)


def _entry(rpm: Rpm) -> Mapping[str, Any]:
    return {field: getattr(rpm, field) for field in RPM_FIELDS}

"""Which RPM has what a build lacked, found without fetching anything: in locked RPMs, and in kept lists of packages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from pybuilder.buildroot import Buildroot
from pybuilder.guess import header_rpm, library_rpm
from pybuilder.lacking import Lack
from pybuilder.layout import Layout
from pybuilder.lockfile import Lock
from pybuilder.store import Store

# Tag number of rpm's own (rpmtag.h): the names of what is provided; versions don't matter here and take time to read.
_PROVIDENAME = 1047


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Which RPM has what a build lacked.

    Attributes:
        lack: What it lacked.
        rpm: The RPM's name; empty where none is known.
        sure: Whether the build needs it and the RPM has it for certain.
    """

    lack: Lack
    rpm: str
    sure: bool


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search for RPMs that one build lacked.

    Attributes:
        buildroot: The definition.
        lock: Its lock.
        store: Has the locked RPMs, or some of them.
        layout: Has the kept lists of packages.
        there: The names of the RPMs that the build had.
    """

    buildroot: Buildroot
    lock: Lock
    store: Store
    layout: Layout
    there: Collection[str]

    def answers(self, lacks: Sequence[Lack]) -> tuple[Answer, ...]:
        """The answers to what a build lacked, but for that whose RPM was there.

        What it only says isn't there counts where nothing else is left, and then only if an RPM has it.

        Args:
            lacks: As ``lacking`` has them.
        """
        sure = tuple(answer for lack in lacks if lack.sure and (answer := self._answer(lack)))
        if sure:
            return sure
        doubtful = (answer for lack in lacks if not lack.sure and (answer := self._answer(lack)))
        return tuple(replace(answer, sure=False) for answer in doubtful if answer.rpm)

    def _answer(self, lack: Lack) -> Answer | None:
        has = self._in_files(lack) or [*self._in_lists(lack.capabilities)]
        may_have = () if has else self._in_lists(_likely(lack))
        rpm = next((name for name in (*has, *may_have) if name not in self.there), "")
        if has and not rpm:
            return None
        return Answer(lack=lack, rpm=rpm, sure=bool(has or not rpm))

    def _in_files(self, lack: Lack) -> list[str]:
        """The locked RPMs that have it, that with the shortest path first: the others keep it out of the way."""
        found: dict[str, int] = {}
        for name, (provides, paths) in self._contents.items():
            if not provides.isdisjoint(lack.capabilities):
                found[name] = 0
            elif fitting := lack.among(paths):
                found[name] = min(map(len, fitting))
        return sorted(found, key=lambda name: (found[name], name))

    def _in_lists(self, capabilities: Iterable[str]) -> Iterator[str]:
        """The RPMs that provide something or are called so, by the lock and the repositories, best first."""
        for capability in capabilities:
            locked = self.lock.answers.get(capability, capability)
            if locked in self.lock.rpms:
                yield locked
            yield from sorted({each.name for each in self._select(capability)}, key=lambda name: (len(name), name))

    def _select(self, capability: str) -> Iterator[Any]:
        import solv

        by = solv.Selection
        chosen = self._pool.select(capability, by.SELECTION_NAME | by.SELECTION_PROVIDES | by.SELECTION_FILELIST)
        return (each for each in chosen.solvables() if self._may_be_taken(each))

    def _may_be_taken(self, solvable: Any) -> bool:
        excluded = self.buildroot.repositories[solvable.repo.name].exclude
        names = (solvable.name, str(solvable))
        here = solvable.arch in (self.lock.arch, "noarch")
        return here and not any(fnmatchcase(name, pattern) for name in names for pattern in excluded)

    @cached_property
    def _pool(self) -> Any:
        import solv

        pool = solv.Pool()
        pool.setarch(self.lock.arch)
        for name in self.lock.repositories.keys() & self.buildroot.repositories.keys():
            if stream := solv.xfopen(str(self.layout.repodata(self.lock.repositories[name]))):
                pool.add_repo(name).add_solv(stream)
        pool.createwhatprovides()
        return pool

    @cached_property
    def _contents(self) -> Mapping[str, tuple[frozenset[str], list[str]]]:
        """What the locked RPMs in the store provide, files included, and their files; 0.2 ms for each RPM."""
        return {name: contents for name, rpm in self.lock.rpms.items() if (contents := self._read(rpm.sha256))}

    def _read(self, sha256: str) -> tuple[frozenset[str], list[str]] | None:
        import rpm_rs

        file = self.store.rpm(sha256)
        if file is None:
            return None
        try:
            package = rpm_rs.PackageMetadata.open(str(file))
            paths = package.file_paths()
            return frozenset((*(package.header.entry(_PROVIDENAME) or ()), *paths)), paths
        except (OSError, RuntimeError, ValueError):
            # A damaged RPM is told when a root is made of it. The build has failed for a reason of its own.
            return None


def _likely(lack: Lack) -> tuple[str, ...]:
    known = {"header": header_rpm, "library": library_rpm}.get(lack.kind)
    rpm = known(lack.name) if known else ""
    return (rpm, *lack.likely) if rpm else lack.likely


def advice(answers: Sequence[Answer], *, package: str, lock: Lock) -> str:
    """What to do about what a build lacked, in one sentence; empty where there is nothing to say.

    Args:
        answers: As ``Search.answers`` has them.
        package: The name of the project.
        lock: The lock that the build had.
    """
    unknown = [str(answer.lack) for answer in answers if not answer.rpm]
    parts = [_unknown(unknown, package)] if unknown else []
    if known := [answer for answer in answers if answer.rpm]:
        names = {answer.rpm for answer in known}
        add = f"add {'it' if len(names) == 1 else 'them'} to [system] build in specs/{package}.toml"
        then = "" if names <= lock.answers.keys() else f", then: pybuild buildroot lock {lock.buildroot}"
        parts.append(f"it {_rpms(known)}: {add}{then}")
    return "; ".join(parts)


def _unknown(names: Sequence[str], package: str) -> str:
    return (
        f"it lacks {_and(names)}: add an RPM that has {'it' if len(names) == 1 else 'them'} to [system] build, "
        f"or a package to [build] add-requires, in specs/{package}.toml"
    )


def _rpms(answers: Sequence[Answer]) -> str:
    groups: dict[tuple[bool, str], list[str]] = {}
    for answer in answers:
        groups.setdefault((answer.sure, answer.rpm), []).append(str(answer.lack))
    told = [
        (verb, [f"{rpm} ({', '.join(lacks)})" for (sure, rpm), lacks in groups.items() if sure is kind])
        for kind, verb in ((True, "lacks"), (False, "may lack"))
    ]
    return _and([f"{verb} {_and(rpms)}" for verb, rpms in told if rpms])


def _and(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)

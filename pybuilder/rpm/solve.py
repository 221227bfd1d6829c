"""Which RPMs satisfy everything that is asked for, together: libsolv's answer, or its explanation."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from pybuilder.errors import ConfigError, EngineError, FetchError
from pybuilder.lockfile import Named, Rpm
from pybuilder.rpm.requests import Request


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """RPMs that satisfy all requests.

    Attributes:
        answers: For each request's text, the name of the RPM that answers it.
        rpms: The RPMs by name; who signed them is not known yet.
    """

    answers: Mapping[str, str]
    rpms: Mapping[str, Rpm]


@dataclass(frozen=True, kw_only=True)
class Universe:
    """All RPMs that may be chosen.

    Attributes:
        pool: The ``solv.Pool`` with every repository in it.
        arch: The target's architecture.
        excludes: Patterns of RPMs not taken, by the repository's name.
        place: The definition, for messages.
    """

    pool: Any
    arch: str
    excludes: Mapping[str, Sequence[str]]
    place: str

    def solve(self, requests: Sequence[Request], held: Mapping[str, Rpm]) -> Solution:
        """Choose one RPM for each name: the best for what is asked, no weak dependencies.

        Args:
            requests: What is asked for.
            held: By name, the RPMs that must not give way to another of their name; any that nobody needs is dropped.

        Raises:
            ConfigError: Nothing provides what is asked for, or what is held must move to make room for it.
            EngineError: The requests contradict each other.
        """
        self.pool.addfileprovides()
        self._consider({})
        free = self._jobs(requests)
        if unknown := [request for request in requests if not free[request.rpm].solvables()]:
            raise self._unknown(unknown)
        if held:
            self._consider(held)
        return self._within(requests, held) or self._explained(requests, held)

    def _within(self, requests: Sequence[Request], held: Mapping[str, Rpm]) -> Solution | None:
        jobs = self._jobs(requests)
        if not all(job.solvables() for job in jobs.values()):
            return None
        # Beside RPMs that stay, an older one that goes with them is better than none.
        for best in (True, False) if held else (True,):
            solver, problems = self._run([*jobs.values(), *self._favours(held)], best=best)
            if not problems:
                return self._solution(solver, jobs)
        return None

    def _explained(self, requests: Sequence[Request], held: Mapping[str, Rpm]) -> Solution:
        """Why there is no solution: raises, always."""
        self._consider({})
        jobs = self._jobs(requests)
        if held:
            solver, problems = self._run([*jobs.values(), *self._favours(held)], best=False)
            if not problems:
                raise self._must_move(held, self._solution(solver, jobs))
        _, problems = self._run([*jobs.values()], best=True)
        raise self._unsolvable(problems, [*jobs], requests)

    def _run(self, jobs: list[Any], *, best: bool) -> tuple[Any, list[Any]]:
        import solv

        solver = self.pool.Solver()
        flags = [solver.SOLVER_FLAG_IGNORE_RECOMMENDED, solver.SOLVER_FLAG_BEST_OBEY_POLICY]
        # dnf's rule of what obsoletes what.
        for flag in (*flags, solver.SOLVER_FLAG_YUM_OBSOLETES):
            solver.set_flag(flag, 1)
        for job in jobs:
            if job.how & solv.Job.SOLVER_JOBMASK == solv.Job.SOLVER_INSTALL:
                job.how = job.how | solv.Job.SOLVER_FORCEBEST if best else job.how & ~solv.Job.SOLVER_FORCEBEST
        return solver, solver.solve(jobs)

    def _consider(self, held: Mapping[str, Rpm]) -> None:
        """Leave out other architectures, excluded RPMs, and rivals of the held ones."""
        disabled = list(self._never)
        for name, rpm in held.items():
            disabled += [each.id for each in self._named(name) if _sha256(each) != rpm.sha256]
        self.pool.set_disabled_list(disabled)
        self.pool.createwhatprovides()

    @cached_property
    def _never(self) -> list[int]:
        arches = {self.pool.str2id(self.arch), self.pool.str2id("noarch")}
        excludes = {
            name: re.compile("|".join(map(fnmatch.translate, patterns)))
            for name, patterns in self.excludes.items()
            if patterns
        }
        return [
            each.id
            for repo in self.pool.repos
            for each in repo.solvables
            if each.archid not in arches or (repo.name in excludes and _matches(excludes[repo.name], each))
        ]

    @cached_property
    def _by_name(self) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        for repo in self.pool.repos:
            for each in repo.solvables:
                found.setdefault(each.nameid, []).append(each)
        return found

    def _named(self, name: str) -> list[Any]:
        return self._by_name.get(self.pool.str2id(name), [])

    def has(self, rpm: Rpm) -> bool:
        """Whether some repository still has this very file."""
        return any(_sha256(each) == rpm.sha256 for each in self._named(rpm.name))

    def find(self, wanted: Named, place: str) -> Rpm | None:
        """The RPM of this name and EVRA in a repository, that of the best priority; what it needs is left empty.

        Args:
            wanted: The RPM as another list has it.
            place: Where that list has it, for messages.

        Raises:
            FetchError: The repositories have another file of this version.
        """
        same = [each for each in self._named(wanted.name) if f"{each.evr}.{each.arch}" == wanted.evra]
        same = sorted((each for each in same if each.id not in self._never), key=lambda each: -each.repo.priority)
        if found := next((each for each in same if wanted.sha256 in ("", _sha256(each))), None):
            return self._rpm(found, ())
        if not same:
            return None
        raise FetchError(
            f"{wanted.name}-{wanted.evra} has another digest in the repository {same[0].repo.name!r}",
            where=f"{place}: {wanted.sha256}, {same[0].repo.name}: {_sha256(same[0])}",
            cure="find out which of the two is the true one; take the RPM out of the file to have the repository's",
        )

    def _jobs(self, requests: Iterable[Request]) -> dict[str, Any]:
        """One job for each request's text; one that nothing answers has no solvables."""
        return {text: self._job(text) for text in dict.fromkeys(request.rpm for request in requests)}

    def _job(self, text: str) -> Any:
        import solv

        install = solv.Job.SOLVER_INSTALL
        nothing = self.pool.Job(install | solv.Job.SOLVER_SOLVABLE_ONE_OF, 0)
        if text.startswith("("):
            dep = self.pool.parserpmrichdep(text)
            return self.pool.Job(install | solv.Job.SOLVER_SOLVABLE_PROVIDES, dep.id) if dep else nothing
        by = solv.Selection
        kinds = by.SELECTION_NAME | by.SELECTION_PROVIDES | by.SELECTION_FILELIST | by.SELECTION_REL
        return next(iter(self.pool.select(text, kinds).jobs(install)), nothing)

    def _favours(self, held: Mapping[str, Rpm]) -> list[Any]:
        import solv

        how = solv.Job.SOLVER_FAVOR | solv.Job.SOLVER_SOLVABLE
        chosen = (each for name, rpm in held.items() for each in self._named(name) if _sha256(each) == rpm.sha256)
        return [self.pool.Job(how, each.id) for each in chosen]

    def _solution(self, solver: Any, jobs: Mapping[str, Any]) -> Solution:
        chosen = {each.id: each for each in solver.transaction().newsolvables()}
        answers = {text: _preferred(text, _among(job.solvables(), chosen)).name for text, job in jobs.items()}
        return Solution(
            answers=answers, rpms={each.name: self._rpm(each, self._needs(each, chosen)) for each in chosen.values()}
        )

    def _rpm(self, solvable: Any, requires: Iterable[str]) -> Rpm:
        import solv

        location, _ = solvable.lookup_location()
        try:
            return Rpm(
                name=solvable.name,
                evra=f"{solvable.evr}.{solvable.arch}",
                sha256=_sha256(solvable),
                size=solvable.lookup_num(solv.SOLVABLE_DOWNLOADSIZE),
                repository=solvable.repo.name,
                location=location.removeprefix("./"),
                source=solvable.lookup_sourcepkg() or "",
                key="",
                requires=tuple(sorted(set(requires))),
            )
        except ValidationError as error:
            fault = error.errors()[0]
            what = f"the repository {solvable.repo.name!r} lists {solvable} wrongly: {fault['loc'][0]}: {fault['msg']}"
            raise FetchError(what, where=self.place, cure="use another repository") from error

    def _needs(self, solvable: Any, chosen: Mapping[int, Any]) -> Iterator[str]:
        import solv

        for dep in solvable.lookup_deparray(solv.SOLVABLE_REQUIRES, 0):
            providers = _among(self.pool.whatprovides(dep), chosen)
            if not providers or solvable in providers:
                continue
            # Of a rich dependency libsolv lists what any branch of it could need: all of them, so that it always holds.
            found = providers if str(dep).startswith("(") else [_preferred(str(dep).split(" ")[0], providers)]
            yield from (each.name for each in found)

    def _unknown(self, unknown: Sequence[Request]) -> ConfigError:
        names = sorted({each[0].name for each in self._by_name.values()})
        lines = []
        for request in unknown:
            near = difflib.get_close_matches(request.rpm, names, n=3)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
            lines.append(f"{request.place}: {request.rpm!r}{hint}")
        few = f"no repository has the RPM {unknown[0].rpm!r}" if len(lines) == 1 else "no repository has these RPMs"
        cure = f"correct the name, or add a repository that has it to {self.place}"
        return ConfigError(few, where="\n         ".join(lines), cure=cure)

    def _must_move(self, held: Mapping[str, Rpm], solution: Solution) -> ConfigError:
        moved = sorted(name for name, rpm in solution.rpms.items() if name in held and held[name].evra != rpm.evra)
        lines = [f"{held[name].nevra} -> {solution.rpms[name].evra}" for name in moved]
        return ConfigError(
            "what is missing can't be added without moving RPMs that are locked",
            where="\n         ".join(lines),
            cure=f"pybuild buildroot lock --update {' '.join(moved)}",
        )

    def _unsolvable(self, problems: Sequence[Any], texts: Sequence[str], requests: Sequence[Request]) -> EngineError:
        import solv

        asked: dict[str, list[str]] = {}
        for request in requests:
            asked.setdefault(request.rpm, []).append(request.place)
        lines: list[str] = []
        for problem in problems:
            lines += dict.fromkeys(rule.info().problemstr() for rule in problem.findallproblemrules())
            parts = [part for solution in problem.solutions() for part in solution.elements()]
            jobs = {part.jobidx for part in parts if part.type == solv.Solver.SOLVER_SOLUTION_JOB}
            lines += [f"asked for by {place}" for index in sorted(jobs) for place in asked[texts[index]]]
        return EngineError(
            "these RPMs can't be installed together",
            where="\n         ".join(lines),
            cure="ask for other RPMs, or exclude the wrong candidate from a repository",
        )


def _matches(pattern: re.Pattern[str], solvable: Any) -> bool:
    return bool(pattern.match(solvable.name) or pattern.match(str(solvable)))


def _sha256(solvable: Any) -> str:
    import solv

    checksum = solvable.lookup_checksum(solv.SOLVABLE_CHECKSUM)
    if checksum is None or checksum.typestr() != "sha256":
        where = solvable.repo.name
        raise FetchError(f"the repository gives no sha256 for {solvable}", where=where, cure="use another repository")
    return str(checksum.hex())


def _among(solvables: Iterable[Any], chosen: Mapping[int, Any]) -> list[Any]:
    return [each for each in solvables if each.id in chosen]


def _preferred(text: str, providers: Sequence[Any]) -> Any:
    """One of several providers: the one that is called so, else the shortest name, as libsolv would."""
    return min(providers, key=lambda each: (each.name != text, len(each.name), each.name))

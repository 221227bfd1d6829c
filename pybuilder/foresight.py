"""What a plan will most likely need next, fetched and read beside the thread that plans.

Who plans asks for one thing after the other, and most of the time the next is known: the newest version of whatever the
build of a new source requires, and what that requires in turn. What is found here decides nothing. Who plans asks for
it as ever, and finds it there, or waits for whoever is at it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pybuilder.errors import PybuildError
from pybuilder.interruption import Interruption, end
from pybuilder.resolution import applies
from pybuilder.sources.beside import reading_beside
from pybuilder.stages.plan import build_requirements
from pybuilder.statements import Statements
from pybuilder.tree import Package

# As many as sources are fetched side by side where they are known.
_SCOUTS = 8

Likely = Callable[[Requirement], Package | None]
"""The version that a requirement of a build will most likely get, or None."""


@contextmanager
def foresight(statements: Statements, tops: Iterable[Requirement], likely: Likely) -> Iterator[None]:
    """Look ahead as long as the block lasts, and further from every source that was not here before.

    Args:
        statements: What packages say of themselves; what is found out is known to it.
        tops: What is asked for first.
        likely: Asked in several threads.
    """
    scouts = _Scouts(
        statements=statements,
        likely=likely,
        markers=statements.packages.adapters.target.markers,
        pool=ThreadPoolExecutor(_SCOUTS, thread_name_prefix="foresight"),
        # Drafts are wanted last, so they get little of Python's lock.
        drafting=ThreadPoolExecutor(1, thread_name_prefix="foresight-drafts"),
    )
    statements.ahead = scouts.go_on
    with reading_beside():
        try:
            # What is wanted further of what is installed, the resolver asks for itself, and knows who else wants it.
            scouts.follow(tops, hops=1)
            yield
        finally:
            statements.ahead = None
            for pool in (scouts.pool, scouts.drafting):
                end(pool, scouts.told)
            # Now, when nobody is left who might ask for more.
            statements.compile_no_more_ahead()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scouts:
    """Threads that look ahead."""

    statements: Statements
    likely: Likely
    markers: Mapping[str, str]
    pool: ThreadPoolExecutor
    drafting: ThreadPoolExecutor
    told: Interruption = field(default_factory=Interruption)
    seen: set[str] = field(default_factory=set)
    found: set[Package] = field(default_factory=set)

    # What is wrong is told to who plans, should it ever need the package.

    def go_on(self, package: Package) -> None:
        """Look for what the build of a package requires, whose source is here now."""
        with suppress(PybuildError):
            self.follow(build_requirements(*self.statements.packages.source(package)))

    def follow(self, requirements: Iterable[Requirement], *, hops: float = math.inf) -> None:
        """Look for what is required, each once.

        Args:
            requirements: What is required.
            hops: How many times over it is also looked for what that requires where it is installed.
        """
        with suppress(PybuildError):
            for requirement in requirements:
                if (text := str(requirement)) not in self.seen and applies(requirement, self.markers, frozenset()):
                    self.seen.add(text)
                    self.pool.submit(self._look, requirement, hops)

    def _look(self, requirement: Requirement, hops: float) -> None:
        with self.told.heard(), suppress(PybuildError):
            if self._is_satisfied(requirement):
                return
            package = self.likely(requirement)
            if package is None or package in self.found:
                return
            self.found.add(package)
            installs = self.statements.foreseen(package)
            if hops == math.inf:
                self.statements.compile_ahead(package)
            if hops > 0:
                self.follow(installs, hops=hops - 1)
            self.drafting.submit(self._draft, package)

    def _is_satisfied(self, requirement: Requirement) -> bool:
        """Whether something that was found already will do, as it will for who plans."""
        name, specifier = canonicalize_name(requirement.name), requirement.specifier
        # A copy, since other threads add to it.
        return any(each == name and specifier.contains(version, prereleases=True) for each, version in (*self.found,))

    def _draft(self, package: Package) -> None:
        with self.told.heard(), suppress(PybuildError):
            self.statements.draft_ahead(package)

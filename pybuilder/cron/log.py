"""What a pass has come to so far; at its end it is a ``Pass``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pybuilder.cron.problems import LATE, Told, Trouble, compare, written
from pybuilder.errors import PybuildError
from pybuilder.passes import Awaited, Built, Pass, Updated
from pybuilder.results import Result
from pybuilder.review_queue import waiting
from pybuilder.state import State


@dataclass(kw_only=True, slots=True)
class Log:
    """A pass under way.

    Attributes:
        phases: Seconds by phase, in order.
        troubles: What was met.
        unlooked: Packages that nobody could look at: what was wrong with them before stays so.
        untried: Builds that were not tried, as ``name==version``, likewise.
        failed: Whether it can't come to its end.
        result: What its builds came to, once there are any.
        updated: As in ``Pass``, and so are the others.
    """

    phases: dict[str, float] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    unlooked: set[str] = field(default_factory=set)
    untried: set[str] = field(default_factory=set)
    failed: bool = False
    result: Result | None = None
    updated: list[Updated] = field(default_factory=list)
    built: list[Built] = field(default_factory=list)
    cached: int = 0
    yanked: list[tuple[str, str]] = field(default_factory=list)
    postponed: int = 0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure a phase."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + time.monotonic() - began

    def note(self, kind: str, subject: str, error: PybuildError) -> None:
        """Note what went wrong."""
        self.troubles.append(Trouble.of(error, kind=kind, subject=subject))

    @contextmanager
    def survive(self, kind: str, subject: str = "") -> Iterator[None]:
        """Note what goes wrong in the block, and go on after it."""
        try:
            yield
        except PybuildError as error:
            self.note(kind, subject, error)

    def passed(self, empty: Pass, state: State, told: Told, *, now: datetime) -> tuple[Pass, Any]:
        """The pass at its end, and what the next must know.

        Args:
            empty: What was known when it began.
            state: Knows who waits.
            told: What was told before.
            now: The time.
        """
        standing = compare(self.troubles, told, stays=self._stays, now=now)
        review = tuple(
            Awaited(
                name=each.name,
                requirement=each.requirement,
                wanted_by=each.wanted_by,
                first_seen=datetime.fromisoformat(each.first_seen),
                new=(each.name, each.requirement) not in told.review,
            )
            for each in waiting(state)
        )
        new = any(each.new for each in standing) or any(each.new for each in review)
        ended = replace(
            empty,
            phases=dict(self.phases),
            outcome="failed" if self.failed else "problems" if new else "ok",
            updated=tuple(self.updated),
            built=tuple(self.built),
            cached=self.cached,
            yanked=tuple(self.yanked),
            review=review,
            problems=tuple(each.problem for each in standing),
            postponed=self.postponed,
        )
        return ended, written(standing, review)

    def _stays(self, trouble: Trouble) -> bool:
        """Whether a problem that was not met is still there: nobody has looked, or tried."""
        if trouble.kind == LATE:
            return False
        if self.failed and trouble.kind != "pass":
            return True
        subjects = (trouble.subject, *trouble.holds)
        if trouble.kind == "build" and not self.untried.isdisjoint(subjects):
            return True
        return any(subject.partition("==")[0] in self.unlooked for subject in subjects)

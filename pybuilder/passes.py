"""What one pass of ``pybuild cron`` came to: a value that reports, metrics and messages are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something that somebody must look at; it stays the same problem for as long as these words stay the same.

    Attributes:
        kind: In a word: ``update``, ``pull``, ``build``, ``review``, ``reupload``, ``yank``, …
        subject: What it is about: a package, ``name==version``, or empty for the pass as a whole.
        phase: Where a build failed; else empty.
        what: The sentence.
        where: The file, URL or log.
        cure: What to do.
        exit_code: What it counts as in the exit code.
        first_seen: When a pass first came upon it.
        new: Whether that is this pass, or it changed since the last; only then it is printed and counted.
    """

    kind: str
    subject: str
    what: str
    exit_code: int
    first_seen: datetime
    new: bool
    phase: str = ""
    where: str = ""
    cure: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Updated:
    """A new upstream version that was built, validated and pinned.

    Attributes:
        name: Normalised package name.
        old: The newest version that was pinned before it in its series; empty for the first.
        new: The new one.
        commit: The commit that pins it; empty where the workspace is no git repository.
        needed_by: How many packages need it.
    """

    name: str
    old: str
    new: str
    commit: str
    needed_by: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """Something that was published.

    Attributes:
        build: ``CHANNEL/NAME==VERSION+LABEL.N``.
        name: Normalised package name.
        version: Upstream's.
        why: The trigger: ``update``, ``new``, ``recipe``, ``request``, ``lock``, ``environment``, or ``needed``.
        seconds: How long its attempt took; 0 where its payload was known.
    """

    build: str
    name: str
    version: str
    why: str
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Awaited:
    """A package or a version that waits for a person.

    Attributes:
        name: Normalised package name.
        requirement: What is wanted of it.
        wanted_by: Who wants it.
        first_seen: Since when.
        new: Whether this pass put it into the queue.
    """

    name: str
    requirement: str
    wanted_by: str
    first_seen: datetime
    new: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """One pass.

    Attributes:
        run: Its id, which every line of its log carries; sorts by time.
        workspace: The workspace's directory name, for titles.
        channel: What it published to.
        began: When, in UTC.
        seconds: How long it took.
        phases: Seconds by phase: ``pull``, ``update``, ``plan``, ``build``, ``prune``; those it came to, in order.
        outcome: ``ok``; ``problems`` where something new is to be looked at; ``failed`` where it did not come to its
            end.
        updated: New versions.
        built: What was published.
        cached: How many packages of its tree needed nothing.
        yanked: Our builds that upstream's yanks or deletions yanked, ``(build, reason)``.
        review: Who waits for a person.
        problems: All there are, new or not.
        postponed: How many stale packages the budget, or the delay after a failure, left for a later pass.
    """

    run: str
    workspace: str
    channel: str
    began: datetime
    seconds: float
    phases: Mapping[str, float]
    outcome: Literal["ok", "problems", "failed"]
    updated: tuple[Updated, ...] = ()
    built: tuple[Built, ...] = ()
    cached: int = 0
    yanked: tuple[tuple[str, str], ...] = ()
    review: tuple[Awaited, ...] = ()
    problems: tuple[Problem, ...] = ()
    postponed: int = 0

    def with_problems(self, problems: tuple[Problem, ...]) -> Pass:
        """The same, with what went wrong after it had come to its end."""
        worse = self.outcome == "ok" and any(problem.new for problem in problems)
        return replace(self, problems=(*self.problems, *problems), outcome="problems" if worse else self.outcome)

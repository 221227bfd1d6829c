"""One pass of ``pybuild cron``. Read ``run`` first.

Everything is found by comparing what there is, and nothing by remembering what happened: what a pass leaves undone,
however it ends, the next one finds again. What goes wrong with one package is noted, and holds back no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.version import Version

from pybuilder.commits import Commits
from pybuilder.cron.agenda import Agenda, Goal, candidates, draw_up
from pybuilder.cron.budget import Budget
from pybuilder.cron.build import build, built, choose, remember
from pybuilder.cron.log import Log
from pybuilder.cron.problems import LATE, Told, Trouble, compare, together, written
from pybuilder.cron.settle import settle
from pybuilder.cron.site import Site
from pybuilder.cron.taking import take_up
from pybuilder.cron.upstream import look_up, yank
from pybuilder.cron.waiting import queue, to_review
from pybuilder.errors import LockedError, PybuildError, StateError
from pybuilder.gc import Report
from pybuilder.passes import Pass, Updated
from pybuilder.results import Result
from pybuilder.staleness import find_stale
from pybuilder.state import State
from pybuilder.update import Finding

_FACT = "problems"


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What a pass needs; each thing is opened when its turn has come.

    Attributes:
        run: The pass's id.
        workspace: The workspace's name.
        channel: Where it publishes.
        state: What is remembered.
        commits: Finishes what a pass has left half done.
        pull: Brings the workspace up to date; what it returns is to be looked at.
        site: Opens what is built with, in the workspace as it is then.
        prune: Drops what nothing needs.
        budget: How much is built.
        note: Told of each update as soon as it is committed.
        now: The clock.
    """

    run: str
    workspace: str
    channel: str
    state: State
    commits: Commits
    pull: Callable[[], Iterable[PybuildError]]
    site: Callable[[], AbstractContextManager[Site]]
    prune: Callable[[], Report]
    budget: Budget
    note: Callable[[Updated], None]
    now: Callable[[], datetime]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A pass that has come to its end.

    Attributes:
        passed: What it came to.
        result: What its builds came to; None where it came to none.
        memory: What ``told`` is to be given once somebody has been told of it.
    """

    passed: Pass
    result: Result | None
    memory: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What a pass would do.

    Attributes:
        goals: What it would build, the first first.
        postponed: What the budget would leave for a later pass.
        delayed: What waits for its time.
        review: New versions that a person would be asked about.
        troubles: What is wrong.
    """

    goals: tuple[Goal, ...]
    postponed: tuple[Goal, ...]
    delayed: tuple[Goal, ...]
    review: tuple[tuple[Finding, Version], ...]
    troubles: tuple[Trouble, ...]


def run(world: World) -> Ended:
    """Go through everything once. The caller holds the lock."""
    log, began, start = Log(), world.now(), time.monotonic()
    with log.phase("pull"):
        with log.survive("commit"):
            world.commits.finish()
        for error in world.pull():
            log.note("pull", "", error)
    try:
        with world.site() as site:
            _keep_up(world, site, log, began=began)
    except PybuildError as error:
        log.failed = True
        log.note("pass", "", error)
    with log.phase("prune"):
        _prune(world, log)
    empty = Pass(
        run=world.run,
        workspace=world.workspace,
        channel=world.channel,
        began=began,
        seconds=0.0,
        phases={},
        outcome="ok",
    )
    known = Told.read(world.state.fact(_FACT, world.channel))
    passed, memory = log.passed(empty, world.state, known, now=world.now())
    return Ended(passed=replace(passed, seconds=time.monotonic() - start), result=log.result, memory=memory)


def preview(world: World) -> Preview:
    """What a pass would do, as far as that is known before it is done."""
    log = Log()
    with world.site() as site:
        findings = look_up(site, log)
        agenda = plan(site, findings, log)
    left = world.budget.max_builds
    return Preview(
        goals=agenda.goals[:left],
        postponed=() if left is None else agenda.goals[left:],
        delayed=agenda.delayed,
        review=tuple(to_review(findings)),
        troubles=tuple(together(log.troubles)),
    )


def late(world: World, ended: Ended, error: PybuildError) -> Ended:
    """The same pass, with what went wrong after it had come to its end: its report can't be written."""
    before = Told.read(world.state.fact(_FACT, world.channel))
    trouble = Trouble.of(error, kind=LATE, subject="")
    [standing] = compare([trouble], before, stays=lambda _: False, now=world.now())
    more = written([standing], ())["standing"]
    return replace(
        ended,
        passed=ended.passed.with_problems((standing.problem,)),
        memory={**ended.memory, "standing": [*ended.memory["standing"], *more]},
    )


def told(state: State, channel: str, memory: Any) -> None:
    """Remember what people have been told, so that the next pass does not tell it again.

    Args:
        state: Where it is kept.
        channel: The channel.
        memory: What ``run`` has returned.
    """
    state.add_fact(_FACT, channel, memory)


def _keep_up(world: World, site: Site, log: Log, *, began: datetime) -> None:
    """Update, find what is stale, build all of it at once, and write down what came of it."""
    with log.phase("update"):
        findings = look_up(site, log)
        queue(site, findings)
        yank(site, findings, log)
    with log.phase("plan"):
        agenda = plan(site, findings, log)
    goals = choose(site, agenda, world.budget, log)
    with TemporaryDirectory(prefix="pybuild-cron-") as scratch:
        with log.phase("update"):
            taken = take_up(site, goals, log, scratch=Path(scratch))
        done = build(site, taken.goals, world.budget, log)
    log.built += built(site, done, goals, began=began)
    remember(site, done, goals, taken, log)
    for updated in settle(site, done, taken.goals, log):
        log.updated.append(updated)
        world.note(updated)


def plan(site: Site, findings: Sequence[Finding], log: Log) -> Agenda:
    """What there is to build, most needed first.

    Args:
        site: The world.
        findings: What upstream has.
        log: Told what nobody can judge.
    """
    adapters, policy = site.adapters, site.workspace.settings.rebuild
    report = find_stale(site.bootstrap.packages, policy=policy, now=adapters.now())
    for unclear in report.problems:
        log.note("spec", unclear.subject, unclear.error)
    new = candidates(findings, needed_by=report.needed_by, delay=report.delays.of, now=adapters.now())
    return draw_up(new, report)


def _prune(world: World, log: Log) -> None:
    with log.survive("prune"), suppress(LockedError):  # Somebody is at it.
        for record in world.prune().unread[:1]:
            what = "a record can't be read, so nobody knows what it needs, and every payload, source and RPM stays"
            raise StateError(what, where=record, cure="restore it from a backup, or from the index; see pybuild gc")

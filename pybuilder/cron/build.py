"""One run over everything that is to be built, and what becomes of it in the workspace."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from pybuilder.bootstrap import Assessed
from pybuilder.clock import timestamp
from pybuilder.cron.agenda import Agenda, Goal
from pybuilder.cron.budget import Budget
from pybuilder.cron.log import Log
from pybuilder.cron.problems import Trouble
from pybuilder.cron.site import Site
from pybuilder.cron.taking import Taken
from pybuilder.errors import EngineError, LockedError, PostponedError, PybuildError, ReviewError, StateError
from pybuilder.names import numbered_version
from pybuilder.passes import Built
from pybuilder.request import Request
from pybuilder.responses import UnreachableError
from pybuilder.results import Failure, Result
from pybuilder.stages.publish import Outcome
from pybuilder.staleness import note_failure, note_settled
from pybuilder.tree import Package

_WAITED = "waited"
# It is tried by the next pass again, as soon as disk, sandbox or network are back.
_NOT_ITS_FAULT = (PostponedError, StateError, EngineError, LockedError, UnreachableError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What a run came to.

    Attributes:
        outcomes: What is published as it should be, of what was asked for or built.
        unmet: Goals that nothing came of, each with the failure it was for; None where it waits for a person.
    """

    outcomes: Mapping[Package, Outcome]
    unmet: Mapping[Goal, PybuildError | None]


def choose(site: Site, agenda: Agenda, budget: Budget, log: Log) -> tuple[Goal, ...]:
    """What there is room for in a budget; the rest is left for a later pass.

    What waited for a person when it was tried last comes last: it takes the room of others and may leave it unused.
    """
    waited = site.adapters.state.fact(_WAITED, site.adapters.channel.name) or ()
    ordered = sorted(agenda.goals, key=lambda goal: str(goal) in waited)
    goals = () if budget.is_spent else tuple(ordered[: budget.max_builds])
    later = [*ordered[len(goals) :], *agenda.delayed]
    log.untried.update(map(str, later))
    log.postponed += len(later)
    return goals


def build(site: Site, goals: Sequence[Goal], budget: Budget, log: Log) -> Done:
    """Build what is asked for, as far as the budget goes, all of it side by side.

    Args:
        site: The world.
        goals: What is asked for.
        budget: How many attempts may begin.
        log: Told what came of it.
    """
    if not goals:
        return Done(outcomes={}, unmet={})
    packages = site.bootstrap.packages
    packages.starting = budget.start
    packages.forced = frozenset(goal.package for goal in goals if goal.stale and goal.stale.is_forced)
    # What else is in their trees is left to the policy.
    packages.stale = frozenset(goal.package for goal in goals if goal.version is not None)
    request = Request(
        tops=tuple(goal.requirement for goal in goals),
        each=True,
        keep_going=True,
        candidates=frozenset(goal.package for goal in goals if goal.is_candidate),
    )
    try:
        with log.phase("plan"):
            assessed = site.bootstrap.prepare(request)
        with log.phase("build"):
            result = site.bootstrap.run(assessed, replan=partial(site.bootstrap.plan, request))
    except PybuildError as error:
        return _nothing(goals, error, log)
    return _done(site, goals, assessed, result, log)


def _nothing(goals: Sequence[Goal], error: PybuildError, log: Log) -> Done:
    """A run that could not even begin: its one goal can't be resolved, or it is for something that all need."""
    alone = len(goals) == 1
    log.note("build", str(goals[0]) if alone else "", error)
    return Done(outcomes={}, unmet=dict.fromkeys(goals, error if alone else None))


def _done(site: Site, goals: Sequence[Goal], assessed: Assessed, result: Result, log: Log) -> Done:
    outcomes = {(each.made.name, each.made.version): each for each in (*result.built, *result.cached)}
    log.result = result
    log.cached += list(assessed.statuses.values()).count("cached")
    unmet: dict[Goal, PybuildError | None] = {}
    for goal in goals:
        if not any(goal.is_met_by(package) for package in outcomes):
            unmet[goal] = next((each.error for each in result.failed if _concerns(each, goal)), None)
    for failure in result.failed:
        held = tuple(str(goal) for goal in unmet if _concerns(failure, goal))
        if isinstance(failure.error, PostponedError):
            log.untried.update((*held, f"{failure.name}=={failure.version}"))
        else:
            log.troubles.append(_trouble(failure, held))
    log.troubles += _refusals(result)
    log.postponed += sum(isinstance(error, PostponedError) for error in unmet.values())
    # What was left for later, and came along since something needed it.
    along = log.untried.intersection(text for name, version in outcomes for text in (name, f"{name}=={version}"))
    log.untried -= along
    log.postponed -= len(along)
    return Done(outcomes=outcomes, unmet=unmet)


def _refusals(result: Result) -> list[Trouble]:
    """What waits for nothing: it needs a package that somebody has rejected."""
    found = []
    for name, refusal in result.refusals.items():
        wanted = sorted({f"{by} needs {requirement}" for each, requirement, by in result.review if each == name})
        error = ReviewError(f"{'; '.join(wanted)}: {name} was {refusal}", wanted=(), cure=f"pybuild review show {name}")
        found.append(Trouble.of(error, kind="review", subject=name))
    return found


def _concerns(failure: Failure, goal: Goal) -> bool:
    """Whether a failure is a goal's, or holds it back."""
    failed = failure.name if not failure.version else f"{failure.name}=={failure.version}"
    if goal.version is None:
        return any(each.partition("==")[0] == goal.name for each in (failed, *failure.held_back))
    return str(goal) in (failed, *failure.held_back)


def _trouble(failure: Failure, held: Collection[str]) -> Trouble:
    subject = failure.name if not failure.version else f"{failure.name}=={failure.version}"
    trouble = Trouble.of(failure.error, kind="build", subject=subject)
    return trouble.holding(each for each in held if each != subject)


def remember(site: Site, done: Done, goals: Sequence[Goal], taken: Taken, log: Log) -> None:
    """Note what the next pass must know of what was tried: what failed waits, what ended well is not stale.

    Args:
        site: The world.
        done: What came of the run.
        goals: What was asked for.
        taken: What became of it before the run.
        log: Knows what was not tried.
    """
    adapters = site.adapters
    state, channel, now = adapters.state, adapters.channel.name, adapters.now()
    for goal, error in (*done.unmet.items(), *taken.failed.items()):
        if error is not None and not isinstance(error, _NOT_ITS_FAULT):
            other = error.package[0] if error.package and error.package[0] != goal.name else ""
            note_failure(
                state,
                channel,
                goal.name,
                goal.version,
                mark=goal.mark,
                now=now,
                attempt=error.attempt,
                because_of=other,
            )
    waits = {str(goal) for goal in (*taken.waits, *(goal for goal, error in done.unmet.items() if error is None))}
    still = log.untried.intersection(state.fact(_WAITED, channel) or ())
    state.add_fact(_WAITED, channel, sorted(waits | still))
    for goal in goals:
        if goal.stale and goal not in done.unmet and any(map(goal.is_met_by, done.outcomes)):
            note_settled(state, channel, goal.stale)


def built(site: Site, done: Done, goals: Sequence[Goal], *, began: datetime) -> list[Built]:
    """What was published under a new number, and why.

    Args:
        site: The world.
        done: What came of the run.
        goals: What was asked for.
        began: When the pass began; what was made before it took it no time.
    """
    label, channel, state = site.adapters.channel.label, site.adapters.channel.name, site.adapters.state
    found = []
    for package, outcome in done.outcomes.items():
        if outcome.minted:
            attempt = state.attempt(outcome.made.attempt)
            fresh = attempt is not None and attempt.started >= timestamp(began)
            numbered = numbered_version(package[1], label, outcome.number)
            found.append(
                Built(
                    build=f"{channel}/{package[0]}=={numbered}",
                    name=package[0],
                    version=str(package[1]),
                    why=next((goal.why for goal in goals if goal.is_met_by(package)), "needed"),
                    seconds=(attempt.seconds or 0.0) if attempt and fresh else 0.0,
                )
            )
    return found

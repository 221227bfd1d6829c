"""Which packages need a build now, and why: what is published against what the workspace asks for (docs/upkeep.md).

States are compared, and no event is remembered: whatever was missed is found by the next look. Two things alone are
noted by whoever acts on what is found here, and both may be lost without harm: ``note_failure`` when it failed, and
``note_settled`` when it ended well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from packaging.requirements import Requirement
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.errors import PybuildError
from pybuilder.packages import Packages
from pybuilder.staleness.asked import Asked
from pybuilder.staleness.delays import Delay, Delays
from pybuilder.staleness.failures import note_failure
from pybuilder.staleness.judge import Judge, Policy, Reason, Why
from pybuilder.staleness.living import Living
from pybuilder.staleness.today import Today
from pybuilder.state import State
from pybuilder.tree import package_id

__all__ = [
    "Delay",
    "Delays",
    "Policy",
    "Stale",
    "StaleReport",
    "Unclear",
    "Why",
    "find_stale",
    "note_failure",
    "note_settled",
]

_SETTLED = "settled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stale:
    """A version of a package that needs a build.

    Attributes:
        name: The package.
        version: Its version; None where nothing of it is pinned or published: whichever the rules let be taken.
        why: The trigger.
        detail: In a few words.
        needed_by: How many packages need it, by what is published.
        due: When it is to be built; None for now.
        failures: How often it has failed as it is now.
        mark: The digest of what is asked for, by which its failures are noted.
        inputs: The digest of what moved inputs are now; empty where it is not for them that it is stale.
    """

    name: NormalizedName
    version: Version | None
    why: Why
    detail: str
    needed_by: int
    due: datetime | None
    failures: int
    mark: str
    inputs: str

    @property
    def requirement(self) -> Requirement:
        """What to ask for."""
        return Requirement(self.name if self.version is None else f"{self.name}=={self.version}")

    @property
    def is_forced(self) -> bool:
        """Whether it is built though its payload is known: somebody asked for a build."""
        return self.why == "request"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unclear:
    """Something of which nobody can say whether it is stale; it holds back nothing else.

    Attributes:
        subject: ``name==version``, a package, or a file of the workspace.
        error: Why not.
    """

    subject: str
    error: PybuildError


@dataclass(frozen=True, kw_only=True, slots=True)
class StaleReport:
    """What there is to do.

    Attributes:
        stale: What is to be built now, most needed first.
        delayed: What is to be built later: it has failed lately, or a policy or a request says so; soonest first.
        problems: What nobody can judge, in order of name.
        needed_by: How many packages need each, by what is published.
        delays: Knows how long anything else waits, such as a new version that nothing pins yet.
    """

    stale: tuple[Stale, ...]
    delayed: tuple[Stale, ...]
    problems: tuple[Unclear, ...]
    needed_by: Mapping[str, int]
    delays: Delays


def find_stale(packages: Packages, *, policy: Policy, now: datetime) -> StaleReport:
    """Find out which live packages need a build. Asks no network, unpacks nothing.

    Args:
        packages: The packages of a run; what it has found out of them so far plays no part.
        policy: When inputs that moved count: the lock, and payloads of build requirements.
        now: The time.
    """
    today = Today.look(packages, now=now)
    living = Living.of(today)
    asked = Asked.of(today, living)
    judge = Judge(
        today=today,
        living=living,
        requests=asked.requests,
        settled=_settled(today.adapters.state, today.adapters.channel.name),
        policy=policy,
    )
    problems = [Unclear(subject=subject, error=error) for subject, error in (*living.problems, *asked.problems)]
    found: list[tuple[NormalizedName, Version | None, Reason]] = []
    found += [(name, None, Reason(why="new", detail="nothing of it is pinned yet")) for name in living.unpinned]
    live = set(living.packages)
    for package in dict.fromkeys((*living.packages, *asked.requests)):
        try:
            reason = judge.judge(package) if package in live else judge.requested(package)
        except PybuildError as error:
            problems.append(Unclear(subject=package_id(package), error=error))
            continue
        if reason:
            found.append((*package, reason))
    return _report(found, problems, living, Delays.on(today))


def note_settled(state: State, channel: str, stale: Stale) -> None:
    """Note that a package was looked at to the end, down to its key, and that what is published of it is right.

    What a build environment would be now is foretold from what it was; a resolver may know better. Without a note it
    would be looked at again in each pass.

    Args:
        state: Where it is noted.
        channel: The channel.
        stale: The package, as it was found.
    """
    if stale.inputs:
        state.add_fact(_SETTLED, f"{channel}/{stale.name}=={stale.version}", stale.inputs)


def _settled(state: State, channel: str) -> dict[str, str]:
    prefix = f"{channel}/"
    return {key.removeprefix(prefix): inputs for key, inputs in state.facts(_SETTLED, prefix).items()}


def _report(
    found: Iterable[tuple[NormalizedName, Version | None, Reason]],
    problems: Iterable[Unclear],
    living: Living,
    delays: Delays,
) -> StaleReport:
    everything = []
    for name, version, reason in found:
        delay = delays.of(name, version, since=reason.since)
        now = delays.today.now
        due = max(delay.due, reason.not_before or now)
        everything.append(
            Stale(
                name=name,
                version=version,
                why=reason.why,
                detail=reason.detail,
                needed_by=living.needed_by[name],
                due=due if due > now else None,
                failures=delay.failures,
                mark=delay.mark,
                inputs=reason.inputs,
            )
        )
    everything.sort(key=lambda each: (-each.needed_by, each.name, str(each.version)))
    delayed = [(each.due, each) for each in everything if each.due is not None]
    return StaleReport(
        stale=tuple(each for each in everything if each.due is None),
        delayed=tuple(each for _, each in sorted(delayed, key=lambda pair: pair[0])),
        problems=tuple(sorted(problems, key=lambda each: each.subject)),
        needed_by=living.needed_by,
        delays=delays,
    )

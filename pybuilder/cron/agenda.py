"""What a pass is to build, and in which order: what somebody asked for, new versions, then what has only moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from packaging.requirements import Requirement
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.staleness import Delay, Stale, StaleReport
from pybuilder.tree import Package, package_id
from pybuilder.update import Finding

# Of what waits for the same budget, this comes first. What a person did is looked at by that person.
_ORDER = ("request", "recipe", "new", "update", "environment", "lock")


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """A version that is to be built.

    Attributes:
        name: The package.
        version: Its version; None for whichever the rules let be taken, where none is pinned.
        why: The trigger: ``update``, or what made it stale.
        detail: In a few words.
        needed_by: How many packages need it.
        mark: The digest of what is asked for, by which failures are noted.
        due: When it is to be built; None for now.
        replaces: The newest version that was pinned before in its series, of an update.
        stale: What was found, of what is stale.
    """

    name: NormalizedName
    version: Version | None
    why: str
    detail: str
    needed_by: int
    mark: str
    due: datetime | None = None
    replaces: Version | None = None
    stale: Stale | None = None

    @property
    def requirement(self) -> Requirement:
        """What to ask for."""
        return Requirement(str(self))

    @property
    def is_candidate(self) -> bool:
        """Whether it is a new version that is pinned when it is published, and not before."""
        return self.why == "update"

    @property
    def package(self) -> Package:
        """The version of the package, where it is known."""
        assert self.version is not None
        return self.name, self.version

    def is_met_by(self, package: Package) -> bool:
        """Whether a package is what is asked for."""
        return package[0] == self.name and self.version in (None, package[1])

    def __str__(self) -> str:
        return self.name if self.version is None else package_id((self.name, self.version))


@dataclass(frozen=True, kw_only=True, slots=True)
class Agenda:
    """What there is to do.

    Attributes:
        goals: To be built now, the first first.
        delayed: To be built later: it has failed lately, or a policy or a request says so; soonest first.
    """

    goals: tuple[Goal, ...]
    delayed: tuple[Goal, ...]


def draw_up(candidates: Iterable[Goal], report: StaleReport) -> Agenda:
    """Everything that is to be built, in order.

    Args:
        candidates: New versions.
        report: What is stale.
    """
    stale = [_goal(each) for each in (*report.stale, *report.delayed)]
    # Where nothing is pinned yet, the newest version is the first one.
    unpinned = {goal.name for goal in stale if goal.version is None}
    goals = [*stale, *(each for each in candidates if each.name not in unpinned)]
    goals.sort(key=lambda goal: (_ORDER.index(goal.why), -goal.needed_by, str(goal)))
    delayed = sorted((goal for goal in goals if goal.due), key=lambda goal: (goal.due, str(goal)))
    return Agenda(goals=tuple(goal for goal in goals if goal.due is None), delayed=tuple(delayed))


def candidates(
    findings: Sequence[Finding],
    *,
    needed_by: Mapping[str, int],
    delay: Callable[[NormalizedName, Version], Delay],
    now: datetime,
) -> list[Goal]:
    """The new versions that the rules let be taken without asking anybody.

    Args:
        findings: What upstream has.
        needed_by: How many packages need each.
        delay: How long a version waits because it has failed.
        now: The time.
    """
    found = []
    for finding in findings:
        refused = {each.version for each in finding.reuploads}
        for version in finding.news if finding.mode == "auto" else ():
            if version in refused:
                continue
            replaces, waits = finding.replaced(version), delay(finding.name, version)
            goal = Goal(
                name=finding.name,
                version=version,
                why="update",
                detail=f"{replaces} -> {version}" if replaces else f"{version} is the first",
                needed_by=needed_by.get(finding.name, 0),
                mark=waits.mark,
                due=waits.due if waits.due > now else None,
                replaces=replaces,
            )
            found.append(goal)
    return found


def _goal(stale: Stale) -> Goal:
    return Goal(
        name=stale.name,
        version=stale.version,
        why=stale.why,
        detail=stale.detail,
        needed_by=stale.needed_by,
        mark=stale.mark,
        due=stale.due,
        stale=stale,
    )

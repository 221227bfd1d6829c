"""What a pass is to build, and in which order: what somebody asked for, new versions, then what has only moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from packaging.requirements import Requirement
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.backoff import next_try
from pybuilder.plan import digest
from pybuilder.staleness import Stale, StaleReport
from pybuilder.staleness.failures import Noted
from pybuilder.tree import Package, package_id
from pybuilder.update import Finding
from pybuilder.workspace import Workspace

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
    workspace: Workspace,
    *,
    needed_by: Mapping[str, int],
    noted: Mapping[str, Noted],
    published: Mapping[str, datetime],
    now: datetime,
) -> list[Goal]:
    """The new versions that the rules let be taken without asking anybody.

    Args:
        findings: What upstream has.
        workspace: Whose specs and patches they are built with.
        needed_by: How many packages need each.
        noted: What has failed before, by ``name==version``.
        published: When a package was last published, by name.
        now: The time.
    """
    found = []
    for finding in findings:
        refused = {each.version for each in finding.reuploads}
        for version in finding.news if finding.mode == "auto" else ():
            if version in refused:
                continue
            replaces = finding.replaced(version)
            goal = Goal(
                name=finding.name,
                version=version,
                why="update",
                detail=f"{replaces} -> {version}" if replaces else f"{version} is the first",
                needed_by=needed_by.get(finding.name, 0),
                mark=_mark(finding, version, workspace),
                due=None,
                replaces=replaces,
            )
            found.append(_delayed(goal, noted.get(str(goal)), published, now))
    return found


def _delayed(goal: Goal, noted: Noted | None, published: Mapping[str, datetime], now: datetime) -> Goal:
    """The goal with the time from which it is tried again, where it has failed as it is now."""
    if noted is None or noted.mark != goal.mark:
        return goal
    # What another package held back may go on once that is there.
    never = datetime.min.replace(tzinfo=UTC)
    failed = [each.at for each in noted.failures if each.at >= published.get(each.because_of, never)]
    again = next_try(failed, now=now)
    return replace(goal, due=again) if again > now else goal


def _mark(finding: Finding, version: Version, workspace: Workspace) -> str:
    """The digest of all that a person or upstream may change so that a version builds."""
    assert finding.spec is not None
    patches = sorted((workspace.root / "patches" / finding.name).glob("*.patch"))
    return digest(
        [
            str(version),
            finding.judged.taken(version).sha256,
            {key: value for key, value in finding.spec.document.data.items() if key != "versions"},
            [path.read_text(errors="replace") for path in patches if path.is_file()],
        ]
    )


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

"""Who waits for a person: packages that nobody has accepted, new versions, sources in which something was found.

Whether an entry has been settled is read off the workspace each time: a spec, a pin or a rejection that appears in git
settles it like one that pybuild has written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from pybuilder.clock import timestamp
from pybuilder.errors import ConfigError
from pybuilder.screening.account import all_remembered
from pybuilder.screening.policy import allowing, is_screening
from pybuilder.state import State
from pybuilder.workspace import Workspace

if TYPE_CHECKING:
    from pybuilder.index import Index

UPDATE = "update"
"""Who wants a new version of an accepted package; the requirement is ``name==version``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """An entry of the queue.

    Attributes:
        name: The package, normalised.
        requirement: What is wanted of it.
        wanted_by: Who wants it; ``UPDATE`` for a new version of an accepted package.
        first_seen: Since when, in ISO 8601.
    """

    name: str
    requirement: str
    wanted_by: str
    first_seen: str

    @property
    def is_update(self) -> bool:
        """Whether it is a new version of an accepted package."""
        return self.wanted_by == UPDATE

    @property
    def is_screening(self) -> bool:
        """Whether something was found in its source."""
        return is_screening(self.wanted_by)

    @property
    def version(self) -> Version:
        """The version, of an update or a screening."""
        [specifier] = Requirement(self.requirement).specifier
        return Version(specifier.version)

    @property
    def as_json(self) -> dict[str, str]:
        """As it is published."""
        return asdict(self)


def waiting(state: State, name: str | None = None) -> tuple[Waiting, ...]:
    """The entries as they are remembered, the oldest first: all, or those of one package."""
    return tuple(Waiting(**row) for row in state.review() if name in (None, row["name"]))


def wanted_specifiers(entries: Sequence[Waiting]) -> tuple[SpecifierSet, ...]:
    """What those who wait for a package want of its version: all of them together, else one after the other.

    Args:
        entries: The package's, the oldest first; updates and screenings want no other version.
    """
    single = [Requirement(each.requirement).specifier for each in entries if not each.is_update]
    together = SpecifierSet()
    for specifier in single:
        together &= specifier
    return (together, *single)


def ask(
    state: State,
    workspace: Workspace,
    indexes: Sequence[Index],
    wanted: Sequence[tuple[str, str, str]],
    *,
    now: datetime,
) -> None:
    """Let ``(name, requirement, wanted_by)`` wait for a person, and renew the queue.

    Raises:
        ConfigError: The file that lists rejected packages is wrong.
    """
    state.ask_review(wanted, now=timestamp(now))
    renew(state, workspace, indexes)


def replace_waits(
    state: State,
    workspace: Workspace,
    index: Callable[[], Index],
    wanted: Sequence[tuple[str, str, str]],
    *,
    looked_at: Collection[str],
    now: datetime,
) -> None:
    """The same for what a run has found, in place of what was found in the sources that it has looked at.

    What the screening of a source has put there stays until a source of that package has passed.

    Args:
        state: Has the queue.
        workspace: Settles it.
        index: Where it is published; not asked for where nobody waits, since it is much to import.
        wanted: ``(name, requirement, wanted_by)``.
        looked_at: The packages whose sources the run has looked at.
        now: The time.

    Raises:
        ConfigError: The file that lists rejected packages is wrong.
    """
    there = [(each.name, each.requirement, each.wanted_by) for each in waiting(state)]
    if not wanted and not there:
        return
    # What still waits for the same keeps the time since when it does.
    passed = [each for each in there if is_screening(each[2]) and each[0] in looked_at and each not in wanted]
    state.settle_review(passed)
    ask(state, workspace, [index()], wanted, now=now)


def renew(state: State, workspace: Workspace, indexes: Sequence[Index]) -> tuple[Waiting, ...]:
    """Take out of the queue what the workspace has settled, and publish what is left beside the indexes.

    Returns:
        What still waits, the oldest first.

    Raises:
        ConfigError: The file that lists rejected packages is wrong.
    """
    accepted = frozenset(workspace.spec_names())
    entries = waiting(state)
    settled = {each for each in entries if _is_settled(each, state, workspace, accepted)}
    if settled:
        state.settle_review([(each.name, each.requirement, each.wanted_by) for each in settled])
    left = tuple(each for each in entries if each not in settled)
    rejected = [{"name": name, **each.as_json} for name, each in sorted(workspace.rejections.items())]
    for index in indexes:
        index.write_review([each.as_json for each in left], rejected)
    return left


def _is_settled(entry: Waiting, state: State, workspace: Workspace, accepted: frozenset[str]) -> bool:
    if entry.is_update:
        return entry.name not in accepted or _is_decided(entry, workspace)
    if entry.is_screening:
        rejected = entry.name not in accepted and bool(workspace.refusal(entry.name))
        return rejected or _is_allowed(entry, state, workspace)
    return entry.name in accepted or bool(workspace.refusal(entry.name))


def _is_allowed(entry: Waiting, state: State, workspace: Workspace) -> bool:
    """Whether nothing of what was found in the source holds it any more, by what ``[screen]`` says now."""
    accounts = [each for each in all_remembered(state, entry.name) if Version(each["version"]) == entry.version]
    return bool(accounts) and not any(
        allowing(entry.name, each, workspace.settings.screen, sha256=each["sha256"]) for each in accounts
    )


def _is_decided(entry: Waiting, workspace: Workspace) -> bool:
    """Whether a spec pins or ignores the version; while it can't be read, nobody knows."""
    try:
        spec = workspace.spec(entry.name)
    except ConfigError:
        return False
    version = entry.version
    return spec is not None and (
        spec.pin(version) is not None or any(each.contains(version, prereleases=True) for each in spec.update.ignore)
    )

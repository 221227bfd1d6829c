"""Our builds of what upstream yanks or deletes are yanked too, and no longer so when upstream takes it back.

What upstream says is rubbish now and then: a page that is empty, or has lost half of what it had. A yank is said in so
many words and believed at once; that a version is gone is believed only when it stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from packaging.version import Version

from pybuilder.clock import timestamp
from pybuilder.filenames import sdist_version, wheel_version
from pybuilder.index import Index
from pybuilder.names import NormalizedName, numbered_version, printable
from pybuilder.state import State
from pybuilder.upstream import Project

PATIENCE = timedelta(hours=24)
"""How long a version must have been missed before it counts as deleted."""
LONG_PATIENCE = timedelta(days=7)
"""The same where most of a project's versions are missed at once."""
DELETED = "upstream deleted it"
_YANKED = "upstream yanked it"
_SAID = "upstream: "
_LONGEST = 300  # characters of a reason
_FACT = "upstream-versions"


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What upstream says now of a package, in an answer that could be read.

    Attributes:
        name: The package.
        versions: Every version that has a file, as PEP 440 writes it, and why it is yanked; None where it is not.
    """

    name: NormalizedName
    versions: Mapping[str, str | None]

    @classmethod
    def by(cls, project: Project, pinned: Mapping[str, str]) -> Told:
        """What the page of an index says.

        A version is yanked (PEP 592, which speaks of files) where the file that we pinned is, or where all its files
        are; it is there as long as any file of it is.

        Args:
            project: The page.
            pinned: The names of the files that the spec pins, by version.
        """
        files: dict[Version, dict[str, str | None]] = {}
        for file in project.files:
            version = wheel_version(file.filename) or sdist_version(file.filename, project.name)
            if version is not None:
                files.setdefault(version, {})[file.filename] = file.yanked_reason if file.yanked else None
        return cls(
            name=project.name,
            versions={str(version): _why(reasons, pinned.get(str(version), "")) for version, reasons in files.items()},
        )


def _why(reasons: Mapping[str, str | None], pinned: str) -> str | None:
    """Why a version is yanked, from what is said of its files."""
    if reasons.get(pinned) is not None:
        return reasons[pinned]
    said = [reason for reason in reasons.values() if reason is not None]
    return next(filter(None, said), "") if len(said) == len(reasons) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Absence:
    """A version that upstream had, and has not now.

    Attributes:
        since: When it was first missed.
        again: Whether it was missed once more after that.
    """

    since: datetime
    again: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """What was seen of a package when upstream was last asked.

    Attributes:
        there: The versions that there were.
        missing: Those that there had been.
        doubt: Why what upstream says is not believed; empty if it is.
    """

    there: frozenset[str] = frozenset()
    missing: Mapping[str, Absence] = field(default_factory=dict)
    doubt: str = ""

    @classmethod
    def load(cls, raw: Mapping[str, Any]) -> Sight:
        """A sight as it is kept in the state."""
        missing = {
            version: Absence(since=datetime.fromisoformat(since), again=again)
            for version, (since, again) in raw["missing"].items()
        }
        return cls(there=frozenset(raw["there"]), missing=missing, doubt=raw["doubt"])

    def dump(self) -> dict[str, Any]:
        """The form in which it is kept."""
        missing = {version: [timestamp(one.since), one.again] for version, one in self.missing.items()}
        return {"there": sorted(self.there), "missing": missing, "doubt": self.doubt}


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What follows for one package.

    Attributes:
        changes: Why versions are yanked from now on; None where they are not any more.
        sight: What is to be remembered.
    """

    changes: Mapping[str, str | None]
    sight: Sight


def decide(told: Told, *, ours: Collection[str], yanked: Mapping[str, str], before: Sight, now: datetime) -> Decision:
    """Which versions are to be yanked, and which no longer, and what is to be remembered.

    Args:
        told: What upstream says.
        ours: The versions that we have published or pinned.
        yanked: Those that are yanked in our index, and why. A reason that doesn't begin with ``upstream`` is somebody
            else's, and stays.
        before: What was remembered.
        now: The time.
    """
    there = told.versions.keys()
    if not there:
        return Decision(changes={}, sight=Sight(there=before.there, missing=before.missing, doubt=_EMPTY))
    # What was yanked before it was deleted is settled; what we have was there, whether or not we looked then.
    seen = before.there | before.missing.keys() | ((set(ours) | there) - yanked.keys())
    missed = seen - there
    most = len(missed) > 1 and 2 * len(missed) > len(seen)
    absences = {version: _missed(before.missing.get(version), now) for version in missed}
    patience = LONG_PATIENCE if most else PATIENCE
    deleted = {version for version, one in absences.items() if one.again and now - one.since >= patience}
    changes: dict[str, str | None] = {}
    for version in sorted({*ours, *yanked}):
        current = yanked.get(version)
        if current is None or current.startswith("upstream"):
            wanted = current
            if version in there:
                wanted = _reason(told.versions[version])
            elif version in deleted:
                wanted = current or DELETED
            if wanted != current:
                changes[version] = wanted
    kept = {version: one for version, one in absences.items() if version not in deleted}
    doubt = f"upstream's answer lacks {len(kept)} of {len(seen)} versions that it had" if most and kept else ""
    return Decision(changes=changes, sight=Sight(there=frozenset(there), missing=kept, doubt=doubt))


_EMPTY = "upstream's answer has no version at all"


def _missed(before: Absence | None, now: datetime) -> Absence:
    # A clock that was set back must not make it wait until it has caught up.
    return Absence(since=now) if before is None else Absence(since=min(before.since, now), again=True)


def _reason(said: str | None) -> str | None:
    if said is None:
        return None
    text = printable(" ".join(said.split()))[:_LONGEST].strip()
    return f"{_SAID}{text}" if text else _YANKED


def yank_told(
    told: Iterable[Told],
    *,
    pinned: Mapping[NormalizedName, Collection[Version]],
    confirm: Callable[[NormalizedName], Told | None],
    index: Index,
    state: State,
    channel: str,
    now: datetime,
) -> tuple[tuple[str, str], ...]:
    """Yank what a channel has published of what upstream yanked or deleted, and take yanks back; all of it or nothing.

    Args:
        told: What upstream says of packages; those of which it says nothing now stay as they are.
        pinned: The versions that specs pin.
        confirm: Asked before anything changes of a package: what upstream says when it is asked for every file; None
            where it can't be asked.
        index: The channel's index.
        state: Has what was published, and remembers what was missed.
        channel: The channel.
        now: The time.

    Returns:
        The builds that were not yanked before, as ``CHANNEL/NAME==VERSION+LABEL.N``, and why they are.
    """
    builds = _builds(state, channel)
    yanked, remembered = index.yanked(), state.facts(_FACT, "")
    changes: dict[tuple[NormalizedName, Version], str | None] = {}
    sights: dict[str, Sight] = {}
    new: list[tuple[str, str]] = []
    for each in told:
        there = builds.get(each.name, {})
        before = {str(version): reason for version, reason in yanked.get(each.name, {}).items()}
        known = Sight.load(remembered[each.name]) if each.name in remembered else Sight()
        judge = partial(
            decide, ours={*map(str, pinned.get(each.name, ())), *there}, yanked=before, before=known, now=now
        )
        decision = judge(each)
        if decision.changes:
            confirmed = confirm(each.name)
            if confirmed is None:
                continue
            decision = judge(confirmed)
        if decision.sight != known:
            sights[each.name] = decision.sight
        for version, reason in decision.changes.items():
            changes[each.name, Version(version)] = reason
            if reason is not None and version not in before:
                new += [(build, reason) for build in there.get(version, ())]
    if changes:
        index.yank(changes)
    _remember(state, sights)
    return tuple(sorted(new))


def _builds(state: State, channel: str) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """The names of a channel's builds, by package and version."""
    found: dict[str, dict[str, list[str]]] = {}
    for build in state.published_builds(channel):
        numbered = numbered_version(Version(build["version"]), build["label"], build["number"])
        same = found.setdefault(build["name"], {}).setdefault(build["version"], [])
        same.append(f"{channel}/{build['name']}=={numbered}")
    return found


def _remember(state: State, sights: Mapping[str, Sight]) -> None:
    # After the index: what was to be yanked is found again by the next pass if this one dies in between.
    if sights:
        with state.transaction():
            for name, sight in sights.items():
                state.add_fact(_FACT, name, sight.dump())


def doubts(state: State) -> Mapping[str, str]:
    """Why what upstream said last of a package is not believed, by package."""
    return {name: raw["doubt"] for name, raw in sorted(state.facts(_FACT, "").items()) if raw["doubt"]}

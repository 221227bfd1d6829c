"""What is to be yanked, from what upstream says now and what it said before; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pybuilder.candidates import Found
from pybuilder.clock import timestamp
from pybuilder.names import NormalizedName
from pybuilder.printable import printable

PATIENCE = timedelta(hours=24)
"""How long a version must have been missed, in one answer after the other, before it counts as deleted."""
LONG_PATIENCE = timedelta(days=7)
"""The same where most of a project's versions are missed at once."""
DELETED = "upstream deleted it"
_YANKED = "upstream yanked it"
_SAID = "upstream: "
_LONGEST = 300  # characters of a reason


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
    def of(cls, name: NormalizedName, listed: Iterable[Found], pinned: Mapping[str, str]) -> Told:
        """What an index says of a project's files.

        A version is yanked (PEP 592, which speaks of files) where the file that we pinned is, or where all its files
        are; it is there as long as any file of it is.

        Args:
            name: The project.
            listed: Its files.
            pinned: The names of the files that the spec pins, by version.
        """
        files: dict[str, dict[str, str | None]] = {}
        for found in listed:
            files.setdefault(found.text, {})[found.file] = found.yanked
        versions = {version: _why(reasons, pinned.get(version, "")) for version, reasons in files.items()}
        return cls(name=name, versions=versions)


def _why(reasons: Mapping[str, str | None], pinned: str) -> str | None:
    """Why a version is yanked, from what is said of its files."""
    if reasons.get(pinned) is not None:
        return reasons[pinned]
    said = [reason for reason in reasons.values() if reason is not None]
    return next(filter(None, said), "") if len(said) == len(reasons) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """What was seen of a package when upstream was last asked.

    Attributes:
        there: The versions that there were.
        missing: Those that there had been, and when each was first missed.
        doubt: Why what upstream says is not believed; empty if it is.
    """

    there: frozenset[str] = frozenset()
    missing: Mapping[str, datetime] = field(default_factory=dict)
    doubt: str = ""

    @classmethod
    def load(cls, raw: Mapping[str, Any]) -> Sight:
        """A sight as it is kept in the state."""
        missing = {version: datetime.fromisoformat(since) for version, since in raw["missing"].items()}
        return cls(there=frozenset(raw["there"]), missing=missing, doubt=raw["doubt"])

    def dump(self) -> dict[str, Any]:
        """The form in which it is kept."""
        missing = {version: timestamp(since) for version, since in self.missing.items()}
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


def decide(
    told: Told,
    *,
    pinned: Collection[str],
    published: Collection[str],
    yanked: Mapping[str, str],
    before: Sight,
    now: datetime,
) -> Decision:
    """Which versions are to be yanked, and which no longer, and what is to be remembered.

    Args:
        told: What upstream says.
        pinned: The versions that we have pinned to what was there once.
        published: The versions that we have published.
        yanked: Those that are yanked in our index, and why. A reason that doesn't begin with ``upstream`` is somebody
            else's, and stays.
        before: What was remembered.
        now: The time.
    """
    there = told.versions.keys()
    if not there:
        return Decision(changes={}, sight=Sight(there=before.there, missing=before.missing, doubt=_EMPTY))
    # What was yanked before it was deleted is settled.
    seen = before.there | before.missing.keys() | there | (set(pinned) - yanked.keys())
    missed = seen - there
    most = 2 * len(missed) > len(seen)
    # A clock that was set back must not make it wait until it has caught up.
    absences = {version: min(before.missing.get(version, now), now) for version in missed}
    patience = LONG_PATIENCE if most else PATIENCE
    deleted = {version for version, since in absences.items() if now - since >= patience}
    changes: dict[str, str | None] = {}
    for version in sorted({*pinned, *published, *yanked}):
        current = yanked.get(version)
        if current is None or current.startswith("upstream"):
            wanted = current
            if version in there:
                wanted = _reason(told.versions[version])
            elif version in deleted:
                wanted = current or DELETED
            if wanted != current:
                changes[version] = wanted
    kept = {version: since for version, since in absences.items() if version not in deleted}
    doubt = f"upstream's answer lacks {len(kept)} of {len(seen)} versions that it had" if most and kept else ""
    return Decision(changes=changes, sight=Sight(there=frozenset(there), missing=kept, doubt=doubt))


_EMPTY = "upstream's answer has no version at all"


def _reason(said: str | None) -> str | None:
    if said is None:
        return None
    text = printable(" ".join(said.split()))[:_LONGEST].strip()
    return f"{_SAID}{text}" if text else _YANKED

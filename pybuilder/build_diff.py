"""What changed between two attempts, as far as anything is kept of them; and why an attempt was no cache hit."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybuilder.errors import StateError, UsageError
from pybuilder.layout import Layout
from pybuilder.plan_diff import Account, Change, circumstance_changes, input_changes
from pybuilder.record import read_plan, read_record
from pybuilder.state import Attempt, State
from pybuilder.store import Store
from pybuilder.wheel.differences import Differences, differences
from pybuilder.wheel.numbering import strip
from pybuilder.work import work_directory


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildDiff:
    """What changed between two attempts.

    Attributes:
        changes: What went into them, and around them.
        payloads: The sha256 of what each made; None where it made none.
        wheels: How these differ; None where one of them is not there.
        without: Why they were not compared; empty if they were.
    """

    changes: tuple[Change, ...]
    payloads: tuple[str | None, str | None]
    wheels: Differences | None
    without: str

    @property
    def same(self) -> bool:
        """Whether nothing changed."""
        return not self.changes and self.payloads[0] == self.payloads[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """Why an attempt was made, though there was one before it.

    Attributes:
        before: The attempt before it of the same package, channel and target; None where it was the first.
        changes: The inputs that are not the same.
        sentence: The same for people.
    """

    before: Attempt | None
    changes: tuple[Change, ...]
    sentence: str

    @property
    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "before": self.before.id if self.before else None,
            "sentence": self.sentence,
            "changes": [change.as_json for change in self.changes],
        }


def compare(before: Attempt, after: Attempt, *, layout: Layout, state: State) -> BuildDiff:
    """Compare two attempts: plans, records, and payloads where both made one.

    Args:
        before: The one.
        after: The other.
        layout: Where their records and payloads are.
        state: Knows the published wheels, of which a payload that is gone can be made again.

    Raises:
        UsageError: One of them is still running.
        StateError: The record of one is missing or damaged.
    """
    accounts = [account_of(attempt, layout) for attempt in (before, after)]
    changes = (*input_changes(*accounts), *circumstance_changes(*accounts))
    wheels, without = None, ""
    if failed := [attempt for attempt in (before, after) if attempt.payload is None]:
        without = f"{' and '.join(attempt.id for attempt in failed)} made no wheel"
    elif before.payload != after.payload:
        with work_directory(layout, f"diff-{secrets.token_hex(4)}") as work:
            files = [_payload(attempt, work / attempt.id, layout, state) for attempt in (before, after)]
            if all(files):
                wheels = differences(*(file for file in files if file))
            else:
                without = "a payload is gone from the store and from the index"
    return BuildDiff(changes=changes, payloads=(before.payload, after.payload), wheels=wheels, without=without)


def account_of(attempt: Attempt, layout: Layout) -> Account:
    """What is written down of an attempt that has ended.

    Raises:
        UsageError: It is still running.
        StateError: It is missing or damaged.
    """
    if attempt.state == "running":
        raise UsageError(f"{attempt.id} is still running", cure=f"wait for it: pybuild log -f {attempt.id}")
    directory = layout.record(attempt.key, attempt.id)
    return Account(plan=read_plan(directory), record=read_record(directory))


def _payload(attempt: Attempt, work: Path, layout: Layout, state: State) -> Path | None:
    """The payload of an attempt: from the store, else made of a published wheel; None where that is gone as well."""
    stored = Store(layout).payload(attempt.payload or "")
    if stored is not None:
        return stored
    for wheel in state.published_anywhere(attempt.name):
        published = layout.index(wheel.channel) / "files" / wheel.wheel
        if wheel.payload == attempt.payload and published.is_file():
            work.mkdir()
            target = work / (attempt.filename or "")
            if strip(published, target, label=wheel.label) == attempt.payload:
                return target
    return None


def cause(attempt: Attempt, attempts: Sequence[Attempt], layout: Layout) -> Cause:
    """Why an attempt was no cache hit: which input is not that of the attempt before.

    Args:
        attempt: One that has begun.
        attempts: All of its package, newest first.
        layout: Where records are.
    """
    before = _before(attempt, attempts)
    if before is None:
        return Cause(before=None, changes=(), sentence="the first of this package here")
    if before.key == attempt.key:
        how = {
            "succeeded": "which succeeded: it was asked for all the same, or the payload was gone",
            "failed": "which failed",
        }.get(before.state, "which was running")
        return Cause(before=before, changes=(), sentence=f"nothing changed since {before.id}, {how}")
    try:
        changes = input_changes(account_of(before, layout), account_of(attempt, layout))
    except (StateError, UsageError) as error:
        return Cause(before=before, changes=(), sentence=f"not known: {error.what}")
    return Cause(before=before, changes=changes, sentence=_sentence(changes, before))


def _before(attempt: Attempt, attempts: Sequence[Attempt]) -> Attempt | None:
    """The attempt before: of the same version if there is one, else of another."""
    place = (attempt.channel, attempt.target)
    earlier = [each for each in attempts if each.id < attempt.id and (each.channel, each.target) == place]
    same = [each for each in earlier if each.version == attempt.version]
    return next(iter([*same, *earlier]), None)


def _sentence(changes: Sequence[Change], before: Attempt) -> str:
    parts: dict[str, list[str]] = {}
    for change in changes:
        parts.setdefault(change.part, []).append(change.what)
    told = "; ".join(f"{part} ({', '.join(dict.fromkeys(names))})" for part, names in parts.items())
    # Equal inputs of another format of plans have other keys.
    return f"changed since {before.id}: {told or 'the format of plans'}"

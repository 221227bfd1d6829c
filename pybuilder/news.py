"""What there is to tell that has not been told, found by comparing the state with what it says has been told.

So a pass that is killed anywhere loses nothing: what it published, queued and applied is still there for the next,
which tells it. What was there before the first pass is no news.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from packaging.version import Version

from pybuilder.names import numbered_version
from pybuilder.pass_messages import Document, Envelope, build_complete, review_requested, update_applied
from pybuilder.passes import Awaited, Built, Pass, Updated
from pybuilder.state import State

_TOLD = "told"
_NOTED = "told-noted"
_UPDATES_KEPT = 1000


def begin(state: State, channel: str) -> None:
    """Where nothing has ever been told of a channel, take what it has now for told."""
    with state.transaction():
        if state.fact(_TOLD, channel) is None:
            waiting = [_wish(entry["name"], entry["requirement"]) for entry in state.review()]
            state.add_fact(_TOLD, channel, {"builds": _highest(state, channel), "review": waiting, "updates": []})


def note(state: State, channel: str, updated: Updated) -> None:
    """Keep an update that has just been committed for ``collect``, which may be another pass's."""
    with state.transaction():
        noted = _noted(state, channel)
        fields = {"name": updated.name, "old": updated.old, "new": updated.new, "commit": updated.commit}
        state.add_fact(_NOTED, channel, [*noted, fields | {"needed_by": updated.needed_by}])


def collect(state: State, pass_: Pass, now: Callable[[], datetime], hand_on: Callable[[list[Document]], None]) -> None:
    """Hand on the messages of what has not been told, and note that it has: both or neither.

    Args:
        state: Knows what was told.
        pass_: Says what its builds and updates were for, and who waits.
        now: The time, in UTC.
        hand_on: Keeps the messages in the state.
    """
    begin(state, pass_.channel)
    with state.transaction():
        before = state.fact(_TOLD, pass_.channel)
        told = _Told(**before)
        envelope = _Envelopes(pass_=pass_, time=now())
        messages = [
            *(update_applied(envelope.new(), each) for each in _updates(state, pass_, told)),
            *(build_complete(envelope.new(), each) for each in _builds(state, pass_, told)),
            *(review_requested(envelope.new(), each) for each in _reviews(pass_, told)),
        ]
        if messages:
            hand_on(messages)
        if (after := told.after(state, pass_)) != before:
            state.add_fact(_TOLD, pass_.channel, after)
        if _noted(state, pass_.channel):
            state.add_fact(_NOTED, pass_.channel, [])


@dataclass(frozen=True, slots=True)
class _Told:
    """What has been told of a channel.

    Attributes:
        builds: By ``name==version`` the highest number: numbers only grow.
        review: Who waited when that was told last.
        updates: The last ones, each with its commit.
    """

    builds: Mapping[str, int]
    review: list[str]
    updates: list[str]

    def after(self, state: State, pass_: Pass) -> dict[str, Any]:
        """What will have been told."""
        # A pass that did not come to its end does not know who still waits.
        waiting = [_wish(each.name, each.requirement) for each in pass_.review]
        kept = [wish for wish in self.review if wish not in waiting] if pass_.outcome == "failed" else []
        updates = [*self.updates, *(_applied(each) for each in _updates(state, pass_, self))]
        return {
            "builds": _highest(state, pass_.channel),
            "review": kept + waiting,
            "updates": updates[-_UPDATES_KEPT:],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Envelopes:
    pass_: Pass
    time: datetime

    def new(self) -> Envelope:
        return Envelope(
            id=str(uuid.uuid4()),
            time=self.time,
            run=self.pass_.run,
            workspace=self.pass_.workspace,
            channel=self.pass_.channel,
        )


def _builds(state: State, pass_: Pass, told: _Told) -> Iterator[Built]:
    known = {built.build: built for built in pass_.built}
    for row in state.numbers(pass_.channel):
        if row["number"] <= told.builds.get(f"{row['name']}=={row['version']}", 0):
            continue
        numbered = numbered_version(Version(row["version"]), row["label"], row["number"])
        build = f"{pass_.channel}/{row['name']}=={numbered}"
        # Published by a pass that was killed, or by a person's own run.
        unknown = Built(build=build, name=row["name"], version=row["version"], why="", seconds=0.0)
        yield known.get(build, unknown)


def _reviews(pass_: Pass, told: _Told) -> Iterator[Awaited]:
    seen = set(told.review)
    for each in pass_.review:
        if (wish := _wish(each.name, each.requirement)) not in seen:
            seen.add(wish)
            yield each


def _updates(state: State, pass_: Pass, told: _Told) -> list[Updated]:
    found = {_applied(each): each for each in (*_noted_updates(state, pass_.channel), *pass_.updated)}
    return [each for applied, each in found.items() if applied not in told.updates]


def _highest(state: State, channel: str) -> dict[str, int]:
    # By name, then number: of each version the last is the highest.
    return {f"{row['name']}=={row['version']}": row["number"] for row in state.numbers(channel)}


def _noted(state: State, channel: str) -> list[Any]:
    return state.fact(_NOTED, channel) or []


def _noted_updates(state: State, channel: str) -> Iterator[Updated]:
    return (Updated(**fields) for fields in _noted(state, channel))


def _wish(name: str, requirement: str) -> str:
    """What waits: a package, whoever else wants it in whatever version, or one version of it."""
    return f"{name} {requirement}" if "==" in requirement else name


def _applied(updated: Updated) -> str:
    return f"{updated.name}=={updated.new} {updated.commit}"

"""What failed without an attempt to show for it, by package: a source that can't be had, requirements that clash.

An attempt that failed is in the database already. What else fails is noted here, so that it is tried again later and
later; a note that is lost only makes it tried sooner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from packaging.version import Version

from pybuilder.clock import timestamp
from pybuilder.state import State

_FACT = "failures"
# More make no difference to the delay.
_KEPT = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One failure.

    Attributes:
        at: When.
        attempt: The id of the attempt that it ended, if there was one.
        because_of: The package that held it back by failing itself, if another one did.
    """

    at: datetime
    attempt: str
    because_of: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """What was noted of one version of a package.

    Attributes:
        mark: The digest of what was tried; another one is another matter.
        failures: Oldest first.
    """

    mark: str
    failures: tuple[Failure, ...]


def note_failure(
    state: State,
    channel: str,
    name: str,
    version: Version | None,
    *,
    mark: str,
    now: datetime,
    attempt: str = "",
    because_of: str = "",
) -> None:
    """Note that a package failed.

    Args:
        state: Where it is noted.
        channel: The channel.
        name: The package.
        version: Its version, or None where it has none yet.
        mark: The digest of what was tried, as whoever found it stale said.
        now: The time.
        attempt: The id of the attempt that failed, or whose payload was refused, if there was one.
        because_of: The package that failed and so held this one back, if it was another one; once that is published,
            this one is tried at once.
    """
    with state.transaction():
        key = _key(channel, name, version)
        known = state.fact(_FACT, key)
        before = known["failures"] if known and known["mark"] == mark else []
        failures = [*before, [timestamp(now), attempt, because_of]][-_KEPT:]
        state.add_fact(_FACT, key, {"mark": mark, "failures": failures})


def noted_failures(state: State, channel: str) -> Mapping[str, Noted]:
    """What was noted in a channel, by ``name==version``, or ``name==`` where there was no version."""
    return {
        key.removeprefix(f"{channel}/"): Noted(
            mark=value["mark"],
            failures=tuple(map(_failure, value["failures"])),
        )
        for key, value in state.facts(_FACT, f"{channel}/").items()
    }


def _failure(raw: Sequence[str]) -> Failure:
    at, attempt, because_of = raw
    return Failure(at=datetime.fromisoformat(at), attempt=attempt, because_of=because_of)


def _key(channel: str, name: str, version: Version | None) -> str:
    return f"{channel}/{name}=={'' if version is None else version}"

"""What was built when, what came of it, how long it took, what fails and what is flaky: read off the attempts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from statistics import fmean, median
from typing import Literal, NamedTuple, get_args

from packaging.version import Version

from pybuilder.clock import timestamp
from pybuilder.names import numbered_version
from pybuilder.state import INTERRUPTED, State

Outcome = Literal["succeeded", "failed", "interrupted", "running"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class Try(NamedTuple):
    """One attempt, as far as a history tells; a tuple, since there may be a hundred thousand.

    Attributes:
        id: Its id, which sorts by time.
        key: The digest of its plan.
        name: Normalised package name.
        version: Upstream's.
        channel: Where it would be published.
        target: ``cp311-linux_x86_64``.
        outcome: How it ended.
        started: UTC, ISO 8601.
        seconds: How long it took; None while it runs.
        phase: Where it failed, or None.
        error: The sentence, or None.
        payload: sha256 of what it made, or None.
    """

    id: str
    key: str
    name: str
    version: str
    channel: str
    target: str
    outcome: Outcome
    started: str
    seconds: float | None
    phase: str | None
    error: str | None
    payload: str | None


_COLUMNS = [column if column != "outcome" else "state" for column in Try._fields]


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """One numbered build.

    Attributes:
        channel: Where it was published.
        name: Normalised package name.
        version: Upstream's.
        label: The word before its number.
        number: Its number.
        published: UTC, ISO 8601.
    """

    channel: str
    name: str
    version: str
    label: str
    number: int
    published: str

    @property
    def build(self) -> str:
        """``CHANNEL/NAME==VERSION+LABEL.N``."""
        return f"{self.channel}/{self.name}=={numbered_version(Version(self.version), self.label, self.number)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Streak:
    """Failures in a row that nothing has ended: no success of this version, or of a newer one, came after them.

    Attributes:
        name: Normalised package name.
        version: Upstream's.
        channel: The channel.
        target: The target.
        failures: How many.
        since: When the first of them began.
        last: The newest of them.
    """

    name: str
    version: str
    channel: str
    target: str
    failures: int
    since: str
    last: Try


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaky:
    """A plan that came to different ends though nothing in it differed.

    Attributes:
        key: The plan's digest.
        name: Normalised package name.
        version: Upstream's.
        channel: Of its newest attempt.
        target: The target.
        succeeded: How many attempts made a payload.
        failed: How many failed.
        payloads: How many different payloads were made.
        last: When the newest of its attempts began.
    """

    key: str
    name: str
    version: str
    channel: str
    target: str
    succeeded: int
    failed: int
    payloads: int
    last: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What came of some attempts.

    Attributes:
        outcomes: How many ended in each way; those that none did are left out.
        published: How many builds were published in the same time.
        mean: Seconds that those took that succeeded; None where none did.
        median: The same, so that a few that took very long don't tell.
    """

    outcomes: Mapping[Outcome, int]
    published: int
    mean: float | None
    median: float | None

    @classmethod
    def of(cls, tries: Iterable[Try], published: int) -> Counts:
        """Count."""
        tries = list(tries)
        seconds = [one.seconds for one in tries if one.outcome == "succeeded" and one.seconds is not None]
        return cls(
            outcomes=Counter(one.outcome for one in tries),
            published=published,
            mean=fmean(seconds) if seconds else None,
            median=median(seconds) if seconds else None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Chronicle:
    """The history of one package.

    Attributes:
        name: Normalised.
        counts: What came of its attempts.
        tries: Those in the time that was asked for, newest first.
        published: Its builds of that time, newest first.
        streaks: What fails, the longest first; their failures count whenever they were.
        flaky: Its plans that came to different ends in that time, the newest first.
    """

    name: str
    counts: Counts
    tries: Sequence[Try]
    published: Sequence[Publication]
    streaks: tuple[Streak, ...]
    flaky: tuple[Flaky, ...]

    @property
    def last(self) -> str:
        """When something last happened to it."""
        moments = [each.started for each in self.tries[:1]] + [each.published for each in self.published[:1]]
        return max(moments, default="")


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The history of a state.

    Attributes:
        since: From when on; None for all of it.
        counts: What came of all attempts.
        packages: Each package to which something happened in that time, those of the latest first.
    """

    since: datetime | None
    counts: Counts
    packages: tuple[Chronicle, ...]

    @property
    def streaks(self) -> tuple[Streak, ...]:
        """Everything that fails, the longest streak first."""
        return _longest_first(streak for package in self.packages for streak in package.streaks)

    @property
    def flaky(self) -> tuple[Flaky, ...]:
        """Every plan that came to different ends, the newest first."""
        return _newest_first(flaky for package in self.packages for flaky in package.flaky)


def read_history(
    state: State, *, name: str | None = None, since: datetime | None = None, dead: Collection[str] = ()
) -> History:
    """The history of a state.

    Args:
        state: The database.
        name: Of this package only.
        since: Only what happened from then on; a streak that goes on counts from its beginning.
        dead: Ids of attempts that are written down as running and whose process is gone.
    """
    begin = "" if since is None else timestamp(since)
    tries: dict[str, list[Try]] = {}
    for one in map(Try._make, state.told(_COLUMNS, name)):
        tries.setdefault(one.name, []).append(_told(one, dead) if one.outcome != "succeeded" else one)
    published: dict[str, list[Publication]] = {}
    for build in state.published_builds(name=name):
        if build["published"] >= begin:
            published.setdefault(build["name"], []).append(Publication(**build))
    packages = [_chronicle(each, tries.get(each, ()), published.get(each, ()), begin) for each in {*tries, *published}]
    there = [package for package in packages if package.last]
    counts = Counts.of((one for package in there for one in package.tries), sum(len(p.published) for p in there))
    ordered = sorted(there, key=lambda package: (package.last, package.name), reverse=True)
    return History(since=since, counts=counts, packages=tuple(ordered))


def _told(one: Try, dead: Collection[str]) -> Try:
    stopped = one.outcome == "failed" and (one.error or "").startswith(INTERRUPTED)
    return one._replace(outcome="interrupted") if stopped or one.id in dead else one


def _chronicle(name: str, tries: Sequence[Try], published: Sequence[Publication], begin: str) -> Chronicle:
    shown = [one for one in reversed(tries) if one.started >= begin]
    return Chronicle(
        name=name,
        counts=Counts.of(shown, len(published)),
        tries=shown,
        published=sorted(published, key=lambda build: (build.published, build.number), reverse=True),
        streaks=tuple(streak for streak in find_streaks(tries) if streak.last.started >= begin),
        flaky=find_flaky(shown),
    )


def find_streaks(tries: Iterable[Try]) -> tuple[Streak, ...]:
    """What fails, the longest streak first.

    Args:
        tries: Attempts, oldest first.
    """
    failing: dict[tuple[str, str, str], dict[str, list[Try]]] = {}
    for one in tries:
        place = (one.name, one.channel, one.target)
        if one.outcome == "failed":
            failing.setdefault(place, {}).setdefault(one.version, []).append(one)
        elif one.outcome == "succeeded" and (versions := failing.get(place)):
            for version in [version for version in versions if _version(version) <= _version(one.version)]:
                del versions[version]
    return _longest_first(
        Streak(
            name=name,
            version=version,
            channel=channel,
            target=target,
            failures=len(failed),
            since=failed[0].started,
            last=failed[-1],
        )
        for (name, channel, target), versions in failing.items()
        for version, failed in versions.items()
    )


_version = lru_cache(maxsize=1 << 12)(Version)


def find_flaky(tries: Iterable[Try]) -> tuple[Flaky, ...]:
    """Plans that came to different ends, the newest first: succeeded and failed, or made two different payloads.

    Args:
        tries: Attempts, in any order.
    """
    by_key: dict[str, list[Try]] = {}
    for one in tries:
        if one.outcome in ("succeeded", "failed"):
            by_key.setdefault(one.key, []).append(one)
    return _newest_first(
        _flaky(same) for same in by_key.values() if len({(one.outcome, one.payload) for one in same}) > 1
    )


def _flaky(same: Sequence[Try]) -> Flaky:
    last = max(same)
    made = [one.payload for one in same if one.outcome == "succeeded"]
    return Flaky(
        key=last.key,
        name=last.name,
        version=last.version,
        channel=last.channel,
        target=last.target,
        succeeded=len(made),
        failed=len(same) - len(made),
        payloads=len(set(made)),
        last=last.started,
    )


def _longest_first(streaks: Iterable[Streak]) -> tuple[Streak, ...]:
    return tuple(sorted(streaks, key=lambda each: (-each.failures, each.since, each.name, each.version, each.target)))


def _newest_first(flaky: Iterable[Flaky]) -> tuple[Flaky, ...]:
    return tuple(sorted(flaky, key=lambda each: (each.last, each.key), reverse=True))

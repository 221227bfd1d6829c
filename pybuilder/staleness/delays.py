"""When what has failed is tried again (docs/upkeep.md, "What failed")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.backoff import next_try
from pybuilder.clock import timestamp
from pybuilder.errors import EngineError, PybuildError, StateError
from pybuilder.plan import digest
from pybuilder.staleness.failures import Noted, noted_failures
from pybuilder.staleness.living import Maker
from pybuilder.staleness.today import Today
from pybuilder.state import INTERRUPTED, Attempt
from pybuilder.tree import Package

# The phases of attempts that ended for want of a disk or a sandbox.
_NOT_ITS_FAULT = (StateError.phase, EngineError.phase)


@dataclass(frozen=True, kw_only=True, slots=True)
class Delay:
    """How long something waits because it has failed.

    Attributes:
        mark: The digest of what is asked for; failures of something else don't count.
        failures: How often it has failed as it is now.
        due: When it is tried again; ``now`` where nothing speaks against it.
    """

    mark: str
    failures: int
    due: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Delays:
    """What has failed in a channel, and has not succeeded since.

    Attributes:
        today: What there is.
        failing: The attempts that failed, newest first.
        noted: What was noted besides.
    """

    today: Today
    failing: Mapping[Package, Sequence[Attempt]]
    noted: Mapping[str, Noted]

    @classmethod
    def on(cls, today: Today) -> Delays:
        """By what there is today."""
        state, channel = today.adapters.state, today.adapters.channel.name
        failing: dict[Package, list[Attempt]] = {}
        for attempt in state.failing(channel):
            if attempt.phase not in _NOT_ITS_FAULT and not (attempt.error or "").startswith(INTERRUPTED):
                package = (NormalizedName(attempt.name), Version(attempt.version))
                failing.setdefault(package, []).append(attempt)
        return cls(today=today, failing=failing, noted=noted_failures(state, channel))

    def of(self, name: NormalizedName, version: Version | None, *, since: datetime | None = None) -> Delay:
        """How long a package waits.

        Args:
            name: The package.
            version: Its version; None where it has none yet.
            since: When somebody asked for it in particular; what failed before does not count.
        """
        mark = self._mark(name, version, since)
        failed = dict(self._attempts(name, version) if version else ())
        noted = self.noted.get(f"{name}=={'' if version is None else version}")
        if noted and noted.mark == mark:
            new = self._newest_need(name, version, noted)
            failed |= {
                each.attempt or f"noted {number}": each.at
                for number, each in enumerate(noted.failures)
                if new is None or each.at >= new
            }
        times = [time for time in failed.values() if since is None or time >= since]
        return Delay(mark=mark, failures=len(times), due=next_try(times, now=self.today.now))

    def _attempts(self, name: NormalizedName, version: Version) -> Iterator[tuple[str, datetime]]:
        """The failed attempts at what would be built now, in what it would be built in now."""
        rows = self.failing.get((name, version), ())
        if not rows:
            return
        try:
            pinned = self.today.pinned((name, version))
            recipe = self.today.recipe(pinned) if pinned else None
        except PybuildError:
            return
        made_from = self.today.recollection.made_from(map(Maker.of, rows))
        for row in rows:
            made = made_from.get(row.id)
            if recipe not in (None, row.recipe):
                continue
            if pinned and made and not self.today.outlook(pinned, made).is_same:
                continue
            yield row.id, datetime.fromisoformat(row.started)

    def _newest_need(self, name: NormalizedName, version: Version | None, noted: Noted) -> datetime | None:
        """When something was last published that a package was seen to need: it may be what was lacking."""
        state = self.today.adapters.state
        needs = {each.because_of for each in noted.failures}
        # What failed with another package's attempt failed because of that.
        needs |= {row.name for each in noted.failures if (row := state.attempt(each.attempt)) and row.name != name}
        rows = state.attempts(name, str(version))[:1] if version else []
        for made in self.today.recollection.made_from(map(Maker.of, rows)).values():
            needs |= {need for need, _ in made.asks}
        times = (datetime.fromisoformat(w.published) for p, w in self.today.published.items() if p[0] in needs)
        return max(times, default=None)

    def _mark(self, name: NormalizedName, version: Version | None, since: datetime | None) -> str:
        """The digest of what a person says of a version: its spec, its pin, its patches, the lock's RPMs for it."""
        facts: list[object] = [timestamp(since) if since else None]
        try:
            facts += self.today.said(name, version)
        except PybuildError as error:
            facts.append(str(error))
        return digest(facts)

"""When something that failed is tried again: later each time, be it a build or what a build needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

FIRST = timedelta(hours=1)
LONGEST = timedelta(days=7)


def next_try(failures: Sequence[datetime], *, now: datetime, first: timedelta = FIRST) -> datetime:
    """The time from which something is tried again: after 1 h, 2 h, 4 h … at most 7 d since it last failed.

    A failure in the future was written down under a wrong clock. It counts, but the delay is measured from the others:
    a clock that was years ahead for an hour must not hold a package back for years.

    Args:
        failures: When it failed, in any order, since it last succeeded or was something else.
        now: The time.
        first: The delay after the first failure.

    Returns:
        ``now`` where nothing speaks against it.
    """
    last = latest(failures, now=now)
    if last is None:
        return now
    # What doubles more often is longer than any time can be.
    doubled = min(len(failures) - 1, 16)
    return max(now, last + min(first * (1 << doubled), LONGEST))


def latest(moments: Iterable[datetime], *, now: datetime) -> datetime | None:
    """The latest of some moments that is not in the future; None where there is none."""
    return max((moment for moment in moments if moment <= now), default=None)

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pybuilder.backoff import latest, next_try

NOW = datetime(2026, 11, 26, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def failed(count: int, last: datetime) -> list[datetime]:
    return [last - n * 6 * HOUR for n in range(count)]


@pytest.mark.parametrize(("count", "hours"), [(1, 1), (2, 2), (3, 4), (4, 8), (8, 128), (9, 168), (10_000, 168)])
def test_the_delay_doubles_up_to_a_week(count: int, hours: int) -> None:
    last = NOW - timedelta(minutes=1)
    assert next_try(failed(count, last), now=NOW) == last + hours * HOUR
    assert next_try(list(reversed(failed(count, last))), now=NOW) == last + hours * HOUR


def test_what_has_waited_long_enough_is_due_now() -> None:
    assert next_try([], now=NOW) == NOW
    assert next_try([NOW - HOUR], now=NOW) == NOW
    assert next_try([NOW - 0.5 * HOUR], now=NOW) == NOW + 0.5 * HOUR


def test_a_clock_that_was_ahead_holds_nothing_back_for_long() -> None:
    ahead = NOW.replace(year=2040)
    assert next_try([ahead], now=NOW) == NOW
    # It failed again since, under the right clock.
    assert next_try([ahead, NOW], now=NOW) == NOW + 2 * HOUR


def test_a_clock_that_was_behind_only_makes_it_due() -> None:
    assert next_try([NOW.replace(year=1980)], now=NOW) == NOW


def test_the_latest() -> None:
    assert latest([NOW - HOUR, NOW, NOW + HOUR], now=NOW) == NOW
    assert latest([NOW + HOUR], now=NOW) is None

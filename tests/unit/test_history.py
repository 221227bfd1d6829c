from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pybuilder.clock import timestamp
from pybuilder.history import Try, find_flaky, find_streaks, read_history
from pybuilder.layout import Layout
from pybuilder.state import Attempt, PublishedWheel, State

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
TARGET = "cp311-linux_x86_64"


def at(hours: float) -> str:
    return timestamp(NOON + timedelta(hours=hours))


def attempt(hours: float, **facts: Any) -> Try:
    """One that succeeded, unless it is said to have failed."""
    plain: dict[str, Any] = {
        "id": f"{hours:06}",
        "key": f"k{hours}",
        "name": "six",
        "version": "1.0",
        "channel": "host",
        "target": TARGET,
        "outcome": "succeeded",
        "started": at(hours),
        "seconds": 1.0,
        "phase": None,
        "error": None,
        "payload": "p",
    }
    return Try(**plain | facts)


def failed(hours: float, **facts: Any) -> Try:
    return attempt(hours, **{"outcome": "failed", "phase": "build", "error": "no cc", "payload": None} | facts)


class TestStreaks:
    def test_failures_in_a_row_since_the_last_success(self) -> None:
        tries = [failed(0), attempt(1), failed(2), failed(3, phase="validate")]
        [streak] = find_streaks(tries)
        assert (streak.failures, streak.since, streak.last) == (2, at(2), tries[-1])
        assert (streak.name, streak.version, streak.channel, streak.target) == ("six", "1.0", "host", TARGET)

    @pytest.mark.parametrize(
        ("later", "ended"),
        [
            ({}, True),
            ({"version": "1.1"}, True),
            ({"version": "1.0.0"}, True),
            ({"version": "0.9"}, False),
            ({"channel": "other"}, False),
            ({"target": "cp312-linux_x86_64"}, False),
            ({"name": "idna"}, False),
            ({"outcome": "interrupted"}, False),
            ({"outcome": "running", "seconds": None}, False),
        ],
    )
    def test_what_ends_one(self, later: dict[str, Any], ended: bool) -> None:
        assert (find_streaks([failed(0), attempt(1, **later)]) == ()) is ended

    def test_what_was_interrupted_neither_counts_nor_ends(self) -> None:
        [streak] = find_streaks([failed(0), failed(1, outcome="interrupted"), failed(2)])
        assert streak.failures == 2

    def test_the_longest_first(self) -> None:
        tries = [failed(0), failed(1, name="idna"), failed(2, name="idna"), failed(3, version="2.0")]
        found = [(each.name, each.version, each.failures) for each in find_streaks(tries)]
        assert found == [("idna", "1.0", 2), ("six", "1.0", 1), ("six", "2.0", 1)]


class TestFlaky:
    def test_succeeded_and_failed(self) -> None:
        [flaky] = find_flaky([attempt(0, key="k"), failed(1, key="k"), failed(2, key="k"), failed(3)])
        assert (flaky.key, flaky.succeeded, flaky.failed, flaky.payloads, flaky.last) == ("k", 1, 2, 1, at(2))

    def test_two_payloads(self) -> None:
        [flaky] = find_flaky([attempt(1, key="k", payload="q"), attempt(0, key="k"), attempt(2, key="l")])
        assert (flaky.succeeded, flaky.failed, flaky.payloads, flaky.last) == (2, 0, 2, at(1))

    @pytest.mark.parametrize(
        "other", [attempt(1, key="k"), attempt(1, key="k", outcome="interrupted", payload=None), failed(1, key="other")]
    )
    def test_not(self, other: Try) -> None:
        assert find_flaky([attempt(0, key="k"), other]) == ()
        assert find_flaky([failed(0, key="k"), failed(1, key="k", error="another")]) == ()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with closing(State.open(Layout(root=tmp_path / "state"))) as opened:
        yield opened


def remember(state: State, hours: float, error: str = "", *, ended: bool = True, **facts: Any) -> str:
    started = NOON + timedelta(hours=hours)
    row = Attempt(
        id=f"{started:%Y%m%dT%H%M%S.%f}Z-aaaaaa",
        recipe="r",
        engine="host",
        state="running",
        owner="1:1",
        started=timestamp(started),
        **{"key": "k", "name": "six", "version": "1.0", "channel": "host", "target": TARGET} | facts,
    )
    state.begin_attempt(row)
    if ended:
        outcome: dict[str, Any] = {"failure": ("build", error)} if error else {"payload": ("p", "six.whl")}
        state.end_attempt(row.id, seconds=max(hours, 0.5), sealed=True, **outcome)
    return row.id


def publish(state: State, hours: float, number: int, name: str = "six") -> None:
    facts = dict.fromkeys(PublishedWheel.__slots__, "x")
    own = {"label": "pb", "name": name, "version": "1.0+cu1", "number": number, "channel": "host"}
    for target in ("one", "two"):
        row = PublishedWheel(**facts | own | {"target": target, "published": at(hours)})  # type: ignore[arg-type]
        state.begin_publish([row])
    state.finish_publish("pb", name, "1.0+cu1", number)


def test_what_was_built_when_and_what_came_of_it(state: State) -> None:
    remember(state, 1)
    remember(state, 2, "broke")
    remember(state, 3, "interrupted: the run was killed")
    remember(state, 3.5, "interrupted by KeyboardInterrupt")
    remember(state, 4)
    remember(state, 9)
    running = remember(state, 10, ended=False, name="idna")
    dead = remember(state, 11, ended=False)
    publish(state, 5, 1)
    publish(state, 6, 2)
    publish(state, 20, 1, name="old")

    found = read_history(state, dead={dead})
    assert [package.name for package in found.packages] == ["old", "six", "idna"]
    old, six, idna = found.packages
    assert [one.outcome for one in six.tries] == [
        *("interrupted", "succeeded", "succeeded", "interrupted", "interrupted", "failed", "succeeded"),
    ]
    assert six.counts.outcomes == {"succeeded": 3, "failed": 1, "interrupted": 3}
    assert (six.counts.mean, six.counts.median, six.counts.published) == (pytest.approx(14 / 3), 4.0, 2)
    assert [(each.build, each.published) for each in six.published] == [
        ("host/six==1.0+cu1.pb.2", at(6)),
        ("host/six==1.0+cu1.pb.1", at(5)),
    ]
    assert (six.last, old.last, old.tries) == (at(11), at(20), [])
    assert (idna.tries[0].id, idna.tries[0].outcome, idna.counts.mean) == (running, "running", None)
    assert found.counts.outcomes == {"succeeded": 3, "failed": 1, "interrupted": 3, "running": 1}
    assert (found.counts.published, found.counts.median) == (3, 4.0)
    assert [flaky.key for flaky in found.flaky] == ["k"]

    assert [package.name for package in read_history(state, name="idna").packages] == ["idna"]
    assert read_history(state, name="nobody").packages == ()


def test_since_then_only_but_a_streak_counts_from_its_beginning(state: State) -> None:
    remember(state, 0)
    for hours in (1, 2, 3):
        remember(state, hours, "broke")
    remember(state, 1.5, "broke", name="idna")
    publish(state, 0.5, 1)

    found = read_history(state, since=NOON + timedelta(hours=3))
    [six] = found.packages
    assert (len(six.tries), six.published, six.flaky) == (1, [], ())
    [streak] = found.streaks
    assert (streak.failures, streak.since) == (3, at(1))
    assert [streak.name for streak in read_history(state).streaks] == ["six", "idna"]
    assert read_history(state, since=NOON + timedelta(hours=4)).packages == ()
    publish(state, 5, 2)
    [six] = read_history(state, since=NOON + timedelta(hours=4)).packages
    assert (len(six.published), six.streaks) == (1, ())

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pybuilder import outbox
from pybuilder.hooks import Fault
from pybuilder.layout import Layout
from pybuilder.outbox import MOST, deliver, put, queues, told
from pybuilder.passes import Problem
from pybuilder.state import State
from tests.support.passing import NOW

HERE = "https://user:hunter2@hooks.example.org/services/s3cret"
THERE = "https://other.example.org/x"
DOWN = Fault(what="the hook takes no messages: it answers 500", cure="see whether it is up")


class Door:
    """A courier that takes so many messages, then says what is wrong."""

    def __init__(self, most: int = 10_000, fault: Fault | None = None) -> None:
        self.most = most
        self.fault = fault
        self.taken: list[str] = []

    def __call__(self, messages: Sequence[Any], done: Callable[[str], None], patience: float) -> Fault | None:
        for message in messages[: self.most]:
            self.taken.append(message["id"])
            done(message["id"])
        return self.fault


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with closing(State.open(Layout(root=tmp_path))) as made:
        yield made


def messages(*numbers: int) -> list[Any]:
    return [{"id": str(number), "topic": "pybuild.build.complete"} for number in numbers]


def waiting(state: State, address: str = HERE) -> list[str]:
    return [message["id"] for message in queues(state, [address])[address].waiting]


def sent(state: State, door: Door, *, days: float = 0.0) -> tuple[Problem, ...]:
    """A pass that comes to the point at which it tells."""
    problems = deliver(state, {HERE: door}, lambda: NOW + timedelta(days=days))
    told(state, [HERE])
    return problems


def test_what_is_taken_is_sent_once_and_in_order(state: State) -> None:
    put(state, [HERE, THERE], messages(1, 2))
    put(state, [HERE], messages(3))
    doors = {HERE: Door(), THERE: Door()}
    assert deliver(state, doors, lambda: NOW) == ()
    assert (doors[HERE].taken, doors[THERE].taken) == (["1", "2", "3"], ["1", "2"])
    assert deliver(state, doors, lambda: NOW) == ()
    assert (doors[HERE].taken, doors[THERE].taken) == (["1", "2", "3"], ["1", "2"])


def test_what_is_not_taken_is_sent_by_the_next_pass(state: State) -> None:
    put(state, [HERE], messages(1, 2, 3))
    [problem] = sent(state, Door(1, DOWN))
    assert waiting(state) == ["2", "3"]
    put(state, [HERE], messages(4))
    door = Door()
    assert sent(state, door) == ()
    assert (door.taken, waiting(state)) == (["2", "3", "4"], [])
    assert problem.what == DOWN.what and problem.cure == DOWN.cure and problem.exit_code == 30
    assert problem.kind == "notify" and problem.where == "pybuild.toml [notify]"
    assert problem.subject == "https://hooks.example.org/…"


def test_a_problem_is_new_once_and_again_when_it_changes_or_comes_back(state: State) -> None:
    put(state, [HERE], messages(1))
    [first] = sent(state, Door(0, DOWN))
    [second] = sent(state, Door(0, DOWN), days=1)
    [other] = sent(state, Door(0, Fault(what="the hook takes no messages: it answers 404")), days=2)
    assert [each.new for each in (first, second, other)] == [True, False, True]
    assert [each.first_seen for each in (first, second, other)] == [NOW, NOW, NOW + timedelta(days=2)]
    [same] = sent(state, Door(0, replace(DOWN, what=other.what, cure="see why: it answers 410")), days=3)
    assert not same.new and "410" in same.cure
    assert sent(state, Door(), days=3) == ()
    put(state, [HERE], messages(2))
    [back] = sent(state, Door(0, DOWN), days=4)
    assert back.new and back.first_seen == NOW + timedelta(days=4)


@pytest.mark.parametrize("most", [0, 1])
def test_a_problem_is_new_until_somebody_has_been_told(state: State, most: int) -> None:
    """Also one with a message that was given up, of which nothing waits any more."""
    put(state, [HERE], messages(1))
    passes = [deliver(state, {HERE: Door(most, DOWN)}, lambda: NOW) for _ in range(2)]
    assert [[each.new for each in problems] for problems in passes] == [[True], [True]]
    assert [each.new for each in sent(state, Door(most, DOWN))] == [True]
    assert [each.new for each in sent(state, Door(most, DOWN))] == ([] if most else [False])


def test_a_message_that_was_refused_and_given_up_is_told_once(state: State) -> None:
    put(state, [HERE], messages(1))
    [problem] = sent(state, Door(1, Fault(what="the hook refuses a message")))
    assert problem.new and waiting(state) == []
    assert sent(state, Door()) == ()


def test_a_hook_is_left_alone_as_long_as_it_asks_but_no_longer_than_a_day(state: State) -> None:
    put(state, [HERE], messages(1))
    sent(state, Door(0, Fault(what="busy", wait=3600.0)))
    door = Door()
    [problem] = sent(state, door, days=0.04)
    assert not door.taken and problem.what == "busy" and not problem.new
    assert sent(state, door, days=0.05) == () and door.taken == ["1"]
    put(state, [HERE], messages(2))
    sent(state, Door(0, Fault(what="busy", wait=float("inf"))), days=10)
    assert not (early := Door()).taken and sent(state, early, days=10.9) and not early.taken
    assert sent(state, door, days=11.1) == () and door.taken == ["1", "2"]


def test_a_clock_that_went_back_does_not_keep_messages_for_ever(state: State) -> None:
    put(state, [HERE], messages(1))
    sent(state, Door(0, Fault(what="busy", wait=3600.0)))
    door = Door()
    assert sent(state, door, days=-30) == () and door.taken == ["1"]


def test_of_too_many_the_oldest_are_dropped_and_counted_and_that_is_told(state: State) -> None:
    put(state, [HERE], messages(*range(MOST - 1)))
    [problem] = sent(state, Door(0, DOWN))
    assert "dropped" not in problem.what
    put(state, [HERE], messages(*range(MOST - 1, MOST + 2)))
    assert waiting(state) == [str(number) for number in range(2, MOST + 2)]
    assert queues(state, [HERE])[HERE].dropped == 2
    [problem] = sent(state, Door(0, DOWN))
    assert problem.new and "the oldest are dropped" in problem.what
    put(state, [HERE], messages(MOST + 2))
    [problem] = sent(state, Door(0, DOWN))
    assert not problem.new
    assert queues(state, [HERE])[HERE].dropped == 3


def test_an_answer_that_never_ends_holds_nobody_back(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "PATIENCE", 0.0)
    monkeypatch.setattr(outbox, "_GRACE", 0.02)
    put(state, [HERE, THERE], messages(1, 2))
    release, other = threading.Event(), Door()

    def stuck(messages: Sequence[Any], done: Callable[[str], None], patience: float) -> Fault | None:
        done("1")
        release.wait(20)
        return None

    [problem] = deliver(state, {HERE: stuck, THERE: other}, lambda: NOW)
    release.set()
    assert "does not come to an end" in problem.what
    assert (waiting(state), other.taken, waiting(state, THERE)) == (["2"], ["1", "2"], [])


def test_a_fault_of_a_courier_is_told_and_keeps_the_messages(state: State) -> None:
    put(state, [HERE], messages(1))

    def broken(messages: Sequence[Any], done: Callable[[str], None], patience: float) -> Fault | None:
        raise RuntimeError(HERE)

    [problem] = deliver(state, {HERE: broken}, lambda: NOW)
    assert (problem.exit_code, waiting(state)) == (1, ["1"])
    assert "RuntimeError" in problem.what and "s3cret" not in str(problem)


def test_the_state_does_not_know_the_secrets_of_an_address(state: State, tmp_path: Path) -> None:
    put(state, [HERE], messages(1))
    sent(state, Door(0, DOWN))
    state.close()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"it answers 500" in written and b"s3cret" not in written and b"hunter2" not in written

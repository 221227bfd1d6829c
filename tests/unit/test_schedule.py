from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import pytest

from pybuilder.schedule import Cycle, Schedule, Start, State, Task

GIB = 1 << 30


def task(
    id: str, *needs: str, seconds: float = 1, cpus: int = 1, memory: int = 0, exclusive: bool = False
) -> Task[str]:
    return Task(id=id, needs=frozenset(needs), seconds=seconds, cpus=cpus, memory=memory, exclusive=exclusive)


def schedule(
    *tasks: Task[str], cpus: int = 2, memory: int = 8 * GIB, jobs: int = 99, clock: Callable[[], float] = lambda: 0.0
) -> Schedule[str]:
    made: Schedule[str] = Schedule(cpus=cpus, memory=memory, jobs=jobs, clock=clock)
    assert made.add(tasks) == ()
    return made


def started(on: Schedule[str]) -> list[str]:
    return [start.task.id for start in on.start()]


def given(on: Schedule[str]) -> dict[str, int]:
    return {start.task.id: start.cpus for start in on.start()}


# What comes first.


def test_nothing_to_do_is_finished() -> None:
    on = schedule()
    assert on.finished and on.start() == () and on.remaining() == 0


def test_a_task_starts_once_and_only_when_all_it_needs_is_done() -> None:
    on = schedule(task("top", "a", "b"), task("a"), task("b"))
    assert started(on) == ["a", "b"]
    on.done("a")
    assert started(on) == []
    on.done("b")
    assert started(on) == ["top"] and not on.finished
    on.done("top")
    assert started(on) == [] and on.finished


def test_the_longest_remaining_path_goes_first() -> None:
    on = schedule(
        *(task("long", seconds=5), task("head", seconds=1), task("middle", "head", seconds=3)),
        *(task("end", "middle", seconds=3), task("short", seconds=2)),
        cpus=1,
    )
    order = []
    while not on.finished:
        (one,) = started(on)
        order.append(one)
        on.done(one)
    assert order == ["head", "middle", "long", "end", "short"]


def test_what_outranks_all_that_could_start() -> None:
    on = schedule(task("long", seconds=5), task("free", cpus=0, seconds=99), jobs=2)
    assert started(on) == ["free", "long"]
    assert not on.outranks("long")  # nothing is left that could start
    on.add([task("free too", cpus=0, seconds=1)])
    assert not on.outranks("long")  # it takes nothing from anybody
    assert started(on) == ["free too"]
    on.add([task("short", seconds=1)])
    assert on.outranks("long")
    on.add([task("longest", seconds=9)])
    assert not on.outranks("long")
    assert started(on) == ["longest"]
    assert not on.outranks("long")  # there is no room for another


def test_equals_go_in_the_order_in_which_they_were_added() -> None:
    names = [f"n{number * 7 % 20}" for number in range(20)]
    assert started(schedule(*map(task, names), cpus=20)) == names


def test_a_dependent_that_comes_later_moves_what_it_needs_forward() -> None:
    on = schedule(task("running"), task("a", seconds=2), task("b", seconds=1), cpus=1)
    on.add([task("running", seconds=9)])
    assert started(on) == ["running"]
    on.add([task("c", "b", seconds=5)])
    on.done("running")
    assert started(on) == ["b"]


def test_what_is_dropped_moves_what_it_needed_back() -> None:
    on = schedule(task("a", seconds=2), task("b", seconds=1), task("c", "b", seconds=5), cpus=1)
    assert on.drop(["c"]) == ("c",)
    assert started(on) == ["a"]


# What is more urgent than all that runs.


def urgent(*tasks: Task[str], cpus: int = 2, memory: int = 8 * GIB, jobs: int = 2) -> Schedule[str]:
    made: Schedule[str] = Schedule(cpus=cpus, memory=memory, jobs=jobs, urgent=True)
    assert made.add(tasks) == ()
    return made


def test_one_with_a_longer_path_than_all_that_run_starts_beside_them() -> None:
    on = urgent(task("a"), task("b", seconds=2))
    assert started(on) == ["b", "a"]
    on.add([task("as long", seconds=2), task("longer", seconds=3), task("longest", seconds=4)])
    assert started(on) == ["longest"]
    # Each must outrank the one before it as well.
    assert started(on) == []
    on.add([task("another", seconds=5)])
    assert started(on) == ["another"]


def test_beside_what_is_full_start_at_most_as_many_again() -> None:
    on = urgent(*(task(f"{n}") for n in range(2)))
    assert len(started(on)) == 2
    found = 0
    for seconds in range(2, 9):
        on.add([task(f"urgent {seconds}", seconds=seconds)])
        found += len(started(on))
    assert found == 2
    on.done("0")
    assert started(on) == ["urgent 8"]
    for name in ("1", "urgent 2", "urgent 3", "urgent 8"):
        on.done(name)
    # What was beside what was free is given back: no more than two of the same path run.
    assert started(on) == ["urgent 7", "urgent 6"]


def test_what_takes_no_processor_starts_beside_one_that_was_squeezed_in() -> None:
    on = urgent(task("a"), task("b"))
    started(on)
    on.add([task("urgent", seconds=9)])
    assert started(on) == ["urgent"]
    on.add([task("publish", cpus=0)])
    assert started(on) == ["publish"]
    on.add([task("more urgent", seconds=10)])
    assert started(on) == ["more urgent"]


def test_nothing_is_urgent_where_nobody_asks_for_that() -> None:
    on = schedule(task("a"), task("b"), cpus=2, jobs=2)
    assert len(started(on)) == 2
    on.add([task("longer", seconds=9)])
    assert started(on) == []


@pytest.mark.parametrize(
    ("runs", "comes"),
    [
        ([task("a"), task("b")], task("wide", seconds=9, cpus=2)),
        ([task("a"), task("b")], task("alone", seconds=9, exclusive=True)),
        ([task("a", memory=5 * GIB), task("b")], task("large", seconds=9, memory=4 * GIB)),
        ([task("a", exclusive=True)], task("beside what is alone", seconds=9)),
        ([task("a", cpus=3)], task("beside what wants more than there is", seconds=9)),
        ([task("a", cpus=2)], task("beside what has two for itself", seconds=9)),
        ([task("a", memory=9 * GIB)], task("beside what wants more memory than there is", seconds=9)),
    ],
)
def test_what_is_urgent_takes_nothing_that_is_reserved(runs: list[Task[str]], comes: Task[str]) -> None:
    on = urgent(*runs)
    assert len(started(on)) == len(runs)
    on.add([comes])
    assert started(on) == []
    for each in runs:
        on.done(each.id)
    assert started(on) == [comes.id]


def test_what_runs_alone_is_not_squeezed_in_where_there_is_one_processor() -> None:
    on = urgent(task("a"), cpus=1, jobs=1, memory=0)
    assert started(on) == ["a"]
    on.add([task("alone", seconds=9, exclusive=True)])
    assert started(on) == []
    on.done("a")
    assert started(on) == ["alone"]


def test_nothing_is_more_urgent_than_what_room_is_set_aside_for() -> None:
    on = urgent(task("a", memory=5 * GIB), task("b"))
    assert len(started(on)) == 2
    on.add([task("large", seconds=8, memory=6 * GIB)])
    assert started(on) == []
    on.done("b")
    assert started(on) == []
    on.add([task("longer", seconds=9), task("longest", seconds=10)])
    assert started(on) == ["longest"]  # there is a processor beside
    assert started(on) == []


def test_what_starts_later_is_outranked_by_what_runs() -> None:
    on = urgent(task("a", seconds=2), cpus=2, jobs=2)
    assert [start.outranked for start in on.start()] == [False]
    on.add([task("b", seconds=1)])
    assert [start.outranked for start in on.start()] == [True]


def test_whether_what_starts_is_outranked() -> None:
    def ranks(on: Schedule[str]) -> dict[str, bool]:
        return {start.task.id: start.outranked for start in on.start()}

    on = urgent(task("a", seconds=2), task("b", seconds=1), task("as long", seconds=2), cpus=3, jobs=3)
    assert ranks(on) == {"a": False, "as long": False, "b": True}
    on.add([task("urgent", seconds=3)])
    assert ranks(on) == {"urgent": False}
    on.suspend("a")
    on.add([task("a", seconds=9)])
    assert ranks(on) == {"a": False}


# Room on the machine.


def test_no_more_jobs_than_allowed() -> None:
    on = schedule(*map(task, "abc"), cpus=9, jobs=2)
    assert started(on) == ["a", "b"]
    on.done("b")
    assert started(on) == ["c"]


def test_reserved_processors_and_memory_are_not_given_twice() -> None:
    on = schedule(task("a", cpus=3), task("b", cpus=2), cpus=4)
    assert (started(on), on.waiting) == (["a"], ("b",))
    on = schedule(task("a", memory=5 * GIB), task("b", memory=4 * GIB), task("c", memory=3 * GIB))
    assert (started(on), on.waiting) == (["a", "c"], ("b",))


@pytest.mark.parametrize(
    "alone",
    [task("x", exclusive=True), task("x", cpus=5), task("x", memory=9 * GIB)],
    ids=["exclusive", "more processors than there are", "more memory than there is"],
)
def test_what_runs_alone(alone: Task[str]) -> None:
    on = schedule(replace(alone, seconds=5), task("a"), task("light", cpus=0), cpus=4)
    assert started(on) == ["x", "light"], "a task without a processor runs beside anything"
    on.done("x")
    assert started(on) == ["a"]
    on.add([replace(alone, id="y", seconds=5), task("b")])
    assert started(on) == [], "it waits for a, and nothing is put before it meanwhile"
    on.done("a")
    assert started(on) == ["y"]


def test_a_task_without_a_processor_starts_at_once_beside_any_number_of_others() -> None:
    on = schedule(*map(task, "ab"), cpus=2, jobs=2)
    assert started(on) == ["a", "b"]
    on.add([task(f"light{number}", cpus=0) for number in range(5)])
    assert [start.cpus for start in on.start()] == [1] * 5


@pytest.mark.parametrize("wrong", [{"memory": 1}, {"exclusive": True}])
def test_a_task_without_a_processor_can_reserve_nothing_else(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="x: what takes no processor"):
        Task(id="x", seconds=1, cpus=0, **wrong)


@pytest.mark.parametrize("machine", [{"cpus": 0, "jobs": 1}, {"cpus": 1, "jobs": 0}])
def test_a_machine_on_which_nothing_could_run_is_refused(machine: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="nothing can run"):
        Schedule(memory=GIB, **machine)


# How many processors each may use.


@pytest.mark.parametrize(
    ("tasks", "cpus"),
    [
        ([task("a")], {"a": 8}),
        ([task("a"), task("b")], {"a": 4, "b": 4}),
        ([task("a", seconds=2), task("b"), task("c")], {"a": 3, "b": 3, "c": 2}),
        ([task("a", cpus=2)], {"a": 2}),
        ([task("a", cpus=2), task("b")], {"a": 2, "b": 6}),
        ([task(name) for name in "abcdefgh"], dict.fromkeys("abcdefgh", 1)),
        ([task("a", cpus=9)], {"a": 8}),
        ([task("a", exclusive=True)], {"a": 8}),
        ([task("a", exclusive=True, cpus=2)], {"a": 2}),
        ([task("a", cpus=0), task("b")], {"a": 1, "b": 8}),
    ],
    ids=[
        "one",
        "two",
        "three",
        "two wanted",
        "two wanted by one",
        "full",
        "too many",
        "alone",
        "alone with two",
        "light",
    ],
)
def test_free_processors_are_shared_by_those_that_start(tasks: list[Task[str]], cpus: dict[str, int]) -> None:
    assert given(schedule(*tasks, cpus=8)) == cpus


def test_tasks_that_the_jobs_keep_from_starting_get_no_share() -> None:
    assert given(schedule(*map(task, "abcdef"), cpus=8, jobs=2)) == {"a": 4, "b": 4}


def test_what_one_was_given_beyond_its_reservation_keeps_no_other_from_starting() -> None:
    on = schedule(task("a"), cpus=2)
    assert given(on) == {"a": 2}
    on.add([task("b")])
    assert given(on) == {"b": 1}


# A task that does not fit gets its turn.


def stream(on: Schedule[str], big: str, small: Callable[[int], Task[str]]) -> int:
    """How many small tasks end before the big one starts, where there is always another small one."""
    for number in range(1000):
        on.add([small(2 * number), small(2 * number + 1)])
        if big in started(on):
            return number
        on.done(next(name for name in on.running if name.startswith("small")))
    raise AssertionError(f"{big} never started")


@pytest.mark.parametrize(
    "big",
    [task("big", cpus=4), task("big", memory=6 * GIB), task("big", exclusive=True)],
    ids=["cpus", "memory", "alone"],
)
@pytest.mark.parametrize("seconds", [1, 100], ids=["before the others", "after what comes later"])
def test_small_tasks_do_not_overtake_for_ever(big: Task[str], seconds: float) -> None:
    on = schedule(*(task(f"small at first {number}", memory=2 * GIB) for number in range(4)), cpus=4, jobs=4)
    assert len(on.start()) == 4
    on.add([replace(big, seconds=50)])
    on.done("small at first 0")
    assert started(on) == []
    assert stream(on, "big", lambda n: task(f"small {n}", seconds=seconds, memory=2 * GIB)) <= 3


def test_small_tasks_overtake_where_they_fit_beside_what_waits() -> None:
    on = schedule(task("a", seconds=9, memory=5 * GIB), cpus=8)
    assert started(on) == ["a"]
    on.add([task("big", seconds=9, memory=6 * GIB), *(task(f"{n}", memory=GIB) for n in range(5))])
    assert started(on) == ["0", "1"], "8 GiB hold the big one and two of them"
    on.done("0")
    assert started(on) == ["2"]
    on.done("a")
    assert started(on) == ["big"]
    on.done("1")
    assert started(on) == ["3"]


def test_what_was_overtaken_and_is_no_longer_wanted_sets_nothing_aside() -> None:
    for leave in (lambda on: on.drop(["big"]), lambda on: on.fail("big")):
        on = schedule(task("a"), task("big", seconds=9, exclusive=True), task("need", seconds=99))
        on.add([task("big", "need", seconds=9, exclusive=True)])
        assert started(on) == ["need", "a"]
        on.done("need")
        on.add([task("b")])
        assert started(on) == []
        leave(on)
        assert started(on) == ["b"]


# Failures.


def test_a_failure_holds_back_what_depends_on_it_and_nothing_else() -> None:
    on = schedule(
        *(task("top", "middle", "other"), task("middle", "low"), task("side", "low"), task("low"), task("other"))
    )
    assert started(on) == ["low", "other"]
    assert on.fail("low") == ("top", "middle", "side")
    assert on.running == ("other",) and not on.finished
    on.done("other")
    assert on.finished and started(on) == []
    assert {state: count for state, count in on.counts.items() if count} == {
        State.FAILED: 1,
        State.HELD_BACK: 3,
        State.DONE: 1,
    }


def test_what_a_second_failure_holds_back_is_told_once() -> None:
    on = schedule(task("top", "a", "b"), task("a"), task("b"), task("c", "b"))
    on.start()
    assert on.fail("a") == ("top",)
    assert on.fail("b") == ("c",)


def test_what_needs_a_failed_task_is_held_back_when_it_is_added() -> None:
    on = schedule(task("a"), task("b", "a"), task("c"))
    on.start()
    on.fail("a")
    assert on.add([task("d", "a"), task("e", "b"), task("f", "e", "c"), task("g", "c")]) == ("d", "e", "f")
    on.done("c")
    assert started(on) == ["g"]


def test_a_task_that_waits_can_fail() -> None:
    on = schedule(task("a"), task("b", "a"), task("c", "b"))
    assert on.fail("b") == ("c",)
    assert started(on) == ["a"]
    on.done("a")
    assert on.finished


def test_what_is_only_needed_by_what_failed_comes_later() -> None:
    on = schedule(task("for top", seconds=1), task("plain", seconds=2), task("top", "for top", seconds=9), cpus=1)
    on.fail("top")
    assert started(on) == ["plain"]


# Tasks that join.


def test_new_tasks_may_need_what_waits_runs_or_is_done() -> None:
    on = schedule(task("a"), task("b"), task("c", "b"))
    on.start()
    on.done("a")
    assert on.add([task("d", "a"), task("e", "a", "b", "c")]) == ()
    assert started(on) == ["d"]
    on.done("b")
    assert started(on) == ["c"]
    on.done("c")
    on.done("d")
    assert started(on) == ["e"]


def test_a_task_that_waits_gets_more_needs() -> None:
    on = schedule(task("x", seconds=9), task("a"), task("b"), cpus=1)
    on.add([task("b", "new", seconds=5), task("new")])
    started(on)
    on.done("x")
    assert started(on) == ["new"]
    on.done("new")
    assert started(on) == ["b"]


def test_a_task_that_is_given_again_needs_what_is_said_last() -> None:
    on = schedule(task("old"), task("x", "old"))
    on.add([task("new"), task("x", "new")])
    assert on.drop(["old"]) == ("old",)
    assert started(on) == ["new"]
    on.done("new")
    assert started(on) == ["x"]


def test_a_ready_task_that_gets_needs_is_ready_no_longer() -> None:
    on = schedule(task("a"))
    on.add([task("a", "b"), task("b")])
    assert started(on) == ["b"]


def test_what_runs_or_has_ended_stays_what_it_is() -> None:
    on = schedule(*map(task, "abc"), cpus=3)
    on.start()
    on.done("a")
    on.fail("b")
    assert on.add([task("new"), task("a", "new"), task("b", "new"), task("c", seconds=9)]) == ()
    assert [on.state(name) for name in "abc"] == [State.DONE, State.FAILED, State.RUNNING]
    with pytest.raises(ValueError, match="c runs: it gets more needs only while it is suspended"):
        on.add([task("other"), task("c", "new")])
    with pytest.raises(KeyError):
        on.state("other")


def test_a_need_that_nobody_knows_is_refused_and_nothing_is_added() -> None:
    on = schedule(task("a"))
    with pytest.raises(ValueError, match="c needs d, which is unknown"):
        on.add([task("b"), task("c", "d")])
    assert on.waiting == ("a",)


@pytest.mark.parametrize(
    ("before", "added", "path"),
    [
        ([], [task("a", "a")], ("a", "a")),
        ([], [task("a", "b"), task("b", "a")], ("b", "a", "b")),
        ([task("a"), task("b", "a"), task("c", "b")], [task("a", "c")], ("c", "b", "a", "c")),
        ([task("a"), task("b", "a")], [task("new", "b"), task("a", "new")], ("b", "a", "new", "b")),
    ],
    ids=["itself", "new ones", "old ones", "through a new one"],
)
def test_a_cycle_is_refused_and_nothing_is_added(
    before: list[Task[str]], added: list[Task[str]], path: tuple[str, ...]
) -> None:
    on = schedule(*before)
    with pytest.raises(Cycle) as caught:
        on.add(added)
    assert set(caught.value.path) == set(path)
    needs = {one.id: one.needs for one in [*before, *added]}
    here, there = caught.value.path[:-1], caught.value.path[1:]
    assert here[0] == there[-1] and all(b in needs[a] for a, b in zip(here, there, strict=True))
    order = []
    while not on.finished:
        (one,) = started(on)
        order.append(one)
        on.done(one)
    assert order == [one.id for one in before]


def test_what_is_done_is_no_part_of_a_cycle() -> None:
    on = schedule(task("a"), task("b", "a"))
    on.start()
    on.done("a")
    assert on.add([task("b", "a", "c"), task("c", "a")]) == ()
    assert started(on) == ["c"]


# Suspended tasks.


def test_a_suspended_task_gives_its_room_back_and_goes_on_when_its_new_needs_are_done() -> None:
    on = schedule(task("x", cpus=2), task("y", "x"))
    (start,) = on.start()
    assert not start.resumed
    on.suspend("x")
    assert on.add([task("need", cpus=2), task("x", "need", cpus=2)]) == ()
    assert (on.state("x"), on.waiting) == (State.SUSPENDED, ("x", "y", "need"))
    assert started(on) == ["need"]
    on.done("need")
    (start,) = on.start()
    assert (start.task.id, start.resumed) == ("x", True)
    on.done("x")
    assert started(on) == ["y"]


def test_a_suspended_task_without_new_needs_goes_on_at_once() -> None:
    on = schedule(task("x"))
    on.start()
    on.suspend("x")
    assert [start.resumed for start in on.start()] == [True]


def test_a_suspended_task_is_held_back_when_what_it_waits_for_fails() -> None:
    on = schedule(task("x"), task("y", "x"))
    on.start()
    on.suspend("x")
    on.add([task("need"), task("x", "need")])
    on.start()
    assert on.fail("need") == ("x", "y")
    assert on.finished


def test_a_suspended_task_is_held_back_when_what_it_would_wait_for_has_failed() -> None:
    on = schedule(task("x"), task("gone"), task("y", "x"))
    on.start()
    on.fail("gone")
    on.suspend("x")
    assert on.add([task("x", "gone")]) == ("x", "y")
    assert on.finished and started(on) == []


def test_a_suspended_task_can_fail() -> None:
    on = schedule(task("x"), task("y", "x"))
    on.start()
    on.suspend("x")
    assert on.fail("x") == ("y",)
    assert on.finished and started(on) == []


# Replans.


def test_only_what_has_not_started_is_dropped() -> None:
    on = schedule(task("run"), task("ended"), task("a", "run"), task("b", "a"))
    on.start()
    on.done("ended")
    assert on.drop(["run", "ended", "a", "b"]) == ("a", "b")
    assert on.waiting == () and on.running == ("run",)
    on.done("run")
    assert on.finished and started(on) == []


def test_what_another_needs_is_not_dropped() -> None:
    on = schedule(task("a"), task("b", "a"), task("c", "b"))
    with pytest.raises(ValueError, match="c needs b, which is to be dropped"):
        on.drop(["a", "b"])
    assert on.waiting == ("a", "b", "c")


def test_what_was_held_back_can_be_dropped_and_planned_anew() -> None:
    on = schedule(task("a"), task("b", "a"), task("c", "b"))
    on.start()
    on.fail("a")
    assert on.drop(["b", "c"]) == ("b", "c")
    assert on.add([task("a2"), task("b", "a2"), task("c", "b")]) == ()
    for name in ("a2", "b", "c"):
        assert started(on) == [name]
        on.done(name)
    assert on.finished


# What a driver gets wrong.


def test_what_does_not_run_cannot_end() -> None:
    on = schedule(task("a"), task("b", "a"))
    with pytest.raises(ValueError, match="a does not run: it is waiting"):
        on.done("a")
    on.start()
    on.done("a")
    with pytest.raises(ValueError, match="a does not run: it is done"):
        on.suspend("a")
    with pytest.raises(ValueError, match="a has ended: it is done"):
        on.fail("a")


# How long it will take.


def test_what_remains_is_the_longest_path_or_the_work() -> None:
    path = [task("a", seconds=3), task("b", "a", seconds=4)]
    assert schedule(*path).remaining() == 7
    assert schedule(*path, *(task(f"{n}", seconds=5) for n in range(5))).remaining() == 16
    assert schedule(*path, *(task(f"{n}", seconds=5) for n in range(5)), cpus=8, jobs=4).remaining() == 8
    assert (
        schedule(task("x", seconds=9, cpus=2), task("y", seconds=2), task("light", cpus=0, seconds=99)).remaining()
        == 99
    )
    assert schedule(task("x", seconds=9, exclusive=True), task("y", seconds=2)).remaining() == 10


@dataclass
class Clock:
    """A clock that a test sets."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_what_remains_shrinks_while_tasks_run_and_end() -> None:
    clock = Clock()
    on = schedule(task("a", seconds=3), task("b", "a", seconds=4), clock=clock)
    on.start()
    clock.seconds += 2
    assert on.remaining() == 5
    clock.seconds += 48
    assert on.remaining() == 4, "one that takes longer than thought may end any moment"
    on.done("a")
    assert on.remaining() == 4
    on.start()
    assert on.remaining() == 4
    on.fail("b")
    assert on.remaining() == 0


def test_what_remains_shrinks_by_the_work_of_all_that_run() -> None:
    clock = Clock()
    on = schedule(*(task(f"{n}", seconds=5) for n in range(4)), clock=clock)
    assert (len(on.start()), on.remaining()) == (2, 10)
    clock.seconds += 3
    assert on.remaining() == 7


def test_what_is_suspended_does_not_work_meanwhile_and_keeps_what_it_has_done() -> None:
    clock = Clock()
    on = schedule(task("a", seconds=9), clock=clock)
    on.start()
    clock.seconds += 2
    on.suspend("a")
    clock.seconds += 50
    assert on.remaining() == 7
    on.start()
    clock.seconds += 3
    assert on.remaining() == 4


def test_what_is_only_prepared_remains_whole() -> None:
    clock = Clock()
    on = schedule(task("a", seconds=9, cpus=0), clock=clock)
    on.start()
    clock.seconds += 2
    on.suspend("a")
    on.add([task("a", seconds=9)])
    on.start()
    assert on.remaining() == 9


# All of it at random.


@dataclass
class Run:
    """A machine that does what a schedule starts, and checks everything that was promised."""

    on: Schedule[int]
    cpus: int
    memory: int
    jobs: int
    chance: random.Random
    fails: float = 0
    joins: float = 0
    now: float = 0
    tasks: dict[int, Task[int]] = field(default_factory=dict)
    took: dict[int, float] = field(default_factory=dict)
    ending: list[tuple[float, int]] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    held: set[int] = field(default_factory=set)
    suspended: set[int] = field(default_factory=set)

    def add(self, tasks: Iterable[Task[int]]) -> None:
        tasks = list(tasks)
        self.tasks.update({one.id: one for one in tasks})
        self.hold(self.on.add(tasks))

    def hold(self, tasks: tuple[int, ...]) -> None:
        assert not self.held & set(tasks), "what is held back is told once"
        self.held.update(tasks)
        self.suspended.difference_update(tasks)

    def begin(self, start: Start[int]) -> None:
        one = start.task
        assert one == self.tasks[one.id] and one.needs <= self.done
        assert one.id not in self.done | self.failed | self.held | {running for _, running in self.ending}
        assert start.resumed == (one.id in self.suspended)
        assert 1 <= start.cpus <= self.cpus and (one.cpus <= 1 or start.cpus == min(one.cpus, self.cpus))
        self.suspended.discard(one.id)
        self.took[one.id] = one.seconds * self.chance.uniform(0.3, 3)
        heapq.heappush(self.ending, (self.now + self.took[one.id], one.id))

    def check_room(self) -> None:
        running = [self.tasks[one] for _, one in self.ending]
        assert {one.id for one in running} == set(self.on.running)
        heavy = [one for one in running if one.cpus]
        assert len(heavy) <= self.jobs
        alone = [o for o in heavy if o.exclusive or o.cpus > self.cpus or o.memory > self.memory]
        assert not alone or len(heavy) == 1
        if not alone:
            assert sum(one.cpus for one in heavy) <= self.cpus
            assert sum(one.memory for one in heavy) <= self.memory

    def end(self) -> None:
        self.now, one = heapq.heappop(self.ending)
        luck = self.chance.random()
        if luck < self.fails:
            self.failed.add(one)
            self.hold(self.on.fail(one))
        elif luck < self.fails + self.joins:
            new = len(self.tasks)
            needs = frozenset(self.chance.sample(sorted(self.done), min(len(self.done), 2)))
            self.on.suspend(one)
            self.suspended.add(one)
            joined = replace(self.tasks[one], id=new, needs=needs)
            self.add([joined, replace(self.tasks[one], needs=self.tasks[one].needs | {new})])
        else:
            self.done.add(one)
            self.on.done(one)

    def go(self) -> None:
        while not self.on.finished:
            left = self.on.remaining()
            for start in self.on.start():
                self.begin(start)
            self.check_room()
            assert self.ending, "something is left to do, and nothing runs"
            assert left > 0
            self.end()
        assert not self.ending and not self.suspended
        assert self.done | self.failed | self.held == set(self.tasks)
        assert self.held == {o for o in self.tasks if self.tasks[o].needs & (self.failed | self.held)} - self.failed


def random_tasks(chance: random.Random, count: int, memory: int) -> list[Task[int]]:
    tasks = []
    for number in range(count):
        needs = chance.sample(range(number), min(number, chance.choice([0, 1, 1, 2, 4])))
        cpus = chance.choice([0, 1, 1, 1, 1, 2, 3, 9])
        tasks.append(
            Task(
                id=number,
                needs=frozenset(needs),
                seconds=chance.choice([0, 1, 1.5, 10, 60]) + chance.random(),
                cpus=cpus,
                memory=chance.randrange(memory * 5 // 4) if cpus and chance.random() < 0.6 else 0,
                exclusive=bool(cpus) and chance.random() < 0.05,
            )
        )
    return tasks


@pytest.mark.parametrize("seed", range(60))
def test_random_runs_keep_every_promise(seed: int) -> None:
    chance = random.Random(seed)
    cpus, jobs, memory = chance.randrange(1, 9), chance.randrange(1, 9), 1000
    run = Run(
        on=Schedule(cpus=cpus, memory=memory, jobs=jobs, clock=lambda: 0.0),
        cpus=cpus,
        memory=memory,
        jobs=jobs,
        chance=chance,
        fails=chance.choice([0, 0.05, 0.3]),
        joins=chance.choice([0, 0.2]),
    )
    tasks = random_tasks(chance, chance.randrange(1, 80), memory)
    chance.shuffle(tasks)
    run.add(tasks)
    run.go()


@pytest.mark.parametrize("seed", range(20))
def test_random_runs_take_less_than_twice_what_they_must(seed: int) -> None:
    """Graham 1966: no list schedule takes longer than 2 - 1/m times the best; estimates may be wrong as here."""
    chance = random.Random(seed)
    cpus = chance.randrange(1, 9)
    on: Schedule[int] = Schedule(cpus=cpus, memory=0, jobs=cpus, clock=lambda: 0.0)
    run = Run(on=on, cpus=cpus, memory=0, jobs=cpus, chance=chance)
    tasks = [replace(one, cpus=1, memory=0, exclusive=False) for one in random_tasks(chance, 80, 1)]
    run.add(tasks)
    run.go()
    paths: dict[int, float] = {}
    for one in tasks:
        paths[one.id] = run.took[one.id] + max((paths[need] for need in one.needs), default=0)
    bound = max(max(paths.values()), sum(run.took.values()) / cpus)
    assert bound - 1e-6 <= run.now <= (2 - 1 / cpus) * bound + 1e-6


@pytest.mark.parametrize("seed", range(10))
def test_paths_stay_right_whatever_happens(seed: int) -> None:
    """After additions, replacements, failures and drops at random, tasks start in the order a fresh schedule has."""
    chance = random.Random(seed)
    tasks = {one.id: replace(one, cpus=1, memory=0, exclusive=False) for one in random_tasks(chance, 60, 1)}
    on: Schedule[int] = Schedule(cpus=1, memory=0, jobs=1)
    for one in tasks.values():
        on.add([replace(one, needs=frozenset(list(one.needs)[:1]), seconds=chance.random())])
    on.remaining()
    for one in chance.sample(sorted(tasks), 60):
        on.add([tasks[one]])
        on.remaining()
    held = {41, *on.fail(41)}
    gone = set(on.drop(one for one in sorted(tasks) if not any(one in other.needs for other in tasks.values())))
    fresh: Schedule[int] = Schedule(cpus=1, memory=0, jobs=1)
    fresh.add(one for one in tasks.values() if one.id not in held | gone)
    assert on.remaining() == pytest.approx(fresh.remaining())
    while not fresh.finished:
        (one,), (other,) = on.start(), fresh.start()
        assert one.task == other.task
        on.done(one.task.id)
        fresh.done(one.task.id)
    assert on.finished

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress

import pytest

from pybuilder import interruption
from pybuilder.crew import Crew


def test_what_each_returns_or_raises_is_heard() -> None:
    with Crew[str](4) as crew:
        for n in range(10):
            crew.start(lambda n=n: f"done {n}" if n % 2 else str(1 // 0), lambda error: type(error).__name__)  # type: ignore[misc]
        heard = sorted(crew.hear() for _ in range(10))
    assert heard == ["ZeroDivisionError"] * 5 + [f"done {n}" for n in (1, 3, 5, 7, 9)]


def test_whoever_works_may_say_something() -> None:
    with Crew[str](1) as crew:
        crew.start(lambda: crew.say("meanwhile") or "done", repr)  # type: ignore[func-returns-value]
        assert [crew.hear(), crew.hear()] == ["meanwhile", "done"]


def test_those_who_wait_for_others_never_keep_one_from_beginning() -> None:
    done = threading.Event()
    with Crew[str](1) as crew:
        for _ in range(300):
            crew.start(lambda: str(done.wait(30)), repr, waits=True)
        crew.start(lambda: str(done.set()), repr)
        assert sorted(crew.hear() for _ in range(301)) == ["None", *["True"] * 300]


def test_waiting_for_a_message_has_an_end() -> None:
    with Crew[str](1) as crew:
        assert crew.hear_within(0.001) is None
        crew.say("something")
        assert crew.hear_within(10) == "something"


def test_when_it_is_left_all_is_done() -> None:
    done = []
    with Crew[int](2) as crew:
        for n in range(5):
            crew.start(lambda n=n: done.append(n) or n, lambda error: -1)  # type: ignore[func-returns-value,misc]
    assert sorted(done) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), ValueError("a bug")])
def test_an_exception_interrupts_whoever_works_and_nobody_begins(fault: BaseException) -> None:
    begun, heard = threading.Barrier(3), []

    def work() -> str:
        begun.wait(10)
        try:
            interruption.sleep(60)
        except KeyboardInterrupt:
            heard.append("interrupted")
            raise
        return "done"

    with pytest.raises(type(fault)), Crew[str](2) as crew:
        crew.start(work, repr)
        crew.start(work, repr)
        crew.start(lambda: heard.append("begun") or "", repr)  # type: ignore[func-returns-value]
        begun.wait(10)
        raise fault
    assert heard == ["interrupted", "interrupted"]


def test_ctrl_c_again_and_again_waits_for_all_who_work() -> None:
    """Python takes a thread for ended where it interrupts who joins it; nobody is left behind all the same."""
    ended: list[int] = []
    let_go = threading.Event()
    main = threading.get_ident()

    def work() -> str:
        try:
            interruption.sleep(60)
        finally:
            # As long as undoing something may take, in which Ctrl-C comes again and again.
            time.sleep(0.1)
            ended.append(1)
        return "done"

    def press() -> None:
        while not ended:
            signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.005)
        let_go.set()

    with pytest.raises(KeyboardInterrupt):
        try:
            with Crew[str](2) as crew:
                crew.start(work, repr)
                crew.start(work, repr)
                threading.Timer(0.01, press).start()
                crew.hear()
        finally:
            # The last press may come late, and is for this test alone.
            while not let_go.is_set():
                with suppress(KeyboardInterrupt):
                    let_go.wait(1)
    assert ended == [1, 1]

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from pybuilder import interruption
from pybuilder.errors import LockedError
from pybuilder.files import file_lock
from pybuilder.interruption import Interruption, side_by_side


def in_thread(ended: Interruption, *steps: object) -> Future[list[str]]:
    """What each step came to, all of them in one thread that listens."""

    def work() -> list[str]:
        came_to = []
        with ended.heard():
            for step in steps:
                try:
                    step()  # type: ignore[operator]
                    came_to.append("done")
                except KeyboardInterrupt:
                    came_to.append("interrupted")
        return came_to

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work)


def test_a_thread_that_nobody_can_tell_is_left_alone() -> None:
    Interruption().tell()
    interruption.check()
    interruption.sleep(0)
    assert interruption.patience() is None
    assert interruption.patience(5.0) == 5.0


def test_it_is_interrupted_once() -> None:
    """What must be undone can wait for things again."""
    ended = Interruption()
    assert in_thread(ended, interruption.check, ended.tell, interruption.check, interruption.check).result() == [
        "done",
        "done",
        "interrupted",
        "done",
    ]


def test_what_begins_afterwards_does_not_begin() -> None:
    ended = Interruption()
    ended.tell()
    with pytest.raises(KeyboardInterrupt):
        in_thread(ended, lambda: pytest.fail("it began")).result()


def test_only_those_who_listen_to_it() -> None:
    ended, other = Interruption(), Interruption()
    ended.tell()
    assert in_thread(other, interruption.check, lambda: interruption.sleep(0)).result() == ["done", "done"]


def test_a_block_ends_with_its_block() -> None:
    ended = Interruption()
    with ended.heard():
        assert interruption.patience() == interruption.patience(9.0) == interruption.TICK
        assert interruption.patience(0.1) == 0.1
    ended.tell()
    interruption.check()


def test_sleep_is_cut_short() -> None:
    ended = Interruption()
    began = time.monotonic()
    threading.Timer(0.02, ended.tell).start()
    assert in_thread(ended, lambda: interruption.sleep(60)).result() == ["interrupted"]
    assert time.monotonic() - began < 30


def test_it_is_carried_into_other_threads() -> None:
    ended = Interruption()
    with ended.heard(), ThreadPoolExecutor(1) as pool:
        told = pool.submit(interruption.carried(lambda: (ended.tell(), interruption.check())))
        with pytest.raises(KeyboardInterrupt):
            told.result()
        pool.submit(interruption.check).result()


class TestSideBySide:
    def test_what_they_return_in_the_order_of_the_items(self) -> None:
        waits = {0: 0.02, 1: 0.0, 2: 0.01}
        assert side_by_side(lambda n: (time.sleep(waits[n]), n)[1], range(3), threads=3) == [0, 1, 2]
        assert side_by_side(lambda n: n, [], threads=3) == []

    def test_what_has_to_be_waited_for_is_done_by_several_threads(self) -> None:
        together = threading.Barrier(3)
        assert len(set(side_by_side(lambda _: (together.wait(10), threading.get_ident())[1], range(3), threads=3))) == 3

    def test_what_takes_no_time_is_done_by_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(interruption, "_ALONE", 10)
        assert len(set(side_by_side(lambda _: threading.get_ident(), range(20), threads=3))) == 1

    def test_no_more_at_once_than_asked(self) -> None:
        running, most, lock = [0], [0], threading.Lock()

        def work(_: int) -> None:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            time.sleep(0.002)
            with lock:
                running[0] -= 1

        side_by_side(work, range(20), threads=3)
        assert most[0] <= 3

    @pytest.mark.parametrize("bad", [0, 1])
    def test_one_that_fails_ends_the_others_and_nothing_more_begins(self, bad: int) -> None:
        both, begun, ended = threading.Barrier(2), [], []

        def work(n: int) -> None:
            begun.append(n)
            if n < 2:
                both.wait(10)
            if n == bad:
                raise LockedError("it fails")
            try:
                interruption.sleep(60)
            finally:
                ended.append(n)

        with pytest.raises(LockedError, match="it fails"):
            side_by_side(work, range(50), threads=2)
        assert sorted([bad, *ended]) == sorted(begun)
        assert len(begun) < 50

    def test_whoever_waits_for_them_is_interrupted_with_them(self) -> None:
        ended, heard = Interruption(), []

        def work(n: int) -> None:
            try:
                interruption.sleep(60)
            except KeyboardInterrupt:
                heard.append(n)
                raise

        threading.Timer(0.2, ended.tell).start()
        assert in_thread(ended, lambda: side_by_side(work, range(3), threads=3)).result() == ["interrupted"]
        assert sorted(heard) == [0, 1, 2]


class TestOutcome:
    def test_what_a_future_comes_to(self) -> None:
        future: Future[int] = Future()
        threading.Timer(0.01, future.set_result, [3]).start()
        assert interruption.outcome(future) == 3
        failed: Future[int] = Future()
        failed.set_exception(LockedError("no"))
        with pytest.raises(LockedError):
            interruption.outcome(failed)

    def test_nobody_waits_for_ever(self) -> None:
        ended = Interruption()
        threading.Timer(0.02, ended.tell).start()
        assert in_thread(ended, lambda: interruption.outcome(Future())).result() == ["interrupted"]


class TestLocks:
    def test_who_waits_for_a_lock_is_interrupted(self, tmp_path: Path) -> None:
        ended = Interruption()

        def wait() -> None:
            with file_lock(tmp_path / "lock"):
                raise AssertionError("it has the lock")

        with file_lock(tmp_path / "lock"):
            threading.Timer(0.02, ended.tell).start()
            assert in_thread(ended, wait).result() == ["interrupted"]

    def test_threads_of_one_process_exclude_each_other(self, tmp_path: Path) -> None:
        inside, most = [0], [0]

        def work(_: int) -> None:
            with Interruption().heard(), file_lock(tmp_path / "lock"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.002)
                inside[0] -= 1

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(16)))
        assert most == [1]

    def test_shared_and_not_waiting(self, tmp_path: Path) -> None:
        with Interruption().heard(), file_lock(tmp_path / "lock", shared=True):
            with file_lock(tmp_path / "lock", shared=True):
                pass
            with pytest.raises(LockedError), file_lock(tmp_path / "lock", wait=False):
                pass


class TestHeldBack:
    def test_ctrl_c_comes_after_the_block(self) -> None:
        done = []
        with pytest.raises(KeyboardInterrupt), interruption.held_back():
            signal.raise_signal(signal.SIGINT)
            done.append("all of it")
        assert done == ["all of it"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    def test_pressed_again_it_comes_at_once(self) -> None:
        with pytest.raises(KeyboardInterrupt), interruption.held_back():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            pytest.fail("it goes on")

    def test_a_block_that_is_not_interrupted(self) -> None:
        with interruption.held_back():
            pass
        with pytest.raises(ValueError, match="its own"), interruption.held_back():
            raise ValueError("its own")

    def test_in_another_thread_it_does_nothing(self) -> None:
        def block() -> str:
            with interruption.held_back():
                return "done"

        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(block).result() == "done"

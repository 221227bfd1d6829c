"""Ctrl-C for threads: the signal reaches the main thread alone, which tells the others here.

Whatever waits (for a process, a sandbox, a lock, the network) calls ``check`` now and then. In a thread that nobody can
tell it does nothing, so what runs in the main thread alone pays nothing.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import FrameType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

TICK = 0.2
"""Seconds between two looks."""

# Seconds in which one thread works alone: where nothing has to be waited for, others would only be in its way.
_ALONE = 0.02

_here = threading.local()
_wakes: list[Callable[[], None]] = []


class Interruption:
    """Ends the work of some threads, as Ctrl-C ends that of the main thread."""

    def __init__(self) -> None:
        self._told = threading.Event()

    def tell(self) -> None:
        """Let every thread that listens, now or later, raise KeyboardInterrupt where it waits, within moments."""
        self._told.set()

    @contextmanager
    def heard(self) -> Iterator[None]:
        """This thread listens as long as the block lasts.

        It is interrupted once, as a signal would, so that what has begun can be undone in peace.

        Raises:
            KeyboardInterrupt: It was told.
        """
        with _listening(self._told):
            check()
            yield


def check() -> None:
    """Raise if this thread was told and has not heard of it yet.

    Raises:
        KeyboardInterrupt: It was told.
    """
    told = _current()
    if told is not None and told.is_set():
        _here.told = None
        raise KeyboardInterrupt


def patience(limit: float | None = None) -> float | None:
    """How many seconds to wait before the next ``check``, of at most ``limit``; None is for ever."""
    if _current() is None:
        return limit
    return TICK if limit is None else min(TICK, limit)


def sleep(seconds: float) -> None:
    """Sleep, unless this thread is told meanwhile.

    Raises:
        KeyboardInterrupt: It was told.
    """
    told = _current()
    if told is None:
        time.sleep(seconds)
    else:
        told.wait(seconds)
        check()


def outcome(future: Future[T]) -> T:
    """What a future comes to, unless this thread is told meanwhile.

    Raises:
        KeyboardInterrupt: It was told.
    """
    while not future.done():
        check()
        wait([future], timeout=TICK)
    return future.result()


def carried(function: Callable[P, T]) -> Callable[P, T]:
    """A function that listens, in whichever thread it is called, to what this thread listens to."""
    told = _current()

    def listening(*arguments: P.args, **keywords: P.kwargs) -> T:
        with _listening(told):
            check()
            return function(*arguments, **keywords)

    return listening


def side_by_side(function: Callable[[S], T], items: Iterable[S], *, threads: int) -> list[T]:
    """Call a function for each item in threads that are interrupted together with this one.

    Args:
        function: The function; where it raises, that is raised here, and what has not begun is not begun.
        items: The items.
        threads: How many calls at once.

    Returns:
        What it returned, in the order of the items.
    """
    together, left = Interruption(), deque((Future[T](), item) for item in items)
    futures = [future for future, _ in left]

    def work() -> None:
        while left:
            try:
                future, item = left.popleft()
            except IndexError:
                return  # another thread was faster
            try:
                with together.heard():
                    future.set_result(function(item))
            except BaseException as error:  # noqa: BLE001 - whoever waits for it raises it
                future.set_exception(error)

    pool = ThreadPoolExecutor(threads)
    try:
        pool.submit(work)
        others, pause = min(threads, len(futures)) - 1, _ALONE
        # Not for ever, in the main thread either: Ctrl-C in the moment before it waits would not end its waiting.
        while wait(futures, timeout=pause, return_when=FIRST_EXCEPTION).not_done:
            check()
            for future in futures:
                if future.done():
                    future.result()
            for _ in range(others):
                pool.submit(work)
            others, pause = 0, TICK
        return [future.result() for future in futures]
    finally:
        left.clear()
        end(pool, together)


def end(pool: ThreadPoolExecutor, told: Interruption) -> None:
    """End threads that listen, and wait for them, however often Ctrl-C is pressed meanwhile.

    That takes moments, and Python would wait for them in any case before it ends.
    """
    _join(pool, told)


def finish(pool: ThreadPoolExecutor) -> None:
    """Let threads do all that they were given, and wait for them, however often Ctrl-C is pressed meanwhile."""
    _join(pool, None)


def _join(pool: ThreadPoolExecutor, told: Interruption | None) -> None:
    while True:
        try:
            if told:
                told.tell()
                wake()
            with _deaf():
                return pool.shutdown(cancel_futures=told is not None)
        except KeyboardInterrupt:
            continue


@contextmanager
def woken_by(wake: Callable[[], None]) -> Iterator[None]:
    """What wakes threads that wait where they can't ``check``; as long as the block lasts."""
    _wakes.append(wake)
    try:
        yield
    finally:
        _wakes.remove(wake)


def wake() -> None:
    """Wake them, if Ctrl-C is why this thread, which is the main one, waits for others to end."""
    if threading.current_thread() is threading.main_thread() and isinstance(sys.exception(), KeyboardInterrupt):
        for each in tuple(_wakes):
            each()


@contextmanager
def _deaf() -> Iterator[None]:
    """Ctrl-C does nothing: Python takes a thread for ended where it interrupts who joins it (CPython issue 90882)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def held_back() -> Iterator[None]:
    """Ctrl-C comes after the block, which must be short; pressed again, it comes at once.

    Other threads than the main one are told of it where they ``check`` only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    pressed: list[FrameType | None] = []

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(frame)
        if len(pressed) > 1 and callable(before):
            before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed and callable(before):
            before(signal.SIGINT, pressed[-1])


def _current() -> threading.Event | None:
    found: threading.Event | None = getattr(_here, "told", None)
    return found


@contextmanager
def _listening(told: threading.Event | None) -> Iterator[None]:
    before = _current()
    _here.told = told
    try:
        yield
    finally:
        _here.told = before

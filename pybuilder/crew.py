"""Threads that work for one that decides: it starts them, and hears in one place what comes of it."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, Self, TypeVar

from pybuilder.interruption import Interruption, end

Message = TypeVar("Message")


class Crew(Generic[Message]):
    """A context manager; when it is left, nobody works any more. An exception that leaves it interrupts all who do.

    Args:
        size: The most that can work at a time.
    """

    def __init__(self, size: int) -> None:
        self._pool = ThreadPoolExecutor(size)
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._working: list[Future[None]] = []
        self._stopped = Interruption()

    def __enter__(self) -> Self:
        """Nobody works yet."""
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        """Wait for all who work."""
        try:
            if kind is None:
                wait(self._working)
        finally:
            end(self._pool, self._stopped)

    def start(self, work: Callable[[], Message], failed: Callable[[BaseException], Message]) -> None:
        """Work in a thread; what it returns is heard, or what ``failed`` makes of what it raised."""

        def working() -> None:
            try:
                with self._stopped.heard():
                    message = work()
            except BaseException as error:  # noqa: BLE001 - whoever hears of it raises it
                message = failed(error)
            self._inbox.put(message)

        self._working.append(self._pool.submit(working))

    def say(self, message: Message) -> None:
        """Be heard while working."""
        self._inbox.put(message)

    def hear(self) -> Message:
        """Wait for the next message."""
        return self._inbox.get()

    def hear_within(self, seconds: float) -> Message | None:
        """Wait for the next message, but no longer."""
        try:
            return self._inbox.get(timeout=seconds)
        except queue.Empty:
            return None

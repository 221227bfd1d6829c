"""Threads that work for one that decides: it starts them, and hears in one place what comes of it."""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, Self, TypeVar

from pybuilder.interruption import TICK, Interruption, end

Message = TypeVar("Message")


class Crew(Generic[Message]):
    """A context manager; when it is left, nobody works any more. An exception that leaves it interrupts all who do.

    Args:
        size: The most that can work at a time, besides those who may have to wait for others.
    """

    def __init__(self, size: int) -> None:
        self._pool = ThreadPoolExecutor(size)
        # Were there an end to these, all could wait for one who can't begin.
        self._patient = ThreadPoolExecutor(sys.maxsize)
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
            try:
                end(self._pool, self._stopped)
            finally:
                end(self._patient, self._stopped)

    def start(
        self, work: Callable[[], Message], failed: Callable[[BaseException], Message], *, waits: bool = False
    ) -> None:
        """Work in a thread; what it returns is heard, or what ``failed`` makes of what it raised.

        Args:
            work: What to do.
            failed: Told what it raised.
            waits: Whether it may have to wait for what others do; then it begins at once, however many work.
        """

        def working() -> None:
            try:
                with self._stopped.heard():
                    message = work()
            except BaseException as error:  # noqa: BLE001 - whoever hears of it raises it
                message = failed(error)
            self._inbox.put(message)

        self._working.append((self._patient if waits else self._pool).submit(working))

    def say(self, message: Message) -> None:
        """Be heard while working."""
        self._inbox.put(message)

    def hear(self) -> Message:
        """Wait for the next message."""
        # Not for ever, or Ctrl-C in the moment before it waits would not end its waiting.
        while (message := self.hear_within(TICK)) is None:
            pass
        return message

    def hear_within(self, seconds: float) -> Message | None:
        """Wait for the next message, but no longer."""
        try:
            return self._inbox.get(timeout=seconds)
        except queue.Empty:
            return None

"""Which of this machine's processors a build may run on: as many as it was given, those that the fewest others have.

Programs inside that ask how many there are (nproc, ninja, cargo) then get an honest answer, where a quota of time would
let each of them start one process for every processor of the machine.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


def usable() -> frozenset[int]:
    """The numbers of the processors that we may use ourselves (sched_setaffinity(2))."""
    return frozenset(os.sched_getaffinity(0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Processors:
    """Shares this machine's processors out; safe to use from several threads at once."""

    _taken: Counter[int] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def some(self, wanted: int) -> Iterator[tuple[int, ...]]:
        """The numbers of this many processors, for one build; empty where it may have all there are.

        Args:
            wanted: How many; 0 is all.
        """
        there = usable()
        if not 0 < wanted < len(there):
            yield ()
            return
        with self._lock:
            # By lot among equals: another pybuild on this machine does not know of ours.
            chosen = sorted(there, key=lambda number: (self._taken[number], random.random()))[:wanted]
            self._taken.update(chosen)
        try:
            yield tuple(sorted(chosen))
        finally:
            with self._lock:
                self._taken.subtract(chosen)

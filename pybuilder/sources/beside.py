"""Archives are read in a process beside ours: Python reads tars itself, and does one such thing at a time.

Its start takes as long as reading a few archives, so the first are read here while it starts; so is any where it fails.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from pybuilder import interruption
from pybuilder.errors import EngineError
from pybuilder.helpers import Helper

_PROGRAM = (sys.executable, "-I", str(Path(__file__).with_name("reading.py")))
_TIMEOUT = 60.0  # seconds for a small archive


class _Reader:
    """The process, once it is needed; it reads for one thread at a time."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._helper: Helper | None = None
        self._has_failed = False

    def ask(self, archive: Path) -> bytes | None:
        """As ``ask`` below."""
        while not self._turn.acquire(timeout=interruption.TICK):
            interruption.check()
        try:
            if self._has_failed:
                return None
            if self._helper is None:
                self._helper = Helper(_PROGRAM)
            return self._helper.ask(os.fsencode(archive), timeout=_TIMEOUT) if self._helper.is_ready else None
        except EngineError:
            self._has_failed = True
            return None
        except KeyboardInterrupt:
            self._has_failed = True  # its answer would be taken for that to another question
            raise
        finally:
            self._turn.release()

    def close(self) -> None:
        """End it; who waits for its answer does without."""
        if self._helper:
            self._helper.kill()
            with self._turn:
                self._has_failed = True
                self._helper.close()


_readers: list[_Reader] = []


@contextlib.contextmanager
def reading_beside() -> Iterator[None]:
    """As long as the block lasts, ``ask`` has somebody to ask."""
    with contextlib.closing(_Reader()) as reader:
        _readers.append(reader)
        try:
            yield
        finally:
            _readers.remove(reader)


def ask(archive: Path) -> bytes | None:
    """What ``whole.read_whole`` makes of an archive, by marshal; None where nobody can be asked, or not yet.

    Raises:
        KeyboardInterrupt: This thread was told to end.
    """
    return _readers[-1].ask(archive) if _readers else None

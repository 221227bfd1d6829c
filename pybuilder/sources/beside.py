"""Archives are read in a process beside ours: Python reads tars itself, and does one such thing at a time.

Its start takes as long as reading a few archives, so the first are read here while it starts; so is any where it fails.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from pybuilder import interruption
from pybuilder.errors import EngineError
from pybuilder.helpers import Helper
from pybuilder.sources.kept import Entries, read, read_by
from pybuilder.sources.members import Kind, Member

_PROGRAM = (sys.executable, "-I", str(Path(__file__).with_name("reading.py")))
_TIMEOUT = 60.0  # seconds for a small archive


@contextlib.contextmanager
def reading_beside() -> Iterator[None]:
    """As long as the block lasts, at whose end nobody may be reading."""
    with contextlib.closing(_Reader()) as reader, read_by(reader.read):
        yield


class _Reader:
    """Reads archives for several threads; one at a time, but for those that are read here."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._helper: Helper | None = None
        self._has_failed = False

    def read(self, archive: Path) -> Entries | None:
        """As ``kept.read`` does it."""
        answer = None if self._has_failed else self._ask(archive)
        if answer is None:
            return read(archive)
        members = marshal.loads(answer)
        return None if members is None else [(_member(*fields), data) for fields, data in members]

    def close(self) -> None:
        """End the process, if there is one."""
        if self._helper:
            self._helper.close()

    def _ask(self, archive: Path) -> bytes | None:
        """What the process answers; nothing where it can't help, or not yet."""
        while not self._turn.acquire(timeout=interruption.TICK):
            interruption.check()
        try:
            if self._helper is None:
                self._helper = Helper(_PROGRAM)
                return None
            return self._helper.ask(os.fsencode(archive), timeout=_TIMEOUT) if self._helper.is_ready else None
        except EngineError:
            self._has_failed = True
            return None
        except KeyboardInterrupt:
            self._has_failed = True  # its answer would be taken for that to another question
            raise
        finally:
            self._turn.release()


def _member(name: str, kind: Kind, executable: bool, mtime: int, size: int, target: str) -> Member:
    return Member(name=name, kind=kind, executable=executable, mtime=mtime, size=size, target=target)

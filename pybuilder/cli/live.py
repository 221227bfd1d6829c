"""The live view of a run of many packages: a log that scrolls, and below it what is going on.

Rich's live display is not used: in a terminal that becomes narrower and folds its lines, it leaves remains behind; and
it takes many times as long, while builds wait for us to draw.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from pybuilder import events
from pybuilder.cli.board import Board, Line, width

# Seconds between two pictures.
_BEAT = 0.25

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_COLOURS = frozenset({"red", "green", "yellow", "cyan"})


@contextlib.contextmanager
def live(stream: TextIO, lock: threading.Lock, *, colour: bool) -> Iterator[events.Listener]:
    """Show a run on a terminal as long as the block lasts; what has been logged stays there.

    Args:
        stream: The terminal.
        lock: Held by whoever calls the listener.
        colour: Whether colours are wanted.
    """
    view = _View(stream=stream, lock=lock, screen=Screen(colour=colour), board=Board(began=time.monotonic()))
    ended = threading.Event()
    thread = threading.Thread(target=view.keep_drawing, args=(ended,), name="live view", daemon=True)
    thread.start()
    try:
        yield view.listen
    finally:
        ended.set()
        thread.join()
        view.clear()


@dataclass(kw_only=True, slots=True)
class Screen:
    """What stands at the end of a terminal, and what to write in order to replace it.

    The cursor is never hidden, so that nothing is to be put right if we are killed.

    Attributes:
        colour: Whether colours are wanted.
    """

    colour: bool
    _shown: tuple[Line, ...] = ()
    _columns: int = 0

    def replace(self, log: Sequence[Line], frame: Sequence[Line], *, columns: int) -> str:
        """Write lines that stay above the frame, and another frame in place of the one there is.

        Args:
            log: May be wider than the terminal.
            frame: Narrower than the terminal; none to leave it as if we had never been there.
            columns: How wide the terminal is now.
        """
        back = "\r" + (f"\x1b[{up}A" if (up := self._rows(columns) - 1) > 0 else "")
        # Else each line is written over the old one: what is cleared first may be seen to flicker. But a terminal that
        # has folded a line takes what is written over it for folded as well, and unfolds it when it becomes wider.
        if log or not frame or columns != self._columns:
            back += "\x1b[J"
        self._shown, self._columns = tuple(frame), columns
        above = "".join(f"{self._paint(line)}\n" for line in log)
        return back + above + "\n".join(f"{self._paint(line)}\x1b[K" for line in frame) + ("\x1b[J" if frame else "")

    def _rows(self, columns: int) -> int:
        """How many rows the frame takes, in a terminal that may have become narrower and folded it."""
        return sum(max(1, -(-width(line) // columns)) for line in self._shown)

    def _paint(self, line: Line) -> str:
        return "".join(
            f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if style and (self.colour or style not in _COLOURS) else text
            for text, style in line
        )


@dataclass(kw_only=True, slots=True)
class _View:
    """Takes events in from any thread, and draws in one of its own."""

    stream: TextIO
    lock: threading.Lock
    screen: Screen
    board: Board
    _log: list[Line] = field(default_factory=list)
    _drawn: tuple[list[Line], int] = field(default=([], 0))

    def listen(self, event: events.Event) -> None:
        """Hear of an event; the lock is held."""
        if line := self.board.take(event, time.monotonic()):
            self._log.append(line)

    def keep_drawing(self, ended: threading.Event) -> None:
        """Draw until the run has ended, or the terminal is gone."""
        with contextlib.suppress(OSError):
            while not ended.wait(_BEAT):
                self._draw()

    def clear(self) -> None:
        """Leave what is logged, and nothing else."""
        with contextlib.suppress(OSError):
            self._write(self.screen.replace(self._log, (), columns=self._size().columns))

    def _draw(self) -> None:
        size = self._size()
        with self.lock:
            log, self._log = self._log, []
            frame = self.board.lines(time.monotonic(), columns=size.columns, rows=size.lines)
        if log or (frame, size.columns) != self._drawn:
            self._drawn = (frame, size.columns)
            self._write(self.screen.replace(log, frame, columns=size.columns))

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()

    def _size(self) -> os.terminal_size:
        """The terminal's own size: COLUMNS and LINES are those that it had when the shell last looked."""
        size = os.get_terminal_size(self.stream.fileno())
        return size if size.columns and size.lines else os.terminal_size((80, 24))

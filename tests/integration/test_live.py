"""The live view in a terminal of its own: what a person sees, and what is left when it ends."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyte
import pytest

from tests.support.workspaces import wait_for

ROOT = Path(__file__).parents[2]

# Runs a script of events; a line on its input ends each ``wait()``.
PLAY = """
import sys, threading, time
from pybuilder import events
from pybuilder.cli.options import Options
from pybuilder.cli.progress import listener
from pybuilder.timing import timed

def started(name, phase="build"):
    listen(events.Started(name=name, version="1.0", phase=phase, detail="/log"))

def said(name, text):
    listen(events.Output(name=name, version="1.0", data=text.encode()))

def published(name):
    listen(events.Published(name=name, version="1.0", build=name + "==1.0+pb.1", signed=True))

def wait():
    assert sys.stdin.readline()

options = Options(
    workspace=None, buildroot="", variant="", state=None, log_format="pretty", quiet=False, verbose=False
)
try:
    with listener(options, many=True) as listen:
        listen(events.Planned(total=30, cached=3, seconds=100.0))
{script}
except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
    raise SystemExit(130)
print("the end")
"""


@dataclass(kw_only=True, slots=True)
class Terminal:
    """A terminal in which a script of events is played."""

    descriptor: int
    process: int
    screen: pyte.HistoryScreen
    stream: pyte.ByteStream
    written: bytes = b""
    shown: list[str] = field(default_factory=list)

    def read(self, seconds: float = 0.05) -> bool:
        """Take in what is written within some time; whether somebody can still write."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self.descriptor], [], [], left)[0]:
                try:
                    data = os.read(self.descriptor, 65536)
                except OSError:
                    return False
                self.written += data
                self.stream.feed(data)
        return True

    @property
    def lines(self) -> list[str]:
        """What is on the screen, and what has scrolled out of it."""
        columns = self.screen.columns
        gone = ["".join(row[n].data for n in range(columns)) for row in self.screen.history.top]
        return [line.rstrip() for line in [*gone, *self.screen.display] if line.strip()]

    def until(self, seen: Callable[[list[str]], bool]) -> list[str]:
        """Wait until the lines are so."""

        def look() -> bool:
            self.read()
            return seen(self.lines)

        wait_for(look, seconds=20)
        return self.lines

    def go_on(self) -> None:
        os.write(self.descriptor, b"\n")

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self) -> int:
        """The exit code of the script."""
        deadline = time.monotonic() + 20
        while self.read() and time.monotonic() < deadline:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


@contextmanager
def playing(script: str, *, columns: int = 80, rows: int = 24, **environ: str) -> Iterator[Terminal]:
    program = PLAY.format(script=textwrap.indent(textwrap.dedent(script), " " * 8))
    whole = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **environ}
    process, descriptor = pty.fork()
    if process == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        attributes = termios.tcgetattr(0)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(0, termios.TCSANOW, attributes)
        os.execve(sys.executable, [sys.executable, "-c", program], whole)
    screen = pyte.HistoryScreen(columns, rows, history=1000)
    try:
        yield Terminal(descriptor=descriptor, process=process, screen=screen, stream=pyte.ByteStream(screen))
    finally:
        try:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(descriptor)


TWO = """
started("alpha"); said("alpha", "compiling a.c\\n")
started("beta", "fetch")
wait()
published("alpha")
wait()
"""
PLANNED = "30 packages, 3 of them cached; about 1:40 to go"


def test_what_builds_is_shown_and_what_is_done_scrolls_away_above() -> None:
    with playing(TWO) as terminal:
        lines = terminal.until(lambda lines: len(lines) == 4)
        assert lines[0] == PLANNED
        assert re.fullmatch(r"alpha 1\.0 build +0:0\d  compiling a\.c", lines[1])
        assert re.fullmatch(r"beta 1\.0  fetch +0:0\d", lines[2])
        assert re.fullmatch(r"3/30 done \(3 cached\) · 0:0\d elapsed · about 1:\d\d left", lines[3])
        terminal.go_on()
        lines = terminal.until(lambda lines: len(lines) == 4 and lines[1].startswith("✓"))
        assert re.fullmatch(r"✓ alpha==1\.0\+pb\.1  \d+\.\d s", lines[1])
        assert [line.split()[0] for line in lines] == ["30", "✓", "beta", "4/30"]
        terminal.go_on()
        assert terminal.end() == 0
        # What is going on is gone, what was done stays, and the cursor was never hidden.
        assert [line.split()[0] for line in terminal.lines] == ["30", "✓", "the"]
        assert b"\x1b[?25l" not in terminal.written


@pytest.mark.parametrize("why", ["Ctrl-C", "exception"])
def test_it_leaves_the_terminal_clean_whatever_ends_it(why: str) -> None:
    with playing(TWO.replace("published", "1 / 0;") if why == "exception" else TWO) as terminal:
        terminal.until(lambda lines: len(lines) == 4)
        os.write(terminal.descriptor, b"\n" if why == "exception" else b"\x03")
        assert terminal.end() == (1 if why == "exception" else 130)
        assert terminal.lines[0] == PLANNED
        assert terminal.lines[1] == ("Traceback (most recent call last):" if why == "exception" else "interrupted")
        assert "elapsed" not in "".join(terminal.lines)


@pytest.mark.parametrize(("columns", "rows"), [(40, 8), (80, 6), (120, 30), (200, 10)])
def test_more_packages_than_rows(columns: int, rows: int) -> None:
    many = """
        for n in range(20):
            started("package-%d" % n); said("package-%d" % n, "x" * 300 + "\\n")
        for n in range(12):
            time.sleep(0.1); published("done-%d" % n)
        wait()
        """
    with playing(many, columns=columns, rows=rows) as terminal:
        lines = terminal.until(lambda lines: lines[-1:] != [] and lines[-1].startswith("15/30"))
        done = [line for line in lines if line.startswith("✓")]
        # Nothing of any frame before has been left behind, and none of the log is lost.
        assert [line.split()[1] for line in done] == [f"done-{n}==1.0+pb.1" for n in range(12)]
        running = [line for line in lines if line.startswith("package-")]
        shown = 20 if rows > 21 else rows - 3
        assert len(running) == shown
        assert [line for line in lines if line.startswith("…")] == [f"… and {20 - shown} more"] * (shown < 20)
        assert sum("15/30" in line for line in lines) == 1
        terminal.go_on()
        assert terminal.end() == 0
        assert terminal.lines[0].startswith("30 packages")
        assert [line.split()[0] for line in terminal.lines[-13:]] == [*["✓"] * 12, "the"]
        assert "elapsed" not in "".join(terminal.lines)


def test_the_size_is_the_one_that_the_terminal_has_now() -> None:
    with playing('started("alpha"); said("alpha", "y" * 300 + "\\n"); wait()', COLUMNS="50", LINES="5") as terminal:
        for columns in (80, 150, 190):
            terminal.resize(columns, 24)
            lines = terminal.until(lambda lines, wide=columns: any(len(line) == wide - 1 for line in lines))
            assert len(lines) == 3


def test_no_colour_where_none_is_wanted() -> None:
    coloured = re.compile(rb"\x1b\[3\dm")
    for environ, expected in (({}, True), ({"NO_COLOR": "1"}, False)):
        with playing(TWO, **environ) as terminal:
            terminal.until(lambda lines: len(lines) == 4)
            assert bool(coloured.search(terminal.written)) is expected


def test_a_dumb_terminal_gets_plain_lines() -> None:
    with playing(TWO, TERM="dumb") as terminal:
        assert terminal.until(lambda lines: len(lines) == 3)[1:] == ["alpha 1.0: build, log /log", "beta 1.0: fetch"]
        assert b"\x1b" not in terminal.written


def test_events_from_many_threads_and_few_pictures() -> None:
    busy = """
        def work(n):
            name = "p%d" % n
            with timed(listen, name=name, version="1.0", phase="build"):
                started(name)
                for i in range(400):
                    said(name, "line %d\\n" % i)
                    time.sleep(0.005)
            published(name)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        wait()
        """
    with playing(busy, columns=100, rows=30) as terminal:
        began = time.monotonic()
        terminal.until(lambda lines: lines[-1:] != [] and lines[-1].startswith("19/30"))
        pictures = terminal.written.count(b"elapsed")
        assert 3 <= pictures <= 10 * (time.monotonic() - began)
        assert sum(line.startswith("✓") for line in terminal.lines) == 16

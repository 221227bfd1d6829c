"""What a run of many packages looks like at a moment, as a value: events go in, lines for a terminal come out.

Nothing here writes or asks for the time, so that every picture can be tested.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from pybuilder import events
from pybuilder.cli.lines import duration, event_line, watch
from pybuilder.printable import printable_lines

Package = tuple[str, str]

# Bytes of output that are kept of a package: more than any terminal is wide.
_TAIL = 1000
# Room for the ``^C`` that a terminal writes where the cursor is.
_ECHO = 3
# Columns below which a piece of output says nothing, and a package's name and version are not to be cut.
_LEAST_OUTPUT = 12
_LEAST_NAME = 20
# The columns of a phase, so that nothing moves when a phase ends.
_PHASE = len("validate")
_CONTROL_SEQUENCE = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")


class Piece(NamedTuple):
    """Some text of a line, in a style: bold, dim, red, green, yellow, cyan, or none."""

    text: str
    style: str = ""


Line = tuple[Piece, ...]


def width(line: Line) -> int:
    """How many columns a line takes."""
    return sum(cell_len(piece.text) for piece in line)


@dataclass(kw_only=True, slots=True)
class _Running:
    """A package with which something goes on."""

    phase: str
    began: float
    tail: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Estimate:
    """How long a rest was thought to take, when, and how many packages it had."""

    seconds: float
    at: float
    packages: int


@dataclass(kw_only=True, slots=True)
class Board:
    """The state of a run, as far as it is shown. Times are seconds of one clock.

    Attributes:
        began: When the run began.
        total: Packages of the planned tree; 0 until there is a plan.
    """

    began: float
    total: int = 0
    _cached_before: int = 0
    _estimate: _Estimate | None = None
    _running: dict[Package, _Running] = field(default_factory=dict)
    _spent: dict[Package, float] = field(default_factory=dict)
    _published: int = 0
    _cached: int = 0
    _failed: int = 0
    _review: int = 0
    _held_back: int = 0
    _last_end: float = 0.0

    def take(self, event: events.Event, now: float) -> Line | None:
        """Take in what has happened; the line that tells of it for good, if it is worth one."""
        match event:
            case events.Started():
                self._pause((event.name, event.version), now)
                said = event.detail.encode() if event.phase == "wait" else b""
                self._running[event.name, event.version] = _Running(phase=event.phase, began=now, tail=said)
            case events.Span():
                self._end_phase(event, now)
            case events.Output():
                self._hear((event.name, event.version), event.data)
            case events.Fetching():
                size = f"{event.done >> 10} KiB" + (f" of {event.total >> 10} KiB" if event.total else "")
                self._hear((event.name, event.version), b"\n" + size.encode())
            case events.Planned():
                again = (self.total, self._cached_before) == (event.total, event.cached)
                self.total, self._cached_before = event.total, event.cached
                self._reckon(event.seconds, now)
                return None if again else (Piece(event_line(event), "dim"),)
            case events.Remaining():
                self._reckon(event.seconds, now)
            case events.Chosen() | events.Preparing() | events.Damaged():
                return (Piece(event_line(event), "dim"),)
            case _:
                return self._finish(event, now)
        return None

    def _finish(self, event: events.Cached | events.Published | events.Failed | events.Waiting, now: float) -> Line:
        """Count a package that goes no further."""
        package = (event.name, event.version)
        self._pause(package, now)
        spent = self._spent.pop(package, 0.0)
        self._last_end = now
        match event:
            case events.Published():
                self._published += 1
                return (Piece("✓ ", "green"), Piece(event.build), Piece(f"  {duration(spent)}", "dim"))
            case events.Cached():
                self._cached += 1
                return (Piece(f"= {event_line(event)}", "dim"),)
            case events.Failed():
                self._failed += 1
                reason = next(iter(printable_lines(event.error.encode())), "").removeprefix(
                    f"{event.name} {event.version} "
                )
                return (Piece("✗ ", "red"), Piece(event_line(event), "bold"), Piece(f": {reason}"))
            case _:
                self._review += event.on == "review"
                self._held_back += event.on != "review"
                return (Piece("· ", "yellow"), Piece(event_line(event)))

    def _end_phase(self, span: events.Span, now: float) -> None:
        """What is between two phases is not shown as running: it may wait for others for long."""
        running = self._running.get((span.name, span.version))
        if running and running.phase == span.phase:
            self._pause((span.name, span.version), now)

    def _pause(self, package: Package, now: float) -> None:
        running = self._running.pop(package, None)
        if running and running.phase != "wait":
            self._spent[package] = self._spent.get(package, 0.0) + now - running.began

    def _hear(self, package: Package, data: bytes) -> None:
        # Once per piece of output of every build: nothing is decoded here that may never be shown.
        if running := self._running.get(package):
            running.tail = (running.tail + data[-_TAIL:])[-_TAIL:]

    def _reckon(self, seconds: float, now: float) -> None:
        self._estimate = _Estimate(seconds=seconds, at=now, packages=self.total - self.finished)

    @property
    def done(self) -> int:
        """How many packages are published as they should be."""
        return self._published + max(self._cached, self._cached_before)

    @property
    def finished(self) -> int:
        """How many packages go no further."""
        return self.done + self._failed + self._review + self._held_back

    def remaining(self, now: float) -> float:
        """Estimated wall seconds to the end; 0 where nobody knows.

        What was estimated and the pace since then count by how much is done since then. The driver may estimate anew
        whenever it likes; nothing is done since then at that moment.
        """
        estimate = self._estimate
        if estimate is None or estimate.packages <= 0:
            return 0.0
        left = (self.total - self.finished) / estimate.packages
        last = max(self._last_end, estimate.at)
        return max(0.0, left * (left * estimate.seconds + last - estimate.at) - (now - last))

    def lines(self, now: float, *, columns: int, rows: int) -> list[Line]:
        """What is going on, the longest first, and a summary: fewer lines than the terminal has rows, each narrower.

        Args:
            now: The time.
            columns: Of the terminal.
            rows: Of the terminal.
        """
        room = max(0, rows - 2)
        oldest = sorted(self._running.items(), key=lambda item: item[1].began)
        shown = oldest if len(oldest) <= room else oldest[: max(0, room - 1)]
        lines = [*self._rows(shown, now, columns - 1)]
        if len(shown) < len(oldest) and room:
            lines.append((Piece(_cut(f"… and {len(oldest) - len(shown)} more", columns - 1), "dim"),))
        return [*lines, self._summary(now, columns - 1 - _ECHO)]

    def _rows(self, shown: Sequence[tuple[Package, _Running]], now: float, columns: int) -> Iterator[Line]:
        longest = max((len(f"{name} {version}") for (name, version), _ in shown), default=0)
        room = min(longest, max(_LEAST_NAME, columns // 3))
        for (name, version), running in shown:
            facts = f" {running.phase:{_PHASE}} {watch(now - running.began):>7}"
            output = columns - room - len(facts) - 2
            line: Line = (Piece(f"{_label(name, version, room):{room}}", "bold"), Piece(facts, "cyan"))
            if output >= _LEAST_OUTPUT and (said := _last_line(running.tail)):
                line = (*line, Piece(f"  {_cut(said, output)}", "dim"))
            yield line if width(line) <= columns else (Piece(_cut(f"{name} {version}{facts}", columns)),)

    def _summary(self, now: float, columns: int) -> Line:
        """The counts and times, in as many words as there is room for."""
        elapsed, left = watch(now - self.began), self.remaining(now)
        cached = max(self._cached, self._cached_before)
        total = f"{self.done}/{self.total}" if self.total else f"{self.done}"
        planning = not self.total and not self.finished
        long = [
            "planning" if planning else f"{total} done" + (f" ({cached} cached)" if cached else ""),
            f"{self._failed} failed" if self._failed else "",
            f"{self._held_back} held back" if self._held_back else "",
            f"{self._review} waiting for review" if self._review else "",
            f"{elapsed} elapsed",
            f"about {watch(left)} left" if left >= 1 else "",
        ]
        short = [
            "planning" if planning else total + (f" ({cached} cached)" if cached else ""),
            f"{self._failed} failed" if self._failed else "",
            f"{self._held_back} held" if self._held_back else "",
            f"{self._review} review" if self._review else "",
            elapsed,
            f"~{watch(left)}" if left >= 1 else "",
        ]
        brief = [short[0].partition(" (")[0], *short[1:]]
        forms = [" · ".join(filter(None, form)) for form in (long, short, brief)]
        chosen = next((form for form in forms if cell_len(form) <= columns), forms[-1])
        return (Piece(_cut(chosen, columns), "red" if self._failed else ""),)


def _label(name: str, version: str, columns: int) -> str:
    """A package's name and version; of the name only as much as there is room for."""
    room = columns - len(version) - 1
    return f"{_cut(name, room)} {version}" if room >= _LEAST_NAME // 2 else _cut(f"{name} {version}", columns)


def _cut(text: str, columns: int) -> str:
    """The text, with an ellipsis in place of what doesn't fit."""
    if cell_len(text) <= columns:
        return text
    return set_cell_size(text, max(0, columns - 1)) + "…"[: max(0, columns)]


def _last_line(output: bytes) -> str:
    """The last line of output that isn't blank; a progress bar that begins its line again and again makes lines."""
    text = _CONTROL_SEQUENCE.sub(b"", output).rstrip()
    last = text[max(text.rfind(b"\n"), text.rfind(b"\r")) + 1 :]
    return " ".join(printable_lines(last)).replace("\t", " ").strip()

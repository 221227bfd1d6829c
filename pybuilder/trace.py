"""Where the time of a run went: its spans, summed by phase, and as a picture over time for a browser.

The picture is a file of the Trace Event Format that Chrome began, which chrome://tracing and Perfetto open.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pybuilder.errors import UsageError
from pybuilder.events import Event, Listener, Span
from pybuilder.files import disk_errors, write_named

_PROCESS = 1
_WHOLE_RUN = "pybuild"


@dataclass(frozen=True, kw_only=True, slots=True)
class Spans:
    """A listener that keeps all spans, and passes everything on.

    Attributes:
        listen: Who is told besides.
        found: The spans so far, in the order in which they ended.
    """

    listen: Listener
    found: list[Span] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        """Hear of an event, from any thread."""
        if isinstance(event, Span):
            self.found.append(event)
        self.listen(event)


@contextlib.contextmanager
def tracing(listen: Listener, file: Path | None) -> Iterator[Spans]:
    """Keep the spans of a block, and write them to a file when it ends, whatever ends it.

    Args:
        listen: Who is told of everything besides.
        file: The trace file, replaced as a whole; None for none.

    Raises:
        UsageError: No file can be written there; nothing has been done then.
        StateError: The disk doesn't let us write it at the end.
    """
    if file is not None:
        _check_writable(file)
    spans = Spans(listen=listen)
    try:
        yield spans
    finally:
        if file is not None:
            with disk_errors(file):
                write_named(file, trace_json(spans.found))


def timings(spans: Iterable[Span]) -> dict[str, float]:
    """Seconds by phase, summed over all packages, in order of phase.

    As in a record, a phase that contains others counts with all of its time, so these don't add up to a whole.
    """
    sums: dict[str, float] = {}
    for span in spans:
        sums[span.phase] = sums.get(span.phase, 0.0) + span.seconds
    return {phase: round(sums[phase], 3) for phase in sorted(sums)}


def nested_timings(spans: Iterable[Span]) -> dict[tuple[str, ...], float]:
    """Seconds by phase and by the phases around it, the outermost first; in order of these."""
    sums: dict[tuple[str, ...], float] = {}
    for path, span in _nested(spans):
        sums[path] = sums.get(path, 0.0) + span.seconds
    return {path: sums[path] for path in sorted(sums)}


def package_timings(spans: Iterable[Span]) -> dict[tuple[str, str], float]:
    """Seconds by name and version, without what a package waited between its phases or in them; the longest first."""
    sums: dict[tuple[str, str], float] = {}
    for path, span in _nested(spans):
        package = (span.name, span.version)
        waits = path[-1] == "wait"
        if len(path) == 1 and span.name and not waits:
            sums[package] = sums.get(package, 0.0) + span.seconds
        elif len(path) > 1 and waits:
            sums[package] = sums.get(package, 0.0) - span.seconds
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def trace_json(spans: Sequence[Span]) -> bytes:
    """The trace file: what happens to one package at a time in every lane, a box with its phases nested inside."""
    start = min(map(_began, spans), default=0)
    lanes = _lanes(list(_groups(spans)))
    events = [_label("process_name", 0, name="pybuild")]
    for lane, groups in enumerate(lanes, start=1):
        events += [_label("thread_name", lane, name=f"lane {lane}"), _label("thread_sort_index", lane, sort_index=lane)]
        for group in groups:
            box = f"{group[0].name} {group[0].version}".strip() or _WHOLE_RUN
            events.append(_box(box, lane, _began(group[0]) - start, _last(group) - start))
            events += [_box(span.phase, lane, _began(span) - start, _end(span) - start, of=box) for span in group]
    return b'{"traceEvents": [\n' + b",\n".join(json.dumps(event).encode() for event in events) + b"\n]}\n"


def _nested(spans: Iterable[Span]) -> Iterator[tuple[tuple[str, ...], Span]]:
    """Each span, and its phase with those around it before it."""
    for group in _groups(spans):
        around: list[Span] = []
        for span in group:
            while around and _end(around[-1]) <= _began(span):
                around.pop()
            around.append(span)
            yield tuple(one.phase for one in around), span


def _groups(spans: Iterable[Span]) -> Iterator[list[Span]]:
    """Spans of one package that follow each other in one thread, a span before those inside it."""
    threads: dict[int, list[Span]] = {}
    for span in sorted(spans, key=lambda one: (_began(one), -_end(one))):
        threads.setdefault(span.thread, []).append(span)
    for mine in threads.values():
        group = [mine[0]]
        for span in mine[1:]:
            if (span.name, span.version) != (group[0].name, group[0].version):
                yield group
                group = []
            group.append(span)
        yield group


def _lanes(groups: Sequence[list[Span]]) -> list[list[list[Span]]]:
    """The groups in as few lanes as there are groups at once, each in the first that is free."""
    lanes: list[list[list[Span]]] = []
    for group in sorted(groups, key=lambda one: _began(one[0])):
        free = next((lane for lane in lanes if _last(lane[-1]) <= _began(group[0])), None)
        if free is None:
            lanes.append([group])
        else:
            free.append(group)
    return lanes


def _began(span: Span) -> int:
    """In whole microseconds, as all that is compared and drawn, so that what touches does not overlap."""
    return round(span.began * 1e6)


def _end(span: Span) -> int:
    return round((span.began + span.seconds) * 1e6)


def _last(group: Sequence[Span]) -> int:
    return max(map(_end, group))


def _box(name: str, lane: int, began: int, ended: int, *, of: str = "") -> dict[str, Any]:
    """A complete event, which has its duration."""
    event = {"ph": "X", "name": name, "pid": _PROCESS, "tid": lane, "ts": began, "dur": ended - began}
    return {**event, "cat": "phase" if of else "package", **({"args": {"package": of}} if of else {})}


def _label(kind: str, lane: int, **arguments: Any) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": _PROCESS, "tid": lane, "args": arguments}


def _check_writable(file: Path) -> None:
    at = file if file.exists() and not file.is_file() else file.resolve().parent
    if file.is_dir() or not os.access(at, os.W_OK):
        raise UsageError(
            "the trace can't be written: this is a directory, or lies in none that can be written",
            where=str(file),
            cure="name a file in a directory that you may write to",
        )

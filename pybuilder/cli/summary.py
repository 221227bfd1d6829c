"""What a run came to, for people: what was built, what was not and why, and where the time went."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pybuilder.cli.lines import duration
from pybuilder.events import Span
from pybuilder.record import last_lines
from pybuilder.rejections import review_cure
from pybuilder.results import Failure, Result
from pybuilder.screening.policy import cure, is_screening
from pybuilder.trace import nested_timings, package_timings

# How many of the slowest packages are named.
_SLOWEST = 5
_SHOWN_LINE = "    | "


def print_summary(result: Result, report: Mapping[str, Any], spans: Sequence[Span]) -> None:
    """Print the end of a run of many packages: the table, then on standard error what went wrong, then the totals.

    Args:
        result: What it came to.
        report: The same as ``reports.run_report`` tells it to programs.
        spans: Of the whole run.
    """
    print("\n".join(table_lines(result, report, spans)), flush=True)
    for line in setback_lines(result):
        print(line, file=sys.stderr, flush=True)
    print("\n".join(total_lines(result, spans)), flush=True)


def setback_lines(result: Result) -> list[str]:
    """Each failure with its phase, the last lines of its log, where that is and what it holds back; what waits."""
    lines = [line for failure in result.failed for line in _failure_lines(failure)]
    for name, requirement, wanted_by in result.review:
        do = cure(name) if is_screening(wanted_by) else review_cure([name], result.refusals)
        said = f"; {result.refusals[name]}" if name in result.refusals else ""
        lines += [f"pybuild: waits for review: {requirement}, wanted by {wanted_by}{said}", f"  do: {do}"]
    return lines


def wheel_lines(report: Mapping[str, Any]) -> list[str]:
    """What was built and what was cached, with the paths of the wheels."""
    lines = []
    for kind in ("built", "cached"):
        for build in report[kind]:
            lines.append(f"{kind:6}  {build['build']}")
            lines += [f"        {wheel['wheel']}" for wheel in build["wheels"]]
    return lines


def table_lines(result: Result, report: Mapping[str, Any], spans: Iterable[Span]) -> list[str]:
    """Every package in a row: what came of it, how long it took in this run, and why where it isn't there."""
    spent = package_timings(spans)
    rows: list[tuple[str, str, float, str]] = [
        (kind, build["build"], spent.get((build["name"], build["version"]), 0.0) if kind == "built" else 0.0, "")
        for kind in ("built", "cached")
        for build in report[kind]
    ]
    for failure in result.failed:
        took = spent.get((failure.name, failure.version), 0.0)
        rows.append(("failed", _package(failure), took, f"in {failure.error.phase}"))
    rows += [("held back", text, 0.0, f"by {', '.join(by)}") for text, by in _held_back(result).items()]
    rows += [("review", requirement, 0.0, f"wanted by {by}") for _, requirement, by in result.review]
    widest = max((len(name) for _, name, _, _ in rows), default=0)
    return [
        f"{kind:9}  {name:{widest}}  {duration(took) if took else '':>10}  {why}".rstrip()
        for kind, name, took, why in rows
    ]


def total_lines(result: Result, spans: Sequence[Span]) -> list[str]:
    """How many of each, how long it took, the slowest packages, and the time of all workers by phase."""
    counts = {
        "built": len(result.built),
        "cached": len(result.cached),
        "failed": len(result.failed),
        "held back": len(_held_back(result)),
        "waiting for review": len(result.review),
    }
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "nothing to do"
    lines = [f"{told}; took {duration(result.seconds)}"]
    slowest = list(package_timings(spans).items())[:_SLOWEST]
    if slowest:
        lines.append("slowest:")
        lines += [f"  {f'{name} {version}':40} {duration(seconds):>10}" for (name, version), seconds in slowest]
    return [*lines, *_phase_lines(spans)]


def _phase_lines(spans: Iterable[Span]) -> list[str]:
    """The phases, those of more time first, each with those inside it below it."""
    timings = nested_timings(spans)
    whole = sum(seconds for path, seconds in timings.items() if len(path) == 1)

    def weight(path: tuple[str, ...]) -> list[tuple[float, str]]:
        return [(-timings[path[: depth + 1]], phase) for depth, phase in enumerate(path)]

    rows = [
        f"{'  ' * len(path) + path[-1]:42} {duration(timings[path]):>10}  {timings[path] / whole:4.0%}"
        for path in sorted(timings, key=weight)
        if whole
    ]
    return ["time by phase, of all packages together:", *rows] if rows else []


def _failure_lines(failure: Failure) -> list[str]:
    error = failure.error
    text = str(error)
    lines = [f"pybuild: error: {_package(failure)}: {text}"]
    if error.log and error.log not in text:
        lines.append(f"  log: {error.log}")
    if error.log and _SHOWN_LINE not in text:
        with contextlib.suppress(OSError):
            lines += [f"{_SHOWN_LINE}{line}" for line in last_lines(Path(error.log))]
    lines.append(f"  phase: {error.phase}")
    if others := _others(failure):
        lines.append(f"  holds back: {', '.join(others)}")
    return lines


def _package(failure: Failure) -> str:
    return f"{failure.name} {failure.version}".strip()


def _others(failure: Failure) -> list[str]:
    """What a failure holds back besides the package that failed."""
    return [text for text in failure.held_back if canonicalize_name(Requirement(text).name) != failure.name]


def _held_back(result: Result) -> dict[str, list[str]]:
    """What is held back, and the failures that do so."""
    held: dict[str, list[str]] = {}
    for failure in result.failed:
        for text in _others(failure):
            held.setdefault(text, []).append(_package(failure))
    return held

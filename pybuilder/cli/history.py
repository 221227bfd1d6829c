"""``pybuild history``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from pybuilder import clock
from pybuilder.cli.arguments import parse_since
from pybuilder.cli.completion import complete_names
from pybuilder.cli.lines import duration
from pybuilder.cli.options import Options
from pybuilder.cli.places import check_known, open_layout, open_workspace
from pybuilder.clock import timestamp
from pybuilder.history import OUTCOMES, Chronicle, Counts, Flaky, History, Streak, Try, read_history
from pybuilder.names import normalize
from pybuilder.printable import printable
from pybuilder.stages.reap import is_alive
from pybuilder.state import State


@click.command()
@click.argument("name", required=False, shell_complete=complete_names)
@click.option("--since", metavar="WHEN", help="Only from then on: a date or time (UTC), or how long ago: 7d, 12h.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def history(options: Options, name: str | None, since: str | None, as_json: bool) -> int:
    """What was built when, what came of it and how long it took: of all packages, or each attempt at NAME."""
    begin = None if since is None else parse_since(since, clock.now())
    package = None if name is None else normalize(name)
    workspace = open_workspace(options)
    with contextlib.closing(State.open(open_layout(options, workspace))) as state:
        dead = {attempt.id for attempt in state.running() if not is_alive(attempt)}
        found = read_history(state, name=package, since=begin, dead=dead)
        if package and not found.packages and not state.attempts(package):
            check_known(package, workspace)
    if as_json:
        print(json.dumps(_document(found, package), indent=2))
        return 0
    for line in _package_lines(found) if package else _table_lines(found):
        print(line)
    return 0


def _table_lines(found: History) -> Iterator[str]:
    """Every package in a row, those of the latest first; then what fails and what is flaky."""
    heads = ("package", "last", "succeeded", "failed", "interrupted", "published", "mean", "median")
    rows = [(p.name, _moment(p.last), *_numbers(p.counts)) for p in found.packages]
    yield from _columns([heads, *rows] if rows else [], right=range(2, len(heads)))
    yield from _troubles(found)
    yield _total(found)


def _package_lines(found: History) -> Iterator[str]:
    """Every attempt in a row, the newest first; then what was published, what fails and what is flaky."""
    for package in found.packages:
        yield from _columns([_row(one) for one in package.tries], right=range(5, 6))
        for build in package.published:
            yield f"published {build.build}, {_moment(build.published)}"
    yield from _troubles(found)
    yield _total(found)


def _row(one: Try) -> Sequence[str]:
    why = f"{_first_line(one.error)}{_in(one)}" if one.outcome == "failed" else ""
    took = "" if one.seconds is None or one.outcome == "interrupted" else duration(one.seconds)
    return _moment(one.started), one.version, one.channel, one.target, one.outcome, took, why


def _columns(rows: Sequence[Sequence[str]], *, right: range) -> Iterator[str]:
    """Rows whose cells stand below each other, in some columns at the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = enumerate(zip(row, widths, strict=True))
        yield "  ".join(cell.rjust(width) if at in right else cell.ljust(width) for at, (cell, width) in cells).rstrip()


def _numbers(counts: Counts) -> Iterator[str]:
    yield from (str(counts.outcomes.get(outcome, 0)) for outcome in OUTCOMES[:3])
    yield str(counts.published)
    for seconds in (counts.mean, counts.median):
        yield "" if seconds is None else duration(seconds)


def _troubles(found: History) -> Iterator[str]:
    for streak in found.streaks:
        what, where = f"{streak.name} {streak.version}", f"{streak.channel}, {streak.target}"
        times = "once" if streak.failures == 1 else f"{streak.failures} times in a row"
        yield f"failing: {what} ({where}) {times} since {_moment(streak.since)}{_in(streak.last)}"
        yield f"    {_first_line(streak.last.error)}"
        yield f"    do: pybuild log {streak.last.id}"
    for flaky in found.flaky:
        what, where = f"{flaky.name} {flaky.version}", f"{flaky.channel}, {flaky.target}"
        ends = f"{flaky.succeeded} succeeded and {flaky.failed} failed"
        made = f", {flaky.payloads} different payloads" if flaky.payloads > 1 else ""
        yield f"flaky: {what} ({where}) of the same inputs: {ends}{made}"


def _total(found: History) -> str:
    counts = found.counts
    outcomes = [f"{number} {outcome}" for outcome in OUTCOMES if (number := counts.outcomes.get(outcome, 0))]
    took = "" if counts.mean is None or counts.median is None else f"; mean {duration(counts.mean)}"
    took += "" if counts.median is None else f", median {duration(counts.median)}"
    since = "" if found.since is None else f" since {_moment(timestamp(found.since))}"
    return f"{', '.join(outcomes) or 'no attempt'}, {counts.published} published{since}{took}"


def _moment(text: str) -> str:
    return f"{text[:10]} {text[11:16]} UTC"


def _in(one: Try) -> str:
    return f", in {one.phase}" if one.phase else ""


def _first_line(text: str | None) -> str:
    return printable((text or "").partition("\n")[0])


def _document(found: History, package: str | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "since": None if found.since is None else timestamp(found.since),
        **_counts(found.counts),
        "packages": [{"name": each.name, "last": each.last, **_counts(each.counts)} for each in found.packages],
        "failing": [_streak(each) for each in found.streaks],
        "flaky": [_flaky(each) for each in found.flaky],
    }
    if package is not None:
        document |= {"name": package, "tries": list(_tries(found.packages)), "builds": list(_builds(found.packages))}
    return document


def _counts(counts: Counts) -> dict[str, Any]:
    return {
        "attempts": {outcome: counts.outcomes.get(outcome, 0) for outcome in OUTCOMES},
        "published": counts.published,
        "mean": counts.mean and round(counts.mean, 3),
        "median": counts.median and round(counts.median, 3),
    }


def _streak(streak: Streak) -> dict[str, Any]:
    place = {key: getattr(streak, key) for key in ("name", "version", "channel", "target", "failures", "since")}
    last = streak.last
    return {**place, "last": last.started, "phase": last.phase, "error": last.error, "attempt": last.id}


def _flaky(flaky: Flaky) -> dict[str, Any]:
    keys = ("name", "version", "channel", "target", "key", "succeeded", "failed", "payloads", "last")
    return {key: getattr(flaky, key) for key in keys}


def _tries(packages: Iterable[Chronicle]) -> Iterator[dict[str, Any]]:
    for package in packages:
        for one in package.tries:
            yield {
                "attempt": one.id,
                **{key: value for key, value in one._asdict().items() if key not in ("id", "name")},
            }


def _builds(packages: Iterable[Chronicle]) -> Iterator[dict[str, Any]]:
    for package in packages:
        for build in package.published:
            yield {"build": build.build, "published": build.published}

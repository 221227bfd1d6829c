"""What a face shows of builds and runs: the JSON of the contract, and the same as lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.version import Version

from pybuilder.errors import PybuildError
from pybuilder.layout import Layout
from pybuilder.names import numbered_version
from pybuilder.record import LOG
from pybuilder.results import Result
from pybuilder.stages.publish import Outcome
from pybuilder.stages.taint import payload_taints
from pybuilder.state import Attempt, PublishedWheel, State


def run_report(
    result: Result, state: State, layout: Layout, *, timings: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """The document of a run that ``--json`` prints; ``cron`` adds to it.

    Args:
        result: What the run came to.
        state: The database.
        layout: Where logs and wheels are.
        timings: Seconds by phase; None leaves them out.
    """
    return {
        "ok": not result.failed and not result.review,
        "seconds": round(result.seconds, 3),
        **({} if timings is None else {"timings": dict(timings)}),
        "built": [_published(outcome, state, layout) for outcome in result.built],
        "cached": [_published(outcome, state, layout) for outcome in result.cached],
        "failed": [_failed(failure.name, failure.version, failure.error) for failure in result.failed],
        "review": [_waiting(*each, result.refusals) for each in result.review],
    }


def _waiting(name: str, requirement: str, by: str, refusals: Mapping[str, str]) -> dict[str, str]:
    """An entry of ``review``; where somebody has rejected the package, with what was said."""
    rejected = {"rejected": refusals[name]} if name in refusals else {}
    return {"name": name, "requirement": requirement, "wanted_by": by, **rejected}


def refusal_report(error: PybuildError, *, seconds: float) -> dict[str, Any]:
    """The same document for a run that could not begin, or that came to no end of its own.

    Args:
        error: Why, and of which package, if it knows that.
        seconds: Wall time.
    """
    failed = [_failed(*(error.package or ("", "")), error)]
    return {"ok": False, "seconds": round(seconds, 3), "built": [], "cached": [], "failed": failed, "review": []}


def _failed(name: str, version: str, error: PybuildError) -> dict[str, Any]:
    return {
        "name": name,
        "version": version,
        "phase": error.phase,
        "error": error.what,
        "where": error.where,
        "do": error.cure,
        "attempt": error.attempt or None,
        "log": error.log or None,
    }


def builds(name: str, state: State, layout: Layout, *, channel: str | None = None) -> list[dict[str, Any]]:
    """Every BUILD of a package, newest first: what was published, and the attempts that nothing was published of.

    Args:
        name: Normalised.
        state: The database.
        layout: Where logs and wheels are.
        channel: Only of this channel; None for all.
    """
    wheels = [wheel for wheel in state.published_anywhere(name) if channel in (None, wheel.channel)]
    groups: dict[tuple[str, str, int], list[PublishedWheel]] = {}
    for wheel in wheels:
        groups.setdefault((wheel.channel, wheel.version, wheel.number), []).append(wheel)
    # By when it was published, which may be long after it was built: a patch that is taken back, say.
    found = [(max(w.published for w in group), build_json(group, state, layout)) for group in groups.values()]
    used = {wheel.attempt for wheel in wheels}
    found += [
        (attempt.started, attempt_json(attempt, layout))
        for attempt in state.attempts(name)
        if attempt.id not in used and channel in (None, attempt.channel)
    ]
    return [build for _, build in sorted(found, key=lambda dated: dated[0], reverse=True)]


def build_json(wheels: Sequence[PublishedWheel], state: State, layout: Layout) -> dict[str, Any]:
    """The BUILD of one number."""
    first = wheels[0]
    numbered = str(numbered_version(Version(first.version), first.label, first.number))
    attempts = [state.attempt(wheel.attempt) for wheel in wheels]
    known = [attempt for attempt in attempts if attempt]
    return {
        "build": f"{first.channel}/{first.name}=={numbered}",
        "channel": first.channel,
        "name": first.name,
        "version": first.version,
        "number": first.number,
        "wheels": [_wheel(wheel, state.attempt(wheel.attempt), layout) for wheel in wheels],
        "state": "published",
        "started": min((attempt.started for attempt in known), default=first.published),
        "seconds": round(sum(attempt.seconds or 0.0 for attempt in known), 3),
    }


def attempt_json(attempt: Attempt, layout: Layout) -> dict[str, Any]:
    """The BUILD of an attempt that has no number."""
    return {
        "build": None,
        "channel": attempt.channel,
        "name": attempt.name,
        "version": attempt.version,
        "number": None,
        "wheels": [
            {
                "target": attempt.target,
                "wheel": None,
                "wheel_sha256": None,
                "payload_sha256": attempt.payload,
                "key": attempt.key,
                "attempt": attempt.id,
                "engine": attempt.engine,
                "sealed": attempt.sealed,
                "log": str(log_path(attempt, layout)),
            }
        ],
        "state": attempt.state,
        "started": attempt.started,
        "seconds": None if attempt.seconds is None else round(attempt.seconds, 3),
    }


def log_path(attempt: Attempt, layout: Layout) -> Path:
    """Where an attempt's log is: with its work while it runs, in its record afterwards."""
    if attempt.state == "running":
        return layout.work(attempt.id) / "record" / LOG
    return layout.record(attempt.key, attempt.id) / LOG


def build_lines(found: Iterable[dict[str, Any]], state: State) -> list[str]:
    """The builds as a table, a line each; those that are not all from source are marked."""
    lines = []
    for build in found:
        wheel = build["wheels"][0]
        name = build["build"] or f"{build['channel']}/{build['name']}=={build['version']}"
        took = "" if build["seconds"] is None else f"{build['seconds']:8.2f} s"
        sealed = "sealed" if wheel["sealed"] else "not sealed"
        how = f"{wheel['engine']}, {sealed}"
        mark = ""
        if taints := payload_taints(state, wheel["payload_sha256"] or ""):
            prebuilt = any(taint.payload_sha256 == wheel["payload_sha256"] for taint in taints)
            how = "prebuilt" if prebuilt else how
            mark = "" if prebuilt else f"  tainted by {', '.join(f'{t.name} {t.version}' for t in taints)}"
        lines.append(f"{name:44} {build['state']:10} {took:>10}  {how}  {wheel['attempt']}{mark}")
    return lines


def _published(outcome: Outcome, state: State, layout: Layout) -> dict[str, Any]:
    made = outcome.made
    rows = state.published_anywhere(made.name)
    wheels = [w for w in rows if w.version == str(made.version) and w.number == outcome.number]
    return build_json(wheels, state, layout)


def _wheel(wheel: PublishedWheel, attempt: Attempt | None, layout: Layout) -> dict[str, Any]:
    return {
        "target": wheel.target,
        "wheel": str(layout.wheel(wheel.channel, wheel.wheel)),
        "wheel_sha256": wheel.wheel_sha256,
        "payload_sha256": wheel.payload,
        "key": wheel.key,
        "attempt": wheel.attempt,
        "engine": attempt.engine if attempt else None,
        "sealed": attempt.sealed if attempt else False,
        "log": str(layout.record(wheel.key, wheel.attempt) / LOG),
    }

"""What a pass came to: a stable line for each new problem, a summary for people, one document for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pybuilder.cli.lines import duration
from pybuilder.cron import Ended, Preview
from pybuilder.cron.agenda import Goal
from pybuilder.errors import PostponedError
from pybuilder.layout import Layout
from pybuilder.passes import Awaited, Pass, Problem
from pybuilder.printable import printable
from pybuilder.reports import run_report
from pybuilder.results import Result
from pybuilder.state import State


def problem_lines(ended: Pass) -> Iterator[str]:
    """A line for each problem, and for each package that waits, that no earlier pass has told."""
    for problem in ended.problems:
        if problem.new:
            yield printable(f"pybuild: {_problem(problem)}")
    for awaited in ended.review:
        if awaited.new:
            yield printable(f"pybuild: {_awaited(awaited)}")


def _problem(problem: Problem) -> str:
    head = " ".join(filter(None, (problem.kind, problem.subject)))
    where = f" ({problem.where})" if problem.where else ""
    cure = f"; do: {problem.cure}" if problem.cure else ""
    return f"{head}: {problem.what}{where}{cure}"


def _awaited(awaited: Awaited) -> str:
    return (
        f"review {awaited.name}: {awaited.requirement}, wanted by {awaited.wanted_by}; "
        f"do: pybuild review show {awaited.name}"
    )


def summary_lines(ended: Pass) -> Iterator[str]:
    """All of it for people, also what was told before."""
    for updated in ended.updated:
        old = f"{updated.old} -> " if updated.old else ""
        yield f"updated    {updated.name} {old}{updated.new}"
    for built in ended.built:
        yield f"built      {built.build}  ({built.why})"
    for build, reason in ended.yanked:
        yield f"yanked     {build}  ({reason})"
    for awaited in ended.review:
        yield f"waits      {awaited.requirement}, wanted by {awaited.wanted_by}"
    for problem in ended.problems:
        yield f"problem    {_problem(problem)}"
    failing = sum(1 for problem in ended.problems if problem.kind == "build")
    counts = {"built": len(ended.built), "cached": ended.cached, "failing": failing, "postponed": ended.postponed}
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "nothing to do"
    phases = ", ".join(f"{name} {duration(seconds)}" for name, seconds in ended.phases.items())
    yield f"{told}; took {duration(ended.seconds)} ({phases})"


def preview_lines(preview: Preview) -> Iterator[str]:
    """A line for each thing that a pass would do, or would not do yet."""
    kinds = (("build", preview.goals), ("postpone", preview.postponed), ("delay", preview.delayed))
    for kind, goals in kinds:
        for goal in goals:
            due = f", from {goal.due:%Y-%m-%d %H:%M} UTC" if goal.due else ""
            yield printable(f"{kind:8}  {goal}  {goal.why}: {goal.detail}{due}")
    for finding, version in preview.review:
        yield printable(f"{'review':8}  {finding.name}=={version}  in place of {finding.replaced(version)}")
    for trouble in preview.troubles:
        yield printable(f"{'problem':8}  {trouble.kind} {trouble.subject}: {trouble.what}")


def preview_report(preview: Preview) -> dict[str, Any]:
    """The same for programs."""
    return {
        "ok": not preview.troubles,
        "dry_run": True,
        "build": [_goal(goal) for goal in preview.goals],
        "postponed": [_goal(goal) for goal in preview.postponed],
        "delayed": [_goal(goal) for goal in preview.delayed],
        "review": [{"name": finding.name, "version": str(version)} for finding, version in preview.review],
        "problems": [
            {"kind": each.kind, "subject": each.subject, "error": each.what, "where": each.where or None}
            for each in preview.troubles
        ],
    }


def _goal(goal: Goal) -> dict[str, Any]:
    return {
        "name": goal.name,
        "version": None if goal.version is None else str(goal.version),
        "why": goal.why,
        "detail": goal.detail,
        "needed_by": goal.needed_by,
        "due": goal.due.isoformat() if goal.due else None,
    }


def report(ended: Ended, state: State, layout: Layout) -> dict[str, Any]:
    """The document of ``--json``: that of ``build``, and what only a pass has.

    Args:
        ended: The pass.
        state: Has the builds.
        layout: Where wheels and logs are.
    """
    passed = ended.passed
    result = ended.result or Result(built=(), cached=(), failed=(), review=(), seconds=0.0)
    failed = tuple(each for each in result.failed if not isinstance(each.error, PostponedError))
    return {
        **run_report(replace(result, failed=failed), state, layout),
        "ok": passed.outcome == "ok",
        "run": passed.run,
        "channel": passed.channel,
        "seconds": round(passed.seconds, 3),
        "timings": {name: round(seconds, 3) for name, seconds in passed.phases.items()},
        "review": [
            {"name": each.name, "requirement": each.requirement, "wanted_by": each.wanted_by, "new": each.new}
            for each in passed.review
        ],
        "updated": [
            {"name": each.name, "old": each.old or None, "new": each.new, "commit": each.commit or None}
            for each in passed.updated
        ],
        "yanked": [{"build": build, "reason": reason} for build, reason in passed.yanked],
        "problems": [_facts(each) for each in passed.problems],
        "postponed": passed.postponed,
    }


def _facts(problem: Problem) -> dict[str, Any]:
    return {
        "kind": problem.kind,
        "subject": problem.subject,
        "phase": problem.phase or None,
        "error": problem.what,
        "where": problem.where or None,
        "do": problem.cure or None,
        "exit_code": problem.exit_code,
        "first_seen": problem.first_seen.isoformat(),
        "new": problem.new,
    }

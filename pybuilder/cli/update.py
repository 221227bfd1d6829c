"""``pybuild update``: what is new upstream, why each candidate was taken or not, and into the specs with it."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from pybuilder import events
from pybuilder.cli.completion import complete_names
from pybuilder.cli.options import Options
from pybuilder.cli.places import open_workspace
from pybuilder.cli.taking import How, finish, take
from pybuilder.clock import timestamp
from pybuilder.errors import PybuildError, combined_exit_code
from pybuilder.names import normalize
from pybuilder.printable import printable

if TYPE_CHECKING:
    from pybuilder.candidates import Candidate
    from pybuilder.update import Finder, Finding
    from pybuilder.workspace import Workspace


@click.command()
@click.argument("names", metavar="[NAME...]", nargs=-1, shell_complete=complete_names)
@click.option("--explain", is_flag=True, help="Every version that upstream offers, and why it was taken or not.")
@click.option("--apply", "how", flag_value="apply", help="Try them, and write them into their specs.")
@click.option("--commit", "how", flag_value="commit", help="Also commit, one commit for each.")
@click.option(
    "--branch", "how", flag_value="branch", help="Commit each on a branch of its own, and write nothing here."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def update(options: Options, names: tuple[str, ...], explain: bool, how: How | None, as_json: bool) -> int:
    """Find new upstream versions of each NAME, or of all that is accepted, by the rules of its spec."""
    named = [normalize(name) for name in names]
    if how == "commit":
        finish(options)
    with _finder(options) as finder:
        findings = finder.find(named)
    taken = take(options, findings, how, named=named) if how else ()
    problems = [problem for finding in findings for problem in finding.problems]
    refused = [one.error for one in taken if one.error]
    if as_json:
        report: dict[str, Any] = {"ok": not problems and not refused}
        report["packages"] = [facts_of(finding, explain=explain) for finding in findings]
        print(json.dumps(report | ({"taken": [one.as_json for one in taken]} if how else {}), indent=2))
    else:
        _print(findings, explain=explain, waits=how is None)
        for line in (line for one in taken for line in one.lines()):
            print(printable(line))
    sys.stdout.flush()
    for finding in findings:
        for problem in finding.problems:
            print(f"pybuild: error: {_named(finding, problem)}", file=sys.stderr)
    for one in taken:
        if one.error:
            print(f"pybuild: error: {one.name} {one.version}: {one.error}", file=sys.stderr)
    return combined_exit_code([problem.exit_code for problem in (*problems, *refused)])


def facts_of(finding: Finding, *, explain: bool) -> dict[str, Any]:
    """A finding as JSON has it.

    Args:
        finding: The finding.
        explain: Whether all candidates are in it.
    """
    facts: dict[str, Any] = {
        "name": finding.name,
        "mode": finding.mode,
        "news": [
            {"version": str(version), "replaces": str(old) if (old := finding.replaced(version)) else None}
            for version in finding.news
        ],
        "gone": [str(version) for version in finding.gone],
        "reuploads": [
            {"version": str(each.version), "file": each.file, "pinned": each.pinned, "offered": each.offered}
            for each in finding.reuploads
        ],
        "error": _error_facts(finding.error) if finding.error else None,
    }
    return facts | ({"candidates": [_candidate_facts(each) for each in finding.judged.candidates]} if explain else {})


def _error_facts(error: PybuildError) -> dict[str, str]:
    return {"phase": error.phase, "what": error.what, "where": error.where, "do": error.cure}


def _candidate_facts(candidate: Candidate) -> dict[str, Any]:
    found = candidate.found
    return {
        "text": found.text,
        "version": str(candidate.version) if candidate.version else None,
        "fate": candidate.fate,
        "why": candidate.why,
        "uploaded": timestamp(found.uploaded) if found.uploaded else None,
        "file": found.file,
        "tag": found.ref,
        "commit": found.commit,
    }


def _print(findings: Sequence[Finding], *, explain: bool, waits: bool) -> None:
    for finding in findings:
        for line in _lines(finding, explain=explain, waits=waits):
            print(printable(line))
    count = sum(len(finding.news) for finding in findings)
    packages = "1 package" if len(findings) == 1 else f"{len(findings)} packages"
    print(f"{packages}: {f'{count} new' if count else 'nothing new'}", file=sys.stderr)


def _lines(finding: Finding, *, explain: bool, waits: bool) -> Iterator[str]:
    for version in finding.news:
        old = finding.replaced(version)
        pinned = f"{old} is pinned" if old else "nothing is pinned yet"
        yield f"{finding.name} {version} is new, {pinned}{_decided(finding, waits=waits)}"
    for version in finding.gone:
        yield f"{finding.name} {version} is pinned, and upstream has it no more"
    if not explain or not finding.spec:
        return
    if not finding.news and not finding.gone:
        yield f"{finding.name}: {_nothing(finding)}"
    rows = [_row(each) for each in finding.judged.candidates]
    widths = [min(max((len(row[column]) for row in rows), default=0), 40) for column in range(3)]
    for text, date, fate, why in rows:
        yield f"  {text:{widths[0]}}  {date:{widths[1]}}  {fate:{widths[2]}}  {why}"


def _row(candidate: Candidate) -> tuple[str, str, str, str]:
    uploaded = candidate.found.uploaded
    date = f"{uploaded:%Y-%m-%d}" if uploaded else ""
    return str(candidate.version or candidate.found.text), date, candidate.fate, candidate.why


def _decided(finding: Finding, *, waits: bool) -> str:
    """Who decides on it, where that is a person."""
    if finding.mode == "off":
        assert finding.spec is not None
        return f"; updates are off: {finding.spec.update.reason}"
    return "; it waits for review" if waits and finding.mode == "review" else ""


def _nothing(finding: Finding) -> str:
    if finding.error:
        return "not known"
    return "nothing new" if finding.judged.candidates else "no version is known"


def _named(finding: Finding, error: PybuildError) -> str:
    """An error, and the package that it is about."""
    told = re.search(rf"(?<![\w.-]){re.escape(finding.name)}(?![\w-])", error.what)
    return str(error) if told or error.where.startswith(f"specs/{finding.name}.toml") else f"{finding.name}: {error}"


@contextlib.contextmanager
def _finder(options: Options) -> Iterator[Finder]:
    """What finding needs: upstream and the state, but no buildroot that works."""
    from pybuilder.cli.reach import reach
    from pybuilder.update import Finder

    workspace = open_workspace(options)
    with reach(options, workspace, events.ignore) as world:
        yield Finder.of(world.chooser, pythons=_pythons(workspace, world.chooser.buildroot))


def _pythons(workspace: Workspace, buildroot: str) -> tuple[str, ...]:
    """The Pythons of a buildroot of RPMs, each as new as can be: how new it is only the buildroot itself knows."""
    if buildroot not in workspace.buildroot_names():
        return ()
    definition = workspace.buildroot(buildroot)
    return () if definition.engine == "host" else tuple(f"{python}.99" for python in definition.pythons)

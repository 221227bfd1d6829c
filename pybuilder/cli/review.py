"""``pybuild review``: the queue of what waits for a person, and what that person says."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from packaging.version import Version

from pybuilder import clock
from pybuilder.cli.options import Options
from pybuilder.cli.places import channel_name, open_index, open_layout, open_workspace
from pybuilder.cli.progress import listener
from pybuilder.errors import PybuildError, combined_exit_code
from pybuilder.names import BuildName, NormalizedName, normalize
from pybuilder.printable import printable

if TYPE_CHECKING:
    from pybuilder.cli.reach import Reach
    from pybuilder.events import Listener
    from pybuilder.layout import Layout
    from pybuilder.review_queue import Waiting
    from pybuilder.reviews import Decision, Reviews
    from pybuilder.state import State
    from pybuilder.uptake import Uptake
    from pybuilder.workspace import Workspace

_Decide = Callable[["Reviews", NormalizedName, "Version | None"], "Decision"]


@click.group()
def review() -> None:
    """Packages and new versions that wait for a person: look at them, say yes or no."""


@review.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def list_(options: Options, as_json: bool) -> None:
    """What waits, the oldest first, with who wants it and since when."""
    from pybuilder.state import State

    workspace = open_workspace(options)
    layout, channel = open_layout(options, workspace), channel_name(options, workspace)
    with contextlib.closing(State.open(layout)) as state:
        entries = _renew(workspace, layout, channel, state)
    if as_json:
        print(json.dumps({"review": [entry.as_json for entry in entries]}, indent=2))
        return
    from pybuilder.cli.reviewed import queue_lines

    for line in queue_lines(entries, clock.now()):
        print(line)
    sys.stdout.flush()
    print(f"{len(entries)} waiting" if entries else "nothing waits", file=sys.stderr)


@review.command()
@click.argument("name", metavar="NAME")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def show(options: Options, name: str, as_json: bool) -> None:
    """What a person needs to know of a package before saying yes or no; nothing of it is run."""
    from pybuilder.cli.reach import reach
    from pybuilder.cli.reviewed import dossier_json, dossier_lines
    from pybuilder.dossier import Clerk
    from pybuilder.stages.screen import Screener

    workspace, package = open_workspace(options), normalize(name)
    with (
        listener(options) as listen,
        reach(options, workspace, listen) as world,
        _uptake(options, listen) as uptake,
    ):
        _renew(workspace, world.layout, world.channel, world.state)
        clerk = Clerk(
            workspace=workspace,
            layout=world.layout,
            channel=world.channel,
            state=world.state,
            chooser=world.chooser,
            sources=world.sources,
            screener=Screener(adapters=world, policy=workspace.settings.screen, root=workspace.root),
            target=world.target,
            prepare=lambda name, version: uptake().prepare(name, version),
        )
        found = clerk.dossier(package)
    if as_json:
        print(json.dumps(dossier_json(found), indent=2))
        return
    for line in dossier_lines(found, clock.now()):
        print(line)


@review.command()
@click.argument("names", metavar="NAME[==VERSION]...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def approve(options: Options, names: tuple[str, ...], as_json: bool) -> int:
    """Say yes to each NAME: write its spec, pinned, or take its new version, and commit that."""
    return _decide(options, names, lambda reviews, name, version: reviews.approve(name, version), as_json=as_json)


@review.command()
@click.argument("name", metavar="NAME[==VERSION]")
@click.option("--reason", default="", help="Why; whoever asks for it next is told.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def reject(options: Options, name: str, reason: str, as_json: bool) -> int:
    """Say no to NAME: write it into specs/rejected.toml, or let its spec ignore the new version, and commit that."""
    return _decide(
        options,
        [name],
        lambda reviews, package, version: reviews.reject(package, version, reason=_one_line(reason)),
        as_json=as_json,
    )


def _one_line(text: str) -> str:
    # What can't be printed can't be written as UTF-8 either, and a terminal may paste anything.
    return printable(" ".join(text.split()))


def _decide(options: Options, names: Sequence[str], decide: _Decide, *, as_json: bool) -> int:
    """Carry out a decision on each name, each by itself, and say what it came to."""
    from pybuilder.cli.reach import reach

    named = {text: BuildName.parse(text) for text in names}
    workspace = open_workspace(options)
    done: list[Decision] = []
    failed: dict[str, PybuildError] = {}
    with (
        listener(options) as listen,
        reach(options, workspace, listen) as world,
        _uptake(options, listen) as uptake,
    ):
        _renew(workspace, world.layout, world.channel, world.state)
        reviews = _reviews(world, uptake)
        for text, package in named.items():
            try:
                done.append(decide(reviews, package.name, package.version))
            except PybuildError as error:
                failed[text] = error
        _renew(workspace, world.layout, world.channel, world.state)
    if as_json:
        report = {
            "ok": not failed,
            "decisions": [_decision_json(each) for each in done],
            "failed": [
                {"name": text, "phase": error.phase, "what": error.what, "where": error.where, "do": error.cure}
                for text, error in failed.items()
            ],
        }
        print(json.dumps(report, indent=2))
    else:
        for each in done:
            print("\n".join(_decision_lines(each)))
    sys.stdout.flush()
    for refusal in failed.values():
        print(f"pybuild: error: {refusal}", file=sys.stderr)
    return combined_exit_code([error.exit_code for error in failed.values()])


def _reviews(world: Reach, uptake: Callable[[], Uptake]) -> Reviews:
    from pybuilder.commits import Commits
    from pybuilder.reviews import Reviews

    def update(name: NormalizedName, version: Version) -> str:
        return uptake().commit(uptake().prepare(name, version))

    return Reviews(
        workspace=world.workspace,
        state=world.state,
        commits=Commits(workspace=world.workspace, layout=world.layout, state=world.state, now=clock.now),
        writer=world.writer,
        update=update,
        now=clock.now,
    )


@contextlib.contextmanager
def _uptake(options: Options, listen: Listener) -> Iterator[Callable[[], Uptake]]:
    """What takes in new versions, on the ground on which builds stand; opened when it is first asked for."""
    from pybuilder.cli.session import open_session

    with contextlib.ExitStack() as stack:

        @functools.cache
        def opened() -> Uptake:
            return stack.enter_context(open_session(options, listen)).uptake()

        yield opened


def _renew(workspace: Workspace, layout: Layout, channel: str, state: State) -> tuple[Waiting, ...]:
    """What waits by what the workspace says now, published beside every index of this state."""
    from dataclasses import replace

    from pybuilder.review_queue import renew

    there = [path.name for path in layout.indexes.iterdir() if path.is_dir()] if layout.indexes.is_dir() else []
    # A fresh workspace, which knows what has been written meanwhile.
    return renew(state, replace(workspace), [open_index(layout, each) for each in sorted({channel, *there})])


def _decision_json(each: Decision) -> dict[str, Any]:
    return {
        "name": each.name,
        "outcome": each.outcome,
        "versions": list(map(str, each.versions)),
        "file": each.file,
        "commit": each.commit or None,
        "missing": [missing.name for missing in each.new.missing] if each.new else [],
    }


def _decision_lines(each: Decision) -> list[str]:
    named = " ".join([each.name, ", ".join(map(str, each.versions))]).strip()
    if each.outcome in ("accepted already", "rejected already"):
        return [f"{named} is {each.outcome}: {each.file}"]
    how = f"commit {each.commit[:12]}" if each.commit else "not committed: this workspace is in no git repository"
    lines = [f"{named} is {each.outcome}: {each.file}, {how}"]
    for missing in each.new.missing if each.new else ():
        lines.append(f"  needs {missing.requirement} to {missing.needed_to}, which has no spec yet")
    for note in (*each.new.findings.notes, *each.new.findings.guess.notes) if each.new else ():
        lines.append(f"  look: {note}")
    return [printable(line) for line in lines]

"""``pybuild show`` and ``pybuild log``."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from packaging.version import Version

from pybuilder import reports
from pybuilder.cli.completion import complete_names
from pybuilder.cli.options import Options
from pybuilder.cli.places import check_known, find_attempt, open_index, open_layout, open_workspace
from pybuilder.errors import UsageError
from pybuilder.index.yanked import reason_of
from pybuilder.layout import Layout
from pybuilder.names import NormalizedName, normalize
from pybuilder.printable import printable
from pybuilder.screening.account import all_remembered, found_lines
from pybuilder.stages.reap import is_alive
from pybuilder.state import Attempt, State

FOLLOW_INTERVAL = 0.1


@click.command()
@click.argument("name", shell_complete=complete_names)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def show(options: Options, name: str, as_json: bool) -> int:
    """Show what there is of a package: its builds, newest first, why each was made, and its pins."""
    workspace = open_workspace(options)
    layout = open_layout(options, workspace)
    package = normalize(name)
    with contextlib.closing(State.open(layout)) as state:
        found = reports.builds(package, state, layout)
        causes = _add_causes(found, state.attempts(package), layout)
        yanks = _add_yanks(found, package, layout)
        told = zip(reports.build_lines(found, state), yanks, causes, strict=True)
        lines = [line for build in told for line in build if line]
        screened = all_remembered(state, package)
    if as_json:
        json.dump({"name": package, "builds": found, "screening": screened}, sys.stdout, indent=2)
        print()
        return 0
    if not found and not screened:
        check_known(package, workspace)
    if spec := workspace.spec(package):
        pins = ", ".join(map(str, sorted(spec.versions, reverse=True))) or "none yet"
        print(f"{package}: specs/{package}.toml, pins: {pins}")
    for line in lines:
        print(line)
    for account in screened:
        for line in found_lines(account):
            print(f"found in {account['version']}: {line}")
    return 0


def _add_causes(found: Sequence[dict[str, Any]], attempts: Sequence[Attempt], layout: Layout) -> list[str]:
    """Add to each wheel why its attempt was no cache hit; the same of the first wheel of each build as a line."""
    from pybuilder.build_diff import cause

    causes = {attempt.id: cause(attempt, attempts, layout) for attempt in attempts}
    for build in found:
        for wheel in build["wheels"]:
            known = causes.get(wheel["attempt"])
            wheel["why"] = known.as_json if known else None
    whys = [build["wheels"][0]["why"] for build in found]
    return [f"    why: {why['sentence'] if why else 'not known'}" for why in whys]


def _add_yanks(found: Sequence[dict[str, Any]], name: NormalizedName, layout: Layout) -> list[str]:
    """Add to each build why it is yanked, None where it is not; the same as a line, empty where it is not."""
    for build in found:
        reasons = open_index(layout, build["channel"]).yanked().get(name, {})
        build["yanked"] = reason_of(Version(build["build"].partition("==")[2]), reasons) if build["build"] else None
    return ["" if build["yanked"] is None else f"    yanked: {printable(build['yanked'])}" for build in found]


@click.command()
@click.argument("build")
@click.option("-f", "--follow", is_flag=True, help="Go on until the build has ended.")
@click.pass_obj
def log(options: Options, build: str, follow: bool) -> int:
    """Print the log of BUILD: [CHANNEL/]NAME==VERSION+LABEL.N, an attempt's id, or NAME[==VERSION] for the latest."""
    workspace = open_workspace(options)
    layout = open_layout(options, workspace)
    with contextlib.closing(State.open(layout)) as state:
        attempt = find_attempt(build, state, workspace.settings.label)
        path = reports.log_path(attempt, layout)
        if not path.exists():
            attempt = state.attempt(attempt.id) or attempt
            path = reports.log_path(attempt, layout)
        _copy(path, attempt, layout, state, follow=follow)
    return 0


def _copy(path: Path, attempt: Attempt, layout: Layout, state: State, *, follow: bool) -> None:
    """The log's bytes as they are; a build's end moves the file, which an open stream does not notice."""
    try:
        stream = path.open("rb")
    except FileNotFoundError as error:
        raise UsageError("the log of this build is gone", where=str(path)) from error
    with stream:
        while True:
            now = state.attempt(attempt.id)
            ended = not follow or now is None or now.state != "running" or not is_alive(now)
            shutil.copyfileobj(stream, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            if ended:
                return
            time.sleep(FOLLOW_INTERVAL)

"""``pybuild doctor``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from pybuilder.cli.options import Options
from pybuilder.cli.places import open_layout, open_workspace
from pybuilder.doctor import examine, works
from pybuilder.doctor.check import Check
from pybuilder.errors import EngineError, UsageError
from pybuilder.layout import Layout


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def doctor(options: Options, as_json: bool) -> int:
    """Say what this machine can do, and how to install what is missing; exit 20 if the host buildroot can't work."""
    layout, index = _place(options)
    checks = examine(layout, index=index, environ=os.environ)
    if as_json:
        print(json.dumps({"ok": works(checks), "checks": [_as_json(check) for check in checks]}, indent=2))
    else:
        for check in checks:
            _print(check)
        print("the host buildroot works" if works(checks) else "the host buildroot does not work")
    return 0 if works(checks) else EngineError.exit_code


def _place(options: Options) -> tuple[Layout, str]:
    """The state and the index of the workspace; outside of any, where they would be if one were made here."""
    try:
        workspace = open_workspace(options)
    except UsageError:
        return Layout(root=(options.state or Path(".pybuild")).absolute()), ""
    return open_layout(options, workspace), str(workspace.settings.index or "")


def _as_json(check: Check) -> dict[str, str | bool]:
    return {
        "name": check.name,
        "ok": check.ok,
        "needed": check.needed,
        "found": check.found,
        "needed_for": check.needed_for,
        "do": check.cure,
    }


def _print(check: Check) -> None:
    state = "ok" if check.ok else "FAILS" if check.needed else "no"
    print(f"{state:6}{check.name:17}{check.found}")
    if not check.ok:
        print(f"{'':23}for {check.needed_for}")
        if check.cure:
            print(f"{'':23}do: {check.cure}")

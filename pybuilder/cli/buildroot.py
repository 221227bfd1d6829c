"""``pybuild buildroot``: the buildroots there are."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from pybuilder.cli.locks import diff, lock, read_lock_file
from pybuilder.cli.options import Options
from pybuilder.cli.places import lock_path, open_workspace
from pybuilder.cli.roots import create, prune
from pybuilder.cli.shell import buildroot_shell
from pybuilder.workspace import Workspace


@click.group()
def buildroot() -> None:
    """Lock RPMs, make roots of them, look into them."""


for _command in (create, diff, lock, prune, buildroot_shell):
    buildroot.add_command(_command)


@buildroot.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def list_(options: Options, as_json: bool) -> int:
    """List the buildroots of the workspace."""
    workspace = open_workspace(options)
    found = [_described(workspace, name) for name in workspace.buildroot_names()]
    if as_json:
        json.dump({"buildroots": found}, sys.stdout, indent=2)
        print()
        return 0
    for each in found:
        system = " ".join(filter(None, (each["distribution"], each["release"], each["arch"])))
        locked = "not locked" if each["rpms"] is None else f"{each['rpms']} RPMs"
        state = "" if each["engine"] == "host" else f", {locked}"
        print(f"{each['name']}: {each['engine']}, {system}, Python {' '.join(each['pythons'])}{state}")
    return 0


def _described(workspace: Workspace, name: str) -> dict[str, Any]:
    definition, lock = workspace.buildroot(name), read_lock_file(lock_path(workspace, name))
    return {
        "name": name,
        "engine": definition.engine,
        "distribution": definition.distribution,
        "release": definition.release,
        "arch": definition.arch,
        "pythons": list(definition.pythons),
        "rpms": len(lock.rpms) if lock else None,
    }

"""``pybuild buildroot create`` and ``prune``: roots made ahead, and those that nobody uses any more."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from datetime import timedelta
from typing import Any

import click

from pybuilder.cli.options import Options
from pybuilder.cli.places import choose_buildroot, open_layout, open_workspace
from pybuilder.cli.progress import listener
from pybuilder.cli.rpm_ground import local_roots, locked_roots, open_podman, read_lock
from pybuilder.errors import UsageError
from pybuilder.http import Client
from pybuilder.state import State
from pybuilder.usage import at_work

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


@click.command()
@click.argument("name", default="")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def create(options: Options, name: str, as_json: bool) -> int:
    """Make the roots of a buildroot that every build and every install test has, unless they are there."""
    workspace = open_workspace(options)
    layout = open_layout(options, workspace)
    buildroot = workspace.buildroot(name or choose_buildroot(options, workspace).name)
    if buildroot.engine == "host":
        raise UsageError(f"the buildroot {buildroot.name} is this machine's own system: there is nothing to make")
    made: list[dict[str, Any]] = []
    with (
        listener(options) as listen,
        contextlib.closing(State.open(layout)) as state,
        at_work(layout),
        Client() as client,
        open_podman(layout, state) as engine,
    ):
        lock = read_lock(workspace, buildroot)
        roots = locked_roots(buildroot, lock, layout=layout, client=client, services=engine.services, listen=listen)
        for purpose, root in (("build", roots.for_build(())), ("test", roots.for_test(()))):
            known = layout.root_of(root.digest).is_dir()
            with roots.tree(root) as tree:
                facts = {"for": purpose, "digest": root.digest, "path": str(tree)}
                made.append({**facts, "rpms": len(root.contents["rpms"]), "made": not known})
    if as_json:
        print(json.dumps({"buildroot": buildroot.name, "roots": made}, indent=2))
        return 0
    for each in made:
        print(f"{each['for']:5}  {each['digest'][:16]}  {each['rpms']} RPMs, {'made' if each['made'] else 'known'}")
        print(f"       {each['path']}")
    return 0


@click.command()
@click.option("--unused-for", default="30d", metavar="TIME", help="Only roots not used for so long; 0d takes all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def prune(options: Options, unused_for: str, as_json: bool) -> int:
    """Remove roots that no build has used for a while; they are made again from their RPMs when one needs them."""
    layout = open_layout(options, open_workspace(options))
    with contextlib.closing(State.open(layout)) as state, open_podman(layout, state) as engine:
        pruned = local_roots(layout, services=engine.services).prune(_duration(unused_for))
    if as_json:
        print(json.dumps({"pruned": list(pruned.digests), "freed": pruned.freed}, indent=2))
    elif not options.quiet:
        print(f"{len(pruned.digests)} roots removed, {pruned.freed / 1e6:.0f} MB freed", file=sys.stderr)
    return 0


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,5})([hdw])", text)
    if not found:
        raise UsageError(f"{text!r} is no time", cure="write it as 12h, 30d or 8w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})

"""``pybuild gc``: what nothing needs any more goes."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import click

from pybuilder.cli.clearing import clear_left
from pybuilder.cli.options import Options
from pybuilder.cli.places import find_attempt, lock_path, open_layout, open_workspace
from pybuilder.errors import UsageError
from pybuilder.fields import size as parse_size
from pybuilder.gc import Collector, Ground, Report
from pybuilder.gc.facts import keep, kept, let_go, named_by
from pybuilder.layout import Layout
from pybuilder.lockfile import Lock, parse_lock
from pybuilder.state import State, check_owner
from pybuilder.workspace import Workspace


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_size(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@click.option("--max-size", callback=_size, metavar="SIZE", help="Also what was used longest ago, until it fits: 20G.")
@click.option("--keep", "kept_builds", multiple=True, metavar="BUILD", help="Keep BUILD from now on; frees nothing.")
@click.option("--let-go", "let_go_builds", multiple=True, metavar="BUILD", help="Keep BUILD no longer; frees nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def gc(
    options: Options,
    dry_run: bool,
    max_size: int | None,
    kept_builds: tuple[str, ...],
    let_go_builds: tuple[str, ...],
    as_json: bool,
) -> int:
    """Drop what no index, record, lock or running build needs; logs and records always stay."""
    workspace = open_workspace(options)
    layout = open_layout(options, workspace)
    if not layout.owner.exists() and not layout.store.is_dir():
        raise UsageError("there is no state here yet", where=str(layout.root), cure="pybuild build NAME")
    check_owner(layout)
    report = None
    if kept_builds or let_go_builds:
        if dry_run or max_size is not None:
            raise UsageError("--keep and --let-go free nothing", cure="run gc again without them")
        with contextlib.closing(State.open(layout)) as state:
            for note, builds in ((keep, kept_builds), (let_go, let_go_builds)):
                for build in builds:
                    note(layout, find_attempt(build, state, workspace.settings.label).id)
    else:
        report = make_collector(workspace, layout, dry_run=dry_run).run(max_size)
    if as_json:
        document = {"kept": list(kept(layout)), **(_facts(report, dry_run, max_size) if report else {})}
        print(json.dumps(document, indent=2))
    elif report and not options.quiet:
        print("\n".join(_lines(report, dry_run)))
    if report:
        _warn(report, max_size)
    return 0


def make_collector(workspace: Workspace, layout: Layout, *, dry_run: bool) -> Collector:
    """What goes through a state, by the rules of its workspace."""
    return Collector(
        layout=layout,
        ground=partial(_ground, layout),
        named=named_by(workspace, _locks(workspace)),
        keep=workspace.settings.keep,
        dry_run=dry_run,
    )


@contextlib.contextmanager
def _ground(layout: Layout, full: bool) -> Iterator[Ground]:
    # Most of what this imports is podman's.
    from pybuilder.cli.rpm_ground import local_roots, open_podman

    with contextlib.closing(State.open(layout, alone=full)) as state, open_podman(layout, state) as engine:
        roots = local_roots(layout, services=engine.services)
        yield Ground(state=state, roots=roots, clear=partial(clear_left, layout, state))


def _locks(workspace: Workspace) -> Iterator[Lock]:
    for name in workspace.buildroot_names():
        path = lock_path(workspace, name)
        if path.exists():
            yield parse_lock(path.read_text("utf-8", "replace"), f"buildroots/{path.name}")


def _facts(report: Report, dry_run: bool, max_size: int | None) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "freed": {kind: {"count": count, "bytes": report.freed[kind]} for kind, count in sorted(report.count.items())},
        "bytes": sum(report.freed.values()),
        "size": report.size,
        "fits": None if report.size is None or max_size is None else report.size <= max_size,
        "unread": list(report.unread),
    }


def _lines(report: Report, dry_run: bool) -> Iterator[str]:
    for kind, count in sorted(report.count.items()):
        yield f"{kind:26} {count:8} {report.freed[kind] / 1e6:12.1f} MB"
    total = sum(report.freed.values())
    yield f"{'would be freed' if dry_run else 'freed':26} {'':8} {total / 1e6:12.1f} MB"


def _warn(report: Report, max_size: int | None) -> None:
    for record in report.unread:
        print(f"pybuild: this can't be read: {record}", file=sys.stderr)
    if report.unread:
        stays = "so nobody knows what it needs, and every payload, source and RPM stays"
        print(f"pybuild: {stays}; restore it from a backup, or from the index", file=sys.stderr)
    if max_size is not None and report.size is not None and report.size > max_size:
        known = "all of it is published, kept with --keep, or in use"
        why = "nobody knows what of it is needed" if report.unread else known
        print(f"pybuild: {report.size / 1e6:.1f} MB are left: {why}", file=sys.stderr)

"""``pybuild buildroot``: the buildroots there are, and their locks."""

from __future__ import annotations

import json
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any

import click

from pybuilder.cli.options import Options
from pybuilder.cli.session import choose_buildroot, open_layout, open_workspace
from pybuilder.errors import ConfigError, UsageError
from pybuilder.lockfile import Change, Lock, changes, format_lock, parse_lock
from pybuilder.processes import run
from pybuilder.workspace import Workspace


@click.group()
def buildroot() -> None:
    """List buildroots, lock their RPMs, compare locks."""


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
    definition, lock = workspace.buildroot(name), _read(_lock_path(workspace, name))
    return {
        "name": name,
        "engine": definition.engine,
        "distribution": definition.distribution,
        "release": definition.release,
        "arch": definition.arch,
        "pythons": list(definition.pythons),
        "rpms": len(lock.rpms) if lock else None,
    }


class _LockCommand(click.Command):
    """``--update`` takes as many names as follow it, or none, which no option of click's can."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--update" in args:
            at = args.index("--update")
            names = list(takewhile(lambda arg: not arg.startswith("-"), args[at + 1 :]))
            update = [f"--update={name}" for name in names or ["*"]]
            args = [*args[:at], *args[at + 1 + len(names) :], *update]
        return super().parse_args(ctx, args)


@buildroot.command(cls=_LockCommand)
@click.argument("name", default="")
@click.option("--update", multiple=True, metavar="[NAME]...", help="Let these RPMs move, or all where none is named.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def lock(options: Options, name: str, update: tuple[str, ...], as_json: bool) -> int:
    """Lock the RPMs of a buildroot, and those that specs ask for; what is locked stays unless --update says so."""
    from pybuilder.files import disk_errors, file_lock, write_atomic

    workspace = open_workspace(options)
    name = name or choose_buildroot(options, workspace)
    path = _lock_path(workspace, name)
    with disk_errors(path), file_lock(open_layout(options, workspace).lock(f"buildroot-{name}")):
        old = _read(path)
        new = _locked(options, workspace, name, old, update)
        text = format_lock(new)
        written = old is None or format_lock(old) != text
        if written:
            write_atomic(path, text.encode())
    found = changes(old or _empty(new), new)
    if as_json:
        document = {"buildroot": name, "lock": str(path), "written": written, "rpms": len(new.rpms)}
        json.dump(document | {"changes": [_change(each) for each in found]}, sys.stdout, indent=2)
        print()
    elif not options.quiet:
        for each in found if old else ():
            print(each)
        print(f"{path}: {len(new.rpms)} RPMs, {len(found)} changed", file=sys.stderr)
    return 0


def _locked(options: Options, workspace: Workspace, name: str, old: Lock | None, update: tuple[str, ...]) -> Lock:
    from pybuilder.http import Client
    from pybuilder.rpm.lock import Locker
    from pybuilder.rpm.requests import requests
    from pybuilder.store import Store

    definition = workspace.buildroot(name)
    if definition.engine == "host":
        raise UsageError(
            f"the buildroot {name} is this machine's own system: there is nothing to lock",
            cure=f"name another; defined are {', '.join(workspace.buildroot_names())}",
        )
    layout = open_layout(options, workspace)
    specs = [spec for each in workspace.spec_names() if (spec := workspace.spec(each))]
    with Client() as client:
        locker = Locker(
            layout=layout,
            store=Store(layout),
            client=client,
            home=workspace.root / "buildroots",
            report=_silent if options.quiet else _report,
        )
        return locker.lock(definition, requests(definition, specs), old=old, update=update)


def _report(text: str) -> None:
    print(text, file=sys.stderr)


def _silent(text: str) -> None:
    """Say nothing."""


@buildroot.command()
@click.argument("old")
@click.argument("new")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def diff(options: Options, old: str, new: str, as_json: bool) -> int:
    """Say what changed between two locks; each is a buildroot's name, a file, or one of them at a git revision.

    For example: pybuild buildroot diff HEAD~1:fedora-45 fedora-45
    """
    workspace = open_workspace(options)
    found = changes(_named(workspace, old), _named(workspace, new))
    if as_json:
        json.dump({"old": old, "new": new, "changes": [_change(each) for each in found]}, sys.stdout, indent=2)
        print()
        return 0
    for each in found:
        print(each)
    return 0


def _named(workspace: Workspace, text: str) -> Lock:
    """The lock that a person means.

    Raises:
        UsageError: There is none.
        ConfigError: It is wrong.
    """
    revision, colon, file = text.rpartition(":")
    path = f"buildroots/{file}.lock" if file in workspace.buildroot_names() else file
    if colon:
        done = run(["git", "show", f"{revision}:./{path}"], cwd=workspace.root)
        if done.returncode == 0:
            return parse_lock(done.stdout.decode("utf-8", "replace"), text)
        said = done.stderr.decode("utf-8", "replace").strip()
        raise UsageError(f"git has no {text!r}", where=said, cure="write REVISION:NAME, as in HEAD~1:fedora-45")
    if found := _read(workspace.root / path if path != file else Path(file)):
        return found
    raise UsageError(f"there is no lock {text!r}", cure="name a buildroot that is locked, or a lock's file")


def _lock_path(workspace: Workspace, name: str) -> Path:
    return workspace.root / "buildroots" / f"{name}.lock"


def _read(path: Path) -> Lock | None:
    try:
        return parse_lock(path.read_text("utf-8"), str(path))
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise ConfigError("this is no lock", where=str(path), cure="pybuild buildroot lock") from error


def _empty(like: Lock) -> Lock:
    return Lock(buildroot=like.buildroot, arch=like.arch, repositories={}, answers={}, rpms={})


def _change(change: Change) -> dict[str, Any]:
    return {
        "name": change.name,
        "old": change.old and {"evra": change.old.evra, "sha256": change.old.sha256},
        "new": change.new and {"evra": change.new.evra, "sha256": change.new.sha256},
    }

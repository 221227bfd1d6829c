"""``pybuild buildroot lock`` and ``diff``: locks made, compared, and exchanged with other tools."""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pybuilder.cli.lines import event_line
from pybuilder.cli.options import Options
from pybuilder.cli.places import choose_buildroot, lock_path, open_layout, open_workspace
from pybuilder.errors import ConfigError, StateError, UsageError
from pybuilder.events import Event
from pybuilder.lockfile import Change, Lock, Named, changes, format_lock, parse_lock
from pybuilder.processes import run
from pybuilder.workspace import Workspace

if TYPE_CHECKING:
    from pybuilder.buildroot import Buildroot
    from pybuilder.lock_exchange import Listed, Listing
    from pybuilder.rpm.lock import Locker
    from pybuilder.rpm.requests import Request


class _LockCommand(click.Command):
    """``--update`` takes as many names as follow it, or none, which no option of click's can."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--update" in args:
            at = args.index("--update")
            names = list(takewhile(lambda arg: not arg.startswith("-"), args[at + 1 :]))
            update = [f"--update={name}" for name in names or ["*"]]
            args = [*args[:at], *args[at + 1 + len(names) :], *update]
        return super().parse_args(ctx, args)


_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=_LockCommand)
@click.argument("name", default="")
@click.option("--update", multiple=True, metavar="[NAME]...", help="Let these RPMs move, or all where none is named.")
@click.option("--import", "source", type=_FILE, help="Start from mock's or Konflux's lock in place of the lock so far.")
@click.option("--export", "target", type=_FILE, help="Write it in mock's form (.json) or Konflux's (.yaml) as well.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def lock(
    options: Options, name: str, update: tuple[str, ...], source: Path | None, target: Path | None, as_json: bool
) -> int:
    """Lock the RPMs of a buildroot, and those that specs ask for; what is locked stays unless --update says so."""
    from pybuilder.files import disk_errors, file_lock, write_atomic
    from pybuilder.lock_exchange import format_listing

    if target:
        _check_target(target)
    workspace = open_workspace(options)
    definition = _rpm_buildroot(workspace, name or choose_buildroot(options, workspace).name)
    path = lock_path(workspace, definition.name)
    listed = _imported(source, definition.arch) if source else ()
    state_lock = open_layout(options, workspace).lock(f"buildroot-{definition.name}")
    with disk_errors(path), file_lock(state_lock), _locker(options, workspace) as locker:
        old = read_lock_file(path)
        asked = _requests(workspace, definition)
        made = locker.lock(definition, asked, old=None if source else old, update=update, listed=listed)
        new, text = made.lock, format_lock(made.lock)
        export = format_listing(str(target), new.arch, made.exports()) if target else ""
        written = old is None or format_lock(old) != text
        if written:
            write_atomic(path, text.encode())
        if target:
            _write_export(target, export)
    found = changes(old.rpms if old else {}, new.rpms)
    if as_json:
        document = {"buildroot": definition.name, "lock": str(path), "written": written, "rpms": len(new.rpms)}
        json.dump(document | {"changes": [_change(each) for each in found]}, sys.stdout, indent=2)
        print()
    elif not options.quiet:
        for each in found if old else ():
            print(each)
        print(f"{path}: {len(new.rpms)} RPMs, {len(found)} changed", file=sys.stderr)
    return 0


def _check_target(target: Path) -> None:
    """Refuse a file that can't be written before anything else is done."""
    from pybuilder.lock_exchange import check_form

    check_form(str(target))
    try:
        with tempfile.NamedTemporaryFile(prefix=f".{target.name[:80]}.", dir=target.parent):
            pass
    except OSError as error:
        what = f"the export can't be written: {(error.strerror or str(error)).lower()}"
        raise UsageError(what, where=str(target), cure="name a file in a directory that can be written") from error


def _write_export(target: Path, text: str) -> None:
    from pybuilder.files import write_named

    try:
        write_named(target, text.encode())
    except OSError as error:
        what = f"the lock is written, but the export can't be: {(error.strerror or str(error)).lower()}"
        cure = "make room, or name another file after --export, and run the same command again"
        raise StateError(what, where=str(target), cure=cure) from error


def _rpm_buildroot(workspace: Workspace, name: str) -> Buildroot:
    definition = workspace.buildroot(name)
    if definition.engine == "host":
        raise UsageError(
            f"the buildroot {name} is this machine's own system: there is nothing to lock",
            cure=f"name another; defined are {', '.join(workspace.buildroot_names())}",
        )
    return definition


def _imported(file: Path, arch: str) -> Collection[Listed]:
    from pybuilder.lock_exchange import parse_listing

    if (text := _text(file)) is None:
        raise UsageError("there is no such file", where=str(file), cure="name a file after --import")
    return parse_listing(text, str(file)).of(arch).values()


def _requests(workspace: Workspace, definition: Buildroot) -> tuple[Request, ...]:
    from pybuilder.rpm.requests import requests

    return requests(definition, [spec for each in workspace.spec_names() if (spec := workspace.spec(each))])


@contextmanager
def _locker(options: Options, workspace: Workspace) -> Iterator[Locker]:
    from pybuilder.http import Client
    from pybuilder.rpm.lock import Locker
    from pybuilder.store import Store
    from pybuilder.usage import at_work

    layout = open_layout(options, workspace)
    with at_work(layout), Client() as client:
        yield Locker(
            layout=layout,
            store=Store(layout, _note),
            client=client,
            home=workspace.root / "buildroots",
            report=_silent if options.quiet else _report,
        )


def _note(event: Event) -> None:
    print(event_line(event), file=sys.stderr)


def _report(text: str) -> None:
    print(text, file=sys.stderr)


def _silent(text: str) -> None:
    """Say nothing."""


@click.command()
@click.argument("old")
@click.argument("new")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def diff(options: Options, old: str, new: str, as_json: bool) -> int:
    """Say what changed between two locks; each is a buildroot's name, a file, or one of them at a git revision.

    A file may also be mock's or Konflux's. For example: pybuild buildroot diff HEAD~1:fedora-45 fedora-45
    """
    workspace = open_workspace(options)
    locks = [_named(workspace, text) for text in (old, new)]
    arch = _arch(*locks)
    before, after = (each.rpms if isinstance(each, Lock) else each.of(arch) for each in locks)
    found = changes(before, after)
    if as_json:
        json.dump({"old": old, "new": new, "changes": [_change(each) for each in found]}, sys.stdout, indent=2)
        print()
        return 0
    for each in found:
        print(each)
    return 0


def _arch(old: Lock | Listing, new: Lock | Listing) -> str:
    from pybuilder.lock_exchange import common_arch

    if isinstance(old, Lock):
        return old.arch
    return new.arch if isinstance(new, Lock) else common_arch(old, new, platform.machine())


def _named(workspace: Workspace, text: str) -> Lock | Listing:
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
            return _parsed(done.stdout.decode("utf-8", "replace"), text)
        said = done.stderr.decode("utf-8", "replace").strip()
        raise UsageError(f"git has no {text!r}", where=said, cure="write REVISION:NAME, as in HEAD~1:fedora-45")
    found = workspace.root / path if path != file else Path(file)
    if (written := _text(found)) is not None:
        return _parsed(written, str(found))
    raise UsageError(f"there is no lock {text!r}", cure="name a buildroot that is locked, or a lock's file")


def _parsed(text: str, file: str) -> Lock | Listing:
    from pybuilder.lock_exchange import is_listing, parse_listing

    return parse_listing(text, file) if is_listing(file) else parse_lock(text, file)


def read_lock_file(path: Path) -> Lock | None:
    """A lock, or None where there is no such file.

    Raises:
        ConfigError: It is wrong.
    """
    text = _text(path)
    return None if text is None else parse_lock(text, str(path))


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise ConfigError("this is no lock", where=str(path), cure="pybuild buildroot lock") from error


def _change(change: Change) -> dict[str, Any]:
    return {"name": change.name, "old": _shown(change.old), "new": _shown(change.new)}


def _shown(rpm: Named | None) -> dict[str, str | None] | None:
    return {"evra": rpm.evra, "sha256": rpm.sha256 or None} if rpm else None

"""``pybuild shell`` and ``pybuild buildroot shell``: a person inside the sandbox."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
import tty
from collections.abc import Iterator

import click
from packaging.requirements import Requirement

from pybuilder.cli.completion import complete_names
from pybuilder.cli.options import Options
from pybuilder.cli.places import find_attempt, open_workspace
from pybuilder.cli.progress import listener
from pybuilder.cli.session import open_session
from pybuilder.events import Listener
from pybuilder.names import BuildName, split_number
from pybuilder.stages.shell import Person, build_shell, root_shell
from pybuilder.state import State


@click.command()
@click.argument("build", shell_complete=complete_names)
@click.pass_obj
def shell(options: Options, build: str) -> int:
    """Open a shell in the prepared build of BUILD: patched source, environment, network off.

    BUILD is NAME[==VERSION], a published build or an attempt's id; what is prepared is the build that the workspace
    describes today.
    """
    label = open_workspace(options).settings.label
    with _progress(options) as (progress, listen), open_session(options, listen) as session:
        requirement = _requirement(build, session.adapters.state, label)
        source, project, plan = session.pipeline(force=False).prepare(requirement)
        progress.close()
        with person() as somebody:
            build_shell(session.adapters, source, project, plan, somebody)
    return 0


@click.command("shell")
@click.argument("name", default="")
@click.pass_obj
def buildroot_shell(options: Options, name: str) -> int:
    """Open a shell in the root of a buildroot as every build sees it, network off."""
    import dataclasses

    options = dataclasses.replace(options, buildroot=name or options.buildroot)
    with _progress(options) as (progress, listen), open_session(options, listen) as session:
        progress.close()
        with person() as somebody:
            root_shell(session.adapters, session.adapters.roots.for_build(()), somebody)
    return 0


def _requirement(text: str, state: State, label: str) -> Requirement:
    """The package and version that a person means.

    Raises:
        UsageError: They mean nothing that there is.
    """
    if state.attempt(text):
        attempt = find_attempt(text, state, label)
        return Requirement(f"{attempt.name}=={attempt.version}")
    name = BuildName.parse(text)
    if name.version is None:
        return Requirement(name.name)
    numbered = split_number(name.version, label)
    return Requirement(f"{name.name}=={numbered[0] if numbered else name.version}")


@contextlib.contextmanager
def _progress(options: Options) -> Iterator[tuple[contextlib.ExitStack, Listener]]:
    """A listener, and what ends its moving line before a person has the terminal."""
    with contextlib.ExitStack() as progress:
        yield progress, progress.enter_context(listener(options))


@contextlib.contextmanager
def person() -> Iterator[Person]:
    """Whoever is at standard input; a terminal passes every key on, and is as it was afterwards."""
    typed = sys.stdin.fileno()
    if not sys.stdin.isatty():
        yield Person(typed=typed, size=(), show=_show)
        return
    size = os.get_terminal_size(typed)
    before = termios.tcgetattr(typed)
    try:
        tty.setraw(typed, termios.TCSADRAIN)
        yield Person(typed=typed, size=(size.lines, size.columns), show=_show)
    finally:
        termios.tcsetattr(typed, termios.TCSADRAIN, before)


def _show(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()

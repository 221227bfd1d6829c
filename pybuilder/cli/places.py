"""Where a command finds things: the workspace, the state, the channel and its index; imports little."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from pybuilder.cli.options import Options
from pybuilder.errors import UsageError
from pybuilder.layout import Layout
from pybuilder.names import BuildName, NormalizedName, normalize, split_number
from pybuilder.processes import run
from pybuilder.workspace import Workspace

if TYPE_CHECKING:
    from pybuilder.index import Index
    from pybuilder.index.reader import Place
    from pybuilder.state import Attempt, PublishedWheel, State


def open_workspace(options: Options) -> Workspace:
    """The workspace that the options name, or the one here or above."""
    return Workspace.open(options.workspace or Path.cwd(), run=run)


def open_layout(options: Options, workspace: Workspace) -> Layout:
    """The state directory: ``--state``, else pybuild.toml's, else ``.pybuild`` in the workspace."""
    chosen = options.state or workspace.root / (workspace.settings.state or ".pybuild")
    return Layout(root=chosen.absolute())


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenBuildroot:
    """The buildroot of a command.

    Attributes:
        name: Its name.
        named: Whether somebody named it; then nothing else is ever taken for it.
    """

    name: str
    named: bool

    def channel(self, variant: str) -> str:
        """The channel that it publishes."""
        return f"{self.name}-{variant}" if variant else self.name


def check_known(name: NormalizedName, workspace: Workspace) -> None:
    """Refuse a name under which nothing was built, unless somebody has accepted it.

    Raises:
        UsageError: Nobody has.
    """
    if not workspace.accepts(name):
        near = workspace.similar(name)
        raise UsageError(
            f"{name} is not accepted and was never built" + (f"; did you mean {near[0]}?" if near else ""),
            cure=f"pybuild new {name}",
        )


def choose_buildroot(options: Options, workspace: Workspace) -> ChosenBuildroot:
    """The buildroot: ``-b``, else pybuild.toml's, else one that is locked, if podman works here, else the host."""
    if name := options.buildroot or workspace.settings.buildroot:
        return ChosenBuildroot(name=name, named=True)
    names = (name for name in workspace.buildroot_names() if lock_path(workspace, name).exists())
    if (locked := next(names, None)) is not None:
        from pybuilder.cli.rpm_ground import podman_works
        from pybuilder.state import State

        layout = open_layout(options, workspace)
        with contextlib.closing(State.open(layout)) as state:
            if podman_works(layout, state):
                return ChosenBuildroot(name=locked, named=False)
    return ChosenBuildroot(name="host", named=False)


def channel_name(options: Options, workspace: Workspace) -> str:
    """The channel that the options mean."""
    return choose_buildroot(options, workspace).channel(options.variant)


def open_index(layout: Layout, channel: str) -> Index:
    """The published tree of a channel."""
    from pybuilder.index import Index

    return Index.of(layout, channel)


def own_index(layout: Layout, channel: str) -> Place:
    """The published tree of a channel, to be read.

    Raises:
        UsageError: Nothing has been published in it.
    """
    from pybuilder.index.reader import Place

    root = layout.index(channel)
    if not root.is_dir():
        raise UsageError(f"the channel {channel} has published nothing", where=str(root), cure="pybuild build NAME")
    return Place(index=str(root))


def named_index(text: str) -> Place:
    """The published tree that a text names.

    Raises:
        UsageError: It names none, or a wheel.
    """
    from pybuilder.index.reader import Place

    place = Place.of(text)
    if place is None or place.wheel:
        raise UsageError(f"{text} is no published index", cure="name the directory or the URL that has simple/")
    return place


def lock_path(workspace: Workspace, name: str) -> Path:
    """Where the lock of a buildroot is."""
    return workspace.root / "buildroots" / f"{name}.lock"


def find_attempt(text: str, state: State, label: str) -> Attempt:
    """The attempt that a person means.

    Raises:
        UsageError: There is none.
    """
    by_id = state.attempt(text)
    if by_id:
        return by_id
    name = BuildName.parse(text)
    numbered = split_number(name.version, label) if name.version else None
    if numbered:
        for wheel in state.published_anywhere(name.name):
            same = (wheel.version, wheel.number) == (str(numbered[0]), numbered[1])
            if same and name.channel in ("", wheel.channel):
                attempt = state.attempt(wheel.attempt)
                if attempt:
                    return attempt
    else:
        attempts = state.attempts(name.name, str(name.version) if name.version else None)
        matching = [attempt for attempt in attempts if name.channel in ("", attempt.channel)]
        if matching:
            return matching[0]
    raise UsageError(f"there is no build {text!r}", cure=f"pybuild show {name.name}")


def published_wheels(text: str, state: State, label: str) -> list[PublishedWheel]:
    """The published wheels that a person means, of one number: those of a name, or those of an attempt's payload.

    Raises:
        UsageError: There are none.
    """
    attempt = state.attempt(text)
    if attempt:
        name = BuildName(channel=attempt.channel, name=normalize(attempt.name), version=None)
        wheels = [wheel for wheel in state.published_anywhere(name.name) if wheel.payload == attempt.payload]
    else:
        name = BuildName.parse(text)
        wheels = [wheel for wheel in state.published_anywhere(name.name) if _is_named(wheel, name.version, label)]
    newest = next((wheel for wheel in wheels if name.channel in ("", wheel.channel)), None)
    if newest is None:
        raise UsageError(f"nothing that {text!r} names is published", cure=f"pybuild show {name.name}")
    build = (newest.channel, newest.version, newest.number)
    return [wheel for wheel in wheels if (wheel.channel, wheel.version, wheel.number) == build]


def _is_named(wheel: PublishedWheel, version: Version | None, label: str) -> bool:
    """Whether a wheel is of a version, which may have a number; None for any."""
    if version is None:
        return True
    numbered = split_number(version, label)
    return wheel.version == str(version) if numbered is None else (Version(wheel.version), wheel.number) == numbered

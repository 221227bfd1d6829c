"""Put the world together for a command: workspace, state, buildroot, engine, index, upstream."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pybuilder import clock, events
from pybuilder.buildroot import Buildroot
from pybuilder.cli.options import Options
from pybuilder.environment import Environments, PythonTarget
from pybuilder.errors import ConfigError, EngineError
from pybuilder.http import Client
from pybuilder.index import Index
from pybuilder.layout import Layout
from pybuilder.pipeline import Pipeline
from pybuilder.plan import Target
from pybuilder.processes import run
from pybuilder.sandbox.host import HostEngine
from pybuilder.sandbox.host_root import host_root, this_target
from pybuilder.sources.fetch import Sources
from pybuilder.stages import Adapters, Channel
from pybuilder.stages.choose import Chooser
from pybuilder.stages.reap import reap
from pybuilder.stages.recover import recover
from pybuilder.stages.source import SourceGetter
from pybuilder.state import State
from pybuilder.store import Store
from pybuilder.upstream import Upstream
from pybuilder.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """What most commands need.

    Attributes:
        workspace: The workspace.
        adapters: The world, for one channel.
        sources: Gets sources.
        chooser: Says which versions there are.
    """

    workspace: Workspace
    adapters: Adapters
    sources: SourceGetter
    chooser: Chooser

    def pipeline(self, *, force: bool) -> Pipeline:
        """A run."""
        return Pipeline(adapters=self.adapters, sources=self.sources, chooser=self.chooser, force=force)


def open_workspace(options: Options) -> Workspace:
    """The workspace that the options name, or the one here or above."""
    return Workspace.open(options.workspace or Path.cwd(), run=run)


def open_layout(options: Options, workspace: Workspace) -> Layout:
    """The state directory: ``--state``, else pybuild.toml's, else ``.pybuild`` in the workspace."""
    chosen = options.state or workspace.root / (workspace.settings.state or ".pybuild")
    return Layout(root=chosen.absolute())


def channel_name(options: Options, workspace: Workspace) -> str:
    """The channel that the options mean."""
    buildroot = choose_buildroot(options, workspace)
    return f"{buildroot}-{options.variant}" if options.variant else buildroot


def choose_buildroot(options: Options, workspace: Workspace) -> str:
    """The buildroot: ``-b``, else pybuild.toml's, else the host."""
    return options.buildroot or workspace.settings.buildroot or "host"


def open_index(layout: Layout, channel: str) -> Index:
    """The published tree of a channel."""
    return Index(layout.index(channel), lock=layout.lock(f"index-{channel}"))


@contextlib.contextmanager
def open_session(options: Options, listen: events.Listener) -> Iterator[Session]:
    """Everything a build needs, closed at the end.

    Raises:
        PybuildError: Something of it can't be had; nothing has been done then.
    """
    workspace = open_workspace(options)
    layout = open_layout(options, workspace)
    buildroot = workspace.buildroot(choose_buildroot(options, workspace))
    target = _host_target(buildroot)
    engine = HostEngine.of_this_interpreter()
    with contextlib.closing(State.open(layout)) as state, Client() as client:
        name = channel_name(options, workspace)
        adapters = Adapters(
            layout=layout,
            store=Store(layout),
            state=state,
            engine=engine,
            environments=Environments(layout),
            index=open_index(layout, name),
            channel=Channel(
                name=name,
                label=workspace.settings.label,
                buildroot=buildroot.name,
                variant=options.variant,
                env=buildroot.env,
                macros=buildroot.macros,
            ),
            root=host_root(state),
            target=target,
            python=PythonTarget(executable=str(engine.interpreter), version=target.full_version),
            listen=listen,
            now=clock.now,
        )
        recover(adapters)
        reap(adapters)
        yield _session(workspace, adapters, client)


def _host_target(buildroot: Buildroot) -> Target:
    """The running Python as the target of a host buildroot; other buildroots can't be built in yet.

    Raises:
        EngineError: The buildroot needs podman.
        ConfigError: It wants another Python than the one that runs us.
    """
    file = f"buildroots/{buildroot.name}.toml"
    if buildroot.engine != "host":
        raise EngineError(
            f"the buildroot {buildroot.name} needs podman, which this version of pybuild can't drive yet",
            where=f"{file} [engine]",
            cure="build with -b host",
        )
    target = this_target()
    if others := sorted(set(buildroot.pythons) - {target.python}):
        raise ConfigError(
            f"a host buildroot builds for the Python that runs pybuild, {target.python}, not for {', '.join(others)}",
            where=f"{file} [pythons]",
            cure="leave the key out, or run pybuild with that Python",
        )
    return target


def _session(workspace: Workspace, adapters: Adapters, client: Client) -> Session:
    upstream = Upstream(client=client, url=str(workspace.settings.index or ""), environ=os.environ)
    chooser = Chooser(
        workspace=workspace,
        state=adapters.state,
        upstream=upstream,
        channel=adapters.channel.name,
        label=adapters.channel.label,
        python=adapters.target.full_version,
        now=adapters.now,
    )
    sources = Sources(store=adapters.store, client=client, upstream=upstream, workspace=workspace.root)
    getter = SourceGetter(adapters=adapters, workspace=workspace, sources=sources)
    return Session(workspace=workspace, adapters=adapters, sources=getter, chooser=chooser)

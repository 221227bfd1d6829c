"""Put the world together for a command: workspace, state, buildroot, engine, index, upstream."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder import clock, events
from pybuilder.cli.clearing import clear_left
from pybuilder.cli.ground import Ground, open_ground
from pybuilder.cli.options import Options
from pybuilder.cli.places import choose_buildroot, open_layout, open_workspace
from pybuilder.compilers import Compilers
from pybuilder.environment import Environments
from pybuilder.files import disk_errors
from pybuilder.http import Client
from pybuilder.layout import YANKED, Layout
from pybuilder.packages import Packages
from pybuilder.pipeline import Pipeline
from pybuilder.sources.fetch import Sources
from pybuilder.stages import Adapters, Channel
from pybuilder.stages.choose import Chooser
from pybuilder.stages.reap import reap
from pybuilder.stages.recover import recover
from pybuilder.stages.screen import Screener
from pybuilder.stages.source import SourceGetter
from pybuilder.state import State
from pybuilder.store import Store
from pybuilder.upstream import Upstream
from pybuilder.usage import at_work
from pybuilder.work import Cleaner
from pybuilder.workspace import Workspace

if TYPE_CHECKING:
    from pybuilder.uptake import Uptake


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

    def packages(self) -> Packages:
        """The packages of a run."""
        policy = self.workspace.settings.screen
        screener = Screener(adapters=self.adapters, policy=policy, root=self.workspace.root)
        return Packages(adapters=self.adapters, sources=self.sources, chooser=self.chooser, screener=screener)

    def uptake(self) -> Uptake:
        """Takes new versions into the specs as they are on disk, whatever a run holds back or proposes."""
        from pybuilder.uptake import Uptake

        workspace = Workspace(root=self.workspace.root, run=self.workspace.run)
        screener = self.packages().screener
        return Uptake(adapters=self.adapters, sources=self.sources, screener=screener, workspace=workspace)

    def pipeline(self, *, force: bool) -> Pipeline:
        """A run."""
        return Pipeline(packages=self.packages(), force=force)


@contextlib.contextmanager
def open_session(options: Options, listen: events.Listener, *, workspace: Workspace | None = None) -> Iterator[Session]:
    """Everything a build needs, closed at the end.

    Args:
        options: What stands before the command.
        listen: Told what happens.
        workspace: The workspace; None for the one that the options name.

    Raises:
        PybuildError: Something of it can't be had; nothing has been done then.
    """
    workspace = workspace or open_workspace(options)
    layout = open_layout(options, workspace)
    chosen = choose_buildroot(options, workspace)
    if not chosen.named:
        listen(events.Chosen(buildroot=chosen.name))
    buildroot = workspace.buildroot(chosen.name)
    with (
        contextlib.closing(State.open(layout)) as state,
        at_work(layout),
        Client() as client,
        open_ground(buildroot, workspace=workspace, layout=layout, facts=state, client=client, listen=listen) as ground,
    ):
        channel = Channel(
            name=chosen.channel(options.variant),
            label=workspace.settings.label,
            buildroot=buildroot.name,
            variant=options.variant,
            env=buildroot.env,
            macros=buildroot.macros,
        )
        with adapters_on(ground, workspace, layout=layout, state=state, channel=channel, listen=listen) as adapters:
            recover(layout, state)
            reap(layout, state, partial(clear_left, layout, state))
            yield _session(workspace, adapters, client)
        # Another run may have been killed beside this one, which built what that had begun.
        reap(layout, state, partial(clear_left, layout, state))


@contextlib.contextmanager
def adapters_on(
    ground: Ground, workspace: Workspace, *, layout: Layout, state: State, channel: Channel, listen: events.Listener
) -> Iterator[Adapters]:
    """The world for one channel; when the block is left, what nobody needed any more is gone.

    Args:
        ground: What its builds stand on.
        workspace: The workspace.
        layout: The state directory.
        state: The database in it.
        channel: The channel.
        listen: Told what happens.
    """
    with Cleaner() as cleaner, contextlib.closing(Compilers()) as compilers:
        yield Adapters(
            layout=layout,
            store=Store(layout, listen),
            state=state,
            engine=ground.engine,
            environments=Environments(layout, compilers),
            channel=channel,
            roots=ground.roots,
            workspace=workspace,
            target=ground.target,
            python=ground.python,
            cleaner=cleaner,
            listen=listen,
            now=clock.now,
        )


def _session(workspace: Workspace, adapters: Adapters, client: Client) -> Session:
    upstream = Upstream(client=client, url=str(workspace.settings.index or ""), environ=os.environ)
    chooser = Chooser(
        workspace=workspace,
        state=adapters.state,
        upstream=upstream,
        channel=adapters.channel.name,
        label=adapters.channel.label,
        buildroot=adapters.channel.buildroot,
        variant=adapters.channel.variant,
        tags=adapters.target.tags,
        python=adapters.target.full_version,
        now=adapters.now,
        yanked=_yanked(adapters),
    )
    sources = Sources(store=adapters.store, client=client, upstream=upstream, workspace=workspace.root)
    getter = SourceGetter(adapters=adapters, workspace=workspace, sources=sources)
    return Session(workspace=workspace, adapters=adapters, sources=getter, chooser=chooser)


def _yanked(adapters: Adapters) -> Callable[[], Mapping[NormalizedName, Mapping[Version, str]]]:
    """What tells which versions the channel's index has yanked; who has yanked none need not import the index."""
    file = adapters.layout.index(adapters.channel.name) / YANKED
    index = cache(lambda: adapters.index)

    def yanked() -> Mapping[NormalizedName, Mapping[Version, str]]:
        with disk_errors(file):
            return index().yanked() if file.exists() else {}

    return yanked

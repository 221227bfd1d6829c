"""Upstream, the store and the state, for commands that need no sandbox."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from pybuilder import clock, events
from pybuilder.cli.options import Options
from pybuilder.cli.places import choose_buildroot, open_index, open_layout
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.new import SpecWriter
from pybuilder.plan import Target
from pybuilder.sandbox.host_root import this_target
from pybuilder.sources.fetch import Sources
from pybuilder.stages.choose import Chooser
from pybuilder.state import State
from pybuilder.store import Store
from pybuilder.upstream import Upstream
from pybuilder.usage import at_work
from pybuilder.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """What such a command has of the world.

    Attributes:
        workspace: The workspace.
        layout: The state directory.
        state: The database in it.
        channel: The channel that the options mean.
        sources: Where sources come from.
        chooser: Says which versions there are.
        target: The interpreter that runs us, for which requirements are read.
        listen: Told of progress.
    """

    workspace: Workspace
    layout: Layout
    state: State
    channel: str
    sources: Sources
    chooser: Chooser
    target: Target
    listen: events.Listener

    @property
    def now(self) -> Callable[[], datetime]:
        """The clock."""
        return clock.now

    @property
    def writer(self) -> SpecWriter:
        """Writes first specs."""
        return SpecWriter(
            workspace=self.workspace,
            chooser=self.chooser,
            sources=self.sources,
            markers=self.target.markers,
            listen=self.listen,
            now=clock.now,
        )


@contextlib.contextmanager
def reach(options: Options, workspace: Workspace, listen: events.Listener) -> Iterator[Reach]:
    """Everything that such a command needs, closed at the end.

    Args:
        options: What stands before the command.
        workspace: The workspace.
        listen: Told what happens.
    """
    layout = open_layout(options, workspace)
    chosen, target = choose_buildroot(options, workspace), this_target()
    with contextlib.closing(State.open(layout)) as state, at_work(layout), Client() as client:
        upstream = Upstream(client=client, url=str(workspace.settings.index or ""), environ=os.environ)
        chooser = Chooser(
            workspace=workspace,
            state=state,
            upstream=upstream,
            channel=chosen.channel(options.variant),
            label=workspace.settings.label,
            buildroot=chosen.name,
            variant=options.variant,
            python=target.full_version,
            tags=target.tags,
            now=clock.now,
            yanked=open_index(layout, chosen.channel(options.variant)).yanked,
        )
        yield Reach(
            workspace=workspace,
            layout=layout,
            state=state,
            channel=chooser.channel,
            sources=Sources(store=Store(layout), client=client, upstream=upstream, workspace=workspace.root),
            chooser=chooser,
            target=target,
            listen=listen,
        )

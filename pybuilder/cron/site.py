"""What a pass works on while its state is open for building."""

from __future__ import annotations

from dataclasses import dataclass

from pybuilder.bootstrap import Bootstrap
from pybuilder.stages import Adapters
from pybuilder.update import Finder
from pybuilder.uptake import Uptake
from pybuilder.workspace.held import Held


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """One channel, its workspace and its upstream.

    Attributes:
        workspace: The specs, with what is not written yet.
        adapters: The world.
        bootstrap: Plans and builds.
        finder: Finds what is new upstream.
        uptake: Takes new versions into specs.
    """

    workspace: Held
    adapters: Adapters
    bootstrap: Bootstrap
    finder: Finder
    uptake: Uptake

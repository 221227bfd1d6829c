"""What ends what killed runs left of their sandboxes, whichever engine had made them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pybuilder.errors import EngineError
from pybuilder.facts import Facts
from pybuilder.layout import Layout
from pybuilder.sandbox import host


def clear_left(layout: Layout, facts: Facts, work: Path) -> None:
    """Remove what a killed run left of a sandbox.

    Args:
        layout: The state directory.
        facts: Knows how podman works here.
        work: The work directory that the sandbox had.
    """
    host.clear(work)
    # podman has left nothing where there are no roots, and is not needed by who builds without it.
    if layout.roots.is_dir():
        from pybuilder.cli.rpm_ground import open_podman

        # Nothing runs in a container any more whose maker is dead: what stays where podman can't be asked is a name.
        with suppress(EngineError), open_podman(layout, facts) as engine:
            engine.clear(work)

"""Shell completion of package names; it must never fail or print."""

from __future__ import annotations

from pathlib import Path

import click

from pybuilder.errors import PybuildError
from pybuilder.processes import run
from pybuilder.workspace import Workspace


def complete_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The accepted packages that begin so."""
    try:
        directory = ctx.find_root().params.get("workspace") or Path.cwd()
        return [name for name in Workspace.open(directory, run=run).spec_names() if name.startswith(incomplete)]
    except PybuildError:
        return []

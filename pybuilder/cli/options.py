"""The options that stand before a command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The global options, as typed.

    Attributes:
        workspace: ``-w``, or None for the one here or above.
        buildroot: ``-b``, or empty.
        variant: ``--variant``, or empty.
        state: ``--state``, or None for the workspace's own.
        log_format: ``pretty`` or ``json``.
        quiet: ``-q``.
        verbose: ``-v``.
    """

    workspace: Path | None
    buildroot: str
    variant: str
    state: Path | None
    log_format: str
    quiet: bool
    verbose: bool

"""The monitor of each container in our own services, which leaves to us what we do as long as we live."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pybuilder.errors import EngineError
from pybuilder.files import write_atomic
from pybuilder.processes import run

LOCK = "alive"
"""A lock file beside a container's log, held by whoever will remove the container; see ``monitor.sh``."""

SCRIPT = Path(__file__).with_name("monitor.sh")


def options(directory: Path) -> Sequence[str]:
    """What tells podman of our monitor; nothing where it can't be started, or knows of no conmon.

    Args:
        directory: Where it is put. A service serves other processes of ours after the one that has started it, which
            may be installed elsewhere.
    """
    script = directory / SCRIPT.name
    try:
        write_atomic(script, SCRIPT.read_bytes(), mode=0o755)
        works = run([str(script), "--version"]).returncode == 0
    except (OSError, EngineError):  # there is no room, or nothing there may be executed
        works = False
    return ("--conmon", str(script)) if works else ()

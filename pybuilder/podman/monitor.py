"""The monitor of each container in our own services, which leaves to us what we do as long as we live."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

LOCK = "alive"
"""A lock file beside a container's log, held by whoever will remove the container; see ``monitor.sh``."""

SCRIPT = Path(__file__).with_name("monitor.sh")


def options() -> Sequence[str]:
    """What tells podman of our monitor; nothing where it can't be started, or knows of no conmon."""
    try:
        version = subprocess.run([SCRIPT, "--version"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:  # installed without its mode, or where nothing may be executed
        return ()
    return ("--conmon", str(SCRIPT)) if version.returncode == 0 else ()

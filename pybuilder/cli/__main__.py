"""Where ``pybuild`` begins: Ctrl-C ends it quietly while all the rest is loaded, most of a short run."""

from __future__ import annotations

import _signal
import os


def run() -> None:
    """Run the command line of this process, and end it with the exit code."""
    # Whoever started us may have it ignored. By _signal, since loading signal takes milliseconds.
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, lambda number, frame: os._exit(130))
    from pybuilder.cli import main

    main.run()


if __name__ == "__main__":
    run()

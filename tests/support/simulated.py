"""Run pybuild as if it were another day.

``python simulated.py MOMENT ARGUMENTS``; the clock begins at MOMENT (ISO 8601) and goes on from there.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta

from pybuilder import clock

if __name__ == "__main__":
    began, moment = time.monotonic(), datetime.fromisoformat(sys.argv[1])
    # Before anything else is imported that may take the function by its name.
    clock.now = lambda: moment + timedelta(seconds=time.monotonic() - began)

    from pybuilder.cli.main import main

    sys.exit(main(sys.argv[2:]))

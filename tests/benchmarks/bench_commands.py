"""How long the daily commands take, medians of several runs: `python tests/benchmarks/bench_commands.py [RUNS]`.

In a fresh state: `--help`, `build six` when nothing has changed, and `rebuild six` with setuptools already built, whose
time is split into the backend's own and ours by the record that each run leaves.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parents[2]
PYBUILD = Path(sys.executable).with_name("pybuild")

# Users' shells have no such variable; with it, every start would compile all that it imports.
ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def main(runs: int) -> None:
    """Print a table of seconds against the aims."""
    with tempfile.TemporaryDirectory() as state:
        prefix = ["--state", state, "--quiet"]
        _run([*prefix, "build", "six"])
        rows = {
            "pybuild --help": (0.15, [_seconds(["--help"]) for _ in range(runs)]),
            "pybuild build six, nothing changed": (0.4, [_seconds([*prefix, "build", "six"]) for _ in range(runs)]),
        }
        rebuild, ours = zip(*(_rebuild(prefix, Path(state)) for _ in range(runs)), strict=True)
        rows["pybuild rebuild six==1.17.0"] = (2.0, list(rebuild))
        rows["  of which not the backend's own"] = (0.7, list(ours))
    for name, (aim, seconds) in rows.items():
        median = statistics.median(seconds)
        print(f"{name:38} median {median:6.3f} s  min {min(seconds):6.3f} s  aim {aim:4.2f} s")


def _rebuild(prefix: list[str], state: Path) -> tuple[float, float]:
    before = set(state.glob("store/records/*/*/record.json"))
    seconds = _seconds([*prefix, "rebuild", "six==1.17.0"])
    (record,) = set(state.glob("store/records/*/*/record.json")) - before
    phases = json.loads(record.read_text())["phases"]
    return seconds, seconds - sum(value for name, value in phases.items() if name.startswith("backend "))


def _seconds(arguments: list[str]) -> float:
    began = time.perf_counter()
    _run(arguments)
    return time.perf_counter() - began


def _run(arguments: list[str]) -> None:
    subprocess.run([PYBUILD, *arguments], cwd=WORKSPACE, env=ENVIRON, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)

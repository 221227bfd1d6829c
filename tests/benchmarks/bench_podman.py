"""What podman costs over the host sandbox: the same rebuilds of the same package in both, turn and turn about.

Run it as root: ``python -m tests.benchmarks.bench_podman``.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from tests.support.fedora import NAME, fedora_bench, lock
from tests.support.workspaces import Bench

ROUNDS = 9


def main() -> None:
    """Print medians and their differences."""
    with tempfile.TemporaryDirectory(prefix="pybuild-bench-") as root, fedora_bench(Path(root) / "bench") as here:
        here.accept("alpha")
        lock(here)
        took: dict[str, list[float]] = {}
        for buildroot in ("host", NAME):
            here.pybuild("-b", buildroot, "build", "alpha")
        for _ in range(ROUNDS):
            for buildroot in ("host", NAME):
                for command in (("rebuild", "alpha==1.0"), ("build", "alpha")):
                    seconds = timed(here, "-b", buildroot, *command)
                    took.setdefault(f"{command[0]} on {buildroot}", []).append(seconds)
        medians = {name: statistics.median(values) for name, values in took.items()}
        for name, median in medians.items():
            print(f"{name:24} {median:6.3f} s   ({min(took[name]):.3f} to {max(took[name]):.3f})")
        for command in ("rebuild", "build"):
            overhead = medians[f"{command} on {NAME}"] - medians[f"{command} on host"]
            print(f"podman over host, {command}: {overhead:+.3f} s")


def timed(here: Bench, *arguments: str) -> float:
    """Seconds that a command takes."""
    started = time.monotonic()
    ran = here.pybuild(*arguments)
    assert ran.code == 0, ran.stderr
    return time.monotonic() - started


if __name__ == "__main__":
    main()

"""How long one wheel takes to publish in an index of 10,000 files. Run: ``python -m tests.benchmarks.bench_index``.

The aim is 0.2 s (issue 2). Medians, for three shapes of the same 10,000 files.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from packaging.utils import NormalizedName

from pybuilder.index import Index
from tests.support.indexes import make_release, make_wheel, open_index

FILES = 10_000
RUNS = 7


def fill(state: Path, projects: int) -> Index:
    """An index of so many projects with, together, 10,000 files."""
    index = open_index(state)
    for number in range(FILES):
        name = f"project{number % projects:05}"
        make_wheel(index.root / "files", name, f"1.{number // projects}+pb.1")
    index.refresh()
    return index


def median(action: Callable[[int], object]) -> float:
    """Seconds that an action takes; it gets the number of the run."""
    taken = []
    for run in range(RUNS):
        begun = time.perf_counter()
        action(run)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def measure(projects: int) -> str:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory)
        index = fill(state, projects)
        old = [make_release(make_wheel(state / "out", "project00000", f"2.{run}+pb.1")) for run in range(RUNS)]
        new = [make_release(make_wheel(state / "out", f"new{run}", "1.0+pb.1")) for run in range(RUNS)]
        times = [
            median(lambda run: index.publish([old[run]])),
            median(lambda run: index.publish([new[run]])),
            median(lambda run: index.publish([old[run]])),
            median(lambda run: index.files(NormalizedName("project00000"))),
        ]
        begun = time.perf_counter()
        assert index.verify() == ()
        return f"{projects:8} " + " ".join(f"{each:8.3f}" for each in [*times, time.perf_counter() - begun])


if __name__ == "__main__":
    print("projects  known     new   again   files  verify   (s)")
    for count in (1, 1_000, FILES):
        print(measure(count))

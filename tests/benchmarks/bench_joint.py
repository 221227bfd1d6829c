"""How long a joint resolution takes. Run: ``python -m tests.benchmarks.bench_joint``.

The aims (issue 4): 20 packages of which all is known in 0.10 s, and 5,000 packages in a few seconds. Each line is the
median of some runs, with the calls of the world and by how much the greatest memory of this process grew.
"""

from __future__ import annotations

import random
import resource
import statistics
import tempfile
import time
from pathlib import Path

from packaging.requirements import Requirement

from pybuilder.joint import Unknown, resolve_jointly
from tests.support.worlds import MARKERS, PYTHON, TableWorld

RUNS = 5
VERSIONS = 10


def tree(packages: int) -> TableWorld:
    """Packages of some versions, each of which wants up to six later packages, some of them not in every version."""
    choose = random.Random(1)
    world = TableWorld()
    for n in range(packages):
        later = sorted({n + 1, *(n + choose.randint(1, 60) for _ in range(5))})
        for minor in range(VERSIONS):
            wants = [f"p{k}>=1.{choose.randrange(minor + 1)}" for k in later if k < packages]
            world.add(f"p{n}", f"1.{minor}", *wants, "winreg; sys_platform == 'win32'", "pytest; extra == 'test'")
    return world


def resolve(world: TableWorld, cache: Path) -> int:
    """Resolve once; how many packages were chosen."""
    world.asked.clear()
    chosen = resolve_jointly(
        [Requirement("p0")], world, markers=MARKERS, python=PYTHON, preferred={}, prereleases=(), cache=cache
    )
    assert not isinstance(chosen, Unknown)
    return len(chosen)


def measure(packages: int, cache: Path, runs: int) -> None:
    """Print one line."""
    world = tree(packages)
    seconds = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(runs):
        begun = time.perf_counter()
        assert resolve(world, cache) == packages
        seconds.append(time.perf_counter() - begun)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{packages:>6} packages {statistics.median(seconds):8.3f} s  {len(world.asked):>6} calls  +{grown:.0f} MB")


def main() -> None:
    """Print all lines."""
    with tempfile.TemporaryDirectory() as cache:
        print("the first time, with no cache:")
        measure(20, Path(cache), 1)
        print("then:")
        for packages in (20, 500, 5_000):
            measure(packages, Path(cache), RUNS)


if __name__ == "__main__":
    main()

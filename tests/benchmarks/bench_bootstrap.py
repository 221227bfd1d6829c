"""Side by side with Fromager: two trees, cold and all cached, turn and turn about (issue 4's table).

Run it as ``python -m tests.benchmarks.bench_bootstrap [-n ROUNDS] [--only requests|aiohttp] [--directory DIR]``; it
exits 1 where an aim is missed.

What is alike: the machine, the Python (3.12 or newer; Fromager needs that), network isolation on, a new home and a new
directory for each cold run, and upstream: a mirror on loopback that has all files already, so that no run waits for
the network. A run that made the mirror fetch something does not count and is done again. Cached means the same
command again, in the same directory, three times. Fromager needs ``uv`` (it comes with it), ``unshare`` (util-linux),
``ip`` (iproute2) and gcc; pybuild needs bubblewrap and gcc.

Everything is removed only at the end: an ext4 without a journal is slow for minutes after a large ``rm -r``.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from tests.support import bootstraps
from tests.support.bootstraps import TREES, Builder, Ran
from tests.support.mirror import Mirror

# What pybuild may take of Fromager's time.
AIMS = {"requests": {"cold": 1 / 4, "cached": 1 / 15}, "aiohttp": {"cold": 1 / 2, "cached": 1 / 25}}
# Starts where all is cached, after each cold run: they take a moment, and the first still meets the disk at work.
_CACHED_STARTS = 3
Runs = dict[str, list[Ran]]


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 where an aim is missed."""
    options = bootstraps.options(__doc__, arguments)
    builders: list[Builder] = [bootstraps.fromager(), bootstraps.pybuild()]
    introduce(builders)
    passed = True
    with (
        bootstraps.upstream() as mirror,
        tempfile.TemporaryDirectory(prefix="pybuild-bench-", dir=options.directory) as directory,
    ):
        for tree in options.trees:
            places = (Path(directory) / f"{tree}-{number}" for number in count())
            passed = measure(tree, builders, options.n, places, mirror) and passed
    return 0 if passed else 1


def introduce(builders: Sequence[Builder]) -> None:
    """Print who runs, and where."""
    versions = ", ".join(f"{builder.name} {bootstraps.version(builder)}" for builder in builders)
    cores = len(os.sched_getaffinity(0))
    print(f"{versions}, both under {bootstraps.python()}; {cores} cores, network isolation on, host buildroot\n")


def measure(tree: str, builders: Sequence[Builder], rounds: int, places: Iterator[Path], mirror: Mirror) -> bool:
    """Let both build one tree several times, and print the rows of the table; whether the aims are reached."""
    runs: dict[str, Runs] = {builder.name: {"cold": [], "cached": []} for builder in builders}
    built: dict[str, frozenset[str]] = {}
    for turn in range(rounds):
        for builder in builders if turn % 2 == 0 else reversed(builders):
            place = cold(builder, tree, places, mirror, runs[builder.name])
            for _ in range(_CACHED_STARTS):
                ran = bootstraps.succeeded(builder, bootstraps.bootstrap(builder, place, mirror.index, TREES[tree]))
                if ran.report and ran.report["built"]:
                    raise SystemExit(f"{builder.name} built again: {ran.report['built']}")
                runs[builder.name]["cached"].append(ran)
            built[builder.name] = builder.wheels(place)
    passed = [show_row(tree, state, runs, aim) for state, aim in AIMS[tree].items()]
    show_wheels(built)
    return all(passed)


def cold(builder: Builder, tree: str, places: Iterator[Path], mirror: Mirror, runs: Runs) -> Path:
    """One cold run that the mirror could serve alone; where it took place."""
    while True:
        place, before = next(places), mirror.misses
        builder.prepare(place)
        ran = bootstraps.succeeded(builder, bootstraps.bootstrap(builder, place, mirror.index, TREES[tree]))
        if mirror.misses == before:
            runs["cold"].append(ran)
            return place
        fetched = mirror.misses - before
        print(
            f"{builder.name}, {tree}: {ran.seconds:.1f} s, but the mirror fetched {fetched} things: again", flush=True
        )


def show_row(tree: str, state: str, runs: dict[str, Runs], aim: float) -> bool:
    """One row of the table; whether its aim is reached."""
    seconds = {name: [ran.seconds for ran in of[state]] for name, of in runs.items()}
    cpu = {name: statistics.median(ran.cpu for ran in of[state]) for name, of in runs.items()}
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = medians["pybuild"] / medians["fromager"]
    spread = "  ".join(
        f"{name} {medians[name]:7.2f} s ({min(of):.2f} to {max(of):.2f}; cpu {cpu[name]:.1f})"
        for name, of in seconds.items()
    )
    verdict = "reached" if ratio <= aim else "MISSED"
    print(f"{tree:8} {state:6}  {spread}  1/{1 / ratio:.1f}, aim 1/{1 / aim:.0f}: {verdict}", flush=True)
    return ratio <= aim


def show_wheels(built: dict[str, frozenset[str]]) -> None:
    """How many wheels each built, and which only one of them did."""
    print(f"{'':15}  wheels: " + ", ".join(f"{name} {len(wheels)}" for name, wheels in built.items()))
    for name, wheels in built.items():
        others = frozenset().union(*(of for other, of in built.items() if other != name))
        if only := sorted(wheels - others):
            print(f"{'':15}  only {name}: {' '.join(only)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

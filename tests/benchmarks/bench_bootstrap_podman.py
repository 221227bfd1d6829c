"""What roots of RPMs under podman cost a whole bootstrap over the host buildroot: the same tree, turn and turn about.

Run it as root: ``python -m tests.benchmarks.bench_bootstrap_podman [-n ROUNDS]``. Every run builds all wheels of the
tree in a state that has the sources and the base root, and knows the machine, as on any day but the first. Aim: 1.25
at most.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.support import bootstraps
from tests.support.fedora import NAME, fedora_bench, lock
from tests.support.workspaces import Bench

AIM = 1.25
TREE = bootstraps.TREES["requests"]
# What a state keeps from one run to the next; everything that a build makes goes.
KEPT = ("sources", "rpms", "roots", "repodata")
# What was found out of the machine and the root: the target, the digests of the host, the OCI runtime that works.
MACHINE = ("target", "host-interpreter", "host-packages", "podman-runtime")


def main(arguments: Sequence[str]) -> int:
    """Print medians and their ratio; 1 where the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", type=int, default=3, help="rounds; medians count")
    rounds = parser.parse_args(arguments).n
    took: dict[str, list[float]] = {"host": [], NAME: []}
    with (
        tempfile.TemporaryDirectory(prefix="pybuild-bench-") as root,
        bootstraps.upstream() as mirror,
        fedora_bench(Path(root) / "bench") as here,
    ):
        (here.workspace / "pybuild.toml").write_text(f'buildroot = "{NAME}"\nindex = "{mirror.index}"\n')
        lock(here)
        for buildroot in took:
            bootstrap(here, buildroot)
        for _ in range(rounds):
            for buildroot, seconds in took.items():
                forget(here)
                seconds.append(bootstrap(here, buildroot))
    medians = {buildroot: statistics.median(seconds) for buildroot, seconds in took.items()}
    for buildroot, median in medians.items():
        print(f"{buildroot:14} {median:7.2f} s   ({min(took[buildroot]):.2f} to {max(took[buildroot]):.2f})")
    ratio = medians[NAME] / medians["host"]
    print(f"podman over host: {ratio:.2f}, aim {AIM}: {'reached' if ratio <= AIM else 'MISSED'}")
    return 0 if ratio <= AIM else 1


def bootstrap(here: Bench, buildroot: str) -> float:
    """Seconds that a bootstrap of the tree takes."""
    started = time.monotonic()
    ran = here.pybuild("-b", buildroot, "bootstrap", "--accept-new", *TREE, timeout=900)
    assert ran.code == 0, ran.stderr
    return time.monotonic() - started


def forget(here: Bench) -> None:
    """Take everything from the state but what is kept."""
    with closing(sqlite3.connect(here.layout.database, isolation_level=None)) as state:
        for (table,) in state.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            machine = f"WHERE kind NOT IN {MACHINE}" if table == "facts" else ""
            state.execute(f"DELETE FROM {table} {machine}")
    for path in here.state.iterdir():
        if path.name not in ("store", here.layout.database.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (here.state / "store").iterdir():
        if path.name not in KEPT:
            shutil.rmtree(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How long audits take. Run: ``python -m tests.benchmarks.bench_audit``.

The aims (issue 5): one wheel 0.3 s, all the wheels of an index of 1,000 in 20 s. The index is made here: each wheel has
its record, source and signed provenance, and was built with three others; so the walk of one goes down ten levels. The
wheels have 20 modules, 200 kB together. Each figure is that of a whole process.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pybuilder.signing import PrivateKey
from tests.support.indexes import served
from tests.support.presses import Made, Press

WHEELS = 1_000
LEVELS = 10
RUNS = 5
ROOT = Path(__file__).parents[2]


def fill(state: Path, key: PrivateKey) -> list[Made]:
    """An index of many wheels, each built with three of the level below."""
    press, dice = Press(state=state, key=key), random.Random(5)
    levels: list[list[Made]] = [[]]
    releases = []
    for number in range(WHEELS):
        if len(levels[-1]) == WHEELS // LEVELS:
            levels.append([])
        below = levels[-2] if len(levels) > 1 else []
        environment = dice.sample(below, min(3, len(below)))
        files = {f"project{number}/{module}.py": _module(dice) for module in range(20)}
        release, made = press.release(f"project{number}", "1.0", environment=environment, files=files)
        levels[-1].append(made)
        releases.append(release)
    press.index.publish(releases)
    keys = press.index.root / "keys"
    keys.mkdir(exist_ok=True)
    (keys / f"{key.public.keyid}.pem").write_bytes(key.public.pem)
    return [made for level in levels for made in level]


def _module(dice: random.Random) -> bytes:
    words = [f"name{dice.randrange(500)}" for _ in range(1_000)]
    return " = ".join(words).encode()


def seconds(*arguments: str) -> tuple[float, float]:
    """How long ``pybuild audit`` takes, as a process that must find nothing wrong: on the clock, and of a processor."""
    argv = [sys.executable, "-m", "pybuilder.cli", "audit", *arguments]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(argv, env=environ, cwd="/", check=True, stdout=subprocess.PIPE)
    taken, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def report(what: str, *arguments: str, runs: int = RUNS) -> None:
    """Print the medians of some runs, before which another warms the caches."""
    if runs > 1:
        seconds(*arguments)
    taken, used = zip(*(seconds(*arguments) for _ in range(runs)), strict=True)
    print(f"{what:34} {statistics.median(taken):8.2f} s {statistics.median(used):8.2f} s of a processor", flush=True)


def main() -> None:
    """Make the index, and print a line for each figure."""
    with tempfile.TemporaryDirectory() as directory:
        key = PrivateKey.generate()
        made = fill(Path(directory), key)
        root = made[0].wheel.parents[1]
        public = Path(directory, "key.pem")
        public.write_bytes(key.public.pem)
        trust = ("--key", str(public))
        report("one wheel without a wheel below", *trust, str(made[0].wheel))
        report("one wheel with three below", *trust, str(made[WHEELS // LEVELS].wheel))
        report(f"one wheel of the {LEVELS}th level", *trust, str(made[-1].wheel), runs=1)
        report(f"all {WHEELS:,} wheels", *trust, "--all", str(root), runs=1)
        with served(root.parent) as url:
            index = f"{url}{root.name}/"
            report("one wheel over HTTP", *trust, "--index", index, "project0")
            report(f"all {WHEELS:,} wheels over HTTP", *trust, "--all", index, runs=1)


if __name__ == "__main__":
    main()

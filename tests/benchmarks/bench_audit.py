"""How long audits take. Run: ``python -m tests.benchmarks.bench_audit``.

The aims (issue 5): one wheel 0.3 s, all the wheels of an index of 1,000 in 20 s. The index is made here: each wheel has
its record, source and signed provenance, and was built with three others; so the walk of one goes down ten levels. The
wheels have 20 modules, 200 kB together. Each figure is that of a whole process.
"""

from __future__ import annotations

import os
import random
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


def seconds(*arguments: str) -> float:
    """How long ``pybuild audit`` takes, as a process; it must find nothing wrong."""
    argv = [sys.executable, "-m", "pybuilder.cli", "audit", *arguments]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    subprocess.run(argv, env=environ, cwd="/", check=True, stdout=subprocess.PIPE)
    return time.perf_counter() - began


def median(*arguments: str) -> float:
    """The median of some runs, the first of which warms the caches."""
    seconds(*arguments)
    return statistics.median(seconds(*arguments) for _ in range(RUNS))


def main() -> None:
    """Make the index, and print a line for each figure."""
    with tempfile.TemporaryDirectory() as directory:
        key = PrivateKey.generate()
        made = fill(Path(directory), key)
        root = made[0].wheel.parents[1]
        public = Path(directory, "key.pem")
        public.write_bytes(key.public.pem)
        trust = ("--key", str(public))
        print(f"one wheel without a wheel below  {median(*trust, str(made[0].wheel)):6.2f} s")
        print(f"one wheel with three below       {median(*trust, str(made[WHEELS // LEVELS].wheel)):6.2f} s")
        print(f"one wheel of the {LEVELS}th level       {median(*trust, str(made[-1].wheel)):6.2f} s")
        print(f"all {WHEELS:,} wheels                 {seconds(*trust, '--all', str(root)):6.2f} s")
        with served(root.parent) as url:
            index = f"{url}{root.name}/"
            print(f"one wheel over HTTP              {median(*trust, '--index', index, 'project0'):6.2f} s")
            print(f"all {WHEELS:,} wheels over HTTP       {seconds(*trust, '--all', index):6.2f} s")


if __name__ == "__main__":
    main()

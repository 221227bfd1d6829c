"""Against the limit: wall time <= 1.3 x max(critical path, total backend cpu / cores), the backends timed bare.

Run it as ``python -m tests.benchmarks.bench_limit [-n ROUNDS] [--only requests|aiohttp] [--directory DIR]``; it exits 1
where the aim is missed.

A tree is bootstrapped cold; wall time is the median of that. Then, from the records: each source is unpacked once more,
the environment that its build had is copied out of the store, and ``build_wheel`` is called by that environment's
Python with no sandbox around it, while nothing else runs. What is timed is the process of the hook and all that it
starts. The fastest of the rounds counts, for wall time and for cpu time. A package's path is its own wall time and the
longest path of anything in its build environment; what it needs only where it is installed waits for nobody.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pyproject_hooks import BuildBackendHookCaller

from pybuilder.environment import Environments, PayloadRef, PythonTarget
from pybuilder.layout import Layout
from pybuilder.metadata import build_system
from pybuilder.plan import ENVIRONMENT_PATH, Plan
from pybuilder.record import read_plan, read_record
from pybuilder.sandbox import build_environ
from pybuilder.sources.archive import extract
from tests.support import bootstraps
from tests.support.bootstraps import TREES

AIM = 1.3


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A build that succeeded: its plan, the source's file, the payload that came of it."""

    plan: Plan
    source: Path
    payload: str

    @property
    def name(self) -> str:
        """``name==version``."""
        return f"{self.plan.recipe.name}=={self.plan.recipe.version}"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Bare:
    """Seconds of a backend's ``build_wheel``, alone on the machine."""

    wall: float
    cpu: float


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 where the aim is missed."""
    options = bootstraps.options(__doc__, arguments)
    with tempfile.TemporaryDirectory(prefix="pybuild-bench-", dir=options.directory) as directory:
        passed = [measure(tree, options.n, Path(directory) / tree) for tree in options.trees]
    return 0 if all(passed) else 1


def measure(tree: str, rounds: int, place: Path) -> bool:
    """Bootstrap a tree, time its backends, and print a table; whether the aim is reached."""
    pybuild, seconds = bootstraps.pybuild(), []
    place.mkdir()
    with bootstraps.upstream() as mirror:
        # The first of them fills the mirror.
        for number in range(rounds + 1):
            pybuild.prepare(place / str(number))
            ran = bootstraps.bootstrap(pybuild, place / str(number), mirror.index, TREES[tree])
            bootstraps.succeeded(pybuild, ran)
            seconds.append(ran.seconds)
    layout = Layout(root=place / str(rounds) / ".pybuild")
    builds, interpreter = builds_of(layout), (pybuild.venv / "bin" / "python").resolve()
    with warnings.catch_warnings(action="ignore"):  # pyproject-hooks repeats those of the backends
        bare = {made.payload: fastest(made, place / made.payload, rounds, layout, interpreter) for made in builds}
    return show(tree, statistics.median(seconds[1:]), builds, bare)


def builds_of(layout: Layout) -> list[Made]:
    """The builds of a state, one for each payload."""
    builds = {}
    for file in sorted(layout.records("").glob("*/*/record.json")):
        record = read_record(file.parent)
        if payload := record["result"].get("payload_sha256"):
            source = layout.source(record["source"]["sha256"]) / record["source"]["file"]
            builds[payload] = Made(plan=read_plan(file.parent), source=source, payload=payload)
    return list(builds.values())


def fastest(made: Made, work: Path, rounds: int, layout: Layout, interpreter: Path) -> Bare:
    """The shortest times of a backend, each of its runs in a fresh tree with the one environment."""
    environment = ready_environment(made.plan, work / "env", layout, interpreter)
    runs = [run_backend(made, environment, work / f"round-{number}") for number in range(rounds)]
    return Bare(wall=min(run.wall for run in runs), cpu=min(run.cpu for run in runs))


def ready_environment(plan: Plan, copy: Path, layout: Layout, interpreter: Path) -> Path:
    """A copy of a build's environment that works where it lies; in the sandbox it is at a path of its own."""
    payloads = [
        PayloadRef(sha256=item.payload, path=next(layout.payload(item.payload).glob("*.whl")))
        for item in plan.environment
    ]
    python = PythonTarget(executable=str(interpreter), version=plan.target.full_version)
    shutil.copytree(Environments(layout).prepare(payloads, python=python), copy, symlinks=True)
    for script in (copy / "bin").iterdir():
        content = b"" if script.is_symlink() else script.read_bytes()
        if content.startswith(b"#!"):
            script.write_bytes(content.replace(ENVIRONMENT_PATH.encode(), bytes(copy), 1))
    return copy


def run_backend(made: Made, environment: Path, work: Path) -> Bare:
    """Call ``build_wheel`` once."""
    source, out = work / "source", work / "out"
    extract(made.source, source)
    out.mkdir()
    pyproject = source / "pyproject.toml"
    system = build_system(pyproject.read_text() if pyproject.exists() else None)
    ours = build_environ(
        source_date_epoch=made.plan.source_date_epoch, build_dir=str(source), extra=made.plan.recipe.env
    )
    environ = {name: value.replace(ENVIRONMENT_PATH, str(environment)) for name, value in ours.items()}
    environ |= {"HOME": str(work), "TMPDIR": str(work)}

    def runner(argv: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        with (work / "log").open("wb") as log:
            subprocess.run(argv, check=True, cwd=cwd, env=environ | dict(extra_environ or {}), stdout=log, stderr=log)

    hooks = BuildBackendHookCaller(
        str(source),
        build_backend=system.backend,
        backend_path=list(system.backend_path),
        runner=runner,
        python_executable=str(environment / "bin" / "python"),
    )
    return timed(lambda: hooks.build_wheel(out, config_settings=dict(made.plan.recipe.config_settings)))


def timed(call: Callable[[], Any]) -> Bare:
    """How long a call takes, and how much cpu time its children."""
    before, began = bootstraps.children_cpu(), time.perf_counter()
    call()
    return Bare(wall=time.perf_counter() - began, cpu=bootstraps.children_cpu() - before)


def critical_path(builds: Sequence[Made], bare: Mapping[str, Bare]) -> list[Made]:
    """The builds of which each waits for the one before it, and that take longest together."""
    by_payload = {made.payload: made for made in builds}

    @cache
    def longest(payload: str) -> tuple[float, tuple[str, ...]]:
        needs = [item.payload for item in by_payload[payload].plan.environment]
        seconds, path = max(map(longest, needs), default=(0.0, ()))
        return seconds + bare[payload].wall, (*path, payload)

    return [by_payload[payload] for payload in max(map(longest, by_payload))[1]]


def show(tree: str, wall: float, builds: Sequence[Made], bare: Mapping[str, Bare]) -> bool:
    """Print what was measured; whether the aim is reached."""
    path = critical_path(builds, bare)
    print(f"{tree}: {len(builds)} builds\n{'':2}{'wall s':>8} {'cpu s':>8}  (* on the critical path)")
    for made in sorted(builds, key=lambda made: bare[made.payload], reverse=True):
        times = bare[made.payload]
        print(f"{'*' if made in path else ' ':2}{times.wall:8.2f} {times.cpu:8.2f}  {made.name}")
    critical = sum(bare[made.payload].wall for made in path)
    cores = len(os.sched_getaffinity(0))
    cpu = sum(times.cpu for times in bare.values())
    limit = max(critical, cpu / cores)
    ratio = wall / limit
    print(f"critical path {critical:.2f} s; cpu {cpu:.2f} s on {cores} cores: {cpu / cores:.2f} s")
    print(f"bootstrap, cold: {wall:.2f} s = {ratio:.2f} x {limit:.2f} s, aim {AIM}: ", end="")
    print("reached" if ratio <= AIM else "MISSED", flush=True)
    return ratio <= AIM


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What planning and scheduling a tree of 5,000 packages costs (issue 4: at most 10 s and 300 MB; 1 ms per package).

Run: ``python -m tests.benchmarks.bench_plan``. What packages say comes from a table, so that neither network nor disk
is measured; planner, resolvers (uv included), schedule and execution are the real ones. Builds take no time: *built, as
if* is what execution costs besides them; scheduling is what this thread does of it. Each tree has a process of its own.
"""

from __future__ import annotations

import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import cast

from packaging.requirements import Requirement

from pybuilder.estimates import wall_seconds
from pybuilder.execution import Execution
from pybuilder.joint import resolve_jointly
from pybuilder.machine import Machine
from pybuilder.packages import Packages
from pybuilder.planner import plan
from pybuilder.request import Planned, Request
from pybuilder.statements import Statements
from pybuilder.tree import needing
from tests.support.making import FakePackages, FakeStatements
from tests.support.planning import TableStatements

PACKAGES = 5_000
BACKENDS = 12


def popular(reach: int) -> TableStatements:
    """A tree as trees are: most packages want a few popular ones, and some of the last ``reach`` before them."""
    choose = random.Random(1)
    table = TableStatements()
    table.add("flit-core==3.9")
    for n in range(BACKENDS):
        for version in ("1.0", "2.0"):
            table.add(f"backend-{n}=={version}", [f"p{n}"] if n % 2 else [], ["flit-core"])
    for n in range(PACKAGES):
        wants = {int(choose.paretovariate(0.6)) % n for _ in range(choose.randrange(6))} if n else set()
        wants |= {choose.randrange(max(0, n - reach), n) for _ in range(choose.randrange(3))} if n else set()
        builds = [] if n < BACKENDS else [f"backend-{int(choose.paretovariate(1)) % BACKENDS}"]
        bound = choose.choice(["", "", ">=1", "<2"]) if builds else ""
        dynamic = [f"p{choose.randrange(BACKENDS)}"] if n > BACKENDS and not n % 50 else []
        installs = [f"p{k}>=1" for k in sorted(wants)] + ["winreg; sys_platform == 'win32'", "pytest; extra == 'test'"]
        table.add(f"p{n}==1.0", installs, [f"{each}{bound}" for each in builds] or ["flit-core"], dynamic=dynamic)
    return table


@contextmanager
def told(what: str) -> Iterator[None]:
    """Print what a step took, and by how much the greatest memory of this process grew."""
    memory, began = peak(), (time.perf_counter(), time.process_time(), time.thread_time())
    yield
    ended = time.perf_counter(), time.process_time(), time.thread_time()
    wall, cpu, here = (end - begin for begin, end in zip(began, ended, strict=True))
    print(
        f"  {what:24} {wall:6.2f} s; cpu {cpu:5.2f} s, in this thread {here:5.2f} s; +{peak() - memory:3.0f} MB",
        flush=True,
    )


def peak() -> float:
    """Megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(planned: Planned) -> None:
    """Follow a plan to its end; every build takes no time."""
    packages = FakePackages(told={node.package: [n.requirement for n in node.installs] for node in planned.tree})
    Execution(
        packages=cast(Packages, packages),
        statements=cast(Statements, FakeStatements(packages)),
        machine=Machine(cpus=8, memory=64 << 30, jobs=8),
        replan=None,
        accepts=lambda name: True,
        seconds={},
    ).run(planned)
    assert packages.public.keys() == planned.tree.nodes.keys()


def measure(name: str, reach: int) -> None:
    """Print what one tree costs."""
    table = popular(reach)
    tops = tuple(Requirement(f"p{n}") for n in range(PACKAGES))
    print(name, flush=True)
    with tempfile.TemporaryDirectory() as cache:
        resolver = partial(resolve_jointly, cache=Path(cache))
        with told("planned"):
            planned = plan(cast(Statements, table), Request(tops=tops), resolver=resolver)
    assert not planned.broken and len(planned.tree.nodes) > PACKAGES
    with told("its groups"):
        groups = len(planned.tree.groups)
    with told("what needs one of them"):
        needing(planned.tree, [planned.tree.groups[0][0]])
    with told("how long it takes"):
        wall_seconds(planned.tree, dict.fromkeys(planned.tree.nodes, 1.0), 8)
    with told("built, as if"):
        run(planned)
    beside = sum(len(node.closure) for node in planned.tree) / groups
    print(f"  {groups} packages, each installed with {beside:.0f} on average", flush=True)


def main() -> None:
    """Print the figures."""
    for name, reach in (("a wide tree", 50), ("a deep tree", 5)):
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(name, reach))
        process.start()
        process.join()


if __name__ == "__main__":
    main()

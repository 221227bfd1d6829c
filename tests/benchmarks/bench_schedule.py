"""What scheduling 5,000 packages costs: everything added, started and done (issue 4: at most 1 ms per package).

Run: ``python -m tests.benchmarks.bench_schedule``. Each package is one task; the last table row but one has three for
each. Times are the schedule's own, medians of several runs; memory is what it holds when all is added.
"""

from __future__ import annotations

import random
import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

from pybuilder.schedule import Schedule, Task

PACKAGES = 5_000
RUNS = 5
MEMORY = 16 << 30


def packages(*, needs: int = 12, memory: int = 0) -> list[Task[str]]:
    """A tree as trees are: most need a few popular ones, and some of the others."""
    choose = random.Random(1)
    tasks = []
    for number in range(PACKAGES):
        popular = [choose.randrange(min(number, 50)) for _ in range(needs // 2) if number]
        others = [choose.randrange(number) for _ in range(choose.randrange(needs)) if number]
        tasks.append(
            Task(
                id=f"package-{number}==1.0",
                needs=frozenset(f"package-{need}==1.0" for need in popular + others),
                seconds=choose.expovariate(0.2),
                memory=choose.randrange(memory) if memory else 0,
            )
        )
    return tasks


def in_three(tasks: list[Task[str]]) -> list[Task[str]]:
    """Each as three tasks: its source, its build, its publication, which is what others need."""
    made = []
    for task in tasks:
        source, build = f"{task.id} source", f"{task.id} build"
        made.append(Task(id=source, seconds=1.0, cpus=0))
        made.append(replace(task, id=build, needs=task.needs | {source}))
        made.append(Task(id=task.id, needs=frozenset({build}), seconds=0.1, cpus=0))
    return made


def work(schedule: Schedule[str]) -> None:
    """Start and end all there is, in the order in which it started."""
    while not schedule.finished:
        schedule.start()
        schedule.done(schedule.running[0])


def at_once(tasks: list[Task[str]], cpus: int) -> None:
    """All is known before anything starts."""
    schedule: Schedule[str] = Schedule(cpus=cpus, memory=MEMORY, jobs=cpus)
    schedule.add(tasks)
    work(schedule)


def joining(tasks: list[Task[str]], cpus: int) -> None:
    """A tenth of the packages join while others run, needed by the last one, which has yet to start."""
    schedule: Schedule[str] = Schedule(cpus=cpus, memory=MEMORY, jobs=cpus)
    first, later, top = tasks[: PACKAGES * 9 // 10], tasks[PACKAGES * 9 // 10 : -1], tasks[-1]
    known = {task.id for task in first}
    top = replace(top, needs=frozenset(known))
    schedule.add([*first, top])
    for task in later:
        schedule.start()
        schedule.done(schedule.running[0])
        top = replace(top, needs=top.needs | {task.id})
        schedule.add([task, top])
    work(schedule)


def held(tasks: list[Task[str]]) -> float:
    """Megabytes."""
    tracemalloc.start()
    schedule: Schedule[str] = Schedule(cpus=8, memory=MEMORY, jobs=8)
    schedule.add(tasks)
    schedule.start()
    current, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return current / 1e6


def measure(name: str, action: Callable[[list[Task[str]], int], None], tasks: list[Task[str]], cpus: int) -> None:
    """Print a row."""
    took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        action(tasks, cpus)
        took.append((time.perf_counter() - began) * 1000 / PACKAGES)
    print(f"{name:44} {statistics.median(took):6.3f} ms per package, {held(tasks):5.1f} MB")


def main() -> None:
    """Print the table."""
    plain = packages()
    chain = [replace(task, needs=frozenset({plain[n - 1].id} if n else ())) for n, task in enumerate(plain)]
    flat = [replace(task, needs=frozenset()) for task in packages(memory=MEMORY // 2)]
    measure("a tree, 2 processors", at_once, plain, 2)
    measure("a tree, 64 processors", at_once, plain, 64)
    measure("one long chain", at_once, chain, 8)
    measure("no needs, memory is what they wait for", at_once, flat, 64)
    measure("a tree, three tasks for each package", at_once, in_three(plain), 8)
    measure("a tree, a tenth of it joins one by one", joining, plain, 8)


if __name__ == "__main__":
    main()

"""How long gc takes over a big store: `python -m tests.benchmarks.bench_gc [OBJECTS [DIRECTORY]]`.

The aim is 10 s for 100,000 objects. A fifth of them is garbage, as after a month of daily updates; the rest is named by
records, a third of which are published. Told are a dry run, the run that frees, one that finds nothing to do, and one
with ``--max-size``. On a disk, most of the time goes into removing files.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pybuilder.gc import Report
from pybuilder.layout import Layout
from tests.support.stores import Ledger, digest, ledger

AIM = 10.0


def main(objects: int, directory: str | None) -> None:
    """Print a table of seconds."""
    with tempfile.TemporaryDirectory(dir=directory) as scratch, ledger(Path(scratch) / "state") as state:
        store = Ledger(layout=Layout(root=Path(scratch) / "state"), state=state)
        began = time.perf_counter()
        _fill(store, objects)
        print(f"{objects} objects made in {time.perf_counter() - began:.0f} s")
        rpms = [f"rpm-{number}" for number in range(200)]
        _timed("dry run", lambda: store.collect(keep=1, locked=rpms, dry_run=True))
        _timed("gc", lambda: store.collect(keep=1, locked=rpms))
        _timed("gc, nothing to do", lambda: store.collect(keep=1, locked=rpms))
        _timed("gc --max-size", lambda: store.collect(keep=1, locked=rpms, max_size=1 << 40))


def _fill(store: Ledger, objects: int) -> None:
    """A payload and a source each, for so many attempts; RPMs, the same for all; and as much again as is garbage."""
    os.sync()
    rpms = [f"rpm-{number}" for number in range(200)]
    attempts = int(objects * 0.8) // 2
    with store.state._connection() as connection:
        connection.execute("PRAGMA synchronous = OFF")
    for number in range(attempts):
        name = f"package-{number}"
        store.attempt(name, payload=f"{name}.whl", needs=[f"package-{number // 2}.whl"], published=number % 3 == 0)
    for word in rpms:
        store.put("rpms", word)
    for number in range(objects - 2 * attempts - len(rpms)):
        store.put(("payloads", "sources", "rpms")[number % 3], f"garbage-{number}")
    assert store.has("payloads", "package-0.whl") and digest("garbage-0")


def _timed(what: str, collect: Callable[[], Report]) -> None:
    began, busy = time.perf_counter(), time.process_time()
    report = collect()
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(report.count.items()))
    print(f"{what:20} {seconds:6.2f} s, {busy:.2f} s of it processor  aim {AIM:4.1f} s  {told}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, sys.argv[2] if len(sys.argv) > 2 else None)

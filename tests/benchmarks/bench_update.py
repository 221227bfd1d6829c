"""How long it takes to find that nothing is new. Run: ``python -m tests.benchmarks.bench_update [SPECS]``.

The aims (issue 6): a pass over 1,000 specs with nothing to do in 5 s without network time, and in 60 s with upstream
answering in 50 ms each. The upstream is a process of its own, so that its work is not counted as ours.
"""

from __future__ import annotations

import multiprocessing
import random
import resource
import sys
import tempfile
import time
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

from pybuilder import clock
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.processes import run
from pybuilder.state import State
from pybuilder.update import Finder, Finding
from pybuilder.upstream import Upstream
from pybuilder.workspace import Workspace
from tests.support.forges import knower

VERSIONS, WHEELS = 60, 4
SHA = "a" * 64


def serve(specs: int, delay: float, pipe: Connection) -> None:
    """An index of so many projects; says where it is, and at the end what it answered and how busy it was."""
    with knower(delay=delay) as server:
        for number in range(specs):
            files = []
            for minor in range(VERSIONS):
                stem = f"p{number}-1.{minor}"
                names = [
                    f"{stem}.tar.gz",
                    *(f"{stem}-cp31{n}-cp31{n}-manylinux_2_17_x86_64.whl" for n in range(WHEELS)),
                ]
                facts = {"hashes": {"sha256": SHA}, "upload-time": "2024-01-02T03:04:05.000006Z", "size": 1000}
                files += [{"filename": name, "requires-python": ">=3.8", **facts} for name in names]
            server.index(f"p{number}", *files)
        pipe.send(server.root)
        while pipe.recv() == "pass":
            statuses = server.statuses()
            pipe.send(({code: statuses.count(code) for code in sorted(set(statuses))}, server.busiest))
            server.log.clear()


def write_specs(root: Path, specs: int) -> None:
    """Specs that pin the newest version of each project, and some older ones."""
    (root / "specs").mkdir()
    (root / "pybuild.toml").write_text('cooldown = "3d"\n')
    choose = random.Random(1)
    for number in range(specs):
        minors = sorted({VERSIONS - 1, *(choose.randrange(VERSIONS) for _ in range(3))})
        pins = "".join(f'"1.{n}" = {{ file = "p{number}-1.{n}.tar.gz", sha256 = "{SHA}" }}\n' for n in minors)
        rules = '[update]\nallow = ">=1.0,<2"\nignore = ["1.7"]\n' if number % 3 == 0 else ""
        (root / "specs" / f"p{number}.toml").write_text(f'name = "p{number}"\n{rules}\n[versions]\n{pins}')


def find(root: Path, state: State, index: str) -> tuple[Finding, ...]:
    """One pass."""
    with Client() as client:
        return Finder(
            workspace=Workspace(root=root, run=run),
            state=state,
            upstream=Upstream(client=client, url=f"{index}/simple/"),
            buildroot="host",
            variant="",
            pythons=("3.11.7",),
            tags=("py3-none-any",),
            now=clock.now,
        ).find()


def measure(specs: int, delay: float) -> None:
    """Two passes: the first parses everything, the second finds it as it was."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(specs, delay, theirs), daemon=True)
    server.start()
    with tempfile.TemporaryDirectory() as directory:
        root, index = Path(directory), ours.recv()
        write_specs(root, specs)
        with closing(State.open(Layout(root=root / "state"))) as state:
            for which in ("first", "second", "third"):
                wall, cpu = time.perf_counter(), time.process_time()
                findings = find(root, state, index)
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                assert len(findings) == specs
                assert not any(finding.news or finding.problems for finding in findings)
                ours.send("pass")
                answers, busiest = ours.recv()
                print(
                    f"{specs} specs, {delay * 1000:.0f} ms an answer, {which} pass: {wall:6.2f} s, cpu {cpu:5.2f} s;"
                    f" answers {answers}, at most {busiest} at once"
                )
        ours.send("end")
    server.join()


def main() -> None:
    """Print all lines."""
    specs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for delay in (0.0, 0.05):
        measure(specs, delay)
    print(f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()

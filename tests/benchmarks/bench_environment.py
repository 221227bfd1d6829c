"""How long an environment of 10 unpacked wheels of setuptools' size takes (issue 2: at most 50 ms).

Run: ``python -m tests.benchmarks.bench_environment [DIR]``; DIR is on the file system to measure. An ext4 without a
journal looks through all inodes that were deleted in the last minutes before it takes one (recently_deleted in the
kernel's ialloc.c), so after any large ``rm -r`` the figures are several times higher there; on tmpfs they never are.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from pybuilder.environment import Environments, PayloadRef, PythonTarget
from pybuilder.layout import Layout
from tests.support.wheels import Draft, stored_payload

WHEELS, DIRECTORIES, FILES = 10, 54, 6  # setuptools 84: 351 files in 55 directories
ROUNDS = 11


def measure(directory: Path) -> None:
    layout = Layout(root=directory / "state")
    environments = Environments(layout)
    payloads = []
    for wheel in range(WHEELS):
        files = {f"p{wheel}/d{d}/f{f}.py": b"x = 1\n" * 500 for d in range(DIRECTORIES) for f in range(FILES)}
        payload, path = stored_payload(layout, directory, Draft(name=f"p{wheel}", files=files))
        payloads.append(PayloadRef(sha256=payload.sha256, path=path))

    def prepare(patch: int) -> float:
        # Another interpreter version is another environment of the same trees.
        python = PythonTarget(executable="/usr/bin/python3", version=f"3.11.{patch}")
        start = time.perf_counter()
        environments.prepare(payloads, python=python)
        return (time.perf_counter() - start) * 1000

    print(f"first time, all unpacked: {prepare(0):7.1f} ms")
    print(f"unpacked before, median:  {statistics.median(map(prepare, range(1, ROUNDS + 1))):7.1f} ms")
    print(f"it exists, median:        {statistics.median(prepare(0) for _ in range(ROUNDS)):7.3f} ms")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if sys.argv[1:] else None) as name:
        measure(Path(name))

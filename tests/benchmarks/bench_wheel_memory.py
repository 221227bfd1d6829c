"""Peak memory while a wheel of 1 GB is checked, canonicalised, numbered and stripped (issue 2: at most 150 MB).

Run: ``python -m tests.benchmarks.bench_wheel_memory [DIR]``; DIR needs 4 GB.
"""

import random
import resource
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from packaging.version import Version

from pybuilder.wheel.canonical import canonicalise
from pybuilder.wheel.check import problems
from pybuilder.wheel.numbering import number, strip
from tests.support.wheels import EPOCH, Draft

SIZE = 1 << 30


def big_wheel(directory: Path) -> Path:
    """A wheel with one file of 1 GB that deflates to about half."""
    path = Draft(tag="cp311-cp311-linux_x86_64").write(directory)
    block = random.Random(1).randbytes(1 << 19) + bytes(1 << 19)
    with zipfile.ZipFile(path, "a") as archive, archive.open("demo/big.so", "w", force_zip64=True) as stream:
        for _ in range(SIZE >> 20):
            stream.write(block)
    return path


def measure(directory: Path) -> None:
    wheel = big_wheel(directory)

    def step(name, work):
        start = time.perf_counter()
        result = work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name:13} {time.perf_counter() - start:6.1f} s, peak so far {peak:6.1f} MB")
        return result

    payload = step("canonicalise", lambda: canonicalise(wheel, directory / "payload.whl", epoch=EPOCH))
    (directory / "p").mkdir()
    path = (directory / "payload.whl").rename(directory / "p" / payload.filename)
    assert step("check", lambda: problems(path, name="demo", version=Version("1.0"))) == ()
    numbered = step("number", lambda: number(path, directory, label="pb", number=1, sbom=b"{}"))
    assert step("strip", lambda: strip(numbered.path, directory / "s.whl", label="pb")) == payload.sha256


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if sys.argv[1:] else None) as name:
        measure(Path(name))

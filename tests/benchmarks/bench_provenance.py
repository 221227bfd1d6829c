"""What provenance adds to a build: `python tests/benchmarks/bench_provenance.py [RUNS]`.

Each run is a fresh process that has imported what publishing imports anyway, and then makes the signed envelope of a
wheel whose record has a root of 300 RPMs, an environment of 20 wheels and a log of 1 MB: with the imports of that, the
key and the digests of the record's files. Besides, what git is asked about a workspace of 500 specs when an attempt
begins.
"""

from __future__ import annotations

import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from packaging.version import Version

from pybuilder import record
from pybuilder.plan import Ingredient
from pybuilder.processes import run
from pybuilder.signing import make_key
from pybuilder.spec import parse_spec
from pybuilder.workspace import Workspace, init
from tests.support import proofs

_SIGN = """
import sys, time
from pathlib import Path
import pybuilder.stages.publish
from pybuilder.record import read_plan, read_record
from pybuilder.signing import load_private
from pybuilder.stages.envelope import envelope
began = time.perf_counter()
key = load_private(Path(sys.argv[1]))
record = Path(sys.argv[2])
data = envelope(
    record,
    wheel="six-1.17.0+pb.1-py3-none-any.whl",
    sha256="0" * 64,
    account=read_record(record),
    plan=read_plan(record),
    bill=b"{}",
    key=key,
)
seconds = time.perf_counter() - began
assert b'"keyid"' in data
print(seconds, len(data))
"""


def main(runs: int) -> None:
    """Print medians and the best of some runs, in milliseconds."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        kept, key = _record(directory), directory / "key" / "private.pem"
        make_key(key, directory / "keys", replace=False)
        signed = [_signed(key, kept) for _ in range(runs)]
        _tell(f"an envelope of {signed[0][1] // 1000} kB", [seconds for seconds, _ in signed])
        workspace = _workspace(directory / "workspace")
        _tell("what git is asked", [_asked(workspace) for _ in range(runs)])


def _tell(what: str, seconds: list[float]) -> None:
    print(f"{what:24} median {statistics.median(seconds) * 1000:6.1f} ms  min {min(seconds) * 1000:6.1f} ms")


def _record(directory: Path) -> Path:
    [gcc] = proofs.PLAN.root.contents["rpms"]
    rpms = [gcc | {"name": f"package-{number}"} for number in range(300)]
    root = dataclasses.replace(proofs.PLAN.root, contents={"base": [], "rpms": rpms})
    environment = tuple(Ingredient(name=f"p{n}", version="1.0", payload="e" * 64) for n in range(20))
    plan = dataclasses.replace(proofs.PLAN, root=root, environment=environment)
    kept = directory / proofs.ATTEMPT
    kept.mkdir()
    (kept / record.PLAN).write_bytes(record.pretty_json(plan.as_json()))
    (kept / record.RECORD).write_bytes(record.pretty_json(proofs.account(plan=plan)))
    (kept / record.ENVIRONMENT).write_bytes(b"")
    (kept / record.LOG).write_bytes(b"gcc -c x.c\n" * 100_000)
    return kept


def _signed(key: Path, kept: Path) -> tuple[float, int]:
    done = subprocess.run([sys.executable, "-c", _SIGN, key, kept], check=True, capture_output=True, text=True)
    seconds, size = done.stdout.split()
    return float(seconds), int(size)


def _workspace(directory: Path) -> Workspace:
    init(directory)
    for number in range(500):
        (directory / "specs" / f"p{number}.toml").write_text(f'name = "p{number}"\n')
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run(["git", *identity, *arguments], cwd=directory, check=True)
    return Workspace.open(directory, run=run)


def _asked(workspace: Workspace) -> float:
    spec = parse_spec('name = "p1"\n', "specs/p1.toml")
    beside = [f"p{number}" for number in range(20)]
    began = time.perf_counter()
    found = workspace.revision("p1", Version("1"), spec, patches=[], beside=beside, buildroot="host")
    assert found.state == "clean"
    return time.perf_counter() - began


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)

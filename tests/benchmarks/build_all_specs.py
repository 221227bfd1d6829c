"""Build every version that the shipped specs pin, from upstream, into a fresh state; exits 1 if anything fails.

`python tests/benchmarks/build_all_specs.py [STATE]` prints a table of seconds. With STATE what was made stays there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pybuilder.processes import run
from pybuilder.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
PYBUILD = Path(sys.executable).with_name("pybuild")


def main(state: str) -> int:
    """Build, print the table, and verify the index."""
    workspace = Workspace.open(ROOT, run=run)
    specs = [spec for name in workspace.spec_names() if (spec := workspace.spec(name))]
    pinned = [f"{spec.name}=={version}" for spec in specs for version in spec.versions]
    began = time.perf_counter()
    report = _pybuild(state, "build", "--json", *pinned)
    seconds = time.perf_counter() - began
    for build in [*report["built"], *report["cached"]]:
        sealed = all(wheel["sealed"] for wheel in build["wheels"])
        print(f"{build['seconds']:8.1f} s  {'sealed' if sealed else 'UNSEALED'}  {build['build']}")
    for failure in report["failed"]:
        print(f"  FAILED in {failure['phase']}: {failure['name']} {failure['version']}: {failure['error']}")
    for entry in report["review"]:
        print(f"  NO SPEC for {entry['requirement']}, wanted by {entry['wanted_by']}")
    there = {build["build"].partition("/")[2].partition("+")[0] for build in [*report["built"], *report["cached"]]}
    absent = sorted(set(pinned) - there)
    problems = _pybuild(state, "index", "verify", "--json")["problems"]
    print(f"{seconds:8.1f} s  for {len(there)} of {len(pinned)}; absent: {absent}; wrong in the index: {problems}")
    return 1 if absent or problems or not report["ok"] else 0


def _pybuild(state: str, *arguments: str) -> Any:
    argv = [PYBUILD, "--workspace", ROOT, "--state", state, *arguments]
    return json.loads(subprocess.run(argv, check=False, stdout=subprocess.PIPE).stdout)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as fresh:
        sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else fresh))

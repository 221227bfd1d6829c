"""How long a pass of cron takes that has nothing to do. Run: ``python -m tests.benchmarks.bench_cron [SPECS]``.

The aim (issue 6) is 5 s for 1,000 specs without network time: upstream answers at once here, from a process of its own.
Every package has one published version, written down without building anything. The first pass reads every page of
upstream's; the others ask whether it has changed.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.bench_update import VERSIONS, serve, write_specs
from tests.support.channels import channel
from tests.support.workspaces import clean_environ

AIM = 5.0
ROUNDS = 3


def main(specs: int) -> None:
    """Print a table of seconds."""
    ours, theirs = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / "workspace" / "buildroots").mkdir(parents=True)
        write_specs(root / "workspace", specs)
        (root / "workspace" / "buildroots" / "host.toml").write_text('name = "host"\nengine = "host"\n')
        with channel(root / "state") as here:
            for number in range(specs):
                here.build(f"p{number}", f"1.{VERSIONS - 1}")
        upstream = multiprocessing.Process(target=serve, args=(specs, 0.0, theirs))
        upstream.start()
        settings = root / "workspace" / "pybuild.toml"
        settings.write_text(f'index = "{ours.recv()}/simple/"\n{settings.read_text()}')
        for number in range(ROUNDS + 1):
            _timed("the first pass" if number == 0 else "nothing to do", root)
        ours.send("end")
        upstream.join()


def _timed(what: str, root: Path) -> None:
    argv = [sys.executable, "-m", "pybuilder.cli", "-w", str(root / "workspace"), "--state", str(root / "state"), "-v"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environ = clean_environ(root) | {"PYTHONPATH": os.environ.get("PYTHONPATH", os.getcwd())}
    ran = subprocess.run([*argv, "cron"], env=environ, capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    told = (ran.stdout.splitlines() or ran.stderr.splitlines())[-1]
    print(f"{what:15} {seconds:6.2f} s, {busy:.2f} s of it processor  aim {AIM:.1f} s  {told}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)

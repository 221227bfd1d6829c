"""How long making roots takes, beside dnf. Run: ``python -m tests.benchmarks.bench_roots`` (as root).

The aims (issue 3): the base root in no more time than ``dnf --installroot`` takes for the same RPMs from the same local
repository in the same run, and a layer of 3 RPMs in 1 s. dnf's cache is warm; it checks signatures, as it does unless
told not to, and leaves out documentation and weak dependencies. Ours ends with a sync of its files, dnf's does not.
Both take turns, so that whatever else the machine does slows both; each line is a median.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.distribution import BASE, Distribution, distribution, dnf_repositories, missing_tools
from tests.support.roots import Place, distributed

RUNS = 5
LAYER = ("patchelf", "libyaml", "ninja-build")


def seconds(action: Callable[[], object]) -> float:
    """How long an action takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def dnf_command(made: Distribution, home: Path, packages: Sequence[str]) -> list[str]:
    """dnf, installing packages into ``home/dnf``."""
    (home / "dnf.conf").write_text(
        f"[main]\ninstall_weak_deps=False\ntsflags=nodocs\nbest=True\ncachedir={home}/cache\nlogdir={home}/log\n"
        f"varsdir=/nonexistent\npluginpath=/nonexistent\n"
        f"{dnf_repositories(made)}"
    )
    argv = ["dnf", "--quiet", "--assumeyes", "-c", str(home / "dnf.conf"), "--setopt=reposdir=/nonexistent"]
    return [*argv, f"--installroot={home}/dnf", "--releasever=1", "--forcearch=x86_64", "install", *packages]


def main() -> None:
    """Print the table."""
    if missing := missing_tools():
        raise SystemExit(missing)
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        (home / "place").mkdir()
        place = Place(home / "place", distributed(home / "distribution"))
        base, layer = place.closure(*BASE), place.closure(*LAYER)
        added = {rpm.name for rpm in layer} - {rpm.name for rpm in base}
        command = dnf_command(distribution(), home, BASE)

        def dnf() -> None:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        dnf()
        ours, theirs, layers, known = [], [], [], []
        for _ in range(RUNS):
            shutil.rmtree(home / "dnf")
            theirs.append(seconds(dnf))
            place.roots.prune()
            # What the one before has left to be written is not the next one's to wait for.
            os.sync()
            ours.append(seconds(lambda: place.prepare(base=base)))
            layers.append(seconds(lambda: place.prepare(*layer, base=base)))
            known.append(seconds(lambda: place.prepare(*layer, base=base)))
            os.sync()
        root, peer = statistics.median(ours), statistics.median(theirs)
        print(f"base root of {len(base)} RPMs: {root:.2f} s, dnf --installroot {peer:.2f} s, {root / peer:.2f} of it")
        print(f"layer of {len(added)} RPMs over it: {statistics.median(layers):.2f} s")
        print(f"a root that is known: {statistics.median(known) * 1000:.1f} ms")


if __name__ == "__main__":
    main()

"""How long locking takes. Run: ``python -m tests.benchmarks.bench_lock`` (as root, with the test distribution's tools).

The aims (issue 3): the base set from cached repodata in 0.5 s, and a repository of 70,000 packages, loading included,
in 5 s. The first needs the test distribution; each line is the median of some runs.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pybuilder.buildroot import Buildroot, complete, parse_buildroot
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.lockfile import Lock
from pybuilder.rpm.lock import Locker
from pybuilder.rpm.requests import requests
from pybuilder.store import Store
from tests.support.distribution import definition, distribution, missing_tools
from tests.support.repositories import Fake, write_repository

PACKAGES = 70_000
RUNS = 5


def lock(state: Path, home: Path, buildroot: Buildroot) -> Lock:
    """Lock once, as the command does."""
    layout = Layout(root=state)
    with Client() as client:
        locker = Locker(layout=layout, store=Store(layout), client=client, home=home, report=lambda text: None)
        return locker.lock(buildroot, requests(buildroot, ()), old=None).lock


def seconds(action: Callable[[], object]) -> float:
    """How long an action takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def synthetic(home: Path) -> Buildroot:
    """A repository of 70,000 packages, each with requirements, provides and files, and a buildroot over it."""
    choose = random.Random(1)
    needs = [[f"p{choose.randrange(max(n, 1))}" for _ in range(6)] for n in range(PACKAGES)]
    fakes = [
        Fake(
            name=f"p{n}",
            arch=choose.choice(["x86_64", "x86_64", "noarch", "i686"]) if n > 2000 else "x86_64",
            requires=[need for need in needs[n] if int(need[1:]) < 2000 and need != f"p{n}"] + ["/usr/bin/p1"],
            provides=[f"libp{n}.so.1()(64bit)", f"pkgconfig(p{n})", f"p{n}(x86-64) = 1-1"],
            files=[f"/usr/bin/p{n}", f"/etc/p{n}.conf"],
        )
        for n in range(PACKAGES)
    ]
    write_repository(home / "repository", fakes, files=False)
    for fake in fakes[:2001]:
        (home / "repository" / fake.location).parent.mkdir(parents=True, exist_ok=True)
        (home / "repository" / fake.location).write_bytes(fake.body)
    text = f"""
name = "big"
distribution = "x"
release = "1"
arch = "x86_64"
pythons = ["3.14"]
packages = ["p30", "/usr/bin/p20", "pkgconfig(p10)"]
[repositories.x]
baseurl = "{(home / "repository").as_uri()}"
gpgcheck = false
"""
    return complete(parse_buildroot(text, "buildroots/big.toml"), python="3.11", arch="x86_64")


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        big = synthetic(home)
        cold = [seconds(partial(lock, home / f"state{run}", home, big)) for run in range(3)]
        warm = [seconds(lambda: lock(home / "state0", home, big)) for _ in range(RUNS)]
        print(f"{PACKAGES} packages: first {statistics.median(cold):.2f} s, cached {statistics.median(warm):.2f} s")
        if missing_tools():
            print(f"no test distribution: {missing_tools()}")
            return
        made = distribution()
        made.copy_keys(home)
        base = complete(parse_buildroot(definition(made), "buildroots/fedora-test.toml"), python="3.11", arch="x86_64")
        first = seconds(lambda: lock(home / "base", home, base))
        again = [seconds(lambda: lock(home / "base", home, base)) for _ in range(RUNS)]
        count = len(lock(home / "base", home, base).rpms)
        print(f"base set of {count} RPMs: first, with all files, {first:.2f} s, again {statistics.median(again):.2f} s")


if __name__ == "__main__":
    main()

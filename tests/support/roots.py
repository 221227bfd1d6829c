"""Roots of the test distribution, and of small RPMs over it, in states of their own.

The file is also a program, for what has to happen in another process: ``python -m tests.support.roots JOB.json``
prepares one root and prints its digest and how many transactions that took. It dies without any cleaning up just
before the Nth thing it does to the disk, if the job says so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from pybuilder.buildroot import Buildroot, complete, parse_buildroot
from pybuilder.errors import PybuildError
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.lockfile import Lock, Rpm
from pybuilder.rpm.install import HostInstaller, Ran, Transaction
from pybuilder.rpm.lock import Locker
from pybuilder.rpm.packages import Fetcher
from pybuilder.rpm.repositories import find
from pybuilder.rpm.requests import requests
from pybuilder.rpm.roots import Root, Roots
from pybuilder.store import Store
from tests.support.distribution import BASE, definition, distribution
from tests.support.rpms import build_rpm, locked

REPOSITORY = Path(__file__).parents[2]
EXTRA = ("libxml2-devel", "libyaml", "ninja-build", "patchelf")


@dataclass
class Counting:
    """The host's rpm, counting its transactions."""

    time_limit: float = 120.0
    transactions: list[Transaction] = field(default_factory=list)

    def run(self, transaction: Transaction) -> Ran:
        self.transactions.append(transaction)
        return HostInstaller(time_limit=self.time_limit).run(transaction)

    def reclaim(self, directory: Path) -> None:
        HostInstaller().reclaim(directory)


@dataclass(frozen=True)
class Distributed:
    """The test distribution, locked, with its RPMs in a state."""

    lock: Lock
    definition: Buildroot
    state: Path

    def fetch(self, layout: Layout, rpms: Iterable[Rpm]) -> Mapping[str, Path]:
        """Fetch in earnest."""
        with Client() as client:
            found = {name: find(name, each, client) for name, each in self.definition.repositories.items()}
            fetcher = Fetcher(layout=layout, store=Store(layout), client=client, repositories=found)
            return fetcher.fetch_all(rpms)


def distributed(home: Path) -> Distributed:
    """Lock the distribution."""
    made = distribution()
    made.copy_keys(home)
    text = definition(made, packages=[*BASE, "python3", *EXTRA])
    buildroot = complete(parse_buildroot(text, "buildroots/fedora-test.toml"), python=made.python, arch="x86_64")
    layout = Layout(root=home / "state")
    with Client() as client:
        locker = Locker(layout=layout, store=Store(layout), client=client, home=home, report=lambda text: None)
        lock = locker.lock(buildroot, requests(buildroot, ()), old=None).lock
    return Distributed(lock=lock, definition=buildroot, state=home / "state")


@dataclass
class Place:
    """A fresh state that has the distribution's RPMs.

    Attributes:
        root: The directory it is in.
        of: The distribution.
        base: The RPMs of the base that ``prepare`` takes unless it is told otherwise: small, with a Python.
    """

    root: Path
    of: Distributed
    installer: Counting = field(default_factory=Counting)
    numbers: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.layout = Layout(root=self.root / "state")
        self.layout.rpms.parent.mkdir(parents=True)
        subprocess.run(["cp", "-al", Layout(root=self.of.state).rpms, self.layout.rpms], check=True)
        self.base = self.closure("bash", "coreutils", "python3")

    @property
    def roots(self) -> Roots:
        """The roots of the state."""
        layout = self.layout
        return Roots(
            layout=layout,
            store=Store(layout),
            installer=self.installer,
            fetch=lambda rpms: self.of.fetch(layout, rpms),
        )

    def closure(self, *names: str) -> tuple[Rpm, ...]:
        """RPMs of the distribution with all that they need."""
        return self.of.lock.closure(names)

    def rpm(self, name: str, **contents: Any) -> Rpm:
        """Build a small RPM into the store."""
        file = build_rpm(self.root / f"rpm{next(self.numbers)}", name, **contents)
        rpm = locked(file)
        Store(self.layout).add_rpm(file, sha256=rpm.sha256, name=file.name)
        return rpm

    def prepare(self, *rpms: Rpm, base: Sequence[Rpm] | None = None) -> Root:
        """Prepare a root of the base and more RPMs."""
        return self.roots.prepare(self.base if base is None else base, rpms, {})

    def job(self, *rpms: Rpm, base: Sequence[Rpm] | None = None, die_at: int = 0) -> list[str]:
        """The command that prepares a root in a process of its own."""
        file = self.root / f"job{next(self.numbers)}.json"
        listed = {"base": self.base if base is None else base, "rpms": rpms}
        job = {name: [rpm.model_dump(mode="json") for rpm in each] for name, each in listed.items()}
        file.write_text(json.dumps({**job, "state": str(self.layout.root), "die_at": die_at}))
        return [sys.executable, "-m", "tests.support.roots", str(file)]

    def start(self, argv: Sequence[str], **settings: Any) -> subprocess.Popen[str]:
        """Start such a command."""
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, cwd=REPOSITORY, **settings)

    def left(self) -> set[str]:
        """What lies beside the roots."""
        return {path.name for path in self.layout.roots.iterdir()} - {root.digest for root in self.roots.list()}


def _main(job: Mapping[str, Any]) -> None:
    from tests.support.dying import EFFECTS, Fuse

    layout = Layout(root=Path(job["state"]))
    store, installer = Store(layout), Counting()
    roots = Roots(
        layout=layout,
        store=store,
        installer=installer,
        fetch=lambda rpms: {rpm.sha256: path for rpm in rpms if (path := store.rpm(rpm.sha256))},
    )
    fuse = Fuse(job["die_at"])
    for name in EFFECTS:
        setattr(os, name, fuse.guarded(getattr(os, name)))
    base, rpms = ([Rpm.model_validate(rpm) for rpm in job[name]] for name in ("base", "rpms"))
    try:
        root = roots.prepare(base, rpms, {})
    except PybuildError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    print(root.digest, len(installer.transactions), fuse.count)


if __name__ == "__main__":
    _main(json.loads(Path(sys.argv[1]).read_text()))

"""How long it takes to find what is stale: `python -m tests.benchmarks.bench_stale [RECORDS [SPECS]]`.

The aim is 1 s for 5,000 records of 1,000 packages, read from the state and the specs as a pass of cron does that finds
nothing to do. Told are the first look, which reads the records themselves; one that finds nothing; one after the lock
has moved, and a build requirement with it; and how many packages need each other one.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from pybuilder.needed_by import needed_by
from pybuilder.packages import Packages
from pybuilder.plan import Root, rpm_root_digest
from pybuilder.processes import run
from pybuilder.stages import Channel as StagesChannel
from pybuilder.stages.source import SourceGetter
from pybuilder.staleness import find_stale
from pybuilder.workspace import Workspace
from tests.support.channels import BEGAN, TARGET, Channel, channel, digest

AIM = 1.0
RPMS = 150
BACKENDS = 10


class Roots:
    """Roots of as many RPMs as Fedora's have."""

    release = 1

    def for_build(self, system: Any) -> Root:
        """The same for everybody, and gcc besides for who asks."""
        names = [*(f"rpm-{number}" for number in range(RPMS)), *sorted(system)]
        rpms = [
            {"name": name, "evra": f"1-{self.release}.x86_64", "sha256": digest(f"{name} {self.release}")}
            for name in names
        ]
        found = rpm_root_digest([(f"{rpm['name']}-{rpm['evra']}", rpm["sha256"]) for rpm in rpms], {})
        return Root(kind="rpm", digest=found, contents={"base": names[:RPMS], "rpms": rpms})


def main(records: int, specs: int) -> None:
    """Print a table of seconds."""
    with tempfile.TemporaryDirectory() as scratch, channel(Path(scratch) / "state") as here:
        workspace, roots = Path(scratch) / "workspace", Roots()
        (workspace / "specs").mkdir(parents=True)
        began = time.perf_counter()
        _fill(here, workspace, roots, records // specs, specs)
        print(f"{records} records of {specs} packages made in {time.perf_counter() - began:.0f} s")
        packages = _packages(here, workspace, roots)

        def look() -> str:
            found = find_stale(packages, policy="monthly", now=BEGAN + timedelta(days=100))
            whys = [each.why for each in found.stale]
            counts = ", ".join(f"{whys.count(why)} {why}" for why in sorted(set(whys)))
            return f"{len(found.stale)} stale ({counts}), {len(found.problems)} problems"

        _timed("first look", look)
        _timed("nothing to do", look)
        roots.release = 2
        _timed("the lock has moved", look)
        here.build("package-0", "4.0", root=roots.for_build(()))
        _timed("and a backend", look)
        _timed("needed by", lambda: f"{needed_by(here.state, here.layout, 'host')['package-0']} need the first")


def _fill(here: Channel, workspace: Path, roots: Roots, versions: int, specs: int) -> None:
    """Packages that are built with one of some backends and with two that came before, and need three others."""
    root = {kind: roots.for_build(system) for kind, system in ((0, ()), (1, ("gcc",)))}
    for number in range(specs):
        name = f"package-{number}"
        beside = sorted({number % BACKENDS, number // 2, number // 3} - {number}) if number >= BACKENDS else []
        installs = [f"package-{(number * step) % max(number, 1)}>=1" for step in (3, 5, 7)] if number > 50 else []
        for version in range(versions):
            here.build(
                name,
                f"{version}.0",
                root=root[number % 2],
                environment=[f"package-{each}=={versions - 1}.0" for each in beside],
                requires=[f"package-{each}>=1" for each in beside],
                installs=[*installs, "pytest; extra == 'test'"],
            )
        pins = "".join(
            f'"{each}.0" = {{ file = "{name}-{each}.0.tar.gz", sha256 = "{"a" * 64}" }}\n' for each in range(versions)
        )
        system = '[system]\nbuild = ["gcc"]\n' if number % 2 else ""
        (workspace / "specs" / f"{name}.toml").write_text(
            f'name = "{name}"\n{system}[test]\nimports = ["x"]\n[update]\nallow = "<100"\n[versions]\n{pins}'
        )


def _packages(here: Channel, workspace: Path, roots: Roots) -> Packages:
    adapters = cast(
        Any,
        SimpleNamespace(
            state=here.state,
            layout=here.layout,
            roots=roots,
            index=SimpleNamespace(yanked=dict),
            target=TARGET,
            channel=StagesChannel(name="host", label="pb", buildroot="host", variant="", env={}, macros={}),
        ),
    )
    nothing = cast(Any, None)
    sources = SourceGetter(adapters=adapters, workspace=Workspace(root=workspace, run=run), sources=nothing)
    return Packages(adapters=adapters, sources=sources, chooser=nothing, screener=nothing)


def _timed(what: str, look: Callable[[], str]) -> None:
    began, busy = time.perf_counter(), time.process_time()
    told = look()
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    print(f"{what:20} {seconds:6.2f} s, {busy:.2f} s of it processor  aim {AIM:4.1f} s  {told}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000, int(sys.argv[2]) if len(sys.argv) > 2 else 1000)

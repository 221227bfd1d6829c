"""Put together what runs over a tree need, on a session."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from pybuilder.bootstrap import Bootstrap
from pybuilder.cli.session import Session
from pybuilder.joint import resolve_jointly
from pybuilder.machine import Machine
from pybuilder.packages import Packages
from pybuilder.pipeline import Pipeline
from pybuilder.sandbox.processors import usable
from pybuilder.stages import Source
from pybuilder.statements import Statements
from pybuilder.tree import Package
from pybuilder.usage import use
from pybuilder.workspace.drafts import Drafts


def make_bootstrap(session: Session, packages: Packages, workspace: Drafts, *, jobs: int | None) -> Bootstrap:
    """A run over a tree.

    Args:
        session: The world.
        packages: What is known of packages.
        workspace: That of the session.
        jobs: Builds at a time; None for what the workspace says, else what the machine can do.
    """

    def draft(source: Source) -> str | None:
        if not workspace.accepts(source.name):
            return None
        # Imported here, since most runs need no spec.
        from pybuilder.new import draft_spec

        return draft_spec(source.name, source.version, source.file, source.sha256)[1]

    def accept(package: Package) -> None:
        statements.look_at([package])
        workspace.settle([package])

    pipeline = Pipeline(packages=packages, force=False, accept=accept)
    statements = Statements(
        packages=packages,
        workspace=workspace,
        draft=draft,
        learn=pipeline.produce,
    )
    cpus = len(usable())
    stated = jobs or workspace.settings.jobs
    jobs = stated or cpus
    # More jobs than processors is what somebody asked for, so each counts as one.
    machine = Machine(cpus=max(cpus, jobs), memory=available_memory(), jobs=jobs, jobs_stated=stated is not None)
    layout = session.adapters.layout
    # Or gc, beside us, might take it from under uv.
    use(layout, layout.uv_cache)
    return Bootstrap(
        packages=packages,
        statements=statements,
        workspace=workspace,
        machine=machine,
        resolver=partial(resolve_jointly, cache=layout.uv_cache, facts=session.adapters.state),
        outcomes=pipeline.outcomes,
    )


def available_memory() -> int:
    """Bytes that can be had without swapping (proc(5), "MemAvailable")."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) << 10
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

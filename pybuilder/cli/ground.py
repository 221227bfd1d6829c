"""What builds stand on, by buildroot: the engine, the roots, and the Python that is built for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from pybuilder.buildroot import Buildroot
from pybuilder.environment import PythonTarget
from pybuilder.errors import ConfigError
from pybuilder.events import Listener
from pybuilder.facts import Facts
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.plan import Target
from pybuilder.sandbox import Engine
from pybuilder.sandbox.host import HostEngine
from pybuilder.sandbox.host_root import HostRoots, host_root, this_target
from pybuilder.stages import Roots
from pybuilder.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """What builds stand on.

    Attributes:
        engine: Makes sealed places.
        roots: What lies under builds.
        target: The Python built for.
        python: The interpreter inside.
    """

    engine: Engine
    roots: Roots
    target: Target
    python: PythonTarget


@contextlib.contextmanager
def open_ground(
    buildroot: Buildroot, *, workspace: Workspace, layout: Layout, facts: Facts, client: Client, listen: Listener
) -> Iterator[Ground]:
    """The ground of a buildroot.

    Raises:
        PybuildError: It can't be had here; says what to do.
    """
    if buildroot.engine == "host":
        yield _host(buildroot, facts)
        return
    # Half of what a run imports before it does anything, which a host buildroot does without.
    from pybuilder.cli.rpm_ground import open_rpm_ground

    with open_rpm_ground(
        buildroot, workspace=workspace, layout=layout, facts=facts, client=client, listen=listen
    ) as ground:
        yield ground


def _host(buildroot: Buildroot, facts: Facts) -> Ground:
    ground = this_machine(facts)
    if others := sorted(set(buildroot.pythons) - {ground.target.python}):
        raise ConfigError(
            f"a host buildroot builds for the Python that runs pybuild, {ground.target.python}, "
            f"not for {', '.join(others)}",
            where=f"buildroots/{buildroot.name}.toml [pythons]",
            cure="leave the key out, or run pybuild with that Python",
        )
    return ground


def this_machine(facts: Facts) -> Ground:
    """This machine's own system, and the Python that runs pybuild."""
    engine, target = HostEngine.of_this_interpreter(), this_target()
    python = PythonTarget(executable=str(engine.interpreter), version=target.full_version)
    return Ground(engine=engine, roots=HostRoots(host_root(facts)), target=target, python=python)

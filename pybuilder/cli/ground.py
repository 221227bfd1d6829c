"""What builds stand on, by buildroot: the engine, the roots, and the Python that is built for."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pybuilder.buildroot import Buildroot
from pybuilder.environment import PythonTarget
from pybuilder.errors import ConfigError, EngineError
from pybuilder.events import Listener, ignore
from pybuilder.files import disk_errors
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.lockfile import Lock, Rpm, parse_lock
from pybuilder.plan import Target, digest
from pybuilder.podman import Services
from pybuilder.rpm.bootstrap import ContainerInstaller
from pybuilder.rpm.install import HostInstaller
from pybuilder.rpm.locked import LockedRoots
from pybuilder.rpm.packages import Fetcher
from pybuilder.rpm.repositories import find
from pybuilder.rpm.roots import Roots as RpmRoots
from pybuilder.sandbox import Engine, Facts
from pybuilder.sandbox.host import HostEngine
from pybuilder.sandbox.host_root import HostRoots, host_root, this_target
from pybuilder.sandbox.podman import PodmanEngine
from pybuilder.sandbox.selinux import let_containers_use
from pybuilder.sandbox.target import target_in
from pybuilder.stages import Roots
from pybuilder.store import Store
from pybuilder.work import work_directory
from pybuilder.workspace import Workspace

# The fact which OCI runtime works here.
_RUNTIME = ("podman-runtime", "")


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
    lock = read_lock(workspace, buildroot)
    for tree in layout.seen_inside:
        with disk_errors(tree):
            let_containers_use(tree)
    with open_podman(facts, f"/usr/bin/python{_only_python(buildroot)}") as engine:
        roots = locked_roots(buildroot, lock, layout=layout, client=client, services=engine.services, listen=listen)
        base = roots.for_build(())
        with roots.tree(base) as tree:
            target = _target(buildroot, tree, base.digest, engine, layout, facts)
        python = PythonTarget(executable=engine.interpreter, version=target.full_version)
        yield Ground(engine=engine, roots=roots, target=target, python=python)


@contextlib.contextmanager
def open_podman(facts: Facts, interpreter: str = "") -> Iterator[PodmanEngine]:
    """The podman engine; its services are let go at the end."""
    services = Services(
        environ=os.environ,
        preferred=facts.fact(*_RUNTIME) or "",
        learn=lambda runtime: facts.add_fact(*_RUNTIME, runtime),
    )
    with contextlib.closing(services):
        yield PodmanEngine(services=services, interpreter=interpreter)


def podman_works(layout: Layout, facts: Facts) -> bool:
    """Whether containers can be started here; that they can is found out once for each boot and version of podman."""
    program = shutil.which("podman")
    if program is None:
        return False
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    key = digest([boot, os.geteuid(), program, os.stat(program).st_mtime_ns])
    if not facts.fact("podman-works", key):
        try:
            with open_podman(facts) as engine, work_directory(layout, f"podman-{secrets.token_hex(4)}") as scratch:
                engine.try_out(scratch)
        except EngineError:
            return False
        facts.add_fact("podman-works", key, True)
    return True


def _host(buildroot: Buildroot, facts: Facts) -> Ground:
    engine = HostEngine.of_this_interpreter()
    target = this_target()
    if others := sorted(set(buildroot.pythons) - {target.python}):
        raise ConfigError(
            f"a host buildroot builds for the Python that runs pybuild, {target.python}, not for {', '.join(others)}",
            where=f"buildroots/{buildroot.name}.toml [pythons]",
            cure="leave the key out, or run pybuild with that Python",
        )
    python = PythonTarget(executable=str(engine.interpreter), version=target.full_version)
    return Ground(engine=engine, roots=HostRoots(host_root(facts)), target=target, python=python)


def read_lock(workspace: Workspace, buildroot: Buildroot) -> Lock:
    """The lock of a buildroot that this machine can run.

    Raises:
        EngineError: It isn't locked, or is for another architecture.
        ConfigError: The lock is wrong.
    """
    path = lock_path(workspace, buildroot.name)
    if buildroot.arch != platform.machine():
        raise EngineError(
            f"the buildroot {buildroot.name} is for {buildroot.arch}, this machine is {platform.machine()}",
            where=f"buildroots/{buildroot.name}.toml [arch]",
            cure="build on a machine of that architecture",
        )
    if not path.exists():
        cure = f"pybuild buildroot lock {buildroot.name}"
        raise EngineError(f"the buildroot {buildroot.name} is not locked", where=str(path), cure=cure)
    return parse_lock(path.read_text("utf-8", "replace"), f"buildroots/{path.name}")


def lock_path(workspace: Workspace, name: str) -> Path:
    """Where the lock of a buildroot is."""
    return workspace.root / "buildroots" / f"{name}.lock"


def locked_roots(
    buildroot: Buildroot, lock: Lock, *, layout: Layout, client: Client, services: Services, listen: Listener
) -> LockedRoots:
    """The roots of a locked buildroot; nothing is fetched or made before one is asked for."""
    store = Store(layout, listen)

    def fetch(rpms: Iterable[Rpm]) -> Mapping[str, Path]:
        rpms = tuple(rpms)
        missing = {rpm.repository for rpm in rpms if store.rpm(rpm.sha256) is None}
        # What is in the store needs no repository, also when that is out of reach.
        found = {name: find(name, buildroot.repositories[name], client) for name in missing & {*buildroot.repositories}}
        return Fetcher(layout=layout, store=store, client=client, repositories=found).fetch_all(rpms)

    roots = local_roots(layout, services=services, fetch=fetch, listen=listen)
    return LockedRoots(buildroot=buildroot, lock=lock, roots=roots, listen=listen)


Fetch = Callable[[Iterable[Rpm]], Mapping[str, Path]]


def _fetch_nothing(rpms: Iterable[Rpm]) -> Mapping[str, Path]:
    return {}


def local_roots(
    layout: Layout, *, services: Services, fetch: Fetch = _fetch_nothing, listen: Listener = ignore
) -> RpmRoots:
    """The roots of a state, made by this machine's rpm where we may, else in the bootstrap container."""
    ours = os.geteuid() == 0 and shutil.which("rpm") is not None and shutil.which("bwrap") is not None
    installer = HostInstaller() if ours else ContainerInstaller(services=services, layout=layout, listen=listen)
    return RpmRoots(layout=layout, store=Store(layout, listen), installer=installer, fetch=fetch)


def _only_python(buildroot: Buildroot) -> str:
    if len(buildroot.pythons) > 1:
        raise ConfigError(
            f"{buildroot.name} names the Pythons {', '.join(buildroot.pythons)}; this version builds for one",
            where=f"buildroots/{buildroot.name}.toml [pythons]",
            cure="make a buildroot of each with extends",
        )
    return buildroot.pythons[0]


def _target(
    buildroot: Buildroot, tree: Path, known_as: str, engine: PodmanEngine, layout: Layout, facts: Facts
) -> Target:
    python = engine.interpreter
    if not os.path.lexists(tree / python.lstrip("/")):
        raise EngineError(
            f"the root of {buildroot.name} has no {python}",
            where=f"buildroots/{buildroot.name}.toml [packages]",
            cure=f"name the RPM that has it under packages, python3-devel or python{buildroot.pythons[0]}-devel",
        )
    return target_in(tree, python=python, engine=engine, layout=layout, facts=facts, known_as=known_as)

"""What builds in an RPM buildroot stand on: its locked roots, and podman."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from pybuilder.buildroot import Buildroot
from pybuilder.cli.ground import Ground
from pybuilder.cli.places import lock_path
from pybuilder.environment import PythonTarget
from pybuilder.errors import ConfigError, EngineError
from pybuilder.events import Listener, ignore
from pybuilder.facts import Facts
from pybuilder.files import disk_errors
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.lockfile import Lock, Rpm, parse_lock
from pybuilder.plan import Plan, Target, digest
from pybuilder.podman import Services
from pybuilder.rpm.bootstrap import ContainerInstaller
from pybuilder.rpm.install import HostInstaller
from pybuilder.rpm.locked import LockedRoots
from pybuilder.rpm.packages import Fetcher
from pybuilder.rpm.recorded import Archive, recorded_lock
from pybuilder.rpm.repositories import find
from pybuilder.rpm.roots import Roots as RpmRoots
from pybuilder.sandbox.own_files import OwnFiles
from pybuilder.sandbox.podman import PodmanEngine
from pybuilder.sandbox.selinux import let_containers_use
from pybuilder.sandbox.target import target_in
from pybuilder.store import Store
from pybuilder.work import work_directory
from pybuilder.workspace import Workspace

# The fact which OCI runtime works here.
_RUNTIME = ("podman-runtime", "")


@contextlib.contextmanager
def open_rpm_ground(
    buildroot: Buildroot, *, workspace: Workspace, layout: Layout, facts: Facts, client: Client, listen: Listener
) -> Iterator[Ground]:
    """The ground of an RPM buildroot; see ``open_ground``.

    Raises:
        PybuildError: It can't be had here; says what to do.
    """
    lock = read_lock(workspace, buildroot)
    _show_to_containers(layout)
    with open_podman(layout, facts, f"/usr/bin/python{_only_python(buildroot)}") as engine:
        roots = locked_roots(buildroot, lock, layout=layout, client=client, services=engine.services, listen=listen)
        base = roots.for_build(())
        with roots.tree(base) as tree:
            target = _target(buildroot, tree, base.digest, engine, layout, facts)
        python = PythonTarget(executable=engine.interpreter, version=target.full_version)
        yield Ground(engine=engine, roots=roots, target=target, python=python)


@contextlib.contextmanager
def recorded_rpm_ground(
    plan: Plan,
    buildroot: Buildroot,
    *,
    workspace: Workspace,
    layout: Layout,
    facts: Facts,
    client: Client,
    listen: Listener,
) -> Iterator[Ground]:
    """The ground of a recorded plan: a root of its own RPMs, whatever is locked today.

    Args:
        plan: The plan.
        buildroot: Of its definition the repositories are used, to find RPMs that are not here.
        workspace: Has today's lock, which says where those are that it still has.
        layout: Where roots are.
        facts: What is remembered.
        client: Fetches RPMs.
        listen: Told what happens.

    Raises:
        PybuildError: It can't be had here; says what to do.
    """
    check_machine(buildroot)
    _show_to_containers(layout)
    known = read_lock(workspace, buildroot) if lock_path(workspace, buildroot.name).exists() else None
    archive = Archive(layout=layout, store=Store(layout, listen), client=client, repositories=buildroot.repositories)
    lock = recorded_lock(plan, known=known, archive=archive)
    buildroot = buildroot.model_copy(update={"macros": dict(plan.recipe.root_macros)})
    with open_podman(layout, facts, f"/usr/bin/python{plan.target.python}") as engine:
        roots = locked_roots(buildroot, lock, layout=layout, client=client, services=engine.services, listen=listen)
        python = PythonTarget(executable=engine.interpreter, version=plan.target.full_version)
        yield Ground(engine=engine, roots=roots, target=plan.target, python=python)


@contextlib.contextmanager
def open_podman(layout: Layout, facts: Facts, interpreter: str = "") -> Iterator[PodmanEngine]:
    """The podman engine; its services are let go at the end."""
    services = Services(
        environ=os.environ,
        preferred=facts.fact(*_RUNTIME) or "",
        learn=lambda runtime: facts.add_fact(*_RUNTIME, runtime),
    )
    with contextlib.closing(services):
        yield PodmanEngine(services=services, own=OwnFiles(layout=layout), interpreter=interpreter)


def podman_works(layout: Layout, facts: Facts) -> bool:
    """Whether containers can be started here; that they can is found out once for each boot and version of podman."""
    program = shutil.which("podman")
    if program is None:
        return False
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    key = digest([boot, os.geteuid(), program, os.stat(program).st_mtime_ns])
    if not facts.fact("podman-works", key):
        try:
            with (
                open_podman(layout, facts) as engine,
                work_directory(layout, f"podman-{secrets.token_hex(4)}") as scratch,
            ):
                engine.try_out(scratch)
        except EngineError:
            return False
        facts.add_fact("podman-works", key, True)
    return True


def read_lock(workspace: Workspace, buildroot: Buildroot) -> Lock:
    """The lock of a buildroot that this machine can run.

    Raises:
        EngineError: It isn't locked, or is for another architecture.
        ConfigError: The lock is wrong.
    """
    check_machine(buildroot)
    path = lock_path(workspace, buildroot.name)
    if not path.exists():
        cure = f"pybuild buildroot lock {buildroot.name}"
        raise EngineError(f"the buildroot {buildroot.name} is not locked", where=str(path), cure=cure)
    return parse_lock(path.read_text("utf-8", "replace"), f"buildroots/{path.name}")


def check_machine(buildroot: Buildroot) -> None:
    """Refuse a buildroot that is for another architecture.

    Raises:
        EngineError: It is.
    """
    if buildroot.arch != platform.machine():
        raise EngineError(
            f"the buildroot {buildroot.name} is for {buildroot.arch}, this machine is {platform.machine()}",
            where=f"buildroots/{buildroot.name}.toml [arch]",
            cure="build on a machine of that architecture",
        )


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


def _show_to_containers(layout: Layout) -> None:
    for tree in layout.seen_inside:
        with disk_errors(tree):
            let_containers_use(tree)


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

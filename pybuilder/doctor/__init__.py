"""What this machine can do, found out by trying, and the command that installs what is missing."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pybuilder.doctor.check import HOST, Check, tried, version
from pybuilder.doctor.podman import podman_checks
from pybuilder.environment import Environments, PythonTarget
from pybuilder.errors import StateError
from pybuilder.http import redact
from pybuilder.layout import Layout
from pybuilder.processes import install_command, run
from pybuilder.sandbox import Job, Limits, build_environ, cgroups
from pybuilder.sandbox.host import HostEngine, bubblewrap_version
from pybuilder.state.database import check_owner
from pybuilder.upstream.settings import IndexSetting, default_index
from pybuilder.work import work_directory

# A build is ended when less than ``Limits.free_disk`` is left; with this much most can be done.
ENOUGH_DISK = 2 << 30


def works(checks: tuple[Check, ...]) -> bool:
    """Whether the host buildroot can be used."""
    return all(check.ok for check in checks if check.needed)


def examine(layout: Layout, *, index: str, environ: Mapping[str, str]) -> tuple[Check, ...]:
    """Look at everything, changing nothing and asking nobody on the network.

    Args:
        layout: The state directory, which need not exist yet.
        index: The upstream index that the workspace names, or empty.
        environ: The environment in which pip's and uv's settings are looked up.
    """
    return (
        Check(name="python", ok=True, found=f"{platform.python_version()}, {sys.executable}", needed_for=HOST),
        tried("bubblewrap", HOST, lambda: ".".join(map(str, bubblewrap_version()))),
        user_namespaces(Path("/proc/sys"), privileged=os.geteuid() == 0),
        tried("sealed start", HOST, _sealed_start),
        tried("git", HOST, lambda: version("git")),
        tried("state", HOST, lambda: state(layout)),
        disk(layout.root, shutil.disk_usage(_existing(layout.root)).free),
        _control_groups(),
        _compiler(),
        headers(Path(sysconfig.get_path("include", vars=_BASE))),
        *podman_checks(),
        tried("upstream index", "fetching", lambda: _index(index, environ)),
    )


_BASE = {"base": sys.base_prefix, "installed_base": sys.base_prefix}


def user_namespaces(kernel: Path, *, privileged: bool) -> Check:
    """Whether the kernel lets us make them: what to look at where the sealed start fails.

    Args:
        kernel: ``/proc/sys``.
        privileged: Whether we are root, whom some settings do not concern.
    """
    # What each must not be: user_namespaces(7), Debian's own, Ubuntu's own.
    settings = [("user.max_user_namespaces", "0", "15000")]
    if not privileged:
        settings.append(("kernel.unprivileged_userns_clone", "0", "1"))
        settings.append(("kernel.apparmor_restrict_unprivileged_userns", "1", "0"))
    name, needed_for = "user namespaces", "the sealed start"
    for setting, wrong, right in settings:
        path = kernel / setting.replace(".", "/")
        if path.exists() and path.read_text().strip() == wrong:
            found, cure = f"the kernel forbids them: {setting} is {wrong}", f"sysctl -w {setting}={right}"
            return Check(name=name, ok=False, found=found, needed_for=needed_for, cure=cure)
    return Check(name=name, ok=True, found="allowed", needed_for=needed_for)


def _sealed_start() -> str:
    """Start a sandbox that does nothing but probe its seal.

    Raises:
        EngineError: It can't be started, or isn't sealed.
    """
    engine = HostEngine.of_this_interpreter()
    with tempfile.TemporaryDirectory(prefix="pybuild-doctor-") as scratch:
        # A state of its own: what is tried here must not be in the way of a run.
        there = Layout(root=Path(scratch))
        python = PythonTarget(executable=str(engine.interpreter), version=platform.python_version())
        environment = Environments(there).prepare((), python=python)
        with work_directory(there, f"doctor-{secrets.token_hex(4)}") as work:
            job = Job(
                root=Path("/"),
                environment=environment,
                work=work,
                cwd="/build",
                env=build_environ(source_date_epoch=0, build_dir="/build", extra={}),
                steps=(),
                limits=Limits(seconds=60),
                log=work / "log",
            )
            outcome = engine.run(job, answer=lambda event: True)
    namespaces = ", ".join(sorted(outcome.seal.get("namespaces", ())))
    return f"{outcome.seconds:.2f} s; own {namespaces} namespaces"


def state(layout: Layout) -> str:
    """Where the state is, or would be.

    Raises:
        StateError: It can't be written.
        ConfigError: It is somebody else's.
    """
    place = _existing(layout.root)
    if not os.access(place, os.W_OK):
        cure = "run as its owner, or choose another directory with --state"
        raise StateError(f"{place} can't be written", cure=cure)
    # Without the note the check would write one.
    if not layout.owner.exists():
        return f"{layout.root}, to be made"
    check_owner(layout)
    return str(layout.root)


def disk(where: Path, free: int) -> Check:
    """Whether there is room for builds.

    Args:
        where: The state directory.
        free: Bytes free on its disk.
    """
    found = f"{free / (1 << 30):.1f} GiB free for {where}"
    if free >= ENOUGH_DISK:
        return Check(name="disk", ok=True, found=found, needed_for=HOST)
    needed_for = HOST if free <= Limits().free_disk else "larger builds"
    return Check(name="disk", ok=False, found=found, needed_for=needed_for, cure="free some, or choose --state DIR")


def _existing(path: Path) -> Path:
    return next(candidate for candidate in (path, *path.parents) if os.path.exists(candidate))


def _control_groups() -> Check:
    needed_for = "limits of memory, processes and processors over a whole build"
    wanted = Limits(memory=256 << 20, cpus=1)
    with cgroups.group(f"pybuild-doctor-{secrets.token_hex(4)}", wanted) as group:
        if group is not None:
            found = f"version {group.version}: {', '.join(sorted(group.directories))}"
            return Check(name="cgroups", ok=True, found=found, needed_for=needed_for)
    found = "none can be made; each process is limited by itself"
    version_2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    cure = "systemd-run --user --scope -p Delegate=yes pybuild …" if version_2 else "run as root"
    return Check(name="cgroups", ok=False, found=found, needed_for=needed_for, cure=cure)


def _compiler() -> Check:
    program = shutil.which("gcc") or shutil.which("cc") or "gcc"
    return tried("compiler", "packages with C extensions", lambda: f"{Path(program).name} {_compiler_version(program)}")


def _compiler_version(program: str) -> str:
    return run([program, "-dumpfullversion", "-dumpversion"], timeout=30).stdout.decode(errors="replace").strip()


def headers(directory: Path) -> Check:
    """Whether this Python's own headers are there.

    Args:
        directory: Where they belong.
    """
    there = (directory / "Python.h").is_file()
    return Check(
        name="Python headers",
        ok=there,
        found=str(directory) if there else f"{directory}/Python.h is missing",
        needed_for="packages with C extensions",
        cure="" if there else install_command("Python.h"),
    )


def _index(named: str, environ: Mapping[str, str]) -> str:
    """The index and who named it; credentials are not shown."""
    found = (
        IndexSetting(url=named, told_by="pybuild.toml") if named else default_index(environ, prefix=Path(sys.prefix))
    )
    return f"{redact(found.url)} ({f'told by {found.told_by}' if found.told_by else 'the default'})"

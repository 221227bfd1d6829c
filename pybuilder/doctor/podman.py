"""What podman can do here, and what an ordinary user lacks for it."""

from __future__ import annotations

import getpass
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from pybuilder.doctor.check import RPMS, Check, tried, version
from pybuilder.layout import Layout
from pybuilder.podman import Services
from pybuilder.processes import install_command
from pybuilder.rpm.bootstrap import IMAGE
from pybuilder.sandbox.own_files import OwnFiles
from pybuilder.sandbox.podman import PodmanEngine

# One for root of the container; podman's own images want the usual 65,536.
_FEW_IDS = 1


def podman_checks() -> Iterator[Check]:
    """What RPM buildroots need, whoever we are; changes nothing."""
    if os.geteuid():
        yield from subordinate_ids(getpass.getuser(), os.geteuid(), Path("/etc"))
        yield from id_mapping(shutil.which)
        yield control_groups(Path("/sys/fs/cgroup"), os.geteuid())
    yield tried("container", RPMS, _container)
    yield _rpm()


def subordinate_ids(user: str, uid: int, etc: Path) -> Iterator[Check]:
    """Whether a user may map ids into a container (subuid(5), subgid(5)).

    Args:
        user: Their name.
        uid: Their number, by which they may be listed as well.
        etc: ``/etc``.
    """
    for kind, option in (("subuid", "--add-subuids"), ("subgid", "--add-subgids")):
        file = etc / kind
        lines = file.read_text().splitlines() if file.exists() else []
        owned = [line.split(":") for line in lines if line.split(":")[0] in (user, str(uid))]
        count = sum(int(fields[2]) for fields in owned if len(fields) == 3 and fields[2].isdigit())
        ok = count >= _FEW_IDS
        found = f"{count} of {user} in {file}" if ok else f"{user} has none in {file}"
        cure = "" if ok else f"sudo usermod {option} 100000-165535 {user} && podman system migrate"
        yield Check(name=kind, ok=ok, found=found, needed_for=f"{RPMS} without root", cure=cure)


def id_mapping(which: Callable[[str], str | None]) -> Iterator[Check]:
    """Whether the programs are there that map those ids (newuidmap(1)).

    Args:
        which: Finds a program.
    """
    for program in ("newuidmap", "newgidmap"):
        path = which(program)
        cure = "" if path else install_command(program)
        found = path or f"{program} is missing"
        yield Check(name=program, ok=bool(path), found=found, needed_for=f"{RPMS} without root", cure=cure)


def control_groups(mount: Path, uid: int) -> Check:
    """Whether a user's containers can be limited as a whole.

    Args:
        mount: ``/sys/fs/cgroup``.
        uid: The user's number.
    """
    needed_for = "limits over a whole build without root"
    delegated = mount / "user.slice" / f"user-{uid}.slice" / f"user@{uid}.service" / "cgroup.controllers"
    if not (mount / "cgroup.controllers").exists():
        found, cure = "version 1, which only root can use; each process is limited by itself", "boot with version 2"
    elif not delegated.exists():
        found, cure = "no systemd session of yours", f"loginctl enable-linger {uid}"
    elif lacking := sorted({"cpu", "memory", "pids"} - set(delegated.read_text().split())):
        found = f"{', '.join(lacking)} not delegated to you"
        cure = "set Delegate=cpu memory pids for user@.service (systemd.resource-control(5))"
    else:
        return Check(name="your cgroups", ok=True, found="cpu, memory, pids", needed_for=needed_for)
    return Check(name="your cgroups", ok=False, found=found, needed_for=needed_for, cure=cure)


def _container() -> str:
    """Start a container that does nothing.

    Raises:
        EngineError: It can't be started.
    """
    with (
        closing(Services(environ=os.environ)) as services,
        tempfile.TemporaryDirectory(prefix="pybuild-doctor-") as scratch,
    ):
        Path(scratch).chmod(0o755)
        own = OwnFiles(layout=Layout(root=Path(scratch)))
        return PodmanEngine(services=services, own=own, interpreter="").try_out(Path(scratch))


def _rpm() -> Check:
    """Where rpm would run: on this machine for root, else in the bootstrap container."""
    if os.geteuid():
        found = f"in the bootstrap container, {IMAGE}, built when it is first needed"
        return Check(name="rpm", ok=True, found=found, needed_for=RPMS)
    return tried("rpm", RPMS, lambda: version("rpm"))

"""A job as a container: what podman's API is asked for. Words only; ``podman.py`` acts on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pybuilder.plan import BUILD_PATH, ENVIRONMENT_PATH
from pybuilder.podman import process_limits
from pybuilder.sandbox import BUILD_GID, BUILD_UID, HOST_NAME, OUTPUT_PATH, RUNNER, Job, Limits
from pybuilder.sandbox.namespace import IdMap
from pybuilder.sandbox.own_files import TALK
from pybuilder.sandbox.start import OWN_ETC

MOUNT_POINTS = (
    *("dev/", "proc/", "sys/", "tmp/", "run/.containerenv"),
    *(f"{path.lstrip('/')}/" for path in (BUILD_PATH, OUTPUT_PATH, ENVIRONMENT_PATH, RUNNER)),
    *(f"etc/{name}" for name in OWN_ETC),
)
"""What must exist in every root, directories with a slash: in it the runtime may make nothing, since it is nobody."""

# What tells one machine from another; of /sys a build has its control groups. A name that isn't there is left out.
_MASKED = (
    *("block", "bus", "class", "dev", "devices", "hypervisor", "kernel", "module", "power"),
    *(f"fs/{name}" for name in ("bcache", "bpf", "btrfs", "ext4", "f2fs", "fuse", "nfs", "pstore", "xfs")),
)
# Where an engine mounts something of its own, besides below /proc, /sys and /dev.
EXPECTED_MOUNTS = frozenset(
    {
        "/",
        "/tmp",
        BUILD_PATH,
        OUTPUT_PATH,
        ENVIRONMENT_PATH,
        RUNNER,
        f"{RUNNER}/{TALK}",
        "/run",
        "/run/secrets",
        "/run/.containerenv",
    }
    | {f"/etc/{name}" for name in OWN_ETC}
)

PIPES = ("answers", "events", "output", "input")
"""Named pipes in ``TALK`` below ``RUNNER``: what we answer, what happens, what is printed, what is typed."""


# crun gives what it finds as standard streams to the container's root, even the machine's own /dev/null: so standard
# input must be a pipe, and what is printed must have a log.
_STREAMS = {"stdin": True}


def container(job: Job, ids: IdMap | None, *, interpreter: str, own: Path) -> dict[str, Any]:
    """The container of a job, as podman's API takes it (POST /libpod/containers/create).

    Args:
        job: What to run.
        ids: The ids outside, where root starts it; None gives the build the ids of the user who does.
        interpreter: The Python inside.
        own: The directory of ``OwnFiles``.
    """
    pipes = (f"{RUNNER}/{TALK}/{name}" for name in PIPES)
    return {
        "name": container_name(job.work),
        "labels": {"pybuild.work": str(job.work)},
        "rootfs": str(job.root),
        "rootfs_overlay": True,
        **_STREAMS,
        # What the runtime writes goes into the overlay; what a build might goes nowhere.
        "read_only_filesystem": True,
        "read_write_tmpfs": False,
        "command": [interpreter, "-I", "-S", "-B", f"{RUNNER}/inside.py", *pipes],
        "work_dir": "/",
        "mounts": list(_mounts(job, own)),
        "image_volume_mode": "ignore",
        "mask": [f"/sys/{name}" for name in _MASKED],
        "shm_size": job.limits.memory or _machine_memory() // 2,
        **_isolation(ids),
        **_limits(job.limits, gives_way=job.limits.gives_way and ids is not None),
        "log_configuration": {"driver": "k8s-file", "path": str(job.work / "container.log"), "size": 1 << 20},
        "remove": True,
    }


def _isolation(ids: IdMap | None) -> dict[str, Any]:
    namespaces = {f"{name}ns": {"nsmode": "private"} for name in ("user", "pid", "ipc", "uts", "cgroup")}
    return {
        **namespaces,
        "netns": {"nsmode": "none"},
        "idmappings": {
            "HostUIDMapping": False,
            "HostGIDMapping": False,
            "UIDMap": _id_map(BUILD_UID, None if ids is None else ids.uid),
            "GIDMap": _id_map(BUILD_GID, None if ids is None else ids.gid),
        },
        "user": f"{BUILD_UID}:{BUILD_GID}",
        "cap_drop": ["ALL"],
        "no_new_privileges": True,
        "hostname": HOST_NAME,
        # Else podman passes on proxies, the machine's hosts and servers of names, and what containers.conf says.
        "httpproxy": False,
        "unsetenvall": True,
        "use_image_hosts": True,
        "use_image_resolve_conf": True,
    }


def _id_map(inside: int, outside: int | None) -> list[dict[str, int]]:
    """Root and the build's user, and nobody else.

    Neither is root outside. Without root, podman's own namespace is outside: 0 is the user there, 1 the first of their
    subordinate ids (subuid(5)); the build has the user's own, so that what it writes is theirs.
    """
    build, root = (0, 1) if outside is None else (outside, outside - 1)
    return [
        {"container_id": 0, "host_id": root, "size": 1},
        {"container_id": inside, "host_id": build, "size": 1},
    ]


def _mounts(job: Job, own: Path) -> Iterator[dict[str, Any]]:
    sources = {RUNNER: own / "pybuild", f"{RUNNER}/{TALK}": job.work / TALK, ENVIRONMENT_PATH: job.environment}
    sources |= {f"/etc/{name}": own / "etc" / name for name in OWN_ETC}
    written = {BUILD_PATH: job.work / "build", OUTPUT_PATH: job.work / "out", "/tmp": job.work / "tmp"}
    for mode, places in (("ro", sources), ("rw", written)):
        for target, source in places.items():
            yield _bind(source, target, mode)
    yield from _empty_run()


def _bind(source: Path, target: str, mode: str) -> dict[str, Any]:
    options = [mode, "bind", "rprivate", "nosuid", "nodev"]
    return {"type": "bind", "source": str(source), "destination": target, "options": options}


def _empty_run() -> Iterator[dict[str, Any]]:
    """Nothing, where Fedora's podman mounts the machine's credentials unless something else is (mounts.conf(5))."""
    options = ["rw", "nosuid", "nodev", "noexec", "notmpcopyup", "mode=755", "size=64k"]
    for target in ("/run", "/run/secrets"):
        yield {"type": "tmpfs", "source": "tmpfs", "destination": target, "options": options}


def _limits(limits: Limits, *, gives_way: bool = False) -> dict[str, Any]:
    """Limits of the control group, which podman leaves out where it can't have one, and of each process.

    Giving way is nothing that a build must have, so only root's containers do, who have the controller everywhere.
    """
    resources: dict[str, Any] = {"pids": {"limit": limits.processes}}
    if limits.memory:
        resources["memory"] = {"limit": limits.memory, "swap": limits.memory}
    quota = {"quota": limits.cpus * 100_000, "period": 100_000} if limits.cpus else {}
    share = {"shares": 102} if gives_way else {}
    if quota or share:
        resources["cpu"] = quota | share
    return {"resource_limits": resources, "r_limits": process_limits(processes=limits.processes)}


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def container_name(work: Path) -> str:
    """The name of the container of a job, by its work directory."""
    return f"pybuild-{work.name}"


def idle_container(scratch: Path, ids: IdMap | None) -> dict[str, Any]:
    """A container that does nothing, isolated like a job, over this machine's own programs.

    Args:
        scratch: An empty directory, readable by everybody, in which its root is laid out.
        ids: As for ``container``.
    """
    root = scratch / "root"
    for place in MOUNT_POINTS:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).mkdir() if place.endswith("/") else (root / place).touch()
    (root / "usr").mkdir()
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    return {
        "name": container_name(scratch),
        "rootfs": str(root),
        "rootfs_overlay": True,
        **_STREAMS,
        "read_only_filesystem": True,
        "command": ["/usr/bin/true"],
        "mounts": [_bind(Path("/usr"), "/usr", "ro"), *_empty_run()],
        **_isolation(ids),
        **_limits(Limits()),
        "log_configuration": {"driver": "k8s-file", "path": str(scratch / "log")},
    }

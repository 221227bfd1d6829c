"""Limits on memory, processes and processors for all processes of a build together, where the machine has cgroups.

Found out by trying, since every machine differs: version 1 with one hierarchy per controller, version 2 as root, and
version 2 below a subtree that systemd gave to an ordinary user. Where none can be had, ``group`` says so and
``confine.py``'s per-process limits are all there is.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pybuilder.sandbox import Limits

_MOUNT = Path("/sys/fs/cgroup")
_MEMBERSHIPS = Path("/proc/self/cgroup")

# Not there where the kernel doesn't account for swap.
_SWAP = ("memory.memsw.limit_in_bytes", "memory.swap.max")


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A control group made for one start of a sandbox.

    Attributes:
        directories: By controller, where it lies; the same directory for all under version 2.
        version: 1 or 2.
    """

    directories: Mapping[str, Path]
    version: int

    @property
    def entrances(self) -> tuple[Path, ...]:
        """The files to write a process's number into, so that it and its children are members."""
        return tuple(sorted({directory / "cgroup.procs" for directory in self.directories.values()}))

    def out_of_memory(self) -> bool:
        """Whether the kernel killed a member because the memory limit was reached."""
        memory = self.directories.get("memory")
        if memory is None:
            return False
        with contextlib.suppress(OSError):
            facts = (memory / ("memory.events" if self.version == 2 else "memory.oom_control")).read_text()
            return any(n == "oom_kill" and int(v) > 0 for n, v in (line.split() for line in facts.splitlines()))
        return False

    def peak_memory(self) -> int | None:
        """The most bytes the members used at once, where the kernel counts it."""
        memory = self.directories.get("memory")
        if memory is None:
            return None
        name = "memory.peak" if self.version == 2 else "memory.max_usage_in_bytes"
        with contextlib.suppress(OSError, ValueError):
            return int((memory / name).read_text())
        return None


@contextlib.contextmanager
def group(name: str, limits: Limits) -> Iterator[Group | None]:
    """A control group with these limits, removed at the end; None where the machine doesn't let us have one."""
    found = _version_2(name, limits) or _version_1(name, limits)
    try:
        yield found
    finally:
        if found:
            for directory in set(found.directories.values()):
                _remove(directory)


def sweep(prefix: str) -> None:
    """Remove groups that a killed run left behind; those with members stay."""
    for controller in ("memory", "pids", "cpu"):
        if base := _base_version_1(controller):
            for directory in base.glob(f"{prefix}*"):
                _remove(directory, patience=0)
    if base := _base_version_2():
        for directory in base.glob(f"{prefix}*"):
            _remove(directory, patience=0)


def _version_2(name: str, limits: Limits) -> Group | None:
    base = _base_version_2()
    if base is None:
        return None
    wanted = {"memory", "pids", "cpu"} & set((base / "cgroup.controllers").read_text().split())
    try:
        if missing := wanted - set((base / "cgroup.subtree_control").read_text().split()):
            (base / "cgroup.subtree_control").write_text(" ".join(f"+{c}" for c in sorted(missing)))
    except OSError:
        return None
    settings = {c: values for c, values in settings_version_2(limits).items() if c in wanted}
    directory = base / name
    if not settings or not _make(directory, {file: n for values in settings.values() for file, n in values.items()}):
        return None
    return Group(directories=dict.fromkeys(sorted(settings), directory), version=2)


def settings_version_2(limits: Limits) -> dict[str, dict[str, int]]:
    """By controller, what goes into which file (kernel's admin-guide/cgroup-v2)."""
    settings = {"pids": {"pids.max": limits.processes}}
    if limits.memory:
        settings["memory"] = {"memory.max": limits.memory, "memory.swap.max": 0}
    quota = {"cpu.max": limits.cpus * 100_000} if limits.cpus else {}
    share = {"cpu.weight": 10} if limits.gives_way else {}
    if quota or share:
        settings["cpu"] = quota | share
    return settings


def _base_version_2() -> Path | None:
    """A directory of the unified hierarchy below which we may make groups: root's top, or our own group's parent.

    Not our own group itself: version 2 allows no processes beside groups that have controllers.
    """
    if not (_MOUNT / "cgroup.controllers").exists():
        return None
    bases = [_MOUNT] if os.geteuid() == 0 else []
    if own := next((path for number, _, path in _memberships() if number == "0"), None):
        bases.append((_MOUNT / own.lstrip("/")).parent)
    return next((base for base in bases if _MOUNT in (base, *base.parents) and os.access(base, os.W_OK)), None)


def _version_1(name: str, limits: Limits) -> Group | None:
    directories = {}
    for controller, values in settings_version_1(limits).items():
        base = _base_version_1(controller)
        if base and _make(base / name, values):
            directories[controller] = base / name
    return Group(directories=directories, version=1) if directories else None


def settings_version_1(limits: Limits) -> dict[str, dict[str, int]]:
    """By controller, what goes into which file, in this order (kernel's admin-guide/cgroup-v1)."""
    settings = {"pids": {"pids.max": limits.processes}}
    if limits.memory:
        settings["memory"] = {"memory.limit_in_bytes": limits.memory, "memory.memsw.limit_in_bytes": limits.memory}
    quota = {"cpu.cfs_quota_us": limits.cpus * 100_000} if limits.cpus else {}
    share = {"cpu.shares": 102} if limits.gives_way else {}
    if quota or share:
        settings["cpu"] = quota | share
    return settings


def _base_version_1(controller: str) -> Path | None:
    for _, controllers, path in _memberships():
        if controller in controllers.split(","):
            base = _MOUNT / controller / path.lstrip("/")
            # In a container the path may be the host's, of which we see only the mount.
            base = base if base.is_dir() else _MOUNT / controller
            return base if os.access(base, os.W_OK) else None
    return None


def _memberships() -> list[list[str]]:
    """``[number, controllers, path]`` of each hierarchy (cgroups(7), /proc/pid/cgroup)."""
    return [line.split(":", 2) for line in _MEMBERSHIPS.read_text().splitlines()]


def _make(directory: Path, settings: Mapping[str, int]) -> bool:
    """Make a group with these limits; whether it could be made and took every one that this kernel knows."""
    _remove(directory, patience=0)
    try:
        directory.mkdir()
        for file, value in settings.items():
            if file not in _SWAP or (directory / file).exists():
                (directory / file).write_text(f"{value}\n")
    except OSError:
        _remove(directory, patience=0)
        return False
    return True


def _remove(directory: Path, *, patience: float = 2.0) -> None:
    """Remove a group; its last members may need a moment to be gone after they were killed."""
    deadline = time.monotonic() + patience
    while directory.exists():
        try:
            directory.rmdir()
        except OSError:
            if time.monotonic() >= deadline:
                return
            time.sleep(0.01)

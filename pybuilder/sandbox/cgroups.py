"""Limits on memory, processes and processors for all processes of a build together, where the machine has cgroups.

Found out by trying, since every machine differs: version 1 with one hierarchy per controller, version 2 as root, and
version 2 below a subtree that systemd gave to an ordinary user. Where none can be had, ``group`` says so and
``inside.py``'s per-process limits are all there is.
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
    directory = base / name
    try:
        enabled = set((base / "cgroup.subtree_control").read_text().split())
        if wanted - enabled:
            (base / "cgroup.subtree_control").write_text(" ".join(f"+{c}" for c in sorted(wanted - enabled)))
        directory.mkdir()
    except OSError:
        return None
    settings = {"memory.max": limits.memory, "memory.swap.max": 0, "pids.max": limits.processes}
    if limits.cpus:
        settings["cpu.max"] = limits.cpus * 100_000
    if not limits.memory:
        del settings["memory.max"], settings["memory.swap.max"]
    _apply(directory, settings)
    return Group(directories=dict.fromkeys(sorted(wanted), directory), version=2)


def _base_version_2() -> Path | None:
    """A directory of the unified hierarchy below which we may make groups: root's top, or our own group's parent.

    Not our own group itself: version 2 allows no processes beside groups that have controllers.
    """
    if not (_MOUNT / "cgroup.controllers").exists():
        return None
    own = next(
        (line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")),
        "/",
    )
    bases = [_MOUNT] if os.geteuid() == 0 else []
    bases.append((_MOUNT / own.lstrip("/")).parent)
    return next((base for base in bases if _MOUNT in (base, *base.parents) and os.access(base, os.W_OK)), None)


def _version_1(name: str, limits: Limits) -> Group | None:
    settings: dict[str, dict[str, int]] = {"pids": {"pids.max": limits.processes}}
    if limits.memory:
        settings["memory"] = {
            "memory.limit_in_bytes": limits.memory,
            "memory.memsw.limit_in_bytes": limits.memory,
        }
    if limits.cpus:
        settings["cpu"] = {"cpu.cfs_quota_us": limits.cpus * 100_000}
    directories = {}
    for controller, values in settings.items():
        base = _base_version_1(controller)
        if base is None:
            continue
        directory = base / name
        try:
            directory.mkdir()
        except OSError:
            continue
        _apply(directory, values)
        directories[controller] = directory
    return Group(directories=directories, version=1) if directories else None


def _base_version_1(controller: str) -> Path | None:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            base = _MOUNT / controller / path.lstrip("/")
            # In a container the path may be the host's, of which we see only the mount.
            base = base if base.is_dir() else _MOUNT / controller
            return base if os.access(base, os.W_OK) else None
    return None


def _apply(directory: Path, settings: Mapping[str, int]) -> None:
    for file, value in settings.items():
        # A kernel without swap accounting has no such file; the others must take.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            (directory / file).write_text(f"{value}\n")


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

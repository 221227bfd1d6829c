"""The sandbox: one start of a sealed place in which a package's own code may run (DESIGN.md, "what a build may see").

An *engine* knows how to make the place (bubblewrap over the machine's own system; podman over a root of RPMs). What
happens inside is the same for all of them: ``inside.py`` is started first, gives up what rights it has, probes the
seal, reports it, waits for our word, and runs the steps it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pybuilder.plan import ENVIRONMENT_PATH

# Enters the key: raise it when what a build can see or observe changes.
SANDBOX_VERSION = 5

OUTPUT_PATH = "/out"
RUNNER = "/.pybuild"
BUILD_UID = 1000
BUILD_GID = 1000
HOST_NAME = "pybuild"

GIB = 1 << 30

FREE_DISK = 256 << 20
"""Bytes that a build leaves free on the disk, or is ended."""

Event = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What a build is given of the machine.

    Attributes:
        cpus: The processors that are free for it.
        gives_way: Whether others are more urgent; asked again at each start of the sandbox.
    """

    cpus: int
    gives_way: Callable[[], bool] = lambda: False


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one start of the sandbox may use; none of it enters the key.

    Attributes:
        seconds: Wall time.
        memory: Bytes over all processes where cgroups can be had, else of each process's address space.
        cpus: Processors' worth of time; 0 is without a limit.
        gives_way: Whether it has a tenth of the time of others that want it, where we can have a control group.
        processes: Processes and threads at once.
        file_size: Bytes of the largest file.
        log: Bytes of output kept; the rest is dropped and said so.
        free_disk: Bytes that must stay free on the disk of the work tree.
    """

    seconds: float = 7200
    memory: int = 0
    cpus: int = 0
    gives_way: bool = False
    processes: int = 4096
    file_size: int = 16 * GIB
    log: int = 64 << 20
    free_disk: int = FREE_DISK


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What to run, over which directories of the host.

    Attributes:
        root: The tree of the system that the build sees, read-only; ``/`` is this machine's own.
        environment: The virtual environment seen read-only at ``/env``.
        work: A directory of ours with ``build/``, ``out/`` and ``tmp/``, seen at ``/build``, ``/out``, ``/tmp``.
        cwd: The directory inside in which steps start.
        env: The whole environment of the steps.
        steps: What ``steps.py`` does, in order; see there.
        limits: What it may use.
        log: The file that receives everything the steps print, from the first byte on.
        typed: A descriptor of ours that is read for what a person types into a ``shell`` step; None is nobody.
        cpus: On how many processors it runs, and backends compile side by side; 0 is all there are, one by one.
        other_ids: Whether it has other ids outside than builds have, where it has ids of its own.
    """

    root: Path
    environment: Path
    work: Path
    cwd: str
    env: Mapping[str, str]
    steps: tuple[Mapping[str, Any], ...]
    limits: Limits
    log: Path
    typed: int | None = None
    cpus: int = 0
    other_ids: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a start of the sandbox ended.

    Attributes:
        seal: What the probe saw from inside, as recorded.
        failure: What ended it early, a sentence, or empty.
        timed_out: Whether the time limit ended it.
        seconds: Wall time of the whole start.
    """

    seal: Mapping[str, Any]
    failure: str
    timed_out: bool
    seconds: float


class Engine(Protocol):
    """Makes sealed places."""

    @property
    def name(self) -> str:
        """``host`` or ``podman``, as records say it."""
        ...

    def tools(self) -> Mapping[str, str]:
        """Versions of the programs that make the sandbox, for the record."""
        ...

    def run(self, job: Job, *, answer: Callable[[Event], bool], echo: Callable[[bytes], None] | None = None) -> Outcome:
        """Run a job to its end.

        Args:
            job: What to run.
            answer: Called with each event from inside; where the event asks, the result says whether to go on.
            echo: Called with each piece of output as it comes.

        Raises:
            EngineError: The place can't be made, or it isn't sealed.
        """
        ...


def parallel_environ(cpus: int) -> dict[str, str]:
    """What tells build systems how many processors they have: make, CMake, cargo, numpy, torch, Python (from 3.13 on).

    Not in the key: what is built must not depend on it.
    """
    names = ("CMAKE_BUILD_PARALLEL_LEVEL", "CARGO_BUILD_JOBS", "NPY_NUM_BUILD_JOBS", "MAX_JOBS", "PYTHON_CPU_COUNT")
    return {"MAKEFLAGS": f"-j{cpus}", **dict.fromkeys(names, str(cpus))}


def build_environ(*, source_date_epoch: int, build_dir: str, extra: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a build: ours, then what the buildroot and the spec add.

    Compiler flags of the spec are appended to ours, so that a spec that sets CFLAGS doesn't lose the prefix map. For
    Rust it stands in the variable that adds to what a package's own ``.cargo/config.toml`` says; RUSTFLAGS, which would
    replace that, is only ours to complete where the spec sets it (the Cargo Book, "build.rustflags").
    """
    prefix_map = f"-ffile-prefix-map={build_dir}=."
    rust_map = f"--remap-path-prefix={build_dir}=."
    ours = {
        "PATH": f"{ENVIRONMENT_PATH}/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": "/tmp/home",
        "TMPDIR": "/tmp",
        "USER": "build",
        "LOGNAME": "build",
        "SHELL": "/bin/sh",
        "TERM": "dumb",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        # Backends take whatever lies in a package for a part of it.
        "PYTHONDONTWRITEBYTECODE": "1",
        # Static libraries without times and owners, also where ar was not built to leave them out.
        "ARFLAGS": "crD",
        "VIRTUAL_ENV": ENVIRONMENT_PATH,
        "SOURCE_DATE_EPOCH": str(source_date_epoch),
    }
    flags = dict.fromkeys(("CFLAGS", "CXXFLAGS", "FFLAGS", "FCFLAGS"), prefix_map)
    flags["CARGO_BUILD_RUSTFLAGS"] = rust_map
    completed = {**flags, "RUSTFLAGS": rust_map}
    appended = {name: f"{completed[name]} {value}" for name, value in extra.items() if name in completed}
    return {**ours, **flags, **extra, **appended}

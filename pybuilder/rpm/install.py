"""Where rpm runs: one transaction, described by ``transaction.sh``, in a place where it can reach nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pybuilder.errors import EngineError
from pybuilder.processes import bubblewrap_child, communicate, install_command, namespace_of, run, spawn

TIME_LIMIT = 30 * 60.0
"""Seconds that one transaction may take."""

SCRIPT = Path(__file__).with_name("transaction.sh")
"""The transaction; its head says what it expects."""

# 1980-01-02, as that of sources without a time.
_EPOCH = 315_619_200

# What containers and builds mount something on; without them a read-only root has no place for it.
_DIRECTORIES = "proc sys dev run tmp build out env .pybuild etc var var/tmp"
_FILES = "etc/passwd etc/group etc/hosts etc/hostname etc/resolv.conf etc/nsswitch.conf run/.containerenv"

# The first rpm that keeps its database in SQLite.
_OLDEST = (4, 16)

_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d")

# What rpm and its scriptlets need, and what the script needs to mount and to take rights away.
_CAPABILITIES = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETUID SETGID SYS_CHROOT SYS_ADMIN SETPCAP"

_PATH = "/usr/bin:/usr/sbin:/bin:/sbin"


@dataclass(frozen=True, kw_only=True, slots=True)
class Transaction:
    """One rpm transaction.

    Attributes:
        work: The directory it works in and leaves its outcome in, ``/work`` for the script.
        base: The tree that it is a layer over, ``/base`` for the script, or None.
        store: The directory that all RPMs are below, ``/rpms`` for the script.
        rpms: Their files, below it.
        macros: RPM macros by name.
    """

    work: Path
    base: Path | None
    store: Path
    rpms: Sequence[Path]
    macros: Mapping[str, str]

    @property
    def arguments(self) -> list[str]:
        """The script's arguments."""
        defines = (("--define", f"{name.removeprefix('%')} {value}") for name, value in sorted(self.macros.items()))
        return [*(part for define in defines for part in define), *(f"/rpms/{rpm}" for rpm in self.rpms)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """How a transaction ended.

    Attributes:
        status: The script's exit status.
        said: What was said outside of its log, by whatever makes the place it runs in.
    """

    status: int
    said: str


class Installer(Protocol):
    """Runs transactions in some place."""

    @property
    def time_limit(self) -> float:
        """Seconds that a transaction may take."""

    def run(self, transaction: Transaction) -> Ran:
        """Run a transaction to its end; when this is left, however it is left, nothing of it runs any more.

        Raises:
            EngineError: Transactions can't be run in this way here.
        """

    def reclaim(self, directory: Path) -> None:
        """Make whatever a killed transaction left in a directory ours to remove.

        Raises:
            EngineError: Transactions can't be run in this way here.
        """


def script_environment(time_limit: float) -> dict[str, str]:
    """The whole environment of the script."""
    return {
        "PATH": _PATH,
        "LC_ALL": "C.UTF-8",
        "TIME_LIMIT": str(time_limit),
        "EPOCH": str(_EPOCH),
        "DIRECTORIES": _DIRECTORIES,
        "FILES": _FILES,
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class HostInstaller:
    """This machine's rpm, run by root in a sandbox that has the system's programs, the RPMs and its work.

    A transaction dies with the *thread* that runs it (PR_SET_PDEATHSIG).

    Attributes:
        time_limit: Seconds that a transaction may take.
    """

    time_limit: float = TIME_LIMIT

    def run(self, transaction: Transaction) -> Ran:
        """Run a transaction; see ``Installer.run``."""
        _check()
        told, tells = os.pipe()
        try:
            argv = ["bwrap", "--info-fd", str(tells), *_isolation(), *_mounts(transaction)]
            argv += ["/bin/sh", "/transaction.sh", *transaction.arguments]
            environment = script_environment(self.time_limit)
            with spawn(argv, env=environment, merge_output=True, pass_fds=(told, tells)) as process:
                os.close(tells)
                with namespace_of(bubblewrap_child(process, told)):
                    said, _ = communicate(process)
        finally:
            os.close(told)
        return Ran(status=process.returncode, said=said.decode(errors="replace"))

    def reclaim(self, directory: Path) -> None:
        """Nothing: what root's rpm leaves is root's."""


def _check() -> None:
    """Refuse what can't work.

    Raises:
        EngineError: We are not root, or rpm or bubblewrap is missing or too old.
    """
    if os.geteuid():
        raise EngineError(
            "this machine's own rpm makes roots for root alone",
            cure="run as root, or install podman, in which rpm needs no root",
        )
    for program in ("bwrap", "rpm"):
        # Found where the sandbox finds it.
        version = run([program, "--version"], env={"PATH": _PATH}).stdout.decode(errors="replace")
    found = re.search(r"(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise EngineError(
            f"this machine's rpm is too old: {version.strip()}",
            cure=f"{install_command('rpm')} ({oldest} or newer), or install podman, in which there is another",
        )


def _isolation() -> Iterator[str]:
    yield from ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup")
    yield from ("--die-with-parent", "--new-session", "--hostname", "localhost", "--cap-drop", "ALL")
    for name in _CAPABILITIES.split():
        yield from ("--cap-add", f"CAP_{name}")


def _mounts(transaction: Transaction) -> Iterator[str]:
    """The system's programs, with nothing of this machine's own; the work directory is all that can be written."""
    yield from ("--ro-bind", "/usr", "/usr")
    for name in _MERGED:
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    for name in _ETC:
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    yield from ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")
    yield from ("--ro-bind", str(SCRIPT), "/transaction.sh")
    yield from ("--ro-bind", str(transaction.store), "/rpms", "--bind", str(transaction.work), "/work")
    if transaction.base:
        yield from ("--ro-bind", str(transaction.base), "/base")
    yield from ("--remount-ro", "/", "--chdir", "/", "--")

"""What a build sees of this machine, as bubblewrap's arguments: the system read-only, our own /etc, its own places."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from pybuilder.plan import BUILD_PATH, ENVIRONMENT_PATH
from pybuilder.sandbox import OUTPUT_PATH, RUNNER, Job
from pybuilder.sandbox.programs import programs
from pybuilder.sandbox.start import OWN_ETC

_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")

# What of /etc a compiler, a linker and the C library need. Nothing in it is secret or names this machine.
_ETC = (
    "alternatives",
    "crypto-policies",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "pki/tls/openssl.cnf",
    "ssl/openssl.cnf",
)


def program_mounts() -> Iterator[str]:
    """/usr and the names in / that lead into it."""
    yield from ("--ro-bind", "/usr", "/usr")
    for name in _MERGED:
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))


def system_mounts(*, shared_memory: int) -> Iterator[str]:
    """The system's programs, the kernel's places; /usr/local is this machine's own and stays out.

    Args:
        shared_memory: Bytes that fit into /dev/shm; 0 is what the kernel thinks right, half of all there is.
    """
    yield from program_mounts()
    if not Path(sys.base_prefix).is_relative_to("/usr/local"):
        yield from ("--tmpfs", "/usr/local", "--remount-ro", "/usr/local")
    yield from ("--proc", "/proc", "--dev", "/dev")
    size = ("--size", str(shared_memory)) if shared_memory else ()
    yield from ("--perms", "1777", *size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev")


def own_files(opened: contextlib.ExitStack) -> Mapping[str, int]:
    """Where files of ours are seen, and descriptors from which bubblewrap can read each once.

    They are written into the build's root, which nobody can write to afterwards: mounting each takes ten times as long.
    """
    descriptors = {}
    for path, data in _own().items():
        file = opened.enter_context(os.fdopen(os.memfd_create("pybuild"), "wb", buffering=0))
        file.write(data)
        file.seek(0)
        descriptors[path] = file.fileno()
    return descriptors


def own_mounts(own: Mapping[str, int]) -> Iterator[str]:
    """The files of ``own_files``, and the directories that they lie in."""
    for directory in _own_directories():
        yield from ("--perms", "0755", "--dir", directory)
    for path, descriptor in own.items():
        yield from ("--perms", "0644", "--file", str(descriptor), path)


@functools.cache
def _own() -> Mapping[str, bytes]:
    contents = {f"/etc/{name}": text.encode() for name, text in OWN_ETC.items()}
    return {**contents, **{f"{RUNNER}/{name}": data for name, data in programs().items()}}


@functools.cache
def _own_directories() -> tuple[str, ...]:
    return tuple(sorted({str(parent) for path in _own() for parent in PurePosixPath(path).parents} - {"/"}))


def etc_mounts() -> Iterator[str]:
    """What is needed of /etc besides."""
    for name in _ETC:
        path = Path("/etc", name)
        if path.exists():
            for parent in reversed(path.relative_to("/etc").parents[:-1]):
                yield from ("--perms", "0755", "--dir", f"/etc/{parent}")
            yield from ("--ro-bind", str(path), str(path))


def private_mounts(job: Job) -> Iterator[str]:
    """What is the build's: its environment, the directories that may be written."""
    yield from ("--ro-bind", str(job.environment), ENVIRONMENT_PATH)
    for source, target in (("build", BUILD_PATH), ("out", OUTPUT_PATH), ("tmp", "/tmp")):
        yield from ("--bind", str(job.work / source), target)


def interpreter_mounts(prefix: Path) -> Iterator[str]:
    """The interpreter where it lies outside, without the packages that somebody installed into it."""
    if prefix != Path("/usr"):
        for parent in reversed(prefix.parents[:-1]):
            if not parent.is_relative_to("/usr"):
                yield from ("--perms", "0755", "--dir", str(parent))
        yield from ("--ro-bind", str(prefix), str(prefix))
    for directory in installed_package_directories(prefix):
        yield from ("--tmpfs", str(directory), "--remount-ro", str(directory))


def installed_package_directories(prefix: Path) -> tuple[Path, ...]:
    """Directories of packages that no build may see: those of the interpreter and of the system's Pythons."""
    patterns = (
        (prefix, "lib*/python3*/site-packages"),
        (prefix, "lib*/python3*/dist-packages"),
        (Path("/usr"), "lib*/python3*/site-packages"),
        (Path("/usr"), "lib*/python3*/dist-packages"),
    )
    found = {path for base, pattern in patterns for path in base.glob(pattern) if path.is_dir()}
    return tuple(sorted(path for path in found if not path.is_symlink()))

"""The host engine: bubblewrap over the machine's own system, read-only, for machines that have no podman."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybuilder.errors import EngineError
from pybuilder.processes import install_command, run, spawn
from pybuilder.sandbox import (
    BUILD_GID,
    BUILD_PATH,
    BUILD_UID,
    ENVIRONMENT_PATH,
    HOST_NAME,
    OUTPUT_PATH,
    Event,
    Job,
    Limits,
    Outcome,
    cgroups,
)
from pybuilder.sandbox.namespace import IdMap, unprivileged_ids, user_namespace
from pybuilder.sandbox.seal import judge
from pybuilder.sandbox.supervise import BoundedLog, Supervisor

_RUNNER = "/.pybuild"
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

_OWN_ETC = {
    "passwd": f"root:x:0:0:root:/nonexistent:/bin/false\nbuild:x:{BUILD_UID}:{BUILD_GID}:build:/tmp/home:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "group": f"root:x:0:\nbuild:x:{BUILD_GID}:\nnobody:x:65534:\n",
    "hosts": f"127.0.0.1 localhost {HOST_NAME}\n::1 localhost\n",
    "hostname": f"{HOST_NAME}\n",
    "resolv.conf": "",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class HostEngine:
    """Bubblewrap over this machine's system, with the interpreter that runs pybuild.

    Attributes:
        prefix: The interpreter's base prefix, seen at the same place inside.
        interpreter: The interpreter itself.
    """

    prefix: Path
    interpreter: Path
    name: str = "host"

    @classmethod
    def of_this_interpreter(cls) -> HostEngine:
        """The engine with the interpreter that runs us, outside of any virtual environment.

        Raises:
            EngineError: bubblewrap isn't installed.
        """
        bubblewrap_version()
        return cls(prefix=Path(sys.base_prefix), interpreter=base_interpreter())

    def run(self, job: Job, *, answer: Callable[[Event], bool], echo: Callable[[bytes], None] | None = None) -> Outcome:
        """Run a job to its end; see ``Engine.run``."""
        started = time.monotonic()
        limits = job.limits
        ids = unprivileged_ids() if os.geteuid() == 0 else None
        _prepare(job.work, ids)
        with (
            contextlib.ExitStack() as stack,
            job.log.open("ab") as stream,
            cgroups.group(f"pybuild-{job.work.name}", limits) as cgroup,
            _pipes() as pipes,
        ):
            namespace = stack.enter_context(user_namespace(ids)) if ids else None
            log = BoundedLog(stream=stream, limit=limits.log, echo=echo)
            argv = self._argv(job, namespace, pipes.inside)
            descriptors = pipes.inside + (() if namespace is None else (namespace,))
            entrances = cgroup.entrances if cgroup else ()
            with spawn(_in_cgroup(argv, entrances), env=job.env, merge_output=True, pass_fds=descriptors) as process:
                pipes.close_inside()
                supervisor = Supervisor(
                    process=process,
                    control_in=pipes.events,
                    control_out=pipes.answers,
                    limits=limits,
                    work=job.work,
                    answer=answer,
                    judge=functools.partial(judge, expected_pids=3),
                    log=log,
                )
                supervisor.run(_job_message(job, cgroup is not None))
                log.close()
                code = process.returncode
            if cgroup and cgroup.out_of_memory():
                supervisor.failure = f"needed more memory than its limit of {limits.memory >> 20} MiB"
        if not supervisor.seal:
            raise EngineError(
                "bubblewrap can't make a sandbox here: " + (_last_line(job.log) or f"it ended with {code}"),
                cure="see `pybuild doctor`",
            )
        failure = supervisor.failure
        if not failure and code != 0:
            failure = f"the sandbox ended with {code}"
        return Outcome(
            seal={**supervisor.seal, "engine": self.name, "outside": _outside(ids)},
            failure=failure,
            timed_out=supervisor.timed_out,
            seconds=time.monotonic() - started,
        )

    def _argv(self, job: Job, namespace: int | None, control: Sequence[int]) -> list[str]:
        return [
            "bwrap",
            *_isolation(namespace),
            *_system_mounts(),
            *self._interpreter_mounts(),
            *_etc_mounts(job.work / "etc"),
            *_private_mounts(job),
            "--remount-ro",
            "/",
            "--chdir",
            "/",
            "--",
            str(self.interpreter),
            "-I",
            "-S",
            "-B",
            f"{_RUNNER}/inside.py",
            *map(str, control),
        ]

    def _interpreter_mounts(self) -> Iterator[str]:
        """The interpreter where it lies outside, without the packages that somebody installed into it."""
        if self.prefix != Path("/usr"):
            for parent in reversed(self.prefix.parents[:-1]):
                if not parent.is_relative_to("/usr"):
                    yield from ("--perms", "0755", "--dir", str(parent))
            yield from ("--ro-bind", str(self.prefix), str(self.prefix))
        for directory in installed_package_directories(self.prefix):
            yield from ("--tmpfs", str(directory), "--remount-ro", str(directory))


@functools.cache
def bubblewrap_version() -> tuple[int, ...]:
    """The version of bubblewrap.

    Raises:
        EngineError: It isn't installed, or too old.
    """
    completed = run(["bwrap", "--version"])
    version = tuple(int(n) for n in completed.stdout.decode().split()[-1].split("."))
    if version < (0, 6):
        raise EngineError(
            f"bubblewrap {'.'.join(map(str, version))} is too old",
            cure=f"{install_command('bwrap')} (0.6 or newer)",
        )
    return version


def base_interpreter() -> Path:
    """The running interpreter's own path, outside of any virtual environment, links followed."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()


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


def _isolation(namespace: int | None) -> list[str]:
    if namespace is None:
        user = ["--unshare-user", "--uid", str(BUILD_UID), "--gid", str(BUILD_GID)]
        user += ["--disable-userns"] if bubblewrap_version() >= (0, 8) else []
        user += ["--cap-drop", "ALL"]
    else:
        # inside.py gives these two up when it has become the build's user.
        user = ["--userns", str(namespace), "--cap-drop", "ALL"]
        user += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return [
        *user,
        *("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup"),
        *("--die-with-parent", "--new-session", "--hostname", HOST_NAME),
    ]


def _system_mounts() -> Iterator[str]:
    """/usr and the names in / that lead into it; /usr/local is this machine's own and stays out."""
    yield from ("--ro-bind", "/usr", "/usr")
    if not Path(sys.base_prefix).is_relative_to("/usr/local"):
        yield from ("--tmpfs", "/usr/local", "--remount-ro", "/usr/local")
    for name in _MERGED:
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    yield from ("--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm")


def _etc_mounts(own: Path) -> Iterator[str]:
    yield from ("--perms", "0755", "--dir", "/etc")
    for name in _ETC:
        path = Path("/etc", name)
        if path.exists():
            for parent in reversed(path.relative_to("/etc").parents[:-1]):
                yield from ("--perms", "0755", "--dir", f"/etc/{parent}")
            yield from ("--ro-bind", str(path), str(path))
    for name in _OWN_ETC:
        yield from ("--ro-bind", str(own / name), f"/etc/{name}")


def _private_mounts(job: Job) -> Iterator[str]:
    import pyproject_hooks

    here = Path(__file__).parent
    hooks = Path(pyproject_hooks.__file__).parent
    yield from ("--perms", "0755", "--dir", _RUNNER)
    yield from ("--ro-bind", str(here / "inside.py"), f"{_RUNNER}/inside.py")
    yield from ("--ro-bind", str(hooks), f"{_RUNNER}/pyproject_hooks")
    yield from ("--ro-bind", str(job.environment), ENVIRONMENT_PATH)
    for source, target in (("build", BUILD_PATH), ("out", OUTPUT_PATH), ("tmp", "/tmp")):
        yield from ("--bind", str(job.work / source), target)


def _prepare(work: Path, ids: IdMap | None) -> None:
    """Lay out the work directory, and give what the build may write to the build's user."""
    etc = work / "etc"
    etc.mkdir(exist_ok=True)
    for name, text in _OWN_ETC.items():
        (etc / name).write_text(text)
        (etc / name).chmod(0o644)
    for name in ("build", "out", "tmp"):
        directory = work / name
        directory.mkdir(exist_ok=True)
        if ids:
            _give(directory, ids)


def _give(tree: Path, ids: IdMap) -> None:
    os.chown(tree, ids.uid, ids.gid)
    for directory, names, files in os.walk(tree):
        for name in (*names, *files):
            os.chown(os.path.join(directory, name), ids.uid, ids.gid, follow_symlinks=False)


def _in_cgroup(argv: Sequence[str], entrances: Sequence[Path]) -> list[str]:
    """The command, run by a shell that first enters the control groups, so that no child is ever outside them."""
    if not entrances:
        return list(argv)
    enter = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@"'
    return ["/bin/sh", "-c", enter, "sh", *map(str, entrances), "--", *argv]


def _job_message(job: Job, has_cgroup: bool) -> Mapping[str, Any]:
    return {
        "uid": BUILD_UID,
        "gid": BUILD_GID,
        "cwd": job.cwd,
        "env": dict(job.env),
        "steps": [dict(step) for step in job.steps],
        "limits": kernel_limits(job.limits, has_cgroup=has_cgroup),
    }


def kernel_limits(limits: Limits, *, has_cgroup: bool) -> dict[str, int]:
    """Resource limits for ``inside.py`` to set, by name without RLIMIT\\_."""
    values = {"FSIZE": limits.file_size, "NOFILE": 16384, "CORE": 0, "NPROC": limits.processes}
    if limits.memory and not has_cgroup:
        values["AS"] = limits.memory
    return values


def _outside(ids: IdMap | None) -> dict[str, int]:
    """The ids that the build has outside its namespace."""
    return {"uid": ids.uid, "gid": ids.gid} if ids else {"uid": os.geteuid(), "gid": os.getegid()}


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


@dataclass(slots=True)
class _Pipes:
    """Two pipes: events from inside to us, answers from us to inside."""

    events: int
    answers: int
    inside: tuple[int, ...]

    def close_inside(self) -> None:
        for descriptor in self.inside:
            os.close(descriptor)
        self.inside = ()


@contextlib.contextmanager
def _pipes() -> Iterator[_Pipes]:
    events, inside_out = os.pipe()
    inside_in, answers = os.pipe()
    pipes = _Pipes(events=events, answers=answers, inside=(inside_in, inside_out))
    try:
        yield pipes
    finally:
        pipes.close_inside()
        os.close(events)
        os.close(answers)

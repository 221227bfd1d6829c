"""The host engine: bubblewrap over the machine's own system, read-only, for machines that have no podman."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybuilder.errors import EngineError
from pybuilder.processes import install_command, run, spawn
from pybuilder.sandbox import BUILD_GID, BUILD_UID, HOST_NAME, Event, Job, Limits, Outcome, cgroups
from pybuilder.sandbox.mounts import (
    OWN_ETC,
    RUNNER,
    etc_mounts,
    interpreter_mounts,
    private_mounts,
    system_mounts,
)
from pybuilder.sandbox.namespace import IdMap, unprivileged_ids, user_namespace
from pybuilder.sandbox.seal import judge
from pybuilder.sandbox.supervise import BoundedLog, Supervisor

# bubblewrap and the shell before it run outside, so nothing of a spec's environment may reach them.
_OUTER_ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}

_NO_MEMORY = (b"MemoryError", b"Cannot allocate memory", b"bad_alloc", b"virtual memory exhausted", b"out of memory")
_PATIENCE = 30.0


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

    def tools(self) -> Mapping[str, str]:
        """Bubblewrap's version."""
        return {"bubblewrap": ".".join(map(str, bubblewrap_version()))}

    def run(self, job: Job, *, answer: Callable[[Event], bool], echo: Callable[[bytes], None] | None = None) -> Outcome:
        """Run a job to its end; see ``Engine.run``.

        A build dies with the *thread* that calls this (PR_SET_PDEATHSIG), which waits here until it has ended.
        """
        started = time.monotonic()
        ids = unprivileged_ids() if os.geteuid() == 0 else None
        _prepare(job.work, ids)
        with (
            job.log.open("ab") as stream,
            cgroups.group(f"pybuild-{job.work.name}", job.limits) as cgroup,
            _pipes() as pipes,
            user_namespace(ids) if ids else contextlib.nullcontext() as namespace,
        ):
            before = stream.tell()
            grouped = cgroup is not None and "memory" in cgroup.directories
            argv = _in_cgroup(self._argv(job, namespace, pipes), cgroup.entrances if cgroup else ())
            descriptors = pipes.inside + (() if namespace is None else (namespace,))
            log = BoundedLog(stream=stream, limit=job.limits.log, echo=echo)
            with spawn(argv, env=_OUTER_ENV, merge_output=True, pass_fds=descriptors) as process:
                pipes.close_inside()
                supervisor = Supervisor(
                    process=process,
                    control_in=pipes.events,
                    control_out=pipes.answers,
                    limits=job.limits,
                    work=job.work,
                    answer=answer,
                    judge=functools.partial(judge, expected_pids=3),
                    log=log,
                )
                with _until_all_are_dead(pipes.info):
                    supervisor.run(_job_message(job, grouped=grouped))
            log.close()
            failure = supervisor.failure or _bad_end(supervisor, process.returncode, _tail(job.log, before))
            if (cgroup and cgroup.out_of_memory()) or (
                failure and job.limits.memory and not grouped and _no_memory(_tail(job.log, before))
            ):
                failure = f"needed more memory than its limit of {job.limits.memory >> 20} MiB"
        if not supervisor.seal:
            raise EngineError(f"bubblewrap can't make a sandbox here: {failure}", cure="see `pybuild doctor`")
        return Outcome(
            seal={**supervisor.seal, "engine": self.name, "outside": _outside(ids)},
            failure=failure,
            timed_out=supervisor.timed_out,
            seconds=time.monotonic() - started,
        )

    def _argv(self, job: Job, namespace: int | None, pipes: _Pipes) -> list[str]:
        return [
            shutil.which("bwrap") or "bwrap",
            *_isolation(namespace),
            *("--info-fd", str(pipes.inside[2])),
            *system_mounts(shared_memory=job.limits.memory if bubblewrap_version() >= (0, 7) else 0),
            *interpreter_mounts(self.prefix),
            *etc_mounts(job.work / "etc"),
            *private_mounts(job),
            "--remount-ro",
            "/",
            "--chdir",
            "/",
            "--",
            str(self.interpreter),
            "-I",
            "-S",
            "-B",
            f"{RUNNER}/inside.py",
            *map(str, pipes.inside[:2]),
        ]


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


def _prepare(work: Path, ids: IdMap | None) -> None:
    """Lay out the work directory, and give what the build may write to the build's user."""
    etc = work / "etc"
    etc.mkdir(exist_ok=True)
    for name, text in OWN_ETC.items():
        (etc / name).write_text(text)
        (etc / name).chmod(0o644)
    for name in ("build", "out", "tmp"):
        directory = work / name
        directory.mkdir(exist_ok=True)
        if ids:
            _give(directory, ids)


def _give(tree: Path, ids: IdMap) -> None:
    """Make a tree the build's; what is the build's already, and as deep as it likes, is not looked into again."""
    os.chown(tree, ids.uid, ids.gid)
    directories = [str(tree)]
    while directories:
        with os.scandir(directories.pop()) as entries:
            for entry in entries:
                if entry.stat(follow_symlinks=False).st_uid == ids.uid:
                    continue
                os.chown(entry.path, ids.uid, ids.gid, follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.path)


def _in_cgroup(argv: Sequence[str], entrances: Sequence[Path]) -> list[str]:
    """The command, run by a shell that first enters the control groups, so that no child is ever outside them."""
    if not entrances:
        return list(argv)
    enter = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@"'
    return ["/bin/sh", "-c", enter, "sh", *map(str, entrances), "--", *argv]


def _job_message(job: Job, *, grouped: bool) -> Mapping[str, Any]:
    return {
        "uid": BUILD_UID,
        "gid": BUILD_GID,
        "cwd": job.cwd,
        "env": dict(job.env),
        "steps": [dict(step) for step in job.steps],
        "limits": kernel_limits(job.limits, grouped=grouped),
    }


def kernel_limits(limits: Limits, *, grouped: bool) -> dict[str, int]:
    """Resource limits for ``inside.py`` to set, by name without RLIMIT\\_.

    Since Linux 5.14 NPROC counts the processes of one user namespace, before that all those of the user outside, so
    that builds beside each other share it.

    Args:
        limits: What a build may use.
        grouped: Whether a control group limits memory.
    """
    values = {"FSIZE": limits.file_size, "NOFILE": 16384, "CORE": 0, "NPROC": limits.processes}
    if limits.memory and not grouped:
        values["AS"] = limits.memory
    return values


def _outside(ids: IdMap | None) -> dict[str, int]:
    """The ids that the build has outside its namespace."""
    return {"uid": ids.uid, "gid": ids.gid} if ids else {"uid": os.geteuid(), "gid": os.getegid()}


def _bad_end(supervisor: Supervisor, code: int, said: bytes) -> str:
    """How a sandbox ended that told of no failure; empty if it ended well."""
    if code == 0 and supervisor.ended:
        return ""
    if not supervisor.seal and (lines := said.decode(errors="replace").strip().splitlines()):
        return lines[-1]
    return f"was killed by signal {-code}" if code < 0 else f"the sandbox ended with {code} before its steps were done"


def _no_memory(said: bytes) -> bool:
    """Whether a build that has no control group, but a limit for each process, seems to have met it."""
    return any(words in said for words in _NO_MEMORY)


def _tail(log: Path, before: int) -> bytes:
    """The last bytes of what was written after ``before``."""
    with log.open("rb") as stream:
        stream.seek(max(before, log.stat().st_size - 8192))
        return stream.read()


@contextlib.contextmanager
def _until_all_are_dead(info: int) -> Iterator[None]:
    """Whatever happens in the block, nothing inside lives when it has been left.

    bubblewrap's own end comes a moment before that of processes that a build left in the background, which could
    still write into what we are about to take from it. The first process of a PID namespace ends after all others
    (pid_namespaces(7)), so its end is waited for.

    Raises:
        EngineError: The kernel doesn't end them.
    """
    first = _first_process(info)
    try:
        yield
    finally:
        if first is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(first, signal.SIGKILL)
            ended = select.poll()
            ended.register(first, select.POLLIN)
            gone = ended.poll(_PATIENCE * 1000)
            os.close(first)
            if not gone:
                raise EngineError(
                    f"processes of a build are still there {_PATIENCE:.0f} s after they were killed",
                    cure="look for processes in state D: a disk or a network file system may hang",
                )


def _first_process(info: int) -> int | None:
    """A descriptor of the first process inside, as bubblewrap tells it; None if it ended before it had one."""
    told = b""
    while b"}" not in told and (piece := os.read(info, 4096)):
        told += piece
    found = re.search(rb'"child-pid":\s*(\d+)', told)
    try:
        return os.pidfd_open(int(found[1])) if found else None
    except ProcessLookupError:
        return None


@dataclass(slots=True)
class _Pipes:
    """Three pipes: events from inside to us, answers from us to inside, and what bubblewrap says of itself."""

    events: int
    answers: int
    info: int
    inside: tuple[int, ...]

    def close_inside(self) -> None:
        for descriptor in self.inside:
            os.close(descriptor)
        self.inside = ()


@contextlib.contextmanager
def _pipes() -> Iterator[_Pipes]:
    events, inside_out = os.pipe()
    inside_in, answers = os.pipe()
    info, bubblewrap_out = os.pipe()
    pipes = _Pipes(events=events, answers=answers, info=info, inside=(inside_in, inside_out, bubblewrap_out))
    try:
        yield pipes
    finally:
        pipes.close_inside()
        for descriptor in (events, answers, info):
            os.close(descriptor)

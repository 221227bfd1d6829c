"""The host engine: bubblewrap over the machine's own system, read-only, for machines that have no podman."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pybuilder.errors import EngineError
from pybuilder.processes import bubblewrap_child, install_command, kill_group, kill_process, namespace_of, run, spawn
from pybuilder.sandbox import BUILD_GID, BUILD_UID, HOST_NAME, RUNNER, Event, Job, Outcome
from pybuilder.sandbox.namespace import Namespaces, unprivileged_ids
from pybuilder.sandbox.processors import Processors

# bubblewrap and the shell before it run outside, so nothing of a spec's environment may reach them.
_OUTER_ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, kw_only=True, slots=True)
class HostEngine:
    """Bubblewrap over this machine's system, with the interpreter that runs pybuild.

    Attributes:
        prefix: The interpreter's base prefix, seen at the same place inside.
        interpreter: The interpreter itself.
        processors: Shared out among the builds that run at once.
        namespaces: Where they run, where root starts them.
    """

    prefix: Path
    interpreter: Path
    name: str = "host"
    processors: Processors = field(default_factory=Processors)
    namespaces: Namespaces = field(default_factory=Namespaces)

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

        A build ends when this process does: its first process watches the pipe of answers. With --die-with-parent
        bubblewrap could be killed before it has told its child to go on, which then waits for ever.
        """
        # What a start needs is imported where it is needed, since a run that finds everything built starts nothing.
        from pybuilder.sandbox import cgroups
        from pybuilder.sandbox.mounts import program_mounts
        from pybuilder.sandbox.seal import judge
        from pybuilder.sandbox.start import how_it_ended, job_message, outside_ids, prepare, tail
        from pybuilder.sandbox.supervise import BoundedLog, Supervisor

        started = time.monotonic()
        ids = unprivileged_ids(other=job.other_ids) if os.geteuid() == 0 else None
        unprivileged = self.namespaces.one(ids, program_mounts(), env=_OUTER_ENV) if ids else contextlib.nullcontext()
        prepare(job.work, ids)
        with (
            job.log.open("ab") as stream,
            cgroups.group(_group_name(job.work), job.limits) as cgroup,
            _pipes() as pipes,
            unprivileged as namespace,
            self.processors.some(job.cpus) as processors,
        ):
            before = stream.tell()
            grouped = cgroup is not None and "memory" in cgroup.directories
            log = BoundedLog(stream=stream, limit=job.limits.log, echo=echo)
            with self._bubblewrap(job, namespace, pipes, cgroup.entrances if cgroup else ()) as process:
                first = bubblewrap_child(process, pipes.info)
                assert process.stdout is not None
                supervisor = Supervisor(
                    output=process.stdout.fileno(),
                    events=pipes.events,
                    answers=pipes.answers,
                    typed=job.typed,
                    input=process.stdin,
                    ended=None,
                    kill=functools.partial(_kill, process, first),
                    limits=job.limits,
                    work=job.work,
                    answer=answer,
                    judge=functools.partial(judge, expected_pids=2),
                    log=log,
                )
                # bubblewrap's own end comes a moment before that of what a build left in the background.
                with namespace_of(first):
                    supervisor.run(job_message(job, grouped=grouped, processors=processors))
                process.wait()
            log.close()
            failure = how_it_ended(
                supervisor,
                tail(job.log, before),
                end=_bad_end(process.returncode),
                out_of_memory=bool(cgroup and cgroup.out_of_memory()),
            )
        if not supervisor.seal:
            raise EngineError(f"bubblewrap can't make a sandbox here: {failure}", cure="see `pybuild doctor`")
        return Outcome(
            seal={**supervisor.seal, "engine": self.name, "outside": outside_ids(ids)},
            failure=failure,
            timed_out=supervisor.timed_out,
            seconds=time.monotonic() - started,
        )

    @contextlib.contextmanager
    def _bubblewrap(
        self, job: Job, namespace: int | None, pipes: _Pipes, entrances: Sequence[Path]
    ) -> Iterator[subprocess.Popen[bytes]]:
        from pybuilder.sandbox.mounts import own_files

        with contextlib.ExitStack() as opened:
            own = own_files(opened)
            argv = _in_cgroup(self._argv(job, namespace, pipes, own), entrances)
            # With the end that we read of bubblewrap's own pipe: it must not die of SIGPIPE if we die before it tells,
            # or its child waits for it for ever.
            descriptors = (*pipes.inside, pipes.info, *own.values(), *(() if namespace is None else (namespace,)))
            with spawn(
                argv, env=_OUTER_ENV, input_pipe=job.typed is not None, merge_output=True, pass_fds=descriptors
            ) as process:
                # A descriptor for each of ours and each of many builds at once would be too many.
                pipes.close_inside()
                opened.close()
                yield process

    def _argv(self, job: Job, namespace: int | None, pipes: _Pipes, own: Mapping[str, int]) -> list[str]:
        from pybuilder.sandbox.mounts import etc_mounts, interpreter_mounts, own_mounts, private_mounts, system_mounts

        return [
            shutil.which("bwrap") or "bwrap",
            *_isolation(namespace),
            *("--info-fd", str(pipes.inside[2])),
            *system_mounts(shared_memory=job.limits.memory if bubblewrap_version() >= (0, 7) else 0),
            *interpreter_mounts(self.prefix),
            *own_mounts(own),
            *etc_mounts(),
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


def clear(work: Path) -> None:
    """Remove what a killed run left of a start in this work directory: control groups.

    Nothing else outlives a run, which bubblewrap and its mounts die with. By name: a group that another run has just
    made has no members yet either.
    """
    from pybuilder.sandbox import cgroups

    cgroups.sweep(_group_name(work))


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


def _kill(process: subprocess.Popen[bytes], first: int | None) -> None:
    """End everything inside, or bubblewrap where it has not come that far."""
    if first is None:
        kill_group(process)
    else:
        kill_process(first)


def _group_name(work: Path) -> str:
    return f"pybuild-{work.name}"


def _bad_end(code: int) -> str:
    if code < 0:
        return f"was killed by signal {-code}"
    return f"the sandbox ended with {code} before its steps were done" if code else ""


def _isolation(namespace: int | None) -> list[str]:
    if namespace is None:
        user = ["--unshare-user", "--uid", str(BUILD_UID), "--gid", str(BUILD_GID)]
        user += ["--disable-userns"] if bubblewrap_version() >= (0, 8) else []
        user += ["--cap-drop", "ALL"]
    else:
        # steps.py gives these two up when it has become the build's user.
        user = ["--userns", str(namespace), "--cap-drop", "ALL"]
        user += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return [
        *user,
        *("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup"),
        *("--as-pid-1", "--new-session", "--hostname", HOST_NAME),
    ]


def _in_cgroup(argv: Sequence[str], entrances: Sequence[Path]) -> list[str]:
    """The command, run by a shell that first enters the control groups, so that no child is ever outside them."""
    if not entrances:
        return list(argv)
    enter = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@"'
    return ["/bin/sh", "-c", enter, "sh", *map(str, entrances), "--", *argv]


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

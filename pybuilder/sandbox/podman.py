"""The podman engine: containers over a root of RPMs, which is never written to, sealed as the host engine's places."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pybuilder.errors import EngineError
from pybuilder.files import file_lock
from pybuilder.podman import Services, monitor
from pybuilder.processes import kill_process, namespace_of
from pybuilder.sandbox import Event, Job, Outcome
from pybuilder.sandbox.container import (
    EXPECTED_MOUNTS,
    MOUNT_POINTS,
    PIPES,
    container,
    container_name,
    idle_container,
)
from pybuilder.sandbox.namespace import IdMap, unprivileged_ids
from pybuilder.sandbox.own_files import TALK, OwnFiles
from pybuilder.sandbox.processors import Processors
from pybuilder.sandbox.seal import judge
from pybuilder.sandbox.start import how_it_ended, job_message, outside_ids, prepare, tail
from pybuilder.sandbox.supervise import BoundedLog, Supervisor

_PIPE_SIZE = 1 << 20


@dataclass(kw_only=True, slots=True)
class PodmanEngine:
    """Containers of podman, rootful as root, rootless as anybody else.

    Attributes:
        services: The podman services to be had.
        own: What is ours inside.
        interpreter: The Python inside, such as ``/usr/bin/python3.14``.
        processors: Shared out among the builds that run at once.
    """

    services: Services
    own: OwnFiles
    interpreter: str
    name: str = "podman"
    processors: Processors = field(default_factory=Processors)

    def tools(self) -> Mapping[str, str]:
        """The versions of podman and, where we chose it, the name of the OCI runtime, once something was started."""
        service = self.services.working
        if service is None:
            return {}
        return {"podman": service.version, **({"runtime": service.runtime} if service.runtime else {})}

    def run(self, job: Job, *, answer: Callable[[Event], bool], echo: Callable[[bytes], None] | None = None) -> Outcome:
        """Run a job to its end; see ``Engine.run``.

        A build ends when this process does: its first process watches the pipe of answers.
        """
        started = time.monotonic()
        _check_root(job.root)
        ids = _ids(other=job.other_ids)
        prepare(job.work, ids)
        with job.log.open("ab") as stream, _talk(job.work / TALK, ids) as talk:
            before = stream.tell()
            log = BoundedLog(stream=stream, limit=job.limits.log, echo=echo)
            with self._first_process(job, ids) as first, self.processors.some(job.cpus) as processors:
                supervisor = Supervisor(
                    output=talk.output,
                    events=talk.events,
                    answers=talk.answers,
                    typed=job.typed,
                    input=talk.input,
                    ended=first,
                    kill=functools.partial(kill_process, first),
                    limits=job.limits,
                    work=job.work,
                    answer=answer,
                    judge=functools.partial(_judge, talk),
                    log=log,
                )
                supervisor.run(job_message(job, grouped=False, processors=processors))
            log.close()
            failure = how_it_ended(supervisor, tail(job.log, before) or _container_log(job.work), end="")
        if not supervisor.seal:
            raise EngineError(f"podman can't make a sandbox here: {failure}", cure="see `pybuild doctor`")
        return Outcome(
            seal={**supervisor.seal, "engine": self.name, "outside": outside_ids(ids)},
            failure=failure,
            timed_out=supervisor.timed_out,
            seconds=time.monotonic() - started,
        )

    def try_out(self, scratch: Path) -> str:
        """Start a container that does nothing, over this machine's own programs, and say how long it took.

        Args:
            scratch: An empty directory, readable by everybody.

        Raises:
            EngineError: It can't be started; says why.
        """
        started = time.monotonic()
        spec = idle_container(scratch, _ids())
        service = self.services.started(spec)
        try:
            code = service.wait(spec["name"])
        finally:
            self.services.remove(spec["name"])
        if code:
            raise EngineError(f"a container that should do nothing ended with {code}", cure="see `pybuild doctor`")
        tools = " ".join(f"{name} {version}" for name, version in self.tools().items())
        return f"{tools}, {time.monotonic() - started:.2f} s"

    def clear(self, work: Path) -> None:
        """Remove what a killed run left of a start in this work directory: the container, if it is still there.

        Raises:
            EngineError: podman can't be asked, or says no.
        """
        self.services.remove(container_name(work))

    @contextlib.contextmanager
    def _first_process(self, job: Job, ids: IdMap | None) -> Iterator[int]:
        """A descriptor of the first process of the started container; at the end all of it is gone.

        Raises:
            EngineError: No container can be started, it was gone before we looked, or the kernel does not end its
                processes.
        """
        spec = container(job, ids, interpreter=self.interpreter, own=self.own.directory())
        with file_lock(job.work / monitor.LOCK):
            service, name = self.services.started(spec), spec["name"]
            try:
                first = _open_process(service.first_process(name))
                if first is not None:
                    with namespace_of(first):
                        yield first
            finally:
                self.services.remove(name)
            # Now its monitor has written all that there was to write.
            if first is None:
                said = _container_log(job.work).decode(errors="replace").strip().splitlines()[-1:]
                what = ": ".join(["the container ended before it began", *said])
                raise EngineError(what, cure="see `pybuild doctor`")


def _ids(*, other: bool = False) -> IdMap | None:
    """The ids of a build outside, where we are root; others than builds have, where these are wanted.

    Raises:
        EngineError: We are root of a container that has too few.
    """
    if os.geteuid():
        return None
    if ids := unprivileged_ids(other=other):
        return ids
    raise EngineError(
        "there are too few user ids here to give a build one of its own",
        where="/proc/self/uid_map",
        cure="run pybuild outside of this container, or give the container a larger range of ids",
    )


def _check_root(root: Path) -> None:
    """Refuse a root in which podman has no place for what it mounts, which it says in words that nobody understands.

    Raises:
        EngineError: Says what is missing.
    """
    cure = "remove it with `pybuild buildroot prune`; it will be made again"
    if not os.access(root, os.R_OK | os.X_OK):
        raise EngineError("the root can't be read", where=str(root), cure=cure)
    if missing := [place for place in MOUNT_POINTS if not os.path.lexists(root / place)]:
        raise EngineError(f"the root is damaged: it has no {', '.join(missing)}", where=str(root), cure=cure)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Talk:
    """Our ends of named pipes in a directory that the container sees."""

    directory: Path
    answers: int
    events: int
    output: int
    input: IO[bytes]

    def hide(self) -> None:
        """Take the names away: from here on nobody inside can open a pipe that isn't open."""
        for name in PIPES:
            (self.directory / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _talk(directory: Path, ids: IdMap | None) -> Iterator[_Talk]:
    """Our ends of the pipes; nobody else on this machine may open them, or they could speak for the build."""
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)
    with contextlib.ExitStack() as stack:
        ends = {}
        for name in PIPES:
            (directory / name).unlink(missing_ok=True)
            os.mkfifo(directory / name, 0o600)
            if ids:
                os.chown(directory / name, ids.uid, ids.gid)
            # What is read inside we open for both, so that whoever opens it there needs not wait for us.
            mode = os.O_RDWR if name in ("answers", "input") else os.O_RDONLY | os.O_NONBLOCK
            ends[name] = os.open(directory / name, mode | os.O_CLOEXEC)
        for name in ("answers", "events", "output"):
            stack.callback(os.close, ends[name])
        talk = _Talk(
            directory=directory,
            answers=ends["answers"],
            events=ends["events"],
            output=ends["output"],
            input=stack.enter_context(open(ends["input"], "wb", buffering=0)),
        )
        stack.callback(talk.hide)
        _widen(talk.answers)
        yield talk


def _widen(pipe: int) -> None:
    """Make room for a job in one piece: nobody may be there to read it."""
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)


def _judge(talk: _Talk, seal: Mapping[str, Any]) -> None:
    talk.hide()
    judge(seal, expected_pids=2, mounts=EXPECTED_MOUNTS)


def _open_process(pid: int) -> int | None:
    """A descriptor of a container's first process; None where it is gone, or was before its number was asked for.

    Then that is 0, or somebody else's by now, who would be killed at the end: whoever is no container's is left alone.
    """
    try:
        process = os.pidfd_open(pid) if pid else None
    except ProcessLookupError:
        return None
    if process is not None and _is_of_this_namespace(pid):
        os.close(process)
        return None
    return process


def _is_of_this_namespace(pid: int) -> bool:
    """Whether a process is in our own PID namespace, as far as we may know."""
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/ns/pid"), os.stat("/proc/self/ns/pid"))
    except OSError:
        return False


def _container_log(work: Path) -> bytes:
    """What the first process said before it could open its pipes, without podman's time and stream on each line."""
    with contextlib.suppress(OSError):
        lines = (work / "container.log").read_bytes().splitlines()[-20:]
        return b"\n".join(line.split(b" ", 3)[-1] for line in lines)
    return b""

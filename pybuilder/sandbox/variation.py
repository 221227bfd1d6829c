"""Another world for a build that is done again: what must not matter is made different, and nothing else is.

Of each thing is told how it differs, or why it can't be made to here; what a build is promised (its paths, its host
name, its environment) stays.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pybuilder.errors import EngineError
from pybuilder.interruption import side_by_side
from pybuilder.layout import Layout
from pybuilder.plan import BUILD_PATH
from pybuilder.processes import spawn
from pybuilder.sandbox import OUTPUT_PATH, Engine, Event, Job, Limits, Outcome, parallel_environ
from pybuilder.sandbox.namespace import unprivileged_ids
from pybuilder.sandbox.processors import usable
from pybuilder.work import work_directory

AHEAD = 398 * 86400 + 7 * 3600 + 11 * 60
"""Seconds by which a build's clock is ahead: another year, month, day, hour and minute, whenever it is."""
OTHER_HOST = "elsewhere"

_LIBRARY = "vary.so"
_INSIDE = f"/tmp/.{_LIBRARY}"
_CLONE_NEWUTS = 0x04000000  # linux/sched.h
# Ends when whoever started it does, however that ends: the pipe to it is closed then.
_BUSY = "import select\nwhile not select.select([0], [], [], 0)[0]:\n    for _ in range(100_000): pass\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Varied:
    """One thing that must not matter.

    Attributes:
        what: Such as ``time``.
        how: In which way it was another one; or why it was the same.
        same: Whether it was the same, since it can't be made another one here.
    """

    what: str
    how: str
    same: bool = False


@dataclass(kw_only=True, slots=True)
class VaryingEngine:
    """An engine whose places differ from those that builds have in what must not matter.

    Attributes:
        engine: Makes the places.
        layout: Where the library is made that lets time and directories look different.
        before: On how many processors the build ran that is repeated; 0 if nobody knows.
        libraries: That library by root, for several engines to share.
        varied: What came of it in the last start.
        ahead: By how many seconds the clock was ahead in it.
    """

    engine: Engine
    layout: Layout
    before: int = 0
    libraries: dict[Path, bytes] = field(default_factory=dict)
    varied: tuple[Varied, ...] = ()
    ahead: int = 0

    @property
    def name(self) -> str:
        """The engine's."""
        return self.engine.name

    def tools(self) -> Mapping[str, str]:
        """The engine's."""
        return self.engine.tools()

    def run(self, job: Job, *, answer: Callable[[Event], bool], echo: Callable[[bytes], None] | None = None) -> Outcome:
        """Run a job to its end elsewhere; see ``Engine.run``."""
        cpus, processors = other_cpus(job, before=self.before, there=len(usable()))
        job = with_cpus(dataclasses.replace(job, other_ids=True), cpus)
        job, seen = self._with_library(job)
        told = [*seen, processors, self._ids()]

        def start(job: Job) -> Outcome:
            with _host_name(self.engine.name) as host, _load(len(usable())) as load:
                self.varied = (*told, load, host, Varied(what="state path", how=str(self.layout.root)))
                return self.engine.run(job, answer=answer, echo=echo)

        # A thread of its own, since it leaves this machine's host name behind for good.
        return side_by_side(start, [job], threads=1)[0]

    def _ids(self) -> Varied:
        if os.geteuid():
            return Varied(what="uid", how="somebody ordinary has only their own", same=True)
        ids = unprivileged_ids(other=True)
        return Varied(what="uid", how=f"{ids.uid} outside" if ids else "there is only one", same=ids is None)

    def _with_library(self, job: Job) -> tuple[Job, tuple[Varied, Varied]]:
        """The job with another time, and another order of directories, for all that uses the C library."""
        try:
            library = self._library(job)
        except EngineError as error:
            how = f"it needs a C compiler in the root: {error.what}"
            return job, (Varied(what="time", how=how, same=True), Varied(what="file order", how=how, same=True))
        (job.work / "tmp").mkdir(exist_ok=True)
        self.ahead = AHEAD
        target = job.work / "tmp" / f".{_LIBRARY}"
        # There already in a second start; what a build may have made of the path must not lead elsewhere.
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o755)
            with open(descriptor, "wb") as stream:
                stream.write(library)
                os.fchmod(descriptor, 0o755)
        seen = (
            Varied(what="time", how=f"{AHEAD // 86400} days and {AHEAD % 86400 // 3600} hours ahead"),
            Varied(what="file order", how="each directory is listed from its end"),
        )
        preload = f"{_INSIDE} {job.env.get('LD_PRELOAD', '')}".rstrip()
        return dataclasses.replace(job, env={**job.env, "LD_PRELOAD": preload}), seen

    def _library(self, job: Job) -> bytes:
        """The library, made for a root by its own compiler, in a place that is sealed as any.

        Raises:
            EngineError: There is no compiler.
        """
        if job.root not in self.libraries:
            with work_directory(self.layout, f"vary-{job.work.name}") as work:
                self.libraries[job.root] = self._compile(job, work)
        return self.libraries[job.root]

    def _compile(self, job: Job, work: Path) -> bytes:
        (work / "build").mkdir()
        (work / "build" / "vary.c").write_bytes(Path(__file__).with_name("vary.c").read_bytes())
        options = ["-shared", "-fPIC", "-O1", f"-DAHEAD={AHEAD}", "-o", f"{OUTPUT_PATH}/{_LIBRARY}"]
        step = {"do": "run", "argv": ["cc", *options, f"{BUILD_PATH}/vary.c", "-ldl", "-lpthread"]}
        env = {"PATH": "/usr/bin:/bin", "HOME": "/tmp/home", "LC_ALL": "C.UTF-8"}
        compiling = Job(
            root=job.root,
            environment=job.environment,
            work=work,
            cwd=BUILD_PATH,
            env=env,
            steps=(step,),
            limits=Limits(seconds=120),
            log=work / "log",
        )
        outcome = self.engine.run(compiling, answer=lambda event: True)
        if outcome.failure:
            raise EngineError(outcome.failure)
        return (work / "out" / _LIBRARY).read_bytes()


def other_cpus(job: Job, *, before: int, there: int) -> tuple[int, Varied]:
    """Another number of processors than a build had.

    Args:
        job: What is done again, with the number it would get by itself.
        before: What it had; 0 if nobody knows.
        there: How many there are.
    """
    usual = before or job.cpus or there
    most = min(there, job.limits.cpus or there)
    cpus = 1 if usual > 1 else most
    if cpus == usual:
        why = "its spec says limits.cpus = 1" if job.limits.cpus == 1 else "this machine has one"
        return cpus, Varied(what="processors", how=why, same=True)
    return cpus, Varied(what="processors", how=f"{cpus} instead of {usual}")


def with_cpus(job: Job, cpus: int) -> Job:
    """A job that runs on another number of processors, and is told so."""
    told, others = parallel_environ(job.cpus), parallel_environ(cpus)
    # What the spec says itself is no matter of how many there are.
    env = {name: others[name] if told.get(name) == value else value for name, value in job.env.items()}
    limits = dataclasses.replace(job.limits, cpus=min(job.limits.cpus, cpus))
    return dataclasses.replace(job, cpus=cpus, env=env, limits=limits)


@contextlib.contextmanager
def _load(processes: int) -> Iterator[Varied]:
    """Other processes that are busy as long as the block lasts."""
    with contextlib.ExitStack() as busy:
        for _ in range(processes):
            busy.enter_context(spawn([sys.executable, "-I", "-S", "-c", _BUSY], input_pipe=True))
        yield Varied(what="load", how=f"{processes} busy processes beside it")


@contextlib.contextmanager
def _host_name(engine: str) -> Iterator[Varied]:
    """Another host name for this thread and what it starts; the thread must end soon after."""
    if engine != "host":
        yield Varied(what="host name", how="podman starts the container, on the machine as it is", same=True)
    elif ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUTS):
        yield Varied(what="host name", how="only root may change it", same=True)
    else:
        socket.sethostname(OTHER_HOST)
        yield Varied(what="host name", how=f"{OTHER_HOST} outside")

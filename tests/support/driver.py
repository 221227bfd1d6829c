"""A program that runs jobs in a sandbox and prints what came of them, with nothing of the test's process in reach.

``python driver.py JOB.json``; started by ``sandbox.Place``, from a copy that any user can read.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pybuilder.errors import EngineError
from pybuilder.interruption import Interruption
from pybuilder.layout import Layout
from pybuilder.podman import Services
from pybuilder.sandbox import Engine, Event, Job, Limits, Outcome, build_environ
from pybuilder.sandbox.host import HostEngine
from pybuilder.sandbox.own_files import OwnFiles
from pybuilder.sandbox.podman import PodmanEngine

PYTHON = os.path.realpath("/usr/bin/python3")


def drive(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Run jobs as ``Place.started`` describes them: one for each name, several in threads of their own."""
    for call, arguments in settings.get("first", ()):
        encoded = [a.encode() if isinstance(a, str) else a for a in arguments]
        assert ctypes.CDLL(None).syscall(call, *encoded) >= 0, (call, arguments)
    with _engine(settings, Path(settings["environment"])) as engine:
        first, *others = settings["names"]
        with ThreadPoolExecutor(len(others) or 1) as pool:
            ended = Interruption()
            futures = [pool.submit(_run, engine, settings, name, ended) for name in others]
            runs = [_run(engine, settings, first, ended), *(future.result() for future in futures)]
        tools = engine.tools()
    return {
        "runs": runs,
        "tools": dict(tools),
        # Not ru_maxrss, which counts what the process was before it became this program: a copy of the test runner.
        "peak_kib": int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]),
    }


def _run(engine: Engine, settings: Mapping[str, Any], name: str, ended: Interruption) -> dict[str, Any]:
    events: list[Event] = []
    echoed = bytearray()

    def echo(data: bytes) -> None:
        echoed.extend(data)
        if (word := settings.get("interrupt_at")) and word.encode() in echoed:
            ended.tell()

    def answer(event: Event) -> bool:
        events.append(event)
        if settings["answer"] == "interrupt":
            raise KeyboardInterrupt
        return bool(settings["answer"])

    job = _job(settings, name)
    job.log.touch()
    outcome, error = Outcome(seal={}, failure="", timed_out=False, seconds=0), ""
    try:
        with ended.heard():
            outcome = engine.run(job, answer=answer, echo=echo)
    except EngineError as failed:
        error = str(failed)
    except KeyboardInterrupt:
        error = "interrupted"
    return {
        "failure": outcome.failure,
        "timed_out": outcome.timed_out,
        "seconds": outcome.seconds,
        "seal": dict(outcome.seal),
        "error": error,
        "events": events,
        "echoed": echoed == job.log.read_bytes(),
    }


def _job(settings: Mapping[str, Any], name: str) -> Job:
    work = Path(settings["work"] + name)
    (work / "build" / "x").mkdir(parents=True, exist_ok=True)
    limits = {"seconds": 60, "free_disk": 0, **settings.get("limits", {})}
    if spare := settings.get("spare_disk"):
        limits["free_disk"] = shutil.disk_usage(work).free - spare
    return Job(
        root=Path(settings["tree"]),
        environment=Path(settings["environment"]),
        work=work,
        cwd="/build/x",
        env=build_environ(source_date_epoch=1, build_dir="/build/x", extra=settings.get("env", {})),
        steps=tuple(settings["steps"]),
        limits=Limits(**limits),
        log=Path(settings["log"] + name),
        cpus=settings.get("cpus", 0),
    )


@contextlib.contextmanager
def _engine(settings: Mapping[str, Any], environment: Path) -> Iterator[Engine]:
    """The engine, and a virtual environment of its Python."""
    if settings["engine"] == "host":
        host = HostEngine.of_this_interpreter()
        _make_environment(environment, host.interpreter)
        yield host
        return
    _make_environment(environment, Path(PYTHON))
    own = OwnFiles(layout=Layout(root=Path(settings["work"]).parent))
    with contextlib.closing(Services(environ=os.environ, preferred=settings["runtime"])) as services:
        yield PodmanEngine(services=services, own=own, interpreter=settings.get("interpreter", PYTHON))


def _make_environment(directory: Path, interpreter: Path) -> None:
    with contextlib.suppress(FileExistsError):
        (directory / "bin" / "python").symlink_to(interpreter)
        (directory / "pyvenv.cfg").write_text(f"home = {interpreter.parent}\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    print(json.dumps(drive(json.loads(Path(sys.argv[1]).read_text()))))

"""Run hostile builds in the real sandbox, as root and as somebody ordinary, and see what they got.

The file is also the program that is started for each: ``python sandbox.py JOB.json`` runs one job, with nothing of
the test's own process in reach, and prints what came of it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ORDINARY_ID = 54321
REPOSITORY = Path(__file__).parents[2]
SECRET = "PYBUILD_TEST_SECRET"

# What hostile code starts with: ``attempt`` says what a try came to, a value or the name of an error.
PRELUDE = """
import ctypes, errno, json, os, signal, socket, subprocess, sys, time
LIBC = ctypes.CDLL(None, use_errno=True)

def say(name, value):
    print("GOT", json.dumps([name, value], default=repr), flush=True)

def attempt(name, function, *arguments):
    try:
        say(name, function(*arguments))
    except OSError as error:
        say(name, errno.errorcode.get(error.errno, type(error).__name__))

def call(function, *arguments):
    if function(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return "allowed"

def read(path):
    with open(path, "rb") as stream:
        return stream.read(4096).decode(errors="replace")

def can_write(path):
    # Opened and no more: were it possible, it should do no harm.
    os.close(os.open(path, os.O_WRONLY))
    return "allowed"

def create(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    return "allowed"
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """What came of a job: ``got`` is what the hostile code said, ``error`` an EngineError's text."""

    failure: str
    timed_out: bool
    seconds: float
    seal: Mapping[str, Any]
    error: str
    log: bytes
    peak_kib: int
    wall: float
    got: Mapping[str, Any] = field(default_factory=dict)


def ordinary_python() -> str:
    """A Python that an ordinary user can start: ours, or the system's."""
    if os.geteuid():
        return sys.executable
    check = "import sys; assert sys.version_info >= (3, 11)"
    for python in (sys.executable, "/usr/bin/python3"):
        with suppress(PermissionError, FileNotFoundError):
            if not subprocess.run([python, "-c", check], capture_output=True, **_as(ORDINARY_ID)).returncode:
                return python
    raise AssertionError("no Python 3.11 that an ordinary user can read: apt-get install python3, dnf install python3")


def _as(uid: int | None) -> dict[str, Any]:
    return {"user": uid, "group": uid, "extra_groups": []} if uid else {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A machine's worth of things a build must not reach, and a sandbox beside them.

    Attributes:
        root: The directory that all of it is in; anybody may read it.
        uid: Who runs pybuild; None is who runs the tests.
        python: With which Python.
    """

    root: Path
    uid: int | None
    python: str

    @property
    def work(self) -> Path:
        """The work directory of the attempt."""
        return self.root / "state" / "work" / self.root.name

    @property
    def out(self) -> Path:
        """What is ``/out`` inside."""
        return self.work / "out"

    def run(self, script: str = "", *, steps: Sequence[Mapping[str, Any]] = (), **settings: Any) -> Ran:
        """Run hostile Python, or other steps, to the end."""
        started = time.monotonic()
        with self.started(script, steps=steps, **settings) as process:
            stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr.decode()
        facts = json.loads(stdout)
        log = (self.root / "log").read_bytes()
        return Ran(**facts, log=log, wall=time.monotonic() - started, got=_said(log))

    def python_code(self, code: str, *arguments: str) -> None:
        """Run Python of ours, outside, as whoever runs pybuild here."""
        environment = {"PYTHONPATH": str(self.root / "lib")}
        subprocess.run([self.python, "-c", code, *arguments], check=True, env=environment, **_as(self.uid))

    @contextmanager
    def started(
        self, script: str = "", *, steps: Sequence[Mapping[str, Any]] = (), **settings: Any
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The program of this file, at work on a job; killed at the end of the block."""
        argv = ["/env/bin/python", "-c", PRELUDE + script, *settings.pop("argv", ())]
        steps = [dict(step) for step in steps] or [{"do": "run", "argv": argv}]
        job = self.root / "job.json"
        job.write_text(json.dumps({"root": str(self.root), "work": str(self.work), "steps": steps, **settings}))
        (self.root / "log").unlink(missing_ok=True)
        process = subprocess.Popen(
            [self.python, str(self.root / "lib" / "driver.py"), str(job)],
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "PYTHONPATH": str(self.root / "lib"),
                "HOME": str(self.root / "home"),
                SECRET: "of-the-caller",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.root,
            **_as(self.uid),
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


@contextmanager
def place(*, ordinary: bool) -> Iterator[Place]:
    """A place for one test; ``ordinary`` is whether somebody other than root runs pybuild in it."""
    from pybuilder.files import remove_tree

    root = Path(tempfile.mkdtemp(prefix="pybuild-test-"))
    root.chmod(0o755)
    try:
        uid = ORDINARY_ID if ordinary and os.geteuid() == 0 else None
        made = Place(root=root, uid=uid, python=ordinary_python() if ordinary else sys.executable)
        _furnish(made)
        yield made
    finally:
        remove_tree(root)


def _furnish(made: Place) -> None:
    import pyproject_hooks

    library = made.root / "lib"
    ignored = shutil.ignore_patterns("__pycache__", "cli", "web")
    shutil.copytree(REPOSITORY / "pybuilder", library / "pybuilder", ignore=ignored)
    shutil.copytree(Path(pyproject_hooks.__file__).parent, library / "pyproject_hooks", ignore=ignored)
    shutil.copy(__file__, library / "driver.py")
    for path in ("home/.ssh/id_ed25519", "state/state.db", "state/store/payloads/abc/six.whl", "specs/six.toml"):
        (made.root / path).parent.mkdir(parents=True, exist_ok=True)
        (made.root / path).write_text("secret")
    for path in ("env/bin", f"state/work/{made.root.name}/build/x"):
        (made.root / path).mkdir(parents=True)
    if made.uid:
        for directory, _, files in os.walk(made.root):
            for name in (".", *files):
                os.chown(os.path.join(directory, name), made.uid, made.uid)


def processes_with(marker: str) -> list[int]:
    """The numbers of the living processes that have a word in their arguments."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(FileNotFoundError, ProcessLookupError):
            if marker.encode() in Path("/proc", pid, "cmdline").read_bytes().split(b"\0"):
                found.append(int(pid))
    return found


def wait_for(condition: Any, seconds: float) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _said(log: bytes) -> dict[str, Any]:
    return dict(json.loads(line[4:]) for line in log.splitlines() if line.startswith(b"GOT "))


def _drive(settings: dict[str, Any]) -> dict[str, Any]:
    from pybuilder.errors import EngineError
    from pybuilder.sandbox import Job, Limits, Outcome, build_environ
    from pybuilder.sandbox.host import HostEngine

    root, work = Path(settings["root"]), Path(settings["work"])
    engine = HostEngine.of_this_interpreter()
    python = root / "env" / "bin" / "python"
    if not python.is_symlink():
        python.symlink_to(engine.interpreter)
        (root / "env" / "pyvenv.cfg").write_text(f"home = {engine.interpreter.parent}\n")
    for call, arguments in settings.get("first", ()):
        import ctypes

        encoded = [a.encode() if isinstance(a, str) else a for a in arguments]
        assert ctypes.CDLL(None).syscall(call, *encoded) >= 0, (call, arguments)
    limits = {"seconds": 60, "free_disk": 0, **settings.get("limits", {})}
    if spare := settings.get("spare_disk"):
        limits["free_disk"] = shutil.disk_usage(work).free - spare
    job = Job(
        environment=root / "env",
        work=work,
        cwd="/build/x",
        env=build_environ(source_date_epoch=1, build_dir="/build/x", extra={}),
        steps=tuple(settings["steps"]),
        limits=Limits(**limits),
        log=root / "log",
    )
    error = ""
    try:
        outcome = engine.run(job, answer=lambda event: True)
    except EngineError as failed:
        outcome = Outcome(seal={}, failure="", timed_out=False, seconds=0)
        error = str(failed)
    return {
        "failure": outcome.failure,
        "timed_out": outcome.timed_out,
        "seconds": outcome.seconds,
        "seal": dict(outcome.seal),
        "error": error,
        # Not ru_maxrss, which counts what the process was before it became this program: a copy of the test runner.
        "peak_kib": int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]),
    }


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    print(json.dumps(_drive(json.loads(Path(sys.argv[1]).read_text()))))

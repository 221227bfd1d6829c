"""Run hostile builds in the real sandboxes, as root and as somebody ordinary, and see what they got."""

from __future__ import annotations

import itertools
import json
import os
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
from types import MappingProxyType
from typing import Any

import pyproject_hooks
import pytest

from pybuilder.files import remove_tree
from tests.support.distribution import missing_tools
from tests.support.trees import tree
from tests.support.views import in_view, user_files

ORDINARY_ID = 54321
REPOSITORY = Path(__file__).parents[2]
SECRET = "PYBUILD_TEST_SECRET"

# What hostile code starts with: ``attempt`` says what a try came to, a value or the name of an error.
PRELUDE = """
import contextlib, ctypes, errno, json, os, signal, socket, subprocess, sys, time
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
        return stream.read(1 << 16).decode(errors="replace")

def look(path):
    return sorted(os.listdir(path)) if os.path.isdir(path) else read(path)

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
    """What came of a job.

    Attributes:
        failure: As ``Outcome`` has it; so are the next three.
        tools: The engine's.
        error: An EngineError's text, or ``interrupted``; empty for an outcome.
        events: What was told from inside.
        echoed: Whether all that is in the log was echoed as well.
        log: The log.
        peak_kib: The most memory that the process used which ran it.
        wall: Seconds that this process lived.
        got: What hostile code said.
    """

    failure: str
    timed_out: bool
    seconds: float
    seal: Mapping[str, Any]
    tools: Mapping[str, str]
    error: str
    events: Sequence[Mapping[str, Any]]
    echoed: bool
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
        engine: ``host`` or ``podman``.
        uid: Who runs pybuild; None is who runs the tests.
        python: With which Python.
        tree: The root that builds run over, as pybuild is told it.
        mounts: What that user sees instead of this machine's own, by path; see ``in_view``.
        found: What earlier runs found out, such as which OCI runtime works.
    """

    root: Path
    engine: str
    uid: int | None
    python: str
    tree: Path
    mounts: dict[Path | str, Path] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def work(self) -> Path:
        """The work directory of the attempt."""
        return self.root / "state" / "work" / self.root.name

    @property
    def out(self) -> Path:
        """What is ``/out`` inside."""
        return self.work / "out"

    @property
    def log(self) -> Path:
        """The log of what runs inside."""
        return self.root / "logs" / "log"

    @property
    def container(self) -> str:
        """The name of the build's container."""
        return f"pybuild-{self.work.name}"

    @property
    def environ(self) -> dict[str, str]:
        """The environment of whoever runs pybuild here."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "PYTHONPATH": str(self.root / "lib"),
            "HOME": str(self.root / "home"),
            "XDG_RUNTIME_DIR": str(self.root / "run"),
            SECRET: "of-the-caller",
        }

    def run(self, script: str = "", *, steps: Sequence[Mapping[str, Any]] = (), **settings: Any) -> Ran:
        """Run hostile Python, or other steps, to the end."""
        (ran,) = self.run_all([""], script, steps=steps, **settings)
        return ran

    def shell(self, script: str, **settings: Any) -> Ran:
        """Run a shell's script to the end."""
        return self.run(steps=[{"do": "run", "argv": ["/bin/sh", "-c", script]}], **settings)

    def run_all(
        self, names: Sequence[str], script: str = "", *, steps: Sequence[Mapping[str, Any]] = (), **settings: Any
    ) -> list[Ran]:
        """Run the same in several threads of one process, each in a work directory with a name added to ours."""
        started = time.monotonic()
        with self.started(script, steps=steps, names=names, **settings) as process:
            stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr.decode()
        told = json.loads(stdout)
        self.found.update(told["tools"])
        common = {"tools": told["tools"], "peak_kib": told["peak_kib"], "wall": time.monotonic() - started}
        logs = [Path(f"{self.log}{name}").read_bytes() for name in names]
        return [Ran(**run, **common, log=log, got=_said(log)) for run, log in zip(told["runs"], logs, strict=True)]

    def python_code(self, code: str, *arguments: str) -> None:
        """Run Python of ours, outside, as whoever runs pybuild here."""
        subprocess.run(self.command(self.python, "-c", code, *arguments), check=True, env=self.environ)

    def command(self, *argv: str) -> list[str]:
        """A command, as whoever runs pybuild here runs it."""
        return in_view(argv, self.mounts, uid=self.uid) if self.uid or self.mounts else list(argv)

    @contextmanager
    def started(
        self,
        script: str = "",
        *,
        steps: Sequence[Mapping[str, Any]] = (),
        environ: Mapping[str, str] = MappingProxyType({}),
        prefix: Sequence[str] = (),
        **settings: Any,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The program ``driver.py``, at work on a job; killed at the end of the block.

        Args:
            script: Python to run inside.
            steps: Other steps in its place.
            environ: What is added to the program's environment.
            prefix: A command that starts the program's command.
            settings: More for the program: ``argv`` of the script, ``limits``, ``env``, ``cpus``, ``answer`` to each
                event, the word ``interrupt_at`` which all threads are interrupted, the ``interpreter`` inside.
        """
        argv = ["/env/bin/python", "-c", PRELUDE + script, *settings.pop("argv", ())]
        job = {
            "engine": self.engine,
            "runtime": self.found.get("runtime", ""),
            "tree": str(self.tree),
            "work": str(self.work),
            "environment": str(self.root / "env"),
            "log": str(self.log),
            "steps": [dict(step) for step in steps] or [{"do": "run", "argv": argv}],
            "answer": True,
            "names": [""],
        }
        file = self.root / f"job{next(self.numbers)}.json"
        file.write_text(json.dumps({**job, **settings}))
        process = subprocess.Popen(
            self.command(*prefix, self.python, str(self.root / "lib" / "driver.py"), str(file)),
            env={**self.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.root,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def containers(self) -> list[str]:
        """The containers of this place that podman still knows."""
        argv = ["podman", "ps", "--all", "--filter", f"name=^{self.container}", "--format", "{{.Names}} {{.Status}}"]
        done = subprocess.run(self.command(*argv), env=self.environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


def places(engine: str = "") -> list[Any]:
    """The parameters of a fixture that makes a ``place`` of every engine, or of one, for root and somebody ordinary."""
    all_of_them = ("host-root", "host-ordinary", "podman-rootful", "podman-rootless")
    return [pytest.param(name, marks=_marks(name)) for name in all_of_them if name.startswith(engine)]


def _marks(name: str) -> list[pytest.MarkDecorator]:
    return [
        pytest.mark.skipif(bool(os.geteuid()) and name.endswith(("root", "rootful")), reason="only root can be root"),
        pytest.mark.skipif(bool(os.geteuid()) and name.startswith("podman"), reason="only root makes their roots"),
    ]


@contextmanager
def place(name: str) -> Iterator[Place]:
    """A place for one test.

    Args:
        name: Of ``places``: which engine, and who runs pybuild.
    """
    engine, _, who = name.partition("-")
    lacking = missing_tools() if engine == "podman" else ""
    assert not lacking, lacking
    root = Path(tempfile.mkdtemp(prefix="pybuild-test-"))
    root.chmod(0o755)
    ordinary = who in ("ordinary", "rootless")
    uid = ORDINARY_ID if ordinary and os.geteuid() == 0 else None
    python = ordinary_python() if ordinary else sys.executable
    made = Place(
        root=root,
        engine=engine,
        uid=uid,
        python=python,
        tree=_tree(root, uid) if engine == "podman" else Path("/"),
        found=_FOUND.setdefault(name, {}),
    )
    try:
        _furnish(made)
        yield made
        if engine == "podman":
            assert wait_for(lambda: not made.containers(), 10), f"{made.containers()} left behind"
    finally:
        try:
            if engine == "podman":
                _forget_podman(made)
        finally:
            remove_tree(root)


_FOUND: dict[str, dict[str, str]] = {}


def _tree(root: Path, uid: int | None) -> Path:
    # Where it is kept nobody else may look.
    return root / "tree" if uid else tree()


def _furnish(made: Place) -> None:
    library = made.root / "lib"
    ignored = shutil.ignore_patterns("__pycache__", "cli", "web", "*.so")
    shutil.copytree(REPOSITORY / "pybuilder", library / "pybuilder", ignore=ignored)
    # Ordinary users can't see the packages of whoever runs the tests.
    (needed,) = pyproject_hooks.__path__
    shutil.copytree(needed, library / "pyproject_hooks", ignore=ignored)
    shutil.copy(Path(__file__).with_name("driver.py"), library)
    for path in ("home/.ssh/id_ed25519", "state/state.db", "state/store/payloads/abc/six.whl", "specs/six.toml"):
        (made.root / path).parent.mkdir(parents=True, exist_ok=True)
        (made.root / path).write_text("secret")
    for path in ("env/bin", "logs", "tree", f"state/work/{made.root.name}/build/x"):
        (made.root / path).mkdir(parents=True)
    (made.root / "run").mkdir(mode=0o700)
    if made.uid:
        for directory, _, files in os.walk(made.root):
            for name in (".", *files):
                os.chown(os.path.join(directory, name), made.uid, made.uid)
    if made.engine == "podman" and made.uid:
        made.mounts[made.tree] = tree(made.uid)
        made.mounts.update(user_files(made.root / "etc", made.uid, home=made.root / "home"))


def _forget_podman(made: Place) -> None:
    """Remove what a failed test has left, and the processes that podman keeps for the next start of its user."""
    try:
        if names := [line.split()[0] for line in made.containers()]:
            remove = made.command("podman", "rm", "--force", "--time=0", "--ignore", *names)
            subprocess.run(remove, env=made.environ, capture_output=True, check=True)
    finally:
        # Root's podman is the machine's, unless the place has a runtime directory of its own.
        if made.mounts:
            kill_all_of(made.root)


def kill_all_of(root: Path) -> None:
    """Kill what was started for a place, and wait until it is gone."""
    for pid in _processes_of(root):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: not _processes_of(root), 10), f"{_processes_of(root)} can't be killed"


def processes_of(made: Place) -> list[int]:
    """The numbers of the living processes that were started for a place, or by one that was."""
    return _processes_of(made.root)


def _processes_of(root: Path) -> list[int]:
    return _processes("environ", f"XDG_RUNTIME_DIR={root}/run".encode())


def processes_with(marker: str) -> list[int]:
    """The numbers of the living processes that have a word in their arguments."""
    return _processes("cmdline", marker.encode())


def _processes(kind: str, word: bytes) -> list[int]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        # The first process's environment may be closed to us.
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if word in Path("/proc", pid, kind).read_bytes().split(b"\0"):
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

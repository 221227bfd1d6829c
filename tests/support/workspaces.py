"""A workspace with an upstream index of its own, and pybuild as a real process over it."""

from __future__ import annotations

import difflib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pybuilder import events
from pybuilder.cli.options import Options
from pybuilder.cli.session import Session, open_session
from pybuilder.index import Index
from pybuilder.layout import Layout
from pybuilder.state import State
from tests.support import sdists, upstream
from tests.support.indexes import open_index
from tests.support.upstream import UpstreamServer

ROOT = Path(__file__).parents[2]
BACKEND = Path(__file__).with_name("tiny_backend.py")
T = TypeVar("T")


def tiny_files(
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    metadata: Sequence[str] = (),
    build_requires: Sequence[str] = (),
    dynamic: Sequence[object] = (),
    act: str = "",
    module: str = "",
    requires_python: str = "",
    static: bool = True,
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> dict[str, bytes]:
    """The files of a source whose backend is its own and takes no time (see ``tiny_backend``).

    Args:
        name: The project's name.
        version: Its version.
        requires: Its install requirements.
        metadata: Further lines of METADATA.
        build_requires: ``build-system.requires``.
        dynamic: What ``get_requires_for_build_wheel`` returns.
        act: Python that ``build_wheel`` runs first; it sees ``write_wheel``, ``out``, ``settings``, and may set
            ``result``, which is then returned in place of a sound wheel's name.
        module: What is in its one module.
        requires_python: Requires-Python.
        static: Whether its PKG-INFO can be believed (PEP 643).
        files: What else lies in it.
    """
    extra = [*metadata, *(f"Requires-Dist: {requirement}" for requirement in requires)]
    python = [f"Requires-Python: {requires_python}"] if requires_python else []
    info = sdists.pkg_info(
        name, version, metadata_version="2.2" if static else "2.1", extra=[*(extra if static else ()), *python]
    )
    facts = {
        "name": name,
        "version": version,
        "metadata": extra,
        "requires_python": requires_python,
        "dynamic": list(dynamic),
        "act": act,
        "module": module or f"VERSION = {version!r}\n",
    }
    wanted = ", ".join(f'"{requirement}"' for requirement in build_requires)
    build_system = f'requires = [{wanted}]\nbuild-backend = "tiny_backend"\nbackend-path = ["."]\n'
    return {
        "PKG-INFO": info,
        "pyproject.toml": f"[build-system]\n{build_system}".encode(),
        "tiny_backend.py": BACKEND.read_bytes(),
        "tiny.json": json.dumps(facts, indent=1).encode() + b"\n",
        **files,
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """How a command ended, and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.stdout)

    def built(self) -> list[str]:
        """The builds that a run with ``--json`` published, without their channel."""
        return [build["build"].partition("/")[2] for build in self.json["built"]]

    def cached(self) -> list[str]:
        """The builds that a run with ``--json`` found published."""
        return [build["build"].partition("/")[2] for build in self.json["cached"]]


@dataclass(kw_only=True)
class Bench:
    """A workspace, a state and an upstream index."""

    root: Path
    upstream: UpstreamServer
    state: Path
    environ: dict[str, str] = field(default_factory=dict)
    sources: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def workspace(self) -> Path:
        """Its specs, patches and buildroots."""
        return self.root / "workspace"

    @property
    def layout(self) -> Layout:
        """Where things lie in the state."""
        return Layout(root=self.state)

    @property
    def index(self) -> Index:
        """The published tree."""
        return open_index(self.state)

    def sdist(self, name: str, version: str = "1.0", **facts: Any) -> Path:
        """Put a source into the upstream index; the facts are those of ``tiny_files``."""
        self.sources[name] = files = tiny_files(name, version, **facts)
        return sdists.make_sdist(self.upstream.directory, name, version, backend="none", files=files)

    def patch(self, name: str, file: str, old: str, new: str) -> Path:
        """Write a patch that replaces a text in a file of a source."""
        before = self.sources[name][file].decode()
        assert old in before
        lines, changed = (text.splitlines(keepends=True) for text in (before, before.replace(old, new)))
        patch = self.workspace / "patches" / name / "0001-change.patch"
        patch.parent.mkdir(exist_ok=True)
        patch.write_text("".join(difflib.unified_diff(lines, changed, f"a/{file}", f"b/{file}")))
        return patch

    def spec(self, name: str, text: str = "") -> Path:
        """Write a spec; ``text`` is all of it but the name."""
        path = self.workspace / "specs" / f"{name}.toml"
        path.write_text(f'name = "{name}"\n{text}')
        return path

    def spec_text(self, name: str) -> str:
        """A spec, as it is now."""
        return (self.workspace / "specs" / f"{name}.toml").read_text()

    def accept(self, name: str, version: str = "1.0", *, spec: str = "", **facts: Any) -> None:
        """A source upstream, and a spec for it."""
        self.sdist(name, version, **facts)
        self.spec(name, spec)

    def settings(self, text: str = "") -> None:
        """Write pybuild.toml: the upstream index, and what ``text`` adds."""
        (self.workspace / "pybuild.toml").write_text(f'index = "{self.upstream.index}"\n{text}')

    def argv(self, *arguments: str) -> list[str]:
        """The command line of a pybuild over this workspace and state."""
        ours = ["-w", str(self.workspace), "--state", str(self.state)]
        return [sys.executable, "-m", "pybuilder.cli", *ours, *arguments]

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start pybuild in a session of its own."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        environ = clean_environ(self.root) | self.environ
        return subprocess.Popen(self.argv(*arguments), env=environ, cwd=self.root, start_new_session=True, **pipes)

    def session(self) -> AbstractContextManager[Session]:
        """A session of this process over this workspace and state, which tells nobody what happens."""
        options = Options(
            workspace=self.workspace,
            buildroot="",
            variant="",
            state=self.state,
            log_format="pretty",
            quiet=True,
            verbose=False,
        )
        return open_session(options, events.ignore)

    def pybuild(self, *arguments: str, timeout: float = 90) -> Ran:
        """Run pybuild to its end; a traceback is always a bug, but for those that it quotes from a log."""
        with self.start(*arguments) as process:
            try:
                stdout, stderr = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        assert not re.search("^Traceback", stderr, re.MULTILINE), stderr
        assert not (fault := re.search("fault of pybuild's own.*\n  where: (.*)", stderr)), Path(fault[1]).read_text()
        return Ran(code=process.returncode, stdout=stdout, stderr=stderr)

    def build(self, *requirements: str, command: str = "build", code: int = 0) -> Ran:
        """``pybuild build --json``, which must end with this code."""
        ran = self.pybuild(command, "--json", *requirements)
        assert ran.code == code, ran.stderr + ran.stdout
        assert set(ran.json) == {"ok", "seconds", "built", "cached", "failed", "review"}
        assert ran.json["ok"] is (code == 0)
        return ran

    def bootstrap(self, *arguments: str, code: int = 0) -> Ran:
        """``pybuild bootstrap --json``, which must end with this code."""
        ran = self.pybuild("bootstrap", "--json", *arguments)
        assert ran.code == code, ran.stderr + ran.stdout
        assert set(ran.json) >= {"ok", "seconds", "built", "cached", "failed", "review"}
        assert ran.json["ok"] is (code == 0)
        return ran

    def plan(self, *arguments: str, code: int = 0) -> Any:
        """The nodes that ``pybuild bootstrap --plan --json`` prints, by ``name==version``."""
        ran = self.pybuild("bootstrap", "--plan", "--json", *arguments)
        assert ran.code == code, ran.stderr + ran.stdout
        return ran.json["nodes"]

    def rebuild(self, *versions: str, code: int = 0) -> Ran:
        """``pybuild rebuild --json``."""
        return self.build(*versions, command="rebuild", code=code)

    def attempts(self, name: str) -> list[dict[str, Any]]:
        """State, phase and error of each attempt at a package, oldest first."""
        with closing(State.open(self.layout)) as state:
            rows = reversed(state.attempts(name))
            return [{"id": row.id, "state": row.state, "phase": row.phase, "error": row.error} for row in rows]

    def log(self, attempt: str) -> str:
        """What an attempt that has ended printed."""
        [log] = self.layout.root.glob(f"store/records/*/{attempt}/build.log")
        return log.read_text()

    def outcomes(self, name: str) -> list[str]:
        """How each attempt at a package ended, oldest first."""
        return [attempt["state"] for attempt in self.attempts(name)]

    def published(self, name: str) -> list[str]:
        """The numbered versions of a package in the index, oldest first."""
        return [file.version for file in self.index.files(name)]  # type: ignore[arg-type]

    def running_log(self) -> Path | None:
        """The log of a build that runs now and has printed something."""
        logs = [log for log in self.state.glob("work/*/record/build.log") if log.stat().st_size]
        return logs[0] if logs else None

    def check_sound(self) -> None:
        """Nothing is lost and nothing is left: the index verifies, the database is whole, no work lies about."""
        if self.index.root.exists():
            assert self.index.verify() == ()
        with closing(State.open(self.layout)) as state:
            assert state.unfinished_publishes("host") == []
            assert state.running() == []
            assert state._row("PRAGMA integrity_check") == {"integrity_check": "ok"}
        assert not (left := leftovers(self.state)), left


@contextmanager
def bench(root: Path, **options: Any) -> Iterator[Bench]:
    """An empty workspace below ``root``, whose upstream index is up meanwhile; the options are that server's fields."""
    (root / "upstream").mkdir(parents=True)
    with upstream.serve(root / "upstream", **options) as server:
        here = Bench(root=root, upstream=server, state=root / "state")
        for name in ("specs", "patches", "buildroots"):
            (here.workspace / name).mkdir(parents=True)
        (here.workspace / "buildroots" / "host.toml").write_text('name = "host"\nengine = "host"\n')
        here.settings()
        yield here


def clean_environ(home: Path) -> dict[str, str]:
    """An environment that says nothing of indexes, proxies or anybody's settings."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    ours = {"HOME": str(home / "home"), "PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", "PYTHONPATH": str(ROOT)}
    return kept | ours


def leftovers(state: Path) -> list[str]:
    """What a run must not leave: work, unfinished files in the index, sandboxes, mounts.

    What is unfinished in the store waits for gc.
    """
    found = [str(path) for path in state.glob("work/*")]
    found += [str(path) for path in (state / "index").rglob("*.tmp")]
    found += [f"process {process}" for process in processes_of(state)]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{state}/" in line]
    return found


def control_groups(works: set[str]) -> list[str]:
    """The control groups of the sandboxes that had these work directories."""
    # Not by glob, for which a group that other tests remove meanwhile is an error.
    groups = (path for path, _, _ in os.walk("/sys/fs/cgroup"))
    return [path for path in groups if path.rpartition("/")[2] in {f"pybuild-{work}" for work in works}]


def processes_of(state: Path) -> list[str]:
    """The command lines of living processes that name a state directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(os.fsencode(state)) for word in words):
            found.append(os.fsdecode(b" ".join(words)))
    return found


def wait_for(condition: Callable[[], T | None], *, seconds: float = 20, what: str = "it") -> T:
    """The condition's value, once it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.01)
    return value


def plan_of(state: Path, build: Mapping[str, Any]) -> Any:
    """The plan in the record of a BUILD."""
    wheel = build["wheels"][0]
    return json.loads((state / "store" / "records" / wheel["key"] / wheel["attempt"] / "plan.json").read_bytes())

"""Whole trees built from upstream's sources by pybuild and by its peer Fromager, both as their users start them.

Each lives in a virtual environment of its own outside the checkout, of the same Python, since markers make other trees
for other Pythons. Each run has a new home, so no cache of an earlier one; a mirror on loopback is all that it reaches.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from packaging.utils import parse_wheel_filename

from pybuilder.upstream.settings import default_index
from tests.support import mirror
from tests.support.mirror import Mirror

ROOT = Path(__file__).parents[2]
CACHE = Path.home() / ".cache" / "pybuild-benchmarks"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TREES = {"requests": ("requests==2.32.3",), "aiohttp": ("jinja2", "pydantic<2", "aiohttp==3.9.5")}

# Fromager has its index as a constant.
_START_FROMAGER = """
import sys
from fromager import resolver
from fromager.__main__ import invoke_main
resolver.PYPI_SERVER_URL = sys.argv.pop(1).rstrip("/")
invoke_main()
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """How a run went.

    Attributes:
        code: Its exit code.
        seconds: Wall time, the program's own start included.
        cpu: Cpu time, that of all processes it waited for included, in seconds.
        output: What it printed, but for ``report``.
        report: The document on standard output, where it prints one.
    """

    code: int
    seconds: float
    cpu: float
    output: Path
    report: Any


class Builder(Protocol):
    """A program that bootstraps trees."""

    name: str
    distribution: str
    venv: Path

    def prepare(self, place: Path) -> None:
        """Do in an empty directory what its user does once, long before."""
        ...

    def command(self, place: Path, index: str, requirements: Sequence[str]) -> list[str]:
        """How it is started in this directory."""
        ...

    def wheels(self, place: Path) -> frozenset[str]:
        """What it has built, as ``name==version``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Fromager:
    """The peer, with network isolation, which it has on unless told otherwise."""

    venv: Path
    name: str = "fromager"
    distribution: str = "fromager"

    def prepare(self, place: Path) -> None:
        place.mkdir(parents=True)

    def command(self, place: Path, index: str, requirements: Sequence[str]) -> list[str]:
        return [str(self.venv / "bin" / "python"), "-c", _START_FROMAGER, index, "bootstrap", *requirements]

    def wheels(self, place: Path) -> frozenset[str]:
        return _wheels((place / "wheels-repo" / "downloads").glob("*.whl"))


@dataclass(frozen=True, kw_only=True)
class Pybuild:
    """This checkout's pybuild, in a fresh workspace, on the host buildroot."""

    venv: Path
    options: tuple[str, ...] = ("--accept-new", "--json")
    name: str = "pybuild"
    distribution: str = "pybuild-hermetic"

    def prepare(self, place: Path) -> None:
        place.mkdir(parents=True)
        subprocess.run([self.venv / "bin" / "pybuild", "init", place], check=True, capture_output=True)

    def command(self, place: Path, index: str, requirements: Sequence[str]) -> list[str]:
        return [str(self.venv / "bin" / "pybuild"), "-b", "host", "bootstrap", *self.options, *requirements]

    def wheels(self, place: Path) -> frozenset[str]:
        return _wheels((place / ".pybuild" / "index" / "host" / "files").glob("*.whl"))


def bootstrap(builder: Builder, place: Path, index: str, requirements: Sequence[str]) -> Ran:
    """Start a builder in a directory that it has prepared, and wait for its end."""
    output = place.with_name(f"{place.name}.log")
    with output.open("ab") as log:
        cpu, began = children_cpu(), time.perf_counter()
        ran = subprocess.run(
            builder.command(place, index, requirements),
            check=False,
            cwd=place,
            env=environ(builder.venv, home=place.with_name(f"{place.name}.home"), index=index),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        seconds = time.perf_counter() - began
    report = json.loads(ran.stdout) if ran.stdout.startswith(b"{") else None
    return Ran(code=ran.returncode, seconds=seconds, cpu=children_cpu() - cpu, output=output, report=report)


def children_cpu() -> float:
    """Cpu seconds of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def succeeded(builder: Builder, ran: Ran) -> Ran:
    """The run, if it succeeded.

    Raises:
        SystemExit: It failed; the last lines that it printed are the message.
    """
    if ran.code != 0:
        last = ran.output.read_text(errors="replace").splitlines()[-20:]
        raise SystemExit("\n".join([f"{builder.name} ended with {ran.code}:", *last]))
    return ran


def environ(venv: Path, *, home: Path, index: str) -> dict[str, str]:
    """The whole environment of a run, in which nothing but the index can be reached."""
    home.mkdir(exist_ok=True)
    return {
        "HOME": str(home),
        "PATH": f"{venv / 'bin'}:{SYSTEM_PATH}",
        "LANG": "C.UTF-8",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": index,
        "UV_NO_CONFIG": "1",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }


@contextmanager
def upstream() -> Iterator[Mirror]:
    """A mirror of the index that pip or uv would use here; what it has seen stays for the next time."""
    with mirror.serve(CACHE / "mirror", default_index(os.environ).url) as server:
        yield server


def options(description: str, arguments: Sequence[str]) -> argparse.Namespace:
    """What the benchmarks over ``TREES`` take: ``n``, ``trees`` and ``directory``."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("-n", type=int, default=3, help="rounds; medians count")
    parser.add_argument("--only", dest="trees", nargs=1, choices=TREES, default=list(TREES), help="one of the trees")
    parser.add_argument("--directory", help="where to work; default: where temporary files go")
    return parser.parse_args(arguments)


def fromager() -> Fromager:
    """Fromager, the newest, installed where it isn't yet."""
    return Fromager(venv=_venv("fromager", ["fromager>=0.101"]))


def pybuild(*options: str) -> Pybuild:
    """The pybuild of this checkout."""
    venv = _venv(f"pybuild-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}", ["--editable", str(ROOT)])
    return Pybuild(venv=venv, options=(*Pybuild.options, *options))


def python() -> Path:
    """The newest Python here that Fromager accepts.

    Raises:
        SystemExit: There is none.
    """
    named = [which for minor in (14, 13, 12) if (which := shutil.which(f"python3.{minor}"))]
    pyenv = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3"), reverse=True)
    for candidate in [sys.executable, *named, *map(str, pyenv)]:
        works = subprocess.run(
            [candidate, "-c", "import sys; sys.exit(sys.version_info < (3, 12))"], check=False, capture_output=True
        )
        if works.returncode == 0:
            return Path(candidate)
    raise SystemExit("Python 3.12 or newer is needed here for Fromager, beside or in place of the one that runs this")


def version(builder: Builder) -> str:
    """Which version of a builder is installed."""
    code = f"import importlib.metadata; print(importlib.metadata.version({builder.distribution!r}))"
    argv = [builder.venv / "bin" / "python", "-c", code]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def _venv(name: str, install: Sequence[str]) -> Path:
    """A virtual environment with these things, made anew where the last one was made of others."""
    directory, interpreter = CACHE / name, python()
    ours = (ROOT / "pyproject.toml").read_text() if str(ROOT) in install else ""
    wanted = "\n".join([str(interpreter), *install, ours])
    stamp = directory / "made-of"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"making {directory}", file=sys.stderr)
        subprocess.run([interpreter, "-m", "venv", "--clear", directory], check=True)
        environment = {name: value for name, value in os.environ.items() if name != "PIP_FIND_LINKS"}
        environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": default_index(os.environ).url}
        subprocess.run([directory / "bin" / "pip", "install", "--quiet", *install], check=True, env=environment)
        stamp.write_text(wanted)
    return directory


def _wheels(files: Iterable[Path]) -> frozenset[str]:
    parsed = (parse_wheel_filename(file.name) for file in files)
    return frozenset(f"{name}=={version.public}" for name, version, *_ in parsed)

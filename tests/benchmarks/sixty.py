"""Sixty popular packages of all common backends, each with all it needs, from upstream into one fresh state.

Run it as ``python -m tests.benchmarks.sixty [--only NAME,NAME] [STATE]``; it exits 1 where fewer than 57 of the sixty
are built and install with pip and with uv from the index alone, ``pip check`` clean. With STATE what was made stays
there, and the next run goes on. Nothing has a hand-written spec.

On Debian 12 it needs these packages: gcc g++ gfortran cmake ninja-build pkg-config patchelf bubblewrap git libffi-dev
libyaml-dev libxml2-dev libxslt1-dev zlib1g-dev libjpeg-dev libzmq3-dev libopenblas-dev.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from tests.support import bootstraps
from tests.support.bootstraps import Pybuild

AIM = 57
PACKAGES = {
    "setuptools": "six pytz requests tqdm jmespath oauthlib pytest python-dateutil cachetools mako",
    "hatchling": "attrs httpx starlette uvicorn pygments termcolor humanize beautifulsoup4 iniconfig soupsieve",
    "flit": "flask jinja2 packaging markdown-it-py pyparsing docutils installer",
    "poetry": "rich tomlkit crashtest backoff aiohappyeyeballs",
    "pdm": "pdm-backend annotated-doc dep-logic marko",
    "setuptools, C": "markupsafe psutil wrapt regex coverage tornado xxhash cffi pillow",
    "setuptools, C++": "greenlet kiwisolver ujson",
    "setuptools, Cython": "cython pyyaml aiohttp msgpack lxml",
    "meson-python": "siphash24 numpy contourpy",
    "scikit-build-core": "pybind11 nanobind rapidfuzz pyzmq",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one of the sixty: the phase in which it or what it needs failed, and how; empty where none did."""

    phase: str = ""
    error: str = ""


def main(arguments: Sequence[str]) -> int:
    """Build, install, print; 1 where the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", help="some of the packages, separated by commas")
    parser.add_argument("state", nargs="?", help="a directory that stays")
    options = parser.parse_args(arguments)
    names = options.only.split(",") if options.only else [name for group in PACKAGES.values() for name in group.split()]
    aim = AIM if len(names) > AIM else len(names)
    with tempfile.TemporaryDirectory(prefix="pybuild-sixty-") as directory:
        place = Path(options.state or directory).absolute() / "workspace"
        sound = build_and_install(names, place)
    print(f"{sound} of {len(names)}, aim {aim}: {'reached' if sound >= aim else 'MISSED'}")
    return 0 if sound >= aim else 1


def build_and_install(names: Sequence[str], place: Path) -> int:
    """Bootstrap all in one run, install each that was built, and print a line for each; how many are sound."""
    pybuild = bootstraps.pybuild("--each", "--keep-going")
    if not place.exists():
        pybuild.prepare(place)
    with bootstraps.upstream() as mirror:
        ran = bootstraps.bootstrap(pybuild, place, mirror.index, names)
    if ran.report is None:
        raise SystemExit(f"pybuild ended with {ran.code}:\n{ran.output.read_text()[-2000:]}")
    backends = {name: backend for backend, group in PACKAGES.items() for name in group.split()}
    sound = 0
    for name in names:
        outcome = built(name, ran.report) or installed(name, pybuild, place)
        sound += not outcome.phase
        verdict = f"FAILED in {outcome.phase}: {outcome.error}" if outcome.phase else "ok"
        print(f"{name:18} {backends.get(name, ''):20} {verdict}", flush=True)
    print(f"bootstrap took {ran.seconds:.0f} s for {len(pybuild.wheels(place))} wheels; its log is {ran.output}")
    return sound


def built(name: str, report: Any) -> Outcome | None:
    """None where a package was published, else what hindered that."""
    project = canonicalize_name(name)
    failures = [failure for failure in report["failed"] if failure["name"] == project]
    if failures:
        return Outcome(phase=failures[0]["phase"], error=failures[0]["error"].partition("\n")[0])
    if any(build["name"] == project for build in (*report["built"], *report["cached"])):
        return None
    return Outcome(phase="waiting", error="something that it needs is not built")


def installed(name: str, pybuild: Pybuild, place: Path) -> Outcome:
    """Install a package with pip and with uv, each in an environment of its own, from nothing but our index."""
    index = (place / ".pybuild" / "index" / "host" / "simple").as_uri()
    tools, environ = pybuild.venv / "bin", bootstraps.environ(pybuild.venv, home=place.with_name("home"), index=index)
    for installer in ("pip", "uv"):
        venv = place.with_name("installed") / f"{name}-{installer}"
        python = str(venv / "bin" / "python")
        install = {
            "pip": [tools / "pip", "--python", python, "install", "--no-cache-dir", "--only-binary=:all:", name],
            "uv": [tools / "uv", "pip", "install", "--python", python, "--index-url", index, "--no-build", name],
        }[installer]
        make = [tools / "uv", "venv", "--clear", "--python", tools / "python", venv]
        for argv in (make, install, [tools / "pip", "--python", python, "check"]):
            ran = subprocess.run(argv, check=False, env=environ, cwd=place, capture_output=True, text=True)
            if ran.returncode != 0:
                last = (ran.stdout + ran.stderr).strip().splitlines()[-1:]
                return Outcome(phase=f"installation with {installer}", error=" ".join(last))
    return Outcome()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

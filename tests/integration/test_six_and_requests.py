"""The specs that ship, for real: six and requests from the upstream index, and pip and uv installing what came of it.

The one test that needs the network, because the real sources and their real backends are its point.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.indexes import clean_environment, served

WORKSPACE = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
CHECK = "import six, requests, sys; print(six.__version__, requests.__version__)"


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """A state in which six and requests have been built from nothing."""
    state = tmp_path_factory.mktemp("state")
    command = [BIN / "pybuild", "--state", state, "--quiet", "build", "--json", "six==1.17.0", "requests"]
    done = subprocess.run(command, cwd=WORKSPACE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] and not report["cached"]
    built = {build["name"]: build for build in report["built"]}
    assert {"six", "requests", "setuptools", "hatchling", "urllib3", "idna", "certifi"} <= built.keys()
    assert all(wheel["sealed"] for build in built.values() for wheel in build["wheels"])
    assert built["six"]["build"] == "host/six==1.17.0+pb.1"
    return state


@pytest.fixture(params=["served", "static"])
def index_url(request, state):
    root = state / "index"
    if request.param == "static":
        yield (root / "host" / "simple").as_uri()
        return
    with served(root) as url:
        yield f"{url.rstrip('/')}/host/simple/"


def pip(python: Path, index_url: str) -> list[object]:
    return [python, "-m", "pip", "install", "--quiet", "--isolated", "--no-cache-dir", "--index-url", index_url]


def uv(python: Path, index_url: str) -> list[object]:
    common = ["--quiet", "--no-config", "--no-cache", "--python", python]
    return [BIN / "uv", "pip", "install", *common, "--default-index", index_url]


@pytest.mark.parametrize("installer", [pip, uv])
def test_installs_from_our_index_alone(installer, index_url, tmp_path):
    environ = clean_environment(tmp_path)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([*installer(python, index_url), "six==1.17.0", "requests"], env=environ, check=True)

    said = subprocess.run([python, "-c", CHECK], env=environ, check=True, capture_output=True, text=True)
    assert said.stdout.startswith("1.17.0 2.")
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=json"], env=environ, capture_output=True, check=True
    )
    versions = {each["name"]: each["version"] for each in json.loads(listed.stdout)}
    ours = {"six", "requests", "urllib3", "idna", "certifi", "charset-normalizer"}
    assert all("+pb." in versions[name] for name in ours)
    assert subprocess.run([python, "-m", "pip", "check"], env=environ).returncode == 0


def test_the_index_is_sound(state):
    done = subprocess.run([BIN / "pybuild", "--state", state, "index", "verify"], cwd=WORKSPACE)
    assert done.returncode == 0


def test_nothing_is_done_twice(state):
    command = [BIN / "pybuild", "--state", state, "--quiet", "build", "--json", "six", "requests"]
    done = subprocess.run(command, cwd=WORKSPACE, capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert [build["name"] for build in report["cached"]] == ["six", "requests"]
    assert report["built"] == []

"""What ``bootstrap`` published installs with pip and with uv from our index alone, and nothing is missing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.indexes import clean_environment, served
from tests.support.workspaces import Bench, bench

UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Extras, a cycle, a false marker, and build requirements that are in the index as well."""
    with bench(tmp_path_factory.mktemp("bootstrapped")) as made:
        requires = ["beta>=1", "socks; extra == 'proxy'", "never; sys_platform == 'win32'"]
        made.sdist("alpha", requires=requires, metadata=["Provides-Extra: proxy"])
        made.sdist("beta", requires=["gamma"], build_requires=["tool"], module="import gamma\nVERSION = '1.0'\n")
        made.sdist("gamma", requires=["beta"])
        made.sdist("socks", static=False, requires=["delta<2"])
        for name, version in (("tool", "1.0"), ("delta", "1.0"), ("delta", "2.0")):
            made.sdist(name, version)
        made.bootstrap("--accept-new", "alpha[proxy]")
        yield made


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_the_top_installs_from_our_index_alone(here: Bench, tmp_path: Path, installer: str) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    commands = {
        "pip": [python, "-m", "pip", "install", "--no-input", "--only-binary=:all:"],
        "uv": [UV, "pip", "install", "--no-config", "--no-build", "--python", python],
    }
    environment = clean_environment(tmp_path)

    def run(*argv: str | Path) -> str:
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    here.upstream.requests.clear()
    with served(here.index.root.parent) as url:
        run(*commands[installer], "--index-url", f"{url}host/simple/", "alpha[proxy]")
    assert here.upstream.requests == []
    assert "No broken requirements" in run(python, "-m", "pip", "check")
    frozen = {line for line in run(python, "-m", "pip", "freeze").splitlines() if "+pb" in line}
    assert frozen == {f"{name}==1.0+pb.1" for name in ("alpha", "beta", "gamma", "socks", "delta")}
    run(python, "-c", "import alpha, beta, gamma, socks, delta")

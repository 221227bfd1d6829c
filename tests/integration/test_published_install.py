"""pip and uv install what was built, from the served index and from the static files, and from nowhere else."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.indexes import clean_environment
from tests.support.workspaces import Bench, bench

UV = Path(sys.executable).with_name("uv")
Install = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Alpha needs beta; both have two numbers, beta's second of another payload."""
    with bench(tmp_path_factory.mktemp("published")) as made:
        made.accept("alpha", requires=["beta>=1"], module="import beta\n\ndef main():\n    print(beta.VERSION)\n")
        made.accept("beta")
        made.build("alpha")
        made.patch("beta", "tiny.json", "VERSION = '1.0'", "VERSION = 'patched'")
        made.build("beta")
        made.rebuild("alpha==1.0")
        yield made


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", directory], check=True)
    return directory / "bin" / "python"


@pytest.fixture(scope="module")
def served(here: Bench) -> Iterator[str]:
    """The index as `pybuild serve` says it can be installed from."""
    with here.start("serve", "--port", "0") as server:
        assert server.stdout
        yield server.stdout.readline().split()[-2]
        os.kill(server.pid, signal.SIGINT)
        _, stderr = server.communicate(timeout=20)
    assert "Traceback" not in stderr, stderr


@pytest.fixture(params=["served", "files"])
def index_url(request: pytest.FixtureRequest, here: Bench, served: str) -> str:
    return served if request.param == "served" else (here.index.root / "simple").as_uri()


@pytest.fixture(params=["pip", "uv"])
def install(request: pytest.FixtureRequest, python: Path, tmp_path: Path) -> Install:
    commands = {
        "pip": [str(python), "-m", "pip", "install", "--no-input", "--only-binary=:all:"],
        "uv": [
            str(Path(sys.executable).with_name("uv")),
            "pip",
            "install",
            "--no-config",
            "--python",
            str(python),
            "--no-build",
        ],
    }
    environment = clean_environment(tmp_path)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [*commands[request.param], "--target", str(tmp_path / "site"), *arguments]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120)

    return run


def run_alpha(python: Path, site: Path) -> str:
    argv = [str(python), "-c", "import alpha; alpha.main()"]
    return subprocess.run(argv, env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=True).stdout


def test_a_package_with_its_dependency(install: Install, index_url: str, python: Path, tmp_path: Path) -> None:
    done = install(f"--index-url={index_url}", "alpha")
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    assert {path.name for path in site.glob("*.dist-info")} == {"alpha-1.0+pb.2.dist-info", "beta-1.0+pb.2.dist-info"}
    assert run_alpha(python, site) == "patched\n"


def test_an_older_number(install: Install, index_url: str, python: Path, tmp_path: Path) -> None:
    done = install(f"--index-url={index_url}", "alpha==1.0+pb.1", "beta==1.0+pb.1")
    assert done.returncode == 0, done.stderr
    assert run_alpha(python, tmp_path / "site") == "1.0\n"


def test_pinned_by_digest(install: Install, index_url: str, here: Bench, tmp_path: Path) -> None:
    lines = []
    for name in ("alpha", "beta"):
        wheel = here.pybuild("show", name, "--json").json["builds"][0]["wheels"][0]
        lines.append(f"{name}==1.0+pb.2 --hash=sha256:{wheel['wheel_sha256']}\n")
    requirements = tmp_path / "requirements.txt"
    arguments = f"--index-url={index_url}", "--require-hashes", "-r", str(requirements)
    requirements.write_text(re.sub("sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", "".join(lines)))
    assert install(*arguments).returncode != 0
    requirements.write_text("".join(lines))
    done = install(*arguments)
    assert done.returncode == 0, done.stderr


def test_the_line_that_a_build_ends_with_works_as_it_stands(here: Bench, python: Path, tmp_path: Path) -> None:
    said = here.pybuild("rebuild", "beta==1.0").stdout.splitlines()[-1]
    _, _, command = said.partition("install it with:")
    words = command.split()
    assert words[:2] == ["pip", "install"]
    argv = [str(python), "-m", *words, "--target", str(tmp_path / "site")]
    done = subprocess.run(argv, env=clean_environment(tmp_path), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_serving_where_nothing_was_published(tmp_path: Path) -> None:
    with bench(tmp_path) as empty:
        ran = empty.pybuild("serve", "--port", "0")
        assert ran.code == 2 and "nothing has been published" in ran.stderr


class TestIndexCommands:
    @pytest.fixture
    def built(self, tmp_path: Path) -> Iterator[Bench]:
        with bench(tmp_path) as made:
            made.accept("alpha")
            made.build("alpha")
            yield made

    def test_verify(self, built: Bench) -> None:
        ran = built.pybuild("index", "verify", "--json")
        assert (ran.code, ran.json) == (0, {"ok": True, "channel": "host", "problems": []})
        assert "sound" in built.pybuild("index", "verify").stderr

    def test_verify_finds_a_changed_wheel(self, built: Bench) -> None:
        [wheel] = built.index.root.glob("files/*.whl")
        wheel.chmod(0o644)
        wheel.write_bytes(wheel.read_bytes() + b"\0")
        ran = built.pybuild("index", "verify", "--json")
        assert ran.code == 50 and not ran.json["ok"]
        assert any(wheel.name in problem for problem in ran.json["problems"])

    def test_refresh_mends_pages(self, built: Bench) -> None:
        page = built.index.root / "simple" / "alpha" / "index.json"
        page.write_text("{")
        assert built.pybuild("index", "verify").code == 50
        ran = built.pybuild("index", "refresh", "--json")
        assert ran.code == 0 and ran.json["pages"]
        assert built.pybuild("index", "verify").code == 0
        assert built.pybuild("index", "refresh", "--json").json["pages"] == []

    def test_verify_of_nothing(self, tmp_path: Path) -> None:
        with bench(tmp_path) as empty:
            assert empty.pybuild("index", "verify").code == 0

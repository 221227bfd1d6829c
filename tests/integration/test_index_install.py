"""pip and uv install from the published index, served and as plain files, and from nowhere else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packaging.utils import NormalizedName
from packaging.version import Version

from tests.support.indexes import clean_environment, make_release, make_source, make_wheel, open_index, served, sha256

Install = Callable[..., subprocess.CompletedProcess[str]]

UV = str(Path(sys.executable).with_name("uv"))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six in two numbers, the older yanked; seven requires six; new needs a Python that does not exist yet."""
    state = tmp_path_factory.mktemp("state with space")
    index = open_index(state)
    sixes = [make_wheel(state, "six", f"1.17.0+pb.{number}", content=f"number = {number}\n") for number in (1, 2)]
    index.publish([make_release(six, source=make_source(state)) for six in sixes])
    index.yank({(NormalizedName("six"), Version("1.17.0+pb.1")): "old"})
    index.publish(
        [
            make_release(make_wheel(state, "my-seven", "1!7.0+cu126.pb.1", requires_dist=("six>=1.17",))),
            make_release(make_wheel(state, "new", "1.0+pb.1")),
            make_release(make_wheel(state, "new", "2.0+pb.1", requires_python=">=9")),
        ]
    )
    return state


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a virtual environment with the pip that Python brings along."""
    directory = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", directory], check=True)
    return directory / "bin" / "python"


@pytest.fixture(params=["served", "files"])
def index_url(request: pytest.FixtureRequest, state: Path) -> Iterator[str]:
    if request.param == "files":
        yield (state / "index" / "host" / "simple").as_uri()
    else:
        with served(state / "index") as url:
            yield f"{url}host/simple/"


@pytest.fixture(params=["pip", "uv"])
def install(request: pytest.FixtureRequest, python: Path, tmp_path: Path) -> Install:
    """Run an installer with these arguments into ``site``; it knows of no index that they do not name."""
    commands = {
        "pip": [str(python), "-m", "pip", "install", "--no-input"],
        "uv": [UV, "pip", "install", "--no-config", "--python", str(python)],
    }
    environment = clean_environment(tmp_path)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [*commands[request.param], "--only-binary=:all:", "--target", str(tmp_path / "site"), *arguments]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120)

    return run


def installed(site: Path) -> set[str]:
    return {path.name.removesuffix(".dist-info") for path in site.glob("*.dist-info")}


def test_a_plain_version_gets_the_newest_number(install: Install, index_url: str, tmp_path: Path) -> None:
    done = install(f"--index-url={index_url}", "six==1.17.0")
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "site") == {"six-1.17.0+pb.2"}
    assert (tmp_path / "site" / "six.py").read_text() == "number = 2\n"


def test_dependencies_come_along(install: Install, index_url: str, tmp_path: Path) -> None:
    done = install(f"--index-url={index_url}", "My_Seven")
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "site") == {"six-1.17.0+pb.2", "my_seven-1!7.0+cu126.pb.1"}


def test_a_yanked_number_can_be_asked_for(install: Install, index_url: str, tmp_path: Path) -> None:
    done = install(f"--index-url={index_url}", "six==1.17.0+pb.1")
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "site") == {"six-1.17.0+pb.1"}
    assert "yanked" in done.stderr


def test_requires_python_is_heeded(install: Install, index_url: str, tmp_path: Path) -> None:
    done = install(f"--index-url={index_url}", "new")
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "site") == {"new-1.0+pb.1"}


def test_nothing_comes_from_elsewhere(install: Install, index_url: str, tmp_path: Path) -> None:
    done = install(f"--index-url={index_url}", "attrs")
    assert done.returncode != 0
    assert not installed(tmp_path / "site")


@pytest.mark.parametrize("right", [True, False])
def test_pinned_hashes_are_checked(install: Install, index_url: str, state: Path, tmp_path: Path, right: bool) -> None:
    digest = sha256(state / "six-1.17.0+pb.2-py3-none-any.whl") if right else "0" * 64
    locked = tmp_path / "requirements.txt"
    locked.write_text(f"six==1.17.0+pb.2 --hash=sha256:{digest}\n")
    done = install(f"--index-url={index_url}", "--require-hashes", "-r", str(locked))
    assert (done.returncode == 0) is right, done.stderr
    assert installed(tmp_path / "site") == ({"six-1.17.0+pb.2"} if right else set())


def test_the_files_directory_serves_find_links(install: Install, state: Path, tmp_path: Path) -> None:
    files = state / "index" / "host" / "files"
    done = install("--no-index", f"--find-links={files}", "my-seven")
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "site") == {"six-1.17.0+pb.2", "my_seven-1!7.0+cu126.pb.1"}


def test_locking_reads_metadata_and_no_wheel(state: Path, tmp_path: Path) -> None:
    """PEP 658: uv resolves with hashes from the pages and the metadata files alone; here there are no wheels."""
    mirror = Path(shutil.copytree(state / "index" / "host", tmp_path / "mirror"))
    for wheel in (mirror / "files").glob("*.whl"):
        wheel.unlink()
    with served(tmp_path) as url:
        index = f"--default-index={url}mirror/simple/"
        done = subprocess.run(
            [UV, "pip", "compile", "--no-config", "--generate-hashes", "--no-header", index, "-"],
            input="my-seven",
            env=clean_environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert f"sha256:{sha256(state / 'six-1.17.0+pb.2-py3-none-any.whl')}" in done.stdout
    assert "my-seven==1!7.0+cu126.pb.1" in done.stdout

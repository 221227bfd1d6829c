"""Bad input to ``bootstrap``, each with its exit code and words that say what to do; and what is no bad input."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.indexes import make_wheel, sha256
from tests.support.sdists import make_sdist, pkg_info
from tests.support.workspaces import Bench, bench, tiny_files

NEW = "--accept-new"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def refused(here: Bench, *arguments: str, code: int, names: list[str]) -> str:
    """What is said of a failure; it names what it is about and says what to do."""
    ran = here.pybuild("bootstrap", NEW, *arguments)
    assert ran.code == code, ran.stderr
    for name in [*names, "  do: "]:
        assert name in ran.stderr, ran.stderr
    return ran.stderr


class TestRequirements:
    def test_one_that_does_not_exist(self, here: Bench) -> None:
        refused(here, "nowhere", code=30, names=["nowhere", "does not exist upstream", "spelled"])

    def test_one_that_does_not_exist_deep_down(self, here: Bench) -> None:
        here.sdist("alpha", requires=["beta"])
        here.sdist("beta", requires=["nowhere"])
        refused(here, "alpha", code=30, names=["nowhere", "does not exist upstream", "beta"])

    def test_a_build_requirement_that_does_not_exist(self, here: Bench) -> None:
        here.sdist("alpha", build_requires=["nowhere"])
        here.sdist("good")
        ran = here.bootstrap(NEW, "alpha", "good", code=30)
        assert ran.built() == ["good==1.0+pb.1"]
        [failure] = ran.json["failed"]
        assert failure["name"] == "alpha" and "nowhere" in failure["error"]

    def test_one_that_has_only_wheels(self, here: Bench) -> None:
        make_wheel(here.upstream.directory, "alpha", "1.0")
        refused(here, "alpha", code=30, names=["alpha has no version with a source", "specs/alpha.toml", "[source]"])

    def test_one_for_another_python(self, here: Bench) -> None:
        path = here.sdist("alpha", requires_python=">=4")
        here.upstream.requires_python = {path.name: ">=4"}
        refused(here, "alpha", code=30, names=["alpha", "Python >=4", "the target's Python is 3."])

    def test_an_older_version_for_this_python(self, here: Bench) -> None:
        here.sdist("alpha", "1.0")
        path = here.sdist("alpha", "2.0", requires_python=">=4")
        here.upstream.requires_python = {path.name: ">=4"}
        assert list(here.plan(NEW, "alpha")) == ["alpha==1.0"]

    def test_a_conflict_in_one_paragraph(self, here: Bench) -> None:
        here.sdist("alpha", requires=["multi<2"])
        here.sdist("beta", requires=["multi>=2"])
        for version in ("1.0", "2.0"):
            here.sdist("multi", version)
        said = refused(here, "alpha", "beta", code=30, names=["alpha wants multi<2", "beta wants multi>=2"])
        lines = said[said.index("pybuild: error:") :].splitlines()
        assert len(lines) == 2 and lines[1].startswith("  do: ")
        assert "127.0.0.1" not in said and "uv" not in lines[0].split()

    @pytest.mark.parametrize("argument", ["alpha ==", "alpha @ https://example.org/alpha.tar.gz", "-e."])
    def test_what_is_no_requirement_on_the_command_line(self, here: Bench, argument: str) -> None:
        assert here.pybuild("bootstrap", "--", argument).code in (2, 30)

    def test_nothing(self, here: Bench) -> None:
        ran = here.pybuild("bootstrap")
        assert ran.code == 2 and "name a requirement" in ran.stderr


class TestFiles:
    def write(self, here: Bench, text: str) -> None:
        (here.root / "requirements.txt").write_text(text)

    def test_comments_markers_and_other_files(self, here: Bench) -> None:
        for name in ("alpha", "beta"):
            here.sdist(name, "1.0")
            here.sdist(name, "2.0")
        self.write(here, "# what we want\nalpha # yes\nnowhere; sys_platform == 'win32'\n-r more.txt\n-c limits.txt\n")
        (here.root / "more.txt").write_text("beta \\\n  <2\n")
        (here.root / "limits.txt").write_text("alpha==1.0\n")
        assert list(here.plan(NEW, "-r", "requirements.txt")) == ["alpha==1.0", "beta==1.0"]

    @pytest.mark.parametrize(
        ("line", "name"),
        [
            ("alpha @ https://example.org/alpha.tar.gz", "URL"),
            ("https://example.org/alpha.tar.gz", "requirements.txt:2"),
            ("-e .", "requirements.txt:2"),
            ("alpha ==", "alpha =="),
            ("--index-url https://example.org", "--index-url"),
            ("-r nowhere.txt", "nowhere.txt"),
        ],
    )
    def test_a_line_that_is_not_taken(self, here: Bench, line: str, name: str) -> None:
        self.write(here, f"beta\n{line}\n")
        refused(here, "-r", "requirements.txt", code=3, names=["requirements.txt:2", name])

    def test_all_bad_lines_at_once(self, here: Bench) -> None:
        self.write(here, "-e .\nalpha\n==\n")
        refused(here, "-r", "requirements.txt", code=3, names=["requirements.txt:1", "requirements.txt:3"])

    def test_no_such_file(self, here: Bench) -> None:
        refused(here, "-r", "nowhere.txt", code=3, names=["there is no file nowhere.txt"])

    def test_the_right_hash(self, here: Bench) -> None:
        """Beside those of wheels, as pip freezes them."""
        digest = sha256(here.sdist("alpha"))
        self.write(here, f"alpha==1.0 \\\n  --hash=sha256:{'0' * 64} \\\n  --hash=sha256:{digest}\n")
        assert here.bootstrap(NEW, "-r", "requirements.txt").built() == ["alpha==1.0+pb.1"]

    def test_a_wrong_hash(self, here: Bench) -> None:
        here.sdist("alpha", build_requires=["tool"])
        here.sdist("tool")
        self.write(here, f"alpha==1.0 --hash=sha256:{'0' * 64}\n")
        ran = here.bootstrap(NEW, "-r", "requirements.txt", code=30)
        [failure] = ran.json["failed"]
        assert failure["name"] == "alpha" and "none of those that are asked for" in failure["error"]
        assert here.attempts("alpha") == []
        assert not (here.workspace / "specs" / "alpha.toml").exists(), "what was refused is pinned"

    def test_a_wrong_hash_in_a_constraints_file_and_of_a_plan(self, here: Bench) -> None:
        here.sdist("alpha")
        assert here.pybuild("bootstrap", NEW, "--plan", "alpha").code == 0
        self.write(here, f"alpha --hash=sha256:{'0' * 64}\n")
        for arguments in (["alpha", "-c", "requirements.txt"], ["--locked", "-r", "requirements.txt"]):
            [failure] = here.bootstrap(NEW, *arguments, code=30).json["failed"]
            assert "none of those that are asked for" in failure["error"]


def test_another_label_is_refused_before_anything_else(here: Bench) -> None:
    """Also where there is nothing to publish, and in a plan, which could not be followed."""
    here.accept("alpha")
    here.build("alpha")
    here.settings('label = "other"\n')
    for arguments in (["alpha"], ["--plan", "alpha"]):
        refused(here, *arguments, code=3, names=["under the label 'pb'", "--state"])


@pytest.mark.parametrize("kind", ["nothing", "a pipe", "a link to itself", "a directory"])
def test_no_plan_to_repeat(here: Bench, kind: str) -> None:
    plan = here.root / "graph.json"
    if kind == "a pipe":
        os.mkfifo(plan)
    elif kind == "a link to itself":
        plan.symlink_to(plan)
    elif kind == "a directory":
        plan.mkdir()
    refused(here, "--locked", code=2, names=["there is no file graph.json", "--plan"])


class TestBuilds:
    """A requirement with a number means that very build."""

    @pytest.fixture
    def twice(self, here: Bench) -> Bench:
        here.accept("alpha")
        here.build("alpha")
        here.build("alpha==1.0", command="rebuild")
        return here

    @pytest.mark.parametrize("number", [1, 2])
    def test_it_is_there(self, twice: Bench, number: int) -> None:
        asked = f"alpha==1.0+pb.{number}"
        assert twice.bootstrap(asked).cached() == [asked]
        assert twice.plan(asked).keys() == {asked}
        assert twice.bootstrap("--locked").cached() == [asked]
        (twice.root / "constraints.txt").write_text(f"{asked}\n")
        assert twice.bootstrap("alpha", "-c", "constraints.txt").cached() == [asked]

    def test_it_is_not_there(self, twice: Bench) -> None:
        refused(twice, "alpha==1.0+pb.7", code=30, names=["alpha has no build 1.0+pb.7", "pybuild history alpha"])

    def test_a_build_is_built_with_it(self, twice: Bench) -> None:
        twice.accept("gamma", build_requires=["alpha==1.0+pb.1"])
        assert twice.bootstrap("gamma").built() == ["gamma==1.0+pb.1"]
        assert twice.bootstrap("gamma").cached() == ["gamma==1.0+pb.1"]
        assert twice.build("gamma").cached() == ["gamma==1.0+pb.1"]
        assert twice.published("alpha") == ["1.0+pb.1", "1.0+pb.2"]


class TestSources:
    """A source that can't be built fails by itself; the rest of the tree is built."""

    def failure(self, here: Bench, *, code: int) -> dict[str, str]:
        here.sdist("good")
        ran = here.bootstrap(NEW, "alpha", "good", code=code)
        assert ran.built() == ["good==1.0+pb.1"]
        [failure] = ran.json["failed"]
        assert failure["name"] == "alpha"
        return dict(failure)

    @pytest.mark.parametrize(
        "text", ["[build-system", "[build-system]\nrequires = 'x'\n", "[build-system]\nrequires = ['a b']\n"]
    )
    def test_a_broken_pyproject_toml(self, here: Bench, text: str) -> None:
        files = tiny_files("alpha", "1.0") | {"pyproject.toml": text.encode()}
        make_sdist(here.upstream.directory, "alpha", "1.0", backend="none", files=files)
        assert "pyproject.toml is wrong: " in self.failure(here, code=10)["error"]

    def test_no_pyproject_toml_means_setuptools(self, here: Bench) -> None:
        make_sdist(
            here.upstream.directory,
            "alpha",
            "1.0",
            backend="setup.py",
            info=pkg_info("alpha", "1.0", metadata_version="2.2"),
        )
        here.sdist("setuptools", "70.0")
        nodes = here.plan(NEW, "alpha")
        assert [need["package"] for need in nodes["alpha==1.0"]["builds"]] == ["setuptools==70.0"]

    def test_no_archive(self, here: Bench) -> None:
        (here.upstream.directory / "alpha-1.0.tar.gz").write_bytes(b"no archive")
        assert self.failure(here, code=30)["phase"] == "fetch"

    def test_an_archive_of_something_else(self, here: Bench) -> None:
        make_sdist(here.upstream.directory, "alpha", "1.0", top="beta-1.0", backend="none", files={"PKG-INFO": b""})
        assert here.bootstrap(NEW, "alpha", code=30).json["failed"][0]["name"] == "alpha"

    def test_a_wheel_of_something_else(self, here: Bench) -> None:
        here.sdist("alpha", act="result = write_wheel(out, name='beta')")
        assert "the file name says beta 1.0, not alpha 1.0" in self.failure(here, code=10)["error"]

    def test_a_marker_that_means_nothing(self, here: Bench) -> None:
        here.sdist("alpha", requires=["beta; python_version ~= 'x'"])
        here.sdist("beta")
        assert here.pybuild("bootstrap", NEW, "alpha").code == 30

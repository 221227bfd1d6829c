"""``init``, ``new``, ``lint`` and ``doctor`` as people run them, over an upstream index of our own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sdists import make_sdist, pkg_info
from tests.support.upstream import Fault
from tests.support.workspaces import Bench, bench

C_SOURCE = {
    "setup.py": b"from setuptools import Extension, setup\nsetup(ext_modules=[Extension('alpha', ['alpha.c'])])\n",
    "alpha.c": b"#include <yaml.h>\n",
}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def test_init_makes_a_workspace_and_then_leaves_it_alone(here: Bench) -> None:
    there = here.root / "mine"
    made = here.pybuild("init", str(there), "--json")
    assert made.code == 0
    assert made.json["workspace"] == str(there)
    assert {"specs", "patches", "buildroots/host.toml", "pybuild.toml"} <= set(made.json["made"])
    (there / "pybuild.toml").write_text('label = "mine"\n')
    again = here.pybuild("init", str(there))
    assert (again.code, "already" in again.stdout) == (0, True)
    assert (there / "pybuild.toml").read_text() == 'label = "mine"\n'
    assert here.pybuild("-w", str(there), "lint").code == 0


class TestNew:
    def test_what_new_writes_can_be_built(self, here: Bench) -> None:
        here.sdist("alpha", "1.0")
        here.sdist("alpha", "1.1", requires=["beta>=1"], metadata=["Summary: Does alpha", "License-Expression: MIT"])
        here.sdist("beta")
        ran = here.pybuild("new", "alpha")
        assert ran.code == 0, ran.stderr
        text = (here.workspace / "specs" / "alpha.toml").read_text()
        assert "# Does alpha · MIT\n" in text and '"1.1" = { file = "alpha-1.1.tar.gz", sha256 = "' in text
        assert "wrote specs/alpha.toml: alpha 1.1, MIT" in ran.stdout
        assert "needs beta>=1 to install, which has no spec yet" in ran.stdout
        assert "do: pybuild new beta" in ran.stdout
        assert here.pybuild("new", "beta").code == 0
        assert here.build("alpha").built() == ["beta==1.0+pb.1", "alpha==1.1+pb.1"]
        assert (here.workspace / "specs" / "alpha.toml").read_text() == text

    def test_guesses_come_with_their_reasons(self, here: Bench) -> None:
        files = C_SOURCE | {"PKG-INFO": pkg_info("alpha", "1.0")}
        make_sdist(here.upstream.directory, "alpha", "1.0", backend="none", files=files)
        ran = here.pybuild("new", "--json", "alpha")
        (written,) = ran.json["written"]
        assert written["guessed"]["build"] == ["gcc", "libyaml-devel"]
        assert written["guessed"]["runtime"] == ["libyaml"]
        assert written["guessed"]["why"]["libyaml-devel"] == "<yaml.h> is included"
        assert written["missing"] == [{"name": "setuptools", "requirement": "setuptools>=40.8.0", "needed_to": "build"}]
        assert ran.json["missing"] == ["setuptools"]
        assert 'build = ["gcc", "libyaml-devel"]' in Path(written["spec"]).read_text()

    def test_packages_that_are_written_together_do_not_miss_each_other(self, here: Bench) -> None:
        here.sdist("alpha", requires=["beta", "gamma; python_version < '3'"])
        here.sdist("beta")
        ran = here.pybuild("new", "--json", "alpha", "Beta")
        assert [one["name"] for one in ran.json["written"]] == ["alpha", "beta"]
        assert ran.json["missing"] == []

    @pytest.mark.parametrize(
        ("requirement", "version"),
        [("alpha", "2.0"), ("alpha<2", "1.0"), ("alpha==3.0b1", "3.0b1"), ("alpha==4.0", "4.0")],
    )
    def test_which_version(self, here: Bench, requirement: str, version: str) -> None:
        for one in ("1.0", "2.0", "3.0b1", "4.0", "5.0"):
            here.sdist("alpha", one)
        here.upstream.yanked["alpha-4.0.tar.gz"] = "broken"
        here.upstream.requires_python["alpha-5.0.tar.gz"] = ">=4"
        assert here.pybuild("new", "--json", requirement).json["written"][0]["version"] == version

    def test_what_is_there_is_left_as_it_is(self, here: Bench) -> None:
        here.accept("alpha", spec="# mine\n")
        here.sdist("beta")
        ran = here.pybuild("new", "alpha", "beta")
        assert ran.code == 2
        assert "alpha has a spec" in ran.stderr and "specs/alpha.toml" in ran.stderr
        assert (here.workspace / "specs" / "alpha.toml").read_text() == 'name = "alpha"\n# mine\n'
        assert (here.workspace / "specs" / "beta.toml").is_file()

    @pytest.mark.parametrize(
        ("requirement", "code", "words"),
        [
            ("nobody", 30, ["no project 'nobody'", "check the name"]),
            ("wheely", 30, ["no source archive of wheely, only wheels", "type git or url"]),
            ("alpha>=9", 30, ["no source archive of alpha>=9", "its newest are 1.0"]),
            ("../x", 2, ["'../x' is no requirement"]),
            ("alpha @ https://example.org/a.tar.gz", 2, ["names a URL", "[source]"]),
        ],
    )
    def test_refused(self, here: Bench, requirement: str, code: int, words: list[str]) -> None:
        here.sdist("alpha")
        (here.upstream.directory / "wheely-1.0-py3-none-any.whl").write_bytes(b"")
        ran = here.pybuild("new", requirement)
        assert ran.code == code
        assert all(word in ran.stderr for word in words), ran.stderr
        assert "  do: " in ran.stderr
        assert list((here.workspace / "specs").iterdir()) == []

    def test_a_source_that_is_not_what_the_index_says(self, here: Bench) -> None:
        size = here.sdist("alpha").stat().st_size
        here.upstream.faults["alpha-1.0.tar.gz"] = Fault(content=b"x" * size)
        ran = here.pybuild("new", "--json", "alpha")
        assert ran.code == 30
        assert "sha256" in ran.json["failed"][0]["what"]
        assert list((here.workspace / "specs").iterdir()) == []
        assert list(here.state.glob("store/sources/*")) == []


class TestLint:
    def test_every_problem_and_its_place(self, here: Bench) -> None:
        here.spec("alpha", "[biuld]\n")
        here.spec("beta", '[[patches]]\nfile = "no.patch"\n')
        ran = here.pybuild("lint")
        assert ran.code == 3
        assert "specs/alpha.toml:2:1 [biuld]: unknown key 'biuld'; did you mean 'build'?" in ran.stdout
        assert "specs/beta.toml:3:1 [[patches]][0].file: there is no file patches/beta/no.patch" in ran.stdout
        assert ran.stderr.splitlines()[-1] == "2 problems"
        document = here.pybuild("lint", "--json").json
        assert (document["ok"], len(document["problems"])) == (False, 2)
        assert set(document["problems"][0]) == {"phase", "what", "where", "do"}
        assert here.pybuild("lint", "gamma", "--json").json["problems"][0]["what"] == "gamma has no spec"

    def test_sound(self, here: Bench) -> None:
        here.spec("alpha")
        ran = here.pybuild("lint", "--json")
        assert (ran.code, ran.json) == (0, {"ok": True, "problems": [], "warnings": []})
        assert not here.upstream.requests

    def test_the_schema(self, here: Bench) -> None:
        schema = here.pybuild("lint", "--schema").json
        assert schema["$schema"].endswith("2020-12/schema") and "override" in schema["properties"]

    def test_apply_fetches_all_and_tries_the_patches(self, here: Bench) -> None:
        for name in ("alpha", "beta", "gamma", "delta"):
            here.sdist(name)
            assert here.pybuild("new", name).code == 0
        here.patch("alpha", "tiny.json", "VERSION", "OTHER")
        wrong = here.patch("beta", "tiny.json", "VERSION", "OTHER")
        wrong.write_text(wrong.read_text().replace('"module"', '"modul"'))
        (here.upstream.directory / "gamma-1.0.tar.gz").unlink()
        spec = here.workspace / "specs" / "delta.toml"
        spec.write_text(spec.read_text().replace('sha256 = "', 'sha256 = "0000')[: -len('0000" }\n')] + '" }\n')
        for source in here.state.glob("store/sources/*/*"):
            source.unlink()
            source.parent.rmdir()
        ran = here.pybuild("lint", "--apply", "--json")
        assert ran.code == 3
        beta, delta, gamma = ran.json["problems"]
        assert "0001-change.patch: hunk at line" in beta["what"] and "tiny.json" in beta["what"]
        assert "sha256 mismatch of delta-1.0.tar.gz" in delta["what"]
        assert "gamma" in gamma["what"]
        assert [problem["phase"] for problem in (beta, delta, gamma)] == ["spec", "fetch", "fetch"]
        assert here.pybuild("lint", "--apply", "alpha").code == 0
        assert here.pybuild("lint", "--apply", "gamma").code == 30
        assert list(here.state.glob("work/*")) == []

    def test_a_problem_that_both_passes_see_is_told_once(self, here: Bench) -> None:
        here.sdist("alpha")
        assert here.pybuild("new", "alpha").code == 0
        spec = here.workspace / "specs" / "alpha.toml"
        spec.write_text(spec.read_text().replace("[versions]", '[[patches]]\nfile = "no.patch"\n\n[versions]'))
        assert len(here.pybuild("lint", "--apply", "--json").json["problems"]) == 1


class TestDoctor:
    def test_this_machine(self, here: Bench) -> None:
        ran = here.pybuild("doctor", "--json")
        checks = {check["name"]: check for check in ran.json["checks"]}
        assert (ran.code, ran.json["ok"]) == (0, True), ran.stdout
        assert "own cgroup, ipc, mnt, net, pid, user, uts namespaces" in checks["sealed start"]["found"]
        assert here.upstream.index in checks["upstream index"]["found"]
        assert "pybuild.toml" in checks["upstream index"]["found"]
        assert not here.upstream.requests
        assert not here.state.exists()

    def test_without_tools(self, here: Bench) -> None:
        here.environ["PATH"] = "/nonexistent"
        ran = here.pybuild("doctor")
        assert ran.code == 20
        assert "the program 'bwrap' is missing" in ran.stdout and "install bubblewrap" in ran.stdout
        assert "the program 'git' is missing" in ran.stdout
        assert ran.stdout.splitlines()[-1] == "the host buildroot does not work"

    def test_outside_of_a_workspace_and_with_credentials(self, here: Bench) -> None:
        here.environ["PIP_INDEX_URL"] = "https://somebody:secret@example.org/simple"
        ran = here.pybuild("-w", str(here.root), "doctor")
        assert ran.code == 0, ran.stdout + ran.stderr
        assert "example.org/simple (told by PIP_INDEX_URL)" in ran.stdout
        assert "secret" not in ran.stdout + ran.stderr

    def test_a_state_of_somebody_elses(self, here: Bench) -> None:
        here.state.mkdir()
        (here.state / "owner.json").write_text(json.dumps({"uid": 4242, "id_map": []}))
        ran = here.pybuild("doctor")
        assert ran.code == 20
        assert "4242" in ran.stdout

"""What a build needs is resolved, built first, or asked for; sources of every kind; pins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pybuilder.state import State
from tests.support.git import git, repository
from tests.support.sdists import make_sdist, tar_bytes
from tests.support.workspaces import Bench, Ran, bench, plan_of, tiny_files


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def environment(here: Bench, ran: Ran, name: str) -> dict[str, str]:
    """The versions in the environment that a package was built in."""
    [build] = [build for build in ran.json["built"] if build["name"] == name]
    return {item["name"]: item["version"] for item in plan_of(here.state, build)["environment"]}


class TestBuildRequirements:
    def test_static_ones_several_levels_deep(self, here: Bench) -> None:
        here.accept("alpha", build_requires=["beta>=1"], act="import beta")
        here.accept("beta", build_requires=["gamma"], requires=["delta"], act="import gamma")
        here.accept("gamma")
        here.accept("delta")
        ran = here.build("alpha")
        assert [build.partition("==")[0] for build in ran.built()] == ["delta", "gamma", "beta", "alpha"]
        # What beta was built with is no part of what alpha is built with; what it requires is.
        assert environment(here, ran, "alpha") == {"beta": "1.0", "delta": "1.0"}

    def test_dynamic_ones_cost_a_second_start_once(self, here: Bench) -> None:
        tell = "print('in the tree:', *open('hooks.txt').read().split(), flush=True)"
        here.accept("alpha", dynamic=["beta"], act=f"import beta\n{tell}")
        here.accept("beta")
        ran = here.build("alpha")
        assert environment(here, ran, "alpha") == {"beta": "1.0"}
        [log] = [Path(b["wheels"][0]["log"]) for b in ran.json["built"] if b["name"] == "alpha"]
        assert log.read_text().count("the backend also wants beta") == 1
        # Each hook once (PEP 517), in this order, over one tree.
        assert re.findall("^hook (.*)", log.read_text(), re.MULTILINE) == ["requires", "wheel"]
        assert "in the tree: requires wheel" in log.read_text()
        [again] = here.rebuild("alpha==1.0").json["built"]
        known = Path(again["wheels"][0]["log"]).read_text()
        assert "also wants" not in known
        assert re.findall("^hook (.*)", known, re.MULTILINE) == ["requires", "wheel"]
        assert here.build("alpha").cached() == ["alpha==1.0+pb.2"]

    def test_dynamic_ones_that_are_there_already_cost_nothing(self, here: Bench) -> None:
        here.accept("alpha", build_requires=["beta"], dynamic=["beta>=0.5"])
        here.accept("beta")
        ran = here.build("alpha")
        [log] = [Path(b["wheels"][0]["log"]) for b in ran.json["built"] if b["name"] == "alpha"]
        assert "also wants" not in log.read_text()

    def test_a_spec_adds_and_removes(self, here: Bench) -> None:
        here.accept(
            "alpha",
            build_requires=["nowhere"],
            spec='[build]\nadd-requires = ["beta"]\nremove-requires = ["nowhere"]\n',
        )
        here.accept("beta")
        assert environment(here, here.build("alpha"), "alpha") == {"beta": "1.0"}

    def test_a_marker_that_is_false_needs_nothing(self, here: Bench) -> None:
        here.accept("alpha", build_requires=["nowhere; python_version < '3'"], requires=["else; sys_platform == 'x'"])
        assert here.build("alpha").built() == ["alpha==1.0+pb.1"]

    def test_a_marker_without_meaning_is_told_with_whose_it_is(self, here: Bench) -> None:
        here.accept("alpha", build_requires=["beta"])
        here.accept("beta", requires=["gamma; os_name ~= 'x'"])
        ran = here.pybuild("build", "alpha")
        assert ran.code == 30 and "a requirement of beta 1.0 can't be met: the marker of 'gamma; os_name" in ran.stderr

    def test_extras(self, here: Bench) -> None:
        here.accept("alpha", build_requires=["beta[fast]"], act="import gamma")
        metadata = ["Provides-Extra: fast", "Provides-Extra: slow"]
        requires = ["gamma; extra == 'fast'", "nowhere; extra == 'slow'"]
        here.accept("beta", requires=requires, metadata=metadata)
        here.accept("gamma")
        assert environment(here, here.build("alpha"), "alpha") == {"beta": "1.0", "gamma": "1.0"}

    def test_a_number_selects_that_builds_payload(self, here: Bench) -> None:
        here.accept("beta", act="FACTS['module'] = __import__('os').environ.get('WHAT', 'one = 1') + '\\n'")
        [first] = here.build("beta").json["built"]
        here.spec("beta", '[build]\nenv = { WHAT = "two = 2" }\n')
        here.build("beta")
        here.accept("alpha", spec='[build]\nadd-requires = ["beta==1.0+pb.1"]\n', act="from beta import one")
        [alpha] = here.build("alpha").json["built"]
        [ingredient] = plan_of(here.state, alpha)["environment"]
        assert ingredient["payload"] == first["wheels"][0]["payload_sha256"]
        here.spec("alpha", '[build]\nadd-requires = ["beta==1.0+pb.2"]\n')
        ran = here.build("alpha", code=10)
        assert "cannot import name 'one'" in ran.json["failed"][0]["error"]

    def test_a_package_that_builds_itself(self, here: Bench) -> None:
        """flit-core and setuptools name no requirement, and take themselves from their source (backend-path)."""
        here.accept("alpha", build_requires=["beta"])
        here.accept("beta", act="import tiny_backend")
        assert environment(here, here.build("alpha"), "alpha") == {"beta": "1.0"}

    def test_a_published_one_is_taken_though_its_environment_has_moved(self, here: Bench) -> None:
        """Satisfied, if stale: only naming a package builds it again."""
        here.accept("alpha", build_requires=["beta"])
        here.accept("beta", build_requires=["gamma"], act="import gamma; FACTS['module'] = f'g = {gamma.VERSION}\\n'")
        here.accept("gamma")
        here.build("alpha")
        here.accept("gamma", "2.0", spec="[versions]\n")
        here.build("gamma==2.0")
        assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]
        assert here.outcomes("beta") == ["succeeded"]
        assert here.build("beta").built() == ["beta==1.0+pb.2"]
        # Now its payload is another, and so is what alpha is built with.
        here.build("alpha")
        assert here.outcomes("alpha") == ["succeeded", "succeeded"]

    def test_one_whose_recipe_has_changed_is_built_first(self, here: Bench) -> None:
        here.accept("alpha", build_requires=["beta"], act="from beta import NEW")
        here.accept("beta")
        assert "cannot import name 'NEW'" in here.build("alpha", code=10).json["failed"][0]["error"]
        here.patch("beta", "tiny.json", "VERSION = ", "NEW = ")
        assert here.build("alpha").built() == ["beta==1.0+pb.2", "alpha==1.0+pb.1"]


class TestWhatCanNotBe:
    def test_a_cycle_is_named(self, here: Bench) -> None:
        here.accept("alpha", build_requires=["beta"])
        here.accept("beta", build_requires=["gamma"])
        here.accept("gamma", build_requires=["alpha"])
        ran = here.build("alpha", code=3)
        [failure] = ran.json["failed"]
        assert "alpha 1.0 needs beta 1.0 needs gamma 1.0 needs alpha 1.0" in failure["error"]
        assert "[prebuilt] reason" in here.pybuild("build", "alpha").stderr
        here.check_sound()

    def test_a_dynamic_cycle_is_named(self, here: Bench) -> None:
        here.accept("alpha", dynamic=["beta"])
        here.accept("beta", dynamic=["alpha"])
        ran = here.build("alpha", code=3)
        assert "alpha 1.0 needs beta 1.0 needs alpha 1.0" in ran.json["failed"][0]["error"]
        here.check_sound()

    def test_a_conflict_says_who_wants_what(self, here: Bench) -> None:
        here.accept("alpha", build_requires=["beta", "gamma"])
        here.accept("beta", requires=["delta<2"])
        here.accept("gamma", requires=["delta>=2"])
        here.accept("delta")
        here.sdist("delta", "2.0")
        ran = here.build("alpha", code=30)
        error = ran.json["failed"][0]["error"]
        assert "beta==1.0 wants delta<2" in error and "gamma==1.0 wants delta>=2" in error

    def test_no_version_satisfies(self, here: Bench) -> None:
        here.accept("alpha", build_requires=["beta>=3"])
        here.accept("beta", "2.0")
        assert "the build of alpha 1.0 wants beta>=3" in here.build("alpha", code=30).json["failed"][0]["error"]
        asked = here.pybuild("build", "beta==7")
        assert asked.code == 30
        assert "no version of beta satisfies 'beta==7'" in asked.stderr and "2.0" in asked.stderr

    def test_a_backend_that_never_has_enough_is_asked_once(self, here: Bench) -> None:
        hook = "\ndef get_requires_for_build_wheel(settings=None):\n    from importlib.util import find_spec\n"
        hook += "    return ['gamma'] if find_spec('beta') else ['beta']\n"
        here.accept("alpha")
        here.accept("beta")
        here.accept("gamma", requires=["delta"])
        here.accept("delta")
        files = tiny_files("alpha", "1.0")
        files["tiny_backend.py"] = files["tiny_backend.py"] + hook.encode()
        make_sdist(here.upstream.directory, "alpha", "1.0", backend="none", files=files)
        assert environment(here, here.build("alpha"), "alpha") == {"beta": "1.0"}
        here.check_sound()


class TestInstallRequirements:
    def test_they_are_built_and_published_first(self, here: Bench) -> None:
        here.accept("alpha", requires=["beta>=1"], module="import beta\n")
        here.accept("beta", requires=["gamma"], module="import gamma\n")
        here.accept("gamma")
        assert here.build("alpha").built() == ["gamma==1.0+pb.1", "beta==1.0+pb.1", "alpha==1.0+pb.1"]

    def test_a_cycle_is_validated_and_published_as_one(self, here: Bench) -> None:
        here.accept("alpha", requires=["beta"], module="import beta\n")
        here.accept("beta", requires=["alpha"], module="import importlib.util as u\nassert u.find_spec('alpha')\n")
        assert sorted(here.build("alpha").built()) == ["alpha==1.0+pb.1", "beta==1.0+pb.1"]
        assert here.build("beta").cached() == ["beta==1.0+pb.1"]
        here.check_sound()

    def test_of_a_cycle_with_a_broken_member_nothing_is_published(self, here: Bench) -> None:
        here.accept("alpha", requires=["beta"])
        here.accept("beta", requires=["alpha"], module="raise RuntimeError('broken')\n")
        ran = here.build("alpha", code=50)
        assert ran.json["failed"][0]["name"] == "beta"
        assert (here.published("alpha"), here.published("beta")) == ([], [])
        here.spec("beta", '[test]\nimports = ["json"]\n')
        assert sorted(here.build("alpha").built()) == ["alpha==1.0+pb.1", "beta==1.0+pb.1"]
        assert here.outcomes("beta") == ["succeeded"]

    def test_what_the_wheel_says_counts_in_the_end(self, here: Bench) -> None:
        """A PKG-INFO that lied about static metadata costs a second look and no more."""
        lie = "FACTS['metadata'] = ['Requires-Dist: beta']"
        here.accept("alpha", act=lie, module="import beta\n")
        here.accept("beta")
        assert here.build("alpha").built() == ["beta==1.0+pb.1", "alpha==1.0+pb.1"]
        assert here.outcomes("alpha") == ["succeeded"]


class TestVersions:
    def test_the_newest_that_may_be_taken(self, here: Bench) -> None:
        here.accept("alpha", "1.0")
        for version in ("1.1", "1.2", "2.0", "2.1.dev1", "3.0rc1"):
            here.sdist("alpha", version)
        here.upstream.yanked["alpha-2.0.tar.gz"] = "broken"
        here.upstream.requires_python["alpha-1.2.tar.gz"] = ">=4"
        assert here.build("alpha").built() == ["alpha==1.1+pb.1"]

    def test_what_is_asked_for_by_name(self, here: Bench) -> None:
        here.accept("alpha", "1.0")
        here.sdist("alpha", "2.0")
        here.sdist("alpha", "3.0rc1")
        here.upstream.yanked["alpha-2.0.tar.gz"] = "broken"
        ran = here.build("alpha==2.0", "alpha==3.0rc1", "alpha<2")
        assert sorted(ran.built()) == ["alpha==1.0+pb.1", "alpha==2.0+pb.1", "alpha==3.0rc1+pb.1"]

    def test_a_pinned_version_comes_before_a_newer_one(self, here: Bench) -> None:
        here.accept("alpha", "1.0")
        here.build("alpha")
        here.sdist("alpha", "2.0")
        assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]
        assert here.build("alpha>1").built() == ["alpha==2.0+pb.1"]
        assert here.build("alpha").cached() == ["alpha==2.0+pb.1"]

    def test_a_prerelease_where_there_is_nothing_else(self, here: Bench) -> None:
        here.accept("alpha", "1.0b1")
        assert here.build("alpha").built() == ["alpha==1.0b1+pb.1"]

    @pytest.mark.parametrize(
        ("rules", "expected"),
        [
            ('allow = "<2"', "1.5"),
            ('ignore = ["3.0"]', "2.0"),
            ('series = ["1.*"]', "1.5"),
            ("prereleases = true", "4.0a1"),
        ],
    )
    def test_the_specs_rules(self, here: Bench, rules: str, expected: str) -> None:
        here.accept("alpha", "1.5", spec=f"[update]\n{rules}\n")
        for version in ("2.0", "3.0", "4.0a1"):
            here.sdist("alpha", version)
        assert here.build("alpha").built() == [f"alpha=={expected}+pb.1"]

    def test_a_source_for_another_python(self, here: Bench) -> None:
        here.accept("alpha", requires_python=">=4")
        ran = here.build("alpha", code=30)
        assert "alpha 1.0 needs Python >=4" in ran.json["failed"][0]["error"]


class TestPins:
    def test_a_file_that_was_replaced_upstream(self, here: Bench) -> None:
        here.accept("alpha")
        here.build("alpha")
        here.sdist("alpha", module="evil = 1\n")
        for directory in (here.state / "store" / "sources").iterdir():
            for file in directory.iterdir():
                file.unlink()
            directory.rmdir()
        # The channel has it and its recipe is the same, so it is satisfied; building it again is another matter.
        ran = here.rebuild("alpha==1.0", code=30)
        error = ran.json["failed"][0]["error"]
        assert "mismatch" in error and "alpha-1.0.tar.gz" in error
        assert list((here.state / "store" / "sources").iterdir()) == []
        assert list((here.state / "downloads").iterdir()) == []
        here.check_sound()

    def test_a_spec_that_pins_another_digest(self, here: Bench) -> None:
        here.accept("alpha", spec=f'[versions]\n"1.0" = {{ file = "alpha-1.0.tar.gz", sha256 = "{"0" * 64}" }}\n')
        ran = here.pybuild("build", "alpha")
        assert ran.code == 30
        assert "0000" in ran.stderr and "alpha-1.0.tar.gz" in ran.stderr
        assert not list(here.state.glob("store/sources/*"))

    def test_a_state_that_saw_another_digest(self, here: Bench) -> None:
        here.accept("alpha")
        here.build("alpha")
        here.sdist("alpha", module="evil = 1\n")
        here.spec("alpha", f'[versions]\n"1.0" = {{ file = "alpha-1.0.tar.gz", sha256 = "{"1" * 64}" }}\n')
        ran = here.pybuild("build", "alpha")
        assert ran.code == 30
        assert "first seen as" in ran.stderr and "specs/alpha.toml" in ran.stderr

    def test_a_workspace_that_can_not_be_written_is_pinned_in_the_state(self, here: Bench, tmp_path: Path) -> None:
        """The pin of the state alone is enough to see that upstream has replaced a file."""
        here.accept("alpha")
        with closing(State.open(here.layout)) as state:
            state.add_pin("alpha", "1.0", {"file": "alpha-1.0.tar.gz", "sha256": "2" * 64}, now="2026-01-01T00:00:00Z")
        ran = here.build("alpha", code=30)
        assert "2222" in ran.json["failed"][0]["error"]


class TestSourcesOfOtherKinds:
    def source(self, here: Bench, **facts: Any) -> dict[str, bytes]:
        files = tiny_files("alpha", "1.0", **facts)
        here.sources["alpha"] = files
        return files

    def test_git(self, here: Bench) -> None:
        repo = here.root / "repo"
        commit = repository(repo, self.source(here), tag="v1.0")
        here.spec("alpha", f'[source]\ntype = "git"\nurl = "{repo.as_uri()}"\ntag = "v{{version}}"\n')
        ran = here.build("alpha==1.0")
        assert ran.built() == ["alpha==1.0+pb.1"]
        assert commit in (here.workspace / "specs" / "alpha.toml").read_text()
        git(repo, "tag", "--delete", "v1.0")
        assert here.build("alpha==1.0").cached() == ["alpha==1.0+pb.1"]
        assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]

    def test_git_whose_tag_is_missing(self, here: Bench) -> None:
        repo = here.root / "repo"
        repository(repo, self.source(here))
        here.spec("alpha", f'[source]\ntype = "git"\nurl = "{repo.as_uri()}"\ntag = "v{{version}}"\n')
        assert "v1.0" in here.build("alpha==1.0", code=30).json["failed"][0]["error"]

    def test_git_without_a_version(self, here: Bench) -> None:
        repo = here.root / "repo"
        repository(repo, self.source(here), tag="v1.0")
        here.spec("alpha", f'[source]\ntype = "git"\nurl = "{repo.as_uri()}"\ntag = "v{{version}}"\n')
        ran = here.pybuild("build", "alpha")
        assert ran.code == 30 and "alpha" in ran.stderr

    def test_url(self, here: Bench) -> None:
        here.sdist("alpha")
        url = f"{here.upstream.root}/files/{{name}}-{{version}}.tar.gz"
        here.spec("alpha", f'[source]\ntype = "url"\nurl = "{url}"\n')
        assert here.build("alpha==1.0").built() == ["alpha==1.0+pb.1"]
        assert here.upstream.asked("/simple/alpha/") == []

    def test_path_is_never_pinned_and_always_what_is_there(self, here: Bench) -> None:
        repository(here.workspace / "src" / "alpha", self.source(here))
        here.spec("alpha", '[source]\ntype = "path"\npath = "src/{name}"\n')
        assert here.build("alpha==1.0").built() == ["alpha==1.0+pb.1"]
        repository(here.workspace / "src" / "alpha", self.source(here, module="new = 1\n"))
        assert here.build("alpha==1.0").built() == ["alpha==1.0+pb.2"]
        assert "versions" not in (here.workspace / "specs" / "alpha.toml").read_text()

    def test_a_subdirectory(self, here: Bench) -> None:
        content = {f"python/{path}": data for path, data in self.source(here).items()}
        (here.upstream.directory / "alpha-1.0.tar").write_bytes(tar_bytes(content, top="alpha-1.0"))
        url = f"{here.upstream.root}/files/alpha-1.0.tar"
        here.spec("alpha", f'[source]\ntype = "url"\nurl = "{url}"\nsubdirectory = "python"\n')
        assert here.build("alpha==1.0").built() == ["alpha==1.0+pb.1"]


def test_what_installs_by_url_is_refused(here: Bench) -> None:
    here.accept("alpha", requires=["beta @ https://localhost/beta-1.0.tar.gz"])
    here.accept("beta")
    [failure] = here.build("alpha", code=30).json["failed"]
    assert "a requirement of alpha 1.0 can't be met" in failure["error"] and "names a URL" in failure["error"]
    assert here.published("alpha") == here.published("beta") == []

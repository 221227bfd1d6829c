"""What ``bootstrap`` puts into a tree: one joint resolution, then the build environments, and what the specs say."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.indexes import make_wheel
from tests.support.workspaces import Bench, bench, plan_of

NEW = "--accept-new"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def publish(here: Bench, **versions: str | list[str]) -> None:
    """Sources without requirements, by name; underscores stand for hyphens."""
    for name, several in versions.items():
        for version in [several] if isinstance(several, str) else several:
            here.sdist(name.replace("_", "-"), version)


def edges(node: Any, kind: str) -> dict[str, str]:
    """The requirements of a node, each with the package that satisfies it."""
    return {need["requirement"]: need["package"] for need in node[kind]}


class TestWhatCounts:
    def test_extras_bring_what_they_name(self, here: Bench) -> None:
        here.sdist("alpha", requires=["socks>=1; extra == 'proxy'", "other; extra == 'not-asked'"])
        publish(here, socks="1.0")
        assert list(here.plan(NEW, "alpha")) == ["alpha==1.0"]
        nodes = here.plan(NEW, "alpha[proxy]")
        assert list(nodes) == ["alpha==1.0", "socks==1.0"]
        assert edges(nodes["alpha==1.0"], "installs") == {'socks>=1; extra == "proxy"': "socks==1.0"}
        assert nodes["alpha==1.0"]["closure"] == ["alpha==1.0", "socks==1.0"]

    def test_an_extra_that_brings_another(self, here: Bench) -> None:
        here.sdist("alpha", requires=["alpha[proxy]; extra == 'all'", "socks; extra == 'proxy'"])
        publish(here, socks="1.0")
        assert here.bootstrap(NEW, "alpha[all]").built() == ["socks==1.0+pb.1", "alpha==1.0+pb.1"]
        assert here.plan(NEW, "alpha[all]")["alpha==1.0"]["extras"] == ["all", "proxy"]

    def test_extras_of_what_is_required_and_of_what_builds(self, here: Bench) -> None:
        here.sdist("alpha", requires=["beta[fast]"], build_requires=["tool[toml]"])
        here.sdist("beta", requires=["gamma; extra == 'fast'"])
        here.sdist("tool", requires=["delta; extra == 'toml'"])
        publish(here, gamma="1.0", delta="1.0")
        nodes = here.plan(NEW, "alpha")
        assert list(nodes) == [f"{name}==1.0" for name in ("alpha", "beta", "delta", "gamma", "tool")]
        assert nodes["alpha==1.0"]["environment"] == ["delta==1.0", "tool==1.0"]

    def test_a_false_marker_leaves_out_whatever_states_it(self, here: Bench) -> None:
        nowhere = 'nowhere; sys_platform == "win32"'
        here.sdist("alpha", requires=[nowhere], build_requires=["nowhere; python_version < '3'"])
        assert list(here.plan(NEW, "alpha", nowhere)) == ["alpha==1.0"]

    def test_what_has_no_effect_is_told(self, here: Bench) -> None:
        here.sdist("alpha", requires=["gamma; extra == 'fast'"])
        publish(here, gamma="1.0")
        ran = here.pybuild("bootstrap", NEW, "--plan", "alpha[fast,quick]", "nowhere; sys_platform == 'win32'")
        assert ran.code == 0
        assert "pybuild: the extra 'quick' of alpha 1.0 adds nothing" in ran.stderr and "'fast'" not in ran.stderr
        assert "pybuild: left out by marker on " in ran.stderr and 'nowhere; sys_platform == "win32"' in ran.stderr

    @pytest.mark.parametrize("wrong", [" @ https://localhost/beta.tar.gz", "; os_name ~= 'x'"])
    def test_what_can_t_be_met_is_told_with_whose_it_is_and_patched(self, here: Bench, wrong: str) -> None:
        here.accept("alpha", requires=[f"beta{wrong}"])
        here.accept("beta")
        ran = here.pybuild("bootstrap", "--plan", "alpha")
        assert ran.code == 30 and "a requirement of alpha 1.0 can't be met: " in ran.stderr
        assert "do: patch the files of its source that state it (patches/alpha/)" in ran.stderr
        here.patch("alpha", "PKG-INFO", wrong, "").rename(here.workspace / "patches" / "alpha" / "0002.patch")
        here.patch("alpha", "tiny.json", wrong, "")
        assert set(here.bootstrap("alpha").built()) == {"alpha==1.0+pb.1", "beta==1.0+pb.1"}

    def test_only_false_markers(self, here: Bench) -> None:
        assert here.plan(NEW, 'nowhere; sys_platform == "win32"') == {}


@pytest.mark.parametrize("static", [True, False])
def test_a_conflict_that_a_wheel_makes_up_is_none(here: Bench, static: bool) -> None:
    """The source is asked, or its backend, before it is told."""
    here.sdist("alpha", requires=["beta"], static=static)
    here.sdist("beta")
    here.upstream.core_metadata = "core"
    wheel = here.upstream.directory / "alpha-1.0-py3-none-any.whl"
    wheel.write_bytes(b"none")
    said = "Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\nRequires-Dist: nowhere\n"
    wheel.with_name(f"{wheel.name}.metadata").write_text(said)
    assert list(here.plan(NEW, "alpha")) == ["alpha==1.0", "beta==1.0"]


class TestOneVersion:
    """A requirement that bounds a package and one that does not get one version of it."""

    def test_where_both_install(self, here: Bench) -> None:
        here.sdist("alpha", requires=["multi"])
        here.sdist("beta", requires=["multi<7"])
        publish(here, multi=["6.0", "7.0"])
        assert list(here.plan(NEW, "alpha", "beta")) == ["alpha==1.0", "beta==1.0", "multi==6.0"]

    def test_where_both_build(self, here: Bench) -> None:
        here.sdist("alpha", build_requires=["multi"])
        here.sdist("beta", build_requires=["multi<7"])
        publish(here, multi=["6.0", "7.0"])
        assert list(here.plan(NEW, "alpha", "beta")) == ["alpha==1.0", "beta==1.0", "multi==6.0"]

    def test_where_the_bounded_one_is_found_last(self, here: Bench) -> None:
        here.sdist("alpha", build_requires=["multi"])
        here.sdist("beta", build_requires=["gamma"])
        here.sdist("gamma", build_requires=["delta"])
        here.sdist("delta", build_requires=["multi<7"])
        publish(here, multi=["6.0", "7.0"])
        nodes = here.plan(NEW, "alpha", "beta")
        assert [package for package in nodes if package.startswith("multi")] == ["multi==6.0"]

    @pytest.mark.parametrize(("install", "build"), [("multi", "multi<7"), ("multi<7", "multi")])
    def test_where_one_installs_and_one_builds(self, here: Bench, install: str, build: str) -> None:
        here.sdist("alpha", requires=[install])
        here.sdist("beta", build_requires=[build])
        publish(here, multi=["6.0", "7.0"])
        versions = [package for package in here.plan(NEW, "alpha", "beta") if package.startswith("multi")]
        # What installs is resolved first, and a build takes that if it can.
        assert versions == (["multi==6.0"] if install == "multi<7" else ["multi==6.0", "multi==7.0"])

    def test_two_where_no_one_version_serves(self, here: Bench) -> None:
        here.sdist("alpha", build_requires=["multi>=7"])
        here.sdist("beta", build_requires=["multi<7"])
        publish(here, multi=["6.0", "7.0"])
        nodes = here.plan(NEW, "alpha", "beta")
        assert nodes["alpha==1.0"]["environment"] == ["multi==7.0"]
        assert nodes["beta==1.0"]["environment"] == ["multi==6.0"]


class TestWhichVersions:
    @pytest.mark.parametrize(
        ("requirement", "spec", "version"),
        [
            ("multi", "", "1.0"),
            ("multi>=1.1rc1", "", "2.0rc1"),
            ("multi<2.0.1", "", "1.0"),
            ("multi<2.0rc1,>=2.0a1", "", "2.0a1"),
            ("multi>1.0", "", "2.0rc1"),
            ("multi", "[update]\nprereleases = true\n", "2.0rc1"),
            ("multi", "[update]\nallow = '<=2.0a1'\n", "2.0a1"),
        ],
    )
    @pytest.mark.parametrize("kind", ["install", "build"])
    def test_prereleases_only_where_asked(
        self, here: Bench, requirement: str, spec: str, version: str, kind: str
    ) -> None:
        publish(here, multi=["1.0", "2.0a1", "2.0rc1"])
        if spec:
            here.spec("multi", spec)
        here.sdist("alpha", **{"requires" if kind == "install" else "build_requires": [requirement]})
        assert list(here.plan(NEW, "alpha")) == ["alpha==1.0", f"multi=={version}"]

    @pytest.mark.parametrize("constraint", [False, True])
    def test_a_prerelease_that_is_named_asks_for_newer_ones_too(self, here: Bench, constraint: bool) -> None:
        """As it does for what builds require (PEP 440); uv alone would take the newest that is none."""
        publish(here, multi=["1.0", "2.0", "3.0b1"])
        (here.root / "limits.txt").write_text("multi>=1.1rc1\n")
        asked = ["multi", "-c", "limits.txt"] if constraint else ["multi>=1.1rc1"]
        assert list(here.plan(NEW, *asked)) == ["multi==3.0b1"]

    def test_yanked_ones_are_installed_only_if_the_request_names_them(self, here: Bench) -> None:
        publish(here, multi=["1.0", "2.0"])
        here.upstream.yanked = {"multi-2.0.tar.gz": "broken"}
        here.sdist("alpha", requires=["multi"])
        here.sdist("beta", requires=["multi==2.0"])
        assert "multi==1.0" in here.plan(NEW, "alpha")
        ran = here.pybuild("bootstrap", "--plan", NEW, "beta")
        assert ran.code == 30 and "yanked (reason: broken)" in ran.stderr and "name the yanked one" in ran.stderr
        assert "multi==2.0" in here.plan(NEW, "beta", "multi==2.0")

    def test_yanked_ones_build_only_if_a_requirement_names_them(self, here: Bench) -> None:
        publish(here, multi=["1.0", "2.0"])
        here.upstream.yanked = {"multi-2.0.tar.gz": "broken"}
        here.sdist("alpha", build_requires=["multi"])
        here.sdist("beta", build_requires=["multi==2.0"])
        assert "multi==1.0" in here.plan(NEW, "alpha")
        assert "multi==2.0" in here.plan(NEW, "beta")

    @pytest.mark.parametrize("kind", ["requires", "build_requires"])
    def test_young_ones_only_by_name(self, here: Bench, kind: str) -> None:
        publish(here, multi=["1.0", "2.0"])
        here.settings('cooldown = "3d"\n')
        here.upstream.upload_times = {"multi-2.0.tar.gz": datetime.now(UTC).isoformat()}
        here.sdist("alpha", **{kind: ["multi"]})
        assert "multi==1.0" in here.plan(NEW, "alpha")
        assert "multi==2.0" in here.plan(NEW, "alpha", "multi==2.0")

    def test_what_is_too_young_is_said_until_when(self, here: Bench) -> None:
        publish(here, multi="2.0")
        here.settings('cooldown = "3d"\n')
        here.upstream.upload_times = {"multi-2.0.tar.gz": datetime.now(UTC).isoformat()}
        ran = here.pybuild("bootstrap", "--plan", NEW, "multi")
        assert ran.code == 30
        assert "too young are 2.0 until" in ran.stderr

    @pytest.mark.parametrize(
        ("rule", "version"),
        [('allow = "<3"', "2.5"), ('ignore = ["==4.0", ">=2.5,<4"]', "2.0"), ('series = ["1.*", "2.0.*"]', "2.0")],
    )
    @pytest.mark.parametrize("kind", ["requires", "build_requires"])
    def test_what_specs_rule_out(self, here: Bench, rule: str, version: str, kind: str) -> None:
        publish(here, multi=["1.0", "2.0", "2.5", "4.0"])
        here.spec("multi", f"[update]\n{rule}\n")
        here.sdist("alpha", **{kind: ["multi"]})
        assert list(here.plan(NEW, "alpha")) == ["alpha==1.0", f"multi=={version}"]

    def test_constraints_bind_what_builds_too(self, here: Bench) -> None:
        publish(here, multi=["1.0", "2.0"], tool=["1.0", "2.0"], unused="1.0")
        here.sdist("alpha", requires=["multi"], build_requires=["tool"])
        limits = here.root / "constraints.txt"
        limits.write_text("multi<2\ntool==1.0\nunused==1.0\nnowhere<1\n")
        assert list(here.plan(NEW, "alpha", "-c", "constraints.txt")) == ["alpha==1.0", "multi==1.0", "tool==1.0"]

    def test_a_constraint_that_a_build_can_not_meet(self, here: Bench) -> None:
        publish(here, tool=["1.0", "2.0"])
        here.sdist("alpha", build_requires=["tool>=2"])
        (here.root / "constraints.txt").write_text("tool<2\n")
        ran = here.pybuild("bootstrap", "--plan", NEW, "alpha", "-c", "constraints.txt")
        assert ran.code == 30
        assert "the build of alpha 1.0 wants tool>=2" in ran.stderr and "tool<2" in ran.stderr


class TestPins:
    """The same workspace plans the same builds."""

    @pytest.mark.parametrize("kind", ["requires", "build_requires"])
    def test_pinned_versions_stay_until_an_upgrade(self, here: Bench, kind: str) -> None:
        here.accept("alpha", **{kind: ["multi"]})
        here.accept("multi")
        assert here.bootstrap("alpha").built() == ["multi==1.0+pb.1", "alpha==1.0+pb.1"]
        publish(here, multi="2.0", alpha="2.0")
        here.sdist("alpha", "2.0", **{kind: ["multi"]})
        assert list(here.plan("alpha")) == ["alpha==1.0", "multi==1.0"]
        assert list(here.plan("--upgrade", "alpha")) == ["alpha==2.0", "multi==2.0"]

    def test_a_plan_pins_nothing_and_a_run_does(self, here: Bench) -> None:
        here.accept("alpha", requires=["multi"])
        here.accept("multi")
        before = here.spec("alpha").read_text()
        here.plan("alpha")
        publish(here, multi="2.0")
        assert "multi==2.0" in here.plan("alpha")
        assert here.spec("alpha").read_text() == before
        here.bootstrap("alpha")
        pins = {name: tomllib.loads((here.workspace / f"specs/{name}.toml").read_text()) for name in ("alpha", "multi")}
        assert list(pins["alpha"]["versions"]) == ["1.0"]
        # What was only looked at is no pin.
        assert list(pins["multi"]["versions"]) == ["2.0"]

    def test_upstream_is_asked_where_no_pin_satisfies(self, here: Bench) -> None:
        here.accept("alpha", requires=["multi"])
        here.accept("multi")
        here.bootstrap("alpha")
        publish(here, multi="2.0")
        here.accept("beta", requires=["alpha", "multi>=2"])
        assert list(here.plan("beta")) == ["alpha==1.0", "beta==1.0", "multi==2.0"]


class TestEach:
    def test_two_versions_of_one_package(self, here: Bench) -> None:
        here.sdist("torch", "1.0", requires=["multi<2"])
        here.sdist("torch", "2.0", requires=["multi"])
        publish(here, multi=["1.0", "2.0"])
        ran = here.pybuild("bootstrap", "--plan", "--json", NEW, "torch==1.*", "torch==2.*")
        assert ran.code == 30 and "the command wants torch==1.* and torch==2.*" in ran.stderr
        nodes = here.plan(NEW, "--each", "torch==1.*", "torch==2.*")
        assert list(nodes) == ["multi==1.0", "multi==2.0", "torch==1.0", "torch==2.0"]
        assert nodes["torch==1.0"]["closure"] == ["multi==1.0", "torch==1.0"]
        ran = here.bootstrap(NEW, "--each", "torch==1.*", "torch==2.*")
        said = here.pybuild("bootstrap", "--each", "torch==1.*", "torch==2.*").stdout
        installs = [line.split()[-1] for line in said.splitlines() if line.startswith("install it with")]
        assert sorted(installs) == ["torch==1.0+pb.1", "torch==2.0+pb.1"], "they can't be installed together"
        assert sorted(ran.built()) == [
            f"{name}=={version}+pb.1" for name in ("multi", "torch") for version in (1.0, 2.0)
        ]
        assert here.published("torch") == ["1.0+pb.1", "2.0+pb.1"]

    def test_one_that_can_not_be_resolved(self, here: Bench) -> None:
        publish(here, alpha="1.0", multi="1.0")
        here.sdist("beta", requires=["multi>5"])
        arguments = ("--each", "alpha", "beta", "nowhere")
        assert here.bootstrap(NEW, *arguments, code=30).built() == []
        ran = here.bootstrap(NEW, "--keep-going", *arguments, code=30)
        assert ran.built() == ["alpha==1.0+pb.1"]
        assert [failure["phase"] for failure in ran.json["failed"]] == ["fetch", "fetch"]
        assert "multi>5" in ran.json["failed"][0]["error"]
        assert "nowhere" in ran.json["failed"][1]["error"]
        assert [failure["name"] for failure in ran.json["failed"]] == ["beta", "nowhere"]
        alone = here.pybuild("bootstrap", NEW, "--keep-going", "alpha")
        assert alone.code == 2 and "say --each as well" in alone.stderr

    def test_how_to_install_what_was_resolved_by_itself(self, here: Bench) -> None:
        publish(here, multi=["1.0", "2.0"])
        here.sdist("alpha", requires=["multi<2"])
        here.sdist("beta", requires=["multi>=2"])
        lines = here.pybuild("bootstrap", NEW, "--each", "alpha", "beta").stdout.splitlines()
        told = [line.rpartition("/simple ")[2] for line in lines if line.startswith("install it with")]
        assert told == ["alpha==1.0+pb.1", "beta==1.0+pb.1"]
        # Of a version that is only built with, nothing is told.
        here.sdist("gamma", requires=["multi>=2"], build_requires=["multi<2"])
        last = here.pybuild("bootstrap", NEW, "gamma", "multi>=2").stdout.splitlines()[-1]
        assert sorted(last.rpartition("/simple ")[2].split()) == ["gamma==1.0+pb.1", "multi==2.0+pb.1"]


class TestWhoBuilds:
    def test_a_backend_that_builds_itself(self, here: Bench) -> None:
        here.sdist("alpha", build_requires=["tool"], act="import tool")
        publish(here, tool="1.0")
        assert here.plan(NEW, "tool")["tool==1.0"]["environment"] == []
        assert here.bootstrap(NEW, "alpha").built() == ["tool==1.0+pb.1", "alpha==1.0+pb.1"]

    @pytest.mark.parametrize("long", [False, True])
    def test_a_cycle_is_named_with_the_ways_out_and_others_go_on(self, here: Bench, long: bool) -> None:
        here.sdist("alpha", build_requires=["beta" if long else "alpha"])
        here.sdist("beta", requires=["gamma"])
        here.sdist("gamma", build_requires=["alpha"])
        publish(here, other="1.0")
        ran = here.pybuild("bootstrap", "--plan", NEW, "alpha")
        assert ran.code == 3
        cycle = "alpha 1.0 needs beta 1.0 needs gamma 1.0 needs alpha 1.0" if long else "alpha 1.0 needs alpha 1.0"
        assert f"a cycle of build requirements: {cycle}" in ran.stderr
        assert "an older version" in ran.stderr and "[prebuilt] reason" in ran.stderr
        assert here.pybuild("graph", "show").code == 0
        ran = here.bootstrap(NEW, "alpha", "other", code=3)
        assert ran.built() == ["other==1.0+pb.1"]
        assert len(ran.json["failed"]) == 1

    def test_an_older_version_is_a_way_out(self, here: Bench) -> None:
        publish(here, alpha="1.0")
        here.sdist("alpha", "2.0", build_requires=["beta"])
        here.sdist("beta", build_requires=["alpha"])
        ran = here.pybuild("bootstrap", "--plan", NEW, "alpha")
        way = '[build] add-requires = ["alpha<2.0"]'
        assert ran.code == 3 and f"{way} in specs/beta.toml" in ran.stderr
        here.spec("beta", way.replace("] ", "]\n") + "\n")
        assert here.bootstrap(NEW, "alpha").built() == ["alpha==1.0+pb.1", "beta==1.0+pb.1", "alpha==2.0+pb.1"]

    def test_an_older_version_of_itself_is_a_way_out(self, here: Bench) -> None:
        publish(here, alpha="1.0")
        here.sdist("alpha", "2.0", build_requires=["alpha"])
        ran = here.pybuild("bootstrap", "--plan", NEW, "alpha==2.0")
        way = '[[override]] when.versions = ">=2.0", build.add-requires = ["alpha<2.0"]'
        assert ran.code == 3 and f"{way} in specs/alpha.toml" in ran.stderr
        here.spec("alpha", way.replace("] when", "]\nwhen").replace(", build", "\nbuild") + "\n")
        assert here.bootstrap(NEW, "alpha==2.0").built() == ["alpha==1.0+pb.1", "alpha==2.0+pb.1"]

    def test_upstreams_wheel_is_a_way_out(self, here: Bench) -> None:
        here.sdist("alpha", build_requires=["beta"], act="import beta")
        here.sdist("beta", build_requires=["alpha"])
        make_wheel(here.upstream.directory, "alpha", "1.0", content="VERSION = '1.0'\n")
        here.spec("alpha", '[prebuilt]\nreason = "it builds what builds it"\n')
        nodes = here.plan(NEW, "beta")
        assert {package: node["prebuilt"] for package, node in nodes.items()} == {
            "alpha==1.0": True,
            "beta==1.0": False,
        }
        assert here.bootstrap(NEW, "beta").built() == ["alpha==1.0+pb.1", "beta==1.0+pb.1"]
        assert here.bootstrap("beta").cached() == ["beta==1.0+pb.1"]
        assert "it builds what builds it" in here.pybuild("audit", "beta").stdout


class TestWhatTheBackendKnows:
    def test_what_a_plan_had_to_publish_has_a_spec(self, here: Bench) -> None:
        """Also where the run ends with the plan."""
        here.sdist("alpha", static=False, build_requires=["tool"])
        publish(here, tool="1.0")
        here.plan(NEW, "alpha")
        assert here.published("tool") == ["1.0+pb.1"]
        assert sorted(path.stem for path in (here.workspace / "specs").iterdir()) == ["alpha", "tool"]
        assert here.bootstrap("alpha").built() == ["alpha==1.0+pb.1"]

    def test_metadata_that_nobody_states_is_built_and_resolved_with(self, here: Bench) -> None:
        here.sdist("alpha", static=False, requires=["beta<2"], build_requires=["tool"])
        publish(here, beta=["1.0", "2.0"], tool="1.0")
        ran = here.bootstrap(NEW, "alpha", "beta")
        assert sorted(ran.built()) == ["alpha==1.0+pb.1", "beta==1.0+pb.1", "tool==1.0+pb.1"]
        assert here.outcomes("alpha") == ["succeeded"]
        assert (here.workspace / "specs" / "tool.toml").exists()
        assert sorted(here.bootstrap("alpha", "beta").cached()) == ["alpha==1.0+pb.1", "beta==1.0+pb.1"]

    def test_a_plan_builds_it_too(self, here: Bench) -> None:
        here.sdist("alpha", static=False, requires=["beta<2"], build_requires=["tool"])
        publish(here, beta=["1.0", "2.0"], tool="1.0")
        assert list(here.plan(NEW, "alpha", "beta")) == ["alpha==1.0", "beta==1.0", "tool==1.0"]
        assert here.outcomes("alpha") == ["succeeded"]

    def test_not_before_it_is_accepted(self, here: Bench) -> None:
        here.sdist("alpha", static=False, requires=["beta<2"])
        here.accept("gamma", static=False, requires=["beta<2"], build_requires=["tool"])
        publish(here, tool="1.0")
        ran = here.bootstrap("alpha", "gamma", code=40)
        assert {entry["name"] for entry in ran.json["review"]} == {"alpha", "tool"}
        assert not ran.json["failed"] and not here.attempts("alpha") and not here.attempts("tool")

    def test_built_with_what_the_tree_uses(self, here: Bench) -> None:
        """Not with what was taken to find out what it requires."""
        here.sdist("alpha", static=False, build_requires=["tool"])
        publish(here, tool=["1.0", "2.0"])
        (here.root / "constraints.txt").write_text("tool<2\n")
        ran = here.bootstrap(NEW, "alpha", "-c", "constraints.txt")
        [alpha] = [build for build in ran.json["built"] if build["name"] == "alpha"]
        assert [each["version"] for each in plan_of(here.state, alpha)["environment"]] == ["1.0"]

    def test_where_that_build_fails(self, here: Bench) -> None:
        here.sdist("alpha", static=False, act="raise SystemExit('no way')")
        publish(here, other="1.0")
        ran = here.bootstrap(NEW, "alpha", "other", code=10)
        assert ran.built() == ["other==1.0+pb.1"]
        [failure] = ran.json["failed"]
        assert (failure["name"], failure["phase"]) == ("alpha", "build") and failure["log"]

    @pytest.mark.parametrize("told", ["beside", "inside"])
    def test_upstreams_wheel_is_a_hint_that_is_checked(self, here: Bench, told: str) -> None:
        """It names old; what is built needs new."""
        here.sdist("alpha", static=False, requires=["new<2"])
        here.sdist("beta", requires=["new"])
        publish(here, old="1.0", new=["1.0", "2.0"])
        wheel = make_wheel(here.upstream.directory, "alpha", "1.0", requires_dist=("old",), content="raise SystemExit")
        if told == "beside":
            text = "Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\nRequires-Dist: old\n"
            wheel.with_name(f"{wheel.name}.metadata").write_text(text)
        assert list(here.plan(NEW, "alpha", "beta")) == ["alpha==1.0", "beta==1.0", "new==2.0", "old==1.0"]
        ran = here.bootstrap(NEW, "alpha", "beta")
        assert {"alpha==1.0+pb.1", "beta==1.0+pb.1", "new==1.0+pb.1"} <= set(ran.built())
        assert here.outcomes("alpha") == ["succeeded"]
        assert list(here.plan("alpha", "beta")) == ["alpha==1.0", "beta==1.0", "new==1.0"]
        assert sorted(here.bootstrap("alpha", "beta").cached()) == ["alpha==1.0+pb.1", "beta==1.0+pb.1"]

    def test_a_hint_that_holds_on_the_target_is_no_difference(self, here: Bench) -> None:
        here.sdist("alpha", requires=["beta"])
        publish(here, beta="1.0")
        make_wheel(here.upstream.directory, "alpha", "1.0", requires_dist=("beta", "nowhere; sys_platform == 'win32'"))
        assert here.bootstrap(NEW, "alpha").built() == ["beta==1.0+pb.1", "alpha==1.0+pb.1"]

    def test_nothing_of_upstreams_wheels_is_installed(self, here: Bench) -> None:
        here.sdist("alpha", build_requires=["tool"], act="import tool; assert tool.VERSION == '1.0'")
        publish(here, tool="1.0")
        for name in ("alpha", "tool"):
            make_wheel(here.upstream.directory, name, "1.0", content="raise SystemExit('upstream')")
        here.bootstrap(NEW, "alpha")
        assert not [path for path, _ in here.upstream.requests if path.endswith(".whl")]

    def test_dynamic_requirements_join_the_running_graph(self, here: Bench) -> None:
        here.sdist("alpha", dynamic=["late>=1"], build_requires=["tool"], act="import late, tool")
        here.sdist("late", build_requires=["later"])
        publish(here, tool="1.0", later="1.0")
        ran = here.bootstrap(NEW, "alpha")
        assert sorted(ran.built()) == [f"{name}==1.0+pb.1" for name in ("alpha", "late", "later", "tool")]
        assert here.outcomes("alpha") == ["succeeded"]
        assert {"late==1.0", "later==1.0"} <= here.pybuild("graph", "show", "--json").json["nodes"].keys()
        # From now on it is in the plan from the beginning.
        assert here.plan("alpha")["alpha==1.0"]["environment"] == ["late==1.0", "tool==1.0"]
        here.patch("late", "tiny.json", "VERSION = '1.0'", "VERSION = 'patched'")
        assert here.bootstrap("alpha").built() == ["late==1.0+pb.2"]
        first, second = (here.log(attempt["id"]) for attempt in here.attempts("alpha"))
        assert "the backend also wants late>=1" in first and "also wants" not in second

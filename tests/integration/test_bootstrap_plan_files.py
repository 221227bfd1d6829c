"""What ``--plan`` writes, what ``--locked`` makes of it, and what ``graph`` says of the last plan."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.support.workspaces import Bench, bench, plan_of

FILES = ("build-order.json", "graph.json", "pylock.toml")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def planned(here: Bench) -> Bench:
    """Alpha installs beta, and tool builds alpha; base builds tool."""
    here.accept("alpha", requires=["beta>=1"], build_requires=["tool"])
    here.accept("beta")
    here.accept("tool", build_requires=["base"])
    here.accept("base")
    assert here.pybuild("bootstrap", "--plan", "alpha").code == 0
    return here


def graph(here: Bench) -> Any:
    return json.loads((here.root / "graph.json").read_text())


def rewrite(here: Bench, change: Any) -> None:
    data = graph(here)
    change(data)
    (here.root / "graph.json").write_text(json.dumps(data))


class TestPlan:
    def test_it_writes_three_files_and_builds_nothing(self, planned: Bench) -> None:
        assert all((planned.root / file).is_file() for file in FILES)
        assert all(planned.attempts(name) == [] for name in ("alpha", "beta", "tool", "base"))
        assert not any(planned.published(name) for name in ("alpha", "beta", "tool", "base"))
        lock = tomllib.loads((planned.root / "pylock.toml").read_text())
        assert [(package["name"], package["version"]) for package in lock["packages"]] == [
            ("alpha", "1.0"),
            ("beta", "1.0"),
        ]
        order = json.loads((planned.root / "build-order.json").read_text())
        assert [(step["name"], step["level"]) for step in order] == [
            ("base", 1),
            ("beta", 1),
            ("tool", 2),
            ("alpha", 3),
        ]

    def test_statuses_before_and_after(self, planned: Bench) -> None:
        def statuses(*arguments: str, code: int = 0) -> dict[str, str]:
            return {
                name.partition("==")[0]: node["status"] for name, node in planned.plan(*arguments, code=code).items()
            }

        assert statuses("alpha") == {"alpha": "depends", "base": "new", "beta": "new", "tool": "depends"}
        planned.bootstrap("tool")
        assert statuses("alpha") == {"alpha": "new", "base": "cached", "beta": "new", "tool": "cached"}
        planned.bootstrap("alpha")
        assert set(statuses("alpha").values()) == {"cached"}
        planned.patch("base", "tiny.json", "VERSION = '1.0'", "VERSION = 'patched'")
        assert statuses("alpha") == {"alpha": "depends", "base": "new", "beta": "cached", "tool": "depends"}
        (planned.workspace / "specs" / "base.toml").unlink()
        assert statuses("alpha", code=40) == {"alpha": "waits", "base": "waits", "beta": "cached", "tool": "waits"}

    def test_it_says_so_to_people(self, planned: Bench) -> None:
        said = planned.pybuild("bootstrap", "--plan", "alpha").stdout
        assert "alpha 1.0  [alpha]" in said and "beta 1.0  [beta>=1]" in said
        assert "4 packages: 0 cached, 2 new, 2 depend on these, 0 wait for review; about " in said
        assert "written: build-order.json, graph.json, pylock.toml" in said


class TestLocked:
    def test_it_repeats_that_plan_although_there_is_more_upstream(self, planned: Bench) -> None:
        for name in ("alpha", "beta", "tool", "base"):
            planned.sdist(name, "2.0")
        ran = planned.bootstrap("--locked")
        assert sorted(ran.built()) == [f"{name}==1.0+pb.1" for name in ("alpha", "base", "beta", "tool")]
        [alpha] = [build for build in ran.json["built"] if build["name"] == "alpha"]
        assert [each["version"] for each in plan_of(planned.state, alpha)["environment"]] == ["1.0"]
        assert planned.bootstrap("--locked", "alpha").cached() == ["alpha==1.0+pb.1"]

    def test_with_extras_two_versions_and_a_group(self, here: Bench) -> None:
        """What installs together is in the file: it can't be told from the edges alone."""
        here.sdist("alpha", "1.0", requires=["multi<2", "beta; extra == 'more'"])
        here.sdist("alpha", "2.0", requires=["multi"])
        here.sdist("beta", requires=["gamma"])
        here.sdist("gamma", requires=["beta"])
        here.sdist("multi", "1.0")
        here.sdist("multi", "2.0")
        (here.root / "pylock.toml").write_text("of another plan\n")
        here.plan("--accept-new", "--each", "alpha[more]==1.0", "alpha==2.0")
        assert not (here.root / "pylock.toml").exists()
        ran = here.bootstrap("--accept-new", "--locked")
        assert sorted(ran.built()) == [
            f"{name}+pb.1"
            for name in ("alpha==1.0", "alpha==2.0", "beta==1.0", "gamma==1.0", "multi==1.0", "multi==2.0")
        ]
        assert here.bootstrap("--locked").built() == []

    def test_unaccepted_ones_wait_here_too(self, here: Bench) -> None:
        here.sdist("alpha")
        here.plan("alpha", code=40)
        ran = here.bootstrap("--locked", code=40)
        assert [entry["name"] for entry in ran.json["review"]] == ["alpha"]

    def test_another_source_is_refused_and_others_go_on(self, planned: Bench) -> None:
        rewrite(planned, lambda data: data["nodes"]["beta==1.0"]["source"].update(sha256="ab" * 32))
        ran = planned.bootstrap("--locked", code=30)
        assert sorted(ran.built()) == ["base==1.0+pb.1", "tool==1.0+pb.1"]
        [failure] = ran.json["failed"]
        assert failure["name"] == "beta" and "ab" * 32 in failure["error"]

    def test_another_target_is_refused(self, planned: Bench) -> None:
        rewrite(planned, lambda data: data.update(python="3.12.1"))
        ran = planned.pybuild("bootstrap", "--locked")
        assert ran.code == 3 and "3.12.1" in ran.stderr and "plan again" in ran.stderr

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["beta"], 2, "this plan is for alpha"),
            (["--upgrade"], 2, "--locked repeats a plan as it is"),
            (["--each"], 2, "--locked repeats a plan as it is"),
        ],
    )
    def test_what_is_not_that_plan(self, planned: Bench, arguments: list[str], code: int, said: str) -> None:
        ran = planned.pybuild("bootstrap", "--locked", *arguments)
        assert ran.code == code and said in ran.stderr

    def test_without_a_plan(self, here: Bench) -> None:
        ran = here.pybuild("bootstrap", "--locked")
        assert ran.code == 2 and "pybuild bootstrap --plan" in ran.stderr

    def test_a_damaged_plan(self, planned: Bench) -> None:
        rewrite(planned, lambda data: data["nodes"]["alpha==1.0"].pop("closure"))
        ran = planned.pybuild("bootstrap", "--locked")
        assert ran.code == 3 and 'graph.json nodes."alpha==1.0".closure' in ran.stderr

    def test_a_backend_that_wants_more(self, here: Bench) -> None:
        here.accept("alpha", dynamic=["late"])
        here.accept("late")
        here.plan("alpha")
        ran = here.bootstrap("--locked", code=10)
        [failure] = ran.json["failed"]
        assert "wants late, and the plan does not have all of it: no version satisfies" in failure["error"]
        assert here.published("late") == []

    def test_a_backend_that_wants_what_is_in_the_plan(self, here: Bench) -> None:
        """Also where nobody has built it before: that it wants that is known only now."""
        here.accept("alpha", dynamic=["late<2", "nowhere; sys_platform == 'win32'"])
        here.accept("beta", requires=["late<2"])
        here.accept("late")
        here.sdist("late", "2.0")
        here.plan("alpha", "beta")
        assert sorted(here.bootstrap("--locked").built()) == ["alpha==1.0+pb.1", "beta==1.0+pb.1", "late==1.0+pb.1"]
        # Known from the beginning.
        assert here.bootstrap("--locked").cached() == ["alpha==1.0+pb.1", "beta==1.0+pb.1"]

    def test_a_wheel_that_requires_more(self, here: Bench) -> None:
        here.accept("alpha", static=False, requires=["beta"])
        here.accept("beta")
        here.upstream.core_metadata = "core"
        wheel = here.upstream.directory / "alpha-1.0-py3-none-any.whl"
        wheel.write_bytes(b"none")
        wheel.with_name(f"{wheel.name}.metadata").write_text("Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n")
        assert list(here.plan("alpha")) == ["alpha==1.0"]
        [failure] = here.bootstrap("--locked", code=10).json["failed"]
        assert "requires other things than the plan was told" in failure["error"]


def test_there_is_no_pylock_while_nobody_knows_what_a_package_requires(here: Bench) -> None:
    """It is known once it is built, which it may not be before somebody has accepted it."""
    here.sdist("alpha", static=False, requires=["beta"])
    here.accept("beta")
    ran = here.pybuild("bootstrap", "--plan", "alpha")
    assert ran.code == 40 and "what alpha==1.0 requires is not known before it is built" in ran.stderr
    assert not (here.root / "pylock.toml").exists()
    here.plan("--accept-new", "alpha")
    assert '{name = "beta"}' in (here.root / "pylock.toml").read_text()


class TestGraph:
    def test_of_the_last_plan_or_run(self, planned: Bench) -> None:
        shown = planned.pybuild("graph", "show", "--json").json
        assert shown == graph(planned)
        assert "alpha 1.0  [alpha]" in planned.pybuild("graph", "show").stdout
        planned.bootstrap("tool")
        assert [top["requirement"] for top in planned.pybuild("graph", "show", "--json").json["tops"]] == ["tool"]

    def test_why(self, planned: Bench) -> None:
        said = planned.pybuild("graph", "why", "base").stdout
        assert "asked for as alpha" in said and "alpha 1.0 builds with tool" in said
        assert "tool 1.0 builds with base" in said
        ran = planned.pybuild("graph", "why", "bass")
        assert ran.code == 2 and "base" in ran.stderr

    def test_why_for_programs(self, planned: Bench) -> None:
        [chain] = planned.pybuild("graph", "why", "Base", "--json").json
        assert [(step["by"], step["kind"], step["package"]) for step in chain] == [
            (None, "install", "alpha==1.0"),
            ("alpha==1.0", "build", "tool==1.0"),
            ("tool==1.0", "build", "base==1.0"),
        ]
        assert planned.pybuild("graph", "why", "bass", "--json").code == 2

    def test_pictures(self, planned: Bench) -> None:
        assert planned.pybuild("graph", "dot").stdout.startswith("digraph")
        svg = ElementTree.fromstring(planned.pybuild("graph", "svg").stdout)
        assert svg.tag.endswith("svg")
        assert {"alpha", "beta", "tool", "base"} <= {word for text in svg.itertext() for word in text.split()}

    def test_where_nothing_was_planned(self, here: Bench) -> None:
        ran = here.pybuild("graph", "show")
        assert ran.code == 2 and "pybuild bootstrap --plan" in ran.stderr

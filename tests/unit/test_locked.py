"""Plans that were written down: what is read is what was planned, or it says why not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from packaging.requirements import Requirement

from pybuilder.errors import ConfigError, FetchError, PybuildError, UsageError
from pybuilder.locked import read_plan, with_wants
from pybuilder.planner import plan
from pybuilder.request import Planned, Request
from pybuilder.statements import Statements
from pybuilder.tree import Package, Tree
from pybuilder.tree_files import format_json, tree_json
from tests.support.planned import planned, sdist
from tests.support.planning import TARGET, TableStatements, jointly, package

ROWS = """
    base 1
    tool 1: base
    top 1: base: tool
"""


@dataclass
class Sources:
    """What sources are today: those that were planned with, unless a test says otherwise."""

    others: dict[Package, str] = field(default_factory=dict)
    faults: dict[Package, PybuildError] = field(default_factory=dict)
    broken: dict[Package, PybuildError] = field(default_factory=dict)
    target: Any = TARGET

    @property
    def packages(self) -> Any:
        return SimpleNamespace(adapters=SimpleNamespace(target=self.target), source=self.source)

    def source(self, package: Package) -> Any:
        if package in self.faults:
            raise self.faults[package]
        return SimpleNamespace(sha256=self.others.get(package, sdist(package).sha256)), None

    def look_at(self, packages: Any) -> None:
        self.broken.update({each: self.faults[each] for each in packages if each in self.faults})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path, tree())


def tree(rows: str = ROWS, tops: str = "top") -> Tree:
    return replace(planned(tops, rows), target=TARGET.name, python=TARGET.full_version)


def write(directory: Path, plan: Tree) -> Path:
    path = directory / "graph.json"
    nothing = dict.fromkeys(plan.nodes, 1.0)
    path.write_text(format_json(tree_json(plan, dict.fromkeys(plan.nodes, "new"), nothing)))
    return path


def read(file: Path, *tops: str, sources: Sources | None = None) -> Planned:
    return read_plan(file, Request(tops=tuple(map(Requirement, tops))), cast(Statements, sources or Sources()))


def test_it_is_the_tree_that_was_planned(file: Path) -> None:
    found = read(file)
    assert found.tree == tree()
    assert (found.broken, found.unmet) == ({}, {})
    assert read(file, "top").tree == tree()


def test_another_thing_is_asked_for(file: Path) -> None:
    with pytest.raises(UsageError, match="this plan is for top"):
        read(file, "top>1")
    with pytest.raises(UsageError):
        read(file, "top", "base")


def test_there_is_none(tmp_path: Path) -> None:
    for path in (tmp_path / "graph.json", tmp_path, tmp_path / "x" / "graph.json"):
        with pytest.raises(UsageError, match="there is no"):
            read(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}'])
def test_it_is_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / "graph.json").write_text(text)
    with pytest.raises(ConfigError):
        read(tmp_path / "graph.json")


def test_it_is_cut_anywhere(file: Path) -> None:
    text = file.read_text()
    for end in range(0, len(text) - 2, 97):
        file.write_text(text[:end])
        with pytest.raises(ConfigError):
            read(file)


def test_somebody_has_changed_what_it_is_for(file: Path) -> None:
    text = file.read_text()
    file.write_text(text.replace('"requirement": "top"', '"requirement": "top<1"'))
    with pytest.raises(ConfigError, match=r"top==1 does not satisfy 'top<1'"):
        read(file)


@pytest.mark.parametrize("change", [{"name": "cp313-linux_x86_64"}, {"full_version": "3.12.9"}])
def test_it_is_for_another_target(file: Path, change: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"this plan is for cp312-plan9_mips, Python 3\.12\.4, not for"):
        read(file, sources=Sources(target=replace(TARGET, **change)))  # type: ignore[arg-type]


def test_a_source_is_another_today(file: Path) -> None:
    found = read(file, sources=Sources(others={package("tool==1"): "cd" * 32}))
    error = found.broken[package("tool==1")]
    assert list(found.broken) == [package("tool==1")]
    assert isinstance(error, FetchError) and "cd" * 32 in error.what
    assert (error.package, error.where) == (("tool", "1"), "specs/tool.toml")


def test_a_source_that_cannot_be_had_breaks_one_package(file: Path) -> None:
    gone = FetchError("gone")
    assert read(file, sources=Sources(faults={package("tool==1"): gone})).broken == {package("tool==1"): gone}


def test_a_source_that_could_not_be_looked_at_when_it_was_planned(tmp_path: Path) -> None:
    plan = tree()
    nodes = {each: replace(node, source=None) if each[0] == "tool" else node for each, node in plan.nodes.items()}
    file = write(tmp_path, replace(plan, nodes=nodes))
    assert read(file).broken == {}


def test_a_build_cycle_is_told(tmp_path: Path) -> None:
    found = read(write(tmp_path, tree("a 1: : b\nb 1: : a", "a")), "a")
    assert found.broken.keys() == {package("a==1"), package("b==1")}


def test_other_programs_may_have_written_it_in_another_order(file: Path) -> None:
    graph = json.loads(file.read_text())
    graph["nodes"] = dict(reversed(graph["nodes"].items()))
    file.write_text(json.dumps(graph))
    assert read(file).tree == tree()


class TestWants:
    """What backends want besides, which is known once they were asked."""

    def planned(self, dynamic: str) -> tuple[TableStatements, Planned]:
        """A plan of a package and of others, and what its backend turns out to want."""
        table = TableStatements()
        table.add("tool==1.0")
        table.add("extra==1.0", ["deep"])
        table.add("extra==2.0", ["deep"])
        table.add("deep==1.0")
        table.add("other==1.0", ["extra<2"])
        table.add("top==1.0", builds=["tool"])
        request = Request(tops=(Requirement("top"), Requirement("other")))
        found = plan(cast(Statements, table), request, resolver=jointly)
        table.facts[package("top==1.0")].dynamic = (dynamic,)
        return table, found

    @pytest.mark.parametrize("wanted", ["extra", "extra>=1"])
    def test_it_is_taken_from_the_plan(self, wanted: str) -> None:
        table, found = self.planned(wanted)
        wants = with_wants(found, cast(Statements, table))
        top = wants.tree.nodes[package("top==1.0")]
        assert top.environment == (package("deep==1.0"), package("extra==1.0"), package("tool==1.0"))
        assert [need.requirement for need in top.builds] == [wanted, "tool"]
        assert wants.broken == {} and wants.tree.nodes.keys() == found.tree.nodes.keys()

    def test_what_is_there_stays_though_the_plan_has_newer_versions(self) -> None:
        table, found = self.planned("extra")
        table.add("tool==2.0")
        newer = replace(found.tree.nodes[package("tool==1.0")], version=package("tool==2.0")[1])
        tree = replace(found.tree, nodes={**found.tree.nodes, newer.package: newer})
        wants = with_wants(replace(found, tree=tree), cast(Statements, table))
        top = wants.tree.nodes[package("top==1.0")]
        assert top.environment == (package("deep==1.0"), package("extra==1.0"), package("tool==1.0"))

    @pytest.mark.parametrize("wanted", ["tool", 'nowhere; sys_platform == "win32"'])
    def test_what_is_there_or_does_not_count_changes_nothing(self, wanted: str) -> None:
        table, found = self.planned(wanted)
        assert with_wants(found, cast(Statements, table)) == found

    @pytest.mark.parametrize("wanted", ["extra>=2", "nowhere"])
    def test_what_the_plan_does_not_have_breaks_the_package(self, wanted: str) -> None:
        table, found = self.planned(wanted)
        [(broken, error)] = with_wants(found, cast(Statements, table)).broken.items()
        assert broken == package("top==1.0") and error.package == ("top", "1.0")
        assert f"the backend of top==1.0 wants {wanted}, and the plan does not have all of it" in str(error)
        assert "without --locked" in error.cure

    def test_what_would_need_itself_is_a_cycle(self) -> None:
        table, found = self.planned("other")
        table.facts[package("extra==1.0")].dynamic = ("other",)
        assert with_wants(found, cast(Statements, table)).broken.keys() == {package("extra==1.0")}

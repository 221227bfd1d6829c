"""From requirements to a tree, over tables: which versions, for what, and what can't be part of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from packaging.requirements import Requirement

from pybuilder.errors import BuildError, ConflictError, FetchError
from pybuilder.planner import plan
from pybuilder.request import Planned, Request
from pybuilder.statements import Statements
from pybuilder.tree import Node, package_id
from tests.support.planning import TableStatements, jointly, package


@pytest.fixture
def table() -> TableStatements:
    return TableStatements()


def planned(table: TableStatements, *tops: str, constraints: tuple[str, ...] = (), **facts: Any) -> Planned:
    request = Request(tops=tuple(map(Requirement, tops)), constraints=tuple(map(Requirement, constraints)), **facts)
    return plan(cast(Statements, table), request, resolver=jointly)


def ids(found: Planned) -> list[str]:
    return [package_id(node.package) for node in found.tree]


def node(found: Planned, text: str) -> Node:
    return found.tree.nodes[package(text)]


def environment(found: Planned, text: str) -> list[str]:
    return [package_id(each) for each in node(found, text).environment]


class TestTree:
    def test_what_installs_what_builds_that_and_what_builds_those(self, table: TableStatements) -> None:
        table.add("top==1", ["lib>=1; python_version > '3'"], ["tool"])
        table.add("lib==1.0", ["winreg; sys_platform == 'win32'"], ["core>=3"])
        table.add("tool==2", ["helper"], ["core"])
        table.add("helper==1", [], ["core"])
        table.add("core==3.9")
        found = planned(table, "Top")
        assert ids(found) == ["core==3.9", "helper==1", "lib==1.0", "tool==2", "top==1"]
        assert [(top.requirement, package_id(top.package)) for top in found.tree.tops] == [("Top", "top==1")]
        top = node(found, "top==1")
        assert [(need.requirement, package_id(need.package)) for need in top.installs] == [
            ('lib>=1; python_version > "3"', "lib==1.0")
        ]
        assert list(map(package_id, top.closure)) == ["lib==1.0", "top==1"]
        assert [(need.requirement, package_id(need.package)) for need in top.builds] == [("tool", "tool==2")]
        assert environment(found, "top==1") == ["helper==1", "tool==2"]
        assert environment(found, "lib==1.0") == environment(found, "helper==1") == ["core==3.9"]
        assert environment(found, "core==3.9") == []
        assert node(found, "lib==1.0").installs == ()
        assert (found.broken, found.unmet) == ({}, {})
        assert found.tree.installed == {package("top==1"), package("lib==1.0")}

    def test_sources(self, table: TableStatements, tmp_path: Path) -> None:
        (tmp_path / "top-1.tar.gz").write_bytes(b"12345")
        table.add("top==1", source=tmp_path / "top-1.tar.gz")
        source = node(planned(table, "top"), "top==1").source
        assert source and (source.file, source.size) == ("top-1.tar.gz", 5)
        assert source.url == "https://files.example/top-1.tar.gz"

    def test_extras(self, table: TableStatements) -> None:
        table.add("top==1", ["lib[fast]", "lib[slow]; extra == 'more'"])
        table.add("lib==1", ["quick; extra == 'fast'", "lazy; extra == 'slow'", "lib[base]; extra == 'fast'"])
        table.add("quick==1")
        table.add("lazy==1")
        found = planned(table, "top")
        assert ids(found) == ["lib==1", "quick==1", "top==1"]
        assert set(node(found, "lib==1").extras) >= {"fast"}
        assert [need.requirement for need in node(found, "lib==1").installs] == ['quick; extra == "fast"']
        assert ids(planned(table, "top[more]")) == ["lazy==1", "lib==1", "quick==1", "top==1"]

    def test_extras_that_a_package_asks_of_itself_over_two_steps(self, table: TableStatements) -> None:
        table.add("top==1", ["top[a]; extra == 'all'", "top[b]; extra == 'a'", "quick; extra == 'b'"])
        table.add("quick==1")
        top = node(planned(table, "top[all]"), "top==1")
        assert top.extras == ("a", "all", "b")
        assert [need.requirement for need in top.installs] == ['quick; extra == "b"']

    def test_packages_that_are_installed_with_each_other(self, table: TableStatements) -> None:
        table.add("left==1", ["right"])
        table.add("right==1", ["left"])
        found = planned(table, "left")
        assert found.tree.groups == ((package("left==1"), package("right==1")),)
        assert node(found, "left==1").closure == node(found, "right==1").closure
        assert found.broken == {}

    def test_a_top_whose_marker_is_false_is_left_out(self, table: TableStatements) -> None:
        table.add("top==1")
        found = planned(table, "top", "other; sys_platform == 'win32'")
        assert ids(found) == ["top==1"]
        assert len(found.tree.tops) == 1

    def test_nothing_is_asked_for(self, table: TableStatements) -> None:
        found = planned(table)
        assert (ids(found), found.tree.tops) == ([], ())


class TestVersions:
    """Which version a build environment gets."""

    def backends(self, table: TableStatements) -> None:
        for version in ("68", "70", "75"):
            table.add(f"setuptools=={version}")

    def test_one_setuptools_serves_all_who_accept_it(self, table: TableStatements) -> None:
        self.backends(table)
        table.add("a==1", ["b", "c"], ["setuptools>=60"])
        table.add("b==1", [], ["setuptools<71"])
        table.add("c==1", [], ["setuptools"])
        found = planned(table, "a")
        assert {*environment(found, "a==1"), *environment(found, "b==1"), *environment(found, "c==1")} == {
            "setuptools==70"
        }

    def test_who_accepts_few_versions_chooses_first_so_that_no_other_is_fetched(self, table: TableStatements) -> None:
        self.backends(table)
        table.add("a==1", [], ["setuptools"])
        table.add("b==1", [], ["setuptools<71"])
        planned(table, "a", "b")
        assert table.looked_at == {package("a==1"), package("b==1"), package("setuptools==70")}

    def test_another_one_only_for_who_does_not(self, table: TableStatements) -> None:
        self.backends(table)
        table.add("a==1", ["b", "c"], ["setuptools>=72"])
        table.add("b==1", [], ["setuptools<70"])
        table.add("c==1", [], ["setuptools"])
        found = planned(table, "a")
        assert environment(found, "a==1") == environment(found, "c==1") == ["setuptools==75"]
        assert environment(found, "b==1") == ["setuptools==68"]

    def test_what_is_installed_serves_for_builds_too(self, table: TableStatements) -> None:
        self.backends(table)
        table.add("a==1", ["setuptools<70"], ["setuptools"])
        assert ids(planned(table, "a")) == ["a==1", "setuptools==68"]

    def test_what_builds_may_come_to_other_versions_than_what_is_installed(self, table: TableStatements) -> None:
        self.backends(table)
        table.add("a==1", ["setuptools<70"], ["setuptools>=72"])
        found = planned(table, "a")
        assert environment(found, "a==1") == ["setuptools==75"]
        assert [package_id(each) for each in node(found, "a==1").closure] == ["a==1", "setuptools==68"]

    def test_a_second_plan_with_the_pins_of_the_first_is_the_same(self, table: TableStatements) -> None:
        self.backends(table)
        table.add("a==1", ["b", "c"], ["setuptools>=60"])
        table.add("b==1", [], ["setuptools<71", "helper"])
        table.add("c==1", [], ["setuptools"])
        table.add("helper==1", [], ["setuptools>=72"])
        table.add("helper==2", [], ["setuptools"])
        first = planned(table, "a").tree
        for each in first:
            table.pins.setdefault(each.name, set()).add(each.version)
        assert planned(table, "a").tree == first
        # Also where newer versions have come out meanwhile.
        for newer in ("setuptools==80", "a==2", "helper==3"):
            table.add(newer)
        assert planned(table, "a").tree == first
        assert planned(table, "a", upgrade=True).tree != first

    def test_the_order_of_what_is_asked_for_does_not_matter(self, table: TableStatements) -> None:
        self.backends(table)
        for n, bound in enumerate(("<71", ">=60", ">=72", "", "<70,>=68")):
            table.add(f"p{n}==1", [], [f"setuptools{bound}"])
        tops = [f"p{n}" for n in range(5)]
        assert planned(table, *tops).tree.nodes == planned(table, *reversed(tops)).tree.nodes

    def test_pins_of_what_is_installed_come_first_and_upstream_where_they_do_not_go(
        self, table: TableStatements
    ) -> None:
        table.add("lib==1", pinned=True)
        table.add("lib==2")
        table.add("top==1", ["lib"])
        table.add("top==2", ["lib>=2"])
        assert ids(planned(table, "top==1")) == ["lib==1", "top==1"]
        assert ids(planned(table, "top==2")) == ["lib==2", "top==2"]
        assert ids(planned(table, "top==1", upgrade=True)) == ["lib==2", "top==1"]

    def test_constraints_bound_what_is_installed_and_what_builds(self, table: TableStatements) -> None:
        self.backends(table)
        table.add("a==1", ["b"], ["setuptools"])
        table.add("b==1")
        table.add("b==2")
        found = planned(table, "a", constraints=("b<2", "setuptools<70", "setuptools<1; sys_platform == 'win32'"))
        assert ids(found) == ["a==1", "b==1", "setuptools==68"]

    def test_a_version_that_is_named_is_asked_for(
        self, table: TableStatements, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        table.add("a==1", ["b"])
        table.add("b==1")
        asked: dict[str, set[str]] = {}
        offers = table.offers

        def noting(name: Any, *, asked_for: Any, known_only: bool) -> Any:
            asked[name] = {str(version) for version in asked_for}
            return offers(name, asked_for=asked_for, known_only=known_only)

        monkeypatch.setattr(table, "offers", noting)
        planned(table, "A==1,>=0", constraints=("b==1", "b==1.*", "b~=1.0", "b!=3"))
        assert asked == {"a": {"1"}, "b": {"1"}}


class TestHints:
    """What upstream's wheels say is confirmed before a conflict that rests on it is told."""

    def hint(self, table: TableStatements, text: str, *real: str) -> None:
        table.hints[package(text)] = tuple(map(Requirement, real))

    def confirmed(self, table: TableStatements) -> list[str]:
        return [package_id(each) for each in table.confirmed]

    def test_a_wheel_that_lies_is_no_conflict(self, table: TableStatements) -> None:
        table.add("liar==1", ["nowhere"])
        table.add("leaf==1")
        self.hint(table, "liar==1", "leaf")
        assert ids(planned(table, "liar")) == ["leaf==1", "liar==1"]
        assert self.confirmed(table) == ["liar==1"]

    def test_where_it_builds_as_well(self, table: TableStatements) -> None:
        table.add("top==1", builds=["liar", "leaf>1"])
        table.add("liar==1", ["leaf<2"])
        table.add("leaf==2")
        self.hint(table, "liar==1", "leaf")
        found = planned(table, "top")
        assert environment(found, "top==1") == ["leaf==2", "liar==1"] and not found.broken

    def test_a_conflict_that_is_true_is_told(self, table: TableStatements) -> None:
        table.add("honest==1", ["nowhere"])
        table.add("other==1")
        for text in ("honest==1", "other==1"):
            self.hint(table, text, *map(str, table.facts[package(text)].installs or ()))
        with pytest.raises(ConflictError, match="nowhere"):
            planned(table, "honest", "other")
        # Who has no part in it is not asked.
        assert self.confirmed(table) == ["honest==1"]

    def test_of_several_versions_the_newest_that_is_asked_for_is_asked(self, table: TableStatements) -> None:
        for version in ("1", "2", "3"):
            table.add(f"liar=={version}", ["nowhere"])
            self.hint(table, f"liar=={version}")
        assert ids(planned(table, "liar<3")) == ["liar==2"]
        assert self.confirmed(table) == ["liar==2"]

    def test_nobody_is_asked_while_upstream_may_have_another_version(self, table: TableStatements) -> None:
        table.add("lib==1", pinned=True)
        table.add("lib==2")
        table.add("top==1", ["lib>=2"])
        self.hint(table, "top==1", "lib")
        assert ids(planned(table, "top")) == ["lib==2", "top==1"]
        assert self.confirmed(table) == []


class TestEach:
    def test_together_versions_must_go_together(self, table: TableStatements) -> None:
        self.two(table)
        with pytest.raises(FetchError, match="no version satisfies all of: a==1 wants lib<2; b==1 wants lib>=2"):
            planned(table, "a", "b")

    def two(self, table: TableStatements) -> None:
        table.add("lib==1")
        table.add("lib==2")
        table.add("a==1", ["lib<2"])
        table.add("b==1", ["lib>=2"])

    def test_each_by_itself_has_what_it_wants(self, table: TableStatements) -> None:
        self.two(table)
        found = planned(table, "a", "b", each=True)
        assert ids(found) == ["a==1", "b==1", "lib==1", "lib==2"]
        assert [package_id(each) for each in node(found, "a==1").closure] == ["a==1", "lib==1"]
        assert [package_id(each) for each in node(found, "b==1").closure] == ["b==1", "lib==2"]

    def test_one_that_cannot_be_resolved(self, table: TableStatements) -> None:
        self.two(table)
        table.add("bad==1", ["lib>9"])
        with pytest.raises(FetchError):
            planned(table, "a", "bad", each=True)
        found = planned(table, "a", "bad", each=True, keep_going=True)
        assert ids(found) == ["a==1", "lib==1"]
        assert [str(top) for top in found.unmet] == ["bad"]
        assert [top.requirement for top in found.tree.tops] == ["a"]
        with pytest.raises(FetchError):
            planned(table, "bad", each=True, keep_going=True)


class TestCandidates:
    """A new version is for who asks for it, until it is built and pinned."""

    @pytest.fixture(autouse=True)
    def tool(self, table: TableStatements) -> None:
        table.add("tool==1", pinned=True)
        table.add("tool==2")
        table.add("a==1", builds=["tool"], pinned=True)

    def planned(self, table: TableStatements, *tops: str) -> Planned:
        return planned(table, *tops, each=True, candidates=frozenset([package("tool==2")]))

    def test_others_are_built_with_the_old_version(self, table: TableStatements) -> None:
        found = self.planned(table, "tool==2", "a==1")
        assert ids(found) == ["a==1", "tool==1", "tool==2"]
        assert environment(found, "a==1") == ["tool==1"]

    def test_others_use_what_they_agree_on_beside_it(self, table: TableStatements) -> None:
        """Of the old versions as few as serve everybody, as if there were no candidate."""
        table.add("tool==0.5", pinned=True)
        table.add("b==1", builds=["tool<1"], pinned=True)
        found = self.planned(table, "tool==2", "a==1", "b==1")
        assert (environment(found, "a==1"), environment(found, "b==1")) == (["tool==0.5"], ["tool==0.5"])
        assert ids(found) == ["a==1", "b==1", "tool==0.5", "tool==2"]

    def test_who_accepts_no_other_gets_it(self, table: TableStatements) -> None:
        table.add("b==1", ["tool>=2"], ["tool>=2"], pinned=True)
        found = self.planned(table, "tool==2", "a==1", "b==1")
        assert environment(found, "a==1") == ["tool==1"]
        assert environment(found, "b==1") == ["tool==2"]
        assert node(found, "b==1").closure == (package("b==1"), package("tool==2"))


class TestUnknown:
    """Requirements that nobody states are found out by building, and only of versions that would be chosen."""

    def test_what_is_chosen_is_built_and_resolved_again(self, table: TableStatements) -> None:
        table.add("top==1", ["lib"], stated=False)
        table.add("top==0", ["gone"], stated=False)
        table.add("lib==1", [], ["tool"])
        table.add("tool==1", ["more"], stated=False)
        table.add("more==1")
        found = planned(table, "top")
        assert ids(found) == ["lib==1", "more==1", "tool==1", "top==1"]
        assert table.learned == [package("top==1"), package("tool==1")]

    def test_dynamic_requirements_that_are_known_are_in_the_environment(self, table: TableStatements) -> None:
        table.add("top==1", [], ["tool"], dynamic=["tool>=0", "wheel"])
        table.add("tool==1")
        table.add("wheel==2")
        found = planned(table, "top")
        assert environment(found, "top==1") == ["tool==1", "wheel==2"]
        assert {need.requirement for need in node(found, "top==1").builds} == {"tool", "tool>=0", "wheel"}

    def test_dynamic_requirements_that_are_satisfied_change_nothing(self, table: TableStatements) -> None:
        table.add("top==1", [], ["tool"], dynamic=["tool>=1", "other; sys_platform == 'win32'"])
        table.add("tool==1")
        assert [need.requirement for need in node(planned(table, "top"), "top==1").builds] == ["tool"]


class TestBroken:
    def test_a_build_environment_that_cannot_be_had_breaks_one_package(self, table: TableStatements) -> None:
        table.add("top==1", ["lib"])
        table.add("lib==1", [], ["tool>9"])
        table.add("tool==1")
        found = planned(table, "top")
        assert list(found.broken) == [package("lib==1")]
        error = found.broken[package("lib==1")]
        assert error.package == ("lib", "1")
        assert "the build of lib 1 wants tool>9" in error.what
        assert ids(found) == ["lib==1", "top==1"]

    def test_a_source_that_cannot_be_had(self, table: TableStatements) -> None:
        table.add("top==1", ["lib"])
        table.add("lib==1", [], ["tool"])
        error = BuildError("gone")
        table.broken = {package("lib==1"): error, package("elsewhere==1"): error}
        found = planned(table, "top")
        assert found.broken == {package("lib==1"): error}
        assert node(found, "lib==1").source is None
        assert ids(found) == ["lib==1", "top==1"]

    def test_a_build_cycle(self, table: TableStatements) -> None:
        table.add("a==1", [], ["b"])
        table.add("b==1", [], ["a"])
        found = planned(table, "a")
        assert found.broken.keys() == {package("a==1"), package("b==1")}
        assert "a 1 needs b 1 needs a 1" in found.broken[package("a==1")].what

    @pytest.mark.parametrize(("digest", "broken"), [("ab" * 32, False), ("cd" * 32, True)])
    def test_a_top_whose_source_is_another_than_what_is_allowed(
        self, table: TableStatements, digest: str, broken: bool
    ) -> None:
        table.add("top==1", ["lib"])
        table.add("lib==1")
        found = planned(table, "top", "lib", hashes=((Requirement("top"), frozenset({digest})),))
        assert (package("top==1") in found.broken) is broken
        assert package("lib==1") not in found.broken

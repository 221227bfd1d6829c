from __future__ import annotations

from collections.abc import Collection

import pytest
from packaging.requirements import Requirement

from pybuilder.errors import PybuildError
from pybuilder.soundness import build_cycles, other_sources
from pybuilder.tree import package_id
from tests.support.planned import CIRCLE, LANGCHAIN, planned, sdist


class TestCycles:
    def test_none_in_a_real_tree_nor_where_packages_install_each_other(self) -> None:
        assert build_cycles(LANGCHAIN) == {}
        assert build_cycles(CIRCLE) == {}
        assert build_cycles(planned("a", "a 1: b:\nb 1: a: c\nc 1")) == {}

    def test_what_is_its_own_build_requirement(self) -> None:
        found = build_cycles(planned("a", "a 1: : a"))
        assert [package_id(package) for package in found] == ["a==1"]
        (error,) = found.values()
        assert "a 1 needs a 1" in error.what
        assert '[[override]] when.versions = ">=1", build.add-requires = ["a<1"] in specs/a.toml' in error.cure

    def test_the_way_round_leads_through_what_installs(self) -> None:
        """B is built without a, but whatever has b beside it needs c."""
        found = build_cycles(planned("a", "a 1: : b\nb 1: c:\nc 1: : a"))
        assert sorted(map(package_id, found)) == ["a==1", "c==1"]
        (error,) = set(found.values())
        assert error.what == "a cycle of build requirements: a 1 needs b 1 needs c 1 needs a 1"
        ways = '[build] add-requires = ["b<1"] in specs/a.toml or [build] add-requires = ["a<1"] in specs/c.toml'
        assert ways in error.cure and "[prebuilt] reason" in error.cure

    def test_an_older_version_ends_it(self) -> None:
        assert build_cycles(planned("a==2", "a 1\na 2: : b\nb 1: : a<2")) == {}


class TestSources:
    tree = planned("a; b; early", "a 1: c\nb 1: : tool\nc 1\nearly 2rc1\ntool 1")
    wrong = frozenset({"cd" * 32})

    def refused(self, *lines: tuple[str, Collection[str]]) -> dict[str, PybuildError]:
        hashes = [(Requirement(text), digests) for text, digests in lines]
        found = other_sources(self.tree, hashes, {"python_version": "3.14"})
        return {package_id(package): error for package, error in found.items()}

    def right(self, name: str) -> set[str]:
        return {sdist(next(package for package in self.tree.nodes if package[0] == name)).sha256}

    def test_one_of_several_digests_is_enough(self) -> None:
        assert self.refused(("a", {*self.right("a"), "ab" * 32})) == {}
        found = self.refused(("a", self.right("a")), ("b", self.wrong))
        assert list(found) == ["b==1"]
        assert next(iter(self.right("b"))) in found["b==1"].what and found["b==1"].package == ("b", "1")

    def test_each_of_several_lines_holds_in_either_order(self) -> None:
        lines = [("a", self.right("a")), ("a", self.wrong)]
        assert list(self.refused(*lines)) == list(self.refused(*reversed(lines))) == ["a==1"]

    def test_a_line_of_a_constraints_file_speaks_of_all_that_is_installed(self) -> None:
        assert list(self.refused(("c", self.wrong))) == ["c==1"]

    def test_a_line_speaks_of_a_prerelease_that_was_chosen_too(self) -> None:
        assert list(self.refused(("early>=1", self.wrong))) == ["early==2rc1"]

    def test_what_only_builds_require_is_nothing_that_is_asked_for(self) -> None:
        assert self.refused(("tool", self.wrong)) == {}

    @pytest.mark.parametrize("line", ["a>1", "A; python_version < '3'", "d"])
    def test_a_line_that_does_not_speak_of_it(self, line: str) -> None:
        assert self.refused((line, self.wrong)) == {}

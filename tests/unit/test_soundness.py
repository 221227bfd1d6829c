from __future__ import annotations

from packaging.requirements import Requirement

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
        assert "a 1 needs a 1" in str(next(iter(found.values())))

    def test_the_way_round_leads_through_what_installs(self) -> None:
        """B is built without a, but whatever has b beside it needs c."""
        found = build_cycles(planned("a", "a 1: : b\nb 1: c:\nc 1: : a"))
        assert sorted(map(package_id, found)) == ["a==1", "c==1"]
        (error,) = set(found.values())
        assert error.what == "a cycle of build requirements: a 1 needs b 1 needs c 1 needs a 1"
        assert 'add-requires = ["a<1"]' in error.cure and "[prebuilt] reason" in error.cure

    def test_an_older_version_ends_it(self) -> None:
        assert build_cycles(planned("a==2", "a 1\na 2: : b\nb 1: : a<2")) == {}


class TestSources:
    def test_one_of_several_digests_is_enough(self) -> None:
        tree = planned("a; b", "a 1\nb 1")
        a, b = tree.nodes
        right, wrong = {sdist(a).sha256, "ab" * 32}, {"cd" * 32}
        assert other_sources(tree, {Requirement("a"): right}) == {}
        found = other_sources(tree, {Requirement("a"): right, Requirement("b"): wrong})
        assert list(found) == [b]
        assert sdist(b).sha256 in found[b].what and found[b].package == ("b", "1")

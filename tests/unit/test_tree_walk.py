from __future__ import annotations

from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder.tree import Package, package_id
from pybuilder.tree_walk import build_order, dependants, lines, shortest_chain
from tests.support.planned import CIRCLE, LANGCHAIN, REQUESTS, SMALL, planned


def package(text: str) -> Package:
    name, _, version = text.partition("==")
    return canonicalize_name(name), Version(version)


def test_everything_comes_after_what_it_needs_first() -> None:
    for tree in (SMALL, REQUESTS, LANGCHAIN, CIRCLE):
        steps = {step.package: step for step in build_order(tree)}
        assert steps.keys() == tree.nodes.keys()
        for step in steps.values():
            node = tree.nodes[step.package]
            assert set(node.environment) <= set(step.first)
            assert all(steps[each].level < step.level for each in step.first)
    assert [step.level for step in build_order(SMALL)] == [1, 2, 3, 4, 5]


def test_those_that_need_each_other_installed_have_one_level() -> None:
    levels = {step.package[0]: step.level for step in build_order(CIRCLE)}
    assert levels == {
        "flit-core": 1,
        "docutils": 2,
        "sphinx": 3,
        "sphinxcontrib-htmlhelp": 3,
        "sphinxcontrib-qthelp": 3,
    }
    first = {step.package[0]: [each[0] for each in step.first] for step in build_order(CIRCLE)}
    assert first["sphinx"] == ["docutils", "flit-core"]


def test_the_shortest_chain_to_what_is_installed_has_install_requirements_alone() -> None:
    tree = planned("a; b", "a 1: : c\nb 1: d: \nd 1: c: \nc 1")
    assert [edge.need.requirement for edge in shortest_chain(tree, package("c==1"))] == ["b", "d", "c"]
    chain = shortest_chain(REQUESTS, package("pluggy==1.5.0"))
    assert [(edge.kind, edge.need.requirement) for edge in chain] == [
        ("install", "requests[socks]==2.32.3"),
        ("install", "urllib3<3,>=1.21.1"),
        ("build", "hatchling>=1.6.0,<2"),
        ("install", "pluggy>=1.0.0"),
    ]


def test_a_package_that_requires_itself_with_an_extra_has_no_edge_to_itself() -> None:
    tree = planned("a[all]", "a 1: a[x]; b: \nb 1")
    assert [edge.by for edge in dependants(tree)[package("a==1")]] == [None]
    assert [(line.by[0], line.to[0]) for line in lines(tree)] == [("a", "b")]


def drawn(tops: str, packages: str) -> list[str]:
    signs = {"install": "->", "build": "=>"}
    return [f"{line.by[0]}{signs[line.kind]}{line.to[0]}" for line in lines(planned(tops, packages))]


def test_a_build_requirement_that_others_lead_to_has_no_line() -> None:
    assert drawn("a", "a 1: b: s\nb 1: : s\ns 1") == ["a->b", "b=>s"]
    assert drawn("a", "a 1: : s; t\nt 1: s: s\ns 1") == ["a=>t", "t->s", "t=>s"]


def test_an_install_requirement_always_has_a_line() -> None:
    assert drawn("a", "a 1: b; c: \nb 1: c: \nc 1") == ["a->b", "a->c", "b->c"]


def test_lines_of_a_circle_take_no_line_from_each_other() -> None:
    assert drawn("a", "a 1: b: s\nb 1: a: \ns 1") == ["a->b", "a=>s", "b->a"]
    assert drawn("a", "a 1: : s; t\ns 1: t:\nt 1: s:") == ["a=>s", "a=>t", "s->t", "t->s"]


def test_requirements_of_one_kind_between_two_packages_are_one_line() -> None:
    (line,) = lines(planned("a", "a 1: b>=1; b[x]<2: \nb 1"))
    assert line.requirements == ("b>=1", "b[x]<2")


def test_whatever_can_be_reached_in_a_tree_can_be_reached_by_its_lines() -> None:
    for tree in (REQUESTS, LANGCHAIN, CIRCLE):
        out: dict[Package, set[Package]] = {}
        for line in lines(tree):
            out.setdefault(line.by, set()).add(line.to)
        for node in tree:
            seen, todo = {node.package}, [node.package]
            while todo:
                for below in out.get(todo.pop(), set()) - seen:
                    seen.add(below)
                    todo.append(below)
            for need in (*node.installs, *node.builds):
                assert need.package in seen, (package_id(node.package), need)

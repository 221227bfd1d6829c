from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pybuilder.errors import ConfigError, UsageError
from pybuilder.tree import Need, Tree, package_id
from pybuilder.tree_files import format_json, order_json, tree_json, why_json
from pybuilder.tree_reader import parse_graph, parse_tree
from tests.support.planned import AIOHTTP, CIRCLE, LANGCHAIN, REQUESTS, SMALL, expected, guessed, planned

FILE = "graph.json"


def text_of(tree: Tree) -> str:
    return format_json(tree_json(tree, expected(tree), guessed(tree)))


@pytest.mark.parametrize(
    "tree", [SMALL, REQUESTS, AIOHTTP, LANGCHAIN, CIRCLE], ids=lambda tree: tree.tops[0].requirement
)
def test_what_is_written_is_read_again(tree: Tree) -> None:
    graph = parse_graph(text_of(tree), FILE)
    assert graph.tree == tree
    assert list(graph.tree.nodes) == list(tree.nodes)
    assert graph.statuses == expected(tree)
    assert graph.estimates == {package: round(seconds, 3) for package, seconds in guessed(tree).items()}
    assert format_json(tree_json(graph.tree, graph.statuses, graph.estimates)) == text_of(tree)


def test_what_is_unusual_is_read_again_too() -> None:
    tree = planned("a==1!2.0a1+cu126.x", "a 1!2.0a1+cu126.x\nb 1")
    (a, b) = tree.nodes
    need = Need(requirement='b; sys_platform != "<&\'\\\n\u2028é>"', package=b)
    nodes = {
        a: replace(
            tree.nodes[a],
            accepted=False,
            source=None,
            requires_python=">=3.6.*",
            extras=("i18n",),
            prebuilt=True,
            installs=(need,),
            closure=(a, b),
        ),
        b: tree.nodes[b],
    }
    odd = replace(tree, nodes=nodes)
    statuses = expected(odd)
    assert parse_tree(format_json(tree_json(odd, statuses, {})), FILE) == odd
    assert parse_graph(format_json(tree_json(odd, statuses, {})), FILE).estimates == {}


def test_an_edge_is_written_with_the_version_of_its_package() -> None:
    tree = planned("a", "a 1.0")
    (node,) = tree
    (other,) = planned("a", "a 1").nodes
    tree = replace(tree, tops=(Need(requirement="a", package=other),))
    data = tree_json(tree, {node.package: "new"}, {})
    assert data["tops"] == [{"package": "a==1.0", "requirement": "a"}]


def test_the_text_is_the_same_for_the_same_tree_and_has_one_fact_a_line() -> None:
    text = text_of(REQUESTS)
    assert text.endswith("}\n")
    names = [line.split('"')[1] for line in text.splitlines() if "==" in line and line.endswith("{")]
    assert names == [package_id(node.package) for node in REQUESTS]
    moved = copy.deepcopy(json.loads(text))
    moved["nodes"]["idna==3.7"]["source"]["sha256"] = "ab" * 32
    before, after = text.splitlines(), format_json(moved).splitlines()
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


def test_the_build_order_has_everything_after_what_it_needs() -> None:
    order = order_json(LANGCHAIN, expected(LANGCHAIN), guessed(LANGCHAIN))
    assert len(order) == len(LANGCHAIN.nodes)
    seen: set[str] = set()
    for entry in order:
        assert set(entry["needs"]) <= seen
        seen.add(f"{entry['name']}=={entry['version']}")
    assert [entry["level"] for entry in order] == sorted(entry["level"] for entry in order)
    (entry,) = [entry for entry in order_json(SMALL, expected(SMALL), {}) if entry["name"] == "markupsafe"]
    (node,) = [node for node in SMALL if node.name == "markupsafe"]
    assert node.source is not None
    assert entry == {
        "name": "markupsafe",
        "version": "2.1.5",
        "level": 4,
        "sha256": node.source.sha256,
        "needs": ["setuptools==70.0.0", "wheel==0.43.0"],
        "status": "new",
        "seconds": None,
    }


def test_a_source_that_was_not_looked_at_has_no_digest() -> None:
    (node,) = planned("a", "a 1")
    tree = replace(planned("a", "a 1"), nodes={node.package: replace(node, source=None)})
    assert order_json(tree, {node.package: "waits"}, {})[0]["sha256"] is None


def test_why_is_a_chain_of_requirements_for_each_version() -> None:
    tree = planned("a; c<2", "a 1: b: \nb 1: : C>=2\nc 2\nc 1")
    assert why_json(tree, "C") == [
        [{"package": "c==1", "requirement": "c<2", "by": None, "kind": "install"}],
        [
            {"package": "a==1", "requirement": "a", "by": None, "kind": "install"},
            {"package": "b==1", "requirement": "b", "by": "a==1", "kind": "install"},
            {"package": "c==2", "requirement": "C>=2", "by": "b==1", "kind": "build"},
        ],
    ]
    with pytest.raises(UsageError, match="cc is not in the tree"):
        why_json(tree, "cc")


JINJA, MARKUP = "jinja2==3.1.4", "markupsafe==2.1.5"
Damage = Callable[[dict[str, Any]], object]


def put(*path: str | int, value: object) -> Damage:
    def damage(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return damage


def drop(*path: str | int) -> Damage:
    def damage(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        del data[path[-1]]

    return damage


def second_spelling(data: dict[str, Any]) -> None:
    data["nodes"]["jinja2==3.1.4.0"] = data["nodes"][JINJA]


@pytest.mark.parametrize(
    ("damage", "where", "what"),
    [
        (put("format", value=2), "format", "expected 1, found the integer 2"),
        (put("format", value=True), "format", "expected 1, found true"),
        (drop("format"), "format", "missing"),
        (drop("target"), "target", "missing"),
        (put("python", value=3.11), "python", "expected a string"),
        (put("python", value="\ud800"), "python", "surrogate"),
        (put("colour", value=1), "colour", "unknown key"),
        (put("tops", value={}), "tops", "expected an array"),
        (put("nodes", value=[]), "nodes", "expected a table"),
        (put("tops", 0, "package", value="six==1"), "tops[0].package", "'six==1' is no package of this tree"),
        (put("tops", 0, "requirement", value="a b"), "tops[0].requirement", "no requirement (PEP 508)"),
        (put("tops", 0, "requirement", value="six"), "tops[0]", "does not satisfy 'six'"),
        (drop("nodes", MARKUP), f'nodes."{JINJA}".installs[0].package', "no package of this tree"),
        (drop("nodes", "flit-core==3.9.0"), f'nodes."{JINJA}".environment[0]', "no package of this tree"),
        (put("nodes", "Jinja2==1", value={}), 'nodes."Jinja2==1"', "reads NAME==VERSION, both normalised"),
        (put("nodes", "a==01", value={}), 'nodes."a==01"', "NAME==VERSION"),
        (put("nodes", "a==x", value={}), 'nodes."a==x"', "NAME==VERSION"),
        (put("nodes", "a", value={}), "nodes.a", "NAME==VERSION"),
        (second_spelling, 'nodes."jinja2==3.1.4.0"', "the same version as 'jinja2==3.1.4'"),
        (put("nodes", JINJA, "accepted", value=1), f'nodes."{JINJA}".accepted', "expected true or false"),
        (
            put("nodes", JINJA, "status", value="old"),
            f'nodes."{JINJA}".status',
            "'new', 'depends' or 'waits'",
        ),
        (put("nodes", JINJA, "seconds", value=-1), f'nodes."{JINJA}".seconds', "greater than or equal to 0"),
        (put("nodes", JINJA, "seconds", value="1"), f'nodes."{JINJA}".seconds', "number"),
        (put("nodes", JINJA, "seconds", value=float("nan")), f'nodes."{JINJA}".seconds', "finite"),
        (put("nodes", JINJA, "source", "sha256", value="AB" * 32), f'nodes."{JINJA}".source.sha256', "no sha256"),
        (put("nodes", JINJA, "source", "size", value=-5), f'nodes."{JINJA}".source.size', "0"),
        (put("nodes", JINJA, "source", "size", value=5.0), f'nodes."{JINJA}".source.size', "expected an integer"),
        (put("nodes", JINJA, "source", "file", value="../x"), f'nodes."{JINJA}".source.file', "relative path"),
        (put("nodes", JINJA, "source", "file", value="a/x"), f'nodes."{JINJA}".source.file', "no file name"),
        (drop("nodes", JINJA, "source", "url"), f'nodes."{JINJA}".source.url', "missing"),
        (put("nodes", JINJA, "environment", value=[]), f'nodes."{JINJA}".environment', "which is a build requirement"),
        (
            put("nodes", MARKUP, "environment", value=["wheel==0.43.0", "setuptools==70.0.0"]),
            f'nodes."{MARKUP}".environment',
            "not sorted",
        ),
        (put("nodes", JINJA, "closure", value=[JINJA]), f'nodes."{JINJA}".closure', "'markupsafe==2.1.5' is missing"),
        (put("nodes", MARKUP, "closure", value=[]), f'nodes."{MARKUP}".closure', "'markupsafe==2.1.5' is missing"),
        (put("nodes", MARKUP, "closure", value=[MARKUP, MARKUP]), f'nodes."{MARKUP}".closure', "one is there twice"),
        (put("nodes", JINJA, "extras", value=["i 18n"]), f'nodes."{JINJA}".extras[0]', "name"),
    ],
)
def test_a_damaged_graph_is_refused(damage: Damage, where: str, what: str) -> None:
    data = json.loads(text_of(SMALL))
    damage(data)
    with pytest.raises(ConfigError) as caught:
        parse_tree(json.dumps(data), FILE)
    found = caught.value.parts or (caught.value,)
    places = {part.where: part.what for part in found}
    assert what in places[f"{FILE} {where}"]
    assert "write this file anew" in caught.value.cure


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no JSON"),
        (text_of(SMALL)[:-20], "no JSON"),
        ("[]", "the file is no table"),
        ("null", "the file is no table"),
        ("[" * 100_000, "nested too deep"),
        (text_of(SMALL).replace("markupsafe==2.1.5", JINJA), "the key 'jinja2==3.1.4' is given twice"),
    ],
    ids=["empty", "cut", "array", "null", "deep", "twice"],
)
def test_what_is_no_graph_is_refused(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        parse_tree(text, FILE)
    assert caught.value.where.startswith(FILE)


def test_a_cycle_of_build_requirements_is_read_again() -> None:
    """The plan says what is wrong with it, and the rest of the tree can be built."""
    tree = planned("a", "a 1: : b\nb 1: : a")
    data = tree_json(tree, dict.fromkeys(tree.nodes, "depends"), {})
    assert parse_tree(format_json(data), FILE) == tree


def test_two_versions_of_a_package_in_one_build_environment_are_refused() -> None:
    data = json.loads(text_of(LANGCHAIN))
    data["nodes"]["pyyaml==6.0.1"]["environment"].insert(1, "cython==3.0.10")
    with pytest.raises(ConfigError, match="two versions of cython in one environment"):
        parse_tree(json.dumps(data), FILE)


def test_all_that_is_wrong_is_said_at_once() -> None:
    data = json.loads(text_of(SMALL))
    data["nodes"][JINJA]["accepted"] = None
    data["nodes"][MARKUP]["prebuilt"] = "no"
    with pytest.raises(ConfigError, match=r"graph\.json has 2 problems") as caught:
        parse_tree(json.dumps(data), FILE)
    assert [part.where for part in caught.value.parts] == [
        f'{FILE} nodes."{JINJA}".accepted',
        f'{FILE} nodes."{MARKUP}".prebuilt',
    ]

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from pybuilder.tree import Need, Package, Status, Tree
from pybuilder.tree_svg import tree_svg
from pybuilder.tree_walk import lines
from tests.support.planned import AIOHTTP, CIRCLE, LANGCHAIN, REQUESTS, SMALL, expected, guessed, planned

SVG = "{http://www.w3.org/2000/svg}"
TREES = [SMALL, REQUESTS, AIOHTTP, LANGCHAIN, CIRCLE]
# A letter of a common monospaced font is so many times as wide as the font is high.
LETTER = 0.6023


def drawn(tree: Tree) -> ElementTree.Element:
    return ElementTree.fromstring(tree_svg(tree, expected(tree), guessed(tree)))


def groups(picture: ElementTree.Element, word: str) -> list[ElementTree.Element]:
    """The groups of a class in the picture itself, not in its legend."""
    body = picture.findall(f"{SVG}g")[0]
    return [group for group in body.findall(f"{SVG}g") if word in group.get("class", "").split()]


def title(group: ElementTree.Element) -> str:
    return group.findtext(f"{SVG}title", "")


def extent(element: ElementTree.Element) -> tuple[float, float, float, float]:
    x, y, width, height = (float(element.get(key, "0")) for key in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.tops[0].requirement)
def test_every_package_has_a_box_and_its_text_is_within(tree: Tree) -> None:
    boxes = groups(drawn(tree), "box")
    assert [title(box).partition(":")[0] for box in boxes] == [f"{node.name} {node.version}" for node in tree]
    for box in boxes:
        left, top, right, bottom = extent(box.find(f"{SVG}rect"))
        for text, size in zip(box.findall(f"{SVG}text"), (13, 11), strict=True):
            x, y = float(text.get("x", "")), float(text.get("y", ""))
            assert left < x and x + len(text.text or "") * size * LETTER <= right
            assert top < y - size * 0.8 and y + size * 0.3 < bottom


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.tops[0].requirement)
def test_every_line_of_the_tree_is_drawn_and_has_a_head(tree: Tree) -> None:
    picture = drawn(tree)
    strokes = [group for kind in ("install", "build", "circle") for group in groups(picture, kind)]
    titles = {title(stroke) for stroke in strokes}
    for line in lines(tree):
        verb = {"install": "installs", "build": "builds with"}[line.kind]
        assert "\n".join(f"{line.by[0]} {line.by[1]} {verb} {text}" for text in line.requirements) in titles
    heads = [path for stroke in strokes for path in stroke.findall(f"{SVG}path") if path.get("class") == "head"]
    assert len({(line.to, line.kind) for line in lines(tree)}) <= len(heads)


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.tops[0].requirement)
def test_all_of_the_legend_and_heading_is_in_the_picture(tree: Tree) -> None:
    picture = drawn(tree)
    width, height = float(picture.get("width", "")), float(picture.get("height", ""))
    _, legend = picture.findall(f"{SVG}g")
    right, down = place(legend)
    items = [(right + x, down + y, item) for item in legend for x, y in [place(item)]]
    for x, y, item in items:
        assert x + 32 + len(item.findtext(f"{SVG}text", "")) * 11 * LETTER < width
        assert y + 16 < height
    rows = sorted((y, x, x + 32 + len(item.findtext(f"{SVG}text", "")) * 11 * LETTER) for x, y, item in items)
    for (y, _, end), (next_y, start, _) in itertools.pairwise(rows):
        assert y != next_y or end < start
    for text in picture.findall(f"{SVG}text"):
        size = 15 if text.get("class") == "heading" else 11
        assert float(text.get("x", "")) + len(text.text or "") * size * LETTER < width


def place(group: ElementTree.Element) -> tuple[float, float]:
    found = re.fullmatch(r"translate\((\S+) (\S+)\)", group.get("transform", ""))
    assert found
    return float(found[1]), float(found[2])


def test_colours_and_borders_say_what_is_expected_and_what_is_installed() -> None:
    statuses: dict[Package, Status] = dict.fromkeys(REQUESTS.nodes, "cached")
    statuses |= {p: "waits" for p in REQUESTS.nodes if p[0] == "pathspec"}
    statuses |= {p: "depends" for p in REQUESTS.nodes if p[0] in ("requests", "hatchling")}
    statuses |= {p: "new" for p in REQUESTS.nodes if p[0] == "idna"}
    boxes = groups(ElementTree.fromstring(tree_svg(REQUESTS, statuses, {})), "box")
    classes = {title(box).split()[0]: box.get("class") for box in boxes}
    assert classes["requests"] == "box depends installed top"
    assert classes["idna"] == "box new installed"
    assert classes["pathspec"] == "box waits builds"
    assert classes["setuptools"] == "box cached builds"


def test_the_legend_has_what_the_picture_has_and_no_more() -> None:
    tree = planned("a", "a 1")
    text = tree_svg(tree, dict.fromkeys(tree.nodes, "new"), {})
    legend = text.rpartition('<g transform="translate(24 ')[2]
    assert "new: will be built (1)" in legend
    assert "asked for" in legend
    assert not any(words in legend for words in ("cached", "review", "needed", "circle"))
    assert "closes a circle" in tree_svg(CIRCLE, expected(CIRCLE), {})


def test_what_closes_a_circle_has_its_head_at_the_box_on_the_left() -> None:
    turned = groups(drawn(CIRCLE), "circle")
    boxes = {title(box).split()[0]: extent(box.find(f"{SVG}rect")) for box in groups(drawn(CIRCLE), "box")}
    assert {title(stroke).split()[0] for stroke in turned} == {"sphinxcontrib-qthelp", "sphinxcontrib-htmlhelp"}
    heads = [head.get("d", "") for stroke in turned for head in stroke if head.get("class") == "head"]
    assert heads and all(head.startswith(f"M{boxes['sphinx'][2]:g} ") for head in heads)


def test_words_of_strangers_stay_words() -> None:
    hostile = '</title><script>alert("1")</script> & \x00\x1b\ud800\uffff \'"'
    tree = planned("a", "a 1: b: \nb 1")
    (a, b) = tree.nodes
    node = replace(tree.nodes[a], installs=(Need(requirement=hostile, package=b),))
    tree = Tree(
        target=hostile, python=hostile, tops=(Need(requirement=hostile, package=a),), nodes={a: node, b: tree.nodes[b]}
    )
    text = tree_svg(tree, {a: "new", b: "cached"}, {})
    text.encode()
    picture = ElementTree.fromstring(text)
    assert not list(picture.iter(f"{SVG}script"))
    assert '</title><script>alert("1")</script> & \ufffd\ufffd\ufffd\ufffd' in title(groups(picture, "install")[0])


def test_what_is_too_long_is_cut_in_the_box_and_whole_in_the_tooltip() -> None:
    name = "a-" * 60 + "b"
    tree = planned(name, f"{name} 1.0.dev{'1' * 60}")
    (box,) = groups(drawn(tree), "box")
    assert title(box).startswith(f"{name} 1.0.dev{'1' * 60}")
    assert all(len(text.text or "") < 60 for text in box.findall(f"{SVG}text"))
    assert float(drawn(tree).get("width", "")) < 800


def test_the_same_tree_gives_the_same_text_for_light_and_dark_pages() -> None:
    once = tree_svg(LANGCHAIN, expected(LANGCHAIN), guessed(LANGCHAIN))
    assert once == tree_svg(LANGCHAIN, expected(LANGCHAIN), guessed(LANGCHAIN))
    assert "prefers-color-scheme: dark" in once
    assert once.endswith("</svg>\n")


def test_a_cached_package_has_no_estimate() -> None:
    tree = planned("a", "a 1")
    assert "3.0 s" in tree_svg(tree, dict.fromkeys(tree.nodes, "new"), dict.fromkeys(tree.nodes, 3.0))
    assert "3.0 s" not in tree_svg(tree, dict.fromkeys(tree.nodes, "cached"), dict.fromkeys(tree.nodes, 3.0))

"""A planned tree in Graphviz's language, for those who want to draw it themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pybuilder.tree import Package, Status, Tree, package_id
from pybuilder.tree_walk import lines

_COLOURS: Mapping[Status, str] = {"cached": "#dafbe1", "new": "#ddf4ff", "depends": "#fff8c5", "waits": "#ffebe9"}


def tree_dot(tree: Tree, statuses: Mapping[Package, Status]) -> str:
    """A digraph: solid arrows to what is installed with a package, dashed ones to what builds it.

    Args:
        tree: The tree.
        statuses: What is expected of each package; the colour of its box.
    """
    return "\n".join(["digraph tree {", *_head(), *_nodes(tree, statuses), *_edges(tree), "}"]) + "\n"


def _head() -> Iterator[str]:
    yield "  rankdir=LR;"
    yield '  node [shape=box, style="rounded,filled", fontname="sans-serif"];'


def _nodes(tree: Tree, statuses: Mapping[Package, Status]) -> Iterator[str]:
    for node in tree:
        status = statuses[node.package]
        style = "rounded,filled" if node.package in tree.installed else "rounded,filled,dashed"
        facts = {
            "label": f"{node.name}\n{node.version}",
            "fillcolor": _COLOURS[status],
            "style": style,
            "tooltip": status,
        }
        yield f"  {_quoted(package_id(node.package))} [{_attributes(facts)}];"


def _edges(tree: Tree) -> Iterator[str]:
    for line in lines(tree):
        facts = {
            "style": "solid" if line.kind == "install" else "dashed",
            "tooltip": "\n".join(line.requirements),
        }
        yield f"  {_quoted(package_id(line.by))} -> {_quoted(package_id(line.to))} [{_attributes(facts)}];"


def _attributes(facts: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={_quoted(value)}" for key, value in facts.items())


def _quoted(text: str) -> str:
    """A quoted string; in labels Graphviz reads escapes and HTML's entities, and control characters have none."""
    plain = re.sub("[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]", "\ufffd", text)
    plain = plain.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;").replace("\n", "\\n")
    return f'"{plain}"'

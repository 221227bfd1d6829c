"""A planned tree in JSON: all of it (``graph.json``), in which order it is built (``build-order.json``), and why.

What reads them is apart (``tree_reader``), since every run writes a tree and few read one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pybuilder.tree import Archive, Need, Node, Package, Status, Tree, package_id


def tree_json(tree: Tree, statuses: Mapping[Package, Status], estimates: Mapping[Package, float]) -> dict[str, Any]:
    """All of a tree, for JSON.

    Args:
        tree: The tree.
        statuses: What is expected of each package.
        estimates: Seconds that a package will take; packages may be missing.
    """
    nodes = {package_id(node.package): _node(tree, node, statuses, estimates) for node in tree}
    return {
        "format": 1,
        "target": tree.target,
        "python": tree.python,
        "tops": _needs(tree, tree.tops),
        "nodes": nodes,
    }


def _node(
    tree: Tree, node: Node, statuses: Mapping[Package, Status], estimates: Mapping[Package, float]
) -> dict[str, Any]:
    return {
        "accepted": node.accepted,
        "builds": _needs(tree, node.builds),
        "closure": [_id(tree, package) for package in node.closure],
        "environment": [_id(tree, package) for package in node.environment],
        "extras": list(node.extras),
        "installs": _needs(tree, node.installs),
        "prebuilt": node.prebuilt,
        "requires_python": node.requires_python,
        "seconds": _seconds(estimates, node.package),
        "source": _source(node.source) if node.source else None,
        "status": statuses[node.package],
    }


def _needs(tree: Tree, needs: Sequence[Need]) -> list[dict[str, str]]:
    return [{"package": _id(tree, need.package), "requirement": need.requirement} for need in needs]


def _id(tree: Tree, package: Package) -> str:
    """The package as its node writes it: 1.0 and 1.0.0 are equal, and an edge may have the other spelling."""
    return package_id(tree.nodes[package].package)


def _source(source: Archive) -> dict[str, str | int]:
    return {"file": source.file, "sha256": source.sha256, "size": source.size, "url": source.url}


def _seconds(estimates: Mapping[Package, float], package: Package) -> float | None:
    return round(estimates[package], 3) if package in estimates else None


def order_json(
    tree: Tree, statuses: Mapping[Package, Status], estimates: Mapping[Package, float]
) -> list[dict[str, Any]]:
    """The packages in an order in which they can be built, for JSON; arguments as for :func:`tree_json`."""
    # Imported here, since only a plan that a person asks for is written in order.
    from pybuilder.tree_walk import build_order

    return [
        {
            "name": step.package[0],
            "version": str(step.package[1]),
            "level": step.level,
            "sha256": source.sha256 if (source := tree.nodes[step.package].source) else None,
            "needs": [package_id(package) for package in step.first],
            "status": statuses[step.package],
            "seconds": _seconds(estimates, step.package),
        }
        for step in build_order(tree)
    ]


def why_json(tree: Tree, name: str) -> list[list[dict[str, str | None]]]:
    """Why a package is in a tree, for JSON: for each of its versions the shortest chain of requirements to it.

    Each requirement is with who states it, null where it was asked for, and whether that installs or builds with it.

    Args:
        tree: The tree.
        name: The package's name, in any spelling.

    Raises:
        UsageError: It is not in the tree.
    """
    # Imported here, as for the order: no run asks why.
    from pybuilder.tree_text import versions
    from pybuilder.tree_walk import shortest_chain

    return [
        [
            {
                "package": _id(tree, edge.need.package),
                "requirement": edge.need.requirement,
                "by": _id(tree, edge.by) if edge.by else None,
                "kind": edge.kind,
            }
            for edge in shortest_chain(tree, package)
        ]
        for package in versions(tree, name)
    ]


def format_json(value: Any) -> str:
    """The text of these files: one line for one fact, the same value the same text."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

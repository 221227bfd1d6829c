"""How long builds will take: what they took before, else a guess by the size of the source."""

from __future__ import annotations

from collections.abc import Mapping

from pybuilder.state import State
from pybuilder.tree import Node, Package, Tree

# What a pure package takes with its install test, and what its source adds where nobody has built it yet.
_LEAST = 1.5
_PER_MEGABYTE = 4.0


def estimates(tree: Tree, state: State) -> Mapping[Package, float]:
    """Seconds that each package of a tree would take to build."""
    return {node.package: _estimate(node, state) for node in tree}


def _estimate(node: Node, state: State) -> float:
    attempts = [attempt for attempt in state.attempts(node.name) if attempt.state == "succeeded" and attempt.seconds]
    same = [attempt for attempt in attempts if attempt.version == str(node.version)]
    for attempt in (*same, *attempts):
        return float(attempt.seconds or _LEAST)
    if node.prebuilt:
        return _LEAST
    return _LEAST + _PER_MEGABYTE * (node.source.size if node.source else 0) / 1e6


def wall_seconds(tree: Tree, seconds: Mapping[Package, float], jobs: int) -> float:
    """The least that building these packages of a tree can take: its longest chain, or all of it on all jobs.

    Args:
        tree: The tree.
        seconds: What each package takes that is to be built; the others take nothing.
        jobs: How many are built at a time.
    """
    ends: dict[Package, float] = {}
    for group in tree.groups:
        needs = {need for p in group for need in (*tree.nodes[p].environment, *tree.nodes[p].closure)}
        begin = max((ends.get(need, 0.0) for need in needs), default=0.0)
        for package in group:
            ends[package] = begin + seconds.get(package, 0.0)
    return max(max(ends.values(), default=0.0), sum(seconds.values()) / jobs)

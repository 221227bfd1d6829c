"""Graphs of packages: what must come before what, and the cycles in which nothing comes first."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def components(edges: Mapping[Node, Collection[Node]]) -> list[tuple[Node, ...]]:
    """Strongly connected components, each after all that it points to (Tarjan 1972, without recursion).

    Args:
        edges: For every node, the nodes it needs; each of them is a node of its own. Order of iteration decides between
            components that don't depend on each other, so sorted edges give one answer.
    """
    index: dict[Node, int] = {}
    low: dict[Node, int] = {}
    stack: list[Node] = []
    on_stack: set[Node] = set()
    found: list[tuple[Node, ...]] = []
    for root in edges:
        if root in index:
            continue
        work = [(root, iter(edges[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, children = work[-1]
            for child in children:
                if child not in index:
                    index[child] = low[child] = len(index)
                    stack.append(child)
                    on_stack.add(child)
                    work.append((child, iter(edges[child])))
                    break
                if child in on_stack:
                    low[node] = min(low[node], index[child])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == index[node]:
                    group = [stack.pop()]
                    while group[-1] != node:
                        group.append(stack.pop())
                    on_stack.difference_update(group)
                    found.append(tuple(reversed(group)))
    return found


def reachable(edges: Mapping[Node, Collection[Node]], start: Node) -> set[Node]:
    """Everything a node needs, directly or not, itself included."""
    seen = {start}
    todo = [start]
    while todo:
        for child in edges[todo.pop()]:
            if child not in seen:
                seen.add(child)
                todo.append(child)
    return seen


def closures(edges: Mapping[Node, Collection[Node]]) -> dict[Node, tuple[Node, ...]]:
    """For every node, everything that it needs, directly or not, itself included, in the order of ``edges``.

    Args:
        edges: For every node, the nodes it needs; each of them is a node of its own.
    """
    # By place: numbers are hashed and compared much faster than packages.
    order = list(edges)
    place = {node: number for number, node in enumerate(order)}
    needs = [[place[need] for need in edges[node]] for node in order]
    found: dict[int, tuple[int, ...]] = {}
    for group in components(dict(enumerate(needs))):
        known = [found[need] for member in group for need in needs[member] if need in found]
        found |= dict.fromkeys(group, tuple(sorted(set(group).union(*known))))
    return {node: tuple(order[member] for member in found[number]) for number, node in enumerate(order)}


def describe_cycle(path: Sequence[str]) -> str:
    """A cycle in words: ``a 1 needs b 2 needs a 1``; the last element is the first again."""
    return " needs ".join(path)

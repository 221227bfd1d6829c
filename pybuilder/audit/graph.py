"""From a wheel down to the seeds: which payloads built it, which built those; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pybuilder.audit import judge
from pybuilder.audit.evidence import Check, Evidence
from pybuilder.audit.judge import Flag
from pybuilder.plan import Ingredient


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One payload in the tree of what a wheel came from.

    Attributes:
        payload: Its digest.
        name: Its project.
        version: Upstream's version; that of the wheel where one was found.
        evidence: What the index has of a wheel with this payload; None where it has none.
        below: The payloads that were in its build environment.
        checks: What was compared.
        flags: What taints it by itself.
    """

    payload: str
    name: str
    version: str
    evidence: Evidence | None
    below: tuple[str, ...]
    checks: tuple[Check, ...]
    flags: tuple[Flag, ...]

    @property
    def problems(self) -> tuple[Check, ...]:
        """The checks that found something."""
        return tuple(check for check in self.checks if check.problem)

    @property
    def seed(self) -> bool:
        """Whether no wheel had a part in it: a backend that builds itself, or upstream's own wheel."""
        return self.evidence is not None and self.evidence.plan is not None and not self.below


Find = Callable[[Ingredient], Evidence | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """All that a wheel came from.

    Attributes:
        top: The wheel's own node.
        nodes: Every payload that had a part in it, its own among them, by digest; in the order of walking down.
    """

    top: Node
    nodes: Mapping[str, Node]

    @property
    def ok(self) -> bool:
        """Whether everything agrees, all the way down."""
        return not any(node.problems for node in self.nodes.values())

    def flagged(self) -> dict[judge.Kind, list[Node]]:
        """What taints it and what it came from, by kind."""
        found: dict[judge.Kind, list[Node]] = {}
        for kind in judge.KINDS:
            nodes = [node for node in self.nodes.values() if kind in {flag.kind for flag in node.flags}]
            if nodes:
                found[kind] = nodes
        return found


def walk(wheel: Evidence, find: Find) -> Graph:
    """Walk down from a wheel.

    Args:
        wheel: The wheel.
        find: What the index has of the wheel that a payload in an environment became.
    """
    top = node_of(wheel)
    nodes = {top.payload: top}
    todo = list(reversed(ingredients(wheel)))
    while todo:
        each = todo.pop()
        if each.payload in nodes:
            continue
        found = find(each)
        nodes[each.payload] = node_of(found) if found else _missing(each)
        if found:
            todo += reversed(ingredients(found))
    return Graph(top=top, nodes=nodes)


def ingredients(found: Evidence) -> tuple[Ingredient, ...]:
    """What was in a wheel's build environment, as far as that is known."""
    if found.plan:
        return found.plan.environment
    return found.account.environment if found.account else ()


def node_of(found: Evidence) -> Node:
    """A wheel by itself."""
    return Node(
        payload=found.payload or (found.account.payload if found.account else found.filename),
        name=found.name,
        version=found.version,
        evidence=found,
        below=tuple(dict.fromkeys(each.payload for each in ingredients(found))),
        checks=judge.checks(found),
        flags=judge.flags(found),
    )


def _missing(each: Ingredient) -> Node:
    what = "a wheel with this payload is in the index"
    return Node(
        payload=each.payload,
        name=each.name,
        version=each.version,
        evidence=None,
        below=(),
        checks=(Check(what=what, problem=f"none is, though {each.name} {each.version} was built with"),),
        flags=(),
    )


def tree_lines(graph: Graph, marks: Callable[[Node], Iterable[str]]) -> Iterator[str]:
    """The tree as a person reads it: what built a payload is below it, deeper by one step; what comes again is short.

    Args:
        graph: The tree.
        marks: What stands behind a payload's name.
    """
    seen: set[str] = set()
    todo: list[tuple[int, str]] = [(0, graph.top.payload)]
    while todo:
        depth, payload = todo.pop()
        node = graph.nodes[payload]
        again = payload in seen and bool(node.below)
        notes = ["see above"] if again else list(marks(node))
        yield f"{'  ' * depth}{node.name} {node.version}" + (f"  ({', '.join(notes)})" if notes else "")
        if payload not in seen:
            seen.add(payload)
            todo += [(depth + 1, each) for each in reversed(node.below)]

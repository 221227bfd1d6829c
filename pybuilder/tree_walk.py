"""Ways over a tree that files, texts and pictures of it share: its edges, who needs what, the order of building."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pybuilder.tree import Need, Package, Tree

Kind = Literal["install", "build"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """A requirement of a package in a tree.

    Attributes:
        by: The package that states it; None for a top of the tree.
        need: What is required.
        kind: What it is needed for.
    """

    by: Package | None
    need: Need
    kind: Kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A package's place in the order of building.

    Attributes:
        package: Name and version.
        level: From 1; everything it needs first has a lower one.
        first: What must be there before: its build environment and what is installed with it. Those that need it
            installed as well, and are published with it as one group, are not among them. Sorted.
    """

    package: Package
    level: int
    first: tuple[Package, ...]


def edges(tree: Tree) -> Iterator[Edge]:
    """Every requirement in a tree: of the tops, then of each package; not those of a package on itself."""
    for top in tree.tops:
        yield Edge(by=None, need=top, kind="install")
    for node in tree:
        kinds: tuple[tuple[Kind, Sequence[Need]], ...] = (("install", node.installs), ("build", node.builds))
        for kind, needs in kinds:
            for need in needs:
                if need.package != node.package:
                    yield Edge(by=node.package, need=need, kind=kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """What a picture draws between two packages.

    Attributes:
        by: The package that needs the other.
        to: The other.
        kind: What for.
        requirements: Every requirement that says so.
    """

    by: Package
    to: Package
    kind: Kind
    requirements: tuple[str, ...]


def lines(tree: Tree) -> tuple[Line, ...]:
    """The lines of a picture: install requirements, and build requirements that do not follow from other lines.

    Nearly everything needs one of a few backends to build. Where what a package needs leads to the backend anyway, a
    line of its own tells nothing about the order of building.
    """
    stated: dict[tuple[Package, Package, Kind], list[str]] = {}
    for edge in edges(tree):
        if edge.by is not None:
            stated.setdefault((edge.by, edge.need.package, edge.kind), []).append(edge.need.requirement)
    children: dict[Package, set[Package]] = {package: set() for package in tree.nodes}
    for by, to, _ in stated:
        children[by].add(to)
    group = {package: number for number, members in enumerate(tree.groups) for package in members}
    reach = _reach(tree, children, group)

    def follows(by: Package, to: Package) -> bool:
        others = (each for each in children[by] if group[each] not in (group[by], group[to]))
        return any(reach[group[each]] >> group[to] & 1 for each in others)

    return tuple(
        Line(by=by, to=tree.nodes[to].package, kind=kind, requirements=tuple(requirements))
        for (by, to, kind), requirements in stated.items()
        if kind == "install" or not follows(by, to)
    )


def _reach(tree: Tree, children: Mapping[Package, set[Package]], group: Mapping[Package, int]) -> list[int]:
    """For each group the groups that it leads to, its own among them, as bits of a number."""
    reach: list[int] = []
    for number, members in enumerate(tree.groups):
        bits = 1 << number
        for to in {group[child] for package in members for child in children[package]} - {number}:
            bits |= reach[to]
        reach.append(bits)
    return reach


def dependants(tree: Tree) -> Mapping[Package, Sequence[Edge]]:
    """The requirements that lead to each package."""
    found: dict[Package, list[Edge]] = {package: [] for package in tree.nodes}
    for edge in edges(tree):
        found[edge.need.package].append(edge)
    return found


def shortest_chain(tree: Tree, package: Package) -> tuple[Edge, ...]:
    """The fewest requirements that lead from a top to a package, the top's first.

    To what is installed they are all install requirements: that is why it is installed.
    """
    build_too = package not in tree.installed
    out: dict[Package | None, list[Edge]] = {}
    for edge in edges(tree):
        if build_too or edge.kind == "install":
            out.setdefault(edge.by, []).append(edge)
    came: dict[Package, Edge] = {}
    todo: deque[Package | None] = deque([None])
    while todo and package not in came:
        for edge in out.get(todo.popleft(), ()):
            if edge.need.package not in came:
                came[edge.need.package] = edge
                todo.append(edge.need.package)
    chain: list[Edge] = []
    at: Package | None = package
    while at is not None and at in came:
        chain.append(came[at])
        at = came[at].by
    return tuple(reversed(chain))


def build_order(tree: Tree) -> tuple[Step, ...]:
    """Every package after all that it needs first: by level, then by name and version."""
    levels: dict[Package, int] = {}
    steps: list[Step] = []
    for group in tree.groups:
        first = {package: _first(tree, package, group) for package in group}
        level = 1 + max((levels[each] for each_first in first.values() for each in each_first), default=0)
        levels |= dict.fromkeys(group, level)
        steps += [Step(package=package, level=level, first=first[package]) for package in group]
    return tuple(sorted(steps, key=lambda step: (step.level, step.package)))


def _first(tree: Tree, package: Package, group: Sequence[Package]) -> tuple[Package, ...]:
    node = tree.nodes[package]
    needed = {*node.environment, *(need.package for need in node.installs)} - set(group)
    return tuple(sorted(tree.nodes[each].package for each in needed))

"""A planned tree as lines for people: what installs, in which order it is built, what waits, why a package is there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from pybuilder.errors import UsageError
from pybuilder.names import normalize
from pybuilder.printable import printable
from pybuilder.tree import STATUSES, Need, Package, Status, Tree
from pybuilder.tree_walk import Edge, Step, build_order, dependants, shortest_chain

_WORDS: Mapping[Status, str] = {
    "cached": "cached",
    "new": "new",
    "depends": "depends",
    "waits": "waits for review",
}
# How many of those that need a package are named.
_NAMED = 5


def plan_lines(
    tree: Tree,
    statuses: Mapping[Package, Status],
    estimates: Mapping[Package, float],
    *,
    wall: float,
    cpu: float,
) -> list[str]:
    """A plan as a person reads it before it is carried out.

    Args:
        tree: The tree.
        statuses: What is expected of each package.
        estimates: Seconds that a package will take; packages may be missing.
        wall: Seconds that all of it will take.
        cpu: Seconds of cpu that all of it will take.
    """
    lines = [f"for {tree.target}, Python {tree.python}", "", "installs:", *_installs(tree), ""]
    lines += ["build order:", *_order(tree, statuses, estimates), ""]
    if waiting := [package for package in tree.nodes if statuses[package] == "waits"]:
        lines += ["waits for review:", *_waiting(tree, waiting), ""]
    # Requirements are strangers' words, and markers may have any letter.
    return [*map(printable, lines), totals(statuses, wall=wall, cpu=cpu)]


def totals(statuses: Mapping[Package, Status], *, wall: float, cpu: float) -> str:
    """A plan in one line; arguments as those of :func:`plan_lines`."""
    found = list(statuses.values())
    cached, new, depends, waits = map(found.count, STATUSES)
    packages = "1 package" if len(found) == 1 else f"{len(found)} packages"
    return (
        f"{packages}: {cached} cached, {new} new, {depends} depend on these, {waits} wait for review;"
        f" about {duration(wall)}, {duration(cpu)} of cpu time"
    )


def duration(seconds: float) -> str:
    """A time as people say it: ``0.4 s``, ``38 s``, ``4 min 25 s``, ``2 h 5 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def shown(package: Package) -> str:
    """A package in a sentence: name and version with a space between."""
    return f"{package[0]} {package[1]}"


def _installs(tree: Tree) -> Iterator[str]:
    """Each package once, below the first that needs it; where it comes again, what it needs is not shown again."""
    seen: set[Package] = set()
    todo: list[tuple[int, Need]] = [(1, need) for need in reversed(tree.tops)]
    while todo:
        depth, need = todo.pop()
        node = tree.nodes[need.package]
        again = node.package in seen
        mark = "  (see above)" if again and node.installs else ""
        yield f"{'  ' * depth}{shown(node.package)}  [{need.requirement}]{mark}"
        if not again:
            seen.add(node.package)
            todo += [(depth + 1, below) for below in reversed(node.installs) if below.package != node.package]


def _order(tree: Tree, statuses: Mapping[Package, Status], estimates: Mapping[Package, float]) -> Iterator[str]:
    steps = build_order(tree)
    width = max((len(shown(step.package)) for step in steps), default=0)
    for level, members in groupby(steps, key=_level):
        yield f"  level {level}"
        for step in members:
            seconds = estimates.get(step.package)
            estimate = f", {duration(seconds)}" if seconds is not None and statuses[step.package] != "cached" else ""
            prebuilt = ", upstream's wheel" if tree.nodes[step.package].prebuilt else ""
            yield f"    {shown(step.package):{width}}  {_WORDS[statuses[step.package]]}{estimate}{prebuilt}"


def _level(step: Step) -> int:
    return step.level


def _waiting(tree: Tree, waiting: Iterable[Package]) -> Iterator[str]:
    needed = dependants(tree)
    for package in waiting:
        yield f"  {shown(package)}: {_wanted(needed[package])}"


def _wanted(edges: Sequence[Edge]) -> str:
    """Who needs a package, the first few by name."""
    if not edges:
        return "nothing states that it needs it"
    named = [_by(edge) for edge in edges[:_NAMED]]
    more = [f"{len(edges) - _NAMED} more"] if len(edges) > _NAMED else []
    return ", ".join([*named, *more])


def _by(edge: Edge) -> str:
    if edge.by is None:
        return f"asked for as {edge.need.requirement}"
    return f"{shown(edge.by)} {_VERBS[edge.kind]} {edge.need.requirement}"


_VERBS = {"install": "installs", "build": "builds with"}


def why(tree: Tree, name: str) -> list[str]:
    """Why a package is in a tree: for each of its versions the shortest way to it, and who else needs it.

    Args:
        tree: The tree.
        name: The package's name, in any spelling.

    Raises:
        UsageError: It is not in the tree; names those that are and have nearly this name.
    """
    packages, needed = versions(tree, name), dependants(tree)
    return [printable(line) for package in packages for line in _reasons(tree, package, needed[package])]


def versions(tree: Tree, name: str) -> list[Package]:
    """The versions of a package that are in a tree, sorted; arguments and errors as those of :func:`why`."""
    wanted = normalize(name)
    packages = [package for package in tree.nodes if package[0] == wanted]
    if not packages:
        names = sorted({package[0] for package in tree.nodes})
        near = difflib.get_close_matches(wanted, names, n=3)
        cure = f"did you mean {' or '.join(near)}?" if near else "the whole tree: pybuild graph show"
        raise UsageError(f"{wanted} is not in the tree", cure=cure)
    return packages


def _reasons(tree: Tree, package: Package, edges: Sequence[Edge]) -> Iterator[str]:
    role = "is installed" if package in tree.installed else "is needed to build"
    yield f"{shown(package)} {role}"
    chain = shortest_chain(tree, package)
    for depth, edge in enumerate(chain, start=1):
        yield f"{'  ' * depth}{_by(edge)}"
    others = [edge for edge in edges if edge not in chain]
    if others:
        count = "1 other requirement leads" if len(others) == 1 else f"{len(others)} other requirements lead"
        yield f"  {count} to it: {_wanted(others)}"

"""Trees as planners find them, written down in short: real ones of three sizes, and small ones of a test's own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder.tree import Archive, Need, Node, Package, Status, Tree
from pybuilder.tree_walk import build_order


def planned(tops: str, packages: str) -> Tree:
    """A tree from lines ``NAME VERSION: INSTALLS: BUILDS``, requirements separated by semicolons.

    A requirement with a marker writes it as ``name @ marker``.
    """
    rows = [[part.strip() for part in f"{line}::".split(":")] for line in packages.strip().splitlines()]
    found: dict[str, Package] = {}
    for head, *_ in rows:
        name, _, version = head.partition(" ")
        found.setdefault(f"{name}=={version}", (canonicalize_name(name), Version(version)))
    installs = {found[head.replace(" ", "==")]: _needs(row, found) for head, row, *_ in rows}
    nodes = {}
    for head, _, builds, *_ in rows:
        package = found[head.replace(" ", "==")]
        needs = _needs(builds, found)
        environment = tuple(sorted(_closure({need.package for need in needs}, installs)))
        nodes[package] = Node(
            name=package[0],
            version=package[1],
            accepted=True,
            source=sdist(package),
            requires_python=">=3.8",
            installs=installs[package],
            closure=tuple(sorted(_closure({package}, installs))),
            builds=needs,
            environment=environment,
        )
    return Tree(
        target="cp311-linux_x86_64",
        python="3.11.7",
        tops=_needs(tops, found),
        nodes={package: nodes[package] for package in sorted(nodes)},
    )


def sdist(package: Package) -> Archive:
    file = f"{package[0].replace('-', '_')}-{package[1]}.tar.gz"
    return Archive(
        file=file,
        url=f"https://files.example/{file}",
        sha256=hashlib.sha256(file.encode()).hexdigest(),
        size=1000 + len(file),
    )


def _needs(text: str, found: Mapping[str, Package]) -> tuple[Need, ...]:
    stated = [each.strip().replace(" @ ", "; ") for each in text.split(";") if each.strip()]
    return tuple(Need(requirement=each, package=_best(Requirement(each), found)) for each in stated)


def _best(requirement: Requirement, found: Mapping[str, Package]) -> Package:
    name = canonicalize_name(requirement.name)
    fit = [p for p in found.values() if p[0] == name and (not requirement.specifier or p[1] in requirement.specifier)]
    return max(fit)


def _closure(packages: set[Package], installs: Mapping[Package, tuple[Need, ...]]) -> set[Package]:
    seen, todo = set(packages), list(packages)
    while todo:
        for need in installs[todo.pop()]:
            if need.package not in seen:
                seen.add(need.package)
                todo.append(need.package)
    return seen


def expected(tree: Tree) -> dict[Package, Status]:
    """A mixture of all statuses: what a person sees in the middle of some work."""
    statuses: dict[Package, Status] = {}
    for index, node in enumerate(tree.nodes[step.package] for step in build_order(tree)):
        built = all(statuses[each] == "cached" for each in node.environment)
        if node.name in ("flit-core", "setuptools", "wheel", "packaging"):
            statuses[node.package] = "cached"
        else:
            statuses[node.package] = "waits" if index % 11 == 7 else "new" if built else "depends"
    return statuses


def guessed(tree: Tree) -> dict[Package, float]:
    """Seconds of each package, from a tenth of a second to minutes."""
    return {node.package: 0.4 + len(node.name) ** 2 / 7 * (1 + index % 5) for index, node in enumerate(tree)}


def _read(name: str) -> Tree:
    tops, _, packages = (Path(__file__).parent / "planned_trees" / f"{name}.txt").read_text().partition("\n")
    return planned(tops, packages)


SMALL = _read("small")
REQUESTS = _read("requests")
AIOHTTP = _read("aiohttp")
LANGCHAIN = _read("langchain")
CIRCLE = _read("circle")

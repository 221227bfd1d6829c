"""Cycles of build requirements: packages that are needed, in the end, to build themselves."""

from __future__ import annotations

from pybuilder.errors import ConfigError, PybuildError
from pybuilder.graph import components, describe_cycle
from pybuilder.tree import Node, Package, Tree


def build_cycles(tree: Tree) -> dict[Package, PybuildError]:
    """Packages that are needed, in the end, to build themselves, each with the cycle in words.

    A package that is its own backend needs nothing else to be built, and is in no cycle.
    """
    found: dict[Package, PybuildError] = {}
    edges = {package: _built_and_installed(node) for package, node in tree.nodes.items()}
    for group in components(edges):
        inside = set(group)
        builders = [package for package in group if inside.intersection(tree.nodes[package].environment)]
        if not builders:
            continue
        error = ConfigError(
            f"a cycle of build requirements: {describe_cycle(_cycle(tree, builders[0], inside))}",
            where=f"specs/{builders[0][0]}.toml",
            cure="pin an older version of one of them that needs less, or take upstream's wheel of one:"
            " [prebuilt] reason",
        )
        error.package = (builders[0][0], str(builders[0][1]))
        found |= dict.fromkeys(builders, error)
    return found


def _built_and_installed(node: Node) -> list[Package]:
    return sorted({*node.environment, *node.closure} - {node.package} | ({*node.environment} & {node.package}))


def _cycle(tree: Tree, start: Package, inside: set[Package]) -> list[str]:
    """The shortest way from a package through what it needs, to build or to be installed, back to itself."""
    came: dict[Package, Package] = {}
    todo = [start]
    for package in todo:
        node = tree.nodes[package]
        for need in sorted({need.package for need in (*node.builds, *node.installs)} & inside):
            if need == start:
                path = [start, package]
                while path[-1] != start:
                    path.append(came[path[-1]])
                return [f"{name} {version}" for name, version in reversed(path)]
            if need not in came:
                came[need] = package
                todo.append(need)
    return [f"{name} {version}" for name, version in sorted(inside)]

"""What keeps packages of a planned tree from being built: cycles, and sources that are not those that are meant."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from packaging.requirements import Requirement

from pybuilder.errors import ConfigError, FetchError, PybuildError
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
            cure="build one of them with an older version that needs less, as with"
            f' [build] add-requires = ["{builders[0][0]}<{builders[0][1]}"],'
            " or take upstream's wheel of one: [prebuilt] reason",
        )
        error.package = (builders[0][0], str(builders[0][1]))
        found |= dict.fromkeys(builders, error)
    return found


def other_sources(tree: Tree, hashes: Mapping[Requirement, Collection[str]]) -> dict[Package, PybuildError]:
    """Tops whose source has none of the digests that it may have.

    Args:
        tree: The tree.
        hashes: By top, the sha256s of which its source must have one.
    """
    wrong: dict[Package, PybuildError] = {}
    allowed = {str(top): digests for top, digests in hashes.items()}
    for top in tree.tops:
        source = tree.nodes[top.package].source
        digests = allowed.get(top.requirement, ())
        if source and digests and source.sha256 not in digests:
            name, version = top.package
            error = FetchError(
                f"the source of {name} {version}, {source.file}, has the sha256 {source.sha256}, "
                "which is none of those that are asked for",
                where=source.url,
                cure="find out which source is meant; the hashes of wheels alone are no use here",
            )
            error.package = (name, str(version))
            wrong[top.package] = error
    return wrong


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

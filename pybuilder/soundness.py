"""What keeps packages of a planned tree from being built: cycles, and sources that are not those that are meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pybuilder.errors import ConfigError, FetchError, PybuildError
from pybuilder.graph import components, describe_cycle
from pybuilder.resolution import applies
from pybuilder.tree import Node, Package, Tree

# Of the ways out of a cycle so many are told.
_WAYS_OUT = 3


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
        cycle = _cycle(tree, builders[0], inside)
        error = ConfigError(
            f"a cycle of build requirements: {describe_cycle([f'{name} {version}' for name, version in cycle])}",
            where=f"specs/{builders[0][0]}.toml",
            cure="build one of them with an older version of another that needs less, as with "
            + " or ".join(_ways_out(tree, cycle)[:_WAYS_OUT])
            + "; or take upstream's wheel of one: [prebuilt] reason",
        )
        error.package = (builders[0][0], str(builders[0][1]))
        found |= dict.fromkeys(builders, error)
    return found


def other_sources(
    tree: Tree, hashes: Iterable[tuple[Requirement, Collection[str]]], markers: Mapping[str, str]
) -> dict[Package, PybuildError]:
    """What is installed of a source that has none of the digests that it may have.

    Args:
        tree: The tree.
        hashes: Requirements, and the sha256s of which the source of what satisfies one must have one. Of several that
            speak of the same package each must hold.
        markers: The target's.
    """
    wrong: dict[Package, PybuildError] = {}
    installed = {package for top in tree.tops for package in tree.nodes[top.package].closure}
    for requirement, digests in hashes:
        if not applies(requirement, markers, frozenset()):
            continue
        of_it = (package for package in installed if package[0] == canonicalize_name(requirement.name))
        for name, version in of_it:
            source = tree.nodes[name, version].source
            if source is None or source.sha256 in digests:
                continue
            if requirement.specifier.contains(version, prereleases=True):
                wrong[name, version] = error = FetchError(
                    f"the source of {name} {version}, {source.file}, has the sha256 {source.sha256}, "
                    "which is none of those that are asked for",
                    where=source.url,
                    cure="find out which source is meant; the hashes of wheels alone are no use here",
                )
                error.package = (name, str(version))
    return wrong


def _built_and_installed(node: Node) -> list[Package]:
    return sorted({*node.environment, *node.closure} - {node.package} | ({*node.environment} & {node.package}))


def _ways_out(tree: Tree, cycle: Sequence[Package]) -> list[str]:
    """What a spec would say to have its package built with an older version of what comes next in a cycle."""
    found = []
    for (name, version), need in pairwise(cycle):
        if need in tree.nodes[name, version].environment:
            requires = f'add-requires = ["{need[0]}<{need[1]}"]'
            # What is built with an older version of itself must not want that of the older one, too.
            itself = need == (name, version)
            line = f'[[override]] when.versions = ">={version}", build.{requires}' if itself else f"[build] {requires}"
            found.append(f"{line} in specs/{name}.toml")
    return found


def _cycle(tree: Tree, start: Package, inside: set[Package]) -> list[Package]:
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
                return path[::-1]
            if need not in came:
                came[need] = package
                todo.append(need)
    return sorted(inside)

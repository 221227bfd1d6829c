"""A plan that was written down, to be repeated as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.errors import BuildError, ConfigError, FetchError, PybuildError, UsageError
from pybuilder.files import disk_errors
from pybuilder.request import Planned, Request
from pybuilder.resolution import Wanted, applies, needs_of, resolve, satisfied_by
from pybuilder.soundness import build_cycles, other_sources
from pybuilder.stages.plan import build_requirements
from pybuilder.statements import Statements
from pybuilder.tree import Node, Package, Tree, package_id
from pybuilder.tree_reader import parse_tree


def read_plan(file: Path, request: Request, statements: Statements) -> Planned:
    """The plan in a file; its sources are fetched, and must be those that it names.

    Args:
        file: What ``bootstrap --plan`` wrote as ``graph.json``.
        request: What is asked for; nothing, or the tops of the plan.
        statements: What packages say of themselves.

    Raises:
        UsageError: There is no such file, or it is the plan of something else.
        ConfigError: It is damaged, or for another target.
    """
    if not file.is_file():
        raise UsageError(f"there is no file {file} here", cure="make one: pybuild bootstrap --plan REQ...")
    with disk_errors(file):
        text = file.read_text("utf-8", "replace")
    tree = parse_tree(text, str(file))
    target = statements.packages.adapters.target
    if (tree.target, tree.python) != (target.name, target.full_version):
        raise ConfigError(
            f"this plan is for {tree.target}, Python {tree.python}, not for {target.name}, {target.full_version}",
            where=str(file),
            cure="plan again on this buildroot: pybuild bootstrap --plan REQ...",
        )
    for top in tree.tops:
        if not Requirement(top.requirement).specifier.contains(top.package[1], prereleases=True):
            raise ConfigError(
                f"{package_id(top.package)} does not satisfy {top.requirement!r}", where=str(file), cure="plan again"
            )
    asked, planned = sorted({str(top) for top in request.tops}), sorted({top.requirement for top in tree.tops})
    if asked and asked != planned:
        raise UsageError(
            f"this plan is for {', '.join(planned) or 'nothing'}",
            where=str(file),
            cure="ask for just that, or for nothing",
        )
    statements.look_at(tree.nodes)
    broken = {package: error for package, error in statements.broken.items() if package in tree.nodes}
    other = {**other_sources(tree, request.hashes, target.markers), **_others_than_planned(tree, statements)}
    return Planned(tree=tree, broken={**build_cycles(tree), **other, **broken}, unmet={})


def _others_than_planned(tree: Tree, statements: Statements) -> dict[Package, PybuildError]:
    """Packages whose source is not the one that was planned with."""
    wrong: dict[Package, PybuildError] = {}
    for node in tree:
        if node.source is None or node.package in statements.broken:
            continue
        source, _ = statements.packages.source(node.package)
        if source.sha256 != node.source.sha256:
            error = FetchError(
                f"the source of {node.name} {node.version} is {source.sha256}, the plan has {node.source.sha256}",
                where=f"specs/{node.name}.toml",
                cure="plan again if the change is meant",
            )
            error.package = (node.name, str(node.version))
            wrong[node.package] = error
    return wrong


def with_wants(planned: Planned, statements: Statements) -> Planned:
    """The same plan, with what backends have turned out to want besides: of the versions that are in the plan.

    A package whose backend wants what the plan does not have is broken.
    """
    nodes, broken = dict(planned.tree.nodes), dict(planned.broken)
    for node in planned.tree:
        if node.source is not None and node.package not in broken:
            try:
                nodes[node.package] = _with_wants(node, planned.tree, statements)
            except PybuildError as error:
                error.package = error.package or (node.name, str(node.version))
                broken[node.package] = error
    tree = replace(planned.tree, nodes=nodes)
    return replace(planned, tree=tree, broken={**build_cycles(tree), **broken})


def _with_wants(node: Node, tree: Tree, statements: Statements) -> Node:
    packages = statements.packages
    there: dict[str, Version] = dict(node.environment)
    wants = packages.dynamic(node.package, {name: str(version) for name, version in there.items()})
    if not wants:
        return node
    requires = build_requirements(*packages.source(node.package), wants)
    planned, markers = {need.requirement for need in node.builds}, packages.adapters.target.markers
    if satisfied_by(there, [each for each in requires if str(each) not in planned], markers):
        return node
    wanted = [Wanted(each, f"the build of {node.name} {node.version}") for each in requires]
    try:
        choice = resolve(wanted, _World(tree, statements, there), markers=markers)
    except FetchError as error:
        told = ", ".join(want for want in wants if applies(Requirement(want), markers, frozenset()))
        what = f"the backend of {package_id(node.package)} wants {told}, and the plan does not have all of it"
        raise BuildError(f"{what}: {error.what}", cure="plan again, without --locked") from error
    environment = tuple(sorted((name, version) for name, (version, _) in choice.items()))
    return replace(node, builds=needs_of(requires, choice, markers), environment=environment)


@dataclass(frozen=True, slots=True)
class _World:
    """What the resolver of a build environment may choose from: what is in a tree, first what is there already."""

    tree: Tree
    statements: Statements
    there: Mapping[str, Version]

    def versions(self, name: NormalizedName, specifiers: Sequence[SpecifierSet]) -> Sequence[Version]:
        found = sorted((version for other, version in self.tree.nodes if other == name), reverse=True)
        found.sort(key=lambda version: version != self.there.get(name))
        return [version for version in found if all(each.contains(version, prereleases=True) for each in specifiers)]

    def requirements(self, name: NormalizedName, version: Version) -> Sequence[Requirement]:
        if (stated := self.statements.requirements((name, version))) is not None:
            return stated
        return [Requirement(need.requirement) for need in self.tree.nodes[name, version].installs]

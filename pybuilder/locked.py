"""A plan that was written down, to be repeated as it is."""

from __future__ import annotations

from pathlib import Path

from packaging.requirements import Requirement

from pybuilder.errors import ConfigError, FetchError, PybuildError, UsageError
from pybuilder.files import disk_errors
from pybuilder.request import Planned, Request
from pybuilder.soundness import build_cycles, other_sources
from pybuilder.statements import Statements
from pybuilder.tree import Package, Tree, package_id
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
            f"this plan is for {', '.join(planned)}", where=str(file), cure="ask for just that, or for nothing"
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

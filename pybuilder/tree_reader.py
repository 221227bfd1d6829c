"""Read ``graph.json``, which ``tree_files`` writes, and refuse what is no tree."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, is_normalized_name
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, ConfigDict, Field

from pybuilder.fields import Array, FileSize, FormatOne, PackageName, RelativePath, Sha256, Table
from pybuilder.json_files import parse_json, refused, validated
from pybuilder.toml import Problem
from pybuilder.toml_places import KeyPath
from pybuilder.tree import Archive, Need, Node, Package, Status, Tree


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """What ``graph.json`` says.

    Attributes:
        tree: The tree.
        statuses: What was expected of each package when it was written.
        estimates: Seconds, of the packages for which there was an estimate.
    """

    tree: Tree
    statuses: Mapping[Package, Status]
    estimates: Mapping[Package, float]


def _text(text: str) -> str:
    if re.search("[\ud800-\udfff]", text):
        raise ValueError(f"{text!r} is no text: it has half of a surrogate pair in it")
    return text


def _requirement(text: str) -> str:
    try:
        Requirement(text)
    except InvalidRequirement as error:
        raise ValueError(f"{text!r} is no requirement (PEP 508): {str(error).splitlines()[0]}") from error
    return _text(text)


def _package_id(text: str) -> str:
    name, equals, version = text.partition("==")
    try:
        right = bool(equals) and is_normalized_name(name) and str(Version(version)) == version
    except InvalidVersion:
        right = False
    if not right:
        raise ValueError(f"{text!r} is no package; it reads NAME==VERSION, both normalised")
    return text


def _file_name(text: str) -> str:
    if "/" in text:
        raise ValueError(f"{text!r} is no file name")
    return _text(text)


class _Table(Table):
    model_config = ConfigDict(alias_generator=None)


_Text = Annotated[str, AfterValidator(_text)]
_PackageId = Annotated[str, AfterValidator(_package_id)]


class _Need(_Table):
    package: str
    requirement: Annotated[str, AfterValidator(_requirement)]


class _Source(_Table):
    file: Annotated[RelativePath, AfterValidator(_file_name)]
    sha256: Sha256
    size: FileSize
    url: _Text


class _Node(_Table):
    accepted: bool
    builds: Array[_Need]
    closure: Array[str]
    environment: Array[str]
    extras: Array[PackageName]
    installs: Array[_Need]
    prebuilt: bool
    requires_python: _Text
    seconds: Annotated[float, Field(ge=0)] | None
    source: _Source | None
    status: Status


class _Graph(_Table):
    format: FormatOne
    target: _Text
    python: _Text
    tops: Array[_Need]
    nodes: Mapping[_PackageId, _Node]


def parse_tree(text: str, file: str) -> Tree:
    """Read the tree of a ``graph.json``; arguments and errors as those of :func:`parse_graph`."""
    return parse_graph(text, file).tree


def parse_graph(text: str, file: str) -> Graph:
    """Read a ``graph.json``.

    Args:
        text: The file's text.
        file: Its name, for messages.

    Raises:
        ConfigError: Lists everything that is wrong with it, each with its dotted path.
    """
    graph = validated(parse_json(text, file), _Graph, file, header=("format",))
    packages = {each: _package(each) for each in graph.nodes}
    if found := [*_doubled(packages), *_dangling(graph), *_sets(graph, packages), *_missing(graph)]:
        raise refused(file, found)
    nodes = sorted((_read_node(packages[each], node, packages) for each, node in graph.nodes.items()), key=_key)
    tree = Tree(
        target=graph.target,
        python=graph.python,
        tops=_read_needs(graph.tops, packages),
        nodes={node.package: node for node in nodes},
    )
    return Graph(
        tree=tree,
        statuses={packages[each]: node.status for each, node in graph.nodes.items()},
        estimates={packages[each]: node.seconds for each, node in graph.nodes.items() if node.seconds is not None},
    )


def _package(text: str) -> Package:
    name, _, version = text.partition("==")
    return canonicalize_name(name), Version(version)


def _key(node: Node) -> Package:
    return node.package


def _read_node(package: Package, node: _Node, packages: Mapping[str, Package]) -> Node:
    return Node(
        name=package[0],
        version=package[1],
        accepted=node.accepted,
        source=_read_source(node.source) if node.source else None,
        requires_python=node.requires_python,
        extras=tuple(node.extras),
        installs=_read_needs(node.installs, packages),
        closure=tuple(packages[each] for each in node.closure),
        builds=_read_needs(node.builds, packages),
        environment=tuple(packages[each] for each in node.environment),
        prebuilt=node.prebuilt,
    )


def _read_source(source: _Source) -> Archive:
    return Archive(file=source.file, url=source.url, sha256=source.sha256, size=source.size)


def _read_needs(needs: Sequence[_Need], packages: Mapping[str, Package]) -> tuple[Need, ...]:
    return tuple(Need(requirement=need.requirement, package=packages[need.package]) for need in needs)


def _doubled(packages: Mapping[str, Package]) -> Iterator[Problem]:
    """Versions that are written in two ways, as 1.0 and 1.0.0."""
    seen: dict[Package, str] = {}
    for each, package in packages.items():
        if (other := seen.setdefault(package, each)) != each:
            yield Problem(path=("nodes", each), text=f"this is the same version as {other!r}")


def _dangling(graph: _Graph) -> Iterator[Problem]:
    """Edges that lead nowhere, or not to what they require."""
    for path, need in _all_needs(graph):
        name = canonicalize_name(Requirement(need.requirement).name)
        if need.package not in graph.nodes:
            yield Problem(path=(*path, "package"), text=f"{need.package!r} is no package of this tree")
        elif name != need.package.partition("==")[0]:
            yield Problem(path=path, text=f"{need.package!r} does not satisfy {need.requirement!r}")
    for each, node in graph.nodes.items():
        for key, listed in (("closure", node.closure), ("environment", node.environment)):
            for index, package in enumerate(listed):
                if package not in graph.nodes:
                    yield Problem(path=("nodes", each, key, index), text=f"{package!r} is no package of this tree")


def _all_needs(graph: _Graph) -> Iterator[tuple[KeyPath, _Need]]:
    yield from ((("tops", index), need) for index, need in enumerate(graph.tops))
    for each, node in graph.nodes.items():
        for key, needs in (("installs", node.installs), ("builds", node.builds)):
            yield from ((("nodes", each, key, index), need) for index, need in enumerate(needs))


def _sets(graph: _Graph, packages: Mapping[str, Package]) -> Iterator[Problem]:
    """Packages that can't lie in one place, or are not listed as they should be."""
    for each, node in graph.nodes.items():
        for key, listed in (("closure", node.closure), ("environment", node.environment)):
            path = ("nodes", each, key)
            known = [packages[package] for package in listed if package in packages]
            if known != sorted(set(known)):
                yield Problem(path=path, text="the packages are not sorted, or one is there twice")
            names = [package[0] for package in set(known)]
            for name in sorted({name for name in names if names.count(name) > 1}):
                yield Problem(path=path, text=f"there are two versions of {name} in one environment")


def _missing(graph: _Graph) -> Iterator[Problem]:
    """Packages that must lie in a place, and do not."""
    for each, node in graph.nodes.items():
        for need in node.builds:
            if need.package in graph.nodes and need.package not in node.environment:
                text = f"{need.package!r} is missing, which is a build requirement"
                yield Problem(path=("nodes", each, "environment"), text=text)
        for package in (each, *(need.package for need in node.installs if need.package in graph.nodes)):
            if package not in node.closure:
                yield Problem(
                    path=("nodes", each, "closure"), text=f"{package!r} is missing, which is installed with it"
                )

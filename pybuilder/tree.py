"""A dependency tree as a value: what installs, what builds that, and what builds those.

It is a graph of recipes: packages by name and version, with the requirement behind every edge. Keys are filled in as
payloads appear, so a tree can be printed, drawn, compared and scheduled before anything is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NewType, get_args

from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.graph import components

Package = tuple[NormalizedName, Version]

Status = Literal["cached", "new", "depends", "waits"]
"""What is expected of a package.

cached: its payload is known; new: its key is known, and it is to be built; depends: its key depends on what has to be
built first; waits: it waits for review, or for something that does.
"""
STATUSES: tuple[Status, ...] = get_args(Status)

# ``name==version``: how a package is written in files and messages.
PackageId = NewType("PackageId", str)


def package_id(package: Package) -> PackageId:
    """How a package is written."""
    return PackageId(f"{package[0]}=={package[1]}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """One edge: a requirement, as it was stated, and the package that satisfies it."""

    requirement: str
    package: Package


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """The source of a package as far as a plan needs it.

    Attributes:
        file: The archive's name.
        url: Where it came from; empty where it has no URL, as a directory of the workspace.
        sha256: Its digest.
        size: In bytes.
    """

    file: str
    url: str
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One version of one package in a tree.

    Attributes:
        name: Normalised.
        version: Upstream's.
        accepted: Whether it has a spec.
        source: What it is built from; None where that could not be looked at.
        requires_python: The Pythons it is for, or empty.
        extras: The extras of it that are asked for, sorted.
        installs: What it needs where it is installed, without what the target's markers leave out.
        closure: Everything that is installed with it, itself included, one version of each package; sorted.
        builds: What its build environment must satisfy.
        environment: Everything in its build environment, the needs of those needs included; sorted.
        prebuilt: Whether upstream's wheel is used instead of a build.
    """

    name: NormalizedName
    version: Version
    accepted: bool
    source: Archive | None
    requires_python: str = ""
    extras: tuple[str, ...] = ()
    installs: tuple[Need, ...] = ()
    closure: tuple[Package, ...] = ()
    builds: tuple[Need, ...] = ()
    environment: tuple[Package, ...] = ()
    prebuilt: bool = False

    @property
    def package(self) -> Package:
        """Its name and version."""
        return self.name, self.version


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A planned tree.

    Attributes:
        target: What it is for, such as ``cp311-linux_x86_64``.
        python: The target's full version.
        tops: What was asked for, in the order it was asked.
        nodes: Every package in it, sorted; whatever an edge leads to is here.
    """

    target: str
    python: str
    tops: tuple[Need, ...]
    nodes: Mapping[Package, Node]

    @cached_property
    def groups(self) -> tuple[tuple[Package, ...], ...]:
        """The packages in the order in which they can be published; those that need each other installed are one group.

        A package comes after what it is installed with and after its build environment.
        """
        edges = {
            package: sorted({*node.closure, *node.environment} - {package}) for package, node in self.nodes.items()
        }
        return tuple(components(edges))

    @cached_property
    def installed(self) -> frozenset[Package]:
        """What an installation of the tops consists of."""
        return frozenset(package for top in self.tops for package in self.nodes[top.package].closure)

    def __iter__(self) -> Iterator[Node]:
        """The nodes, sorted by package."""
        return iter(self.nodes.values())


def needing(tree: Tree, these: Iterable[Package]) -> set[Package]:
    """These packages of a tree, and all that need one of them to be built or published."""
    found = set(these)
    for group in tree.groups:
        needs = {need for package in group for need in (*tree.nodes[package].environment, *tree.nodes[package].closure)}
        if not found.isdisjoint(needs):
            found.update(group)
    return found

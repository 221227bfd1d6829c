"""What a planner is asked, what it answers, and whom it asks in turn."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from packaging.requirements import Requirement
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.errors import PybuildError
from pybuilder.joint import Resolved, World
from pybuilder.tree import Package, Tree


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a bootstrap is asked for.

    Attributes:
        tops: The requirements; those whose marker is false on the target are left out.
        constraints: What everything in the tree must satisfy besides.
        hashes: Requirements, and the digests of which the source of what is installed of each must have one.
        each: Whether every top is resolved by itself.
        upgrade: Whether upstream is asked for newer versions than those that are known.
        keep_going: Whether tops that can't be resolved are left out, where each is resolved by itself.
        candidates: New versions that only those get who ask for them or accept no other.
    """

    tops: tuple[Requirement, ...]
    constraints: tuple[Requirement, ...] = ()
    hashes: tuple[tuple[Requirement, frozenset[str]], ...] = ()
    each: bool = False
    upgrade: bool = False
    keep_going: bool = False
    candidates: frozenset[Package] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A tree, and what could not be made part of it.

    Attributes:
        tree: The tree.
        broken: Packages of the tree that can't be built, and why.
        unmet: Tops that are not in it, and why.
    """

    tree: Tree
    broken: Mapping[Package, PybuildError]
    unmet: Mapping[Requirement, PybuildError]


class Resolver(Protocol):
    """Says which versions of everything that will be installed go together; ``joint.resolve_jointly`` is one."""

    def __call__(
        self,
        wanted: Sequence[Requirement],
        world: World,
        *,
        constraints: Sequence[Requirement],
        markers: Mapping[str, str],
        python: str,
        preferred: Mapping[NormalizedName, Sequence[Version]],
        prereleases: Collection[NormalizedName],
    ) -> Resolved:
        """One version for every package that is wanted; what the arguments mean is said there."""
        ...

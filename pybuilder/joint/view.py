"""The planning view: what a world says, as the pages of an index for uv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import unquote

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pybuilder.errors import FetchError
from pybuilder.joint.pages import Offer, metadata_file, project_page, satisfied, version_of
from pybuilder.tree import Package


class World(Protocol):
    """What exists, as the resolver may ask. Several threads ask at once, also for what turns out not to be needed."""

    def offers(self, name: NormalizedName) -> Sequence[Offer] | None:
        """The versions that can be had, in any order; None if there is no such project."""
        ...

    def requires(self, name: NormalizedName, version: Version) -> tuple[Requirement, ...] | None:
        """What a version requires, markers not yet evaluated; None if nobody knows that without building it.

        Raises:
            FetchError: It can't be found out. That counts only if the version is chosen.
        """
        ...


class View:
    """A world for one target, as the bytes of an index.

    What nobody knows, and what fails, is shown as a version that requires nothing: a version that is then not chosen
    doesn't matter, since whatever it requires could only have excluded more.

    Args:
        world: What exists.
        markers: The target's environment (PEP 508).
        python: The target's full version.

    Attributes:
        python: As given.
        missing: The projects that don't exist, of those asked for.
        empty: The projects that offer nothing.
        other_pythons: By project, each Requires-Python that leaves the target out, and the newest version that has it.
        unknown: The versions whose requirements nobody knows.
        failed: The versions whose requirements can't be found out, with the reason.
    """

    def __init__(self, world: World, *, markers: Mapping[str, str], python: str) -> None:
        self._world = world
        self._markers = markers
        self.python = python
        self.missing: set[NormalizedName] = set()
        self.empty: set[NormalizedName] = set()
        self.other_pythons: dict[NormalizedName, dict[str, Version]] = {}
        self.unknown: set[Package] = set()
        self.failed: dict[Package, FetchError] = {}

    def answer(self, path: str) -> bytes | None:
        """What the index has at ``NAME/`` or ``NAME/FILE.metadata``, or None."""
        project, _, file = unquote(path).partition("/")
        name = canonicalize_name(project)
        if not file:
            return self._page(name)
        version = version_of(file)
        return None if version is None else self._metadata(name, version)

    def _page(self, name: NormalizedName) -> bytes | None:
        offers = self._world.offers(name)
        if offers is None:
            self.missing.add(name)
            return None
        if not offers:
            self.empty.add(name)
        for offer in sorted(offers, key=lambda offer: offer.version):
            if not satisfied(offer.requires_python, self.python):
                self.other_pythons.setdefault(name, {})[offer.requires_python] = offer.version
        return project_page(name, offers, self.python)

    def _metadata(self, name: NormalizedName, version: Version) -> bytes:
        try:
            requirements = self._world.requires(name, version)
            if requirements is not None:
                return metadata_file(name, version, requirements, self._markers)
            self.unknown.add((name, version))
        except FetchError as error:
            self.failed[name, version] = error
        return metadata_file(name, version, (), self._markers)

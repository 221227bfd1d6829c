"""The stages of the way through: each a function from one value to the next, and none imports another."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from packaging.requirements import Requirement
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.environment import Environments, PayloadRef, PythonTarget
from pybuilder.errors import ConfigError
from pybuilder.events import Listener
from pybuilder.layout import Layout
from pybuilder.plan import Ingredient, Root, Target
from pybuilder.sandbox import Engine
from pybuilder.spec import EffectiveSpec
from pybuilder.state import State
from pybuilder.store import Store
from pybuilder.work import Cleaner
from pybuilder.workspace import Workspace

if TYPE_CHECKING:
    from pybuilder.index import Index
    from pybuilder.lacking import Lack
    from pybuilder.system_requires import SystemAccount, WheelNeeds


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """What one buildroot publishes.

    Attributes:
        name: Of the buildroot, and of the variant if any.
        label: Stands before the number in local version labels.
        buildroot: The buildroot's name.
        variant: The variant, or empty.
        env: The buildroot's ``[env]``.
        macros: The buildroot's ``[macros]``.
    """

    name: str
    label: str
    buildroot: str
    variant: str
    env: Mapping[str, str]
    macros: Mapping[str, str]


class Roots(Protocol):
    """What lies under builds and install tests: roots of RPMs, or this machine's own system."""

    def for_build(self, system: Iterable[str]) -> Root:
        """The root of a build.

        Args:
            system: RPMs, by name or any provide, besides those in every build.
        """
        ...

    def for_test(self, system: Iterable[str]) -> Root:
        """The root of an install test.

        Args:
            system: RPMs, by name or any provide, besides those in every install test.
        """
        ...

    def compare(self, wheel: WheelNeeds, built_on: Root) -> SystemAccount:
        """Which RPMs a wheel needs, and whether its install test has them, as far as RPMs are known.

        Args:
            wheel: What it needs, and is said to need.
            built_on: The root that it was built on.
        """
        ...

    def advice(self, lacks: Sequence[Lack], *, package: str, built_on: Root) -> str:
        """What to do about what a build lacked, in one sentence; empty where nothing is known.

        Args:
            lacks: What its log says that it lacked.
            package: The name of its project.
            built_on: The root that it was built on.
        """
        ...

    def has(self, root: Root) -> bool:
        """Whether a recorded root can still be had just as it was."""
        ...

    def tree(self, root: Root) -> AbstractContextManager[Path]:
        """The root as a directory tree, made unless it is there, and kept as long as the block lasts."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapters:
    """The world, as the stages may use it.

    Attributes:
        layout: Where things lie.
        store: Content by digest.
        state: What is remembered.
        engine: Makes sealed places.
        environments: Makes build environments.
        channel: What is published where.
        roots: What lies under builds.
        workspace: Says of which commit its files are.
        target: The Python built for.
        python: The interpreter inside.
        cleaner: Removes what nobody needs any more.
        listen: Told what happens.
        now: The clock.
    """

    layout: Layout
    store: Store
    state: State
    engine: Engine
    environments: Environments
    channel: Channel
    roots: Roots
    workspace: Workspace
    target: Target
    python: PythonTarget
    cleaner: Cleaner
    listen: Listener
    now: Callable[[], datetime]

    @property
    def index(self) -> Index:
        """The published tree of the channel."""
        # Imported here, since a run that finds everything published has nothing to do with it.
        from pybuilder.index import Index

        return Index.of(self.layout, self.channel.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedPatch:
    """A patch that is applied to a source.

    Attributes:
        file: Its path in the workspace.
        path: Where it is.
        sha256: Its digest.
    """

    file: str
    path: Path
    sha256: str

    def read(self) -> bytes:
        """What stands in it, which is what stood there when its digest was taken.

        Raises:
            ConfigError: Somebody has changed it or taken it away meanwhile.
        """
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            text = None
        if text is None or hashlib.sha256(text).hexdigest() != self.sha256:
            raise ConfigError(
                f"{self.file} {'is gone' if text is None else 'has changed'} since this run has looked at it",
                where=str(self.path),
                cure="run the same command again",
            )
        return text


@dataclass(frozen=True, kw_only=True, slots=True)
class Pinned:
    """A version whose source is known by digest, wherever its bytes are; enough for its recipe.

    Attributes:
        name: Normalised.
        version: Upstream's.
        spec: The spec for this version and target.
        sha256: The source archive's digest.
        patches: In the order they are applied.
    """

    name: NormalizedName
    version: Version
    spec: EffectiveSpec
    sha256: str
    patches: tuple[AppliedPatch, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source(Pinned):
    """The verified archive that a build starts from.

    Attributes:
        file: The archive in the store.
        origin: Where it came from, for people and for provenance.
        scm: Whether no ``.git`` is there though the backend may look for one.
    """

    file: Path
    origin: str
    scm: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """What a source, patched, says of itself.

    Attributes:
        source_date_epoch: Seconds since 1970 (the payload contract's rule).
        requires: ``build-system.requires`` (PEP 518).
        backend: ``build-system.build-backend`` (PEP 517).
        backend_path: ``build-system.backend-path``.
        requires_dist: Install requirements, or None where only the backend knows (PEP 643).
        requires_python: The Pythons it is for, or empty.
    """

    source_date_epoch: int
    requires: tuple[Requirement, ...]
    backend: str
    backend_path: tuple[str, ...]
    requires_dist: tuple[Requirement, ...] | None
    requires_python: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A payload, and how we came to it.

    Attributes:
        name: Normalised.
        version: Upstream's.
        sha256: Its digest.
        path: In the store.
        key: The plan's.
        recipe: The recipe's digest.
        attempt: The id of the attempt that made it.
        target: What it was built for.
        requires_dist: What it requires where it is installed.
    """

    name: NormalizedName
    version: Version
    sha256: str
    path: Path
    key: str
    recipe: str
    attempt: str
    target: str
    requires_dist: tuple[Requirement, ...]

    @property
    def ingredient(self) -> Ingredient:
        """As it stands in a plan."""
        return Ingredient(name=self.name, version=str(self.version), payload=self.sha256)

    @property
    def ref(self) -> PayloadRef:
        """As it goes into an environment."""
        return PayloadRef(sha256=self.sha256, path=self.path)

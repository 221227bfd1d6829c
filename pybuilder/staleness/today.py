"""What the workspace asks for and the channel has published, as it is now; each thing is looked at once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.candidates import Rules
from pybuilder.errors import PybuildError
from pybuilder.lockfile import parse_lock
from pybuilder.made_from import Beside, MadeFrom, Recollection
from pybuilder.packages import Packages
from pybuilder.plan import Root
from pybuilder.spec import Spec
from pybuilder.stages import Adapters, Pinned
from pybuilder.stages.choose import taken
from pybuilder.stages.plan import recipe
from pybuilder.stages.source import SourceGetter
from pybuilder.state import PublishedWheel
from pybuilder.tree import Package
from pybuilder.wheel.filename import WheelName
from pybuilder.wheel.tags import accepted
from pybuilder.workspace.once import ReadOnce


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What a package would be built with now.

    Attributes:
        environment: What would be in its build environment.
        root: What would lie under it.
        is_same: Whether both are what an attempt was made with.
    """

    environment: tuple[Beside, ...]
    root: Root
    is_same: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Today:
    """What is asked for and what there is.

    Attributes:
        adapters: The world.
        recollection: What attempts were made from.
        sources: Says what pins a version, and what its spec says for it.
        published: Of every published version, the wheel of its newest build that serves the target.
        yanked: Why versions are yanked in the channel's index, by project.
        now: The time.
    """

    adapters: Adapters
    recollection: Recollection
    sources: SourceGetter
    published: Mapping[Package, PublishedWheel]
    yanked: Mapping[NormalizedName, Mapping[Version, str]]
    now: datetime
    _versions: dict[str, tuple[Version, ...]] = field(default_factory=dict)
    _pinned: dict[Package, Pinned | None] = field(default_factory=dict)
    _security: dict[str, str] = field(default_factory=dict)
    _taken: dict[tuple[str, str], Package | None] = field(default_factory=dict)
    _runtime: dict[Package, tuple[str, ...]] = field(default_factory=dict)
    _roots: dict[frozenset[str], Root] = field(default_factory=dict)

    @classmethod
    def look(cls, packages: Packages, *, now: datetime) -> Today:
        """Everything that the channel has published, and a workspace of which nothing has been read yet."""
        adapters, workspace = packages.adapters, packages.sources.workspace
        once = ReadOnce(root=workspace.root, run=workspace.run)
        published = _newest(adapters.state.published_in(adapters.channel.name), adapters.target.tags)
        versions: dict[str, tuple[Version, ...]] = {}
        for name, version in published:
            versions[name] = (*versions.get(name, ()), version)
        return cls(
            adapters=adapters,
            recollection=Recollection(adapters.layout, adapters.state),
            sources=dataclasses.replace(packages.sources, workspace=once),
            published=published,
            yanked=adapters.index.yanked(),
            now=now,
            _versions=versions,
        )

    def spec(self, name: str) -> Spec | None:
        """The spec of a package.

        Raises:
            ConfigError: It is wrong.
        """
        return self.sources.workspace.spec(name)

    def rules(self, spec: Spec) -> Rules:
        """What says which versions of a package are taken."""
        channel = self.adapters.channel
        return Rules(
            spec=spec,
            buildroot=channel.buildroot,
            variant=channel.variant,
            pythons=(self.adapters.target.full_version,),
            cooldown=self.sources.workspace.settings.cooldown,
            now=self.now,
        )

    def versions(self, spec: Spec) -> tuple[Version, ...]:
        """The versions that there are of a package: what is pinned, else what was published, as of a directory."""
        return tuple(spec.versions) or self._versions.get(spec.name, ())

    def all_versions(self, spec: Spec) -> frozenset[Version]:
        """Every version of a package that is pinned or published."""
        return frozenset(spec.versions) | frozenset(self._versions.get(spec.name, ()))

    def said(self, name: NormalizedName, version: Version | None) -> list[object]:
        """Everything that a person says of a version: its spec, its pin in there, its patches, the lock's RPMs for it.

        Raises:
            PybuildError: Something of it can't be had.
        """
        spec = self.spec(name)
        if spec is None:
            return []
        said: list[object] = [json.dumps({**spec.document.data, "versions": {}}, sort_keys=True, default=str)]
        if version is None:
            return said
        pin, pinned = spec.pin(version), self.pinned((name, version))
        said.append(pin.model_dump() if pin else None)
        if pinned:
            patches, effective = [patch.sha256 for patch in pinned.patches], pinned.spec
        else:
            effective = self.sources.spec(name, version)
            patches = [patch.sha256 for patch in self.sources.workspace.patches(name, version, effective)]
        return [*said, patches, self.root_of(effective.system.build).digest]

    def pinned(self, package: Package) -> Pinned | None:
        """A version as its recipe sees it; see ``SourceGetter.pinned``."""
        if package not in self._pinned:
            self._pinned[package] = self.sources.pinned(*package)
        return self._pinned[package]

    def recipe(self, pinned: Pinned) -> str:
        """The digest of a version's recipe."""
        return recipe(pinned, self.adapters.channel).digest()

    def taken(self, name: str, specifier: str) -> Package | None:
        """The version that a requirement gets now: the newest that is pinned, else published; None if there is none.

        One of a package whose spec can't be read gets none: nobody knows.
        """
        key = (name, specifier)
        if key not in self._taken:
            self._taken[key] = self._take(NormalizedName(name), SpecifierSet(specifier))
        return self._taken[key]

    def _take(self, name: NormalizedName, wanted: SpecifierSet) -> Package | None:
        try:
            spec = self.spec(name)
        except PybuildError:
            return None
        if spec is None:
            return None
        places = (lambda: spec.versions, lambda: self._versions.get(name, ()))
        early = self.rules(spec).counts_prereleases
        yanked = self.yanked.get(name, {}).keys()
        found = taken(
            wanted, places=places, yanked=yanked, early=lambda version: version.is_prerelease and early(version)
        )
        return (name, found[0]) if found else None

    def outlook(self, pinned: Pinned, made: MadeFrom) -> Outlook:
        """What a version would be built with now that was built before.

        Args:
            pinned: The version.
            made: What it was made from then; of what nobody can say what it would be now, it is as it was.

        Raises:
            EngineError: The lock has no answer to what it asks for.
        """
        environment = tuple(map(self._beside, made.environment))
        wanted = {*pinned.spec.system.build}
        for each in environment:
            wanted.update(self._runtime_of((NormalizedName(each.name), Version(each.version))))
        root = self.root_of(wanted)
        is_same = root.digest == made.root and environment == made.environment
        return Outlook(environment=environment, root=root, is_same=is_same)

    def _beside(self, old: Beside) -> Beside:
        package = self.taken(old.name, old.specifier)
        wheel = self.published.get(package) if package else None
        return old if wheel is None else Beside(old.name, wheel.version, wheel.payload, old.specifier)

    def root_of(self, system: Iterable[str]) -> Root:
        """The root of a build that asks for these RPMs.

        Raises:
            EngineError: The lock has no answer to some of it.
        """
        wanted = frozenset(system)
        if wanted not in self._roots:
            self._roots[wanted] = self.adapters.roots.for_build(wanted)
        return self._roots[wanted]

    def locked_security(self) -> Mapping[str, str]:
        """By name, what the lock of the channel's buildroot says of the security of its RPMs: ``EVR ID``.

        Raises:
            ConfigError: The lock is wrong.
        """
        file = f"buildroots/{self.adapters.channel.buildroot}.lock"
        # A machine's own system has none.
        if not self._security and (text := self.sources.workspace.text(file)) is not None:
            self._security.update({rpm.name: rpm.security for rpm in parse_lock(text, file).rpms.values()})
        return self._security

    def _runtime_of(self, package: Package) -> tuple[str, ...]:
        if package not in self._runtime:
            try:
                self._runtime[package] = self.sources.runtime(*package)
            except PybuildError:
                self._runtime[package] = ()  # whoever looks at that package says what is wrong with it
        return self._runtime[package]


def _newest(published: Iterable[PublishedWheel], tags: Iterable[str]) -> dict[Package, PublishedWheel]:
    """Of every version, the wheel of its newest build that a target accepts."""
    supported = frozenset(tags)
    packages: dict[tuple[str, str], Package] = {}
    newest: dict[Package, list[PublishedWheel]] = {}
    for wheel in published:
        key = (wheel.name, wheel.version)
        package = packages.get(key) or packages.setdefault(key, (NormalizedName(key[0]), Version(key[1])))
        known = newest.get(package)
        if known is None or wheel.number > known[0].number:
            newest[package] = [wheel]
        elif wheel.number == known[0].number:
            known.append(wheel)
    serving: dict[str, bool] = {}
    found: dict[Package, PublishedWheel] = {}
    for package, wheels in newest.items():
        for wheel in wheels:
            suffix = wheel.wheel.split("-", 2)[2]
            if suffix not in serving:
                serving[suffix] = accepted(WheelName.parse(wheel.wheel).tags, supported)
            if serving[suffix]:
                found.setdefault(package, wheel)
    return found

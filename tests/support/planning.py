"""What packages say of themselves, out of a table: planners ask it, and nothing is fetched, read or built."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pybuilder.errors import PybuildError
from pybuilder.joint import Offer, Resolved, Unknown, World
from pybuilder.plan import Target
from pybuilder.resolution import Chosen, Wanted, applies, resolve
from pybuilder.tree import Package
from tests.support.worlds import MARKERS, PYTHON

TARGET = Target(name="cp312-plan9_mips", python="3.12", full_version=PYTHON, tags=(), markers=MARKERS)


def package(text: str) -> Package:
    """The package that ``name==version`` names."""
    name, _, version = text.partition("==")
    return canonicalize_name(name), Version(version)


@dataclass
class Facts:
    """What is said of one version."""

    installs: tuple[Requirement, ...] | None
    builds: tuple[Requirement, ...]
    dynamic: tuple[str, ...]
    source: Path


@dataclass
class TableStatements:
    """The planner's ``Statements``, and the packages, the chooser and the workspace behind them.

    Attributes:
        pins: The versions that are known without asking upstream, by name.
        learned: What was built to find out what it requires, in order.
        hints: What those really require of which upstream's wheel says what ``facts`` has.
        confirmed: Whom of these the planner has had asked, in order.
        looked_at: Every package whose source was looked at.
    """

    facts: dict[Package, Facts] = field(default_factory=dict)
    pins: dict[str, set[Version]] = field(default_factory=dict)
    unstated: dict[Package, tuple[Requirement, ...]] = field(default_factory=dict)
    broken: dict[Package, PybuildError] = field(default_factory=dict)
    learned: list[Package] = field(default_factory=list)
    hints: dict[Package, tuple[Requirement, ...]] = field(default_factory=dict)
    confirmed: list[Package] = field(default_factory=list)
    looked_at: set[Package] = field(default_factory=set)
    _by_name: dict[str, list[Version]] = field(default_factory=dict)

    def add(
        self,
        text: str,
        installs: Iterable[str] = (),
        builds: Iterable[str] = (),
        *,
        dynamic: Iterable[str] = (),
        stated: bool = True,
        pinned: bool = False,
        source: Path = Path(__file__),
    ) -> None:
        """A version, ``name==version``; ``stated`` says whether its install requirements are known without a build."""
        name, version = found = package(text)
        requires = tuple(map(Requirement, installs))
        if not stated:
            self.unstated[found] = requires
        self.facts[found] = Facts(
            installs=requires if stated else None,
            builds=tuple(map(Requirement, builds)),
            dynamic=tuple(dynamic),
            source=source,
        )
        self._by_name[name] = sorted([*self._by_name.get(name, []), version], reverse=True)
        if pinned:
            self.pins.setdefault(name, set()).add(version)

    # Statements.

    @property
    def packages(self) -> Any:
        return self

    @property
    def workspace(self) -> Any:
        return SimpleNamespace(spec_path=lambda name: Path("/nowhere"))

    def requirements(self, package: Package) -> tuple[Requirement, ...] | None:
        return self.facts[package].installs

    def found_out(self, package: Package) -> tuple[Requirement, ...]:
        facts = self.facts[package]
        if facts.installs is None:
            self.learned.append(package)
            facts.installs = self.unstated[package]
        return facts.installs

    def unconfirmed(self, names: Collection[NormalizedName]) -> list[Package]:
        return [package for package in self.hints if package[0] in names]

    def confirm(self, packages: Iterable[Package]) -> bool:
        asked = [package for package in packages if package in self.hints]
        wrong = False
        for package in asked:
            self.confirmed.append(package)
            real = self.hints.pop(package)
            wrong |= real != self.facts[package].installs
            self.facts[package].installs = real
        return wrong

    def look_at(self, packages: Iterable[Package]) -> None:
        self.looked_at.update(packages)

    # Packages.

    def compile_ahead(self, package: Package) -> None:
        """Nothing here is a real source."""

    def compile_no_more_ahead(self) -> None:
        """Nothing was to be compiled."""

    @property
    def adapters(self) -> Any:
        return SimpleNamespace(target=TARGET)

    @property
    def chooser(self) -> Any:
        return self

    def numbered(self, package: Package) -> None:
        """Nothing has been published."""

    def source(self, package: Package) -> tuple[Any, Any]:
        assert package in self.looked_at, f"nobody looked at the source of {package}"
        facts = self.facts[package]
        build = SimpleNamespace(remove_requires=(), add_requires=())
        source = SimpleNamespace(
            spec=SimpleNamespace(build=build, prebuilt=None),
            file=facts.source,
            origin=f"https://files.example/{package[0]}-{package[1]}.tar.gz",
            sha256="ab" * 32,
        )
        return source, SimpleNamespace(requires=facts.builds, requires_python="")

    def dynamic(self, package: Package, environment: Mapping[str, str]) -> tuple[str, ...]:
        return self.facts[package].dynamic

    # The chooser.

    def is_early(self, name: NormalizedName, version: Version) -> bool:
        return False

    def withheld(self, names: Iterable[NormalizedName]) -> list[str]:
        return []

    def known(self, name: NormalizedName) -> tuple[Version, ...]:
        return tuple(sorted(self.pins.get(name, ()), reverse=True))

    def offers(
        self, name: NormalizedName, *, asked_for: Collection[Version], known_only: bool
    ) -> tuple[Offer, ...] | None:
        if name not in self._by_name:
            return None
        found = self.known(name) if known_only and name in self.pins else self._by_name[name]
        return tuple(
            Offer(version=version, requires_python="", yanked=False, yanked_reason="", upload_time=None)
            for version in found
        )

    def versions(
        self,
        name: NormalizedName,
        specifiers: Sequence[SpecifierSet],
        *,
        used: Collection[Version] = (),
        asked_for: Collection[Version] = (),
        upgrade: bool = False,
    ) -> Sequence[Version]:
        pinned, there = self.known(name), self._by_name.get(name, [])
        for place in (used, [*pinned, *there]) if upgrade else (used, pinned, there):
            if found := [v for v in place if all(s.contains(v, prereleases=True) for s in specifiers)]:
                return sorted(set(found), reverse=True)
        return ()


@dataclass(frozen=True)
class _OneWorld:
    """A joint resolver's world as resolvelib asks it."""

    world: World
    bounds: Mapping[str, SpecifierSet]
    preferred: Mapping[NormalizedName, Sequence[Version]]
    unknown: set[Package] = field(default_factory=set)

    def versions(self, name: NormalizedName, specifiers: Sequence[SpecifierSet]) -> Sequence[Version]:
        wanted = [*specifiers, self.bounds.get(name, SpecifierSet())]
        offered = [offer.version for offer in self.world.offers(name) or ()]
        fit = [version for version in offered if all(s.contains(version, prereleases=True) for s in wanted)]
        return sorted(fit, key=lambda version: (version in self.preferred.get(name, ()), version), reverse=True)

    def requirements(self, name: NormalizedName, version: Version) -> Sequence[Requirement]:
        found = self.world.requires(name, version)
        if found is None:
            self.unknown.add((name, version))
        return found or ()


def jointly(
    wanted: Sequence[Requirement],
    world: World,
    *,
    constraints: Sequence[Requirement],
    markers: Mapping[str, str],
    python: str,
    preferred: Mapping[NormalizedName, Sequence[Version]],
    prereleases: Collection[NormalizedName],
) -> Resolved:
    """``joint.resolve_jointly`` without uv: the newest version of everything that its users bear."""
    bounds = {canonicalize_name(constraint.name): constraint.specifier for constraint in constraints}
    asked = _OneWorld(world, bounds, preferred)
    chosen = resolve([Wanted(requirement, "") for requirement in wanted], asked, markers=markers)
    unknown = sorted(
        package for package in asked.unknown if package[0] in chosen and chosen[package[0]][0] == package[1]
    )
    return Unknown(packages=tuple(unknown)) if unknown else _told(chosen, wanted, asked, markers)


def _told(chosen: Chosen, wanted: Sequence[Requirement], asked: _OneWorld, markers: Mapping[str, str]) -> Chosen:
    """What was chosen without the extras that only the package itself asks for, which uv doesn't tell."""
    told: dict[str, set[str]] = {}
    others = (
        requirement
        for name, (version, extras) in chosen.items()
        for requirement in asked.requirements(name, version)
        if canonicalize_name(requirement.name) != name and applies(requirement, markers, extras)
    )
    for requirement in (*wanted, *others):
        told.setdefault(canonicalize_name(requirement.name), set()).update(map(canonicalize_name, requirement.extras))
    return {name: (version, extras & told[name]) for name, (version, extras) in chosen.items()}

"""The live versions of a workspace: those that are kept up to date (docs/upkeep.md, "Live versions")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.errors import PybuildError
from pybuilder.live_versions import live_versions
from pybuilder.made_from import MadeFrom
from pybuilder.needed_by import counted, newest_versions
from pybuilder.staleness.today import Today
from pybuilder.state import Attempt, PublishedWheel
from pybuilder.tree import Package

# Of one payload: the newest are enough to find one that was made as it would be now.
_MAKERS = 8


class Maker(NamedTuple):
    """An attempt that has ended.

    Attributes:
        attempt: Its id.
        key: The digest of its plan.
        payload: What it made; empty where it failed.
        recipe: The digest of its recipe.
        began: When it began.
    """

    attempt: str
    key: str
    payload: str
    recipe: str
    began: datetime

    @classmethod
    def of(cls, row: Attempt) -> Maker:
        """The attempt of a row of the database."""
        return cls(row.id, row.key, row.payload or "", row.recipe, datetime.fromisoformat(row.started))


@dataclass(frozen=True, kw_only=True, slots=True)
class Living:
    """What is kept up to date.

    Attributes:
        packages: Every live version.
        unpinned: Packages of which there is no version yet, neither pinned nor published, though the index has some.
        problems: Packages whose specs can't be read.
        makers: By published live version, the attempts that made what is published of it, newest first.
        made_from: What these were made from, as far as anybody knows, by their ids.
        needed_by: How many packages need each package.
    """

    packages: tuple[Package, ...]
    unpinned: tuple[NormalizedName, ...]
    problems: tuple[tuple[str, PybuildError], ...]
    makers: Mapping[Package, Sequence[Maker]]
    made_from: Mapping[str, MadeFrom]
    needed_by: Counter[str]

    @classmethod
    def of(cls, today: Today) -> Living:
        """Find them: what the specs keep alive, and what is needed beside it in no newer version."""
        found = _Found(today)
        for name in today.sources.workspace.spec_names():
            found.add_spec(NormalizedName(name))
        newest = newest_versions(today.published.values())
        made_from = today.recollection.made_from([*newest.values(), *found.wheels(found.live)])
        fresh = tuple(found.live)
        while fresh := found.needed(fresh, made_from):
            made_from |= today.recollection.made_from(found.wheels(fresh))
        makers = _makers(today, found.live)
        others = [maker for several in makers.values() for maker in several if maker.attempt not in made_from]
        named = {name: made_from[wheel.attempt] for name, wheel in newest.items() if wheel.attempt in made_from}
        return cls(
            packages=tuple(found.live),
            unpinned=tuple(found.unpinned),
            problems=tuple(found.problems),
            makers=makers,
            made_from=made_from | today.recollection.made_from(others),
            needed_by=counted(named),
        )


@dataclass(slots=True)
class _Found:
    today: Today
    live: dict[Package, None] = field(default_factory=dict)
    unpinned: list[NormalizedName] = field(default_factory=list)
    problems: list[tuple[str, PybuildError]] = field(default_factory=list)
    _versions: dict[str, list[Version]] = field(default_factory=dict)
    _served: set[tuple[str, str]] = field(default_factory=set)

    def add_spec(self, name: NormalizedName) -> None:
        """The versions that a spec keeps alive."""
        try:
            spec = self.today.spec(name)
        except PybuildError as error:
            self.problems.append((name, error))
            return
        if spec is None:
            return  # it was removed just now
        versions = self.today.versions(spec)
        if not versions and spec.asks_index:
            self.unpinned.append(name)
        yanked = self.today.yanked.get(name, {})
        for version in live_versions([each for each in versions if each not in yanked], self.today.rules(spec)):
            self._add((name, version))

    def needed(self, packages: Iterable[Package], made_from: Mapping[str, MadeFrom]) -> tuple[Package, ...]:
        """The pinned versions that the builds of some live packages need, and that are live only therefore."""
        fresh: dict[Package, None] = {}
        for wheel in self.wheels(packages):
            made = made_from.get(wheel.attempt)
            for name, specifier in made.asks if made else ():
                if package := self._unserved(name, specifier):
                    self._add(package)
                    fresh[package] = None
        return tuple(fresh)

    def wheels(self, packages: Iterable[Package]) -> list[PublishedWheel]:
        """The newest published wheels of some versions."""
        return [wheel for package in packages if (wheel := self.today.published.get(package))]

    def _add(self, package: Package) -> None:
        self.live[package] = None
        self._versions.setdefault(package[0], []).append(package[1])

    def _unserved(self, name: str, specifier: str) -> Package | None:
        """The version that a requirement gets, unless a live one serves it as well."""
        if (name, specifier) in self._served:
            return None
        self._served.add((name, specifier))
        wanted = SpecifierSet(specifier)
        if any(wanted.contains(version, prereleases=True) for version in self._versions.get(name, ())):
            return None
        return self.today.taken(name, specifier)


def _makers(today: Today, packages: Iterable[Package]) -> dict[Package, tuple[Maker, ...]]:
    published = {package: wheel for package in packages if (wheel := today.published.get(package))}
    by_payload: dict[str, list[Maker]] = {}
    for row in today.adapters.state.makers(wheel.payload for wheel in published.values()):
        if row.channel == today.adapters.channel.name:
            by_payload.setdefault(row.payload or "", []).append(Maker.of(row))
    found = {}
    for package, wheel in published.items():
        known = tuple(by_payload.get(wheel.payload, ())[:_MAKERS])
        if all(maker.attempt != wheel.attempt for maker in known):
            # A database that was lost may know of the wheel alone.
            began = datetime.fromisoformat(wheel.published)
            known = (*known, Maker(wheel.attempt, wheel.key, wheel.payload, wheel.recipe, began))
        found[package] = known
    return found

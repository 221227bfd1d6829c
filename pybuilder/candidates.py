"""Which of upstream's versions are taken: the rules of ``[update]`` in their fixed order (DESIGN.md, "a spec").

Select, strip, transform, parse, allow and ignore, cooldown, newest. Everything that upstream offers gets a fate, with
the reason for people; whoever chooses versions judges by these rules, and by no others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from pybuilder.metadata import supports_python
from pybuilder.names import minor_version
from pybuilder.spec import Spec, Update
from pybuilder.spec.tables import substitution

Fate = Literal[
    "taken",
    "pinned",
    "older",
    "not selected",
    "no version",
    "duplicate",
    "not allowed",
    "not in series",
    "ignored",
    "no source",
    "other Python",
    "yanked",
    "prerelease",
    "too young",
]
Objection = tuple[Fate, str]
FirstSeen = Callable[[Sequence[str]], Mapping[str, str]]
"""When versions were first heard of, by the version's text, as ``State.first_sights`` has it."""

_LONGEST = 200  # characters: a version that is longer is none
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What upstream says of one version.

    Attributes:
        text: As upstream writes it: a version, a tag, what a regular expression finds on a page.
        uploaded: When it was uploaded, where upstream says so and only upstream's server can.
        yanked: Why it was withdrawn (PEP 592), perhaps without a word; None if it was not.
        requires_python: The specifier; empty for any Python.
        file: The file's name, where it is a file.
        sha256: Its digest, where upstream says.
        ref: The git tag, where it is one.
        commit: The commit of that tag, where upstream says.
        lacks: What is missing before it can be built; empty if nothing is.
    """

    text: str
    uploaded: datetime | None = None
    yanked: str | None = None
    requires_python: str = ""
    file: str = ""
    sha256: str = ""
    ref: str = ""
    commit: str = ""
    lacks: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """What became of one version that upstream offers.

    Attributes:
        found: What upstream says.
        version: The version; None where it is none, or the rules don't select it.
        fate: In a word.
        why: The reason.
    """

    found: Found
    version: Version | None
    fate: Fate
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What became of all that upstream offers.

    Attributes:
        candidates: Those with a version first, the newest first; then the others in upstream's order.
        news: The new versions to take, one for each live series at most, the newest first.
    """

    candidates: tuple[Candidate, ...] = ()
    news: tuple[Version, ...] = ()

    def taken(self, version: Version) -> Found:
        """What upstream says of a version that is to be taken.

        Raises:
            KeyError: It is not.
        """
        for candidate in self.candidates:
            if candidate.fate == "taken" and candidate.version == version:
                return candidate.found
        raise KeyError(version)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """The rules of one spec for one channel, at one moment.

    Attributes:
        spec: The spec.
        buildroot: The channel's buildroot, for specs that say something else in another.
        variant: The channel's variant, likewise.
        pythons: The full versions of the Pythons that are built for; what is for any of them will do.
        cooldown: The workspace's, for specs that have none.
        now: The time.
    """

    spec: Spec
    buildroot: str
    variant: str
    pythons: tuple[str, ...]
    cooldown: timedelta
    now: datetime

    def update(self, version: Version) -> Update:
        """What the spec says of one version."""
        minor = minor_version(self.pythons[0])
        return self.spec.update_of(version=version, buildroot=self.buildroot, python=minor, variant=self.variant)

    def objection(self, version: Version, found: Found, seen: Mapping[str, str]) -> Objection | None:
        """The first reason not to take a version, where neither its being pinned nor other versions count.

        Args:
            version: The version.
            found: What upstream says of it.
            seen: When those of ``undated`` were first heard of.
        """
        return self.lasting_objection(version, found) or self.age_objection(version, found, seen)

    def lasting_objection(self, version: Version, found: Found) -> Objection | None:
        """The first reason that time does not mend; what a person may overrule by naming the version comes last."""
        if objection := self.ruled_out(version):
            return objection
        if found.lacks:
            return "no source", found.lacks
        if found.requires_python and not any(_supports(found.requires_python, python) for python in self.pythons):
            return "other Python", f"it is for Python {found.requires_python}, not {', '.join(self.pythons)}"
        if found.yanked is not None:
            return "yanked", f"upstream withdrew it: {found.yanked}" if found.yanked else "upstream withdrew it"
        return None

    def ruled_out(self, version: Version) -> Objection | None:
        """Whether ``[update] allow``, ``series`` and ``ignore`` let a version be taken; prereleases count."""
        update = self.update(version)
        if update.allow and not update.allow.contains(version, prereleases=True):
            return "not allowed", f"allow is {update.allow}"
        if update.series and not any(in_series(version, series) for series in update.series):
            return "not in series", f"series are {', '.join(update.series)}"
        for ignored in update.ignore:
            if ignored.contains(version, prereleases=True):
                return "ignored", f"ignore has {ignored}"
        return None

    def age_objection(self, version: Version, found: Found, seen: Mapping[str, str]) -> Objection | None:
        """Whether a version is too young."""
        ripe = self.ripe_at(version, found, seen)
        if ripe is None:
            return None
        since = "" if found.uploaded else ", counted from when it was first seen"
        return "too young", f"until {ripe:%Y-%m-%d %H:%M} UTC{since}"

    def ripe_at(self, version: Version, found: Found, seen: Mapping[str, str]) -> datetime | None:
        """When a version will be old enough; None where it is."""
        cooldown = self._cooldown(version)
        if not cooldown:
            return None
        since = found.uploaded or datetime.fromisoformat(seen[str(version)])
        left = cooldown - (self.now - since)
        # A cooldown may be longer than there are dates.
        return self.now + min(left, _LAST - self.now) if left > timedelta(0) else None

    def undated(self, found: Iterable[tuple[Version, Found]]) -> list[str]:
        """The versions whose age counts from when they were first heard of, where age counts at all."""
        return [str(version) for version, one in found if one.uploaded is None and self._cooldown(version)]

    def _cooldown(self, version: Version) -> timedelta:
        own = self.update(version).cooldown
        return self.cooldown if own is None else own

    def counts_prereleases(self, version: Version) -> bool:
        """Whether a prerelease is as good as any other version: the spec says so, or ``allow`` names one (PEP 440)."""
        update = self.update(version)
        return update.prereleases or bool(update.allow.prereleases)


def judge(found: Iterable[Found], rules: Rules, *, pinned: Collection[Version], first_seen: FirstSeen) -> Judged:
    """Judge all that upstream offers.

    Args:
        found: What upstream offers; of several with one version the first counts.
        rules: The rules.
        pinned: The versions that the spec pins.
        first_seen: Asked only for versions of which upstream says no age, where age counts.
    """
    read, unread = _read(found, rules.spec.update)
    known = frozenset(pinned)
    fates: dict[Version, Objection] = {}
    for version, one in read.items():
        if version in known:
            fates[version] = ("pinned", "in the spec" if one.yanked is None else "in the spec; upstream withdrew it")
        elif objection := rules.lasting_objection(version, one):
            fates[version] = objection
    standing = {version: one for version, one in read.items() if version not in fates}
    has_final = any(not version.is_prerelease for version in (*standing, *known))
    undated = rules.undated(standing.items())
    seen = first_seen(undated) if undated else {}
    for version, one in standing.items():
        if version.is_prerelease and has_final and not rules.counts_prereleases(version):
            fates[version] = ("prerelease", "prereleases do not count")
        elif objection := rules.age_objection(version, one, seen):
            fates[version] = objection
    ripe = [version for version in standing if version not in fates]
    fates |= _newest(ripe, known, rules.spec.update.series)
    candidates = [
        Candidate(found=read[version], version=version, fate=fates[version][0], why=fates[version][1])
        for version in sorted(read, reverse=True)
    ]
    news = tuple(candidate.version for candidate in candidates if candidate.version and candidate.fate == "taken")
    return Judged(candidates=(*candidates, *unread), news=news)


def _read(found: Iterable[Found], update: Update) -> tuple[dict[Version, Found], list[Candidate]]:
    """Those with a version, and what became of the others."""
    read: dict[Version, Found] = {}
    unread: list[Candidate] = []
    for one in found:
        result = version_of(one.text, update)
        if isinstance(result, Version) and result not in read:
            read[result] = one
            continue
        if isinstance(result, Version):
            result = _duplicate(read[result])
        unread.append(Candidate(found=one, version=None, fate=result[0], why=result[1]))
    return read, unread


def _duplicate(first: Found) -> Objection:
    return "duplicate", f"the same version as {first.text!r}"


def version_of(text: str, update: Update) -> Version | Objection:
    """The version in what upstream writes, by the rules up to *parse*; or why it has none."""
    if not text.startswith(update.tag_prefix):
        return "not selected", f"it does not begin with {update.tag_prefix!r}"
    # On a page, what is included has been found already.
    if update.include and update.source != "url" and not re.search(update.include, text):
        return "not selected", "include finds nothing in it"
    if update.exclude and re.search(update.exclude, text):
        return "not selected", "exclude finds something in it"
    stripped = text.removeprefix(update.tag_prefix).removeprefix(update.strip_prefix).removesuffix(update.strip_suffix)
    if update.transform:
        pattern, replacement = substitution(update.transform)
        stripped = pattern.sub(replacement, stripped)
    try:
        if len(stripped) <= _LONGEST:
            return Version(stripped)
    except ValueError:
        pass
    return "no version", f"{stripped[:_LONGEST]!r} is no version (PEP 440)"


def in_series(version: Version, series: str) -> bool:
    """Whether a version belongs to a series such as ``5.3.*``; every version does to none."""
    return not series or _series_set(series).contains(version, prereleases=True)


def _newest(ripe: Sequence[Version], pinned: Collection[Version], series: Sequence[str]) -> dict[Version, Objection]:
    """What becomes of versions that nothing forbids: of each live series the newest is taken, if it is new."""
    fates: dict[Version, Objection] = {}
    for one in series or ("",):
        inside = [version for version in ripe if in_series(version, one)]
        floor = max((version for version in pinned if in_series(version, one)), default=None)
        top = max(inside, default=None)
        for version in inside:
            if floor is not None and version < floor:
                fate: Objection = ("older", f"{floor} is pinned")
            elif version == top:
                fate = ("taken", f"the newest of {one}" if one else "the newest")
            else:
                fate = ("older", f"{top} is newer")
            # In two series at once it is taken for either.
            if version not in fates or fate[0] == "taken":
                fates[version] = fate
    return fates


@lru_cache(maxsize=256)
def _series_set(series: str) -> SpecifierSet:
    return SpecifierSet(f"=={series}")


@lru_cache(maxsize=4096)
def _supports(requires_python: str, python: str) -> bool:
    return supports_python(requires_python, python) is not False

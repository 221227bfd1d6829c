"""Which versions go together: resolvelib over a world that is asked for versions and requirements, one at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version
from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, ResolutionTooDeep, Resolver
from resolvelib.structs import RequirementInformation

from pybuilder.errors import ConflictError, FetchError
from pybuilder.tree import Need

MAX_ROUNDS = 20_000


class World(Protocol):
    """What exists, as the resolver may ask."""

    def versions(self, name: NormalizedName, specifiers: Sequence[SpecifierSet]) -> Sequence[Version]:
        """The versions that satisfy every specifier, the preferred first.

        Raises:
            ReviewError: Nobody has accepted the package.
        """
        ...

    def requirements(self, name: NormalizedName, version: Version) -> Sequence[Requirement]:
        """What a version requires, markers not yet evaluated."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """A requirement with who wants it."""

    requirement: Requirement
    wanted_by: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version, seen with some of its extras."""

    name: NormalizedName
    version: Version
    extras: frozenset[str]

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


Identifier = tuple[NormalizedName, frozenset[str]]

# By name: the version, and the extras that were asked for.
Chosen = Mapping[NormalizedName, tuple[Version, frozenset[str]]]


def resolve(wanted: Iterable[Wanted], world: World, *, markers: Mapping[str, str]) -> Chosen:
    """One version for every package that is wanted, directly or not.

    Args:
        wanted: The top requirements; those whose marker is false are left out.
        world: What exists.
        markers: The target's environment (PEP 508).

    Returns:
        By name: the version, and the extras that were asked for.

    Raises:
        ConflictError: No versions go together; says who wants what.
        ReviewError: A package is needed that nobody has accepted.
    """
    provider = _Provider(world, markers)
    top = [w for w in wanted if applies(w.requirement, markers, frozenset())]
    try:
        result = Resolver(provider, BaseReporter()).resolve(top, max_rounds=MAX_ROUNDS)
    except ResolutionImpossible as error:
        raise ConflictError(explain(error.causes), cure="widen one of these, or pin another version") from error
    except ResolutionTooDeep as error:
        raise ConflictError(f"no answer after {MAX_ROUNDS} rounds of resolving", cure="pin more versions") from error
    found: dict[NormalizedName, tuple[Version, frozenset[str]]] = {}
    for (name, extras), candidate in result.mapping.items():
        before = found.get(name, (candidate.version, frozenset()))
        found[name] = (candidate.version, before[1] | extras)
    return found


def exactly(requirement: Requirement, version: Version) -> Requirement:
    """A requirement on this very version, with the same extras."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return Requirement(f"{requirement.name}{extras}=={version}")


def named_versions(requirements: Iterable[Requirement]) -> dict[NormalizedName, set[Version]]:
    """By package, the versions that requirements name with ``==``; packages of which none is named as well."""
    found: dict[NormalizedName, set[Version]] = {}
    for requirement in requirements:
        found.setdefault(canonicalize_name(requirement.name), set()).update(exact_versions(requirement.specifier))
    return found


def exact_versions(specifier: SpecifierSet) -> list[Version]:
    """The versions that a specifier names with ``==``."""
    return [Version(each.version) for each in specifier if each.operator == "==" and not each.version.endswith(".*")]


def applies(requirement: Requirement, markers: Mapping[str, str], extras: frozenset[str]) -> bool:
    """Whether a requirement counts on this target, for a package wanted with these extras.

    Raises:
        FetchError: Its marker compares what can't be compared (PEP 508).
    """
    if requirement.marker is None:
        return True
    try:
        return any(requirement.marker.evaluate({**markers, "extra": extra}) for extra in extras or {""})
    except (UndefinedComparison, UndefinedEnvironmentName) as error:
        raise FetchError(
            f"the marker of {str(requirement)!r} means nothing: {error}",
            cure="correct it, or take another version of what states it",
        ) from error


def check_no_url(requirement: Requirement) -> None:
    """Refuse a requirement that says where something lies: another source must not take its place.

    Raises:
        FetchError: It does.
    """
    if requirement.url is not None:
        raise FetchError(
            f"{str(requirement)!r} names a URL: versions are chosen among what the index has",
            cure="require it by name and version; a spec's [source] says where it comes from",
        )


@contextmanager
def required_by(name: NormalizedName, version: Version) -> Iterator[None]:
    """Say whose requirement it is that can't be taken in this block, and what to do about that.

    Raises:
        FetchError: That can't be taken.
    """
    try:
        yield
    except FetchError as error:
        # [metadata] requires-dist is for the plan only: what is built would state it again.
        raise FetchError(
            f"a requirement of {name} {version} can't be met: {error.what}",
            cure=f"patch the files of its source that state it (patches/{name}/), or take another version",
        ) from error


def satisfied_by(there: Mapping[str, Version], requirements: Iterable[Requirement], markers: Mapping[str, str]) -> bool:
    """Whether these versions satisfy all requirements that count on a target; extras are left to the resolver.

    Args:
        there: Versions by normalised name.
        requirements: What must be satisfied.
        markers: The target's environment (PEP 508).
    """
    return all(
        not requirement.extras
        and (version := there.get(canonicalize_name(requirement.name))) is not None
        and requirement.specifier.contains(version, prereleases=True)
        for requirement in requirements
        if applies(requirement, markers, frozenset())
    )


def needs_of(
    requires: Iterable[Requirement],
    choice: Chosen,
    markers: Mapping[str, str],
    extras: frozenset[str] = frozenset(),
) -> tuple[Need, ...]:
    """The requirements that count, in order, each with what was chosen for it.

    Args:
        requires: The requirements.
        choice: What was chosen.
        markers: The target's environment (PEP 508).
        extras: The extras of whoever requires that.
    """
    found: dict[str, Need] = {}
    for requirement in requires:
        name = canonicalize_name(requirement.name)
        if name in choice and applies(requirement, markers, extras):
            found[str(requirement)] = Need(requirement=str(requirement), package=(name, choice[name][0]))
    return tuple(found[text] for text in sorted(found))


def fewest(versions: Collection[Version], wants: Sequence[SpecifierSet], *, kept: Iterable[Version]) -> set[Version]:
    """As few versions of a package as serve everybody, found greedily; of equals the newest.

    Args:
        versions: The versions to choose from.
        wants: What each wants of it; who accepts none of them is not served.
        kept: Versions that are there in any case.
    """

    def serve(some: Iterable[Version], want: SpecifierSet) -> bool:
        return any(want.contains(version, prereleases=True) for version in some)

    found = set(kept)
    left = [want for want in wants if serve(versions, want)]
    while left := [want for want in left if not serve(found, want)]:
        served = {version: sum(serve([version], want) for want in left) for version in versions}
        found.add(max(versions, key=lambda version: (served[version], version)))
    return found


def explain(causes: Iterable[RequirementInformation[Wanted, Candidate]]) -> str:
    """Who wants what, in one sentence."""
    wants = sorted(
        {
            f"{cause.parent or cause.requirement.wanted_by or 'the command'} wants {cause.requirement.requirement}"
            for cause in causes
        }
    )
    if len(wants) == 1:
        return f"no version satisfies: {wants[0]}"
    return "no version satisfies all of: " + "; ".join(wants)


class _Provider(AbstractProvider[Wanted, Candidate, Identifier]):
    def __init__(self, world: World, markers: Mapping[str, str]) -> None:
        self._world = world
        self._markers = markers

    def identify(self, requirement_or_candidate: Wanted | Candidate) -> Identifier:
        if isinstance(requirement_or_candidate, Candidate):
            return requirement_or_candidate.name, requirement_or_candidate.extras
        requirement = requirement_or_candidate.requirement
        return canonicalize_name(requirement.name), frozenset(canonicalize_name(e) for e in requirement.extras)

    def get_preference(
        self,
        identifier: Identifier,
        resolutions: Mapping[Identifier, Candidate],
        candidates: Mapping[Identifier, Iterator[Candidate]],
        information: Mapping[Identifier, Iterator[RequirementInformation[Wanted, Candidate]]],
        backtrack_causes: Sequence[RequirementInformation[Wanted, Candidate]],
    ) -> tuple[bool, bool, NormalizedName, tuple[str, ...]]:
        causes = {self.identify(cause.requirement) for cause in backtrack_causes}
        pinned = any(
            specifier.operator in ("==", "===")
            for info in information[identifier]
            for specifier in info.requirement.requirement.specifier
        )
        return identifier not in causes, not pinned, identifier[0], tuple(sorted(identifier[1]))

    def find_matches(
        self,
        identifier: Identifier,
        requirements: Mapping[Identifier, Iterator[Wanted]],
        incompatibilities: Mapping[Identifier, Iterator[Candidate]],
    ) -> Collection[Candidate]:
        name, extras = identifier
        wanted = list(requirements[identifier])
        bad = {candidate.version for candidate in incompatibilities[identifier]}
        versions = self._world.versions(name, [w.requirement.specifier for w in wanted])
        return [Candidate(name, version, extras) for version in versions if version not in bad]

    def is_satisfied_by(self, requirement: Wanted, candidate: Candidate) -> bool:
        return requirement.requirement.specifier.contains(candidate.version, prereleases=True)

    def get_dependencies(self, candidate: Candidate) -> list[Wanted]:
        by = str(candidate)
        stated = self._world.requirements(candidate.name, candidate.version)
        with required_by(candidate.name, candidate.version):
            wanted = [Wanted(each, by) for each in stated if applies(each, self._markers, candidate.extras)]
            for each in wanted:
                check_no_url(each.requirement)
        if candidate.extras:
            # The extras add to the package itself, in the same version.
            wanted.append(Wanted(Requirement(f"{candidate.name}=={candidate.version}"), by))
        return wanted

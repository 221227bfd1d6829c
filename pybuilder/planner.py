"""From requirements to a tree: one joint resolution of what installs, then the build environment of each package in it.

Nothing of it builds anything, but for the rare package whose requirements nobody states: it is built to find them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pybuilder.errors import ConflictError, PybuildError
from pybuilder.foresight import foresight
from pybuilder.graph import closures
from pybuilder.joint import Offer, Unknown
from pybuilder.names import names_in
from pybuilder.request import Planned, Request, Resolver
from pybuilder.resolution import Chosen, Wanted, applies, fewest, named_versions, needs_of, resolve, satisfied_by
from pybuilder.soundness import build_cycles, other_sources
from pybuilder.stages.plan import build_requirements
from pybuilder.statements import Statements
from pybuilder.tree import Archive, Need, Node, Package, Tree

MAX_REPLANS = 8
"""What is built may require other things than was said, and then other versions may be needed; that ends quickly."""

# What is chosen for one environment may change what is chosen for another; that ends quickly.
_MAX_ROUNDS = 6


def plan(statements: Statements, request: Request, *, resolver: Resolver) -> Planned:
    """The tree of a request.

    Args:
        statements: What packages say of themselves.
        request: What is asked for.
        resolver: Chooses the versions of what is installed.

    Raises:
        ConflictError: No versions go together; with the resolver's explanation.
        PybuildError: Something of the workspace can't be read.
    """
    stated = [*request.tops, *request.constraints]
    planning = _Planning(
        statements=statements,
        request=request,
        resolver=resolver,
        asked_for=named_versions(stated),
        early={canonicalize_name(each.name) for each in stated if each.specifier.prereleases},
    )
    with foresight(statements, request.tops, planning.likely):
        return planning.run()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Installed:
    """Packages that were chosen together.

    Attributes:
        needs: What each needs where it is installed.
        closures: Everything that is installed with each, itself included, sorted.
    """

    needs: Mapping[NormalizedName, tuple[Need, ...]]
    closures: Mapping[Package, tuple[Package, ...]]


@dataclass(kw_only=True, slots=True)
class _Planning:
    """One plan under way: the resolvers' view of the world, and the tree as it grows."""

    statements: Statements
    request: Request
    resolver: Resolver
    # The versions that people name: in the request, and in specs.
    asked_for: dict[NormalizedName, set[Version]]
    # Packages of which prereleases count like other versions: one is named, as in ``>=1.0rc1``, or their specs say so.
    early: set[NormalizedName]
    known_only: bool = True
    restricted: bool = False
    asked: dict[NormalizedName, None] = field(default_factory=dict)
    used: dict[NormalizedName, set[Version]] = field(default_factory=dict)
    contexts: dict[Package, Chosen] = field(default_factory=dict)
    environments: dict[Package, tuple[tuple[Requirement, ...], Chosen]] = field(default_factory=dict)
    broken: dict[Package, PybuildError] = field(default_factory=dict)
    unmet: dict[Requirement, PybuildError] = field(default_factory=dict)
    memo: dict[tuple[str, ...], Chosen] = field(default_factory=dict)
    installed: dict[int, _Installed] = field(default_factory=dict)

    @property
    def markers(self) -> Mapping[str, str]:
        return self.statements.packages.adapters.target.markers

    def run(self) -> Planned:
        tops = [top for top in self.request.tops if applies(top, self.markers, frozenset())]
        together = [[top] for top in tops] if self.request.each else [tops]
        chosen: list[tuple[list[Requirement], Chosen]] = []
        for some in filter(None, together):
            try:
                chosen.append((some, self._jointly(some)))
            except PybuildError as error:
                if not (self.request.keep_going and len(together) > 1):
                    raise
                self.unmet.update(dict.fromkeys(some, error))
        named = [(top, canonicalize_name(top.name), choice) for some, choice in chosen for top in some]
        self._grow([choice for _, choice in chosen])
        return self._planned(tuple(Need(requirement=str(top), package=(name, c[name][0])) for top, name, c in named))

    # What installs: uv's view of the world.

    def _jointly(self, tops: Sequence[Requirement]) -> Chosen:
        try:
            return self._known_first(tops)
        except ConflictError as error:
            raise self._explained(error) from error

    def _known_first(self, tops: Sequence[Requirement]) -> Chosen:
        """What the workspace and the channel know first; upstream's other versions only where these don't go."""
        self.known_only, self.restricted = not self.request.upgrade, False
        try:
            return self._resolve_jointly(tops, preferred={})
        except ConflictError:
            if not self.restricted:
                raise
        self.known_only, chooser = False, self.statements.packages.chooser
        return self._resolve_jointly(tops, preferred={name: chooser.known(name) for name in self.asked})

    def _resolve_jointly(
        self, tops: Sequence[Requirement], preferred: Mapping[NormalizedName, Sequence[Version]]
    ) -> Chosen:
        target = self.statements.packages.adapters.target
        while True:
            early = frozenset(self.early)
            error: ConflictError | None = None
            try:
                found = self.resolver(
                    tops,
                    self,
                    constraints=self.request.constraints,
                    markers=self.markers,
                    python=target.full_version,
                    preferred=preferred,
                    prereleases=early,
                )
            except ConflictError as failed:
                found, error = {}, failed
            if isinstance(found, Unknown):
                for package in sorted(found.packages):
                    self.statements.found_out(package)
            elif early == self.early:
                if error is None:
                    return {name: (version, self._extras(name, version, of)) for name, (version, of) in found.items()}
                # Where it is not to be reported, others that upstream has are asked first.
                if (self.known_only and self.restricted) or not self._confirm(error):
                    raise error

    def _extras(self, name: NormalizedName, version: Version, extras: frozenset[str]) -> frozenset[str]:
        """These extras with those that they ask of the package itself, as ``all`` often does; uv doesn't tell them."""
        own = [each for each in self.requirements(name, version) if canonicalize_name(each.name) == name]
        asked = [each.extras for each in own if applies(each, self.markers, extras)]
        more = extras.union(*({canonicalize_name(extra) for extra in each} for each in asked))
        return extras if more == extras else self._extras(name, version, more)

    def _confirm(self, error: ConflictError) -> bool:
        """Ask those themselves whom a conflict names and who were not asked; whether one says another thing.

        Of each package the newest version that was looked at and is asked for: it is the one that would be taken.
        """
        asked = [*self.request.tops, *self._bounds()]
        newest = {
            name: version
            for name, version in sorted(self.statements.unconfirmed(names_in(error.what)))
            if all(each.specifier.contains(version) for each in asked if canonicalize_name(each.name) == name)
        }
        return self.statements.confirm(newest.items())

    def _explained(self, error: ConflictError, bounds: Iterable[Requirement] = ()) -> ConflictError:
        """Why nothing could be chosen, with what the resolver does not know of the packages that it names.

        Args:
            error: Its own explanation.
            bounds: Constraints that were taken for its own.
        """
        named = names_in(error.what)
        told = sorted(str(bound) for bound in bounds if canonicalize_name(bound.name) in named)
        told = [f"the constraints are {', '.join(told)}"] if told else []
        told += self.statements.packages.chooser.withheld(named.intersection(self.asked))
        return ConflictError("; ".join([error.what, *told]), where=error.where, cure=error.cure) if told else error

    def offers(self, name: NormalizedName) -> Sequence[Offer] | None:
        """The versions of a package that may be taken."""
        chooser = self.statements.packages.chooser
        self.asked[name] = None
        self.restricted |= self.known_only and bool(chooser.known(name))
        found = chooser.offers(name, asked_for=self.asked_for.get(name, ()), known_only=self.known_only)
        if any(offer.version.is_prerelease and chooser.is_early(name, offer.version) for offer in found or ()):
            self.early.add(name)
        return found

    def requires(self, name: NormalizedName, version: Version) -> tuple[Requirement, ...] | None:
        """What a version requires where it is installed, where somebody says so."""
        return self.statements.requirements((name, version))

    # What builds: resolvelib's view of the world.

    def versions(self, name: NormalizedName, specifiers: Sequence[SpecifierSet]) -> Sequence[Version]:
        """The versions that may be taken for a build, those first that something in the tree uses already."""
        self.asked[name] = None
        return self._available(name, specifiers)

    def likely(self, requirement: Requirement) -> Package | None:
        """The version that a build which requires this will most likely get; asked in other threads."""
        name = canonicalize_name(requirement.name)
        return next(((name, version) for version in self._available(name, [requirement.specifier])), None)

    def _available(self, name: NormalizedName, specifiers: Sequence[SpecifierSet]) -> Sequence[Version]:
        bounds = [bound.specifier for bound in self._bounds() if canonicalize_name(bound.name) == name]
        # Copies, since other threads ask as well.
        used, asked_for = tuple(self.used.get(name, ())), tuple(self.asked_for.get(name, ()))
        chooser = self.statements.packages.chooser
        return chooser.versions(
            name, [*specifiers, *bounds], used=used, asked_for=asked_for, upgrade=self.request.upgrade
        )

    def _bounds(self) -> list[Requirement]:
        """The constraints that count on the target."""
        return [bound for bound in self.request.constraints if applies(bound, self.markers, frozenset())]

    def requirements(self, name: NormalizedName, version: Version) -> Sequence[Requirement]:
        """What a version requires where it is installed."""
        return self.statements.found_out((name, version))

    # The tree.

    def _grow(self, choices: Sequence[Chosen]) -> None:
        """Find everything that is needed to build what was chosen, and what is needed for that, until nothing is new.

        A build environment takes versions that something in the tree uses, and of these as few as serve everybody; who
        everybody is is known at the end only, so it is done again until that has no effect.
        """
        preferred = installed = self._versions(choices)
        for _ in range(_MAX_ROUNDS):
            self.used = {name: set(versions) for name, versions in preferred.items()}
            self._reach(choices)
            found = self._versions([*choices, *(choice for _, choice in self.environments.values())])
            several = {name: versions for name, versions in found.items() if len(versions) > 1}
            serving = {name: fewest(v, self._wants(name), kept=installed.get(name, ())) for name, v in several.items()}
            if (found | serving) in (found, preferred):
                return
            preferred = found | serving

    def _wants(self, name: NormalizedName) -> list[SpecifierSet]:
        """What each build environment with a package in it wants of it."""
        wants: dict[int, SpecifierSet] = {}
        for requires, choice in self.environments.values():
            if name in choice and id(choice) not in wants:
                needs = [*needs_of(requires, choice, self.markers), *chain(*self._installed(choice).needs.values())]
                stated = (Requirement(need.requirement).specifier for need in needs if need.package[0] == name)
                wants[id(choice)] = SpecifierSet(",".join(map(str, stated)))
        return list(wants.values())

    def _reach(self, choices: Sequence[Chosen]) -> None:
        self.contexts, self.environments, self.broken, self.memo, self.installed = {}, {}, {}, {}, {}
        frontier = [package for choice in choices for package in self._enter(choice)]
        while frontier:
            self.statements.look_at(frontier)
            frontier = [new for package in self._most_bound_first(frontier) for new in self._enter_environment(package)]

    def _enter(self, choice: Chosen) -> list[Package]:
        """Put what was chosen into the tree; those that were not in it."""
        new = [(name, version) for name, (version, _) in sorted(choice.items()) if (name, version) not in self.contexts]
        for name, version in new:
            self.contexts[name, version] = choice
            if (name, version) not in self.request.candidates:
                self.used.setdefault(name, set()).add(version)
        return new

    def _versions(self, choices: Iterable[Chosen]) -> dict[NormalizedName, set[Version]]:
        """The versions that were chosen, by name, but for candidates."""
        found: dict[NormalizedName, set[Version]] = {}
        for name, (version, _) in chain.from_iterable(choice.items() for choice in choices):
            if (name, version) not in self.request.candidates:
                found.setdefault(name, set()).add(version)
        return found

    def _most_bound_first(self, packages: Iterable[Package]) -> list[Package]:
        """Whoever accepts few versions chooses first, so that one version serves all who accept it."""

        def key(package: Package) -> tuple[bool, Package]:
            bound = any(s.operator in ("==", "~=", "<", "<=") for r in self._stated(package) for s in r.specifier)
            return not bound, package

        return sorted(packages, key=key)

    def _has_no_source(self, package: Package) -> bool:
        return package in self.statements.broken or self.statements.packages.numbered(package) is not None

    def _stated(self, package: Package) -> tuple[Requirement, ...]:
        if self._has_no_source(package):
            return ()
        source, project = self.statements.packages.source(package)
        for name, versions in named_versions(source.spec.build.add_requires).items():
            self.asked_for.setdefault(name, set()).update(versions)
        return build_requirements(source, project)

    def _enter_environment(self, package: Package) -> list[Package]:
        if self._has_no_source(package):
            return []
        try:
            requires, choice = self._environment(package)
        except PybuildError as error:
            error.package = error.package or (package[0], str(package[1]))
            self.broken[package] = error
            return []
        self.environments[package] = requires, choice
        return self._enter(choice)

    def _environment(self, package: Package) -> tuple[tuple[Requirement, ...], Chosen]:
        """What the build environment of a package must satisfy, and what is in it."""
        stated = self._stated(package)
        choice = self._resolve(stated, package)
        there: dict[str, Version] = {name: version for name, (version, _) in choice.items()}
        dynamic = self.statements.packages.dynamic(package, {name: str(version) for name, version in there.items()})
        requires = build_requirements(*self.statements.packages.source(package), dynamic)
        more = [requirement for requirement in requires if requirement not in stated]
        if satisfied_by(there, more, self.markers):
            return stated, choice
        return requires, self._resolve(requires, package)

    def _resolve(self, requires: Sequence[Requirement], package: Package) -> Chosen:
        key = tuple(sorted(map(str, requires)))
        if key not in self.memo:
            by = f"the build of {package[0]} {package[1]}"
            wanted = [Wanted(requirement, by) for requirement in requires]
            while key not in self.memo:
                try:
                    self.memo[key] = resolve(wanted, self, markers=self.markers)
                except ConflictError as error:
                    if not self._confirm(error):
                        raise self._explained(error, self._bounds()) from error
        return self.memo[key]

    # The tree as a value.

    def _planned(self, tops: tuple[Need, ...]) -> Planned:
        nodes = {package: self._node(package) for package in sorted(self.contexts)}
        target = self.statements.packages.adapters.target
        tree = Tree(target=target.name, python=target.full_version, tops=tops, nodes=nodes)
        broken = {package: error for package, error in self.statements.broken.items() if package in nodes}
        other = other_sources(tree, self.request.hashes, self.markers)
        return Planned(tree=tree, broken={**build_cycles(tree), **other, **self.broken, **broken}, unmet=self.unmet)

    def _node(self, package: Package) -> Node:
        name, version = package
        context = self.contexts[package]
        installed = self._installed(context)
        requires, choice = self.environments.get(package, ((), {}))
        node = Node(
            name=name,
            version=version,
            accepted=self.statements.workspace.spec_path(name).is_file(),
            source=None,
            extras=tuple(sorted(context[name][1])),
            installs=installed.needs[name],
            closure=installed.closures[package],
            builds=needs_of(requires, choice, self.markers),
            environment=tuple(sorted((each, chosen) for each, (chosen, _) in choice.items())),
        )
        if self._has_no_source(package):
            return node
        source, project = self.statements.packages.source(package)
        archive = Archive(
            file=source.file.name,
            url=source.origin if "://" in source.origin else "",
            sha256=source.sha256,
            size=source.file.stat().st_size,
        )
        prebuilt = source.spec.prebuilt is not None
        return replace(node, source=archive, requires_python=project.requires_python, prebuilt=prebuilt)

    def _installed(self, context: Chosen) -> _Installed:
        """What was chosen together, looked at once."""
        if id(context) not in self.installed:
            needs = {
                name: tuple(
                    need
                    for need in needs_of(self.requirements(name, version), context, self.markers, extras)
                    if need.package[0] != name
                )
                for name, (version, extras) in context.items()
            }
            edges = {(name, context[name][0]): [need.package for need in needs[name]] for name in sorted(needs)}
            self.installed[id(context)] = _Installed(needs=needs, closures=closures(edges))
        return self.installed[id(context)]

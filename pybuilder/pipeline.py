"""One package, and all that it needs, from spec to index. Read this first.

``spec -> source -> plan -> (payload for this key known? skip the next two) -> root + build environment -> build ->
payload -> validate -> number -> publish -> record``

``provide`` resolves what is wanted and goes through the packages, those without needs first; ``produce`` takes one of
them from its source to a payload; ``_publish`` takes payloads from there into the index. A package that is needed to
build another is provided in just the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version
from resolvelib import ResolutionImpossible

from pybuilder import events
from pybuilder.errors import ConfigError, FetchError, PybuildError, blame
from pybuilder.graph import components, describe_cycle, reachable
from pybuilder.packages import Packages
from pybuilder.plan import Plan
from pybuilder.resolution import Chosen, Wanted, applies, exactly, named_versions, required_by, resolve
from pybuilder.results import Result, Setbacks
from pybuilder.sandbox import Share
from pybuilder.sandbox.processors import usable
from pybuilder.stages import Adapters, Made, Project, Source
from pybuilder.stages.choose import Chooser
from pybuilder.stages.plan import build_requirements
from pybuilder.stages.publish import Item, Outcome, publish
from pybuilder.tree import Package

# Real metadata may differ from what upstream states, and then other versions may be needed; that ends quickly.
MAX_REPLANS = 8


@dataclass(kw_only=True, slots=True)
class Pipeline:
    """A run over some requirements; what it has found out is kept as long as it lasts.

    Attributes:
        packages: What is known of packages, and what can be done with one.
        force: Whether what is named is built in any case, and gets a number in any case (``rebuild``).
        accept: Told which package is about to be built, so that nothing is published that no spec speaks of.
    """

    packages: Packages
    force: bool
    accept: Callable[[Package], None] = lambda package: None
    _named: dict[Requirement, Package] = field(default_factory=dict)
    _asked_for: dict[NormalizedName, set[Version]] = field(default_factory=dict)
    _wanted: dict[Wanted, None] = field(default_factory=dict)
    _public: dict[Package, Made] = field(default_factory=dict)
    _producing: list[Package] = field(default_factory=list)
    _broken: dict[Package, PybuildError] = field(default_factory=dict)
    _outcomes: dict[Package, Outcome] = field(default_factory=dict)

    @property
    def adapters(self) -> Adapters:
        """The world."""
        return self.packages.adapters

    @property
    def chooser(self) -> Chooser:
        """Says which versions there are."""
        return self.packages.chooser

    @property
    def outcomes(self) -> Mapping[Package, Outcome]:
        """What has been published so far; a view of it."""
        return MappingProxyType(self._outcomes)

    def run(self, requirements: Sequence[Requirement]) -> Result:
        """Build, validate, number and publish what is asked for, each requirement by itself."""
        began = time.monotonic()
        setbacks = Setbacks()
        for step in (self._name, self._provide_named):
            for requirement in [r for r in requirements if r not in setbacks.stopped]:
                try:
                    step(requirement)
                except PybuildError as error:
                    if setbacks.add(error, requirement):
                        self._tell_failed(requirement, error)
        self.packages.queue_reviews(tuple(setbacks.review))
        outcomes, named = self._outcomes, dict.fromkeys(self._named.values())
        return Result(
            built=tuple(outcome for outcome in outcomes.values() if outcome.minted),
            cached=tuple(outcomes[p] for p in named if p in outcomes and not outcomes[p].minted),
            failed=setbacks.failures,
            review=tuple(setbacks.review),
            refusals=self.packages.refusals(setbacks.review),
            seconds=time.monotonic() - began,
        )

    def provide(self, wanted: Sequence[Wanted]) -> tuple[Made, ...]:
        """Payloads that satisfy what is wanted, with everything that is installed beside them, all published.

        Raises:
            PybuildError: It can't be done; says which package failed and who needs it.
        """
        markers = self.adapters.target.markers
        for _ in range(MAX_REPLANS):
            self.chooser.check_accepted(wanted, markers)
            chosen = self._resolve(wanted)
            edges = self._edges(chosen)
            if self._settle_all(chosen, edges):
                return tuple(self._public[name, version] for name, (version, _) in chosen.items())
        raise FetchError(
            f"what {', '.join(str(w.requirement) for w in wanted)} requires was another each time it was built",
            cure="state its requirements under [metadata] requires-dist in its spec",
        )

    def _resolve(self, wanted: Sequence[Wanted]) -> Chosen:
        try:
            return resolve(wanted, self, markers=self.adapters.target.markers)
        except FetchError as error:
            # What failed deeper down, to find out a requirement, has said what there is to say.
            if not isinstance(cause := error.__cause__, ResolutionImpossible):
                raise
            names = [canonicalize_name(each.requirement.requirement.name) for each in cause.causes]
            raise FetchError("; ".join([error.what, *self.chooser.withheld(names)]), cure=error.cure) from error

    def prepare(self, requirement: Requirement) -> tuple[Source, Project, Plan]:
        """What a build of this requirement would start from, with everything that it needs provided.

        Raises:
            PybuildError: Something of it can't be had; says which package failed.
        """
        self._name(requirement)
        package = self._named[requirement]
        return *self.packages.source(package), self._plan(package)

    # The resolver's view of the world.

    def versions(self, name: NormalizedName, specifiers: Sequence[SpecifierSet]) -> Sequence[Version]:
        """The versions that may be taken, the preferred first; see ``Chooser.versions``."""
        found = self.chooser.versions(name, specifiers, asked_for=self._asked_for.get(name, ()))
        if not found and not self.chooser.is_accepted(name):
            # Only an extra wants it: everything else was refused where it was read.
            raise self.chooser.not_accepted(w for w in self._wanted if canonicalize_name(w.requirement.name) == name)
        return found

    def requirements(self, name: NormalizedName, version: Version) -> Sequence[Requirement]:
        """What a version requires where it is installed: what its payload says, else what its source honestly states.

        Where neither is to be had, it is built to find out.
        """
        package = (name, version)
        known = self.packages.made.get(package) or self._published(package)
        found = known.requires_dist if known else self.packages.stated(package)
        if found is None:
            found = self.produce(package).requires_dist
        wanted = [Wanted(requirement, f"{name} {version}") for requirement in found]
        self._wanted.update(dict.fromkeys(wanted))
        with required_by(name, version):
            self.chooser.check_accepted(wanted, self.adapters.target.markers)
        return found

    def _edges(self, chosen: Chosen) -> dict[NormalizedName, Sequence[NormalizedName]]:
        """Which of the chosen packages each needs where it is installed."""
        markers = self.adapters.target.markers
        edges: dict[NormalizedName, Sequence[NormalizedName]] = {}
        for name, (version, extras) in sorted(chosen.items()):
            needed = {
                canonicalize_name(requirement.name)
                for requirement in self.requirements(name, version)
                if applies(requirement, markers, extras)
            }
            edges[name] = tuple(sorted(needed & chosen.keys() - {name}))
        return edges

    # From package to payload to index.

    def _settle_all(self, chosen: Chosen, edges: Mapping[NormalizedName, Sequence[NormalizedName]]) -> bool:
        """Publish everything chosen, what others need first; whether all require what the resolver was told."""
        return all(self._settle(group, chosen, edges) for group in components(edges))

    def _settle(
        self,
        group: Sequence[NormalizedName],
        chosen: Chosen,
        edges: Mapping[NormalizedName, Sequence[NormalizedName]],
    ) -> bool:
        """Publish one group of packages that need each other; whether they require what the resolver was told."""
        packages = [(name, chosen[name][0]) for name in group]
        fresh = [package for package in packages if not self._is_public(package)]
        told = {package: self.requirements(*package) for package in fresh}
        made = {package: self.produce(package) for package in fresh}
        if any(_differ(told[package], made[package].requires_dist) for package in fresh):
            return False
        closure = {name: [(n, chosen[n][0]) for n in sorted(reachable(edges, name))] for name in group}
        for package in fresh:
            members = [self.packages.made.get(p) or self._public[p] for p in closure[package[0]]]
            self.packages.validate(made[package], members)
        if fresh:
            items = [Item(made=made[p], force=self.force and p in self._named.values()) for p in fresh]
            for package, outcome in zip(fresh, publish(self.adapters, items), strict=True):
                self._public[package] = made[package]
                self._tell(package, outcome)
        return True

    def _is_public(self, package: Package) -> bool:
        """Whether nothing is to be done: done in this run, or nobody named it and its published recipe is current."""
        if package in self._public:
            return True
        published = self._published(package)
        if published:
            self._public[package] = published
        return bool(published)

    def _published(self, package: Package) -> Made | None:
        """The published payload that satisfies a requirement on a package, if there is one.

        What a person named is looked at down to its key, so nothing is taken for granted there, but a number.
        """
        if package in self._public:
            return self._public[package]
        is_numbered = self.packages.numbered(package) is not None
        return self.packages.published(package) if is_numbered or package not in self._named.values() else None

    def produce(self, package: Package) -> Made:
        """A payload for the plan that the workspace makes today; built unless one is known for its key.

        Raises:
            PybuildError: It can't be made; says which package failed.
        """
        if package in self.packages.made:
            return self.packages.made[package]
        if package in self._broken:
            raise self._broken[package]
        if package in self._producing:
            raise self._cycle(package)
        self._producing.append(package)
        try:
            with blame(package):
                self.accept(package)
                made = self._build(package)
        except PybuildError as error:
            self._broken[package] = error
            raise
        finally:
            self._producing.pop()
        self.packages.made[package] = made
        return made

    def _build(self, package: Package) -> Made:
        plan = self._plan(package)
        forced = self.force and package in self._named.values()
        known = None if forced else self.packages.known(plan)
        return known or self.packages.build(
            package,
            plan,
            force=forced,
            share=Share(cpus=len(usable())),
            replan=lambda requires: self._plan_with(package, requires),
        )

    def _plan(self, package: Package) -> Plan:
        """The plan with what the source states that it requires and what its backend is known to want besides."""
        source, project = self.packages.source(package)
        self._ask_for(source.spec.build.add_requires)
        self.packages.check_python(package)
        plan = self._plan_with(package, build_requirements(source, project))
        dynamic = self.packages.dynamic(package, {each.name: each.version for each in plan.environment})
        requires = build_requirements(source, project, dynamic)
        return plan if self.packages.has(plan, requires) else self._plan_with(package, requires)

    def _plan_with(self, package: Package, requires: Sequence[Requirement]) -> Plan:
        by = f"the build of {package[0]} {package[1]}"
        environment = self.provide([Wanted(requirement, by) for requirement in requires])
        return self.packages.plan(package, requires, environment)

    def _name(self, requirement: Requirement) -> None:
        """Choose the version that a person's requirement gets."""
        name = canonicalize_name(requirement.name)
        self.chooser.check_accepted([Wanted(requirement, "")], self.adapters.target.markers)
        self._ask_for([requirement])
        versions = self.chooser.versions(name, [requirement.specifier], asked_for=self._asked_for[name])
        if not versions:
            raise FetchError(
                f"no version of {name} satisfies {str(requirement)!r}: {self.chooser.what_there_is(name)}",
                cure="ask for one of these, or change [update] in its spec",
            )
        self._named[requirement] = (name, versions[0])
        self._ask_for([exactly(requirement, versions[0])])

    def _ask_for(self, requirements: Iterable[Requirement]) -> None:
        """Note the versions that a person names."""
        for name, versions in named_versions(requirements).items():
            self._asked_for.setdefault(name, set()).update(versions)

    def _provide_named(self, requirement: Requirement) -> None:
        package = self._named[requirement]
        self.provide([Wanted(exactly(requirement, package[1]), "")])
        numbered = self.packages.numbered(package)
        if numbered and package not in self._outcomes:
            self._tell(package, Outcome(made=self._public[package], number=numbered[1], minted=False))

    # Telling what happened.

    def _tell(self, package: Package, outcome: Outcome) -> None:
        self._outcomes[package] = outcome
        self.packages.tell(outcome)

    def _tell_failed(self, requirement: Requirement, error: PybuildError) -> None:
        name, version = error.package or (canonicalize_name(requirement.name), "")
        failed = events.Failed(name=name, version=version, phase=error.phase, error=error.what, log=error.log)
        self.adapters.listen(failed)

    def _cycle(self, package: Package) -> ConfigError:
        start = self._producing.index(package)
        path = [f"{name} {version}" for name, version in (*self._producing[start:], package)]
        return ConfigError(
            f"a cycle of build requirements: {describe_cycle(path)}",
            where=f"specs/{package[0]}.toml",
            cure="pin an older version of one of them that needs less, or take upstream's wheel of one:"
            " [prebuilt] reason",
        )


def _differ(told: Iterable[Requirement], real: Iterable[Requirement]) -> bool:
    """Whether two lists of requirements say different things."""
    return {str(requirement) for requirement in told} != {str(requirement) for requirement in real}

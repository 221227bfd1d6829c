"""One package, and all that it needs, from spec to index. Read this first.

``spec -> source -> plan -> (payload for this key known? skip the next two) -> root + build environment -> build ->
payload -> validate -> number -> publish -> record``

``provide`` resolves what is wanted and goes through the packages, those without needs first; ``_produce`` takes one of
them from its source to a payload; ``_publish`` takes payloads from there into the index. A package that is needed to
build another is provided in just the same way.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pybuilder import events
from pybuilder.clock import timestamp
from pybuilder.errors import ConfigError, FetchError, PybuildError
from pybuilder.files import file_lock
from pybuilder.graph import components, describe_cycle, reachable
from pybuilder.names import numbered_version, split_number
from pybuilder.plan import Plan
from pybuilder.resolution import Chosen, Wanted, applies, exactly, resolve, satisfied_by
from pybuilder.results import Result, Setbacks
from pybuilder.stages import Adapters, Made, Project, Source, supports_python
from pybuilder.stages.build import build
from pybuilder.stages.choose import Chooser, not_accepted
from pybuilder.stages.inspect import inspect_source, made_from_payload, published_build
from pybuilder.stages.plan import build_requirements, make_plan, recipe
from pybuilder.stages.publish import Item, Outcome, publish
from pybuilder.stages.source import SourceGetter
from pybuilder.stages.validate import validate

# Real metadata may differ from what upstream states, and then other versions may be needed; that ends quickly.
MAX_REPLANS = 8

Package = tuple[NormalizedName, Version]


@dataclass(kw_only=True, slots=True)
class Pipeline:
    """A run over some requirements; what it has found out is kept as long as it lasts.

    Attributes:
        adapters: The world.
        sources: Gets sources.
        chooser: Says which versions there are.
        force: Whether what is named is built in any case, and gets a number in any case (``rebuild``).
    """

    adapters: Adapters
    sources: SourceGetter
    chooser: Chooser
    force: bool
    _named: dict[Requirement, Package] = field(default_factory=dict)
    _wanted: dict[Wanted, None] = field(default_factory=dict)
    _sources: dict[Package, tuple[Source, Project]] = field(default_factory=dict)
    _made: dict[Package, Made] = field(default_factory=dict)
    _public: dict[Package, Made] = field(default_factory=dict)
    _producing: list[Package] = field(default_factory=list)
    _broken: dict[Package, PybuildError] = field(default_factory=dict)
    _outcomes: dict[Package, Outcome] = field(default_factory=dict)

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
        self._queue(tuple(setbacks.review))
        outcomes, named = self._outcomes, dict.fromkeys(self._named.values())
        return Result(
            built=tuple(outcome for outcome in outcomes.values() if outcome.minted),
            cached=tuple(outcomes[p] for p in named if p in outcomes and not outcomes[p].minted),
            failed=setbacks.failures,
            review=tuple(setbacks.review),
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
            chosen = resolve(wanted, self, markers=markers)
            edges = self._edges(chosen)
            if self._settle_all(chosen, edges):
                return tuple(self._public[name, version] for name, (version, _) in chosen.items())
        raise FetchError(
            f"what {', '.join(str(w.requirement) for w in wanted)} requires was another each time it was built",
            cure="state its requirements under [metadata] requires-dist in its spec",
        )

    def prepare(self, requirement: Requirement) -> tuple[Source, Project, Plan]:
        """What a build of this requirement would start from, with everything that it needs provided.

        Raises:
            PybuildError: Something of it can't be had; says which package failed.
        """
        self._name(requirement)
        source, project = self._source(self._named[requirement])
        self._check_python(source, project)
        return source, project, self._plans(source, project)[1]

    # The resolver's view of the world.

    def versions(self, name: NormalizedName, specifiers: Sequence[SpecifierSet]) -> Sequence[Version]:
        """The versions that may be taken, the preferred first; see ``Chooser.versions``."""
        found = self.chooser.versions(name, specifiers)
        if not found and not self.chooser.is_accepted(name):
            # Only an extra wants it: everything else was refused where it was read.
            raise not_accepted(w for w in self._wanted if canonicalize_name(w.requirement.name) == name)
        return found

    def requirements(self, name: NormalizedName, version: Version) -> Sequence[Requirement]:
        """What a version requires where it is installed: what its payload says, else what its source honestly states.

        Where neither is to be had, it is built to find out.
        """
        package = (name, version)
        known = self._made.get(package) or self._published(package)
        if known:
            found: Sequence[Requirement] | None = known.requires_dist
        else:
            source, project = self._source(package)
            found = source.spec.metadata.requires_dist or project.requires_dist
        if found is None:
            found = self._produce(package).requires_dist
        wanted = [Wanted(requirement, f"{name} {version}") for requirement in found]
        self._wanted.update(dict.fromkeys(wanted))
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
        made = {package: self._produce(package) for package in fresh}
        if any(_differ(told[package], made[package].requires_dist) for package in fresh):
            return False
        closure = {name: [(n, chosen[n][0]) for n in sorted(reachable(edges, name))] for name in group}
        for package in fresh:
            with self._blame(package):
                members = [self._made.get(p) or self._public[p] for p in closure[package[0]]]
                spec = self._source(package)[0].spec
                validate(self.adapters, made[package], spec, members, system=self._runtime(members))
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

        A number names one payload; else it is the newest, if its recipe is what the workspace says today. What a
        person named is looked at down to its key, so nothing is taken for granted here.
        """
        name, version = package
        if package in self._public:
            return self._public[package]
        numbered = split_number(version, self.adapters.channel.label)
        if numbered:
            return published_build(self.adapters, name, *numbered)
        if package in self._named.values():
            return None
        newest = published_build(self.adapters, name, version)
        if newest is None:
            return None
        pinned = self.sources.pinned(name, version)
        current = pinned and recipe(pinned, self.adapters.channel).digest() == newest.recipe
        return newest if current else None

    def _produce(self, package: Package) -> Made:
        """A payload for the plan that the workspace makes today; built unless one is known for its key."""
        if package in self._made:
            return self._made[package]
        if package in self._broken:
            raise self._broken[package]
        if package in self._producing:
            raise self._cycle(package)
        self._producing.append(package)
        try:
            with self._blame(package):
                made = self._build(package)
        except PybuildError as error:
            self._broken[package] = error
            raise
        finally:
            self._producing.pop()
        self._made[package] = made
        return made

    def _build(self, package: Package) -> Made:
        source, project = self._source(package)
        self._check_python(source, project)
        state = self.adapters.state
        first, plan = self._plans(source, project)
        forced = self.force and package in self._named.values()
        if not forced and (known := self._known(plan)):
            return known

        def satisfied(wanted: tuple[Requirement, ...]) -> bool:
            state.add_fact("dynamic", first.key(), [str(requirement) for requirement in wanted])
            return self._has(plan, build_requirements(source, project, map(str, wanted)))

        def replan(wanted: tuple[Requirement, ...]) -> Plan:
            nonlocal plan  # what `satisfied` compares with in the second start
            plan = self._plan(source, project, build_requirements(source, project, map(str, wanted)))
            return plan

        with file_lock(self.adapters.layout.lock(f"build-{plan.key()}")):
            # Whoever held the lock may have built it meanwhile.
            if not forced and (known := self._known(plan)):
                return known
            built = build(self.adapters, source, project, plan, satisfied=satisfied, replan=replan)
        return made_from_payload(
            self.adapters,
            sha256=built.sha256,
            key=built.plan.key(),
            recipe=built.plan.recipe.digest(),
            attempt=built.attempt,
            target=built.plan.target.name,
        )

    def _plans(self, source: Source, project: Project) -> tuple[Plan, Plan]:
        """The plan with what the source states that it requires, and that with what its backend is known to want."""
        first = self._plan(source, project, build_requirements(source, project))
        dynamic = self.adapters.state.fact("dynamic", first.key())
        if dynamic is None:
            return first, first
        extra = build_requirements(source, project, dynamic)
        return first, first if self._has(first, extra) else self._plan(source, project, extra)

    def _plan(self, source: Source, project: Project, requires: Sequence[Requirement]) -> Plan:
        by = f"the build of {source.name} {source.version}"
        environment = self.provide([Wanted(requirement, by) for requirement in requires])
        system = {*source.spec.system.build, *self._runtime(environment)}
        return make_plan(
            source,
            project,
            requires=requires,
            environment=[made.ingredient for made in environment],
            root=self.adapters.roots.for_build(system),
            target=self.adapters.target,
            channel=self.adapters.channel,
        )

    def _runtime(self, packages: Iterable[Made]) -> frozenset[str]:
        """The RPMs that packages need where they are installed."""
        return frozenset(rpm for made in packages for rpm in self.sources.runtime(made.name, made.version))

    def _known(self, plan: Plan) -> Made | None:
        attempt = self.adapters.state.succeeded(plan.key())
        if attempt is None or attempt.payload is None or self.adapters.store.payload(attempt.payload) is None:
            return None
        return made_from_payload(
            self.adapters,
            sha256=attempt.payload,
            key=attempt.key,
            recipe=attempt.recipe,
            attempt=attempt.id,
            target=attempt.target,
        )

    def _has(self, plan: Plan, requirements: Sequence[Requirement]) -> bool:
        """Whether a plan's environment has all of these already."""
        there = {ingredient.name: Version(ingredient.version) for ingredient in plan.environment}
        others = [requirement for requirement in requirements if str(requirement) not in plan.requires]
        return satisfied_by(there, others, self.adapters.target.markers)

    def _source(self, package: Package) -> tuple[Source, Project]:
        if package not in self._sources:
            with self._blame(package):
                source = self.sources.acquire(*package)
                self._sources[package] = (source, inspect_source(self.adapters, source))
        return self._sources[package]

    def _check_python(self, source: Source, project: Project) -> None:
        target = self.adapters.target
        if supports_python(project.requires_python, target.full_version) is False:
            raise FetchError(
                f"{source.name} {source.version} needs Python {project.requires_python}, "
                f"the target has {target.full_version}",
                cure="pin a version that supports this Python, or choose another buildroot",
            )

    def _name(self, requirement: Requirement) -> None:
        """Choose the version that a person's requirement gets."""
        name = canonicalize_name(requirement.name)
        self.chooser.check_accepted([Wanted(requirement, "")], self.adapters.target.markers)
        versions = self.chooser.versions(name, [requirement.specifier])
        if not versions:
            raise FetchError(
                f"no version of {name} satisfies {str(requirement)!r}: {self.chooser.what_there_is(name)}",
                cure="ask for one of these, or change [update] in its spec",
            )
        self._named[requirement] = (name, versions[0])

    def _provide_named(self, requirement: Requirement) -> None:
        package = self._named[requirement]
        self.provide([Wanted(exactly(requirement, package[1]), "")])
        numbered = split_number(package[1], self.adapters.channel.label)
        if numbered and package not in self._outcomes:
            self._tell(package, Outcome(made=self._public[package], number=numbered[1], minted=False))

    # Telling what happened.

    def _queue(self, wanted: Sequence[tuple[str, str, str]]) -> None:
        """Put packages that nobody has accepted into the review queue, and take out those that have been."""
        state = self.adapters.state
        before = state.review()
        accepted = sorted({entry["name"] for entry in before if self.chooser.is_accepted(entry["name"])})
        if wanted or accepted:
            state.ask_review(wanted, now=timestamp(self.adapters.now()))
            state.drop_review(accepted)
            waiting = [(entry["name"], entry["requirement"], entry["wanted_by"]) for entry in state.review()]
            self.adapters.index.write_review(waiting)

    def _tell(self, package: Package, outcome: Outcome) -> None:
        self._outcomes[package] = outcome
        made = outcome.made
        numbered = str(numbered_version(made.version, self.adapters.channel.label, outcome.number))
        kind = events.Published if outcome.minted else events.Cached
        self.adapters.listen(kind(name=made.name, version=str(made.version), build=f"{made.name}=={numbered}"))

    def _tell_failed(self, requirement: Requirement, error: PybuildError) -> None:
        name, version = error.package or (canonicalize_name(requirement.name), "")
        failed = events.Failed(name=name, version=version, phase=error.phase, error=error.what, log=error.log)
        self.adapters.listen(failed)

    @contextlib.contextmanager
    def _blame(self, package: Package) -> Iterator[None]:
        """Say which package an error happened to: the innermost."""
        try:
            yield
        except PybuildError as error:
            error.package = error.package or (package[0], str(package[1]))
            raise

    def _cycle(self, package: Package) -> ConfigError:
        start = self._producing.index(package)
        path = [f"{name} {version}" for name, version in (*self._producing[start:], package)]
        return ConfigError(
            f"a cycle of build requirements: {describe_cycle(path)}",
            where=f"specs/{package[0]}.toml",
            cure="pin an older version of one of them that needs less, or take a requirement out with"
            " [build] remove-requires",
        )


def _differ(told: Sequence[Requirement], real: Sequence[Requirement]) -> bool:
    return {str(requirement) for requirement in told} != {str(requirement) for requirement in real}

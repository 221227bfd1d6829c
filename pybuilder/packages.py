"""What a run knows of packages, each thing found out once, and the steps that one package goes through.

The pipeline goes through packages one after the other, a bootstrap through a whole tree side by side; both take these
steps. Safe to use from several threads, as long as each package is in the hands of one of them; sources may be asked
for by several at once.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder import events
from pybuilder.errors import BuildError, FetchError, LockedError, blame
from pybuilder.files import file_lock
from pybuilder.metadata import supports_python
from pybuilder.names import numbered_version, split_number
from pybuilder.plan import Plan
from pybuilder.resolution import satisfied_by
from pybuilder.review_queue import replace_waits
from pybuilder.sandbox import Share
from pybuilder.stages import Adapters, Made, Project, Source
from pybuilder.stages.choose import Chooser
from pybuilder.stages.inspect import inspect_source, known_build, made_from_payload, published_build
from pybuilder.stages.plan import build_requirements, known_dynamic, learn_dynamic, make_plan, recipe
from pybuilder.stages.publish import Item, Outcome, newest_build, publish
from pybuilder.stages.screen import Screener
from pybuilder.stages.source import SourceGetter
from pybuilder.stages.validate import validate, validation_key
from pybuilder.timing import timed
from pybuilder.tree import Node, Package


def _let_start(package: Package) -> None:
    """There is no budget."""


@dataclass(kw_only=True, slots=True)
class Packages:
    """The packages of a run.

    Attributes:
        adapters: The world.
        sources: Gets sources.
        chooser: Says which versions there are.
        screener: Screens sources before anything is done with them.
        starting: Told in whatever thread, before an attempt begins; raises ``PostponedError`` where it may not.
        forced: Those that are built in any case, and get a number in any case.
        stale: Those that are built where what is published of them is stale; None for all. The others stay as they are
            for as long as their recipe is current.
        made: The payloads that this run has come to, built or known.
    """

    adapters: Adapters
    sources: SourceGetter
    chooser: Chooser
    screener: Screener
    starting: Callable[[Package], None] = _let_start
    forced: frozenset[Package] = frozenset()
    stale: frozenset[Package] | None = None
    made: dict[Package, Made] = field(default_factory=dict)
    _sources: dict[Package, tuple[Source, Project]] = field(default_factory=dict)
    _asking: dict[Package, threading.Lock] = field(default_factory=dict)

    def source(self, package: Package) -> tuple[Source, Project]:
        """The source of a package, fetched and pinned if need be, screened, and what it says of itself.

        Raises:
            PybuildError: It can't be had, can't be read, or must not be used.
        """
        if found := self._sources.get(package):
            return found
        # Several may want it at once; it is fetched and read once.
        with self._asking.setdefault(package, threading.Lock()), blame(package):
            if found := self._sources.get(package):
                return found
            source = self.sources.acquire(*package)
            self.screener.screen(source)
            found = self._sources[package] = (source, inspect_source(self.adapters, source))
        return found

    def _sound(self, package: Package) -> Source:
        """The source of a package as it is just before it is used; fetched again where the store's is damaged."""
        source, project = self.source(package)
        if self.adapters.store.sound_source(source.sha256) is None:
            again = self.sources.acquire(*package)
            if again.sha256 != source.sha256:
                # A directory is not pinned; neither screening nor plan have seen what is there now.
                raise FetchError(
                    f"the source of {source.name} {source.version} was damaged in the store, and has changed since",
                    where=again.origin,
                    cure="run the same command again",
                )
            source = again
            self._sources[package] = (source, project)
        return source

    def has_source(self, package: Package) -> bool:
        """Whether the source of a package has been fetched, in this run or before it.

        Raises:
            PybuildError: Its spec is wrong, or pins another source than was seen first.
        """
        pinned = self.sources.pinned(*package)
        return pinned is not None and self.adapters.store.source(pinned.sha256) is not None

    def read_again(self, package: Package) -> None:
        """Forget what is known of a source, since its spec has changed."""
        self._sources.pop(package, None)
        self.source(package)

    def numbered(self, package: Package) -> tuple[Version, int] | None:
        """Version and number of what is one published build: its payload is what it is, whatever its source says."""
        return split_number(package[1], self.adapters.channel.label)

    def published(self, package: Package) -> Made | None:
        """The published payload that satisfies a requirement on a package, if there is one.

        A number names one payload; else it is the newest, if its recipe is what the workspace says today.
        """
        name, version = package
        if numbered := self.numbered(package):
            return published_build(self.adapters, name, *numbered)
        newest = published_build(self.adapters, name, version)
        pinned = newest and self.sources.pinned(name, version)
        return newest if newest and pinned and recipe(pinned, self.adapters.channel).digest() == newest.recipe else None

    def stated(self, package: Package) -> Sequence[Requirement] | None:
        """What a source honestly states that it requires where it is installed, or what its spec says in its place."""
        source, project = self.source(package)
        return source.spec.metadata.requires_dist or project.requires_dist

    def runtime(self, packages: Iterable[Made]) -> frozenset[str]:
        """The RPMs that packages need where they are installed."""
        return frozenset(rpm for made in packages for rpm in self.sources.runtime(made.name, made.version))

    def check_python(self, package: Package) -> None:
        """Refuse a package that is for other Pythons than the target's.

        Raises:
            FetchError: It says so itself.
        """
        source, project = self.source(package)
        target = self.adapters.target
        if supports_python(project.requires_python, target.full_version) is False:
            raise FetchError(
                f"{source.name} {source.version} needs Python {project.requires_python}, "
                f"the target has {target.full_version}",
                cure="pin a version that supports this Python, or choose another buildroot",
            )

    def plan(self, package: Package, requires: Sequence[Requirement], environment: Sequence[Made]) -> Plan:
        """The plan of a package in a build environment.

        Args:
            package: The package.
            requires: What the environment satisfies.
            environment: Everything in it.
        """
        source, project = self.source(package)
        return make_plan(
            source,
            project,
            requires=requires,
            environment=[made.ingredient for made in environment],
            root=self.adapters.roots.for_build({*source.spec.system.build, *self.runtime(environment)}),
            target=self.adapters.target,
            channel=self.adapters.channel,
        )

    def known(self, plan: Plan) -> Made | None:
        """The payload that was made of these very inputs, or that stays; None as well for what is built in any case."""
        package = (canonicalize_name(plan.recipe.name), Version(plan.recipe.version))
        if package in self.forced:
            return None
        if self.stale is not None and package not in self.stale:
            newest = published_build(self.adapters, *package)
            if newest is not None and newest.recipe == plan.recipe.digest():
                return newest
        return known_build(self.adapters, plan)

    def make_ready(self, plan: Plan) -> None:
        """Make the root and the build environment of a plan, so that its build need not wait for them."""
        from pybuilder.stages.prepared import make_ready

        make_ready(self.adapters, plan)

    def unpack(self, made: Made) -> None:
        """Unpack a payload that builds require, before any of them waits for it."""
        from pybuilder.stages.prepared import unpack

        unpack(self.adapters, made)

    def build(
        self,
        package: Package,
        plan: Plan,
        *,
        force: bool,
        share: Share,
        replan: Callable[[tuple[Requirement, ...]], Plan],
    ) -> Made:
        """Build a plan, unless its payload is known.

        Args:
            package: The package.
            plan: Its plan.
            force: Whether it is built in any case.
            share: What it may use of the machine.
            replan: Given build requirements that only the backend knew, all of them with those it states, makes the
                plan that has them.

        Raises:
            PybuildError: It failed; says which package.
            PostponedError: The budget is spent.
        """
        # Imported here, since most runs build nothing.
        from pybuilder.stages.build import build
        from pybuilder.stages.prebuilt import take_wheel

        source, project = self.source(package)

        def satisfied(wanted: tuple[Requirement, ...]) -> bool:
            learn_dynamic(self.adapters, source, project, _versions(plan), wanted)
            return self.has(plan, build_requirements(source, project, map(str, wanted)))

        def again(wanted: tuple[Requirement, ...]) -> Plan:
            nonlocal plan  # what `satisfied` compares with in the second start
            before, plan = plan, replan(build_requirements(source, project, map(str, wanted)))
            if plan.key() != before.key():
                locks.enter_context(file_lock(self.adapters.layout.lock(f"build-{plan.key()}")))
                if not force and (known := self.known(plan)):
                    raise _BuiltMeanwhile(known)
            return plan

        with blame(package), contextlib.ExitStack() as locks:
            locks.enter_context(self._turn(package, plan))
            # Whoever held the lock may have built it meanwhile.
            if not force and (known := self.known(plan)):
                return known
            self.starting(package)
            source = self._sound(package)
            if source.spec.prebuilt:
                built = take_wheel(self.adapters, source, plan, reason=source.spec.prebuilt.reason)
            else:
                try:
                    # Nor need the backend be asked again for what it told them.
                    wanted = self.dynamic(package, _versions(plan))
                    if not self.has(plan, build_requirements(source, project, wanted)):
                        again(tuple(map(Requirement, wanted)))
                    built = build(self.adapters, source, project, plan, share=share, satisfied=satisfied, replan=again)
                except _BuiltMeanwhile as error:
                    return error.made
        return made_from_payload(
            self.adapters,
            built.path,
            sha256=built.sha256,
            key=built.plan.key(),
            recipe=built.plan.recipe.digest(),
            attempt=built.attempt,
            target=built.plan.target.name,
        )

    @contextlib.contextmanager
    def _turn(self, package: Package, plan: Plan) -> Iterator[None]:
        """The right to build a plan, which one run has at a time; who has to wait for it tells of that."""
        lock, listen, (name, version) = self.adapters.layout.lock(f"build-{plan.key()}"), self.adapters.listen, package
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(file_lock(lock, wait=False))
            except LockedError:
                why = "another run builds it"
                listen(events.Started(name=name, version=str(version), phase="wait", detail=why))
                with timed(listen, name=name, version=version, phase="wait"):
                    held.enter_context(file_lock(lock))
            yield

    def planning(self, node: Node) -> Callable[[], Plan]:
        """What makes the plan of a package in a tree, later and in any thread, from the payloads that are made now.

        Args:
            node: The package; the payloads of everything in its environment are in ``made``.
        """
        requires = [Requirement(need.requirement) for need in node.builds]
        return partial(self.plan, node.package, requires, [self.made[package] for package in node.environment])

    def dynamic(self, package: Package, environment: Mapping[str, str]) -> tuple[str, ...]:
        """What the backend of a package wants besides what its source states, as it said in an earlier build.

        Args:
            package: The package.
            environment: Versions by name.
        """
        return known_dynamic(self.adapters, *self.source(package), environment)

    def has(self, plan: Plan, requirements: Sequence[Requirement]) -> bool:
        """Whether a plan's environment has all of these already."""
        there = {ingredient.name: Version(ingredient.version) for ingredient in plan.environment}
        others = [requirement for requirement in requirements if str(requirement) not in plan.requires]
        return satisfied_by(there, others, self.adapters.target.markers)

    def publish(self, group: Sequence[tuple[Made, Sequence[Made]]]) -> tuple[Outcome, ...]:
        """Validate and publish payloads as one group.

        Args:
            group: Each payload with everything that is installed with it, itself included.

        Raises:
            PybuildError: One must not be published, or can't be; says which.
        """
        for made, members in group:
            self.validate(made, members)
        return publish(
            self.adapters, [Item(made=made, force=(made.name, made.version) in self.forced) for made, _ in group]
        )

    def published_before(self, made: Made, members: Sequence[Made]) -> Outcome | None:
        """What publishing a payload came to, where it is the newest build and was validated with just these members."""
        newest = () if (made.name, made.version) in self.forced else newest_build(self.adapters, made)
        number = next((wheel.number for wheel in newest if wheel.payload == made.sha256), None)
        if number is None or not self._is_validated(made, members):
            return None
        return Outcome(made=made, number=number, minted=False)

    def validate(self, made: Made, members: Sequence[Made]) -> None:
        """Refuse a payload that must not be published.

        Args:
            made: The payload.
            members: Everything that is installed with it, itself included.

        Raises:
            ValidationError: With everything that is wrong.
        """
        with blame(package := (made.name, made.version)):
            validate(self.adapters, made, self.source(package)[0].spec, members, system=self.runtime(members))

    def tell(self, outcome: Outcome) -> None:
        """Report what publishing a package came to."""
        made = outcome.made
        numbered = str(numbered_version(made.version, self.adapters.channel.label, outcome.number))
        name, version, build = made.name, str(made.version), f"{made.name}=={numbered}"
        if outcome.minted:
            signed = self.adapters.layout.key.exists()
            self.adapters.listen(events.Published(name=name, version=version, build=build, signed=signed))
        else:
            self.adapters.listen(events.Cached(name=name, version=version, build=build))

    def _is_validated(self, made: Made, members: Sequence[Made]) -> bool:
        """Whether this very validation has been passed before."""
        spec = self.source((made.name, made.version))[0].spec
        root = self.adapters.roots.for_test(self.runtime(members))
        known = self.adapters.state.validation(validation_key(self.adapters, made, spec, members, root))
        return known is not None and known[0]

    def queue_reviews(self, wanted: Sequence[tuple[str, str, str]]) -> None:
        """Put packages that must be looked at into the review queue, and take out those that have been.

        What the screening of a source has put there stays until a source of that package has passed.

        Args:
            wanted: ``(name, requirement, wanted_by)``.
        """
        world = self.adapters
        seen = {name for name, _, _ in wanted} | {name for name, _ in self._sources}
        replace_waits(world.state, world.workspace, lambda: world.index, wanted, looked_at=seen, now=world.now())

    def refusals(self, wanted: Iterable[tuple[str, str, str]]) -> dict[str, str]:
        """What somebody has said against packages that are wanted all the same, by name."""
        workspace = self.adapters.workspace
        told = {name: workspace.refusal(name) for name, _, _ in wanted if not self.chooser.is_accepted(name)}
        return {name: refusal for name, refusal in told.items() if refusal}


def _versions(plan: Plan) -> dict[str, str]:
    """What is in a plan's environment: versions by name."""
    return {ingredient.name: ingredient.version for ingredient in plan.environment}


class _BuiltMeanwhile(BuildError):
    """What a backend wanted besides was known to another run, which has built the very same meanwhile."""

    def __init__(self, made: Made) -> None:
        super().__init__(f"another run has built {made.name} {made.version} meanwhile")
        self.made = made

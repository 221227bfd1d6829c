"""A whole tree from requirements to index: planned first, then built side by side.

``assess`` says of every package of a planned tree whether its payload is known; ``run`` builds the others, as many at a
time as the machine bears (``execution``), and writes down what the workspace gains.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pybuilder import events
from pybuilder.errors import FetchError, PybuildError, ReviewError, blame
from pybuilder.estimates import estimates, wall_seconds
from pybuilder.machine import Machine
from pybuilder.packages import Packages
from pybuilder.planner import MAX_REPLANS, plan
from pybuilder.request import Planned, Request, Resolver
from pybuilder.resolution import exact_versions
from pybuilder.results import Failure, Result
from pybuilder.settled import settled
from pybuilder.stages.publish import Outcome
from pybuilder.statements import Statements
from pybuilder.tree import Node, Package, Status, Tree, needing
from pybuilder.workspace.drafts import Drafts

Waiting = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Assessed:
    """A planned tree beside what is there already.

    Attributes:
        planned: The tree.
        statuses: How far each package is.
        seconds: What each package would take to build.
        wall: What building all that has to be built will take at least.
        review: ``(name, requirement, wanted_by)`` of packages that nobody has accepted or somebody must look at.
        refusals: What somebody has said against those of ``review`` that were looked at before, by name.
    """

    planned: Planned
    statuses: Mapping[Package, Status]
    seconds: Mapping[Package, float]
    wall: float
    review: tuple[Waiting, ...]
    refusals: Mapping[str, str]

    @property
    def tree(self) -> Tree:
        """The tree."""
        return self.planned.tree


@dataclass(kw_only=True, slots=True)
class Bootstrap:
    """One run over a tree.

    Attributes:
        packages: What is known of packages, and what can be done with one.
        statements: What they say of themselves.
        workspace: The specs, those that would be written included.
        machine: What builds may use.
        resolver: Chooses the versions of what is installed.
        outcomes: What has been published to find out what packages require.
        began: When it began, planning included.
    """

    packages: Packages
    statements: Statements
    workspace: Drafts
    machine: Machine
    resolver: Resolver
    outcomes: Mapping[Package, Outcome]
    began: float = field(default_factory=time.monotonic)

    def plan(self, request: Request) -> Planned:
        """The tree of a request; builds nothing, unless that is the only way to know what a package requires.

        Raises:
            FetchError: No versions go together.
        """
        return plan(self.statements, request, resolver=self.resolver)

    def prepare(self, request: Request) -> Assessed:
        """The tree of a request beside what is there, which may know better what a package requires.

        Raises:
            FetchError: No versions go together.
        """
        for _ in range(MAX_REPLANS):
            assessed = self.assess(self.plan(request))
            if all(map(self._holds, assessed.tree)):
                break
        return assessed

    def _holds(self, node: Node) -> bool:
        """Whether what is known to be built of a package requires what the plan was told."""
        if node.package not in self.packages.made:
            return True
        try:
            return self.statements.hold(node)
        except FetchError as error:
            # Others are planned without it from now on.
            del self.packages.made[node.package]
            self.statements.give_up(node.package, error)
            return False

    def assess(self, planned: Planned) -> Assessed:
        """Compare a tree with what has been built."""
        tree = planned.tree
        waiting = needing(tree, [*self._unaccepted(tree), *self._held(tree)])
        hopeless = waiting | needing(tree, planned.broken)
        statuses: dict[Package, Status] = {}
        broken: dict[Package, PybuildError] = {}
        for package in (package for group in tree.groups for package in group):
            try:
                statuses[package] = "waits" if package in waiting else self._status(tree, package, hopeless)
            except PybuildError as error:
                # Such as a root that can't be had.
                statuses[package], broken[package] = "depends", error
        seconds = estimates(tree, self.packages.adapters.state)
        todo = {package: seconds[package] for package, status in statuses.items() if status in ("new", "depends")}
        review = self._reviews(tree)
        return Assessed(
            planned=replace(planned, broken={**broken, **planned.broken}),
            statuses=statuses,
            seconds=seconds,
            wall=wall_seconds(tree, todo, self.machine.jobs),
            review=review,
            refusals=self.packages.refusals(review),
        )

    def run(self, assessed: Assessed, *, replan: Callable[[], Planned], locked: bool = False) -> Result:
        """Build and publish what is not there yet.

        Args:
            assessed: The tree, and what of it is there.
            replan: Makes the tree anew with what has been found out meanwhile.
            locked: Whether what is installed must stay as it is planned.
        """
        cached = list(assessed.statuses.values()).count("cached")
        seconds = dict(assessed.seconds)
        self._begin(assessed.planned, cached=cached, wall=assessed.wall)
        self.packages.queue_reviews(assessed.review)
        for package, status in assessed.statuses.items():
            if status == "waits":
                self.packages.adapters.listen(events.Waiting(name=package[0], version=str(package[1]), on="review"))

        def again() -> Planned:
            planned = replan()
            seconds.update(estimates(planned.tree, self.packages.adapters.state))
            todo = {
                node.package: seconds[node.package] for node in planned.tree if node.package not in self.packages.made
            }
            self._begin(planned, cached=cached, wall=wall_seconds(planned.tree, todo, self.machine.jobs))
            return planned

        tree, outcomes, failures = self._execute(assessed, again, seconds, locked=locked)
        review = self._reviews(tree)
        if review != assessed.review:
            self.packages.queue_reviews(review)
        both = (self.outcomes, outcomes)
        built = {package: outcome for each in both for package, outcome in each.items() if outcome.minted}
        unmet: dict[PybuildError, list[Requirement]] = {}
        for top, error in assessed.planned.unmet.items():
            unmet.setdefault(error, []).append(top)
        tops = {top.package for top in tree.tops}
        return Result(
            built=tuple(built.values()),
            cached=tuple(o for package, o in outcomes.items() if package in tops - built.keys()),
            failed=(
                *(_unmet(error, requirements) for error, requirements in unmet.items()),
                *failures,
            ),
            review=review,
            refusals=self.packages.refusals(review),
            seconds=time.monotonic() - self.began,
        )

    def _execute(
        self, assessed: Assessed, replan: Callable[[], Planned], seconds: Mapping[Package, float], *, locked: bool
    ) -> tuple[Tree, Mapping[Package, Outcome], Sequence[Failure]]:
        """Build and publish; the tree that it was in the end, what has become of its packages, and what went wrong."""
        tree, outcomes = assessed.tree, dict[Package, Outcome]()
        packages = (package for group in tree.groups for package in group)
        if set(assessed.statuses.values()) <= {"cached"} and all(
            settled(tree, package, self.packages, outcomes) for package in packages
        ):
            return tree, outcomes, ()
        # Imported here, since a run that finds everything published has nothing to execute.
        from pybuilder.execution import Execution

        execution = Execution(
            packages=self.packages,
            statements=self.statements,
            machine=self.machine,
            replan=replan,
            accepts=self.workspace.accepts,
            seconds=seconds,
            locked=locked,
            outcomes=outcomes,
        )
        execution.run(assessed.planned)
        return execution.tree, execution.outcomes, execution.failures

    def _begin(self, planned: Planned, *, cached: int, wall: float) -> None:
        """Write down what the workspace gains by a tree that is to be built, and tell how large it is."""
        # A pin is a promise, and none may be given of a source that was refused.
        refused = {package for package, error in planned.broken.items() if isinstance(error, FetchError)}
        self.workspace.settle(node.package for node in planned.tree if node.package not in refused)
        self.packages.adapters.listen(events.Planned(total=len(planned.tree.nodes), cached=cached, seconds=wall))

    def _unaccepted(self, tree: Tree) -> set[Package]:
        return {node.package for node in tree if not self.workspace.accepts(node.name)}

    def _held(self, tree: Tree) -> dict[Package, ReviewError]:
        """The packages whose source somebody must look at first."""
        broken = self.statements.broken.items()
        return {package: e for package, e in broken if isinstance(e, ReviewError) and package in tree.nodes}

    def _reviews(self, tree: Tree) -> tuple[Waiting, ...]:
        held = [each for error in self._held(tree).values() for each in error.wanted]
        return tuple(sorted({*reviews(tree, self._unaccepted(tree)), *held}))

    def _status(self, tree: Tree, package: Package, hopeless: Collection[Package]) -> Status:
        """How far a package is; notes its payload where that is known."""
        packages, node = self.packages, tree.nodes[package]
        if packages.numbered(package):
            return "cached" if package in packages.made else "depends"
        depends = package in hopeless or not packages.made.keys() >= set(node.environment)
        with blame(package):
            known = None if depends else packages.known(packages.planning(node)())
        if known is None:
            # What an earlier plan made of it was made in another environment.
            packages.made.pop(package, None)
            return "depends" if depends else "new"
        packages.made[package] = known
        return "cached"


def _unmet(error: PybuildError, requirements: Sequence[Requirement]) -> Failure:
    """The failure of what was asked for and could not be resolved."""
    first, *more = requirements
    version = next(map(str, exact_versions(first.specifier)), "")
    return Failure(name=canonicalize_name(first.name), version=version, error=error, held_back=(*map(str, more),))


def reviews(tree: Tree, unaccepted: Collection[Package]) -> Iterable[Waiting]:
    """Everything that wants a package which nobody has accepted, as the review queue has it."""
    wanted = [(top, "the command line") for top in tree.tops]
    for node in tree:
        wanted += [(need, f"{node.name} {node.version}") for need in node.installs]
        wanted += [(need, f"the build of {node.name} {node.version}") for need in node.builds]
    found = {(need.package[0], need.requirement, by): None for need, by in wanted if need.package in unaccepted}
    return sorted(found)

"""Packages that are made and published in memory, as a run over a tree asks for it: no disk, no process, no sandbox."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder.errors import PybuildError
from pybuilder.events import Event
from pybuilder.names import split_number
from pybuilder.plan import Ingredient, Plan
from pybuilder.sandbox import Share
from pybuilder.spec import parse_spec
from pybuilder.stages import Made
from pybuilder.stages.publish import Outcome
from pybuilder.tree import Node, Package, package_id
from tests.support.planning import TARGET
from tests.support.plans import plan_with

Replan = Callable[[tuple[Requirement, ...]], Plan]


class Build(Protocol):
    """What building one package comes to, in the thread that builds it."""

    def __call__(self, plan: Plan, replan: Replan) -> Plan | None:
        """The plan that was built in the end, where that is another one.

        Raises:
            BaseException: It fails.
        """
        ...


@dataclass
class FakePackages:
    """The ``Packages`` of a test.

    Attributes:
        requires: What payloads turn out to require; of others it is what ``told`` says.
        told: What every package was said to require.
        builds: What building a package comes to; the others just succeed.
        known_keys: Keys of plans whose payload was built, now or before.
        refused: Packages that are not valid, and why.
        public: What was published before.
        limits: The ``[build] limits`` of a package, as TOML.
        log: What was done, in order, such as ``build alpha==1``.
        plan_faults: Packages of which no plan can be made, and why.
        tested: What was tested before it could be published, in order.
        told_of: What was told of published packages, in order.
        unpacked: Payloads that were unpacked for builds, in order.
        shares: What builds were given of the machine, by name and version.
        reviews: What was put into the review queue, each time.
    """

    told: Mapping[Package, Sequence[str]] = field(default_factory=dict)
    requires: dict[Package, Sequence[str]] = field(default_factory=dict)
    builds: dict[Package, Build] = field(default_factory=dict)
    known_keys: set[str] = field(default_factory=set)
    refused: dict[Package, PybuildError] = field(default_factory=dict)
    public: dict[Package, Outcome] = field(default_factory=dict)
    limits: dict[Package, str] = field(default_factory=dict)
    plan_faults: dict[Package, PybuildError] = field(default_factory=dict)
    made: dict[Package, Made] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    tested: list[str] = field(default_factory=list)
    told_of: list[Outcome] = field(default_factory=list)
    unpacked: list[str] = field(default_factory=list)
    shares: dict[str, Share] = field(default_factory=dict)
    reviews: list[tuple[tuple[str, str, str], ...]] = field(default_factory=list)
    rejected: str = ""
    running: set[Package] = field(default_factory=set)
    most_running: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def adapters(self) -> Any:
        state = SimpleNamespace(attempts=self.attempts)
        return SimpleNamespace(listen=self.events.append, target=TARGET, state=state)

    def attempts(self, name: str) -> list[Any]:
        """Nothing was ever built."""
        return []

    def numbered(self, package: Package) -> tuple[Version, int] | None:
        return split_number(package[1], "pb")

    def planning(self, node: Node) -> Callable[[], Plan]:
        return partial(self.plan, node.package, [], [self.made[package] for package in node.environment])

    def queue_reviews(self, wanted: Sequence[tuple[str, str, str]]) -> None:
        self.reviews.append(tuple(wanted))

    def refusals(self, wanted: Iterable[tuple[str, str, str]]) -> dict[str, str]:
        return {name: "rejected: no" for name, _, _ in wanted if name == self.rejected}

    def source(self, package: Package) -> tuple[Any, Any]:
        return _source(self.limits.get(package, "")), None

    def plan(self, package: Package, requires: Sequence[Requirement], environment: Sequence[Made]) -> Plan:
        if package in self.plan_faults:
            raise self.plan_faults[package]
        return plan(package, [made.ingredient for made in environment])

    def known(self, plan: Plan) -> Made | None:
        return self.payload(plan) if plan.key() in self.known_keys else None

    def make_ready(self, plan: Plan) -> None:
        self.log.append(f"ready {plan.recipe.name}=={plan.recipe.version}")

    def unpack(self, made: Made) -> None:
        self.unpacked.append(package_id((made.name, made.version)))

    def build(self, package: Package, plan: Plan, *, force: bool, share: Share, replan: Replan) -> Made:
        with self._lock:
            self.running.add(package)
            self.most_running = max(self.most_running, len(self.running))
        self.log.append(f"build {package_id(package)}")
        self.shares[package_id(package)] = share
        try:
            act = self.builds.get(package)
            plan = (act and act(plan, replan)) or plan
            self.known_keys.add(plan.key())
            return self.payload(plan)
        finally:
            with self._lock:
                self.running.discard(package)

    def publish(self, group: Sequence[tuple[Made, Sequence[Made]]]) -> tuple[Outcome, ...]:
        """Asserts that whatever is installed with a package has been published, or is now."""
        names = [package_id((made.name, made.version)) for made, _ in group]
        self.log.append(f"publish {' '.join(names)}")
        together = [made for made, _ in group]
        with self._lock:
            for made, members in group:
                if fault := self.refused.get((made.name, made.version)):
                    raise fault
                assert made in members
                for member in members:
                    public = self.public.get((member.name, member.version))
                    assert member in together or (public and public.made == member), f"{made.name} before {member.name}"
            return tuple(map(self._number, together))

    def _number(self, made: Made) -> Outcome:
        before = self.public.get((made.name, made.version))
        if before and before.made == made:
            return Outcome(made=made, number=before.number, minted=False)
        numbered = Outcome(made=made, number=before.number + 1 if before else 1, minted=True)
        self.public[made.name, made.version] = numbered
        return numbered

    def validate(self, made: Made, members: Sequence[Made]) -> None:
        """Everything that is installed with it has been made."""
        assert made in members
        self.tested.append(package_id((made.name, made.version)))
        if fault := self.refused.get((made.name, made.version)):
            raise fault

    def published_before(self, made: Made, members: Sequence[Made]) -> Outcome | None:
        known = self.public.get((made.name, made.version))
        return Outcome(made=made, number=known.number, minted=False) if known and known.made == made else None

    def tell(self, outcome: Outcome) -> None:
        self.told_of.append(outcome)

    def payload(self, plan: Plan) -> Made:
        """What a plan makes: other bytes in another environment."""
        package = canonicalize_name(plan.recipe.name), Version(plan.recipe.version)
        requires = self.requires.get(package, self.told[package])
        return Made(
            name=package[0],
            version=package[1],
            sha256=f"payload of {plan.key()}",
            path=Path("/nowhere"),
            key=plan.key(),
            recipe=plan.recipe.digest(),
            attempt="a",
            target=TARGET.name,
            requires_dist=tuple(map(Requirement, requires)),
        )


@dataclass
class FakeStatements:
    """Whether payloads require what was planned, and who was given up."""

    packages: FakePackages
    given_up: dict[Package, PybuildError] = field(default_factory=dict)
    broken: dict[Package, PybuildError] = field(default_factory=dict)

    def hold(self, node: Node) -> bool:
        real = {str(requirement) for requirement in self.packages.made[node.package].requires_dist}
        return real == {need.requirement for need in node.installs}

    def give_up(self, package: Package, error: PybuildError) -> None:
        self.given_up[package] = error


@cache
def _source(limits: str) -> Any:
    spec = parse_spec(f'name = "x"\n[build]\nlimits = {{ {limits} }}\n', "specs/x.toml")
    return SimpleNamespace(spec=spec.effective(version=Version("1"), buildroot="host", python="3.12"))


def plan(package: Package, environment: Collection[Ingredient]) -> Plan:
    """A plan of which only the package and its environment matter."""
    return plan_with(
        recipe={"name": package[0], "version": str(package[1])},
        target=TARGET,
        environment=tuple(sorted(environment)),
    )

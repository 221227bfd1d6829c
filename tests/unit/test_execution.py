"""Runs over planned trees, in memory: what is done when, what a failure stops, and what a new plan changes."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import pytest
from packaging.requirements import Requirement

from pybuilder import execution, interruption, tasks
from pybuilder.errors import BuildError, ConfigError, FetchError, PybuildError, ValidationError
from pybuilder.events import Failed, Remaining
from pybuilder.execution import Execution
from pybuilder.machine import Machine
from pybuilder.plan import Plan
from pybuilder.request import Planned
from pybuilder.schedule import Schedule
from pybuilder.stages import Made
from pybuilder.stages.publish import Outcome
from pybuilder.tree import Node, Package, Tree, package_id
from tests.support.making import Build, FakePackages, FakeStatements, Replan
from tests.support.planned import planned
from tests.support.planning import package

MACHINE = Machine(cpus=4, memory=64 << 30, jobs=4)
DEADLINE = 5.0


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """Whatever hangs fails; and no thread is left."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError("it hangs")

    threads = set(threading.enumerate())
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE, 1)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    # Other tests' threads may end meanwhile.
    assert set(threading.enumerate()) <= threads


def tree(rows: str, tops: str = "top") -> Tree:
    """A tree from lines ``NAME VERSION: INSTALLS: BUILDS``."""
    return planned(tops, rows)


def told(*trees: Tree) -> dict[Package, list[str]]:
    return {node.package: [need.requirement for need in node.installs] for each in trees for node in each}


class Run:
    """An execution over trees that a test gives it, one after the other."""

    def __init__(self, first: Tree, *later: Planned | Tree | PybuildError, locked: bool = False, **facts: Any) -> None:
        trees = [
            first,
            *(each if isinstance(each, Tree) else each.tree for each in later if isinstance(each, Tree | Planned)),
        ]
        self.packages = FakePackages(told=told(*trees), **facts)
        self.statements = FakeStatements(self.packages)
        self.later = list(later)
        self.first = first
        self.refuses: set[str] = set()
        self.locked = locked
        self.machine = MACHINE
        self.execution = self._execution()

    def _execution(self) -> Execution:
        packages: Any = self.packages
        statements: Any = self.statements
        return Execution(
            packages=packages,
            statements=statements,
            machine=self.machine,
            replan=self.replan,
            accepts=lambda name: name not in self.refuses,
            seconds={},
            locked=self.locked,
        )

    def replan(self) -> Planned:
        assert self.later, "one plan more than the test expects"
        found = self.later.pop(0)
        if isinstance(found, PybuildError):
            raise found
        return of(found) if isinstance(found, Tree) else found

    def before_ready(self, act: Callable[[str], object]) -> None:
        """Do something before a package is prepared, such as waiting."""
        ready = self.packages.make_ready

        def make_ready(plan: Plan) -> None:
            act(f"{plan.recipe.name}=={plan.recipe.version}")
            ready(plan)

        self.packages.make_ready = make_ready  # type: ignore[method-assign]

    def run(self, broken: Mapping[Package, PybuildError] | None = None, *, seconds: float | None = None) -> Run:
        """Run it, with what each build is said to take."""
        self.execution = self._execution()
        if seconds is not None:
            self.execution.seconds = dict.fromkeys(self.first.nodes, seconds)
        self.execution.run(of(self.first, broken))
        assert self.later == [], "a plan was not asked for"
        return self

    @property
    def log(self) -> list[str]:
        return self.packages.log

    def did(self, word: str) -> list[str]:
        return [line.partition(" ")[2] for line in self.log if line.startswith(f"{word} ")]

    @property
    def published(self) -> set[str]:
        return {package_id(each) for each in self.execution.outcomes}

    @property
    def failures(self) -> dict[str, tuple[str, ...]]:
        return {f"{failure.name}=={failure.version}": failure.held_back for failure in self.execution.failures}


def of(tree: Tree, broken: Mapping[Package, PybuildError] | None = None) -> Planned:
    return Planned(tree=tree, broken=broken or {}, unmet={})


def fails(error: BaseException) -> Build:
    def build(plan: Plan, replan: Replan) -> None:
        raise error

    return build


def wants(*requirements: str) -> Build:
    def build(plan: Plan, replan: Replan) -> Plan:
        return replan(tuple(map(Requirement, requirements)))

    return build


TOP = """
    base 1
    tool 1: base
    top 1: base: tool
"""


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def publish_only_when(run: Run, happened: Callable[[], bool]) -> None:
    publish = run.packages.publish

    def late(group: Sequence[tuple[Made, Sequence[Made]]]) -> tuple[Outcome, ...]:
        wait_for(happened)
        return publish(group)

    run.packages.publish = late  # type: ignore[method-assign]


class TestOrder:
    def test_each_after_what_it_needs(self) -> None:
        run = Run(tree(TOP)).run()
        steps = [f"{do} {name}==1" for do in ("ready", "build", "publish") for name in ("base", "tool", "top")]
        assert sorted(run.log) == sorted(steps)
        assert run.log.index("build tool==1") < run.log.index("ready top==1")
        assert run.did("publish") == ["base==1", "tool==1", "top==1"]
        assert run.published == {"base==1", "tool==1", "top==1"}
        assert [outcome.number for outcome in run.packages.told_of] == [1, 1, 1]

    def test_those_that_are_installed_with_each_other_are_published_together(self) -> None:
        run = Run(tree("left 1: right\nright 1: left\ntop 1: left", "top")).run()
        assert run.did("publish") == ["left==1 right==1", "top==1"]

    def test_what_is_built_for_the_top_only_is_no_obstacle_for_others(self) -> None:
        """A build waits for its environment, not for what it will be installed with."""
        begun = threading.Event()

        def slow(plan: Plan, replan: Replan) -> None:
            assert begun.wait(DEADLINE)

        def quick(plan: Plan, replan: Replan) -> None:
            begun.set()

        run = Run(tree("base 1\ntop 1: base"), builds={package("base==1"): slow, package("top==1"): quick}).run()
        assert run.published == {"base==1", "top==1"}

    def test_it_is_tested_before_what_it_is_installed_with_is_published(self) -> None:
        run = Run(tree("base 1\ntop 1: base"))
        publish_only_when(run, lambda: run.packages.tested == ["top==1"])
        run.run()
        # What waits for nobody is tested by who publishes it.
        assert run.packages.tested == ["top==1"]
        assert run.did("publish") == ["base==1", "top==1"]

    def test_no_more_jobs_than_the_machine_has(self) -> None:
        rows = "\n".join(f"p{n} 1" for n in range(12))
        run = Run(tree(rows, "p0"))
        run.machine = Machine(cpus=8, memory=64 << 30, jobs=2)
        run.packages.builds = {package(f"p{n}==1"): lambda plan, replan: interruption.sleep(0.002) for n in range(12)}
        run.run()
        assert len(run.did("build")) == 12
        assert run.packages.most_running == 2

    @pytest.mark.parametrize("stated", [False, True])
    def test_what_is_more_urgent_than_all_that_run_is_built_beside_them(self, stated: bool) -> None:
        """Unless somebody said how many may."""
        begun, urgent = threading.Event(), threading.Event()

        def other(plan: Plan, replan: Replan) -> None:
            begun.set()
            assert urgent.wait(0.05 if stated else DEADLINE) is not stated

        run = Run(tree("other 1\ntool 1\ntop 1: other: tool"))
        run.machine = Machine(cpus=8, memory=64 << 30, jobs=1, jobs_stated=stated)
        run.packages.builds = {package("other==1"): other, package("tool==1"): lambda plan, replan: urgent.set()}
        run.before_ready(lambda name: name != "tool==1" or begun.wait(DEADLINE))
        run.run(seconds=1.0)
        assert run.published == {"other==1", "tool==1", "top==1"}
        assert run.packages.most_running == (1 if stated else 2)

    def test_what_is_outranked_gives_way_as_long_as_it_is(self) -> None:
        seen: list[bool] = []

        def build(plan: Plan, replan: Replan) -> Plan:
            share = run.packages.shares["lib==1"]
            seen.append(share.gives_way())
            plan = replan((Requirement("tool"),))
            seen.append(share.gives_way())
            return plan

        def tool(plan: Plan, replan: Replan) -> None:
            assert not run.packages.shares["tool==1"].gives_way()

        first, later = (tree(f"lib 1{wants}\ntool 1\nleaf 1: : tool\ntop 1: lib; leaf") for wants in ("", ": : tool"))
        run = Run(first, later)
        run.packages.builds = {package("lib==1"): build, package("tool==1"): tool}
        run.run(seconds=1.0)
        assert seen == [True, False]

    def test_what_builds_require_is_unpacked_before_anybody_waits_for_it(self) -> None:
        run = Run(tree("lib 1\ntool 1\ntop 1: lib: tool"))
        run.run()
        assert run.packages.unpacked == ["tool==1"]

    def test_a_payload_that_builds_can_not_have_is_a_failure_of_its_own(self) -> None:
        run = Run(tree("lib 1\ntool 1\ntop 1: lib: tool"))

        def unpack(made: Made) -> None:
            raise BuildError("it can't be installed")

        run.packages.unpack = unpack  # type: ignore[method-assign]
        run.run()
        assert run.failures == {"tool==1": ("top==1",)}
        assert run.published == {"lib==1"}

    @pytest.mark.parametrize("late", ["tool==1", "zlast==1"])
    def test_what_others_wait_for_goes_before_what_is_ready_a_moment_earlier(self, late: str) -> None:
        run = Run(tree("other 1\ntool 1\nzlast 1\ntop 1: other; zlast: tool"))
        run.machine = Machine(cpus=8, memory=64 << 30, jobs=1)
        run.before_ready(lambda name: name == late and interruption.sleep(0.01))
        run.run(seconds=1.0)
        assert run.did("build")[0] == "tool==1"

    def test_it_is_not_waited_for_long(self) -> None:
        built = threading.Event()
        run = Run(tree("other 1\ntool 1\ntop 1: other: tool"))
        run.packages.builds = {package("other==1"): lambda plan, replan: built.set()}
        run.before_ready(lambda name: name != "tool==1" or built.wait(DEADLINE))
        run.run(seconds=1.0)
        assert run.did("build") == ["other==1", "tool==1", "top==1"]

    @pytest.mark.parametrize("limits", ["cpus = 0", "cpus = 0, exclusive = true", 'cpus = 0, memory = "1G"'])
    def test_as_many_processors_as_are_free_can_be_asked_for(self, limits: str) -> None:
        assert Run(tree("top 1"), limits={package("top==1"): limits}).run().published == {"top==1"}

    @pytest.mark.parametrize(("cpus", "given"), [(8, 4), (3, 3)])
    def test_a_build_may_use_a_few_processors_although_others_have_all_but_one(self, cpus: int, given: int) -> None:
        wide, late = threading.Event(), threading.Event()

        def build_wide(plan: Plan, replan: Replan) -> None:
            wide.set()
            assert late.wait(DEADLINE)

        run = Run(tree("wide 1\nlate 1\ntop 1: wide; late"), limits={package("wide==1"): f"cpus = {cpus - 1}"})
        run.machine = Machine(cpus=cpus, memory=64 << 30, jobs=4)
        run.packages.builds = {package("wide==1"): build_wide, package("late==1"): lambda plan, replan: late.set()}
        run.before_ready(lambda name: name == "wide==1" or wide.wait(DEADLINE))
        run.run()
        assert run.packages.shares["late==1"].cpus == given

    def test_one_that_wants_to_be_alone_is(self) -> None:
        rows = "\n".join(f"p{n} 1" for n in range(6))
        seen: list[int] = []
        run = Run(tree(rows, "p0"), limits={package("p3==1"): "exclusive = true"})

        def look(plan: Plan, replan: Replan) -> None:
            seen.append(len(run.packages.running))

        run.packages.builds = {package("p3==1"): look}
        run.run()
        assert seen == [1]


class TestKnown:
    def test_a_payload_that_was_built_before_is_not_built_again(self) -> None:
        first = Run(tree(TOP)).run()
        again = Run(tree(TOP), known_keys={made.key for made in first.packages.made.values()}).run()
        assert again.did("build") == again.did("ready") == []
        assert again.published == {"base==1", "tool==1", "top==1"}

    def test_another_environment_is_another_payload(self) -> None:
        first = Run(tree(TOP)).run()
        keys = {made.key for made in first.packages.made.values()}
        other = Run(tree(TOP.replace("tool 1: base", "tool 2: base")), known_keys=keys).run()
        assert other.did("build") == ["tool==2", "top==1"]

    def test_what_is_published_as_it_should_be_is_left_alone(self) -> None:
        first = Run(tree(TOP)).run()
        again = Run(tree(TOP), public=first.packages.public, made=first.packages.made).run()
        assert again.log == []
        assert {o.minted for o in again.execution.outcomes.values()} == {False}
        assert [(o.made.name, o.number) for o in again.packages.told_of] == [("top", 1)]

    def test_what_is_made_and_not_published_is_published(self) -> None:
        first = Run(tree(TOP)).run()
        made = first.packages.made
        again = Run(tree(TOP), made=made)
        again.packages.public = {p: first.packages.public[p] for p in map(package, ("base==1", "tool==1"))}
        again.run()
        assert again.log == ["publish top==1"]

    def test_a_published_package_whose_state_cannot_be_told_is_published_again(self) -> None:
        first = Run(tree(TOP)).run()
        again = Run(tree(TOP), public=first.packages.public, made=first.packages.made)

        def unknown(made: object, members: object) -> Outcome | None:
            raise FetchError("the root of its install test can't be had")

        again.packages.published_before = unknown  # type: ignore[method-assign]
        again.run()
        assert again.did("publish") == ["base==1", "tool==1", "top==1"]


class TestFailures:
    def test_one_holds_back_what_needs_it_and_nothing_else(self) -> None:
        rows = """
            bad 1
            lib 1: bad
            user 1: : lib
            other 1
            top 1: user; other
        """
        error = BuildError("no compiler")
        run = Run(tree(rows), builds={package("bad==1"): fails(error)}).run()
        assert run.failures == {"bad==1": ("lib==1", "top==1", "user==1")}
        assert run.published == {"other==1"}
        # Its payload needs nothing of what failed; publishing it does.
        assert "lib==1" in run.did("build") and "user==1" not in run.did("build")
        assert error.package == ("bad", "1")
        assert [event for event in run.packages.events if isinstance(event, Failed)] == [
            Failed(name="bad", version="1", phase="build", error="no compiler", log="")
        ]

    def test_each_of_several_is_told(self) -> None:
        builds = {package(f"{name}==1"): fails(BuildError(f"{name} is bad")) for name in ("a", "b")}
        run = Run(tree("a 1\nb 1\nc 1: a\ntop 1: a; b; c"), builds=builds).run()
        assert set(run.failures) == {"a==1", "b==1"}
        assert run.failures["a==1"] == ("c==1", "top==1") or run.failures["b==1"] == ("top==1",)
        assert {held for each in run.failures.values() for held in each} == {"c==1", "top==1"}

    @pytest.mark.parametrize("where", ["plan_faults", "refused"])
    def test_what_cannot_be_planned_or_published_fails_alone(self, where: str) -> None:
        error = ValidationError("no such RPM")
        run = Run(tree("bad 1\nother 1\ntop 1: bad; other"), **{where: {package("bad==1"): error}}).run()
        assert run.failures == {"bad==1": ("top==1",)}
        assert run.published == {"other==1"}

    def test_what_is_built_with_something_that_is_refused_is_not_published(self) -> None:
        """It may have been built already; what has not is not built any more."""
        refused = {package("tool==1"): ValidationError("it has no module")}
        rows = "tool 1\nuser 1: : tool\nlater 1: : user\nother 1\ntop 1: later; other"

        begun = threading.Event()

        def until_it_is_told(plan: Plan, replan: Replan) -> None:
            begun.set()
            wait_for(lambda: any(isinstance(event, Failed) for event in run.packages.events))

        run = Run(tree(rows), refused=refused, builds={package("user==1"): until_it_is_told})
        publish_only_when(run, begun.is_set)
        run.run()
        assert run.failures == {"tool==1": ("later==1", "top==1", "user==1")}
        assert run.published == {"other==1"}
        assert "user==1" in run.did("build") and "later==1" not in run.did("build")

    def test_what_was_being_prepared_when_something_it_is_built_with_was_refused_is_not_built(self) -> None:
        refused = {package("tool==1"): ValidationError("it has no module")}
        run = Run(tree("tool 1\nuser 1: : tool\nother 1\ntop 1: user; other"), refused=refused)

        def until_it_is_told(name: str) -> None:
            if name == "user==1":
                wait_for(lambda: any(isinstance(event, Failed) for event in run.packages.events))

        run.before_ready(until_it_is_told)
        run.run()
        assert run.failures == {"tool==1": ("top==1", "user==1")}
        assert run.published == {"other==1"}
        assert "user==1" not in run.did("build")

    def test_that_a_test_fails_ahead_says_nothing(self) -> None:
        """With what is refused nothing works."""
        refused = {package(f"{name}==1"): ValidationError(f"{name} has no module") for name in ("base", "top")}
        run = Run(tree("base 1\ntop 1: base"), refused=refused)
        publish_only_when(run, lambda: run.packages.tested == ["top==1"])
        run.run()
        assert run.failures == {"base==1": ("top==1",)}
        assert run.did("publish") == ["base==1"]

    def test_what_needs_something_that_failed_is_not_tested_either(self) -> None:
        """Its payload may be there, and all that it is installed with."""
        failed = threading.Event()
        run = Run(tree("base 1\nslow 1\nuser 1: base; slow\ntop 1: user"))
        run.packages.refused = {package("base==1"): ValidationError("it has no module")}

        def slow(plan: Plan, replan: Replan) -> None:
            wait_for(lambda: any(isinstance(event, Failed) for event in run.packages.events))
            failed.set()

        run.packages.builds = {package("slow==1"): slow}
        run.run()
        assert failed.is_set()
        assert run.failures == {"base==1": ("top==1", "user==1")}
        assert run.published == {"slow==1"}
        assert run.packages.tested == []

    def test_one_that_fails_ahead_for_a_reason_of_its_own_is_told(self) -> None:
        run = Run(tree("base 1\ntop 1: base"), refused={package("top==1"): ValidationError("it has no module")}).run()
        assert run.failures == {"top==1": ()}
        assert run.published == {"base==1"}

    def test_a_group_fails_together(self) -> None:
        error = ValidationError("it has no module")
        run = Run(tree("left 1: right\nright 1: left\ntop 1"), refused={package("right==1"): error}).run()
        assert run.failures == {"left==1": ("right==1",)} or run.failures == {"right==1": ("left==1",)}
        assert run.published == {"top==1"}

    def test_what_is_broken_before_anything_runs(self) -> None:
        error = FetchError("it is gone")
        error.package = ("bad", "1")
        run = Run(tree("bad 1\nlib 1: bad\nother 1\ntop 1: lib; other"))
        run.run(broken={package("bad==1"): error})
        assert run.failures == {"bad==1": ("lib==1", "top==1")}
        assert run.log == ["ready other==1", "build other==1", "publish other==1"]

    def test_what_waits_for_review_holds_back_silently(self) -> None:
        run = Run(tree("new 1\nlib 1: : new\nother 1\ntop 1: lib; other"))
        run.refuses = {"new"}
        run.run()
        assert run.failures == {}
        assert run.published == {"other==1"}
        assert run.did("build") == ["other==1"]

    @pytest.mark.parametrize("fault", [RuntimeError("a bug"), SystemExit(3)])
    def test_a_fault_of_our_own_comes_out_and_ends_all(self, fault: BaseException) -> None:
        builds = {package("bad==1"): fails(fault), package("long==1"): lambda plan, replan: interruption.sleep(60)}
        run = Run(tree("bad 1\nlong 1\ntop 1: bad; long"), builds=builds)
        with pytest.raises(type(fault)) as caught:
            run.run()
        assert caught.value is fault
        assert run.published == set()


class TestWants:
    BEFORE = "extra 1\ntool 1\ntop 1: : tool"
    AFTER = "extra 1\ntool 1\ntop 1: : tool; extra"

    def test_a_build_waits_for_what_its_backend_wants(self) -> None:
        run = Run(tree("tool 1\ntop 1: : tool"), tree(self.AFTER), builds={package("top==1"): wants("extra")}).run()
        assert run.published == {"extra==1", "tool==1", "top==1"}
        assert run.log.index("build top==1") < run.log.index("publish extra==1") < run.log.index("publish top==1")
        environment = [run.packages.made[package(name)] for name in ("extra==1", "tool==1")]
        plan = run.packages.plan(package("top==1"), [], environment)
        assert run.packages.made[package("top==1")].key == plan.key()

    def test_it_gives_its_room_away_meanwhile(self) -> None:
        run = Run(tree("tool 1\ntop 1: : tool"), tree(self.AFTER), builds={package("top==1"): wants("extra")})
        run.machine = Machine(cpus=1, memory=1 << 30, jobs=1)
        run.run()
        assert run.published == {"extra==1", "tool==1", "top==1"}

    def test_what_is_wanted_is_there_already(self) -> None:
        run = Run(tree(self.BEFORE), tree(self.AFTER), builds={package("top==1"): wants("extra")}).run()
        assert run.published == {"extra==1", "tool==1", "top==1"}
        assert run.did("build").count("top==1") == 1

    def test_many_want_at_once(self) -> None:
        rows = [f"{name}{n} 1" for name in "px" for n in range(8)]
        run = Run(tree("\n".join(rows), "p0"))
        # Whoever asks has what it wants from then on; those who asked before keep it.
        asked: set[str] = set()

        def planned_now() -> Planned:
            lines = [f"p{n} 1: : x{n}" if f"p{n}" in asked else f"p{n} 1" for n in range(8)]
            return of(tree("\n".join([*lines, *rows[8:]]), "p0"))

        def build(name: str, extra: str) -> Build:
            def act(plan: Plan, replan: Replan) -> Plan:
                asked.add(name)
                return replan((Requirement(extra),))

            return act

        run.packages.builds = {package(f"p{n}==1"): build(f"p{n}", f"x{n}") for n in range(8)}
        run.replan = planned_now  # type: ignore[method-assign]
        run.run()
        assert run.published == {f"{name}{n}==1" for name in "px" for n in range(8)}
        assert sorted(run.did("build")) == sorted(f"{name}{n}==1" for name in "px" for n in range(8))

    def test_what_is_wanted_fails(self) -> None:
        ended: list[BaseException] = []

        def build(plan: Plan, replan: Replan) -> Plan:
            try:
                return replan((Requirement("extra"),))
            except PybuildError as error:
                ended.append(error)
                raise

        builds: dict[Package, Build] = {package("top==1"): build, package("extra==1"): fails(BuildError("no"))}
        run = Run(tree("tool 1\ntop 1: : tool"), tree(self.AFTER), builds=builds).run()
        assert run.failures == {"extra==1": ("top==1",)}
        assert [str(error) for error in ended] == ["what its backend wants could not be built"]

    def test_what_is_wanted_cannot_be_had(self) -> None:
        gone = FetchError("no version satisfies: extra")
        later = of(tree("tool 1\ntop 1: : tool"), {package("top==1"): gone})
        run = Run(tree("tool 1\ntop 1: : tool"), later, builds={package("top==1"): wants("extra")}).run()
        assert run.failures == {"top==1": ()}
        assert [failure.error for failure in run.execution.failures] == [gone]
        assert run.published == {"tool==1"}

    def test_no_plan_has_it(self) -> None:
        refusal = FetchError("nothing goes together")
        run = Run(
            tree("tool 1\ntop 1: : tool\nlast 1", "top; last"), refusal, builds={package("top==1"): wants("x")}
        ).run()
        assert run.failures == {"top==1": ()}
        assert run.published == {"tool==1", "last==1"}

    def test_a_cycle_is_found_by_it(self) -> None:
        circle = ConfigError("a cycle of build requirements: top 1 needs extra 1 needs top 1")
        circle.package = ("top", "1")
        later = of(
            tree("extra 1: : top\ntool 1\ntop 1: : tool; extra"),
            dict.fromkeys(map(package, ("top==1", "extra==1")), circle),
        )
        run = Run(tree("tool 1\ntop 1: : tool"), later, builds={package("top==1"): wants("extra")}).run()
        assert [failure.error for failure in run.execution.failures] == [circle]
        assert run.published == {"tool==1"}

    def test_what_is_wanted_waits_for_review(self) -> None:
        run = Run(tree("tool 1\ntop 1: : tool"), tree(self.AFTER), builds={package("top==1"): wants("extra")})
        run.refuses = {"extra"}
        run.run()
        assert run.published == {"tool==1"}
        assert run.failures == {}
        assert run.execution.tree == tree(self.AFTER)


class TestOtherRequirements:
    """A payload requires other things than was said."""

    def test_it_is_planned_again_and_what_is_done_stays_done(self) -> None:
        run = Run(tree("lib 1\ntop 1: lib"), tree("lib 1: more\nmore 1\ntop 1: lib"))
        run.packages.requires = {package("lib==1"): ["more"]}
        run.run()
        assert run.published == {"lib==1", "more==1", "top==1"}
        assert sorted(run.did("build")) == ["lib==1", "more==1", "top==1"]
        assert run.log.index("publish more==1") < run.log.index("publish lib==1") < run.log.index("publish top==1")

    def test_others_are_not_needed_any_more(self) -> None:
        run = Run(tree("gate 1\nlib 1: less\nless 1: : gate\ntop 1: lib"), tree("lib 1\ntop 1: lib"))

        def gate(plan: Plan, replan: Replan) -> None:
            while run.later:
                interruption.sleep(0.001)

        run.packages.builds = {package("gate==1"): gate}
        run.run()
        assert run.failures == {}
        assert run.published == {"lib==1", "top==1"}
        assert run.did("publish") == ["lib==1", "top==1"]

    def test_however_many_wait_for_what_they_want_that_is_built(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(execution, "_THREADS", 2)
        names = [f"p{number}" for number in range(5)]
        tops, asking = "; ".join(names), threading.Barrier(len(names))

        def rows(wants: str) -> str:
            return "\n".join(["late 1", *(f"{name} 1{wants}" for name in names)])

        def wanting(plan: Plan, again: Replan) -> Plan:
            asking.wait(DEADLINE)
            return again((Requirement("late"),))

        first = tree("\n".join(f"{name} 1" for name in names), tops)
        run = Run(first, *(tree(rows(": : late"), tops) for _ in names))
        run.packages.builds = {package(f"{name}==1"): wanting for name in names}
        run.machine = Machine(cpus=8, memory=64 << 30, jobs=8)
        run.run()
        assert run.published == {"late==1", *(f"{name}==1" for name in names)}

    def test_what_is_published_while_it_is_planned_again_is_told_once_as_that(self) -> None:
        first = tree("done 1\nother 1", "done; other")
        run = Run(first, tree("done 1\nother 1: : tool\ntool 1", "done; other"))
        begun, planning, publish, replan = threading.Event(), threading.Event(), run.packages.publish, run.replan

        def only_then(group: Sequence[tuple[Made, Sequence[Made]]]) -> tuple[Outcome, ...]:
            begun.set()
            assert planning.wait(DEADLINE)
            return publish(group)

        def meanwhile() -> Planned:
            planning.set()
            wait_for(lambda: package("done==1") in run.packages.public)
            return replan()

        def wants(plan: Plan, again: Replan) -> Plan:
            assert begun.wait(DEADLINE)
            return again((Requirement("tool"),))

        run.packages.publish, run.replan = only_then, meanwhile  # type: ignore[method-assign]
        run.packages.builds = {package("other==1"): wants}
        run.run()
        assert [outcome.minted for outcome in run.packages.told_of if outcome.made.name == "done"] == [True]

    def test_what_was_tested_and_comes_back_with_a_later_plan_is_published(self) -> None:
        with_it = "base 1\nlib 1: base\nuser 1: : {}\ntop 1: lib; user\nextra 1\nmore 1"
        without = "base 1\nuser 1: : extra\ntop 1: base; user\nextra 1\nmore 1"
        later = (tree(without), tree(with_it.format("extra; more")))
        run = Run(tree(with_it.format("").replace(": : \n", "\n")), *later)

        def user(plan: Plan, replan: Replan) -> Plan:
            wait_for(lambda: bool(run.execution._tested))
            replan((Requirement("extra"),))
            return replan((Requirement("more"),))

        run.packages.builds = {package("user==1"): user}
        publish_only_when(run, lambda: not run.later)
        run.run()
        assert run.packages.tested[0] == "lib==1"
        assert run.failures == {}
        assert run.published >= {"base==1", "lib==1", "user==1", "top==1"}

    def test_what_runs_and_is_not_needed_any_more_may_fail(self) -> None:
        """A failure of something that nobody wants is none."""
        gone = threading.Event()

        def build(plan: Plan, replan: Replan) -> None:
            assert gone.wait(DEADLINE)
            raise BuildError("it fails")

        run = Run(tree("lib 1\nless 1\ntop 1: lib; less"), tree("lib 1: more\nmore 1\ntop 1: lib"))
        run.packages.requires = {package("lib==1"): ["more"], package("top==1"): ["lib"]}
        run.packages.builds = {
            package("less==1"): build,
            package("more==1"): lambda plan, replan: gone.set(),
            # The top's own payload differs as well; it is looked at after the second plan.
            package("top==1"): lambda plan, replan: gone.wait(DEADLINE) and None,
        }
        run.run()
        assert run.failures == {}
        assert run.published == {"lib==1", "more==1", "top==1"}

    def test_what_runs_and_is_not_needed_any_more_may_want_something(self) -> None:
        gone = threading.Event()
        ended: list[str] = []

        def build(plan: Plan, replan: Replan) -> Plan:
            assert gone.wait(DEADLINE)
            try:
                return replan((Requirement("extra"),))
            except PybuildError as error:
                ended.append(error.what)
                raise

        run = Run(tree("lib 1\nless 1\ntop 1: lib; less"), tree("lib 1: more\nmore 1\ntop 1: lib"))
        run.packages.requires = {package("lib==1"): ["more"], package("top==1"): ["lib"]}
        run.packages.builds = {
            package("less==1"): build,
            package("more==1"): lambda plan, replan: gone.set(),
            package("top==1"): lambda plan, replan: gone.wait(DEADLINE) and None,
        }
        run.run()
        assert ended == ["less==1 is not needed any more"]
        assert run.failures == {}

    def test_a_build_that_waits_and_is_not_needed_any_more_is_ended(self) -> None:
        """With it goes what it waits for."""
        suspended, ended = threading.Event(), threading.Event()

        def waits(plan: Plan, replan: Replan) -> Plan:
            try:
                return replan((Requirement("extra"),))
            except PybuildError:
                ended.set()
                raise

        def lib(plan: Plan, replan: Replan) -> None:
            assert suspended.wait(DEADLINE)

        def last(plan: Plan, replan: Replan) -> None:
            assert ended.wait(DEADLINE)

        first = tree("lib 1\nless 1\ntop 1: lib; less")
        second = tree("lib 1\nextra 1: : slow\nslow 1\nless 1: : extra\ntop 1: lib; less")
        third = tree("lib 1: more\nmore 1\ntop 1: lib")
        run = Run(first, second, third)
        run.packages.requires = {package("lib==1"): ["more"], package("top==1"): ["lib"]}
        run.packages.builds = {
            package("less==1"): waits,
            package("lib==1"): lib,
            package("slow==1"): lambda plan, replan: suspended.set() or interruption.sleep(0.01),  # type: ignore[func-returns-value]
            package("more==1"): last,
            package("top==1"): last,
        }
        run.run()
        assert run.failures == {}
        assert run.published >= {"lib==1", "more==1", "top==1"}
        assert "extra==1" not in run.published

    def test_what_it_requires_means_nothing(self) -> None:
        """It has failed, and the others go on without it."""
        run = Run(tree("lib 1\nother 1\ntop 1: lib; other"))
        hold = run.statements.hold

        def held(node: Node) -> bool:
            if node.name == "lib":
                raise FetchError("a requirement of lib 1 can't be met")
            return hold(node)

        run.statements.hold = held  # type: ignore[method-assign]
        run.run()
        assert run.failures == {"lib==1": ("top==1",)}
        assert run.published == {"other==1"}

    def test_no_plan_has_what_it_requires(self) -> None:
        """It has failed, and the others go on without it."""
        refusal = FetchError("no version satisfies: lib==1 wants more>9")
        run = Run(tree("lib 1\nother 1\ntop 1: lib; other"), refusal)
        run.packages.requires = {package("lib==1"): ["more>9"]}
        run.run()
        assert run.failures == {"lib==1": ("top==1",)}
        assert run.statements.given_up == {package("lib==1"): refusal}
        assert package("lib==1") not in run.packages.made
        assert run.published == {"other==1"}

    def test_a_plan_that_must_stay_as_it_is(self) -> None:
        run = Run(tree("lib 1\ntop 1: lib"), locked=True, requires={package("lib==1"): ["more"]}).run()
        assert run.failures == {"lib==1": ("top==1",)}
        assert "--locked" in run.execution.failures[0].error.cure

    def test_it_ends_where_no_plan_is_ever_right(self) -> None:
        run = Run(tree("top 1"), requires={package("top==1"): ["more"]})
        count = [0]

        def replan() -> Planned:
            count[0] += 1
            # Each plan wants another environment, so that it is built again each time.
            return of(tree(f"tool {count[0]}\ntop 1: : tool=={count[0]}"))

        run.packages.told = dict(run.packages.told) | {package(f"tool=={n}"): [] for n in range(1, 100)}
        run.replan = replan  # type: ignore[method-assign]
        run.run()
        assert "requires other things than the plan was told" in run.execution.failures[0].error.what
        assert count[0] < 40

    def test_what_is_built_in_an_environment_that_a_new_plan_changes_is_built_anew(self) -> None:
        gate = threading.Event()
        first = tree("tool 1\nlib 1\nmid 1: : tool\ntop 1: lib; mid")
        second = tree("tool 1\ntool 2\nlib 1: more\nmore 1\nmid 1: : tool==2\ntop 1: lib; mid")
        run = Run(first, second)

        def lib(plan: Plan, replan: Replan) -> None:
            assert gate.wait(DEADLINE)

        def mid(plan: Plan, replan: Replan) -> None:
            gate.set()
            while run.later:
                interruption.sleep(0.001)

        run.packages.builds = {package("lib==1"): lib, package("mid==1"): mid}
        run.run()
        assert run.failures == {}
        assert run.published >= {"lib==1", "more==1", "mid==1", "top==1", "tool==2"}
        assert run.did("build").count("mid==1") == 2
        plan = run.packages.plan(package("mid==1"), [], [run.packages.made[package("tool==2")]])
        assert run.packages.public[package("mid==1")].made.key == plan.key()
        assert run.packages.public[package("mid==1")].number == 1


class TestInterruption:
    def test_everything_that_runs_is_told_and_joined(self) -> None:
        begun = threading.Barrier(4)
        heard: list[str] = []

        def build(plan: Plan, replan: Replan) -> None:
            begun.wait(DEADLINE)
            try:
                interruption.sleep(60)
            except KeyboardInterrupt:
                heard.append(plan.recipe.name)
                raise

        def last(plan: Plan, replan: Replan) -> None:
            begun.wait(DEADLINE)
            raise KeyboardInterrupt

        builds: dict[Package, Build] = {package(f"p{n}==1"): build for n in range(3)}
        run = Run(tree("p0 1\np1 1\np2 1\np3 1\ntop 1: p0"), builds=builds | {package("p3==1"): last})
        with pytest.raises(KeyboardInterrupt):
            run.run()
        assert sorted(heard) == ["p0", "p1", "p2"]
        assert run.published == set()

    def test_a_build_that_waits_for_what_it_wants(self) -> None:
        ended = threading.Event()

        def build(plan: Plan, replan: Replan) -> Plan:
            try:
                return replan((Requirement("extra"),))
            finally:
                ended.set()

        def extra(plan: Plan, replan: Replan) -> None:
            raise KeyboardInterrupt

        builds: dict[Package, Build] = {package("top==1"): build, package("extra==1"): extra}
        run = Run(tree("tool 1\ntop 1: : tool"), tree(TestWants.AFTER), builds=builds)
        with pytest.raises(KeyboardInterrupt):
            run.run()
        assert ended.is_set()

    def test_one_that_comes_to_want_something_when_all_is_over(self) -> None:
        """Nobody answers it any more."""
        over = threading.Event()

        def late(plan: Plan, replan: Replan) -> Plan:
            assert over.wait(DEADLINE)
            return replan((Requirement("extra"),))

        def stop(plan: Plan, replan: Replan) -> None:
            over.set()
            raise KeyboardInterrupt

        run = Run(
            tree("late 1\nstop 1\ntop 1: late; stop"), builds={package("late==1"): late, package("stop==1"): stop}
        )
        run.later = [tree("late 1\nstop 1\ntop 1: late; stop")]
        with pytest.raises(KeyboardInterrupt):
            run.run()

    def test_where_the_run_itself_is(self) -> None:
        run = Run(tree("a 1\nb 1\ntop 1: a; b"), builds={package("b==1"): lambda plan, replan: interruption.sleep(60)})

        def interrupted(outcome: Outcome) -> None:
            raise KeyboardInterrupt

        run.packages.tell = interrupted  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            run.run()


def random_rows(
    chance: random.Random, count: int, *, drop: int = -1, more: Mapping[int, set[int]] | None = None
) -> str:
    rows = []
    for n in range(count):
        if n == drop:
            continue
        wanted = [[f"p{k}" for k in range(n) if k != drop and chance.random() < 2 / count] for _ in range(2)]
        wanted[1] += [f"p{k}" for k in (more or {}).get(n, ()) if k != drop and f"p{k}" not in wanted[1]]
        rows.append(f"p{n} 1: {'; '.join(wanted[0])}: {'; '.join(wanted[1])}")
    return "\n".join(rows)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_it_ends_and_the_accounts_are_right(seed: int) -> None:
    """Trees of any shape, builds that fail, want more or turn out otherwise, plans that change under them."""
    chance = random.Random(seed)
    count = 14
    shape = chance.randrange(1 << 30)
    more: dict[int, set[int]] = {}
    state = {"drop": -1}

    def now() -> Tree:
        return tree(
            random_rows(random.Random(shape + (state["drop"] >= 0)), count, drop=state["drop"], more=more),
            f"p{count - 1}",
        )

    def act(n: int, kind: str) -> Build:
        def build(plan: Plan, replan: Replan) -> Plan | None:
            interruption.sleep(chance.random() * 0.002)
            if kind == "fail":
                raise BuildError(f"p{n} fails")
            if kind == "want" and n > 1 and n not in more:
                more[n] = {chance.randrange(n)}
                return replan((Requirement("x"),))
            if kind == "drop" and n > 0:
                state["drop"] = 0
            return None

        return build

    first = now()
    run = Run(first)
    kinds = {n: chance.choice(["fine", "fine", "fine", "want", "want", "fail", "drop"]) for n in range(count)}
    run.packages.builds = {package(f"p{n}==1"): act(n, kinds[n]) for n in range(count)}
    run.packages.told = {package(f"p{n}==1"): [] for n in range(count)}
    # What payloads require is what the tree of the moment says, so that only wants change plans.
    run.statements.hold = lambda node: chance.random() < 0.9  # type: ignore[method-assign]
    run.replan = lambda: of(now())  # type: ignore[method-assign]
    run.run()
    final = run.execution.tree
    failed = {name for name, held in run.failures.items() for name in (name, *held)}
    for node in final:
        assert (package_id(node.package) in run.published) or (package_id(node.package) in failed), node.package
    for failure in run.execution.failures:
        assert "fails" in failure.error.what or "requires other things" in failure.error.what


def test_what_is_left_is_told_now_and_then_only() -> None:
    """It is summed up over all that is left, so that telling it at each step would take longer than all the rest."""
    rows = "\n".join(f"p{n} 1" for n in range(200))
    began = time.monotonic()
    run = Run(tree(rows, "p0")).run()
    assert len(run.published) == 200
    told = [event for event in run.packages.events if isinstance(event, Remaining)]
    assert 1 <= len(told) <= 2 + (time.monotonic() - began) / 0.5


def test_what_takes_long_to_sum_up_is_told_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(schedule: Schedule[object]) -> float:
        time.sleep(0.01)
        return 1.0

    monkeypatch.setattr(tasks, "_BETWEEN", 0.0)
    monkeypatch.setattr(Schedule, "remaining", slowly)
    rows = "\n".join(f"p{n} 1" for n in range(200))
    began = time.monotonic()
    run = Run(tree(rows, "p0")).run()
    told = [event for event in run.packages.events if isinstance(event, Remaining)]
    assert 1 <= len(told) <= 2 + (time.monotonic() - began) / 0.5

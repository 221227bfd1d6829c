"""What a planned tree comes to beside what is there, and what a run of it gains."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from packaging.requirements import Requirement

from pybuilder import bootstrap as module
from pybuilder.bootstrap import Bootstrap, reviews
from pybuilder.errors import FetchError, PybuildError
from pybuilder.events import Planned as PlannedEvent
from pybuilder.execution import Execution
from pybuilder.machine import Machine
from pybuilder.plan import Plan
from pybuilder.request import Planned, Request
from pybuilder.tree import Package, Tree, package_id
from tests.support.making import FakePackages, FakeStatements, Replan
from tests.support.planned import planned
from tests.support.planning import package

ROWS = """
    base 1
    tool 1: base
    top 1: base: tool
"""


def never() -> Planned:
    raise AssertionError("nobody has a reason to plan anew")


@dataclass
class FakeWorkspace:
    refuses: set[str] = field(default_factory=set)
    settled: list[set[str]] = field(default_factory=list)

    def accepts(self, name: str) -> bool:
        return name not in self.refuses

    def settle(self, packages: Iterable[Package]) -> None:
        self.settled.append({name for name, _ in packages})


@dataclass
class Here:
    """A bootstrap, and the tree that it plans."""

    rows: str = ROWS
    tops: str = "top"
    broken: dict[Package, PybuildError] = field(default_factory=dict)
    unmet: dict[Requirement, PybuildError] = field(default_factory=dict)
    workspace: FakeWorkspace = field(default_factory=FakeWorkspace)
    packages: FakePackages = field(default_factory=FakePackages)

    @property
    def tree(self) -> Tree:
        return planned(self.tops, self.rows)

    @property
    def bootstrap(self) -> Bootstrap:
        parts: Any = {
            "packages": self.packages,
            "statements": FakeStatements(self.packages),
            "workspace": self.workspace,
            "resolver": None,
        }
        told = {node.package: [need.requirement for need in node.installs] for node in self.tree}
        self.packages.told = {**self.packages.told, **told}
        return Bootstrap(**parts, outcomes={}, machine=Machine(cpus=2, memory=8 << 30, jobs=2))

    def planned(self) -> Planned:
        return Planned(tree=self.tree, broken=self.broken, unmet=self.unmet)

    def statuses(self) -> dict[str, str]:
        assessed = self.bootstrap.assess(self.planned())
        return {package_id(each): status for each, status in assessed.statuses.items()}

    def build(self) -> None:
        whole = self.bootstrap
        whole.run(whole.assess(self.planned()), replan=never)


@pytest.fixture
def here() -> Here:
    return Here()


class TestAssess:
    def test_nothing_is_there(self, here: Here) -> None:
        assert here.statuses() == {"base==1": "new", "tool==1": "new", "top==1": "depends"}
        assert here.packages.log == []

    def test_all_is_there(self, here: Here) -> None:
        here.build()
        here.packages.made.clear()
        assert set(here.statuses().values()) == {"cached"}
        assert {package_id(each) for each in here.packages.made} == {"base==1", "tool==1", "top==1"}

    def test_some_of_it_is_there(self, here: Here) -> None:
        here.build()
        here.rows = ROWS.replace("tool 1", "tool 2")
        assert here.statuses() == {"base==1": "cached", "tool==2": "new", "top==1": "depends"}

    def test_what_an_earlier_plan_made_of_it_counts_only_in_the_same_environment(self, here: Here) -> None:
        here.build()
        here.rows = "base 1\nother 1\ntool 1: base\ntop 1: base: tool; other"
        assert here.statuses()["top==1"] == "depends"
        assert package("top==1") not in here.packages.made
        here.packages.known_keys.add(here.packages.plan(package("other==1"), [], []).key())
        assert here.statuses()["top==1"] == "new"

    def test_what_waits_for_review_and_all_that_needs_it(self, here: Here) -> None:
        here.build()
        here.workspace.refuses = {"tool"}
        assert here.statuses() == {"base==1": "cached", "tool==1": "waits", "top==1": "waits"}

    def test_what_is_broken_and_all_that_needs_it(self, here: Here) -> None:
        here.build()
        here.broken = {package("tool==1"): FetchError("gone")}
        assert here.statuses() == {"base==1": "cached", "tool==1": "depends", "top==1": "depends"}

    def test_what_cannot_be_looked_up_is_broken(self, here: Here) -> None:
        error = FetchError("there is no such RPM")
        here.packages.plan_faults = {package("base==1"): error}
        assessed = here.bootstrap.assess(here.planned())
        assert assessed.planned.broken == {package("base==1"): error}
        assert error.package == ("base", "1")
        assert set(assessed.statuses.values()) == {"depends", "new"}

    def test_the_wall_time_counts_only_what_is_to_be_built(self, here: Here) -> None:
        before = here.bootstrap.assess(here.planned()).wall
        here.build()
        assert here.bootstrap.assess(here.planned()).wall == 0 < before


class TestPrepare:
    """What is there may know better what a package requires."""

    def test_it_is_planned_again(self, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        here.build()
        here.packages.requires = {package("tool==1"): ["base", "more"]}
        later = ROWS.replace("tool 1: base", "tool 1: base; more") + "more 1\n"
        plans = [here.planned(), Planned(tree=planned("top", later), broken={}, unmet={})]
        here.packages.told = {**here.packages.told, package("more==1"): []}
        whole = here.bootstrap
        monkeypatch.setattr(module, "plan", lambda *arguments, **keywords: plans.pop(0))
        assessed = whole.prepare(Request(tops=()))
        assert plans == []
        assert assessed.statuses[package("more==1")] == "new"

    def test_that_ends_although_no_plan_is_ever_right(self, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        here.build()
        here.packages.requires = {package("tool==1"): ["more"]}
        plans = []
        monkeypatch.setattr(module, "plan", lambda *arguments, **keywords: plans.append(1) or here.planned())
        here.bootstrap.prepare(Request(tops=()))
        assert len(plans) == 8


class TestReviews:
    def test_who_wants_what_nobody_has_accepted(self) -> None:
        tree = planned("new>=1; top", "new 1\nlib 1: new\nuser 1: : new<9; lib\ntop 1: lib; user")
        assert list(reviews(tree, {package("new==1")})) == [
            ("new", "new", "lib 1"),
            ("new", "new<9", "the build of user 1"),
            ("new", "new>=1", "the command line"),
        ]
        assert list(reviews(tree, set())) == []


class TestRun:
    def test_what_was_built_and_what_was_there(self, here: Here) -> None:
        whole = here.bootstrap
        result = whole.run(whole.assess(here.planned()), replan=never)
        assert [outcome.made.name for outcome in result.built] == ["base", "tool", "top"]
        assert (result.cached, result.failed, result.review) == ((), (), ())
        assert here.workspace.settled == [{"base", "tool", "top"}]
        again = whole.run(whole.assess(here.planned()), replan=never)
        assert (again.built, again.failed) == ((), ())
        assert [(outcome.made.name, outcome.number) for outcome in again.cached] == [("top", 1)]

    def test_planning_counts_as_time(self, here: Here) -> None:
        whole = here.bootstrap
        whole.began -= 100
        assert whole.run(whole.assess(here.planned()), replan=never).seconds >= 100

    def test_nothing_is_executed_where_everything_is_published(
        self, here: Here, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here.build()
        monkeypatch.setattr(Execution, "run", lambda *_: pytest.fail("there is nothing to do"))
        whole = here.bootstrap
        result = whole.run(whole.assess(here.planned()), replan=never)
        assert [outcome.made.name for outcome in result.cached] == ["top"]
        assert [outcome.made.name for outcome in here.packages.told_of][3:] == ["top"]

    def test_what_waits_for_review_is_queued(self, here: Here) -> None:
        here.workspace.refuses = {"tool"}
        whole = here.bootstrap
        result = whole.run(whole.assess(here.planned()), replan=never)
        assert result.review == (("tool", "tool", "the build of top 1"),)
        assert result.refusals == {}
        assert here.packages.reviews == [result.review]
        assert [outcome.made.name for outcome in result.built] == ["base"]

    def test_what_somebody_has_rejected_is_told_with_the_reason(self, here: Here) -> None:
        here.workspace.refuses = {"tool"}
        here.packages.rejected = "tool"
        whole = here.bootstrap
        assert whole.run(whole.assess(here.planned()), replan=never).refusals == {"tool": "rejected: no"}

    def test_tops_that_could_not_be_resolved_are_failures(self, here: Here) -> None:
        error = FetchError("no version satisfies")
        here.unmet = {Requirement("x>9"): error, Requirement("y"): error}
        whole = here.bootstrap
        [failure] = whole.run(whole.assess(here.planned()), replan=never).failed
        assert (failure.name, failure.error, failure.held_back) == ("x", error, ("y",))

    def test_what_a_new_plan_adds_is_written_down_and_told(self, here: Here) -> None:
        later = "base 1\nmore 1\ntool 1: base\ntop 1: base: tool; more"
        whole = here.bootstrap
        here.packages.told = {**here.packages.told, package("more==1"): []}

        def wants(plan: Plan, replan: Replan) -> Plan:
            return replan((Requirement("more"),))

        here.packages.builds = {package("top==1"): wants}
        assessed = whole.assess(here.planned())
        result = whole.run(assessed, replan=lambda: Planned(tree=planned("top", later), broken={}, unmet={}))
        assert {outcome.made.name for outcome in result.built} == {"base", "more", "tool", "top"}
        assert here.workspace.settled == [{"base", "tool", "top"}, {"base", "more", "tool", "top"}]
        assert [event.total for event in here.packages.events if isinstance(event, PlannedEvent)] == [3, 4]

    def test_what_a_new_plan_wants_reviewed_is_queued(self, here: Here) -> None:
        later = "base 1\nmore 1\ntool 1: base\ntop 1: base: tool; more"
        here.workspace.refuses = {"more"}
        whole = here.bootstrap

        def wants(plan: Plan, replan: Replan) -> Plan:
            return replan((Requirement("more"),))

        here.packages.builds = {package("top==1"): wants}
        assessed = whole.assess(here.planned())
        result = whole.run(assessed, replan=lambda: Planned(tree=planned("top", later), broken={}, unmet={}))
        assert result.review == (("more", "more", "the build of top 1"),)
        assert here.packages.reviews == [(), result.review]
        assert result.failed == ()

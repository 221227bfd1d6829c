"""What a pass of cron may build, and what it tells of what it met."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar, cast

import pytest
from packaging.version import Version

from pybuilder.candidates import Candidate, Found, Judged
from pybuilder.cron.agenda import Agenda, Goal, candidates, draw_up
from pybuilder.cron.budget import Budget
from pybuilder.cron.build import Done, choose, remember
from pybuilder.cron.log import Log
from pybuilder.cron.problems import LATE, Told, Trouble, compare, together, written
from pybuilder.cron.site import Site
from pybuilder.cron.taking import Taken
from pybuilder.cron.upstream import look_up
from pybuilder.cron.waiting import forsaken
from pybuilder.errors import BuildError, FetchError, PostponedError
from pybuilder.layout import Layout
from pybuilder.names import normalize
from pybuilder.passes import Awaited, Problem
from pybuilder.review_queue import Waiting
from pybuilder.spec import parse_spec
from pybuilder.staleness import Delay, Delays, Stale, StaleReport, Why
from pybuilder.staleness.today import Today
from pybuilder.state import State
from pybuilder.update import Finding, Reupload
from tests.support.passing import PASS

NOW = datetime(2026, 11, 26, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
SIX = (normalize("six"), Version("1.0"))
TWO = Version("2.0")
EARLIER = NOW - timedelta(days=9)
SHA = "ab" * 32
FILE = "specs/six.toml"
GOAL = Goal(name=SIX[0], version=TWO, why="update", detail="", needed_by=0, mark="m")


def trouble(subject: str = "six==1.0", what: str = "it does not build", **facts: str) -> Trouble:
    return Trouble(kind="build", subject=subject, what=what, exit_code=10, **facts)


class Memory:
    """What one pass leaves to the next, through JSON as in the state."""

    def __init__(self) -> None:
        self.now, self.text = NOW, "null"

    def tell(self, *troubles: Trouble, stays: Iterable[str] = (), review: Iterable[Awaited] = ()) -> list[Problem]:
        told = Told.read(json.loads(self.text))
        found = compare(troubles, told, stays=lambda each: each.subject in stays, now=self.now)
        self.text = json.dumps(written(found, review))
        self.now += HOUR
        return [each.problem for each in found]


class TestProblems:
    def test_is_new_once(self) -> None:
        memory = Memory()
        [first], [second] = memory.tell(trouble()), memory.tell(trouble())
        assert (first.new, second.new) == (True, False)
        assert first.first_seen == second.first_seen == NOW

    def test_is_new_again_where_its_words_change(self) -> None:
        memory = Memory()
        memory.tell(trouble())
        [changed] = memory.tell(trouble(what="it times out"))
        assert changed.new and changed.first_seen == NOW
        [same] = memory.tell(trouble(what="it times out", where="another.log", cure="x"))
        assert not same.new and same.where == "another.log"

    def test_is_forgotten_where_it_is_gone_and_told_again_where_it_comes_back(self) -> None:
        memory = Memory()
        memory.tell(trouble())
        assert memory.tell() == []
        [again] = memory.tell(trouble())
        assert again.new and again.first_seen == NOW + 2 * HOUR

    def test_stays_where_nobody_has_looked(self) -> None:
        memory = Memory()
        memory.tell(trouble(), trouble("seven==1.0"))
        [left] = memory.tell(stays=["six==1.0"])
        assert left.subject == "six==1.0" and not left.new

    def test_an_error_as_one_line_whose_log_is_no_part_of_it(self) -> None:
        error = BuildError("the backend\n  failed", where="a.toml", cure="mend it")
        error.log = "/state/x.log"
        found = Trouble.of(error, kind="build", subject="six==1.0")
        assert found == trouble(what="the backend failed", phase="build", where="/state/x.log", cure="mend it")

    @pytest.mark.parametrize(("hosts", "told"), [(2, ["a", "b"]), (3, ["files.example"])])
    def test_many_that_one_server_answers_alike_are_one(self, hosts: int, told: list[str]) -> None:
        troubles = [trouble(name, "the server answers 503", where=f"https://files.example/{name}") for name in "abc"]
        assert [each.subject for each in together(troubles[:hosts])] == told

    def test_what_is_left_of_many_is_nothing_new(self) -> None:
        memory = Memory()
        troubles = [trouble(name, "the server answers 503", where=f"https://files.example/{name}") for name in "abcd"]
        [many] = memory.tell(*troubles)
        left = memory.tell(*troubles[:2])
        assert many.new and [(each.subject, each.new) for each in left] == [("a", False), ("b", False)]
        assert [each.new for each in memory.tell(*troubles[1:3])] == [False, True]
        assert [each.new for each in memory.tell(replace(troubles[1], what="it is gone"))] == [True]

    def test_what_is_with_no_server_or_said_otherwise_stays_apart(self) -> None:
        files = [trouble(name, where=f"specs/{name}.toml") for name in "abc"]
        others = [trouble(name, what=name, where=f"https://files.example/{name}") for name in "abc"]
        assert together([*files, *others]) == [*files, *others]

    def test_one_place_is_told_once(self) -> None:
        spec = trouble(where="specs/six.toml:3")
        assert together([spec, replace(spec, kind="prune", subject="")]) == [spec]

    def test_who_waits_is_remembered(self) -> None:
        memory = Memory()
        awaited = Awaited(name="six", requirement="six>=1", wanted_by="a 1", first_seen=NOW, new=True)
        memory.tell(review=[awaited])
        assert Told.read(json.loads(memory.text)).review == {("six", "six>=1")}


class TestBudget:
    def test_counts_attempts(self) -> None:
        budget = Budget(max_builds=2)
        budget.start(SIX)
        assert not budget.is_spent
        budget.start(SIX)
        with pytest.raises(PostponedError, match=r"six==1\.0"):
            budget.start(SIX)
        assert budget.started == 2

    def test_ends_by_time(self) -> None:
        seconds = 100.0
        budget = Budget(max_seconds=60, began=100.0, clock=lambda: seconds)
        budget.start(SIX)
        seconds = 160.0
        with pytest.raises(PostponedError):
            budget.start(SIX)

    def test_may_have_no_end(self) -> None:
        assert not Budget(began=0.0, clock=lambda: 1e9).is_spent


class TestWaiting:
    LOOKED_AT: ClassVar = {"six": {Version("1.0"), Version("2.0")}}

    def gone(self, *entries: tuple[str, str, str]) -> list[str]:
        queue = [Waiting(name=n, requirement=r, wanted_by=by, first_seen="") for n, r, by in entries]
        found = forsaken(queue, self.LOOKED_AT, accepted={"six", "down"})
        return [each.requirement for each in found]

    def test_what_a_version_needs_that_is_pinned_or_new_is_wanted(self) -> None:
        assert (
            self.gone(("a", "a>1", "six 2.0"), ("b", "b", "the build of six 1.0"), ("c", "c", "the command line")) == []
        )

    def test_what_only_a_version_needed_that_was_replaced_is_not(self) -> None:
        assert self.gone(("a", "a>1", "six 1.5"), ("b", "b", "the build of six 1.5")) == ["a>1", "b"]

    def test_nor_what_only_that_needs(self) -> None:
        assert self.gone(("a", "a>1", "six 1.5"), ("b", "b", "a 7"), ("c", "c", "b 3")) == ["a>1", "b", "c"]
        assert self.gone(("a", "a>1", "six 2.0"), ("b", "b", "a 7")) == []

    def test_an_update_that_was_superseded_is_not(self) -> None:
        assert self.gone(("six", "six==1.5", "update"), ("six", "six==2.0", "update")) == ["six==1.5"]

    def test_where_upstream_could_not_be_asked_nothing_is_let_go(self) -> None:
        assert self.gone(("a", "a", "down 3"), ("down", "down==3", "update")) == []


class TestAgenda:
    def stale(
        self, name: str, why: Why, *, version: str | None = "1.0", needed_by: int = 0, due: bool = False
    ) -> Stale:
        return Stale(
            name=normalize(name),
            version=None if version is None else Version(version),
            why=why,
            detail="",
            needed_by=needed_by,
            due=NOW + HOUR if due else None,
            failures=int(due),
            mark="m",
            inputs="",
        )

    def agenda(self, *found: Stale, new: Sequence[Goal] = ()) -> Agenda:
        now, later = (tuple(each for each in found if bool(each.due) is due) for due in (False, True))
        delays = Delays(today=cast(Today, None), failing={}, noted={})
        return draw_up(new, StaleReport(stale=now, delayed=later, problems=(), needed_by={}, delays=delays))

    def candidate(self, due: datetime = NOW) -> Goal:
        pin = f'"1.0" = {{ file = "six-1.0.tar.gz", sha256 = "{SHA}" }}'
        spec = parse_spec(f'name = "six"\n[versions]\n{pin}\n', FILE)
        found = Found(text="2.0", file="six-2.0.tar.gz", sha256=SHA)
        judged = Judged(
            candidates=(Candidate(found=found, version=TWO, fate="taken", why=""),),
            news=(TWO,),
        )
        finding = Finding(name=normalize("six"), spec=spec, judged=judged)
        waits = {(SIX[0], TWO): Delay(mark="m", failures=0, due=due)}
        [goal] = candidates([finding], needed_by={"six": 7}, delay=lambda name, version: waits[name, version], now=NOW)
        return goal

    def test_what_somebody_asked_for_comes_first_and_what_most_need(self) -> None:
        agenda = self.agenda(
            self.stale("moved", "lock", needed_by=99),
            self.stale("other", "recipe"),
            self.stale("fresh", "new", version=None),
            self.stale("asked", "request"),
            self.stale("needed", "recipe", needed_by=3),
            new=[self.candidate()],
        )
        assert [str(goal) for goal in agenda.goals] == [
            "asked==1.0",
            "needed==1.0",
            "other==1.0",
            "fresh",
            "six==2.0",
            "moved==1.0",
        ]

    def test_what_has_failed_waits(self) -> None:
        waits = self.candidate(due=NOW + HOUR / 2)
        assert (waits.due, waits.mark) == (NOW + HOUR / 2, "m")
        assert self.candidate(due=NOW).due is None
        agenda = self.agenda(self.stale("bad", "recipe", due=True), new=[waits])
        assert agenda.goals == () and [str(goal) for goal in agenda.delayed] == ["six==2.0", "bad==1.0"]

    def test_the_first_version_of_a_package_is_no_update(self) -> None:
        agenda = self.agenda(self.stale("six", "new", version=None), new=[self.candidate()])
        assert [str(goal) for goal in agenda.goals] == ["six"]

    def test_an_update_says_what_it_takes_the_place_of(self) -> None:
        goal = self.candidate()
        assert (goal.detail, str(goal.replaces), goal.needed_by) == ("1.0 -> 2.0", "1.0", 7)
        assert goal.is_met_by((normalize("six"), TWO)) and not goal.is_met_by((normalize("six"), Version("1.0")))


class TestLookUp:
    def look(self, finding: Finding) -> Log:
        log = Log()
        site = cast(Site, SimpleNamespace(finder=SimpleNamespace(find=lambda: (finding,))))
        assert look_up(site, log) == (finding,)
        return log

    @pytest.mark.parametrize(("update", "told"), [("", ["update"]), ("mode = 'off'\nreason = 'it is dead'", [])])
    def test_an_upstream_that_does_not_answer_where_somebody_waits_for_it(self, update: str, told: list[str]) -> None:
        spec = parse_spec(f'name = "six"\n[update]\n{update}\n', FILE)
        log = self.look(Finding(name=SIX[0], spec=spec, error=FetchError("it is down")))
        assert ([each.kind for each in log.troubles], log.unlooked) == (told, {"six"})

    def test_a_file_that_was_uploaded_again(self) -> None:
        again = Reupload(version=SIX[1], file="six-1.0.tar.gz", pinned=SHA, offered="cd" * 32)
        log = self.look(Finding(name=SIX[0], spec=parse_spec('name = "six"\n', FILE), reuploads=(again,)))
        assert [(each.kind, each.subject, each.exit_code) for each in log.troubles] == [("reupload", "six==1.0", 30)]


def test_what_waits_for_a_person_does_not_take_the_room_of_others(tmp_path: Path) -> None:
    """However many wait: those come last that did when they were tried last, however long ago that is."""

    def one_pass(*there: str) -> str:
        goals = {name: replace(GOAL, name=normalize(name)) for name in there}
        log = Log()
        chosen = choose(site, Agenda(goals=tuple(goals.values()), delayed=()), Budget(max_builds=2), log)
        by_patch = frozenset(goal for goal in chosen if goal.name in "ab")
        taken = Taken(goals=tuple(goal for goal in chosen if goal not in by_patch), failed={}, waits=by_patch)
        needing_somebody = {goal: None for goal in taken.goals if goal.name in "cd"}
        remember(site, Done(outcomes={}, unmet=needing_somebody), chosen, taken, log)
        return "".join(goal.name for goal in chosen)

    with closing(State.open(Layout(root=tmp_path))) as state:
        adapters = SimpleNamespace(state=state, channel=SimpleNamespace(name="host"), now=lambda: NOW)
        site = cast(Site, SimpleNamespace(adapters=adapters))
        passes = ["abcdefgh", "abcdefgh", "abcdefgh", "abcdgh", "abcd", "abcdi"]
        assert [one_pass(*there) for there in passes] == ["ab", "cd", "ef", "gh", "ab", "ia"]


def test_a_pass_that_broke_off_knows_nothing_of_what_it_did_not_look_at(tmp_path: Path) -> None:
    met = (("build", "six==1.0"), ("update", "seven"), (LATE, ""))
    memory = None

    def one_pass(log: Log, *found: tuple[str, str]) -> tuple[str, list[tuple[str, str, bool]]]:
        nonlocal memory
        for kind, subject in found:
            log.note(kind, subject, FetchError("it can't be had"))
        passed, memory = log.passed(PASS, state, Told.read(memory), now=NOW)
        return passed.outcome, [(each.kind, each.subject, each.new) for each in passed.problems]

    with closing(State.open(Layout(root=tmp_path))) as state:
        outcome, told = one_pass(Log(), *met)
        assert outcome == "problems" and {(kind, subject) for kind, subject, _ in told} == set(met)
        broken = [("build", "six==1.0", False), ("pass", "", True), ("update", "seven", False)]
        assert one_pass(Log(failed=True), ("pass", "")) == ("failed", broken)
        assert one_pass(Log(untried={"six==1.0"})) == ("ok", [("build", "six==1.0", False)])
        assert one_pass(Log(unlooked={"six"})) == ("ok", [("build", "six==1.0", False)])
        assert one_pass(Log()) == ("ok", [])

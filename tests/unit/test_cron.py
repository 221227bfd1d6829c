"""What a pass of cron may build, and what it tells of what it met."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from packaging.version import Version

from pybuilder.cron.budget import Budget
from pybuilder.cron.problems import Told, Trouble, compare, together, written
from pybuilder.errors import BuildError, PostponedError
from pybuilder.names import normalize
from pybuilder.passes import Awaited, Problem

NOW = datetime(2026, 11, 26, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
SIX = (normalize("six"), Version("1.0"))


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

    def test_what_is_with_no_server_or_said_otherwise_stays_apart(self) -> None:
        files = [trouble(name, where=f"specs/{name}.toml") for name in "abc"]
        others = [trouble(name, what=name, where=f"https://files.example/{name}") for name in "abc"]
        assert together([*files, *others]) == [*files, *others]

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

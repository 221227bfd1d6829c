"""Who is tainted by which of upstream's wheels, whatever order it is found out in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from pybuilder.layout import Layout
from pybuilder.plan import Ingredient, Plan
from pybuilder.stages.taint import Taint, environment_taints, payload_taints, recorded_taints, remember
from pybuilder.state import State
from tests.support.plans import plan_with

SIX = Taint(name="six", version="1.0", payload_sha256="s", reason="why")
TEN = Taint(name="ten", version="2.0", payload_sha256="t", reason="so")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with closing(State.open(Layout(root=tmp_path))) as opened:
        yield opened


def account(payload: str | None, *taints: Taint, prebuilt: str | None = None) -> dict[str, Any]:
    """What matters here of a record."""
    result = {"payload_sha256": payload} if payload else {"phase": "build", "error": "no"}
    tainted = [taint.as_json for taint in taints]
    return {"name": "six", "version": "1.0", "result": result, "prebuilt": prebuilt, "tainted": tainted}


def plan(*payloads: str) -> Plan:
    environment = tuple(Ingredient(name=payload, version="1", payload=payload) for payload in payloads)
    return plan_with(environment=environment)


class TestRecorded:
    def test_a_build_from_source_alone(self) -> None:
        assert recorded_taints(account("a")) == ()

    def test_a_record_from_before_there_were_such_wheels(self) -> None:
        assert recorded_taints({"name": "six", "version": "1.0", "result": {"payload_sha256": "s"}}) == ()

    def test_upstreams_wheel_taints_itself(self) -> None:
        assert recorded_taints(account("s", prebuilt="why")) == (SIX,)

    def test_what_was_in_the_environment_sorted(self) -> None:
        assert recorded_taints(account("a", TEN, SIX)) == (SIX, TEN)


class TestRemembered:
    def test_nothing_is_known_of_what_nobody_made(self, state: State) -> None:
        assert payload_taints(state, "s") == ()

    def test_a_failure_makes_nothing(self, state: State) -> None:
        remember(state, account(None, SIX))
        assert payload_taints(state, "") == ()

    def test_a_build_takes_over_what_its_environment_has(self, state: State) -> None:
        """However far back it lies: each payload knows all of its own."""
        remember(state, account("s", prebuilt="why"))
        remember(state, account("b", *environment_taints(state, plan("s"))))
        remember(state, account("t", TEN))
        remember(state, account("clean"))
        assert environment_taints(state, plan("b", "clean")) == (SIX,)
        assert environment_taints(state, plan("t", "b", "s")) == (SIX, TEN)
        assert environment_taints(state, plan("clean", "unknown")) == environment_taints(state, plan()) == ()

    def test_it_is_not_in_the_key(self, state: State) -> None:
        before = plan("s").key()
        remember(state, account("s", prebuilt="why"))
        assert plan("s").key() == before

    def test_two_ways_to_one_payload_taint_it_both(self, state: State) -> None:
        remember(state, account("a", SIX))
        remember(state, account("a", TEN))
        assert payload_taints(state, "a") == (SIX, TEN)

    @pytest.mark.parametrize("order", list(permutations([(SIX,), (TEN,), ()])))
    def test_a_payload_that_was_made_without_is_clean(self, state: State, order: tuple[tuple[Taint, ...], ...]) -> None:
        for taints in order:
            remember(state, account("a", *taints))
        assert payload_taints(state, "a") == ()


def test_a_sentence_is_one_line_that_no_terminal_obeys() -> None:
    odd = replace(SIX, reason="it needs\n  itself\x1b[31m")
    assert odd.sentence == "upstream's wheel of six 1.0 was used: it needs itself\N{REPLACEMENT CHARACTER}[31m"

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pybuilder import record
from pybuilder.build_diff import cause, compare
from pybuilder.errors import StateError, UsageError
from pybuilder.layout import Layout
from pybuilder.plan import Plan
from pybuilder.state import Attempt, State
from tests.support.plans import PLAN

ACCOUNT = {
    "format": record.FORMAT,
    "channel": "host",
    "engine": "host",
    "prebuilt": None,
    "tools": {},
    "source": {"file": "demo-1.0.tar.gz"},
    "patches": [],
}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(root=tmp_path)


def with_env(value: str) -> Plan:
    return replace(PLAN, recipe=replace(PLAN.recipe, env={"FLAG": value}))


def attempt(
    layout: Layout, number: int, plan: Plan = PLAN, *, state: str = "succeeded", channel: str = "host"
) -> Attempt:
    """The nth attempt, with its record unless it is running."""
    found = Attempt(
        id=f"A{number}",
        key=plan.key(),
        recipe=plan.recipe.digest(),
        name="demo",
        version=plan.recipe.version,
        channel=channel,
        target="t",
        engine="host",
        state=state,
        owner="1:1",
        started="",
    )
    if state != "running":
        directory = layout.record(found.key, found.id)
        directory.mkdir(parents=True)
        (directory / record.PLAN).write_text(json.dumps(plan.as_json()))
        (directory / record.RECORD).write_text(json.dumps(ACCOUNT))
    return found


def why(layout: Layout, *oldest_first: Attempt) -> tuple[str | None, str]:
    """The attempt before the last, and the sentence."""
    found = cause(oldest_first[-1], oldest_first[::-1], layout)
    return found.before.id if found.before else None, found.sentence


def test_the_first(layout: Layout) -> None:
    other = attempt(layout, 1, channel="fedora-45")
    assert why(layout, other, attempt(layout, 2)) == (None, "the first of this package here")


def test_what_changed_since_the_one_before(layout: Layout) -> None:
    first, second, third = (attempt(layout, n, with_env(str(n))) for n in (1, 2, 3))
    assert why(layout, first, second, third) == ("A2", "changed since A2: spec ([build.env] FLAG)")
    # What came later is of no account.
    found = cause(second, [third, second, first], layout)
    assert (found.before, [change.after for change in found.changes]) == (first, ["2"])
    assert found.as_json["changes"] == [
        {"part": "spec", "what": "[build.env] FLAG", "before": "1", "after": "2"},
    ]


def test_the_one_before_is_of_the_same_version_if_there_is_one(layout: Layout) -> None:
    newer = replace(PLAN, recipe=replace(PLAN.recipe, version="2.0"))
    same, other = attempt(layout, 1, with_env("1")), attempt(layout, 2, newer)
    assert why(layout, same, other, attempt(layout, 3))[0] == "A1"
    assert why(layout, same, other) == ("A1", "changed since A1: version (version); spec ([build.env] FLAG)")


@pytest.mark.parametrize(
    ("state", "how"),
    [
        ("failed", "which failed"),
        ("succeeded", "which succeeded: it was asked for all the same, or the payload was gone"),
        ("running", "which was running"),
    ],
)
def test_nothing_changed(layout: Layout, state: str, how: str) -> None:
    assert why(layout, attempt(layout, 1, state=state), attempt(layout, 2)) == (
        "A1",
        f"nothing changed since A1, {how}",
    )


def test_several_of_one_part_are_told_together(layout: Layout) -> None:
    after = replace(PLAN, recipe=replace(PLAN.recipe, env={"B": "1", "A": "1"}, add_requires=("x", "y")))
    assert why(layout, attempt(layout, 1), attempt(layout, 2, after))[1] == (
        "changed since A1: spec ([build] add-requires, [build.env] A, [build.env] B)"
    )


def test_inputs_of_another_format(layout: Layout) -> None:
    before = replace(attempt(layout, 1), key="old")
    (layout.records("old")).parent.mkdir(exist_ok=True)
    layout.records(PLAN.key()).rename(layout.records("old"))
    assert why(layout, before, attempt(layout, 2)) == ("A1", "changed since A1: the format of plans")


def test_what_is_not_known(layout: Layout) -> None:
    running = attempt(layout, 1, with_env("1"), state="running")
    assert why(layout, running, attempt(layout, 2))[1] == "not known: A1 is still running"
    lost = replace(running, id="A0", state="failed")
    assert why(layout, lost, attempt(layout, 3))[1].startswith("not known: the plan of an attempt can't be read")


def test_attempts_that_made_nothing_are_compared_by_their_inputs(layout: Layout) -> None:
    first, second = (attempt(layout, n, with_env(str(n)), state="failed") for n in (1, 2))
    found = compare(first, second, layout=layout, state=NOTHING)
    assert [change.what for change in found.changes] == ["[build.env] FLAG"]
    assert (found.wheels, found.without, found.same) == (None, "A1 and A2 made no wheel", False)
    assert compare(first, first, layout=layout, state=NOTHING).same


def test_an_attempt_without_a_record(layout: Layout) -> None:
    first = attempt(layout, 1)
    with pytest.raises(UsageError, match="A2 is still running"):
        compare(first, attempt(layout, 2, state="running"), layout=layout, state=NOTHING)
    with pytest.raises(StateError, match="can't be read"):
        compare(first, replace(first, id="A3"), layout=layout, state=NOTHING)


NOTHING: State = None  # type: ignore[assignment]
"""Of attempts without a payload the database is not asked."""

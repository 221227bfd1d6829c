"""How many came out the same, what the state remembers of it, and what names a place."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pybuilder.checks import Checked, Rate, Tally, Unlike, _world, as_json, known_rate, remember_rate
from pybuilder.errors import ReproducibilityError, StateError
from pybuilder.layout import Layout
from pybuilder.sandbox.variation import Varied
from pybuilder.state import State
from pybuilder.wheel.compare import Difference, Side
from pybuilder.wheel.reasons import TIME

NOW = datetime(2026, 11, 26, 1, 2, 3, tzinfo=UTC)
SIDE = Side(data=b"a\n", start=0, window=b"a\n")
UNLIKE = Unlike(
    difference=Difference(
        file="demo.py",
        part=(),
        offset=0,
        recorded=SIDE,
        again=dataclasses.replace(SIDE, data=b"b\n"),
        mode=False,
        files=("demo.py", "x.py"),
    ),
    reason=TIME,
    kept=Path("/state/checks/a"),
    report=None,
)


def checked(name: str, unlike: Unlike | None = None) -> Checked:
    attempt: Any = SimpleNamespace(name=name, version="1", id="attempt", key="key", payload="one")
    recorded: Any = SimpleNamespace(attempt=attempt)
    varied = (Varied(what="time", how="later"),)
    sha256 = "other" if unlike else "one"
    return Checked(recorded=recorded, sha256=sha256, attempt="b", varied=varied, seconds=1.0, unlike=unlike)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with closing(State.open(Layout(root=tmp_path / "state"))) as opened:
        yield opened


def rate() -> Rate:
    tally = Tally()
    for name in ("a", "b", "c"):
        tally.add(checked(name, UNLIKE if name == "c" else None))
    gone: Any = SimpleNamespace(name="d", version="1")
    tally.add_unknown(gone, StateError("it is gone\nfor ever"))
    return tally.rate(NOW)


def test_the_rate_counts_what_was_built_again() -> None:
    found = rate()
    assert (found.same, found.different) == (("a==1", "b==1"), {"c==1": "time"})
    assert found.unknown == {"d==1": "it is gone"}
    assert str(found) == "2 of 3 came out the same (66.7%); 1 could not be built again"
    assert str(Tally().rate(NOW)) == "0 of 0 came out the same"


def test_the_state_remembers_the_last_rate_of_a_channel(state: State) -> None:
    assert known_rate(state, "host") is None
    remember_rate(state, "host", Tally().rate(NOW))
    remember_rate(state, "host", rate())
    assert known_rate(state, "host") == rate()
    assert known_rate(state, "other") is None


def test_what_came_out_different_is_refused() -> None:
    checked("a").raise_if_unlike()
    with pytest.raises(ReproducibilityError) as caught:
        checked("a", UNLIKE).raise_if_unlike()
    lines = str(caught.value).splitlines()
    assert lines[0] == "a 1 came out different:"
    assert lines[1:5] == [
        "    demo.py, line 1, byte 0",
        "    recorded: a",
        "    again: b",
        "    and 1 more file differs",
    ]
    assert lines[-1] == f"  do: specs/a.toml: {TIME.cure}"


def test_programs_are_told_the_same() -> None:
    told = as_json(checked("a", UNLIKE))
    assert (told["same"], told["payload_sha256"], told["again_sha256"]) == (False, "one", "other")
    assert told["varied"] == [{"what": "time", "how": "later", "same": False}]
    assert told["difference"]["kind"] == "time"
    assert told["difference"]["files"] == ["demo.py", "x.py"]
    assert as_json(checked("a"))["difference"] is None


def test_a_world_is_told_by_its_clock_and_its_names() -> None:
    account = {
        "attempt": "20261126T010203.000000Z-abcdef",
        "started": "2026-11-26T01:02:03.500000Z",
        "seconds": 8.25,
        "seal": {"processors": 4, "outside": {"uid": 0}},
    }
    world = _world(Path("/state"), account, "machine", ahead=100)
    began = int(NOW.timestamp()) + 100
    assert (world.times, world.processors) == ((began, began + 9), 4)
    # Root's number would be found everywhere.
    assert world.words == ("/state", "20261126T010203.000000Z-abcdef", "machine")

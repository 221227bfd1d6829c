from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from pybuilder import reports
from pybuilder.errors import BuildError, StateError
from pybuilder.layout import Layout
from pybuilder.results import Failure, Result
from pybuilder.state import Attempt, PublishedWheel, State


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(root=tmp_path)


@pytest.fixture
def state(layout: Layout) -> Iterator[State]:
    with closing(State.open(layout)) as opened:
        yield opened


def attempt(state: State, number: int, *, ended: str = "succeeded", channel: str = "host") -> Attempt:
    """The nth attempt, n minutes after midnight."""
    row = Attempt(
        id=f"20260101T00{number:02}00.000000Z-00000{number}",
        key=f"key-{number}",
        recipe="r",
        name="six",
        version="1.17.0",
        channel=channel,
        target="cp311-linux_x86_64",
        engine="host",
        state="running",
        owner="1:1",
        started=f"2026-01-01T00:{number:02}:00.000000Z",
    )
    state.begin_attempt(row)
    if ended == "succeeded":
        state.end_attempt(row.id, seconds=1.5, sealed=True, payload=(f"payload-{number}", "six.whl"))
    elif ended == "failed":
        state.end_attempt(row.id, seconds=1.5, sealed=True, failure=("build", "no"))
    found = state.attempt(row.id)
    assert found
    return found


def publish(state: State, made: Attempt, number: int, *, minute: int, target: str = "cp311-linux_x86_64") -> None:
    wheel = PublishedWheel(
        label="pb",
        name="six",
        version="1.17.0",
        number=number,
        target=target,
        channel=made.channel,
        wheel=f"six-1.17.0+pb.{number}-py3-none-any.whl",
        wheel_sha256=f"wheel-{number}",
        payload=made.payload or "",
        key=made.key,
        recipe=made.recipe,
        attempt=made.id,
        published=f"2026-01-01T00:{minute:02}:00.000000Z",
    )
    state.begin_publish([wheel])
    state.finish_publish("pb", "six", "1.17.0", number)


def numbers(found: list[dict[str, Any]]) -> list[int | None]:
    return [build["number"] for build in found]


class TestBuilds:
    def test_newest_first_whatever_came_of_them(self, state: State, layout: Layout) -> None:
        publish(state, attempt(state, 1), 1, minute=2)
        attempt(state, 3, ended="failed")
        publish(state, attempt(state, 5), 2, minute=6)
        attempt(state, 7, ended="running")
        found = reports.builds("six", state, layout)
        assert [(build["number"], build["state"]) for build in found] == [
            (None, "running"),
            (2, "published"),
            (None, "failed"),
            (1, "published"),
        ]

    def test_an_old_payload_that_is_published_again_is_the_newest(self, state: State, layout: Layout) -> None:
        first, second = attempt(state, 1), attempt(state, 3)
        publish(state, first, 1, minute=2)
        publish(state, second, 2, minute=4)
        publish(state, first, 3, minute=5)
        assert numbers(reports.builds("six", state, layout)) == [3, 2, 1]

    def test_of_one_channel(self, state: State, layout: Layout) -> None:
        publish(state, attempt(state, 1), 1, minute=2)
        publish(state, attempt(state, 3, channel="fedora-45"), 2, minute=4)
        assert numbers(reports.builds("six", state, layout, channel="host")) == [1]
        assert numbers(reports.builds("six", state, layout)) == [2, 1]
        assert reports.builds("seven", state, layout) == []

    def test_the_targets_of_a_number_are_one_build(self, state: State, layout: Layout) -> None:
        first, second = attempt(state, 1), attempt(state, 2)
        publish(state, first, 1, minute=3)
        publish(state, second, 1, minute=3, target="cp312-linux_x86_64")
        [build] = reports.builds("six", state, layout)
        assert [wheel["target"] for wheel in build["wheels"]] == ["cp311-linux_x86_64", "cp312-linux_x86_64"]
        assert (build["started"], build["seconds"]) == (first.started, 3.0)

    def test_paths(self, state: State, layout: Layout) -> None:
        publish(state, attempt(state, 1), 1, minute=2)
        [build] = reports.builds("six", state, layout)
        [wheel] = build["wheels"]
        assert build["build"] == "host/six==1.17.0+pb.1"
        assert wheel["wheel"] == str(layout.index("host") / "files" / "six-1.17.0+pb.1-py3-none-any.whl")
        assert wheel["log"] == str(layout.record("key-1", wheel["attempt"]) / "build.log")

    def test_one_whose_attempt_nobody_remembers(self, state: State, layout: Layout) -> None:
        publish(state, replace(attempt(state, 1), id="lost"), 1, minute=2)
        build, _ = reports.builds("six", state, layout)
        assert build["started"] == "2026-01-01T00:02:00.000000Z"
        assert (build["wheels"][0]["engine"], build["wheels"][0]["sealed"]) == (None, False)


def test_a_running_attempts_log_is_with_its_work(state: State, layout: Layout) -> None:
    running, ended = attempt(state, 1, ended="running"), attempt(state, 2)
    assert reports.log_path(running, layout) == layout.work(running.id) / "record" / "build.log"
    assert reports.log_path(ended, layout) == layout.record(ended.key, ended.id) / "build.log"


def test_lines(state: State, layout: Layout) -> None:
    publish(state, attempt(state, 1), 1, minute=2)
    attempt(state, 3, ended="running")
    running, published = reports.build_lines(reports.builds("six", state, layout), state)
    assert running.split()[:3] == ["host/six==1.17.0", "running", "host,"]
    assert published.split()[:4] == ["host/six==1.17.0+pb.1", "published", "1.50", "s"]


class TestRun:
    def test_a_failure_and_what_waits(self, state: State, layout: Layout) -> None:
        error = BuildError("it broke", where="here", cure="mend it")
        error.package, error.attempt, error.log = ("six", "1.17.0"), "a", "/log"
        failure = Failure.of(error, [Requirement("seven"), Requirement("eight>1")])
        result = Result(
            built=(), cached=(), failed=(failure,), review=(("nine", "nine>2", "six 1.17.0"),), seconds=1.23456
        )
        assert failure.held_back == ("seven", "eight>1")
        assert reports.run_report(result, state, layout) == {
            "ok": False,
            "seconds": 1.235,
            "built": [],
            "cached": [],
            "failed": [
                {
                    "name": "six",
                    "version": "1.17.0",
                    "phase": "build",
                    "error": "it broke",
                    "where": "here",
                    "do": "mend it",
                    "attempt": "a",
                    "log": "/log",
                }
            ],
            "review": [{"name": "nine", "requirement": "nine>2", "wanted_by": "six 1.17.0"}],
        }

    def test_timings_stand_beside_the_seconds_where_there_are_any(self, state: State, layout: Layout) -> None:
        result = Result(built=(), cached=(), failed=(), review=(), seconds=1.0)
        without = reports.run_report(result, state, layout)
        assert reports.run_report(result, state, layout, timings={"build": 1.0}) == {
            **without,
            "timings": {"build": 1.0},
        }
        assert reports.run_report(result, state, layout, timings={})["timings"] == {}

    def test_a_failure_of_no_package_is_that_of_the_first_that_was_asked_for(self) -> None:
        failure = Failure.of(StateError("full"), [Requirement("My.Seven"), Requirement("eight")])
        assert (failure.name, failure.version) == ("my-seven", "")

    def test_a_run_that_can_not_begin(self) -> None:
        document = reports.refusal_report(StateError("full"), seconds=1.23456)
        assert document["ok"] is False and document["seconds"] == 1.235
        assert document["failed"][0]["error"] == "full" and document["failed"][0]["phase"] == "state"

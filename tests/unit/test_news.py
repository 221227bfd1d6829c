from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pybuilder import news
from pybuilder.layout import Layout
from pybuilder.passes import Awaited, Built, Updated
from pybuilder.state import State
from tests.support.passing import NOW, PASS, published

UPDATE = Updated(name="alpha", old="1.0", new="1.1", commit="c0ffee", needed_by=3)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with closing(State.open(Layout(root=tmp_path))) as made:
        yield made


def told(state: State, **changes: Any) -> list[str]:
    """What a pass with these facts has to tell: topics and what they are about."""
    found: list[str] = []

    def hand_on(messages: Any) -> None:
        for message in messages:
            topic = message["topic"].removeprefix("pybuild.")
            [subject] = message.keys() & {"build", "review", "update"}
            found.append(f"{topic} {message[subject].get('build') or message[subject]['name']}")

    news.collect(state, replace(PASS, **changes), lambda: NOW, hand_on)
    return found


def awaited(name: str, requirement: str = "") -> Awaited:
    seen = datetime(2026, 11, 1, tzinfo=UTC)
    return Awaited(name=name, requirement=requirement or name, wanted_by="the command line", first_seen=seen, new=True)


class TestBuilds:
    def test_each_published_build_is_told_once_whoever_published_it(self, state: State) -> None:
        news.begin(state, "host")
        published(state, "alpha", "1.0", 1)
        published(state, "beta", "2.0", 4)
        assert told(state) == ["build.complete host/alpha==1.0+pb.1", "build.complete host/beta==2.0+pb.4"]
        assert told(state) == []
        published(state, "beta", "2.0", 5)
        assert told(state) == ["build.complete host/beta==2.0+pb.5"]

    def test_what_was_there_before_the_first_pass_is_no_news(self, state: State) -> None:
        published(state, "alpha", "1.0", 1)
        news.begin(state, "host")
        published(state, "alpha", "1.1", 1)
        news.begin(state, "host")
        assert told(state) == ["build.complete host/alpha==1.1+pb.1"]

    def test_what_is_not_published_yet_or_elsewhere_is_not_told(self, state: State) -> None:
        news.begin(state, "host")
        published(state, "alpha", "1.0", 1, visible=False)
        published(state, "beta", "1.0", 1, channel="fedora-45")
        assert told(state) == []
        published(state, "alpha", "1.0", 1)
        assert told(state) == ["build.complete host/alpha==1.0+pb.1"]

    def test_the_pass_says_what_its_builds_were_for(self, state: State) -> None:
        news.begin(state, "host")
        published(state, "alpha", "1.0", 1)
        published(state, "beta", "1.0", 1)
        ours = Built(build="host/beta==1.0+pb.1", name="beta", version="1.0", why="update", seconds=1.23456)
        found: list[Any] = []
        news.collect(state, replace(PASS, built=(ours,)), lambda: NOW, found.extend)
        assert [message["build"]["why"] for message in found] == ["", "update"]
        assert found[1]["build"] == {
            "build": "host/beta==1.0+pb.1",
            "name": "beta",
            "version": "1.0",
            "why": "update",
            "seconds": 1.235,
        }
        assert found[0]["id"] != found[1]["id"]


class TestUpdates:
    def test_an_update_is_told_once_also_by_the_pass_after_one_that_was_killed(self, state: State) -> None:
        news.begin(state, "host")
        news.note(state, "host", UPDATE)
        assert told(state, updated=(UPDATE,)) == ["update.applied alpha"]
        assert told(state, updated=(UPDATE,)) == []
        news.note(state, "host", replace(UPDATE, new="1.2", commit="decade"))
        assert told(state) == ["update.applied alpha"]
        assert told(state) == []

    def test_an_update_that_was_reverted_and_applied_again_is_told_again(self, state: State) -> None:
        news.begin(state, "host")
        assert told(state, updated=(UPDATE,)) == ["update.applied alpha"]
        assert told(state, updated=(replace(UPDATE, commit="facade"),)) == ["update.applied alpha"]


class TestReview:
    def test_a_package_is_told_once_whoever_wants_it(self, state: State) -> None:
        news.begin(state, "host")
        assert told(state, review=(awaited("six"), awaited("six", "six>=1"))) == ["review.requested six"]
        assert told(state, review=(awaited("six", "six>=1"), awaited("six", "six<3"))) == []

    def test_each_version_that_waits_is_told(self, state: State) -> None:
        news.begin(state, "host")
        assert told(state, review=(awaited("six", "six==1.0"),)) == ["review.requested six"]
        assert told(state, review=(awaited("six", "six==1.1"),)) == ["review.requested six"]

    def test_what_waited_before_the_first_pass_is_no_news(self, state: State) -> None:
        state.ask_review([("six", "six", "alpha 1.0")], now="2026-11-01T00:00:00Z")
        news.begin(state, "host")
        assert told(state, review=(awaited("six"), awaited("seven"))) == ["review.requested seven"]

    def test_what_comes_back_to_the_queue_is_told_again(self, state: State) -> None:
        news.begin(state, "host")
        assert told(state, review=(awaited("six"),)) == ["review.requested six"]
        assert told(state, review=()) == []
        assert told(state, review=(awaited("six"),)) == ["review.requested six"]

    def test_a_pass_that_failed_does_not_know_that_nothing_waits(self, state: State) -> None:
        news.begin(state, "host")
        assert told(state, review=(awaited("six"),)) == ["review.requested six"]
        assert told(state, review=(), outcome="failed") == []
        assert told(state, review=(awaited("six"),)) == []


def test_what_could_not_be_handed_on_is_not_told(state: State) -> None:
    news.begin(state, "host")
    published(state, "alpha", "1.0", 1)

    def killed(messages: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        news.collect(state, PASS, lambda: NOW, killed)
    assert told(state) == ["build.complete host/alpha==1.0+pb.1"]

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pybuilder import outbox, outward
from pybuilder.errors import StateError
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.pass_messages import SCHEMAS
from pybuilder.passes import Awaited, Built, Pass, Updated
from pybuilder.settings import parse_settings
from pybuilder.state import State
from tests.support.hooked import HookServer, hook
from tests.support.passing import NOW, PASS, published

UPDATE = Updated(name="alpha", old="1.0", new="1.1", commit="c0ffee", needed_by=3)
BUILT = Built(build="host/alpha==1.1+pb.1", name="alpha", version="1.1", why="update", seconds=2.0)
AWAITED = Awaited(name="six", requirement="six", wanted_by="alpha 1.1", first_seen=NOW, new=True)
BUSY = replace(PASS, updated=(UPDATE,), built=(BUILT,), review=(AWAITED,))


class World:
    """A state, and hooks."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root=root)
        self.state = State.open(self.layout)
        self.now = NOW
        self.notify: list[str] = []

    def tell(self, pass_: Pass) -> Pass:
        settings = parse_settings(f"notify = {json.dumps(self.notify)}", "pybuild.toml")
        with Client(sleep=lambda seconds: None) as client:
            return outward.tell(
                pass_,
                layout=self.layout,
                settings=settings,
                state=self.state,
                client=client,
                now=lambda: self.now,
            )

    def metric(self, name: str) -> float:
        text = (self.layout.cron / "pybuild.prom").read_text()
        [found] = [each for each in text_string_to_metric_families(text) if each.name == name]
        return float(found.samples[0].value)

    def heartbeat(self) -> Any:
        return json.loads((self.layout.cron / "heartbeat").read_bytes())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    with closing(made.state):
        yield made


@pytest.fixture
def server() -> Iterator[HookServer]:
    with hook() as running:
        yield running


def test_a_pass_leaves_report_metrics_and_heartbeat(world: World) -> None:
    outward.begin(channel="host", state=world.state)
    assert world.tell(BUSY) == BUSY
    assert (world.layout.cron / "report.txt").read_text().startswith("Subject: pybuild wheels (host): 1 new review")
    assert "<title>pybuild wheels (host): 1 new review" in (world.layout.cron / "report.html").read_text()
    assert world.heartbeat() == {"time": NOW.isoformat(), "run": PASS.run}
    assert world.metric("pybuild_last_success_timestamp_seconds") == NOW.timestamp()
    assert sorted(path.name for path in world.layout.cron.iterdir()) == [
        "heartbeat",
        "pybuild.prom",
        "report.html",
        "report.txt",
    ]


def test_a_pass_that_did_not_come_to_its_end_is_no_sign_of_life(world: World) -> None:
    world.tell(PASS)
    world.now += timedelta(hours=6)
    world.tell(replace(PASS, run="later", outcome="failed", began=world.now))
    assert world.heartbeat()["run"] == PASS.run
    assert world.metric("pybuild_last_success_timestamp_seconds") == NOW.timestamp()
    assert world.metric("pybuild_last_pass_timestamp_seconds") == world.now.timestamp() + PASS.seconds
    assert "failed" in (world.layout.cron / "report.txt").read_text()


def test_one_message_for_each_thing_in_a_form_that_is_written_down(world: World, server: HookServer) -> None:
    world.notify = [server.url]
    outward.begin(channel="host", state=world.state)
    published(world.state, "alpha", "1.1", 1)
    outward.note(UPDATE, channel="host", state=world.state)
    assert world.tell(BUSY) == BUSY
    assert world.tell(replace(PASS, review=(AWAITED,))).problems == ()
    topics = [document["topic"] for document in server.documents]
    assert topics == ["pybuild.update.applied", "pybuild.build.complete", "pybuild.review.requested"]
    for document in server.documents:
        schema = SCHEMAS[document["topic"]]
        jsonschema.Draft202012Validator.check_schema(schema)
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        jsonschema.Draft202012Validator(schema, format_checker=checker).validate(document)
        assert set(document) == set(schema["properties"]) and document["version"] == 1
        assert (document["run"], document["workspace"], document["channel"]) == (PASS.run, "wheels", "host")
        assert datetime.fromisoformat(document["time"]) == NOW
    update, build, review = server.documents
    assert update["update"] == {"name": "alpha", "old": "1.0", "new": "1.1", "commit": "c0ffee", "needed_by": 3}
    assert build["build"]["build"] == BUILT.build and build["build"]["why"] == "update"
    assert review["review"]["first_seen"] == "2026-11-26T06:15:00.123456Z"


def test_a_hook_that_is_down_gets_the_same_messages_from_the_next_pass(world: World, server: HookServer) -> None:
    world.notify = [server.url]
    outward.begin(channel="host", state=world.state)
    server.answers = [(503, "")] * 4
    told = world.tell(BUSY)
    [problem] = told.problems
    assert problem.new and "answers 503" in problem.cure and told.outcome == "problems"
    text = (world.layout.cron / "report.txt").read_text()
    assert "1 new problem" in text.partition("\n")[0] and "the hook takes no messages" in text
    assert world.metric("pybuild_messages_waiting") == 2
    first = server.requests[0][0]["idempotency-key"]
    server.requests.clear()
    assert world.tell(replace(PASS, review=(AWAITED,))).problems == ()
    assert server.requests[0][0]["idempotency-key"] == first
    assert len(server.requests) == 2
    assert world.metric("pybuild_messages_waiting") == 0


def test_a_hook_that_answers_a_byte_at_a_time_holds_no_pass_back(
    world: World, server: HookServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    world.notify = [server.url]
    outward.begin(channel="host", state=world.state)
    monkeypatch.setattr(outbox, "PATIENCE", 0.1)
    monkeypatch.setattr(outbox, "_GRACE", 0.1)
    server.drip = True
    [problem] = world.tell(BUSY).problems
    assert "does not come to an end" in problem.what
    assert world.metric("pybuild_messages_waiting") == 2
    server.closing.set()
    assert capfd.readouterr() == ("", "")


def test_what_a_killed_pass_published_is_told_by_the_next(world: World, server: HookServer) -> None:
    world.notify = [server.url]
    outward.begin(channel="host", state=world.state)
    published(world.state, "alpha", "1.1", 1)
    outward.note(UPDATE, channel="host", state=world.state)
    outward.begin(channel="host", state=world.state)
    world.tell(PASS)
    assert [document["topic"] for document in server.documents] == ["pybuild.update.applied", "pybuild.build.complete"]


def test_a_hook_that_is_new_is_not_told_what_was_before(world: World, server: HookServer) -> None:
    outward.begin(channel="host", state=world.state)
    published(world.state, "alpha", "1.1", 1)
    world.tell(BUSY)
    world.notify = [server.url]
    world.tell(replace(PASS, review=(AWAITED,)))
    assert server.documents == []


def test_a_disk_that_can_not_be_written_is_told_with_its_cure(world: World) -> None:
    world.layout.cron.mkdir()
    (world.layout.cron / "report.txt").mkdir()
    with pytest.raises(StateError, match="a directory stands"):
        world.tell(PASS)
    (world.layout.cron / "report.txt").rmdir()
    with pytest.raises(StateError, match="full"), _full(world.layout.cron):
        world.tell(PASS)


def _full(directory: Path) -> Any:
    from unittest.mock import patch

    return patch("pybuilder.outward.write_atomic", side_effect=OSError(28, "No space left on device"))

"""Messages go through a real broker, as consumers of fedora-messaging get them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pika
import pytest
from fedora_messaging.message import Message, get_message

from pybuilder import outbox, outward
from pybuilder.fedora_messages import BuildCompleteV1, ReviewRequestedV1, UpdateAppliedV1
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.passes import Awaited, Built, Pass, Problem, Updated
from pybuilder.settings import parse_settings
from pybuilder.state import State
from tests.support.passing import NOW, PASS, published
from tests.support.rabbit import rabbit

BUSY = replace(
    PASS,
    updated=(Updated(name="alpha", old="1.0", new="1.1", commit="c0ffee", needed_by=3),),
    built=(Built(build="host/alpha==1.1+pb.1", name="alpha", version="1.1", why="update", seconds=2.0),),
    review=(Awaited(name="six", requirement="six>1", wanted_by="alpha 1.1", first_seen=NOW, new=True),),
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with closing(State.open(Layout(root=tmp_path / "state"))) as made:
        outward.begin(channel="host", state=made)
        yield made


def tell(pass_: Pass, state: State, root: Path, *notify: str) -> tuple[Problem, ...]:
    settings = parse_settings(f"notify = {json.dumps(notify)}", "pybuild.toml")
    layout = Layout(root=root / "state")
    with Client() as client:
        told = outward.tell(pass_, layout=layout, settings=settings, state=state, client=client, now=lambda: NOW)
    return told.problems


def received(channel: Any, queue: str) -> list[Message]:
    """What lies in a queue, as a consumer of fedora-messaging sees it: of its class, and valid."""
    found = []
    while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
        delivery, properties, body = got
        found.append(get_message(delivery.routing_key, properties, body))
    return found


def test_a_consumer_gets_every_message_once_and_of_its_class_and_a_broker_that_lets_nobody_in_is_told(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDORA_MESSAGING_CONF", str(tmp_path / "none.toml"))
    monkeypatch.setattr(outbox, "PATIENCE", 60.0)
    (home := tmp_path / "rabbit").mkdir()
    with rabbit(home) as url, closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "amq.topic", "pybuild.#")
        published(state, "alpha", "1.1", 1)
        wrong = url.replace("guest:guest", "guest:hunter2")
        [problem] = tell(BUSY, state, tmp_path, url, wrong)
        assert problem.subject.startswith("amqp://127.0.0.1:") and problem.new and problem.exit_code == 30
        assert "knows another user or password" in problem.cure and "hunter2" not in str(problem)
        update, build, review = received(channel, queue)
        [waiting] = {len(each.waiting) for each in outbox.queues(state, [wrong]).values()}
        assert waiting == 3
        assert tell(replace(PASS, review=BUSY.review), state, tmp_path, url) == ()
        assert received(channel, queue) == []

    assert isinstance(update, UpdateAppliedV1) and update.topic == "pybuild.update.applied"
    assert isinstance(build, BuildCompleteV1) and build.topic == "pybuild.build.complete"
    assert isinstance(review, ReviewRequestedV1) and review.topic == "pybuild.review.requested"
    assert [each.id for each in (update, build, review)] == [each.body["id"] for each in (update, build, review)]
    assert [each.packages for each in (update, build, review)] == [["alpha"], ["alpha"], ["six"]]
    assert [each.summary for each in (update, build, review)] == [
        "alpha 1.0 -> 1.1 in wheels",
        "host/alpha==1.1+pb.1 has been published",
        "six>1 waits for review in wheels",
    ]
    assert str(review).endswith("wanted by alpha 1.1 since 2026-11-26T06:15:00.123456Z")

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pybuilder.errors import FetchError
from pybuilder.hooks import Fault, Hook, public
from pybuilder.http import Client, redact
from tests.support.hooked import HookServer, hook

ONE, TWO = ({"id": f"0000-{letter}", "topic": "pybuild.build.complete", "version": 1} for letter in "ab")
ANSWER_OK = (200, "")
SECRETS = ("hunter2", "s3cret", "t0ken", "services")


@pytest.fixture
def server() -> Iterator[HookServer]:
    with hook() as running:
        yield running


class Bringing:
    """Brings messages with a clock that only sleeping moves."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.time = 0.0
        self.waits: list[float] = []

    def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds

    def __call__(self, messages: Sequence[Any], patience: float = 30.0) -> tuple[list[str], Fault | None]:
        done: list[str] = []
        with Client(sleep=self._sleep, jitter=lambda: 0.0, now=lambda: 1_700_000_000.0, timeout=0.3) as client:
            bring = Hook(client=client, url=self.url, clock=lambda: self.time)
            return done, bring(messages, done.append, patience)


def test_each_message_is_posted_as_json_with_its_id(server: HookServer) -> None:
    assert Bringing(server.url)([ONE, TWO]) == ([ONE["id"], TWO["id"]], None)
    assert server.documents == [ONE, TWO]
    headers, _ = server.requests[0]
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"] == ONE["id"]
    assert headers["path"] == "/services/T0/s3cret?token=t0ken"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_hook_is_asked_again_with_growing_waits_and_the_same_id(server: HookServer, status: int) -> None:
    server.answers = [(status, "")] * 3
    bringing = Bringing(server.url)
    assert bringing([ONE]) == ([ONE["id"]], None)
    assert bringing.waits == [0.5, 1.0, 2.0]
    assert {headers["idempotency-key"] for headers, _ in server.requests} == {ONE["id"]}


def test_it_waits_as_long_as_the_hook_asks(server: HookServer) -> None:
    server.answers = [(503, "7"), (429, "Tue, 14 Nov 2023 22:13:30 GMT")]
    bringing = Bringing(server.url)
    assert bringing([ONE]) == ([ONE["id"]], None)
    assert bringing.waits == [7.0, 10.0]


def test_a_hook_that_asks_for_more_time_than_there_is_is_left_alone(server: HookServer) -> None:
    server.answers = [(503, "3600")]
    bringing = Bringing(server.url)
    done, fault = bringing([ONE, TWO])
    assert (done, bringing.waits, len(server.requests)) == ([], [], 1)
    assert fault and fault.wait == 3600.0 and "answers 503" in fault.cure


def test_a_hook_that_stays_down_is_given_up_and_nothing_more_is_tried(server: HookServer) -> None:
    server.answers = [ANSWER_OK, *[(500, "")] * 9]
    bringing = Bringing(server.url)
    done, fault = bringing([ONE, TWO, ONE])
    assert (done, len(server.requests)) == ([ONE["id"]], 5)
    assert fault == Fault(
        what="the hook takes no messages",
        cure="see why: it answers 500 Internal Server Error; its messages are kept and sent by the next pass",
    )


@pytest.mark.parametrize(
    ("status", "cure"), [(404, "correct or remove"), (403, "correct or remove"), (302, "redirects")]
)
def test_a_wrong_address_is_told_at_once(server: HookServer, status: int, cure: str) -> None:
    server.answers = [(status, "")]
    bringing = Bringing(server.url)
    done, fault = bringing([ONE, TWO])
    assert (done, bringing.waits, len(server.requests)) == ([], [], 1)
    assert fault and f"answers {status}" in fault.what and cure in fault.cure


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_message_that_is_refused_is_not_in_the_way_of_the_next(server: HookServer, status: int) -> None:
    server.answers = [(status, "")]
    done, fault = Bringing(server.url)([ONE, TWO])
    assert done == [ONE["id"], TWO["id"]]
    assert fault and f"refuses a message: it answers {status}" in fault.what


def test_a_hook_that_hangs_or_is_not_there_is_given_up(server: HookServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pybuilder.hooks.TIMEOUT", 0.05)
    monkeypatch.setattr("pybuilder.hooks.ATTEMPTS", 2)
    server.hang = True
    done, fault = Bringing(server.url)([ONE])
    assert (done, len(server.requests)) == ([], 2)
    assert fault and "read timeout" in fault.cure
    done, fault = Bringing("http://127.0.0.1:9/x")([ONE])
    assert not done and fault and "connect error" in fault.cure


def test_what_there_is_no_time_for_waits_and_is_no_fault(server: HookServer) -> None:
    server.answers = [ANSWER_OK, (503, "9")]
    bringing = Bringing(server.url)
    done, fault = bringing([ONE, TWO], patience=8)
    assert (done, bringing.waits) == ([ONE["id"]], [])
    assert fault and fault.wait == 9.0
    assert bringing([ONE, TWO], patience=-1) == ([], None)
    assert len(server.requests) == 2


@pytest.mark.parametrize("answers", [[(404, "")], [(302, "")], [(500, "")] * 9, [(400, "")]])
def test_no_secret_of_an_address_is_told(server: HookServer, answers: list[tuple[int, str]]) -> None:
    server.answers = answers
    _, fault = Bringing(server.url)([ONE])
    assert fault and not any(secret in fault.what + fault.cure for secret in SECRETS)


@pytest.mark.parametrize("url", ["https://user:hunter2@127.0.0.1:1/s3cret", "http://[::1/s3cret", "http://a b/s3cret"])
def test_nor_where_it_can_not_be_reached(url: str) -> None:
    _, fault = Bringing(url)([ONE])
    assert fault and not any(secret in fault.what + fault.cure for secret in SECRETS)


def test_nor_in_what_the_client_says(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://user:hunter2@127.0.0.1:1/s3cret"

    def post(self: Client, url: str, *rest: object, **options: object) -> None:
        raise FetchError(f"fetching failed: invalid URL: {redact(url)}", where=redact(url))

    monkeypatch.setattr(Client, "post", post)
    _, fault = Bringing(url)([ONE])
    assert fault and fault.what == "fetching failed: invalid URL: https://127.0.0.1:1/…"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://user:pw@hooks.example.org/services/s3cret?x=1", "https://hooks.example.org/…"),
        ("https://hooks.example.org:8443/?token=1", "https://hooks.example.org:8443/…"),
        ("amqps://user:pw@broker.example.org", "amqps://broker.example.org"),
    ],
)
def test_of_an_address_its_host_is_told(url: str, told: str) -> None:
    assert public(url) == told

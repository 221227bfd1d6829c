from __future__ import annotations

import json
from typing import Any

import pytest

from pybuilder.brokers import Broker
from pybuilder.errors import EngineError
from pybuilder.hooks import Fault
from pybuilder.processes import Completed

URL = "amqps://user:hunter2@broker.example.org/s3cret"
MESSAGES: list[Any] = [{"id": letter, "topic": "pybuild.build.complete"} for letter in "abc"]


class Running:
    """Stands for the process that publishes."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.argv: list[str] = []
        self.input = b""
        self.timeout = 0.0

    def __call__(self, argv: list[str], *, input: bytes, timeout: float) -> Completed:
        self.argv, self.input, self.timeout = argv, input, timeout
        if isinstance(self.answer, Exception):
            raise self.answer
        stdout = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
        return Completed(returncode=0, stdout=stdout, stderr=b"")


def bring(running: Running, installed: bool = True) -> tuple[list[str], Fault | None]:
    done: list[str] = []
    fault = Broker(url=URL, installed=lambda: installed, run=running)(MESSAGES, done.append, 30.0)
    assert fault is None or not any(secret in fault.what + fault.cure for secret in ("hunter2", "s3cret"))
    return done, fault


def test_what_the_broker_confirmed_is_done_in_time() -> None:
    running = Running({"done": ["a", "b", "c"], "error": ""})
    assert bring(running) == (["a", "b", "c"], None)
    assert running.timeout == 30.0
    task = json.loads(running.input)
    assert (task["url"], task["messages"]) == (URL, MESSAGES) and task["patience"] < 30.0
    assert not any("hunter2" in word for word in running.argv)


@pytest.mark.parametrize(
    ("error", "told"),
    [("PublishTimeout", "doesn't answer"), ("TypeError", "install"), ("SomethingNew", "SomethingNew")],
)
def test_what_went_wrong_is_told_and_what_was_confirmed_before_is_done(error: str, told: str) -> None:
    done, fault = bring(Running({"done": ["a"], "error": error}))
    assert done == ["a"] and fault and told in fault.what + fault.cure and fault.exit_code == 30


@pytest.mark.parametrize("answer", [EngineError("python was still running after 30 s", where=URL), b"", b"Killed"])
def test_a_process_that_broke_off_is_a_fault_and_nothing_is_done(answer: Any) -> None:
    done, fault = bring(Running(answer))
    assert done == [] and fault and "broke off" in fault.cure


def test_without_the_extra_nothing_is_started_and_the_cure_is_told() -> None:
    running = Running({"done": [], "error": ""})
    done, fault = bring(running, installed=False)
    assert (done, running.argv) == ([], [])
    assert fault and fault.exit_code == 3 and fault.cure == "pip install 'pybuild-hermetic[fedora-messaging]'"

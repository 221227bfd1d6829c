"""Watch over one start of a sandbox: its talk with us, its log, its time, its disk."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pybuilder import interruption
from pybuilder.printable import printable
from pybuilder.sandbox import Event, Limits

# A job's answers are small; a build that floods the control pipe is cut off instead of filling our memory.
MAX_LINE = 4 << 20
# Seconds in which what was killed lets go of its pipes.
_LINGERING = 30.0
_MESSAGE = 1000  # characters of why a step failed, which may quote what a backend said


@dataclass(kw_only=True, slots=True)
class BoundedLog:
    """The first ``limit`` bytes of what a build prints; the rest is counted.

    The stream is flushed at once, so that ``log -f`` and a killed run both have all there was.
    """

    stream: IO[bytes]
    limit: int
    echo: Callable[[bytes], None] | None
    written: int = 0
    dropped: int = 0

    def write(self, data: bytes) -> None:
        """Keep what fits."""
        room = self.limit - self.written
        kept = data[:room]
        if kept:
            self.stream.write(kept)
            self.stream.flush()
            self.written += len(kept)
            if self.echo:
                self.echo(kept)
        self.dropped += len(data) - len(kept)

    def close(self) -> None:
        """Say how much is missing, if any is."""
        if self.dropped:
            note = f"\n[pybuild: {self.dropped} more bytes of output were dropped; the limit is {self.limit}]\n"
            self.stream.write(note.encode())
            self.stream.flush()
            if self.echo:
                self.echo(note.encode())


@dataclass(kw_only=True, slots=True)
class Supervisor:
    """One running sandbox.

    Attributes:
        output: We read what is printed from it.
        events: We read events from it.
        answers: We write the job and our answers into it.
        typed: A person's input, or None.
        input: We pass it on there; it is closed at its end.
        ended: Becomes readable when the engine's process has ended; None where the end of the pipes tells.
        kill: Ends everything inside.
        limits: Time and disk are watched here; the others are the kernel's business.
        work: Where the build writes, to see how much disk is left.
        answer: Called with each event; True means go on.
        judge: Called with the seal; raises if it is not tight.
        log: Where output goes.
        seal: What the probe saw; empty until it has reported.
        failure: What ended it early, a sentence, or empty.
        out_of_memory: Whether it has told that the kernel ended one of its processes for its use of memory.
        timed_out: Whether the time limit ended it.
        finished: Whether it has said that nothing more is to do.
    """

    output: int
    events: int
    answers: int
    typed: int | None
    input: IO[bytes] | None
    ended: int | None
    kill: Callable[[], None]
    limits: Limits
    work: Path
    answer: Callable[[Event], bool]
    judge: Callable[[Mapping[str, Any]], None]
    log: BoundedLog
    seal: Mapping[str, Any] = field(default_factory=dict)
    failure: str = ""
    out_of_memory: bool = False
    timed_out: bool = False
    finished: bool = False
    _pending: bytes = b""
    _unsent: bytes = b""
    _disk_is_full: bool = False
    _killed: float | None = None

    def run(self, job: Mapping[str, Any]) -> None:
        """Send the job and stay until the pipes have ended, which is when nobody inside holds them any more.

        What is still there long after it was killed is not waited for: whoever waits for its end tells of it.

        Raises:
            KeyboardInterrupt: This thread was told to end.
        """
        deadline = time.monotonic() + self.limits.seconds
        self._send(json.dumps(job).encode() + b"\n")
        # Not epoll, which can't wait for files: what is typed may come from one.
        with selectors.PollSelector() as selector:
            for descriptor in (self.output, self.events, self.ended):
                if descriptor is not None:
                    selector.register(descriptor, selectors.EVENT_READ)
            unheard = self.typed
            next_look = 0.0
            while selector.get_map().keys() - {self.ended, self.typed, self._into} and not self._lingers:
                interruption.check()
                for key, _ in selector.select(interruption.TICK):
                    if key.fd == self.ended:
                        self._drain(selector)
                    elif key.fd == self.typed:
                        self._hear(selector, key.fd)
                    elif key.fd == self._into:
                        self._pass_on(selector, key.fd)
                    elif selector.get_map().get(key.fd) and not self._take(key.fd):
                        selector.unregister(key.fd)
                if self.seal and unheard is not None:
                    # Before, nobody inside may have opened the pipe that it is passed on to.
                    selector.register(unheard, selectors.EVENT_READ)
                    unheard = None
                if time.monotonic() >= next_look:
                    self._look(deadline)
                    next_look = time.monotonic() + interruption.TICK

    def _look(self, deadline: float) -> None:
        """End what has no time or no disk left."""
        if self.timed_out or self._disk_is_full:
            return
        if time.monotonic() >= deadline:
            self.timed_out = True
            self._end(f"ran longer than its limit of {self.limits.seconds:g} s")
        elif shutil.disk_usage(self.work).free < self.limits.free_disk:
            self._disk_is_full = True
            self._end(f"left less than {self.limits.free_disk >> 20} MiB free on the disk")

    def _take(self, descriptor: int) -> bool:
        """Read what there is; False at the end of the pipe."""
        data = os.read(descriptor, 1 << 16)
        if descriptor == self.output:
            self.log.write(data)
        else:
            self._receive(data)
        return bool(data)

    def _drain(self, selector: selectors.BaseSelector) -> None:
        """Read what is left in the pipes of an engine that has ended, perhaps before it opened them."""
        for descriptor in [key.fd for key in selector.get_map().values()]:
            selector.unregister(descriptor)
            if descriptor not in (self.ended, self.typed, self._into):
                os.set_blocking(descriptor, False)
                with contextlib.suppress(BlockingIOError):
                    while self._take(descriptor):
                        pass

    def _receive(self, data: bytes) -> None:
        self._pending += data
        while b"\n" in self._pending:
            line, _, self._pending = self._pending.partition(b"\n")
            self._handle(line)
        if len(self._pending) > MAX_LINE:
            self._end("flooded the control pipe")

    def _handle(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            name = event["event"]
        except (ValueError, TypeError, KeyError):
            self._end("wrote rubbish into the control pipe")
            return
        # The seal comes first and once: what the record says of it must not be said by anything that ran later.
        if (name == "seal") == bool(self.seal):
            self._end("wrote rubbish into the control pipe")
        elif name == "seal":
            self.seal = {k: v for k, v in event.items() if k != "event"}
            self.judge(self.seal)
            self._send(b"go\n")
        elif name == "end":
            self.finished = True
        else:
            self._report(name, event)

    def _report(self, name: str, event: Event) -> None:
        if name == "failed":
            said = " ".join(f"{event.get('step')}: {event.get('message')}".split())
            self.failure = self.failure or printable(said[:_MESSAGE])
            self.out_of_memory = event.get("out_of_memory") is True
        go_on = self.answer(event)
        if name == "done" and event.get("step") == "requires":
            self._send(b"go\n" if go_on else b"stop\n")

    @property
    def _into(self) -> int | None:
        """What a person types is written there."""
        return None if self.input is None or self.input.closed else self.input.fileno()

    def _hear(self, selector: selectors.BaseSelector, typed: int) -> None:
        """Read what a person types, and no more until it is passed on: who is to read it may not, or be gone."""
        selector.unregister(typed)
        self._unsent = os.read(typed, 1 << 16)
        assert self.input is not None
        if self._unsent:
            os.set_blocking(self.input.fileno(), False)
            selector.register(self.input.fileno(), selectors.EVENT_WRITE)
        else:
            self.input.close()

    def _pass_on(self, selector: selectors.BaseSelector, into: int) -> None:
        try:
            self._unsent = self._unsent[os.write(into, self._unsent) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unsent = b""
        if not self._unsent:
            selector.unregister(into)
            assert self.typed is not None
            selector.register(self.typed, selectors.EVENT_READ)

    def _send(self, data: bytes) -> None:
        # A sandbox that has ended hears nothing; how it ended is told elsewhere.
        with contextlib.suppress(BrokenPipeError):
            os.write(self.answers, data)

    def _end(self, failure: str) -> None:
        self.failure = self.failure or failure
        self._killed = self._killed or time.monotonic()
        self.kill()

    @property
    def _lingers(self) -> bool:
        return self._killed is not None and time.monotonic() - self._killed > _LINGERING

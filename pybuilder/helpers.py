"""Processes of ours that do for us what crashes, or what Python would do on one processor only.

Each greets when it is ready, and answers requests, one after another, until it is closed; it runs
``byte_compile.serve``.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack

from pybuilder import byte_compile, interruption
from pybuilder.errors import EngineError
from pybuilder.processes import spawn


class Helper:
    """One such process, for one thread at a time."""

    def __init__(self, program: Sequence[str]) -> None:
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] = self._stack.enter_context(spawn(program, input_pipe=True))
        assert self._process.stdin and self._process.stdout
        self._requests, self._answers = self._process.stdin, self._process.stdout.fileno()
        self._answered = select.poll()
        self._answered.register(self._answers, select.POLLIN)
        self._has_greeted = False

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether it has started, or failed to: an answer would come at once."""
        return self._has_greeted or bool(self._answered.poll(0))

    def ask(self, request: bytes, *, timeout: float) -> bytes:
        """What it answers to a request.

        Args:
            request: The request.
            timeout: Seconds for the answer.

        Raises:
            EngineError: It has ended, or took too long.
            KeyboardInterrupt: This thread was told to end.
        """
        deadline = time.monotonic() + timeout
        if not self._has_greeted:
            self._receive(deadline)
            self._has_greeted = True
        with contextlib.suppress(BrokenPipeError):
            byte_compile.send(self._requests, request)
        return self._receive(deadline)

    def _receive(self, deadline: float) -> bytes:
        return self._read(int.from_bytes(self._read(byte_compile.LENGTH, deadline), "little"), deadline)

    def _read(self, size: int, deadline: float) -> bytes:
        pieces = []
        while size:
            interruption.check()
            left = deadline - time.monotonic()
            if left <= 0:
                raise EngineError("a process that helps did not answer in time")
            if self._answered.poll(1000 * min(left, interruption.TICK)):
                piece = os.read(self._answers, size)
                if not piece:
                    raise EngineError("a process that helps has ended")
                pieces.append(piece)
                size -= len(piece)
        return b"".join(pieces)

    def kill(self) -> None:
        """Let whoever waits for an answer meet its end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def close(self) -> None:
        """End it; whoever asks it must have come back."""
        self._stack.close()

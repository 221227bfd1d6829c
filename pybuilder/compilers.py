"""Processes that compile the modules of payloads: source that crashes a compiler must not take us along.

Each does one thing after another, since starting it takes as long as compiling most wheels. What will be needed most
likely can be compiled ahead, while nothing else is there to do; it decides nothing: it is taken where a payload has the
same module in the same place.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from pybuilder import byte_compile, interruption
from pybuilder.errors import EngineError, PybuildError
from pybuilder.interruption import Interruption, outcome, side_by_side
from pybuilder.processes import spawn

_TIMEOUT = 300.0  # seconds for one wheel
# So many modules are worth another process.
_MODULES_AT_ONCE = 64
_ROOM = 32 << 20  # bytes for all that is compiled ahead


class Compilers:
    """The compilers of a run; safe to use from several threads at once."""

    def __init__(self) -> None:
        self._compilers: set[_Compiler] = set()
        self._idle: list[_Compiler] = []
        self._lock = threading.Lock()
        self._told = Interruption()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="compile-ahead")
        self._seen: set[str] = set()
        self._foreseen: dict[str, Future[bytes]] = {}
        self._room = _ROOM

    def compile(self, key: str, tree: str, directory: str, *, there: str) -> None:
        """Add bytecode to the modules of a tree; where a compiler crashes, some have none.

        Args:
            key: What it was foreseen as.
            tree: The tree.
            directory: Where in it there are modules.
            there: Where the tree will be seen.
        """
        foreseen = self._taken(key)
        # What is foreseen is nearly all, and each part would read all of it.
        parts = 1 if foreseen else _parts(directory)

        def compile_part(part: int) -> None:
            with contextlib.suppress(EngineError):
                self._ask("compile_tree", directory, tree, there, part, parts, foreseen)

        side_by_side(compile_part, range(parts), threads=parts)

    def foresee(self, key: str, modules: Callable[[], Mapping[str, bytes]]) -> None:
        """Compile modules ahead, once for each key, as long as there is room; returns at once.

        Args:
            key: What ``compile`` will ask for.
            modules: Their sources, by the paths at which they will be seen; asked in another thread.
        """
        with self._lock:
            if key not in self._seen:
                self._seen.add(key)
                self._foreseen[key] = self._pool.submit(self._foresee, modules)

    def rest(self) -> None:
        """Leave what has not begun to be compiled ahead."""
        for future in tuple(self._foreseen.values()):
            future.cancel()

    def close(self) -> None:
        """End all processes, also those that compile; nothing may be asked for afterwards."""
        self.rest()
        with self._lock:
            for compiler in self._compilers:
                compiler.kill()
        interruption.end(self._pool, self._told)
        while self._idle:
            self._idle.pop().close()

    def _taken(self, key: str) -> bytes:
        future = self._foreseen.pop(key, None)
        return b"" if future is None or future.cancel() else outcome(future)

    def _foresee(self, modules: Callable[[], Mapping[str, bytes]]) -> bytes:
        # Whoever needs it meets what is wrong again.
        with self._told.heard(), contextlib.suppress(PybuildError):
            if self._room > 0 and (sources := modules()):
                found = self._ask("foresee", sources)
                self._room -= len(found)
                return found
        return b""

    def _ask(self, function: str, *arguments: Any) -> bytes:
        """What a compiler answers.

        Raises:
            EngineError: It has crashed, or took too long.
            KeyboardInterrupt: This thread was told to end.
        """
        with self._lock:
            compiler = self._idle.pop() if self._idle else None
        if compiler is None:
            compiler = _Compiler()
            with self._lock:
                self._compilers.add(compiler)
        try:
            answer = compiler.ask(marshal.dumps((function, arguments)))
        except BaseException:
            with self._lock:
                self._compilers.discard(compiler)
            compiler.close()
            raise
        with self._lock:
            self._idle.append(compiler)
        return answer


class _Compiler:
    """One process."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        program = [sys.executable, "-I", "-S", byte_compile.__file__]
        self._process: subprocess.Popen[bytes] = self._stack.enter_context(spawn(program, input_pipe=True))

    def ask(self, request: bytes) -> bytes:
        """What it answers to a request.

        Raises:
            EngineError: It has crashed, or took too long.
            KeyboardInterrupt: This thread was told to end.
        """
        assert self._process.stdin
        deadline = time.monotonic() + _TIMEOUT
        with contextlib.suppress(BrokenPipeError):
            byte_compile.send(self._process.stdin, request)
        length = int.from_bytes(self._read(byte_compile.LENGTH, deadline), "little")
        return self._read(length, deadline)

    def _read(self, size: int, deadline: float) -> bytes:
        assert self._process.stdout
        descriptor, pieces = self._process.stdout.fileno(), []
        ready = select.poll()
        ready.register(descriptor, select.POLLIN)
        while size:
            interruption.check()
            left = deadline - time.monotonic()
            if left <= 0:
                raise EngineError(f"a compiler was still running after {_TIMEOUT:.0f} s")
            if ready.poll(1000 * min(left, interruption.TICK)):
                piece = os.read(descriptor, size)
                if not piece:
                    raise EngineError("a compiler crashed")
                pieces.append(piece)
                size -= len(piece)
        return b"".join(pieces)

    def kill(self) -> None:
        """Let whoever waits for an answer meet its end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def close(self) -> None:
        """End it."""
        self._stack.close()


def _parts(directory: str) -> int:
    """Into how many parts it pays to divide the modules below a directory."""
    modules = sum(1 for _ in byte_compile.modules(directory))
    return min(len(os.sched_getaffinity(0)), 1 + modules // _MODULES_AT_ONCE)

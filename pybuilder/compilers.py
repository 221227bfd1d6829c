"""Processes that compile the modules of payloads: source that crashes a compiler must not take us along.

Each does one thing after another, since starting it takes as long as compiling most wheels. What will be needed most
likely can be compiled ahead, while nothing else is there to do; it decides nothing: it is taken where a payload has the
same module in the same place.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from pybuilder import byte_compile, interruption
from pybuilder.errors import EngineError, PybuildError
from pybuilder.helpers import Helper
from pybuilder.interruption import Interruption, outcome, side_by_side

_TIMEOUT = 300.0  # seconds for one wheel
# So many modules are worth another process.
_MODULES_AT_ONCE = 64
_ROOM = 32 << 20  # bytes for all that is compiled ahead


class Compilers:
    """The compilers of a run; safe to use from several threads at once."""

    def __init__(self) -> None:
        self._compilers: set[Helper] = set()
        self._idle: list[Helper] = []
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
            compiler = Helper([sys.executable, "-I", "-S", byte_compile.__file__])
            with self._lock:
                self._compilers.add(compiler)
        try:
            answer = compiler.ask(marshal.dumps((function, arguments)), timeout=_TIMEOUT)
        except BaseException:
            with self._lock:
                self._compilers.discard(compiler)
            compiler.close()
            raise
        with self._lock:
            self._idle.append(compiler)
        return answer


def _parts(directory: str) -> int:
    """Into how many parts it pays to divide the modules below a directory."""
    modules = sum(1 for _ in byte_compile.modules(directory))
    return min(len(os.sched_getaffinity(0)), 1 + modules // _MODULES_AT_ONCE)

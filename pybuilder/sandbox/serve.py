"""Calls a backend's hooks, each in a process of its own that begins with the backend imported.

Runs inside, like ``inside.py``: standard library only, and no import of pybuild. PEP 517 wants a fresh process for each
hook, so that what one leaves behind reaches no other. Importing a backend takes longer than most of its hooks, so it is
imported once, in a process that does nothing else but fork: ``hooks.py CPUS SCRIPT REQUESTS RESULTS`` reads the
arguments of pyproject-hooks' script, a JSON list a line, from one descriptor, and writes for each how it ended to the
other.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import importlib.machinery
import io
import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def main() -> None:
    """Serve until nobody asks any more."""
    cpus, script, reader, writer = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    prepare_ourselves(cpus)
    ending = Ending()
    sys.path[0] = os.path.dirname(script)
    for descriptor in (reader, writer):
        os.set_inheritable(descriptor, False)
    code: Any = importlib.machinery.SourceFileLoader("__main__", script).get_code("__main__")
    import_backend(code)
    # No hook looks for garbage in what was there before, nor gets pages of its own by writing down that there is none.
    gc.freeze()
    requests, results = os.fdopen(reader), os.fdopen(writer, "w")
    for line in requests:
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            # By the objects that have them: those would complain at their end that somebody else has.
            requests.close()
            results.close()
            sys.argv = [script, *json.loads(line)]
            with ending.of_hook():
                exec(code, vars(as_main(script)))
            return
        status = os.waitpid(child, 0)[1]
        results.write(f"{os.waitstatus_to_exitcode(status)}\n")
        results.flush()


class Ending:
    """Ends a hook's process as Python does, but does not take memory apart first: that takes longer than many a hook.

    Threads have ended by then, and what was registered to be called at exit was called; files are flushed.
    """

    def __init__(self) -> None:
        self.is_quick, self.status = False, 1
        # What is registered first is called last.
        atexit.register(self.leave)

    @contextlib.contextmanager
    def of_hook(self) -> Iterator[None]:
        """The block is all that this process does, and those that are forked in it."""
        self.is_quick = True
        try:
            yield
            self.status = 0
        except SystemExit as error:
            if error.code is None or isinstance(error.code, int):
                self.status = (error.code or 0) & 0xFF
            raise
        except KeyboardInterrupt:
            self.is_quick = False  # Python ends by the signal
            raise

    def leave(self) -> None:
        """End this process, which a hook may have forked, unless there is something that Python must tell."""
        if not self.is_quick:
            return
        made = [each for each in gc.get_objects() if isinstance(each, (io.TextIOWrapper, io.BufferedWriter))]
        try:
            # Text goes through bytes.
            for kind in (io.TextIOWrapper, io.BufferedWriter):
                for file in (sys.stdout, sys.stderr, *(each for each in made if isinstance(each, kind))):
                    if file is not None and not file.closed:
                        file.flush()
        except Exception:  # noqa: BLE001 - what backends make of files may raise anything
            return
        os._exit(self.status)


def prepare_ourselves(cpus: int) -> None:
    """Take out of this process, and the hooks that are forked from it, what differs from run to run by itself.

    Where there are several processors, backends compile on all of them.
    """
    steady, parallel = import_ours("steady"), import_ours("parallel") if cpus > 1 else None
    steady.sort_directories()
    steady.name_temporaries()
    if parallel:
        parallel.share(cpus)


def import_ours(name: str) -> Any:
    """A module of ours, of which nobody else gets to know: a backend may have one of that name."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    module = importlib.import_module(name)
    del sys.modules[name], sys.path[0]
    return module


def import_backend(code: Any) -> None:
    """Import the backend as the script does; a failure is told by the hook that meets it again."""
    functions = {"__name__": "_in_process"}
    exec(code, functions)
    # What modules make stays; that is no reason to look through it again and again.
    usual = gc.get_threshold()
    gc.set_threshold(0)
    # A backend may end the interpreter where it is imported.
    with contextlib.suppress(BaseException):
        functions["_build_backend"]()  # type: ignore[operator]
    if gc.get_threshold()[0] == 0:
        gc.set_threshold(*usual)


def as_main(script: str) -> Any:
    """A fresh main module for a script."""
    module = type(sys)("__main__")
    module.__file__ = script
    sys.modules["__main__"] = module
    return module

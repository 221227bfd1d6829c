"""Calls a backend's hooks, each in a process of its own that begins with the backend imported.

Runs inside, like ``inside.py``: standard library only, and no import of pybuild. PEP 517 wants a fresh process for each
hook, so that what one leaves behind reaches no other. Importing a backend takes longer than most of its hooks, so it is
imported once, in a process that does nothing else but fork: ``hooks.py SCRIPT REQUESTS RESULTS`` reads the arguments of
pyproject-hooks' script, a JSON list a line, from one descriptor, and writes for each how it ended to the other.
"""

import contextlib
import importlib
import json
import os
import sys
from typing import Any


def main() -> None:
    """Serve until nobody asks any more."""
    steady_ourselves()
    script, reader, writer = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    sys.path[0] = os.path.dirname(script)
    for descriptor in (reader, writer):
        os.set_inheritable(descriptor, False)
    with open(script, "rb") as stream:
        code = compile(stream.read(), script, "exec")
    import_backend(code)
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
            exec(code, vars(as_main(script)))
            return
        status = os.waitpid(child, 0)[1]
        results.write(f"{os.waitstatus_to_exitcode(status)}\n")
        results.flush()


def steady_ourselves() -> None:
    """Take out of this process, and the hooks that are forked from it, what differs from run to run by itself."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    steady = importlib.import_module("steady")
    # A backend may have a module of that name.
    del sys.modules["steady"], sys.path[0]
    steady.sort_directories()
    steady.name_temporaries()


def import_backend(code: Any) -> None:
    """Import the backend as the script does; a failure is told by the hook that meets it again."""
    functions = {"__name__": "_in_process"}
    exec(code, functions)
    # A backend may end the interpreter where it is imported.
    with contextlib.suppress(BaseException):
        functions["_build_backend"]()  # type: ignore[operator]


def as_main(script: str) -> Any:
    """A fresh main module for a script."""
    module = type(sys)("__main__")
    module.__file__ = script
    sys.modules["__main__"] = module
    return module


if __name__ == "__main__":
    main()

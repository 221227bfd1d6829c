"""Run pybuild and die, without any cleaning up, just before the Nth thing it does to disk or database.

``python dying.py N ARGUMENTS``; with an N that is too large it runs to its end and prints to standard error, last of
all, how many such things it did.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from pybuilder.cli.main import main
from pybuilder.state.database import Database

EFFECTS = ("fsync", "rename", "replace", "mkdir", "rmdir", "unlink", "link", "chown")


class Fuse:
    """Counts down to the end."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0
        self.owner = os.getpid()

    def guarded(self, effect: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **keywords: Any) -> Any:
            if os.getpid() == self.owner:
                self.count += 1
                if self.count == self.at:
                    os._exit(9)
            return effect(*arguments, **keywords)

        return wrapper


if __name__ == "__main__":
    fuse = Fuse(int(sys.argv[1]))
    for name in EFFECTS:
        setattr(os, name, fuse.guarded(getattr(os, name)))
    Database._write = fuse.guarded(Database._write)  # type: ignore[method-assign]
    code = main(sys.argv[2:])
    print(fuse.count, file=sys.stderr)
    sys.exit(code)

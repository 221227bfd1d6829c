"""What runs inside, below ``RUNNER``: programs of ours, the script of pyproject-hooks, and the bytecode of both."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from pathlib import Path

from pybuilder.byte_compile import bytecode
from pybuilder.sandbox import RUNNER

_CALLED = ("inside", "hooks")
_IMPORTED = ("steps", "talk", "confine", "backend", "terminal", "serve", "steady", "parallel")
_SCRIPT = "_in_process/_in_process.py"


@functools.cache
def programs() -> Mapping[str, bytes]:
    """By path below ``RUNNER``, what lies there.

    Bytecode saves compiling in every start. Other Pythons than ours look for it under another name, or find that the
    number of its format isn't theirs, and compile the source.
    """
    import pyproject_hooks

    here = Path(__file__).parent
    sources = {f"{name}.py": (here / f"{name}.py").read_bytes() for name in (*_CALLED, *_IMPORTED)}
    script = f"pyproject_hooks/{_SCRIPT}"
    sources[script] = (Path(pyproject_hooks.__file__).parent / _SCRIPT).read_bytes()
    cached = (*(f"{name}.py" for name in _IMPORTED), script)
    return {**sources, **{_cached(name): bytecode(sources[name], f"{RUNNER}/{name}") for name in cached}}


def _cached(name: str) -> str:
    directory, _, file = name.rpartition("/")
    return f"{directory}/__pycache__/{file.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc".lstrip("/")

"""Which modules a wheel puts at the top level, for the import test."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.machinery import EXTENSION_SUFFIXES

# Shipped at the top level by mistake, and broken outside their source tree.
_NOT_FOR_IMPORT = frozenset(
    {"test", "tests", "testing", "doc", "docs", "example", "examples", "benchmark", "benchmarks"}
)
_SUFFIX = re.compile(r"(\.py|\.[^/]*\.so|\.so)\Z")


def top_level_modules(files: Iterable[str]) -> tuple[str, ...]:
    """The modules and packages that an installation of these files can import, sorted.

    A directory without ``__init__`` is a namespace (PEP 420): its packages and modules stand for it, so that
    something of it is really imported.

    Args:
        files: Names inside the wheel, those of ``.data/purelib`` and ``platlib`` without that prefix.
    """
    tree: dict[str, set[str]] = {}
    for file in files:
        directory, _, name = file.rpartition("/")
        if any(not part.isidentifier() for part in directory.split("/") if part):
            continue
        tree.setdefault(directory, set()).add(name)
        while directory:
            parent, _, child = directory.rpartition("/")
            tree.setdefault(parent, set()).add(child + "/")
            directory = parent
    return tuple(sorted(name for name in _modules(tree, "") if name.split(".")[0] not in _NOT_FOR_IMPORT))


def _modules(tree: dict[str, set[str]], directory: str) -> set[str]:
    dotted = directory.replace("/", ".") + "." if directory else ""
    found = set()
    for name in tree.get(directory, ()):
        if name.endswith("/"):
            child = f"{directory}/{name[:-1]}".lstrip("/")
            inner = {_SUFFIX.sub("", entry) for entry in tree[child] if _SUFFIX.search(entry)}
            found |= {dotted + name[:-1]} if "__init__" in inner else _modules(tree, child)
        elif (module := _module(name)) and module != "__init__":
            found.add(dotted + module)
    return found


def _module(name: str) -> str:
    for suffix in (".py", *EXTENSION_SUFFIXES, ".so"):
        if name.endswith(suffix):
            stem = name[: -len(suffix)].split(".")[0]
            return stem if stem.isidentifier() else ""
    return ""

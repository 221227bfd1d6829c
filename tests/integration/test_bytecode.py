"""The bytecode of build environments, made by the real compiler."""

from __future__ import annotations

import contextlib
import importlib.util
import marshal
import platform
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pybuilder.compilers import Compilers
from pybuilder.environment import Environments, PayloadRef, PythonTarget
from pybuilder.layout import Layout
from tests.support.wheels import Draft, stored_payload

FILES = {"demo/__init__.py": b"def f(): pass\n", "demo/template.py": b"{{ name }}: no Python\n"}


def bytecode(root: Path, files: Mapping[str, bytes] = FILES) -> dict[str, bytes]:
    """All bytecode of an environment of one payload in a new state."""
    root.mkdir()
    layout = Layout(root=root / "state")
    payload, path = stored_payload(layout, root, Draft(files=dict(files)))
    python = PythonTarget(executable=sys.executable, version=platform.python_version())
    made = Environments(layout).prepare([PayloadRef(sha256=payload.sha256, path=path)], python=python)
    return {str(path.relative_to(made)): path.read_bytes() for path in made.rglob("*.pyc")}


def test_what_compiles_has_bytecode_that_is_not_checked_and_is_the_same_everywhere(tmp_path: Path) -> None:
    source = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages/demo/__init__.py"
    found = bytecode(tmp_path / "one")
    assert list(found) == [importlib.util.cache_from_source(source)]
    [data] = found.values()
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(data[4:8], "little") == 1  # PEP 552: by hash, unchecked
    assert data[8:16] == importlib.util.source_hash(FILES["demo/__init__.py"])
    assert marshal.loads(data[16:]).co_filename == f"/env/{source}"
    assert bytecode(tmp_path / "two") == found


def test_many_are_compiled_by_several_processes_and_none_is_forgotten(tmp_path: Path) -> None:
    numbers = range(300)
    found = bytecode(tmp_path / "one", {f"demo/m{n}.py": f"N = {n}\n".encode() for n in numbers})
    names = {importlib.util.cache_from_source(f"demo/m{n}.py") for n in numbers}
    assert {path.partition("site-packages/")[2] for path in found} == names
    for n in numbers:
        [data] = [data for path, data in found.items() if path.endswith(importlib.util.cache_from_source(f"m{n}.py"))]
        code = marshal.loads(data[16:])
        assert (code.co_consts[0], code.co_filename.rpartition("/")[2]) == (n, f"m{n}.py")


def test_what_was_compiled_ahead_is_the_same_and_nothing_is_compiled_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sources that a build had, as its payload has them."""
    expected = bytecode(tmp_path / "one")
    trees: list[bytes] = []
    ask = Compilers._ask

    def told(self: Compilers, function: str, *arguments: Any) -> bytes:
        if function == "compile_tree":
            trees.append(arguments[-1])
        return ask(self, function, *arguments)

    monkeypatch.setattr(Compilers, "_ask", told)
    (tmp_path / "two").mkdir()
    layout = Layout(root=tmp_path / "two" / "state")
    payload, path = stored_payload(layout, tmp_path / "two", Draft(files=dict(FILES)))
    python = PythonTarget(executable=sys.executable, version=platform.python_version())
    environments = Environments(layout)
    begun = threading.Event()

    def modules() -> Mapping[str, bytes]:
        begun.set()
        return FILES

    environments.foresee("demo", "1.0", modules, python=python)
    assert begun.wait(10)
    with contextlib.closing(environments.compilers):
        made = environments.prepare([PayloadRef(sha256=payload.sha256, path=path)], python=python)
    assert {str(path.relative_to(made)): path.read_bytes() for path in made.rglob("*.pyc")} == expected
    [foreseen] = trees
    module = f"/env/lib/python{python.minor}/site-packages/demo/__init__.py"
    assert marshal.loads(foreseen)[module] == next(iter(expected.values()))

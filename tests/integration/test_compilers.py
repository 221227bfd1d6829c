"""Processes that compile: what they do when they crash, hang, or nobody wants them any more."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from pybuilder import compilers as module
from pybuilder import interruption
from pybuilder.compilers import Compilers
from pybuilder.interruption import Interruption
from tests.support.workspaces import wait_for

SOURCES = {"a.py": b"A = 1\n", "b.py": b"B = 2\n"}
# What takes a compiler seconds.
SLOW = b"def f(): return [x for x in y]\n" * 400_000


@pytest.fixture
def compilers() -> Iterator[Compilers]:
    made = Compilers()
    yield made
    made.close()


def laid_out(root: Path, sources: Mapping[str, bytes] = SOURCES) -> Path:
    root.mkdir()
    for name, source in sources.items():
        (root / name).write_bytes(source)
    return root


def compiled(compilers: Compilers, root: Path, key: str = "demo 1") -> set[str]:
    """The modules that have bytecode after it was asked for."""
    compilers.compile(key, str(root), str(root), there="/env")
    return {path.name for path in root.glob("*.py") if Path(cache_from_source(path)).is_file()}


def processes(compilers: Compilers) -> set[int]:
    return {compiler.pid for compiler in compilers._compilers}


def test_one_process_compiles_one_thing_after_another(compilers: Compilers, tmp_path: Path) -> None:
    assert compiled(compilers, laid_out(tmp_path / "one")) == set(SOURCES)
    first = processes(compilers)
    assert compiled(compilers, laid_out(tmp_path / "two")) == set(SOURCES)
    assert processes(compilers) == first and len(first) == 1


def test_after_a_crash_another_goes_on(compilers: Compilers, tmp_path: Path) -> None:
    compiled(compilers, laid_out(tmp_path / "one"))
    [crashed] = processes(compilers)
    os.kill(crashed, signal.SIGKILL)
    assert compiled(compilers, laid_out(tmp_path / "two")) == set()
    assert compiled(compilers, laid_out(tmp_path / "three")) == set(SOURCES)
    assert crashed not in processes(compilers)


def test_one_that_hangs_is_ended(compilers: Compilers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled(compilers, laid_out(tmp_path / "one"))
    [hanging] = processes(compilers)
    os.kill(hanging, signal.SIGSTOP)
    monkeypatch.setattr(module, "_TIMEOUT", 0.3)
    assert compiled(compilers, laid_out(tmp_path / "two")) == set()
    assert hanging not in processes(compilers)
    with pytest.raises(ProcessLookupError):
        os.kill(hanging, 0)


def test_who_is_interrupted_leaves_no_process(compilers: Compilers, tmp_path: Path) -> None:
    laid_out(tmp_path / "slow", {"slow.py": SLOW})
    told, ended = Interruption(), threading.Event()

    def work() -> None:
        try:
            with told.heard():
                compiled(compilers, tmp_path / "slow")
        except KeyboardInterrupt:
            ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: processes(compilers))
    told.tell()
    thread.join(10)
    assert ended.is_set()
    assert processes(compilers) == set()


def test_what_is_compiled_ahead_is_taken_once(
    compilers: Compilers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[tuple[str, bytes]] = []
    ask = Compilers._ask

    def told(self: Compilers, function: str, *arguments: object) -> bytes:
        answers.append((function, arguments[-1] if isinstance(arguments[-1], bytes) else b""))
        return ask(self, function, *arguments)

    monkeypatch.setattr(Compilers, "_ask", told)
    asked: list[str] = []

    def modules(key: str) -> Mapping[str, bytes]:
        asked.append(key)
        return {f"/env/{name}": source for name, source in SOURCES.items()}

    for key in ("demo 1", "demo 1", "other 1"):
        compilers.foresee(key, partial(modules, key))
    wait_for(lambda: len(asked) == 2)
    assert compiled(compilers, laid_out(tmp_path / "one")) == set(SOURCES)
    assert compiled(compilers, laid_out(tmp_path / "two")) == set(SOURCES)
    trees = [given for function, given in answers if function == "compile_tree"]
    assert [bool(given) for given in trees] == [True, False]
    # Each is compiled ahead once, whenever it is asked for.
    compilers.foresee("demo 1", partial(modules, "again"))
    assert compiled(compilers, laid_out(tmp_path / "three"), "other 1") == set(SOURCES)
    assert asked == ["demo 1", "other 1"]


def test_there_is_room_for_so_much(compilers: Compilers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilers, "_room", 1)
    asked: list[str] = []

    def modules(key: str) -> Mapping[str, bytes]:
        asked.append(key)
        return {"/env/a.py": b""}

    for key in ("one 1", "two 1"):
        compilers.foresee(key, partial(modules, key))
    wait_for(compilers._foreseen["two 1"].done)
    assert asked == ["one 1"]
    assert compiled(compilers, laid_out(tmp_path / "one"), "two 1") == set(SOURCES)


def test_what_has_not_begun_is_left(compilers: Compilers, tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    asked: list[str] = []

    def modules(key: str) -> Mapping[str, bytes]:
        asked.append(key)
        begun.set()
        go_on.wait(10)
        return {}

    for key in ("one 1", "two 1"):
        compilers.foresee(key, partial(modules, key))
    assert begun.wait(10)
    compilers.rest()
    go_on.set()
    wait_for(compilers._foreseen["two 1"].done)
    assert asked == ["one 1"]
    for key in ("one 1", "two 1"):
        assert compiled(compilers, laid_out(tmp_path / key), key) == set(SOURCES)


def test_nobody_waits_for_what_has_not_begun(compilers: Compilers, tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def modules() -> Mapping[str, bytes]:
        begun.set()
        go_on.wait(10)
        return {}

    for key in ("one 1", "two 1"):
        compilers.foresee(key, modules)
    assert begun.wait(10)
    assert compiled(compilers, laid_out(tmp_path / "two"), "two 1") == set(SOURCES)
    assert not go_on.is_set()
    go_on.set()


def test_closing_ends_what_is_under_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "TICK", 30.0)  # nobody looks by himself
    compilers = Compilers()
    compilers.foresee("slow 1", lambda: {"/env/slow.py": SLOW})
    wait_for(lambda: processes(compilers))
    running = processes(compilers)
    for process in running:
        os.kill(process, signal.SIGSTOP)
    began = time.monotonic()
    compilers.close()
    assert time.monotonic() - began < 5
    for process in running:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("compile-ahead")]

"""What a host buildroot is made of: this machine's packages, and every file of the interpreter."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuilder.errors import EngineError
from pybuilder.layout import Layout
from pybuilder.plan import digest
from pybuilder.processes import Completed, run
from pybuilder.sandbox import host_root as module
from pybuilder.sandbox.host_root import host_root
from pybuilder.state import State


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[State]:
    """Where nothing is remembered yet."""
    with contextlib.closing(State.open(Layout(root=tmp_path / "state"))) as state:
        yield state


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """An interpreter of files that are small, empty, as long as a piece that is read, and longer."""
    sizes = {"a": 3, "b": 0, "c": 1 << 16, "d": (1 << 17) + 1, "e \u00e9\n": 1}
    found = [tmp_path / name for name in sizes]
    for path, size in zip(found, sizes.values(), strict=True):
        path.write_bytes(b"x" * size)
    monkeypatch.setattr(module, "_interpreter_files", lambda: iter(map(str, found)))
    return found


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files were hashed, each time that files were."""
    counts: list[int] = []

    def counted(argv: list[str], *, input: bytes) -> Completed:
        counts.append(len(input.split(b"\0")))
        return run(argv, input=input)

    monkeypatch.setattr(module, "run", counted)
    return counts


def test_every_file_counts_by_its_contents(files: list[Path], facts: State) -> None:
    expected = digest([[str(path), hashlib.sha256(path.read_bytes()).hexdigest()] for path in files])
    assert host_root(facts)().contents["interpreter"] == expected


def test_what_is_known_is_not_hashed_again(files: list[Path], facts: State, hashed: list[int]) -> None:
    root = host_root(facts)
    first = root()
    assert root() == first == host_root(facts)()
    assert hashed == [len(files)]


def test_a_file_that_changes_makes_another_root(files: list[Path], facts: State, hashed: list[int]) -> None:
    first = host_root(facts)()
    files[1].write_bytes(b"no longer empty")
    second = host_root(facts)()
    assert first.digest != second.digest and first.contents["packages"] == second.contents["packages"]
    assert hashed == [len(files)] * 2


def test_a_file_that_goes_away_is_told_to_who_needs_the_root(
    files: list[Path], facts: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_interpreter_fingerprint", lambda: "of when it was there")
    files[0].unlink()
    root = host_root(facts)
    with pytest.raises(EngineError, match=r"the files of the interpreter can't be read: .*No such file"):
        root()

"""What a store keeps of a wheel's inputs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from pybuilder.audit import DirectoryReader, Evidence, Shelf, Trust, named
from pybuilder.audit.stored import Kept
from pybuilder.layout import Layout
from pybuilder.store import Store
from tests.support.presses import RPMS, Press


class Memory:
    """Facts, each of which may be told once."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Any] = {}

    def fact(self, kind: str, key: str) -> Any:
        return self.known.get((kind, key))

    def add_fact(self, kind: str, key: str, value: Any) -> None:
        assert (kind, key) not in self.known
        self.known[kind, key] = value


@pytest.fixture
def six(tmp_path: Path) -> Evidence:
    """A wheel whose root has two RPMs that are in the store: each has its own name as its contents."""
    press = Press(state=tmp_path)
    made = press.publish("six")
    (tmp_path / "scratch").mkdir()
    shelf = Shelf(reader=DirectoryReader(press.index.root), trust=Trust(keys={}), scratch=tmp_path / "scratch")
    for rpm in RPMS:
        file = Layout(root=tmp_path).rpm(rpm["sha256"]) / f"{rpm['name']}.rpm"
        file.parent.mkdir(parents=True)
        file.write_bytes(rpm["name"].encode())
    return shelf.evidence(named(shelf, made.wheel.name))


def wrong(six: Evidence, state: Path, facts: Memory) -> list[str]:
    kept = Kept(store=Store(Layout(root=state)), facts=facts)
    return [check.problem for check in kept.checks(six) if check.problem]


def test_all_agrees_and_is_read_once(six: Evidence, tmp_path: Path) -> None:
    facts = Memory()
    assert wrong(six, tmp_path, facts) == [] and len(facts.known) == 1
    assert wrong(six, tmp_path, facts) == [] and len(facts.known) == 1


def test_a_swapped_rpm(six: Evidence, tmp_path: Path) -> None:
    """Of the same size, and after the others were found to be right."""
    facts = Memory()
    assert wrong(six, tmp_path, facts) == []
    file = Layout(root=tmp_path).rpm(RPMS[0]["sha256"]) / "bash.rpm"
    file.write_bytes(b"hsab")
    swapped = hashlib.sha256(b"hsab").hexdigest()
    assert wrong(six, tmp_path, facts) == [f"bash-1-1.x86_64 ({file}) has sha256 {swapped}"]
    assert wrong(six, tmp_path, facts) != []


def test_a_swapped_source(six: Evidence, tmp_path: Path) -> None:
    assert six.plan is not None
    file = Layout(root=tmp_path).source(six.plan.recipe.source) / "six.tar.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"another")
    [problem] = wrong(six, tmp_path, Memory())
    assert problem == f"{file} has sha256 {hashlib.sha256(b'another').hexdigest()}"

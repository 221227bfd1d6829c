from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from pybuilder.estimates import estimates, wall_seconds
from pybuilder.tree import Archive, Tree
from tests.support.planned import planned
from tests.support.planning import package

SIX = package("six==1.0")


@dataclass
class FakeState:
    """Attempts by package, newest first."""

    known: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, name: str, version: str, seconds: float | None, state: str = "succeeded") -> None:
        self.known.setdefault(name, []).insert(0, SimpleNamespace(version=version, seconds=seconds, state=state))

    def attempts(self, name: str) -> list[Any]:
        return self.known.get(name, [])


def six(size: int | None = 0, *, prebuilt: bool = False) -> Tree:
    tree = planned("six", "six 1.0")
    source = None if size is None else Archive(file="six.tar.gz", url="", sha256="ab", size=size)
    return replace(tree, nodes={SIX: replace(tree.nodes[SIX], source=source, prebuilt=prebuilt)})


def estimate(tree: Tree, state: Any = None) -> float:
    return estimates(tree, state or FakeState())[SIX]  # type: ignore[arg-type]


class TestOne:
    def test_what_it_took_the_last_time(self) -> None:
        state = FakeState()
        state.add("six", "1.0", 40.0)
        state.add("six", "1.0", 30.0)
        state.add("six", "2.0", 5.0)
        assert estimate(six(), state) == 30.0

    def test_else_what_another_version_took(self) -> None:
        state = FakeState()
        state.add("six", "0.9", 7.0)
        state.add("six", "1.1", 9.0)
        assert estimate(six(), state) == 9.0

    @pytest.mark.parametrize(("seconds", "outcome"), [(50.0, "failed"), (None, "succeeded"), (50.0, "running")])
    def test_only_what_ended_well_counts(self, seconds: float | None, outcome: str) -> None:
        state = FakeState()
        state.add("six", "1.0", seconds, outcome)
        assert estimate(six(), state) == estimate(six())

    def test_else_a_larger_source_takes_longer(self) -> None:
        assert estimate(six(0)) == estimate(six(None)) == 1.5
        assert estimate(six(10_000_000)) == pytest.approx(41.5)
        assert estimate(six(10_000_000, prebuilt=True)) == 1.5


class TestWall:
    ROWS = """
        a 1
        b 1: : a
        c 1: : b
        d 1
    """

    def wall(self, rows: str, seconds: dict[str, float], jobs: int) -> float:
        return wall_seconds(planned("", rows), {package(f"{name}==1"): each for name, each in seconds.items()}, jobs)

    def test_the_longest_chain(self) -> None:
        assert self.wall(self.ROWS, {"a": 1, "b": 2, "c": 3, "d": 4}, jobs=8) == 6
        assert self.wall(self.ROWS, {"a": 1, "b": 2, "c": 3, "d": 40}, jobs=8) == 40

    def test_all_of_it_on_all_jobs(self) -> None:
        assert self.wall(self.ROWS, {"a": 1, "b": 2, "c": 3, "d": 4}, jobs=1) == 10

    def test_what_is_there_takes_nothing(self) -> None:
        assert self.wall(self.ROWS, {"c": 3}, jobs=1) == 3
        assert self.wall(self.ROWS, {}, jobs=1) == self.wall("", {}, jobs=1) == 0

    def test_those_that_are_published_together_are_built_side_by_side(self) -> None:
        assert self.wall("a 1: b\nb 1: a\nc 1: : a", {"a": 1, "b": 2, "c": 1}, jobs=8) == 3

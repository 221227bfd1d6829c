from __future__ import annotations

from contextlib import ExitStack

import pytest

from pybuilder.sandbox import processors
from pybuilder.sandbox.processors import Processors


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> Processors:
    monkeypatch.setattr(processors, "usable", lambda: frozenset({0, 2, 3, 5}))
    return Processors()


def test_all_are_not_named(four: Processors) -> None:
    for wanted in (0, 4, 9):
        with four.some(wanted) as chosen:
            assert chosen == ()


def test_builds_beside_each_other_have_others(four: Processors) -> None:
    with four.some(1) as one, four.some(1) as two, four.some(2) as three:
        assert sorted(one + two + three) == [0, 2, 3, 5]


def test_more_than_there_are_are_shared_evenly(four: Processors) -> None:
    with ExitStack() as builds:
        given = [each for _ in range(4) for each in builds.enter_context(four.some(3))]
        assert sorted(given) == sorted([0, 2, 3, 5] * 3)


def test_they_are_given_back(four: Processors) -> None:
    with pytest.raises(KeyboardInterrupt), four.some(3):
        raise KeyboardInterrupt
    with four.some(2) as one, four.some(2) as two:
        assert sorted(one + two) == [0, 2, 3, 5]


def test_this_machine() -> None:
    assert processors.usable()

from __future__ import annotations

import pytest
import solv

from pybuilder.evr import compare_evr, without_arch


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0-1", "1.1-1"),
        ("1.9-1", "1.10-1"),
        ("1.0-9", "1.0-10"),
        ("9.9-1", "1:0.1-1"),
        ("1.0~rc1-1", "1.0-1"),
        ("1.0~rc1-1", "1.0~rc2-1"),
        ("1.0~~-1", "1.0~-1"),
        ("1.0-1", "1.0^git1-1"),
        ("1.0^git1-1", "1.0^git2-1"),
        ("1.0^git1-1", "1.0.1-1"),
        ("1.0^git1~pre-1", "1.0^git1-1"),
        ("1.0a-1", "1.0.1-1"),
        ("1.0-1", "1.0a-1"),
        ("1.0a-1", "1.0b-1"),
        ("1.0-1.fc44", "1.0-1.fc45"),
        ("1.0-1", "1.0.0-1"),
        ("20240101-1", "20240102-1"),
    ],
)
def test_the_newer_one(older: str, newer: str) -> None:
    assert compare_evr(older, newer) == -1
    assert compare_evr(newer, older) == 1
    assert compare_evr(newer, newer) == compare_evr(older, older) == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [("1.0-1", "0:1.0-1"), ("1.0-1", "1_0-1"), ("1.05-1", "1.5-1"), ("a.b-1", "a+b-1"), ("1.-1", "1-1")],
)
def test_what_is_the_same(one: str, other: str) -> None:
    assert compare_evr(one, other) == 0


def test_as_rpm_itself_says() -> None:
    """Every pair of these, against libsolv, which has rpm's own comparison."""
    pool = solv.Pool()
    parts = [
        "1",
        "1.0",
        "1.1",
        "1.10",
        "1.9",
        "1.0~rc1",
        "1.0~",
        "1.0^",
        "1.0^a",
        "1.0^1",
        "1a",
        "1.a",
        "1.a1",
        "a",
        "01",
    ]
    known = [f"{epoch}{part}-{release}" for epoch in ("", "1:") for part in parts for release in ("1", "1.fc45", "2~x")]
    repo = pool.add_repo("x")
    solvables = []
    for evr in known:
        solvable = repo.add_solvable()
        solvable.evr = evr
        solvables.append(solvable)
    for one, first in zip(known, solvables, strict=True):
        for other, second in zip(known, solvables, strict=True):
            assert compare_evr(one, other) == first.evrcmp(second), (one, other)


def test_an_evra_without_its_architecture() -> None:
    assert without_arch("1:2.0-3.fc45.x86_64") == "1:2.0-3.fc45"

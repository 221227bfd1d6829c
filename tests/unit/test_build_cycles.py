from __future__ import annotations

import pytest

from pybuilder.errors import ConfigError
from pybuilder.soundness import build_cycles
from pybuilder.tree import package_id
from tests.support.planned import planned


def cycles(rows: str) -> dict[str, str]:
    """Who is in a cycle, and the cycle in words."""
    found = build_cycles(planned("", rows))
    return {package_id(package): error.what.partition(": ")[2] for package, error in found.items()}


@pytest.mark.parametrize(
    "rows",
    [
        "a 1\nb 1: : a",
        # Its own backend: it needs nothing to be built.
        "flit-core 1\nb 1: : flit-core",
        # Installed with each other, which is no trouble.
        "a 1: b\nb 1: a",
        "a 1: b: tool\nb 1: a: tool\ntool 1",
        # An older version builds the newer one.
        "a 1\na 2: : a==1",
    ],
)
def test_no_cycle(rows: str) -> None:
    assert cycles(rows) == {}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("a 1: : a", {"a==1": "a 1 needs a 1"}),
        ("a 1: : b\nb 1: : a", dict.fromkeys(["a==1", "b==1"], "a 1 needs b 1 needs a 1")),
        # Through what the tool is installed with.
        ("a 1: : tool\nlib 1: a\ntool 1: lib", {"a==1": "a 1 needs tool 1 needs lib 1 needs a 1"}),
        # The shortest way is told.
        (
            "a 1: : b; c\nb 1: : c\nc 1: : a",
            dict.fromkeys(["a==1", "b==1", "c==1"], "a 1 needs c 1 needs a 1"),
        ),
    ],
)
def test_everyone_who_has_to_be_built_for_itself(rows: str, expected: dict[str, str]) -> None:
    assert cycles(rows) == expected


def test_two_cycles_are_two_errors_and_each_says_what_to_do() -> None:
    found = build_cycles(planned("", "a 1: : b\nb 1: : a\nx 1: : x\ny 1: : x"))
    errors = list(dict.fromkeys(found.values()))
    assert [error.package for error in errors] == [("a", "1"), ("x", "1")]
    assert all(isinstance(error, ConfigError) for error in errors)
    assert [error.where for error in errors] == ["specs/a.toml", "specs/x.toml"]
    assert all("[prebuilt] reason" in error.cure for error in errors)

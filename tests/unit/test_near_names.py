"""Which names could be taken for which, and which could not."""

from __future__ import annotations

import pytest

from pybuilder.near_names import distance, near_names

SEPARATORS = "the same but for separators"
ALIKE = "letters that look alike"
ORDER = "the same words in another order"
AROUND = "the same but for what is put before or after it"
ONE = "one letter differs"
TWO = "two letters differ"


@pytest.mark.parametrize(
    ("name", "known", "how"),
    [
        ("py-yaml", "pyyaml", SEPARATORS),
        ("pyyaml", "py-yaml", SEPARATORS),
        ("date-util", "dateutil", SEPARATORS),
        ("1xml", "lxml", ALIKE),
        ("ixml", "lxml", ALIKE),
        ("nurnpy", "numpy", ALIKE),
        ("nurnpy", "nunpy", ONE),
        ("rnarkdown", "markdown", ALIKE),
        ("vvheel", "wheel", ALIKE),
        ("urllib-e", "urllib-3", ONE),
        ("reque5ts", "requests", ALIKE),
        ("colour-ama", "ama-colour", ORDER),
        ("python-six", "six", AROUND),
        ("six-dev", "six", AROUND),
        ("pysix", "six", AROUND),
        ("six3", "six", AROUND),
        ("python-requests-dev", "requests", AROUND),
        ("requests", "python-requests", AROUND),
        ("reqeusts", "requests", ONE),
        ("requets", "requests", ONE),
        ("requestss", "requests", AROUND),
        ("sixx", "six", ONE),
        ("setuptolls", "setuptools", ONE),
        ("setuptlos", "setuptools", TWO),
        ("cryptograhpyy", "cryptography", TWO),
    ],
)
def test_what_is_near(name: str, known: str, how: str) -> None:
    assert [(near.name, near.how) for near in near_names(name, [known])] == [(known, how)]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("six", "six"),
        ("pip", "zip"),
        ("attrs", "click"),
        ("cffi", "certifi"),
        ("idna", "wheel"),
        ("python", "py"),
        ("jinja2", "markupsafe"),
        ("flit-core", "hatchling"),
        ("pluggy", "plugins-x"),
    ],
)
def test_what_is_not(name: str, known: str) -> None:
    assert near_names(name, [known]) == ()


def test_the_most_alike_come_first_each_once() -> None:
    known = ["reqests", "python-requests", "re-quests", "requests", "reque5ts", "reqests"]
    assert [near.name for near in near_names("requests", known)] == [
        "re-quests",
        "reque5ts",
        "python-requests",
        "reqests",
    ]


@pytest.mark.parametrize(
    ("one", "two", "limit", "expected"),
    [
        ("", "", 2, 0),
        ("abc", "abc", 0, 0),
        ("abc", "acb", 2, 1),
        ("abc", "ab", 2, 1),
        ("abc", "abcd", 2, 1),
        ("abc", "axc", 2, 1),
        ("ca", "abc", 3, 3),
        ("kitten", "sitting", 5, 3),
        ("kitten", "sitting", 2, 3),
        ("a", "abcdef", 2, 3),
    ],
)
def test_distance(one: str, two: str, limit: int, expected: int) -> None:
    assert distance(one, two, limit) == expected
    assert distance(two, one, limit) == expected

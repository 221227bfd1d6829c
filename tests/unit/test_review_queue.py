"""What an entry of the queue is, and which versions those who wait would take."""

from __future__ import annotations

import pytest
from packaging.version import Version

from pybuilder.review_queue import Waiting, wanted_specifiers


def entry(requirement: str, wanted_by: str = "alpha 1.0") -> Waiting:
    return Waiting(name="six", requirement=requirement, wanted_by=wanted_by, first_seen="2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("wanted_by", "update", "screening"),
    [
        ("update", True, False),
        ("update 1.0", False, False),
        ("the build of update 1.0", False, False),
        ("the screening of its source, which has 1 archive: x.zip", False, True),
    ],
)
def test_what_kind_it_is(wanted_by: str, update: bool, screening: bool) -> None:
    made = entry("six==1.0", wanted_by)
    assert (made.is_update, made.is_screening) == (update, screening)
    assert made.as_json["wanted_by"] == wanted_by and made.version == Version("1.0")


def test_all_that_is_wanted_together_comes_first() -> None:
    entries = [entry("six>=1"), entry("six[fast]<3; python_version > '3'"), entry("six"), entry("six==9", "update")]
    assert [str(each) for each in wanted_specifiers(entries)] == ["<3,>=1", ">=1", "<3", ""]


def test_nobody_wants_anything_of_the_version() -> None:
    assert [str(each) for each in wanted_specifiers([])] == [""]

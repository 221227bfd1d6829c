"""Ranges of patches, split at a new version: what is pinned keeps its patch."""

from __future__ import annotations

import pytest
from packaging.version import Version

from pybuilder.patch_ranges import Split, contains, split


@pytest.mark.parametrize(
    ("versions", "new", "pinned", "found"),
    [
        ("", "2.0", "1.0 1.5", ("<2.0", ">=2.0", "")),
        ("", "2.0", "", ("<2.0", ">=2.0", "")),
        (">=1,<5", "2.0", "1.0", (">=1,<2.0", ">=2.0,<5", "")),
        (">1, <=5, !=1.7", "2.0", "1.5", (">1,!=1.7,<2.0", ">=2.0,<=5,!=1.7", "")),
        ("", "5.3.10", "5.3.9 5.4.1 5.4.2", ("<5.3.10", ">=5.3.10,<5.4.1", ">=5.4.1")),
        (">=5,<6", "5.3.10", "5.3.9 5.4.1 6.1", (">=5,<5.3.10", ">=5.3.10,<5.4.1", ">=5.4.1,<6")),
        ("==5.*", "5.2", "5.1 4.9", ("==5.*,<5.2", ">=5.2,==5.*", "")),
        ("", "2.0", "2.0rc1", ("<=2.0rc1", ">=2.0", "")),
        ("", "2.0.post1", "2.0", ("<2.0.post1", ">=2.0.post1", "")),
        ("", "2.0+cu126", "1.0", ("<2.0", ">=2.0", "")),
        ("<9", "2.0+cu126", "2.0+cu118", None),
    ],
)
def test_a_range_is_split_so_that_every_pin_keeps_its_side(
    versions: str, new: str, pinned: str, found: tuple[str, str, str] | None
) -> None:
    others = [Version(text) for text in pinned.split()]
    pieces = split(versions, Version(new), pinned=[*others, Version(new)])
    assert pieces == (None if found is None else Split(older=found[0], newer=found[1], later=found[2]))
    if pieces:
        for version in others:
            was = contains(versions, version)
            is_now = contains(pieces.older, version) or (pieces.later != "" and contains(pieces.later, version))
            assert was == is_now, version

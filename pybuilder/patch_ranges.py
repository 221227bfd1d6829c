"""Which versions a patch is for, once a newer version takes another one, or none.

The versions that are pinned already must be built as before, so an old patch is never changed or taken away under them:
the range of its entry ends before the new version, and what the new version needs gets an entry of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import Version

_LOWER, _UPPER = (">", ">="), ("<", "<=")


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """The range of an entry in pieces, as ``versions`` has them.

    Attributes:
        older: What is older than the new version.
        newer: The new version, and what comes after it in its series.
        later: What is pinned beyond that, in another series; empty where nothing is.
    """

    older: str
    newer: str
    later: str


def split(versions: str, new: Version, *, pinned: Iterable[Version]) -> Split | None:
    """Split a range at a new version.

    Args:
        versions: The range, as ``[[patches]] versions`` has it; the new version is in it.
        new: The new version.
        pinned: The versions that are pinned besides.

    Returns:
        None where no ranges keep these apart, as for two versions that differ in their local labels.
    """
    users = sorted(version for version in pinned if version != new and contains(versions, version))
    clauses = [clause.strip() for clause in versions.split(",") if clause.strip()]
    beyond = [version for version in users if version > new]
    below = [version for version in users if version < new]
    # A prerelease of the new version is not below it in PEP 440's sense.
    ends = [f"<{new.public}", *(f"<={version.public}" for version in below[-1:])]
    found = (_pieces(clauses, new, end, beyond) for end in ends)
    return next((pieces for pieces in found if _keeps(pieces, new, users)), None)


def contains(versions: str, version: Version) -> bool:
    """Whether a range has a version; prereleases count, as for everything in a spec."""
    return SpecifierSet(versions).contains(version, prereleases=True)


def _pieces(clauses: Sequence[str], new: Version, end: str, beyond: Sequence[Version]) -> Split:
    # The new version is in the range, so its own bounds say nothing on the side where it is cut.
    lower, upper = _but(clauses, _UPPER), _but(clauses, _LOWER)
    start = f">={new.public}"
    if not beyond:
        return Split(older=",".join([*lower, end]), newer=",".join([start, *upper]), later="")
    other = beyond[0].public
    return Split(
        older=",".join([*lower, end]),
        newer=",".join([start, *_but(upper, _UPPER), f"<{other}"]),
        later=",".join([f">={other}", *upper]),
    )


def _but(clauses: Sequence[str], operators: Sequence[str]) -> list[str]:
    return [clause for clause in clauses if Specifier(clause).operator not in operators]


def _keeps(pieces: Split, new: Version, users: Sequence[Version]) -> bool:
    """Whether the new version has its own piece, and everybody else is in another."""

    def old(version: Version) -> bool:
        return contains(pieces.older, version) or bool(pieces.later and contains(pieces.later, version))

    apart = all(old(version) and not contains(pieces.newer, version) for version in users)
    return apart and contains(pieces.newer, new) and not old(new)

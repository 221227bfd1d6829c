"""Names that could be taken for others: what a person should notice before accepting a package."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# What reads alike in one typeface or another; of each pair the second stands for both. Pairs of letters come first.
_ALIKE = (
    ("rn", "m"),
    ("nn", "m"),
    ("vv", "w"),
    ("cl", "d"),
    ("0", "o"),
    ("1", "l"),
    ("i", "l"),
    ("5", "s"),
    ("2", "z"),
)
_PREFIXES = ("python-", "python", "py-", "py", "lib")
_SUFFIXES = ("-python", "python", "-py", "py", "-dev", "-devel", "-lib", "-pkg", "-package", "2", "3", "s")
# Shorter names have too many neighbours for one letter, or two, to mean anything.
_ONE_LETTER, _TWO_LETTERS = 4, 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Near:
    """A name that another could be taken for.

    Attributes:
        name: The other name.
        how: What is alike, a half-sentence.
    """

    name: str
    how: str


def near_names(name: str, known: Iterable[str]) -> tuple[Near, ...]:
    """The known names that a name could be taken for, the most alike first.

    Compared as typosquatters choose names: other separators, letters that look alike, words in another order, what is
    often put before or after a name, letters swapped, left out, added or replaced.

    Args:
        name: A normalised name.
        known: Normalised names; the name itself is no neighbour of its own.
    """
    ways = _ways(name)
    found = []
    for other in dict.fromkeys(known):
        if other == name:
            continue
        for rank, (how, same) in enumerate(ways):
            if same(other):
                found.append((rank, other, how))
                break
    return tuple(Near(name=other, how=how) for _, other, how in sorted(found))


def distance(one: str, two: str, limit: int) -> int:
    """How many letters must be added, left out, replaced or swapped with the next to make one text of the other.

    The restricted Damerau-Levenshtein distance; ``limit + 1`` stands for all that is more than the limit.
    """
    if abs(len(one) - len(two)) > limit:
        return limit + 1
    before: list[int] = []
    last = list(range(len(two) + 1))
    for row, letter in enumerate(one, start=1):
        now = [row]
        for column, other in enumerate(two, start=1):
            cost = min(last[column] + 1, now[-1] + 1, last[column - 1] + (letter != other))
            if before and column > 1 and (letter, one[row - 2]) == (two[column - 2], other):
                cost = min(cost, before[column - 2] + 1)
            now.append(cost)
        if min(now) > limit:
            return limit + 1
        before, last = last, now
    return min(last[-1], limit + 1)


def _ways(name: str) -> tuple[tuple[str, Callable[[str], bool]], ...]:
    """The ways of being alike, the strongest first."""
    joined, look, words, core = _joined(name), _look(name), _words(name), _core(name)
    return (
        ("the same but for separators", lambda other: _joined(other) == joined),
        ("letters that look alike", lambda other: _look(other) == look),
        ("the same words in another order", lambda other: _words(other) == words),
        ("the same but for what is put before or after it", lambda other: _core(other) == core),
        ("one letter differs", lambda other: len(max(name, other, key=len)) >= _ONE_LETTER and _differ(name, other, 1)),
        (
            "two letters differ",
            lambda other: len(min(name, other, key=len)) >= _TWO_LETTERS and _differ(name, other, 2),
        ),
    )


def _differ(one: str, two: str, letters: int) -> bool:
    return distance(one, two, letters) <= letters


def _joined(name: str) -> str:
    return name.replace("-", "")


def _look(name: str) -> str:
    look = _joined(name)
    for alike, letter in _ALIKE:
        look = look.replace(alike, letter)
    return look


def _words(name: str) -> tuple[str, ...]:
    return tuple(sorted(re.split("-", name)))


def _core(name: str) -> str:
    """A name without what is often put before or after it, as often as that is there; never all of it."""
    core = name
    while True:
        shorter = next((core.removeprefix(each) for each in _PREFIXES if core.startswith(each)), core)
        shorter = next((shorter.removesuffix(each) for each in _SUFFIXES if shorter.endswith(each)), shorter)
        shorter = shorter.strip("-")
        if shorter == core or len(shorter) < 2:
            return _joined(core)
        core = shorter

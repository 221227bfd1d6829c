"""Which of two versions of an RPM is newer, as rpm says (rpmvercmp.c, rpm-version(7))."""

from __future__ import annotations

import re

_SEGMENT = re.compile(r"[0-9]+|[A-Za-z]+")
_SEPARATORS = re.compile(r"[^0-9A-Za-z~^]+")


def compare_evr(one: str, other: str) -> int:
    """Compare two of ``[EPOCH:]VERSION-RELEASE``; no epoch means 0.

    Returns:
        1 where the first is newer, -1 where it is older, 0 where they are the same.
    """
    pairs = zip(_split(one), _split(other), strict=True)
    return next((order for order in (_compare(*pair) for pair in pairs) if order), 0)


def without_arch(evra: str) -> str:
    """``[EPOCH:]VERSION-RELEASE`` of an EVRA."""
    return evra.rpartition(".")[0]


def _split(evr: str) -> tuple[str, str, str]:
    epoch, colon, rest = evr.rpartition(":")
    version, _, release = rest.partition("-")
    return epoch if colon else "0", version, release


def _compare(one: str, other: str) -> int:
    """Segment by segment; ``~`` sorts before everything, even the end, ``^`` after the end and before all else."""
    while one or other:
        one, other = (_SEPARATORS.sub("", text, count=1) if _SEPARATORS.match(text) else text for text in (one, other))
        for mark in "~^":
            if one[:1] == mark or other[:1] == mark:
                if one[:1] != other[:1]:
                    return _marked(one, other, mark)
                one, other = one[1:], other[1:]
                break
        else:
            if not one or not other:
                return (one > other) - (one < other)
            if order := _segments(one, other):
                return order
            one, other = one[_length(one) :], other[_length(other) :]
    return 0


def _marked(one: str, other: str, mark: str) -> int:
    if mark == "~":
        return -1 if one[:1] == mark else 1
    if not one or not other:
        return 1 if one else -1
    return -1 if one[:1] == mark else 1


def _length(text: str) -> int:
    match = _SEGMENT.match(text)
    return match.end() if match else 0


def _segments(one: str, other: str) -> int:
    """The first segments of two texts, a number being newer than letters."""
    first, second = one[: _length(one)], other[: _length(other)]
    if first.isdigit() != second.isdigit():
        return 1 if first.isdigit() else -1
    if first.isdigit():
        first, second = first.lstrip("0"), second.lstrip("0")
        if len(first) != len(second):
            return 1 if len(first) > len(second) else -1
    return (first > second) - (first < second)

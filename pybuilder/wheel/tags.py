"""Which Python a wheel serves (PEP 425; the abi3 rules of packaging)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import product


def supported_tags(python: tuple[int, int], platforms: Sequence[str]) -> tuple[str, ...]:
    """All tags that CPython of one minor version accepts, the most specific first.

    Args:
        python: Major and minor version, such as ``(3, 14)``; the usual build, with the lock.
        platforms: The platform tags of the machine, the most specific first.
    """
    from packaging.tags import compatible_tags, cpython_tags

    # The abi is named, or packaging would ask the interpreter that runs now.
    interpreter = f"cp{python[0]}{python[1]}"
    own = cpython_tags(python, abis=[interpreter], platforms=platforms)
    return tuple(map(str, (*own, *compatible_tags(python, interpreter, platforms))))


def expand_tag(tag: str) -> tuple[str, ...]:
    """The single tags that a compressed tag set stands for (PEP 425), sorted."""
    return tuple(sorted("-".join(parts) for parts in product(*(part.split(".") for part in tag.split("-")))))


def accepted(wheel_tags: Iterable[str], supported: Collection[str]) -> bool:
    """Whether an installer that accepts the tags ``supported`` takes a wheel with these tags."""
    return not set(supported).isdisjoint(wheel_tags)

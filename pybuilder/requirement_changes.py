"""How requirements differ between two versions of a package, for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

Kind = Literal["build", "install", "Python"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RequirementChange:
    """What one version requires otherwise than the other.

    Attributes:
        kind: Where it counts.
        name: The package, normalised; ``python`` for Requires-Python.
        before: As it was stated; empty where nothing was required.
        after: As it is stated now; empty where nothing is required any more.
    """

    kind: Kind
    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def line(self) -> str:
        """As a line of a message: ``install: idna>=2 -> idna>=3``."""
        before, after = (" and ".join(texts) for texts in (self.before, self.after))
        if before and after:
            return f"{self.kind}: {before} -> {after}"
        return f"{self.kind}: new: {after}" if after else f"{self.kind}: gone: {before}"

    @property
    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {"kind": self.kind, "name": self.name, "before": list(self.before), "after": list(self.after)}


def changes(
    kind: Literal["build", "install"], before: Iterable[Requirement], after: Iterable[Requirement]
) -> tuple[RequirementChange, ...]:
    """What differs, by name; the order in which requirements are stated means nothing.

    Args:
        kind: Where they count.
        before: What the old version requires.
        after: What the new one requires.
    """
    old, new = _by_name(before), _by_name(after)
    return tuple(
        RequirementChange(
            kind=kind, name=name, before=_sorted(old[name] - new[name]), after=_sorted(new[name] - old[name])
        )
        for name in sorted(old.keys() | new.keys())
        if old[name] != new[name]
    )


def python_change(before: str, after: str) -> tuple[RequirementChange, ...]:
    """The change of Requires-Python, if there is one; empty means any Python."""
    old, new = ("".join(text.split()) for text in (before, after))
    if set(old.split(",")) == set(new.split(",")):
        return ()
    return (RequirementChange(kind="Python", name="python", before=(before or "any",), after=(after or "any",)),)


def _by_name(requirements: Iterable[Requirement]) -> defaultdict[NormalizedName, set[str]]:
    found: defaultdict[NormalizedName, set[str]] = defaultdict(set)
    for requirement in requirements:
        found[canonicalize_name(requirement.name)].add(str(requirement))
    return found


def _sorted(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(texts))

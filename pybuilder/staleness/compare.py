"""What is not as it was when something was built: its recipe, its build environment, what lay under it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pybuilder.evr import compare_evr, without_arch
from pybuilder.made_from import Beside, RootRpm

_SHOWN = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class RootChange:
    """How what lies under a build differs from what lay under it.

    Attributes:
        kind: ``recipe`` where somebody asks for other RPMs, ``lock`` where those that are locked have moved.
        detail: In a few words.
    """

    kind: Literal["recipe", "lock"]
    detail: str


def environment_changes(before: Sequence[Beside], now: Sequence[Beside]) -> tuple[tuple[str, str], ...]:
    """The packages that are others in a build environment, each with a few words.

    Args:
        before: What was in it.
        now: The same packages, as they would be in it now.
    """
    return tuple(
        (old.name, _moved(old, new)) for old, new in zip(before, now, strict=True) if old.payload != new.payload
    )


def _moved(old: Beside, new: Beside) -> str:
    if old.version != new.version:
        return f"{old.name} {old.version} -> {new.version}"
    return f"{old.name} {old.version} is another build"


def root_change(before: Collection[RootRpm], now: Collection[RootRpm], own: Collection[RootRpm]) -> RootChange:
    """What differs between two roots of other digests.

    An RPM that only some builds have, and that is there without any other having moved, was asked for or is asked for
    no more: that is a person's change. So is one that the package itself asks for and that was not there. What else
    differs comes from the lock.

    Args:
        before: What lay under the build; empty where that was a machine's own system.
        now: What would lie under it now.
        own: What would, if only the package itself asked for RPMs.
    """
    if not before or not now:
        return RootChange(kind="lock", detail="this machine's system is not what it was")
    old, new = {rpm.name: rpm for rpm in before}, {rpm.name: rpm for rpm in now}
    moved = sorted(name for name in old.keys() & new.keys() if old[name].sha256 != new[name].sha256)
    added = sorted(rpm.name for rpm in own if not rpm.is_base and rpm.name not in old)
    gone = sorted(rpm.name for rpm in before if not rpm.is_base and rpm.name not in new)
    if added or (gone and not moved):
        told = [*(f"RPM {name} is asked for" for name in added), *(f"RPM {name} is not any more" for name in gone)]
        return RootChange(kind="recipe", detail=few(told))
    told = [f"{name} {old[name].evra} -> {new[name].evra}" for name in moved]
    told += [f"{name} is new" for name in sorted(new.keys() - old.keys())]
    told += [f"{name} is gone" for name in sorted(old.keys() - new.keys())]
    return RootChange(kind="lock", detail=few(told) or "the same RPMs make another root")


def fixes(before: Iterable[RootRpm], security: Mapping[str, str]) -> tuple[str, ...]:
    """The RPMs of which a newer version has a security fix that what lay under a build lacks, each in a few words.

    Args:
        before: What lay under it; none where that was a machine's own system.
        security: By name, the newest version up to the locked one that a security advisory names, and its id.
    """
    found = []
    for rpm in before:
        evr, _, advisory = security.get(rpm.name, "").partition(" ")
        if evr and compare_evr(without_arch(rpm.evra), evr) < 0:
            found.append(f"{rpm.name} {evr} fixes {advisory}")
    return tuple(found)


def few(told: Iterable[str]) -> str:
    """The first of some phrases, and how many more there are."""
    told = list(told)
    more = len(told) - _SHOWN
    return "; ".join([*told[:_SHOWN], *([f"{more} more"] if more > 0 else [])])

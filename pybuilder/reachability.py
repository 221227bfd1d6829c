"""What must stay: from attempts that somebody needs, along what each was made from, down to sources, payloads and RPMs.

Nothing is read here: what an attempt was made from is asked of whoever knows, and only of attempts that are reached.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """An attempt that has ended.

    Attributes:
        id: Its name, which sorts by time.
        key: The digest of its plan.
        line: Name, channel and target: the attempts that follow each other.
        payload: sha256 of what it made; empty where it failed.
    """

    id: str
    key: str
    line: tuple[str, str, str]
    payload: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """What an attempt was made from, by sha256.

    Attributes:
        source: The source archive.
        payloads: Those in its build environment.
        rpms: Those of its root.
    """

    source: str
    payloads: tuple[str, ...]
    rpms: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Needed:
    """What must stay, by sha256."""

    sources: frozenset[str] = frozenset()
    payloads: frozenset[str] = frozenset()
    rpms: frozenset[str] = frozenset()

    def __or__(self, other: Needed) -> Needed:
        return Needed(
            sources=self.sources | other.sources,
            payloads=self.payloads | other.payloads,
            rpms=self.rpms | other.rpms,
        )


def newest(attempts: Iterable[Tried], count: int) -> frozenset[str]:
    """The ids of the last attempts at each package, for each channel and target; those that failed count as well."""
    lines: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for attempt in attempts:
        lines[attempt.line].append(attempt.id)
    return frozenset(each for ids in lines.values() for each in sorted(ids)[-count:])


def needed(
    attempts: Mapping[str, Tried],
    inputs: Callable[[Tried], Inputs | None],
    *,
    wanted: Iterable[str],
    payloads: Iterable[str] = (),
) -> Needed:
    """Everything that some attempts and payloads are made from, and what that is made from, to the end.

    A payload that several attempts have made is followed to the newest of them.

    Args:
        attempts: All there are, by id.
        inputs: What an attempt was made from; None where nobody knows any more.
        wanted: The ids of attempts to start from; what they made is needed, too.
        payloads: Payloads to start from.
    """
    makers: dict[str, str] = {}
    for each in sorted(attempts):
        makers[attempts[each].payload] = each
    makers.pop("", None)
    found_sources: set[str] = set()
    found_rpms: set[str] = set()
    found_payloads, seen = set(payloads), {each for each in wanted if each in attempts}
    pending = seen | {makers[payload] for payload in found_payloads if payload in makers}
    while pending:
        seen |= pending
        made_of = [known for each in pending if (known := inputs(attempts[each])) is not None]
        found_sources.update(each.source for each in made_of)
        found_rpms.update(*(each.rpms for each in made_of))
        fresh = {attempts[each].payload for each in pending if attempts[each].payload}
        fresh.update(payload for each in made_of for payload in each.payloads)
        found_payloads |= fresh
        pending = {makers[payload] for payload in fresh if payload in makers} - seen
    return Needed(sources=frozenset(found_sources), payloads=frozenset(found_payloads), rpms=frozenset(found_rpms))

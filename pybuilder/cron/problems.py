"""What has gone wrong, told once: a server that mails the same every hour is soon unread.

A problem is known by its kind and its subject. It is new in the pass that first comes upon it, and again in one where
its words have changed; where it is gone it is forgotten, so that it is told again if it comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from pybuilder.errors import PybuildError
from pybuilder.passes import Awaited, Problem

# So many that one server answers alike are one problem: that of the server.
_MANY = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What a pass has met; the fields are those of ``Problem``."""

    kind: str
    subject: str
    what: str
    exit_code: int
    phase: str = ""
    where: str = ""
    cure: str = ""

    @classmethod
    def of(cls, error: PybuildError, *, kind: str, subject: str) -> Trouble:
        """What an error says. Its log is where it is, which is not part of what it is."""
        return cls(
            kind=kind,
            subject=subject,
            what=" ".join(error.what.split()),
            exit_code=error.exit_code,
            phase=error.phase,
            where=error.log or error.where,
            cure=error.cure,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What earlier passes have told: a value that the state keeps between two passes.

    Attributes:
        problems: By kind and subject.
        review: Since when each package waits, by name and requirement.
    """

    problems: Mapping[tuple[str, str], Problem]
    review: frozenset[tuple[str, str]]

    @classmethod
    def read(cls, data: Any) -> Told:
        """From what ``written`` made; None for the first pass."""
        data = data or {"problems": [], "review": []}
        problems = [
            Problem(**{**each, "first_seen": datetime.fromisoformat(each["first_seen"]), "new": False})
            for each in data["problems"]
        ]
        return cls(
            problems={(each.kind, each.subject): each for each in problems},
            review=frozenset((name, requirement) for name, requirement in data["review"]),
        )


def written(problems: Iterable[Problem], review: Iterable[Awaited]) -> Any:
    """What the next pass must know, for JSON."""
    kept = [{**asdict(each), "first_seen": each.first_seen.isoformat()} for each in problems]
    for each in kept:
        del each["new"]
    return {"problems": kept, "review": sorted({(each.name, each.requirement) for each in review})}


def compare(
    troubles: Iterable[Trouble], before: Told, *, stays: Callable[[Problem], bool], now: datetime
) -> tuple[Problem, ...]:
    """The problems there are, each new or not.

    Args:
        troubles: What this pass has met.
        before: What was told before it.
        stays: Whether a problem that this pass has not met is still there: nobody has looked.
        now: The time.
    """
    found: dict[tuple[str, str], Problem] = {}
    for trouble in together(troubles):
        identity = (trouble.kind, trouble.subject)
        known = before.problems.get(identity)
        problem = Problem(**asdict(trouble), first_seen=known.first_seen if known else now, new=True)
        found.setdefault(identity, replace(problem, new=known is None or _words(known) != _words(problem)))
    kept = {identity: each for identity, each in before.problems.items() if identity not in found and stays(each)}
    return tuple(sorted([*found.values(), *kept.values()], key=lambda each: (each.kind, each.subject)))


def together(troubles: Iterable[Trouble]) -> list[Trouble]:
    """The same, with one in place of many that one server answers alike."""
    groups: dict[tuple[str, str, str], list[Trouble]] = {}
    for trouble in troubles:
        groups.setdefault((trouble.kind, _host(trouble) or trouble.subject, trouble.what), []).append(trouble)
    told: list[Trouble] = []
    for (_, host, _), group in groups.items():
        if len(group) < _MANY or not _host(group[0]):
            told += group
        else:
            told.append(replace(group[0], subject=host))
    return told


def _host(trouble: Trouble) -> str:
    """The server that a trouble is with; empty where it is with none."""
    return urlsplit(trouble.where).netloc if "://" in trouble.where else ""


def _words(problem: Problem) -> tuple[str, str, int]:
    return problem.what, problem.phase, problem.exit_code

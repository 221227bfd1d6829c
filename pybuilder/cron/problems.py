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
LATE = "report"
"""The kind of what goes wrong after a pass, which no pass can know of itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What a pass has met.

    Attributes:
        holds: The builds that it holds back, as ``name==version``: while these wait, nobody tries it.
        kind: As in ``Problem``, and so are the others.
    """

    kind: str
    subject: str
    what: str
    exit_code: int
    phase: str = ""
    where: str = ""
    cure: str = ""
    holds: tuple[str, ...] = ()

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

    def holding(self, builds: Iterable[str]) -> Trouble:
        """The same, with what it holds back."""
        return replace(self, holds=tuple(sorted(builds)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A trouble among those of earlier passes.

    Attributes:
        trouble: What it is.
        first_seen: When a pass first came upon it.
        new: Whether that is this pass, or its words have changed since the last.
    """

    trouble: Trouble
    first_seen: datetime
    new: bool

    @property
    def problem(self) -> Problem:
        """As others learn of it."""
        facts = asdict(self.trouble)
        del facts["holds"]
        return Problem(**facts, first_seen=self.first_seen, new=self.new)


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What earlier passes have told: a value that the state keeps between two passes.

    Attributes:
        standing: By kind and subject.
        review: Who waits, by name and requirement.
    """

    standing: Mapping[tuple[str, str], Standing]
    review: frozenset[tuple[str, str]]

    @classmethod
    def read(cls, data: Any) -> Told:
        """From what ``written`` made; None for the first pass."""
        data = data or {"standing": [], "review": []}
        found = [
            Standing(
                trouble=Trouble(**{**facts, "holds": tuple(facts["holds"])}),
                first_seen=datetime.fromisoformat(first_seen),
                new=False,
            )
            for facts, first_seen in data["standing"]
        ]
        return cls(
            standing={(each.trouble.kind, each.trouble.subject): each for each in found},
            review=frozenset((name, requirement) for name, requirement in data["review"]),
        )


def written(standing: Iterable[Standing], review: Iterable[Awaited]) -> Any:
    """What the next pass must know, for JSON."""
    return {
        "standing": [[asdict(each.trouble), each.first_seen.isoformat()] for each in standing],
        "review": sorted({(each.name, each.requirement) for each in review}),
    }


def compare(
    troubles: Iterable[Trouble], before: Told, *, stays: Callable[[Trouble], bool], now: datetime
) -> tuple[Standing, ...]:
    """The problems there are, each new or not.

    Args:
        troubles: What this pass has met.
        before: What was told before it.
        stays: Whether a problem that this pass has not met is still there: nobody has looked.
        now: The time.
    """
    found: dict[tuple[str, str], Standing] = {}
    for trouble in together(troubles):
        identity = (trouble.kind, trouble.subject)
        known = before.standing.get(identity) or _told_as_one_of_many(trouble, before)
        new = known is None or _words(known.trouble) != _words(trouble)
        found.setdefault(identity, Standing(trouble=trouble, first_seen=known.first_seen if known else now, new=new))
    kept = {i: each for i, each in before.standing.items() if i not in found and stays(each.trouble)}
    return tuple(each for _, each in sorted({**found, **kept}.items()))


def _told_as_one_of_many(trouble: Trouble, before: Told) -> Standing | None:
    """What a server's trouble was told as, of which this is what is left."""
    many = (each for each in before.standing.values() if each.trouble.subject == _host(trouble) != "")
    return next(
        (each for each in many if each.trouble.kind == trouble.kind and trouble.subject in each.trouble.holds), None
    )


def together(troubles: Iterable[Trouble]) -> list[Trouble]:
    """The same, each place once, and with one in place of many that one server answers alike."""
    groups: dict[tuple[str, str, str], list[Trouble]] = {}
    places: dict[tuple[str, str], Trouble] = {}
    for trouble in troubles:
        # A spec that is wrong stands in the way of more than one thing.
        if trouble.where and places.setdefault((trouble.what, trouble.where), trouble) is not trouble:
            continue
        groups.setdefault((trouble.kind, _host(trouble) or trouble.subject, trouble.what), []).append(trouble)
    told: list[Trouble] = []
    for (_, host, _), group in groups.items():
        if len(group) < _MANY or not _host(group[0]):
            told += group
        else:
            held = {each.subject for each in group}.union(*(each.holds for each in group))
            told.append(replace(group[0], subject=host).holding(held))
    return told


def _host(trouble: Trouble) -> str:
    """The server that a trouble is with; empty where it is with none."""
    return urlsplit(trouble.where).netloc if "://" in trouble.where else ""


def _words(trouble: Trouble) -> tuple[str, str, int]:
    return trouble.what, trouble.phase, trouble.exit_code

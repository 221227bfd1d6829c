"""Our payloads against those that another pybuild has made from the same keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName

from pybuilder.audit.shelf import Shelf
from pybuilder.errors import UsageError
from pybuilder.index.pages import File
from pybuilder.wheel.reasons import told

NAMES = ("ours", "theirs")


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Two payloads of one key.

    Attributes:
        name: The project.
        key: The digest of the plan by which both were made.
        ours: Our wheel's file name and payload.
        theirs: Theirs.
        difference: The first file in which they differ, and how, from ours to theirs; empty where they are the same.
        problem: Why they can't be compared: one of the wheels is not what its index says.
    """

    name: str
    key: str
    ours: tuple[str, str]
    theirs: tuple[str, str]
    difference: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Challenge:
    """What came of a challenge.

    Attributes:
        compared: The keys that both have.
        alone: File names of our wheels for whose keys they have nothing.
        unknown: File names of our wheels whose keys nobody can say, since their records can't be read.
    """

    compared: tuple[Compared, ...]
    alone: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def differ(self) -> tuple[Compared, ...]:
        """Those that came out differently."""
        return tuple(each for each in self.compared if each.difference)

    @property
    def broken(self) -> tuple[Compared, ...]:
        """Those that could not be compared."""
        return tuple(each for each in self.compared if each.problem)


def challenge(ours: Shelf, theirs: Shelf, *, only: Sequence[NormalizedName] = ()) -> Challenge:
    """Compare what two indexes have for the same keys: the wheels themselves, whatever is said of them.

    Args:
        ours: Our index.
        theirs: The other one.
        only: The projects to compare; none for all that both have.

    Raises:
        ValidationError: A page of one of them is damaged.
        UsageError: One of them is no index, or ours has not what is named.
        FetchError: One of them can't be read.
    """
    compared: list[Compared] = []
    alone: list[str] = []
    unknown: list[str] = []
    here, there = ours.projects(), set(theirs.projects())
    for name in only:
        if name not in here:
            raise UsageError(f"our index has no {name}", where=ours.reader.where, cure="challenge what it has")
    for project in here:
        if only and project not in only:
            continue
        listed = ours.wheels(project)
        rivals = theirs.wheels(project) if project in there else ()
        mine, others = _by_key(ours, listed), _by_key(theirs, rivals)
        unknown += [file.filename for file in mine.pop("", ())]
        for key, files in mine.items():
            if key not in others:
                alone += [file.filename for file in files]
            for one in files:
                compared += [_compare(project, key, (ours, one), (theirs, other)) for other in others.get(key, ())]
        for shelf, wheels in ((ours, listed), (theirs, rivals)):
            for file in wheels:
                shelf.reader.forget(f"files/{file.filename}")
    return Challenge(compared=tuple(compared), alone=tuple(alone), unknown=tuple(unknown))


def _by_key(shelf: Shelf, wheels: Sequence[File]) -> dict[str, list[File]]:
    """Wheels by the keys of their plans, of each payload that is claimed the newest number; without a key by none."""
    found: dict[str, dict[str, File]] = {}
    for file in wheels:
        claim = shelf.claim(file)
        found.setdefault(shelf.key(file), {})[claim.payload_sha256 if claim else file.filename] = file
    return {key: list(files.values()) for key, files in found.items()}


def _compare(project: str, key: str, one: tuple[Shelf, File], other: tuple[Shelf, File]) -> Compared:
    ours, theirs = (_Side.of(name, *side) for name, side in zip(NAMES, (one, other), strict=True))
    problem = "; ".join(filter(None, (ours.problem, theirs.problem)))
    differ = not problem and ours.payload != theirs.payload
    return Compared(
        name=project,
        key=key,
        ours=(ours.file.filename, ours.payload),
        theirs=(theirs.file.filename, theirs.payload),
        difference=_first_difference(ours, theirs) if differ else "",
        problem=problem,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Side:
    """A wheel of one of the two, and the payload that it really holds."""

    shelf: Shelf
    file: File
    wheel: Path | None
    payload: str
    problem: str

    @classmethod
    def of(cls, name: str, shelf: Shelf, file: File) -> _Side:
        wheel = shelf.reader.file(f"files/{file.filename}")
        if wheel is None:
            return cls(shelf=shelf, file=file, wheel=None, payload="", problem=f"{name}, {file.filename}, is missing")
        content = shelf.content(wheel)
        sound = content.payload and content.sha256 == file.sha256
        problem = "" if sound else f"{name}, {file.filename}, is not the one that its page lists, or damaged"
        return cls(shelf=shelf, file=file, wheel=wheel, payload=content.payload, problem=problem)


def _first_difference(ours: _Side, theirs: _Side) -> str:
    assert ours.wheel is not None and theirs.wheel is not None
    with ours.shelf.stripped(ours.wheel) as (mine, _), theirs.shelf.stripped(theirs.wheel) as (other, _):
        return told(mine, other, names=NAMES)

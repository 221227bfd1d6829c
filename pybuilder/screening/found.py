"""What screening finds in a source, as a value that is kept by digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pybuilder.printable import printable

if TYPE_CHECKING:
    from pybuilder.screening.formats import Format, Kind

LISTED = 1000
"""How many files are told one by one; what is more is counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One file that is compiled, or an archive.

    Attributes:
        path: Below the top of the source; ``a.zip!/b`` lies in the archive ``a.zip``. Printable.
        kind: What it is.
        format: In more words.
        size: Its bytes.
        sha256: Its digest.
        note: Of an archive, why what is in it was not looked at, or not all of it; else empty.
    """

    path: str
    kind: Kind
    format: str
    size: int
    sha256: str
    note: str = ""

    @classmethod
    def of(cls, path: str, what: Format, *, size: int, sha256: str, note: str = "") -> Found:
        """A file under a path that anybody may have made up."""
        return cls(path=printable(path), kind=what.kind, format=what.name, size=size, sha256=sha256, note=note)


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """All that was found in one source or patch.

    Attributes:
        files: In the order in which they were met.
        unlisted: How many compiled files, and how many archives, there are besides.
    """

    files: tuple[Found, ...] = ()
    unlisted: Mapping[Kind, int]

    @property
    def as_json(self) -> dict[str, Any]:
        """As the state keeps them."""
        return {"files": [asdict(each) for each in self.files], "unlisted": dict(self.unlisted)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Findings:
        """What ``as_json`` gave."""
        return cls(files=tuple(Found(**each) for each in data["files"]), unlisted=data["unlisted"])

    @classmethod
    def first(cls, found: Sequence[Found]) -> Findings:
        """As many as are listed of all that was found, and how many there are besides."""
        rest: dict[Kind, int] = {}
        for each in found[LISTED:]:
            rest[each.kind] = rest.get(each.kind, 0) + 1
        return cls(files=tuple(found[:LISTED]), unlisted=rest)

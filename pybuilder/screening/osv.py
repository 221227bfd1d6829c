"""What advisories say of a version: records of the Open Source Vulnerability format, judged as its schema says.

The rules are those under "Evaluation" in the schema (ossf.github.io/osv-schema); versions compare as PEP 440 has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from pybuilder.printable import printable

Record = Mapping[str, Any]

ECOSYSTEM = "PyPI"
_SUMMARY = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Advisory:
    """An advisory that a version is affected by.

    Attributes:
        id: Its id; where several records are about the same, the first of theirs.
        aliases: The other ids of the same, sorted.
        summary: In a sentence, or empty. Printable.
        fixed: The versions that mend it, as they are written there.
    """

    id: str
    aliases: tuple[str, ...]
    summary: str
    fixed: tuple[str, ...]

    @property
    def as_json(self) -> dict[str, Any]:
        """As the state keeps it."""
        return {**asdict(self), "aliases": list(self.aliases), "fixed": list(self.fixed)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Advisory:
        """What ``as_json`` gave."""
        return cls(**{**data, "aliases": tuple(data["aliases"]), "fixed": tuple(data["fixed"])})

    @property
    def ids(self) -> frozenset[str]:
        """All of its ids."""
        return frozenset((self.id, *self.aliases))


def names_in(record: Record) -> frozenset[NormalizedName]:
    """The packages of Python that a record is about; none for one that was withdrawn."""
    if record.get("withdrawn"):
        return frozenset()
    return frozenset(canonicalize_name(each["package"]["name"]) for each in _affected(record))


def affecting(records: Iterable[Record], name: NormalizedName, version: Version) -> tuple[Advisory, ...]:
    """The advisories that a version is affected by; records that are aliases of each other are one of them.

    Args:
        records: Any, those of other packages and ecosystems included.
        name: The package.
        version: Upstream's.

    Raises:
        KeyError, TypeError, AttributeError: A record is not of the format.
    """
    # Advisories are about what upstream numbers, and know nothing of local labels.
    version = Version(version.public)
    hits: list[tuple[Record, list[Record]]] = []
    for record in records:
        if not record.get("withdrawn"):
            own = [each for each in _affected(record) if canonicalize_name(each["package"]["name"]) == name]
            if any(_is_affected(version, each) for each in own):
                hits.append((record, own))
    return tuple(sorted((_advisory(group) for group in _same(hits)), key=lambda advisory: advisory.id))


def _affected(record: Record) -> list[Record]:
    affected = record.get("affected") or ()
    return [each for each in affected if each.get("package", {}).get("ecosystem") == ECOSYSTEM]


def _is_affected(version: Version, affected: Record) -> bool:
    listed = affected.get("versions") or ()
    if any(_version(text) == version for text in listed):
        return True
    ranges = [each for each in affected.get("ranges") or () if each["type"] == "ECOSYSTEM"]
    return any(_in_range(version, each["events"], listed=bool(listed)) for each in ranges)


def _in_range(version: Version, events: Sequence[Mapping[str, str]], *, listed: bool) -> bool:
    """Whether a version is in a range.

    Args:
        version: The version.
        events: The range's.
        listed: Whether the affected versions are also listed one by one.
    """
    timeline: list[tuple[Version, int, str]] = []
    for event in events:
        for kind, text in event.items():
            if (kind, text) == ("introduced", "0"):
                # No version is before this one.
                timeline.append((Version("0.dev0"), len(timeline), kind))
            elif kind == "limit" and text == "*":
                continue
            elif (at := _version(text)) is None:
                # Nobody can tell where it lies: the list counts, and where there is none, better too much is told.
                return not listed
            else:
                timeline.append((at, len(timeline), kind))
    limits = [at for at, _, kind in timeline if kind == "limit"]
    if limits and not any(version < at for at in limits) and {"limit": "*"} not in events:
        return False
    inside = False
    for at, _, kind in sorted(timeline):
        if kind == "introduced" and version >= at:
            inside = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            inside = False
    return inside


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _same(hits: Iterable[tuple[Record, list[Record]]]) -> list[list[tuple[Record, list[Record]]]]:
    """The records in groups of those about the same, which is symmetric and transitive (the schema, "aliases")."""
    groups: list[tuple[set[str], list[tuple[Record, list[Record]]]]] = []
    for hit in hits:
        ids, members = {hit[0]["id"], *(hit[0].get("aliases") or ())}, [hit]
        for known in [each for each in groups if each[0] & ids]:
            groups.remove(known)
            ids, members = ids | known[0], known[1] + members
        groups.append((ids, members))
    return [members for _, members in groups]


def _advisory(group: Sequence[tuple[Record, list[Record]]]) -> Advisory:
    records = sorted((record for record, _ in group), key=lambda record: str(record["id"]))
    first = records[0]["id"]
    ids = {alias for record in records for alias in (record["id"], *(record.get("aliases") or ()))}
    summaries = [record["summary"] for record in records if record.get("summary")]
    fixed = {
        event["fixed"]
        for _, affected in group
        for each in affected
        for span in each.get("ranges") or ()
        if span["type"] == "ECOSYSTEM"
        for event in span["events"]
        if "fixed" in event
    }
    return Advisory(
        id=printable(first),
        aliases=tuple(sorted(map(printable, ids - {first}))),
        summary=printable(" ".join(summaries[0].split()))[:_SUMMARY] if summaries else "",
        fixed=tuple(map(printable, sorted(fixed, key=lambda text: (_version(text) or Version("0"), text)))),
    )

"""``specs/rejected.toml``: the packages that somebody has looked at and does not want, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from packaging.utils import NormalizedName
from pydantic import AfterValidator, Field

from pybuilder.errors import ConfigError
from pybuilder.fields import OwnName, Table
from pybuilder.printable import printable
from pybuilder.toml import parse, validated

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

FILE = "specs/rejected.toml"
_HEAD = """\
# Packages that somebody has looked at and does not want; whoever asks for one is told why.
# `pybuild review reject NAME --reason TEXT` adds one, `pybuild review approve NAME` takes it in after all.
"""


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("this time has no zone; end it with 'Z'")
    return moment.astimezone(UTC)


class Rejection(Table):
    """What somebody has said about a package."""

    reason: str = Field(default="", description="Why nobody should take it in.")
    by: str = Field(default="", description="Who said so: the name that git knows.")
    when: Annotated[datetime, AfterValidator(_utc)] | None = Field(default=None, description="When.")

    @property
    def sentence(self) -> str:
        """All of it, without the package's name: ``rejected on 2026-11-26 by Ada: not maintained``."""
        on = f" on {self.when:%Y-%m-%d}" if self.when else ""
        by = f" by {self.by}" if self.by else ""
        return printable(f"rejected{on}{by}: {' '.join(self.reason.split()) or 'no reason was given'}")

    @property
    def as_json(self) -> dict[str, str]:
        """All of it for programs; empty where nobody said."""
        when = f"{self.when:%Y-%m-%dT%H:%M:%SZ}" if self.when else ""
        return {"reason": self.reason, "by": self.by, "when": when}


class _File(Table):
    packages: Mapping[OwnName, Rejection] = Field(default={}, description="The packages, by name.")


Rejections = Mapping[NormalizedName, Rejection]


def parse_rejections(text: str) -> Rejections:
    """The rejected packages, by name.

    Args:
        text: The file's text.

    Raises:
        ConfigError: Lists everything that is wrong with it.
    """
    return dict(validated(parse(text, FILE), _File).packages)


def with_rejection(text: str, name: str, *, reason: str, by: str, when: datetime) -> str:
    """The file with a package rejected; what it said of that package before is replaced.

    Args:
        text: The file's text; empty where there is no file.
        name: The package, normalised.
        reason: Why; may be empty.
        by: Who; may be empty.
        when: When, in UTC.

    Raises:
        ConfigError: The text is no such file.
    """
    import tomlkit

    document = _parsed(text or _HEAD)
    if "packages" not in document:
        document["packages"] = tomlkit.table(is_super_table=True)
    packages: Any = document["packages"]
    entry = packages.get(name)
    if entry is None:
        packages[name] = entry = tomlkit.table()
    for key, value in (("reason", reason), ("by", by), ("when", when.astimezone(UTC).replace(microsecond=0))):
        if value:
            entry[key] = value
        else:
            entry.pop(key, None)
    return _checked(document)


def without_rejection(text: str, name: str) -> str:
    """The file without a package, if it has it.

    Raises:
        ConfigError: The text is no such file.
    """
    known = parse_rejections(text)
    if name not in known:
        return text
    document, lines = parse(text, FILE), text.splitlines(keepends=True)
    places = {path: document.position(path)[0] - 1 for path in (("packages",), *(("packages", each) for each in known))}
    start = places["packages", name]
    if not lines[start].lstrip().startswith("["):
        return _without_key(text, name)
    # tomlkit would take the comment above the next table for the end of this one.
    ends = [_with_comment(lines, place) for place in places.values() if place > start]
    kept = [*lines[: _with_comment(lines, start)], *lines[min(ends, default=len(lines)) :]]
    text = "".join(kept)
    parse_rejections(text)
    return text


def _with_comment(lines: Sequence[str], place: int) -> int:
    """Where the comment begins that stands right above a line; the line itself where there is none."""
    while place and lines[place - 1].lstrip().startswith("#"):
        place -= 1
    return place


def _without_key(text: str, name: str) -> str:
    document = _parsed(text)
    packages: Any = document["packages"]
    del packages[name]
    return _checked(document)


def _parsed(text: str) -> TOMLDocument:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    parse_rejections(text)
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError(f"this can't be edited: {error}", where=FILE, cure="correct the file first") from error


def _checked(document: TOMLDocument) -> str:
    text = document.as_string()
    parse_rejections(text)
    return text


def review_cure(names: Sequence[str], refusals: Mapping[str, str]) -> str:
    """What to do about packages that nobody has accepted.

    Args:
        names: The packages.
        refusals: What somebody has said against each, if anything.
    """
    new = [name for name in names if not refusals.get(name)]
    if not new:
        return f"do without; or take it in after all: pybuild review approve {' '.join(names)}"
    look = new[0] if len(new) == 1 else "NAME"
    return f"look at it: pybuild review show {look}; then take it in: pybuild review approve {' '.join(new)}"

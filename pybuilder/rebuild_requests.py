"""``rebuild.toml``: what somebody asks to have rebuilt, though nothing that it is made of has changed.

``"lxml==5.4.0" = { requested = 2026-11-26T05:00:00Z, reason = "built with a broken gcc" }``. A request is satisfied
by what was begun after its time, so that nobody has to delete it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version
from pydantic import PlainValidator, ValidationError

from pybuilder.errors import ConfigError, UsageError
from pybuilder.fields import Reason, Table
from pybuilder.names import normalize
from pybuilder.toml import Document, Problem, describe, parse, problems

FILE = "rebuild.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class RebuildRequest:
    """One request.

    Attributes:
        name: The package.
        version: Its version; None for every live one.
        requested: When it was asked for; in the future, it waits until then.
        reason: Why.
        place: Where it is written, for messages.
    """

    name: NormalizedName
    version: Version | None
    requested: datetime
    reason: str
    place: str


def _moment(value: Any) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(
            f"expected a time with its offset from UTC, such as 2026-11-26T05:00:00Z, found {describe(value)}"
        )
    return value


class _Entry(Table):
    requested: Annotated[datetime, PlainValidator(_moment)]
    reason: Reason


def parse_requests(text: str) -> tuple[tuple[RebuildRequest, ...], tuple[ConfigError, ...]]:
    """Read what somebody asks to have rebuilt.

    Args:
        text: The text of ``rebuild.toml``.

    Returns:
        The requests that can be read, in the file's order, and what is wrong with the others.
    """
    try:
        document = parse(text, FILE)
    except ConfigError as error:
        return (), (error,)
    found, wrong = [], []
    for key, value in document.data.items():
        try:
            found.append(_request(document, key, value))
        except ConfigError as error:
            wrong.append(error)
    return tuple(found), tuple(wrong)


def _request(document: Document, key: str, value: object) -> RebuildRequest:
    name, equals, version = key.partition("==")
    try:
        entry = _Entry.model_validate(value)
        return RebuildRequest(
            name=normalize(name.strip()),
            version=Version(version) if equals else None,
            requested=entry.requested,
            reason=entry.reason,
            place=document.place((key,)),
        )
    except ValidationError as error:
        raise document.error(problems(error, _Entry, (key,))) from error
    except (UsageError, InvalidVersion) as error:
        text = f"{key!r} names no package; write it as 'lxml' or 'lxml==5.4.0'"
        raise document.error([Problem(path=(key,), text=text)]) from error

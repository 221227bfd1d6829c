"""What people type, read once for all commands."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from packaging.requirements import InvalidRequirement, Requirement

from pybuilder.errors import UsageError


def parse_requirement(text: str) -> Requirement:
    """A requirement on an index's package (PEP 508).

    Raises:
        UsageError: It is none, or names a URL.
    """
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise UsageError(f"{text!r} is no requirement: {error}", cure="write it as NAME or NAME==VERSION") from error
    if requirement.url:
        raise UsageError(f"{text!r} names a URL", cure="put the URL into [source] of a spec")
    return requirement


def parse_since(text: str, now: datetime) -> datetime:
    """A moment, as an ISO 8601 date or time (UTC unless it says otherwise), or how long ago it was: ``7d``, ``12h``.

    Raises:
        UsageError: It is neither.
    """
    from pybuilder.fields import duration

    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    try:
        return now - duration(text)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is no time", cure="write a date, a time or how long ago: 2026-11-26, 2026-11-26T05:30, 7d, 12h"
        ) from error

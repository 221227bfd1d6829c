"""What people type, read once for all commands."""

from __future__ import annotations

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

"""What a run came to, as a value: faces render it, tests compare it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pybuilder.errors import PybuildError
from pybuilder.stages.publish import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A package that could not be published, and the requirements that were asked for and could not be met."""

    name: str
    version: str
    error: PybuildError
    held_back: tuple[str, ...]

    @classmethod
    def of(cls, error: PybuildError, held_back: Sequence[Requirement]) -> Failure:
        """The failure of the package that the error happened to, else of the first that was asked for."""
        name, version = error.package or (canonicalize_name(held_back[0].name), "")
        return cls(name=name, version=version, error=error, held_back=tuple(map(str, held_back)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a run came to.

    Attributes:
        built: Published under a new number in this run.
        cached: Asked for, and published already as it should be.
        failed: In the order in which they failed.
        review: ``(name, requirement, wanted_by)`` of packages that nobody has accepted.
        seconds: Wall time.
    """

    built: tuple[Outcome, ...]
    cached: tuple[Outcome, ...]
    failed: tuple[Failure, ...]
    review: tuple[tuple[str, str, str], ...]
    seconds: float

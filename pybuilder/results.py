"""What a run came to, as a value: faces render it, tests compare it."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pybuilder import events
from pybuilder.errors import PostponedError, PybuildError, ReviewError
from pybuilder.events import Event
from pybuilder.stages.publish import Outcome
from pybuilder.tree import Package, Tree, needing, package_id


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


@dataclass(slots=True)
class Setbacks:
    """What could not be done in a run; one cause is told once, whatever it holds back.

    Attributes:
        stopped: What was asked for and goes no further.
        review: ``(name, requirement, wanted_by)`` of packages that nobody has accepted, in order.
    """

    stopped: set[Requirement] = field(default_factory=set)
    review: dict[tuple[str, str, str], None] = field(default_factory=dict)
    _failed: dict[PybuildError, list[Requirement]] = field(default_factory=dict)

    def add(self, error: PybuildError, requirement: Requirement) -> bool:
        """Note what stopped a requirement; whether it is a failure that was not known before."""
        self.stopped.add(requirement)
        if isinstance(error, ReviewError):
            self.review.update(dict.fromkeys(error.wanted))
            return False
        self._failed.setdefault(error, []).append(requirement)
        return len(self._failed[error]) == 1

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failures in the order in which they happened."""
        return tuple(Failure.of(error, held_back) for error, held_back in self._failed.items())


@dataclass(slots=True)
class Faults:
    """What went wrong in a run over a tree; one cause is told once, however often it is met."""

    _failed: dict[PybuildError, Collection[Package]] = field(default_factory=dict)

    def add(self, error: PybuildError, packages: Collection[Package]) -> bool:
        """Note what packages failed of; whether that was not known before."""
        if any((error.package, error.what) == (known.package, known.what) for known in self._failed):
            return False
        self._failed[error] = packages
        return True

    def told(self, error: PybuildError, tree: Tree) -> Iterator[Event]:
        """What is told of one that was not known before: it, and all that it holds back in a tree."""
        name, version = error.package or ("", "")
        if isinstance(error, PostponedError):
            yield events.Waiting(name=name, version=version, on="a later run")
        else:
            yield events.Failed(name=name, version=version, phase=error.phase, error=error.what, log=error.log)
        for held in sorted(needing(tree, self._failed[error]).difference(self._failed[error])):
            yield events.Waiting(name=held[0], version=str(held[1]), on=f"{name}=={version}")

    def failures(self, tree: Tree, done: Container[Package]) -> tuple[Failure, ...]:
        """The failures in the order in which they happened, each with all that it holds back in a tree."""
        return tuple(self._failure(error, tree, done) for error in self._failed)

    def _failure(self, error: PybuildError, tree: Tree, done: Container[Package]) -> Failure:
        name, version = error.package or ("", "")
        held = [package for package in needing(tree, self._failed[error]) if package not in done]
        others = sorted(package_id(package) for package in held if (package[0], str(package[1])) != (name, version))
        return Failure(name=name, version=version, error=error, held_back=tuple(others))


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a run came to.

    Attributes:
        built: Published under a new number in this run.
        cached: Asked for, and published already as it should be.
        failed: In the order in which they failed.
        review: ``(name, requirement, wanted_by)`` of packages that nobody has accepted.
        seconds: Wall time.
        refusals: What somebody has said against those of ``review`` that were looked at before, by name.
    """

    built: tuple[Outcome, ...]
    cached: tuple[Outcome, ...]
    failed: tuple[Failure, ...]
    review: tuple[tuple[str, str, str], ...]
    seconds: float
    refusals: Mapping[str, str] = field(default_factory=dict)

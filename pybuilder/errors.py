"""What can go wrong, and the exit code each kind of failure has.

Every error a caller may want to catch is here. An error says what failed, where (a file with line and dotted key,
a URL, a log), and what to do about it; only the command line prints it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import ClassVar


class PybuildError(Exception):
    """The base of all errors that pybuild raises on purpose.

    Args:
        what: What failed, one sentence without a full stop at its end.
        where: The place: ``specs/six.toml:3:1 [source].type``, a URL, a path; may be empty.
        cure: What the reader can do about it; may be empty.

    Attributes:
        package: The name and version it happened to, once a run knows that.
        attempt: The id of the attempt that failed, if it was one.
        log: The log of that attempt.
    """

    exit_code: ClassVar[int] = 1
    phase: ClassVar[str] = "internal"

    def __init__(self, what: str, *, where: str = "", cure: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.cure = cure
        self.package: tuple[str, str] | None = None
        self.attempt = ""
        self.log = ""

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.cure:
            lines.append(f"  do: {self.cure}")
        return "\n".join(lines)


class StateError(PybuildError):
    """The state directory is damaged, full or unwritable: a fault on our side of the fence."""

    phase = "state"


class UsageError(PybuildError):
    """The command line asks for something that has no meaning."""

    exit_code = 2
    phase = "usage"


class ConfigError(PybuildError):
    """A spec, buildroot or pybuild.toml is wrong.

    Attributes:
        parts: The same one by one, where it is about several lines of a file.
    """

    exit_code = 3
    phase = "spec"

    def __init__(self, what: str, *, where: str = "", cure: str = "", parts: tuple[ConfigError, ...] = ()) -> None:
        super().__init__(what, where=where, cure=cure)
        self.parts = parts

    @classmethod
    def of(cls, parts: Sequence[ConfigError], *, what: str, cure: str = "") -> ConfigError:
        """One error for several: the only one itself, else one that lists each with its place.

        Args:
            parts: At least one.
            what: The sentence about all of them, such as how many there are.
            cure: What to do about all of them; default: what each says, in its line where they say different things.
        """
        if len(parts) == 1:
            return parts[0]
        alike = bool(cure) or len({part.cure for part in parts}) == 1
        told = [": ".join(filter(None, (part.where, part.what))) for part in parts]
        lines = told if alike else [f"{line}; {part.cure}" for line, part in zip(told, parts, strict=True)]
        cure = cure or (parts[0].cure if alike else "correct these lines")
        return cls(what, where="\n         ".join(lines), cure=cure, parts=tuple(parts))


class CommitError(PybuildError):
    """The workspace's git repository can't take a commit: somebody's work is in the way, or a hook or git refuses."""

    exit_code = 3
    phase = "commit"


class BuildError(PybuildError):
    """The backend failed, or what it made is no wheel of this package."""

    exit_code = 10
    phase = "build"


class PostponedError(PybuildError):
    """A build that there is no more time for in this run; it is no failure, and a later run makes it."""

    phase = "budget"


class BuildTimeout(PybuildError):
    """A build ran longer than its limit."""

    exit_code = 11
    phase = "build"


class ReproducibilityError(PybuildError):
    """The same plan has made two different payloads."""

    exit_code = 12
    phase = "check"


class EngineError(PybuildError):
    """The sandbox can't be made or can't be sealed."""

    exit_code = 20
    phase = "buildroot"


class FetchError(PybuildError):
    """Something can't be fetched, has another digest than its pin, or no version satisfies."""

    exit_code = 30
    phase = "fetch"


class ConflictError(FetchError):
    """No versions go together."""


class ReviewError(PybuildError):
    """Packages that nobody has accepted are needed.

    Args:
        what: The sentence.
        wanted: ``(name, requirement, wanted_by)`` for each package that waits.
    """

    exit_code = 40
    phase = "review"

    def __init__(self, what: str, *, wanted: tuple[tuple[str, str, str], ...], cure: str = "") -> None:
        super().__init__(what, cure=cure)
        self.wanted = wanted


class ValidationError(PybuildError):
    """A wheel was built but must not be published."""

    exit_code = 50
    phase = "validate"


class SigningError(PybuildError):
    """A key can't be used: others can read it, it is damaged, or it is none."""

    exit_code = 3
    phase = "sign"


class ScreeningError(PybuildError):
    """Something was found in a source, or is known of its version, for which the workspace refuses it."""

    exit_code = 50
    phase = "screen"


class LockedError(PybuildError):
    """Another run holds the lock."""

    exit_code = 60
    phase = "lock"


@contextlib.contextmanager
def blame(package: tuple[str, object]) -> Iterator[None]:
    """Say which package, by name and version, an error happened to: the innermost."""
    try:
        yield
    except PybuildError as error:
        error.package = error.package or (package[0], str(package[1]))
        raise


EXIT_PRECEDENCE = (1, 3, 60, 20, 30, 50, 10, 11, 40)


def combined_exit_code(codes: list[int]) -> int:
    """The exit code of a run in which several things went wrong: the first of the contract's order that occurs."""
    for code in EXIT_PRECEDENCE:
        if code in codes:
            return code
    return codes[0] if codes else 0

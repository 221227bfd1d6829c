"""What the library reports while it works; a face renders it, or nobody does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """Nobody named a buildroot; this one is taken."""

    buildroot: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Preparing:
    """Something that builds share is being made, such as a root; ``what`` in a few words."""

    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Damaged:
    """Something in the store had another digest than it is filed under, and is not used.

    Attributes:
        what: Its kind and the digest it should have, ``sources/<sha256>``.
        file: Where it lies now, for who wants to know what became of it.
    """

    what: str
    file: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetching:
    """A source is being downloaded; ``total`` bytes where the server says so."""

    name: str
    version: str
    done: int
    total: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """A phase of a package begins: fetch, inspect, build, validate; a span of the same phase tells of its end.

    Attributes:
        name: The package's, normalised.
        version: Upstream's.
        phase: In a word; ``wait`` where another run is building the package.
        detail: Of a build its log, of a wait its reason.
    """

    name: str
    version: str
    phase: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A phase has ended, well or not. Spans of one thread nest: a build's contains that of its sandbox.

    Attributes:
        name: The package's, normalised; empty for what is done for the whole run.
        version: Upstream's, or empty.
        phase: In a word or two.
        began: In seconds of the monotonic clock.
        seconds: Wall time.
        thread: A number that no other thread has at that time.
    """

    name: str
    version: str
    phase: str
    began: float
    seconds: float
    thread: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A tree has been planned; it comes again when the tree is planned anew.

    Attributes:
        total: How many packages are in it.
        cached: How many of these were published as they should be before this run, so that nothing is done for them;
            ``Cached`` may be told of these as well.
        seconds: Estimated wall time from now to the end.
    """

    total: int
    cached: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Remaining:
    """The rest of a planned tree has been estimated anew: wall seconds from now to the end."""

    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A package goes no further in this run.

    Attributes:
        name: Normalised.
        version: Upstream's.
        on: What it waits for: ``review``, ``a later run``, or the package that holds it back, as ``name==version``.
    """

    name: str
    version: str
    on: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """A piece of what a build prints."""

    name: str
    version: str
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Cached:
    """A package is published as it should be; nothing is done for it."""

    name: str
    version: str
    build: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A package has been published under a number; where there is no key, its provenance is not signed."""

    name: str
    version: str
    build: str
    signed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A package failed."""

    name: str
    version: str
    phase: str
    error: str
    log: str


Event = (
    Chosen
    | Preparing
    | Damaged
    | Planned
    | Remaining
    | Fetching
    | Started
    | Span
    | Output
    | Waiting
    | Cached
    | Published
    | Failed
)
# Events come from whatever thread something happens in, several at once.
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A listener for those who don't want to know."""

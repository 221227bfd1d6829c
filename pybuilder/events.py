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
class Fetching:
    """A source is being downloaded; ``total`` bytes where the server says so."""

    name: str
    version: str
    done: int
    total: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """A phase of a package begins: fetch, plan, build, validate, publish."""

    name: str
    version: str
    phase: str
    detail: str = ""


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
    """A package has been published under a number."""

    name: str
    version: str
    build: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A package failed."""

    name: str
    version: str
    phase: str
    error: str
    log: str


Event = Chosen | Preparing | Fetching | Started | Output | Cached | Published | Failed
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A listener for those who don't want to know."""

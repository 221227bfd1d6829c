"""What published builds were made from and what they need where they are installed, remembered by attempt.

Records say it all, but reading thousands of them takes minutes. What is wanted of one is read once and kept as a fact
of the state, which may be lost: then it is read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, Protocol

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pybuilder.errors import PybuildError
from pybuilder.layout import Layout
from pybuilder.plan import Root
from pybuilder.plan_diff import Account
from pybuilder.record import read_plan, read_record
from pybuilder.resolution import applies
from pybuilder.stages.inspect import payload_requires
from pybuilder.state import State
from pybuilder.store import Store

_FACT, _RPMS = "made-from", "root-rpms"
# Of the facts: raise it when they would say something else.
_VERSION = 1
_EXTRA = re.compile(r"""\bextra\s*[=!]=\s*["']([^"']+)["']""")


class Beside(NamedTuple):
    """A payload in a build environment.

    Attributes:
        name: Its package.
        version: Its version.
        payload: Its sha256.
        specifier: What everything in that environment, and the build itself, asks of its version (PEP 440).
    """

    name: str
    version: str
    payload: str
    specifier: str


class Need(NamedTuple):
    """What is needed beside a package where it is installed.

    Attributes:
        name: The package.
        specifier: The versions.
        extras: With these extras.
    """

    name: str
    specifier: str
    extras: tuple[str, ...]


class RootRpm(NamedTuple):
    """An RPM of a root.

    Attributes:
        name: Its name.
        evra: ``[EPOCH:]VERSION-RELEASE.ARCH``.
        sha256: Its file's digest.
        is_base: Whether every build has it, and nobody asked for it in particular.
    """

    name: str
    evra: str
    sha256: str
    is_base: bool


def root_rpms(root: Root) -> tuple[RootRpm, ...]:
    """The RPMs of a root, in its order; none of a host's."""
    if root.kind != "rpm":
        return ()
    base = set(root.contents["base"])
    return tuple(
        RootRpm(each["name"], each["evra"], each["sha256"], each["name"] in base) for each in root.contents["rpms"]
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeFrom:
    """What an attempt was made from.

    Attributes:
        root: The digest of what lay under it.
        environment: What was in its build environment.
        installs: What its payload needs where it is installed.
        extras: What it needs besides with each of its extras.
    """

    root: str
    environment: tuple[Beside, ...]
    installs: tuple[Need, ...]
    extras: Mapping[str, tuple[Need, ...]]

    @property
    def asks(self) -> Iterator[tuple[str, str]]:
        """Each package that it needs, to be built or where it is installed, with the versions that will do."""
        yield from ((each.name, each.specifier) for each in self.environment)
        yield from ((each.name, each.specifier) for each in self.installs)


class Recorded(Protocol):
    """An attempt, by which its record is found."""

    @property
    def attempt(self) -> str:
        """Its id."""

    @property
    def key(self) -> str:
        """The digest of its plan."""

    @property
    def payload(self) -> str:
        """What it made; empty where it failed."""


@dataclass(frozen=True, slots=True)
class Recollection:
    """What is remembered of attempts; safe to use from several threads."""

    layout: Layout
    state: State
    _rpms: dict[str, tuple[RootRpm, ...]] = field(default_factory=dict)

    def made_from(self, makers: Iterable[Recorded]) -> dict[str, MadeFrom]:
        """What attempts were made from, by id; those of which nobody knows any more are left out."""
        wanted = {maker.attempt: maker for maker in makers}
        known = self.state.facts_of(_FACT, wanted)
        found = {attempt: value for attempt, value in known.items() if value["version"] == _VERSION}
        fresh: dict[str, Any] = {}
        for attempt in wanted.keys() - found.keys():
            value, is_whole = self._read(wanted[attempt])
            found |= {attempt: value} if value else {}
            fresh |= {attempt: value} if is_whole else {}
        self.state.add_facts(_FACT, fresh)
        return {attempt: _value(value) for attempt, value in found.items()}

    def rpms(self, root: str) -> tuple[RootRpm, ...]:
        """The RPMs of the root of an attempt that ``made_from`` has told of; none of a host's."""
        if root not in self._rpms:
            self._rpms[root] = tuple(RootRpm(*each) for each in self.state.fact(_RPMS, root) or ())
        return self._rpms[root]

    def account(self, maker: Recorded) -> Account | None:
        """The plan and the record of an attempt: from the store, else from an index; None where neither has them."""
        stored = self.layout.record(maker.key, maker.attempt)
        published = self.layout.indexes.glob(f"*/records/{maker.payload}/{maker.attempt}") if maker.payload else ()
        for directory in chain((stored,), published):
            try:
                return Account(plan=read_plan(directory), record=read_record(directory))
            except PybuildError:
                continue
        return None

    def _read(self, maker: Recorded) -> tuple[dict[str, Any] | None, bool]:
        """What a record says, and whether it is all there is to say."""
        account = self.account(maker)
        if account is None:
            return None, False
        plan = account.plan
        if rpms := root_rpms(plan.root):
            self.state.add_fact(_RPMS, plan.root.digest, rpms)
        requires = {each.name: self._requires(each.payload) for each in plan.environment}
        own = self._requires(maker.payload) if maker.payload else ()
        asked: dict[str, list[str]] = {}
        stated = chain(plan.requires, *(each or () for each in requires.values()))
        for need in _needs(stated, plan.target.markers):
            asked.setdefault(need.name, []).append(need.specifier)
        beside = [
            [each.name, each.version, each.payload, ",".join(filter(None, dict.fromkeys(asked.get(each.name, ()))))]
            for each in plan.environment
        ]
        value = {
            "version": _VERSION,
            "root": plan.root.digest,
            "environment": beside,
            "installs": _needs(own or (), plan.target.markers),
            "extras": _by_extra(own or (), plan.target.markers),
        }
        return value, own is not None and None not in requires.values()

    def _requires(self, payload: str) -> Sequence[str] | None:
        known = self.state.fact("metadata", payload)
        if known is not None:
            requires: Sequence[str] = known["requires_dist"]
            return requires
        path = Store(self.layout).payload(payload)
        try:
            return None if path is None else payload_requires(self.state, payload, path)
        except PybuildError:
            return None


def _value(raw: Mapping[str, Any]) -> MadeFrom:
    return MadeFrom(
        root=raw["root"],
        environment=tuple(Beside(*each) for each in raw["environment"]),
        installs=tuple(map(_need, raw["installs"])),
        extras={extra: tuple(map(_need, needs)) for extra, needs in raw["extras"].items()},
    )


def _need(raw: Sequence[Any]) -> Need:
    return Need(raw[0], raw[1], tuple(raw[2]))


def _needs(
    requires: Iterable[str], markers: Mapping[str, str], extras: frozenset[str] = frozenset()
) -> tuple[Need, ...]:
    """The requirements that count on a target, in a stable order."""
    found = {
        Need(canonicalize_name(each.name), str(each.specifier), tuple(sorted(map(canonicalize_name, each.extras))))
        for each in map(Requirement, requires)
        if _applies(each, markers, extras)
    }
    return tuple(sorted(found))


def _applies(requirement: Requirement, markers: Mapping[str, str], extras: frozenset[str]) -> bool:
    try:
        return applies(requirement, markers, extras)
    except PybuildError:
        return False  # a marker that means nothing; whoever resolves it is told


def _by_extra(requires: Sequence[str], markers: Mapping[str, str]) -> dict[str, tuple[Need, ...]]:
    plain = set(_needs(requires, markers))
    return {
        canonicalize_name(extra): more
        for extra in sorted(set(_extras(requires)))
        if (more := tuple(need for need in _needs(requires, markers, frozenset({extra})) if need not in plain))
    }


def _extras(requires: Iterable[str]) -> Iterator[str]:
    for text in requires:
        yield from _EXTRA.findall(text)

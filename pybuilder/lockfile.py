"""The lock of a buildroot as a value: exact RPMs, what each was asked for by, and what each needs (DESIGN.md, "lock").

TOML, like everything else in the workspace, so that packagers read and review one syntax; one line for one RPM, sorted
by name, so that git shows an update as one changed line for each RPM that moved, and merges two updates of different
RPMs by itself. Each RPM lists the locked RPMs that satisfy what it requires. A set is therefore closed by following
lines, and a union of closed sets is closed: no build needs a solver. Where a requirement has a condition, the RPM is
listed when the condition holds in the whole lock, so that it holds in every union too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import AfterValidator, Field

from pybuilder.errors import EngineError
from pybuilder.fields import Array, FileSize, FormatOne, RelativePath, Sha256, Table
from pybuilder.toml import Problem, parse, validated

_HEAD = """\
# Written by `pybuild buildroot lock`: the exact RPMs of this buildroot. Commit it; don't edit it.
format = 1
"""
_RPM_FIELDS = ("evra", "sha256", "size", "repository", "location", "source", "key", "requires")


def _evra(text: str) -> str:
    version, dash, rest = text.rpartition("-")
    release, dot, arch = rest.rpartition(".")
    if not (version and dash and release and dot and arch):
        raise ValueError(f"{text!r} is no EVRA; it reads [EPOCH:]VERSION-RELEASE.ARCH")
    return text


def _source(text: str) -> str:
    if text and not re.fullmatch(r"[^/]+-[^/-]+-[^/-]+\.src\.rpm", text):
        raise ValueError(f"{text!r} is no source RPM; it reads NAME-VERSION-RELEASE.src.rpm")
    return text


SECURITY_NOTE = re.compile(r"(?:[0-9]+:)?[^\s:-]+-[^\s:-]+ \S+")
"""What a lock says of the security of an RPM: a version, and the advisory that names it."""


def _security(text: str) -> str:
    if text and not SECURITY_NOTE.fullmatch(text):
        raise ValueError(f"{text!r} is no note of an advisory; it reads [EPOCH:]VERSION-RELEASE ID")
    return text


SourceRpm = Annotated[str, AfterValidator(_source)]


class Named(Protocol):
    """An RPM as a list has it, ours or another tool's; the digest is empty where that list gives none."""

    @property
    def name(self) -> str:
        """The RPM's name."""

    @property
    def evra(self) -> str:
        """[EPOCH:]VERSION-RELEASE.ARCH; no epoch means 0."""

    @property
    def sha256(self) -> str:
        """Of the file."""


class Rpm(Table):
    """One locked RPM."""

    name: str = Field(description="The RPM's name.")
    evra: Annotated[str, AfterValidator(_evra)] = Field(description="[EPOCH:]VERSION-RELEASE.ARCH; no epoch means 0.")
    sha256: Sha256 = Field(description="Of the file.")
    size: FileSize = Field(description="Of the file, in bytes.")
    repository: str = Field(description="The definition's name for the repository.")
    location: RelativePath = Field(description="The file, below the repository's URL.")
    source: SourceRpm = Field(description="The file name of the source RPM, if known.")
    key: str = Field(description="Id of the key that signed it, 16 hexadecimal digits; empty with gpgcheck = false.")
    requires: Array[str] = Field(description="The locked RPMs that it needs.")
    security: Annotated[str, AfterValidator(_security)] = Field(
        default="", description="The newest version up to this one that a security advisory names, and its id."
    )

    @property
    def file(self) -> str:
        """The file's name."""
        return self.location.rpartition("/")[2]

    @property
    def nevra(self) -> str:
        """Name and EVRA, as rpm prints it."""
        return f"{self.name}-{self.evra}"

    @property
    def arch(self) -> str:
        """The architecture: the target's, or noarch."""
        return self.evra.rpartition(".")[2]


class _LockTable(Table):
    format: FormatOne
    buildroot: str
    arch: str
    repositories: Mapping[str, Sha256]
    answers: Mapping[str, str]
    rpms: Mapping[str, Rpm]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """Exact RPMs, one EVRA for a name.

    Attributes:
        buildroot: The buildroot's name.
        arch: The target's architecture.
        repositories: The sha256 of each repository's repomd.xml.
        answers: What was asked for, by name or any provide, and the name of the RPM that answers.
        rpms: The RPMs by name.
    """

    buildroot: str
    arch: str
    repositories: Mapping[str, str]
    answers: Mapping[str, str]
    rpms: Mapping[str, Rpm]

    def closure(self, wanted: Iterable[str]) -> tuple[Rpm, ...]:
        """The RPMs that answer what is wanted, with all that these need, sorted by name.

        Raises:
            EngineError: The lock has no answer to some of it.
        """
        wanted = set(wanted)
        if missing := sorted(wanted - self.answers.keys()):
            raise EngineError(
                f"the lock has no RPM for {', '.join(missing)}",
                where=f"buildroots/{self.buildroot}.lock",
                cure=f"pybuild buildroot lock {self.buildroot}",
            )
        found: set[str] = set()
        pending = {self.answers[each] for each in wanted}
        while pending:
            found |= pending
            pending = {need for name in pending for need in self.rpms[name].requires} - found
        return tuple(self.rpms[name] for name in sorted(found))


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What became of one RPM between two lists; None is where it is absent."""

    name: str
    old: Named | None
    new: Named | None

    def __str__(self) -> str:
        old, new = (each.evra if each else "" for each in (self.old, self.new))
        if not (old and new):
            return f"{'-' if old else '+'} {self.name} {old or new}"
        return (
            f"  {self.name} {old} -> {new}" if old != new else f"  {self.name} {new}: another file of the same version"
        )


def changes(old: Mapping[str, Named], new: Mapping[str, Named]) -> tuple[Change, ...]:
    """The RPMs that differ between two lists by name, sorted; an RPM is its file, not where that lies."""
    pairs = ((name, old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys()))
    return tuple(Change(name=name, old=before, new=after) for name, before, after in pairs if _differ(before, after))


def _differ(old: Named | None, new: Named | None) -> bool:
    if old is None or new is None or old.evra != new.evra:
        return True
    return bool(old.sha256 and new.sha256) and old.sha256 != new.sha256


def format_lock(lock: Lock) -> str:
    """The text of a lock; the same lock has the same text."""
    tables = [f"buildroot = {_quoted(lock.buildroot)}\narch = {_quoted(lock.arch)}\n"]
    tables += _table("repositories", {name: _quoted(digest) for name, digest in lock.repositories.items()})
    tables += _table("answers", {request: _quoted(name) for request, name in lock.answers.items()})
    tables += _table("rpms", {name: _line(rpm) for name, rpm in lock.rpms.items()})
    return _HEAD + "".join(tables)


def parse_lock(text: str, file: str) -> Lock:
    """Read a lock.

    Args:
        text: The file's text.
        file: Its path below the workspace, for messages.

    Raises:
        ConfigError: Lists everything that is wrong with it.
    """
    document = parse(text, file)
    data = dict(document.data)
    if isinstance(rpms := data.get("rpms"), dict):
        data["rpms"] = {name: {**rpm, "name": name} if isinstance(rpm, dict) else rpm for name, rpm in rpms.items()}
    table = validated(document, _LockTable, data=data)
    if found := list(_dangling(table)):
        raise document.error(found)
    return Lock(
        buildroot=table.buildroot,
        arch=table.arch,
        repositories=table.repositories,
        answers=table.answers,
        rpms=table.rpms,
    )


def _dangling(table: _LockTable) -> Iterator[Problem]:
    """What points at an RPM that is not there, as after a merge by hand."""
    for request, name in table.answers.items():
        if name not in table.rpms:
            yield Problem(path=("answers", request), text=f"{name!r} is no RPM of this lock; relock the buildroot")
    for name, rpm in table.rpms.items():
        for need in rpm.requires:
            if need not in table.rpms:
                text = f"it requires {need!r}, which is no RPM of this lock; relock the buildroot"
                yield Problem(path=("rpms", name), text=text)


def _table(name: str, lines: Mapping[str, str]) -> list[str]:
    return [f"\n[{name}]\n", *(f"{_quoted(key)} = {value}\n" for key, value in sorted(lines.items()))]


def _line(rpm: Rpm) -> str:
    values = {name: getattr(rpm, name) for name in (*_RPM_FIELDS, *(["security"] if rpm.security else []))}
    return f"{{ {', '.join(f'{name} = {_value(value)}' for name, value in values.items())} }}"


def _value(value: str | int | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_quoted, sorted(value)))}]"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(text, ensure_ascii=False)

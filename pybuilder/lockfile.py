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
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from pybuilder.errors import EngineError
from pybuilder.fields import Array, RelativePath, Table
from pybuilder.toml import Problem, parse, problems

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


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(f"{text!r} is no sha256; it has 64 lower-case hexadecimal digits")
    return text


Digest = Annotated[str, AfterValidator(_sha256)]


class Rpm(Table):
    """One locked RPM."""

    name: str = Field(description="The RPM's name.")
    evra: Annotated[str, AfterValidator(_evra)] = Field(description="[EPOCH:]VERSION-RELEASE.ARCH; no epoch means 0.")
    sha256: Digest = Field(description="Of the file.")
    size: int = Field(ge=0, description="Of the file, in bytes.")
    repository: str = Field(description="The definition's name for the repository.")
    location: RelativePath = Field(description="The file, below the repository's URL.")
    source: Annotated[str, AfterValidator(_source)] = Field(description="The file name of the source RPM, if known.")
    key: str = Field(description="Id of the key that signed it, 16 hexadecimal digits; empty with gpgcheck = false.")
    requires: Array[str] = Field(description="The locked RPMs that it needs.")

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
    format: Literal[1]
    buildroot: str
    arch: str
    repositories: Mapping[str, Digest]
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
    """What became of one RPM between two locks; None is where it is absent."""

    name: str
    old: Rpm | None
    new: Rpm | None

    def __str__(self) -> str:
        match self.old, self.new:
            case None, Rpm(evra=new):
                return f"+ {self.name} {new}"
            case Rpm(evra=old), None:
                return f"- {self.name} {old}"
            case Rpm(evra=old), Rpm(evra=new) if old != new:
                return f"  {self.name} {old} -> {new}"
        return f"  {self.name} {self.new.evra if self.new else ''}: another file of the same version"


def changes(old: Lock, new: Lock) -> tuple[Change, ...]:
    """The RPMs that differ between two locks, sorted by name; an RPM is its file, not where that lies."""
    names = sorted(old.rpms.keys() | new.rpms.keys())
    pairs = ((name, old.rpms.get(name), new.rpms.get(name)) for name in names)
    return tuple(
        Change(name=name, old=before, new=after)
        for name, before, after in pairs
        if before is None or after is None or before.sha256 != after.sha256
    )


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
    try:
        table = _LockTable.model_validate(data)
    except ValidationError as error:
        raise document.error(problems(error, _LockTable)) from error
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
    values = {name: getattr(rpm, name) for name in _RPM_FIELDS}
    return f"{{ {', '.join(f'{name} = {_value(value)}' for name, value in values.items())} }}"


def _value(value: str | int | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_quoted, sorted(value)))}]"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(text, ensure_ascii=False)

"""What is known of one published wheel, as values: read elsewhere, judged elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from packaging.utils import NormalizedName

from pybuilder.plan import Ingredient, Plan
from pybuilder.provenance import Provenance, asked
from pybuilder.record import FORMAT

T = TypeVar("T")

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_ATTEMPT = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]*\Z")


class Damaged(ValueError):
    """A document is not what it should be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that must agree with another.

    Attributes:
        what: What was compared.
        problem: How they differ, or empty.
    """

    what: str
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A file that a record names: the source, or a patch.

    Attributes:
        file: Its name; a patch's is that in the workspace.
        sha256: Its digest.
        origin: Where it came from; empty for a patch, and where nobody knows.
    """

    file: str
    sha256: str
    origin: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A record as far as an audit reads it; the fields are those of ``record.record_json``.

    Attributes:
        document: All of it.
        payload: The digest of what the attempt made.
        buildroot: Where it was made.
        commit: The workspace's commit, or empty.
        workspace: Whether that had all that the build read.
    """

    document: Mapping[str, Any]
    attempt: str
    key: str
    name: str
    version: str
    target: str
    engine: str
    started: str
    root: tuple[str, str]
    sealed: bool
    source: Named
    patches: tuple[Named, ...]
    environment: tuple[Ingredient, ...]
    log_sha256: str
    payload: str
    prebuilt: str
    buildroot: str
    commit: str
    workspace: str

    @classmethod
    def parse(cls, data: bytes) -> Account:
        """Read ``record.json``.

        Raises:
            Damaged: It is no record of an attempt that made a payload.
        """
        return _parsed(data, cls._of)

    @classmethod
    def _of(cls, found: Any) -> Account:
        if found["format"] != FORMAT:
            raise Damaged(f"it has the format {found['format']!r}")
        texts = ("attempt", "key", "name", "version", "target", "engine", "started", "log_sha256")
        source, known = found["source"], asked(found)
        return cls(
            document=found,
            **{name: _text(found[name]) for name in texts},
            root=(_text(found["root"]["kind"]), _text(found["root"]["digest"])),
            sealed=bool(found["seal"]),
            source=Named(file=_text(source["file"]), sha256=sha256(source["sha256"]), origin=_text(source["origin"])),
            patches=tuple(Named(file=_text(each["file"]), sha256=sha256(each["sha256"])) for each in found["patches"]),
            environment=tuple(
                Ingredient(
                    name=_text(each["name"]), version=_text(each["version"]), payload=sha256(each["payload_sha256"])
                )
                for each in found["environment"]
            ),
            payload=sha256(found["result"]["payload_sha256"]),
            # Records from before there were such wheels say nothing of them.
            prebuilt=_text(found.get("prebuilt") or ""),
            buildroot=_text(known["buildroot"]),
            commit=_text(known["workspace"]["commit"]),
            workspace=_text(known["workspace"]["state"]),
        )


def parse_plan(data: bytes) -> tuple[Plan, str]:
    """Read ``plan.json``: the plan, and the digest that it really has.

    Raises:
        Damaged: It is no plan.
    """

    return _parsed(data, _plan_of)


def _plan_of(found: Any) -> tuple[Plan, str]:
    plan = Plan.from_json(found)
    for digest in (plan.recipe.source, *plan.recipe.patches, *(each.payload for each in plan.environment)):
        sha256(digest)
    for each in plan.environment:
        _text(each.name), _text(each.version)
    for rpm in plan.root.contents.get("rpms", ()):
        _text(rpm["name"]), _text(rpm["evra"]), sha256(rpm["sha256"])
    for text in (plan.recipe.name, plan.recipe.version, plan.target.name, plan.root.kind, plan.root.digest):
        _text(text)
    return plan, plan.key()


def _parsed(data: bytes, read: Callable[[Any], T]) -> T:
    try:
        return read(json.loads(data))
    except Damaged:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error


def sha256(value: Any) -> str:
    """A value that is a digest; it may become part of a path.

    Raises:
        Damaged: It is none.
    """
    if not isinstance(value, str) or not _SHA256.match(value):
        raise Damaged(f"{value!r} is no sha256")
    return value


def attempt_id(value: Any) -> str:
    """A value that is an attempt's id; it may become part of a path.

    Raises:
        Damaged: It is none.
    """
    if not isinstance(value, str) or not _ATTEMPT.match(value):
        raise Damaged(f"{value!r} is no attempt")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Damaged(f"{value!r} is no text")
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What a wheel's bytes say.

    Attributes:
        sha256: Their digest.
        payload: The digest of what is left without the number; empty where it can't be taken off.
        problems: What is wrong with it: RECORD against the files, METADATA against the file name, and so on.
        unpacked: Whether it was looked into; else a Statement that a trusted key has signed tells the payload.
    """

    sha256: str
    payload: str
    problems: tuple[str, ...]
    unpacked: bool = True


SignedBy = Literal["a trusted key", "a key from the index itself", "nobody", "a wrong key"]
"""Who vouches for a Statement.

nobody: there is no signature, or no Statement at all; a wrong key: one that is not trusted, or one whose signature is
over something else.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vouched:
    """Who vouches for a wheel.

    Attributes:
        by: Who does.
        keyid: The key, where one does.
        problem: Why nobody does, where that is wrong.
    """

    by: SignedBy
    keyid: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """All that an index has of one wheel.

    Attributes:
        filename: The wheel's name.
        name: Its project.
        version: Its version, with the number.
        listed: Its digest, as its project's page has it.
        content: What its bytes say; None where they are not there.
        vouched: Who vouches for it.
        claim: What the Statement says; None where there is none that can be read.
        account: Its record; None where there is none that can be read.
        plan: The plan in the record, likewise.
        key: The digest that the plan really has; empty without one.
        record: Where the record lies below the index; empty where that can't be found out.
        files: The digests of the record's files, by path below the index; of those that were looked for and are there.
        source: The digest of the source archive that the index has for it; None where it has none.
        faults: What could not be read, and why.
        read: When it was read.
    """

    filename: str
    name: NormalizedName
    version: str
    listed: str
    content: Content | None
    vouched: Vouched
    claim: Provenance | None
    account: Account | None
    plan: Plan | None
    key: str
    record: str
    files: Mapping[str, str]
    source: str | None
    faults: tuple[Check, ...]
    read: datetime

    @property
    def payload(self) -> str:
        """The digest of the payload that the wheel really holds; empty where that can't be said."""
        return self.content.payload if self.content else ""

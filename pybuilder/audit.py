"""Where a published wheel came from, and whether all that is kept of it still agrees."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from pybuilder.errors import PybuildError, UsageError
from pybuilder.files import sha256_file
from pybuilder.layout import Layout
from pybuilder.names import numbered_version, split_number
from pybuilder.plan import Plan
from pybuilder.record import LOG, read_plan, read_record
from pybuilder.stages.taint import Taint, recorded_taints
from pybuilder.state import PublishedWheel, State
from pybuilder.store import Store
from pybuilder.wheel.numbering import strip
from pybuilder.wheel.read import WheelName
from pybuilder.work import work_directory


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that must agree with another.

    Attributes:
        what: What was compared.
        problem: How they differ, or empty.
    """

    what: str
    problem: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """What is known of a published wheel.

    Attributes:
        wheel: As it was published.
        record: The account of the attempt that made its payload.
        plan: What went into it.
        checks: What was compared.
    """

    wheel: PublishedWheel
    record: Mapping[str, Any]
    plan: Plan
    checks: tuple[Check, ...]

    @property
    def taints(self) -> tuple[Taint, ...]:
        """Upstream's wheels that had a part in it, itself included where it is one."""
        return recorded_taints(self.record)

    @property
    def ok(self) -> bool:
        """Whether everything agrees."""
        return not any(check.problem for check in self.checks)

    @property
    def build(self) -> str:
        """Its name: ``CHANNEL/NAME==VERSION+LABEL.N``."""
        wheel = self.wheel
        version = numbered_version(Version(wheel.version), wheel.label, wheel.number)
        return f"{wheel.channel}/{wheel.name}=={version}"


def published_as(file: Path, state: State, label: str) -> PublishedWheel:
    """The published wheel that a file is, by its bytes.

    Args:
        file: A wheel, under its own name.
        state: The database.
        label: Stands before numbers.

    Raises:
        UsageError: It was not published from here, or was changed since.
        BuildError: Its name is no wheel's.
    """
    name = WheelName.parse(file.name)
    sha256 = sha256_file(file)
    found = [wheel for wheel in state.published_anywhere(name.name) if wheel.wheel == file.name]
    for wheel in found:
        if wheel.wheel_sha256 == sha256:
            return wheel
    said = "published with other contents" if found else "not published from here"
    numbered = split_number(name.version, label)
    raise UsageError(
        f"{file.name} was {said}",
        where=f"{file}, sha256 {sha256}",
        cure=f"pybuild show {name.name}" if numbered or found else "audit a wheel of ours, whose version has a number",
    )


def audit(wheel: PublishedWheel, *, layout: Layout, store: Store, file: Path | None = None) -> Audit:
    """Compare everything that is kept of a published wheel.

    Args:
        wheel: The wheel, as the database knows it.
        layout: Where things lie.
        store: Has payloads and sources.
        file: The wheel itself, if it is another than the published copy.

    Raises:
        StateError: The record or its plan is missing or damaged.
    """
    directory = layout.record(wheel.key, wheel.attempt)
    record, plan = read_record(directory), read_plan(directory)
    published = file or layout.index(wheel.channel) / "files" / wheel.wheel
    checks = [
        _check("the wheel has the published digest", lambda: sha256_file(published), wheel.wheel_sha256),
        _check("without its number it is the payload", lambda: _stripped(published, wheel, layout), wheel.payload),
        _check("the record is of this payload", lambda: record["result"].get("payload_sha256", ""), wheel.payload),
        _check("the plan has the recorded key", plan.key, record["key"]),
        _check("the log is the recorded one", lambda: sha256_file(directory / LOG), record["log_sha256"]),
        _kept("the source", store.source, record["source"]["sha256"]),
        *(
            _kept(f"the payload of {each.name} {each.version}", store.payload, each.payload)
            for each in plan.environment
        ),
    ]
    return Audit(wheel=wheel, record=record, plan=plan, checks=tuple(checks))


def _check(what: str, found: Callable[[], str], expected: str) -> Check:
    try:
        there = found()
    except (OSError, PybuildError) as error:
        return Check(what=what, problem=str(error).splitlines()[0])
    return Check(what=what, problem="" if there == expected else f"it is {there}, not {expected}")


def _kept(what: str, get: Callable[[str], Path | None], sha256: str) -> Check:
    """Whether something is in the store with the digest that it is filed under."""
    file = get(sha256)
    if file is None:
        return Check(what=f"{what} is kept", problem="it is gone from the store")
    return _check(f"{what} is kept", lambda: sha256_file(file), sha256)


def _stripped(published: Path, wheel: PublishedWheel, layout: Layout) -> str:
    with work_directory(layout, f"audit-{secrets.token_hex(4)}") as work:
        named = work / wheel.wheel
        named.symlink_to(published.absolute())
        return strip(named, work / "payload.whl", label=wheel.label)

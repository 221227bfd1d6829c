"""The record of an attempt: everything that went into it and how it went, as files that anybody can read."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pybuilder import __version__
from pybuilder.errors import StateError
from pybuilder.plan import Plan
from pybuilder.printable import printable, printable_lines

FORMAT = 1
LOG = "build.log"
RECORD = "record.json"
PLAN = "plan.json"
ENVIRONMENT = "environment.txt"
TEST_LOG = "test.log"
SYSTEM = "system.json"
LAST_LINES = 15


def record_json(
    *,
    attempt: str,
    plan: Plan,
    source: Mapping[str, Any],
    patches: Sequence[Mapping[str, str]],
    channel: str,
    buildroot: str,
    workspace: Mapping[str, str],
    started: str,
    seconds: float,
    phases: Mapping[str, float],
    engine: str,
    seal: Mapping[str, Any],
    tools: Mapping[str, str],
    log_sha256: str,
    result: Mapping[str, Any],
    prebuilt: str = "",
    tainted: Sequence[Mapping[str, str]] = (),
    screening: Mapping[str, Any] | None = None,
) -> bytes:
    """The account of one attempt.

    Args:
        attempt: Its id.
        plan: What was tried; the whole of it lies beside this file.
        source: ``file``, ``sha256``, ``origin``, and as ``scm`` whether the backend was told its version in place of a
            version control system.
        patches: ``file`` and ``sha256`` of each, in order.
        channel: Where it would be published.
        buildroot: Where it was built.
        workspace: The ``commit`` of the workspace, and as ``state`` whether that had all that was read: ``clean``,
            ``dirty``, or ``unversioned`` where there is no commit.
        started: UTC, ISO 8601.
        seconds: How long it took.
        phases: Seconds by phase.
        engine: What sealed it.
        seal: What was seen from inside before the build began.
        tools: Versions of the programs that had a hand in it.
        log_sha256: Digest of the log beside this file.
        result: ``payload_sha256`` and ``filename``, or ``phase`` and ``error``.
        prebuilt: Why upstream's wheel, which then is the source, was used in place of a build; empty for a build.
        tainted: ``name``, ``version``, ``payload_sha256`` and ``reason`` of each of upstream's wheels that had a part
            in what is in the environment, however far back; sorted.
        screening: What was found in the source and is known of its version, as ``screening.policy.judge`` gives it.
    """
    return pretty_json(
        {
            "format": FORMAT,
            "attempt": attempt,
            "key": plan.key(),
            "recipe": plan.recipe.digest(),
            "name": plan.recipe.name,
            "version": plan.recipe.version,
            "channel": channel,
            "buildroot": buildroot,
            "workspace": dict(workspace),
            "target": plan.target.name,
            "started": started,
            "seconds": round(seconds, 3),
            "phases": {name: round(value, 3) for name, value in phases.items()},
            "source_date_epoch": plan.source_date_epoch,
            "engine": engine,
            "root": {"kind": plan.root.kind, "digest": plan.root.digest},
            "seal": dict(seal),
            "source": dict(source),
            "patches": [dict(patch) for patch in patches],
            "environment": [
                {"name": i.name, "version": i.version, "payload_sha256": i.payload} for i in plan.environment
            ],
            "tools": {"pybuild": __version__, "python": platform.python_version(), **tools},
            "log_sha256": log_sha256,
            "result": dict(result),
            "prebuilt": prebuilt or None,
            "tainted": [dict(taint) for taint in tainted],
            "screening": None if screening is None else dict(screening),
        }
    )


def read_record(directory: Path) -> dict[str, Any]:
    """The account that ``record_json`` wrote, from an attempt's directory.

    Raises:
        StateError: It is missing or damaged.
    """
    file = directory / RECORD
    try:
        account = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise StateError("the record of an attempt is missing", where=str(file), cure="build it again") from error
    except ValueError as error:
        raise StateError(
            f"the record of an attempt is damaged: {error}", where=str(file), cure="build it again"
        ) from error
    if not isinstance(account, dict) or account.get("format") != FORMAT:
        raise StateError("the record of an attempt has another format", where=str(file), cure="build it again")
    return account


def read_plan(directory: Path) -> Plan:
    """The plan that an attempt tried, from its directory.

    Raises:
        StateError: It is missing or damaged.
    """
    file = directory / PLAN
    try:
        return Plan.from_json(json.loads(file.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(
            f"the plan of an attempt can't be read: {error}", where=str(file), cure="build it again"
        ) from error


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Taint:
    """One of upstream's wheels that was used in place of a build.

    Attributes:
        name: Its package, normalised.
        version: Its version.
        payload_sha256: The payload that was made of it.
        reason: Why it was used, as its spec says.
    """

    name: str
    version: str
    payload_sha256: str
    reason: str

    @property
    def as_json(self) -> dict[str, str]:
        """As records have it."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """What a person is told, on one line and without what a terminal would obey."""
        reason = printable(" ".join(self.reason.split()))
        return f"upstream's wheel of {self.name} {self.version} was used: {reason}"


def recorded_taints(account: Mapping[str, Any]) -> tuple[Taint, ...]:
    """What taints the payload of a record: what was in its environment, and itself where it is upstream's wheel.

    Args:
        account: The record; one from before there were such wheels says nothing of them.
    """
    found = {Taint(**each) for each in account.get("tainted", ())}
    if account.get("prebuilt"):
        payload = account["result"].get("payload_sha256", "")
        name, version, reason = account["name"], account["version"], account["prebuilt"]
        found.add(Taint(name=name, version=version, payload_sha256=payload, reason=reason))
    return tuple(sorted(found))


def tail(log: Path, size: int) -> bytes:
    """The last bytes of a log, as many as there are of a size."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - size))
        return stream.read()


def last_lines(log: Path, count: int = LAST_LINES) -> list[str]:
    """The last lines of a log; see ``printable_lines``."""
    return printable_lines(tail(log, 16_384))[-count:]


def pretty_json(value: Any) -> bytes:
    """JSON for people and for ``diff``: sorted keys, two spaces, a newline at the end."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"

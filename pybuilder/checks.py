"""Whether a plan makes the same payload again, in another world; and how many of them do."""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pybuilder import record
from pybuilder.clock import timestamp
from pybuilder.errors import EngineError, PybuildError, ReproducibilityError, StateError
from pybuilder.processes import run
from pybuilder.repeat import Repeatable, build_again, fresh_state, keep_both, keeping_record
from pybuilder.sandbox.processors import usable
from pybuilder.sandbox.variation import OTHER_HOST, Varied, VaryingEngine
from pybuilder.stages import Adapters
from pybuilder.stages.attempt import Built
from pybuilder.state import Attempt, State
from pybuilder.wheel.compare import Difference, first_difference
from pybuilder.wheel.reasons import Reason, World, in_words, reason
from pybuilder.work import work_directory

_CHECK, _RATE = "check", "reproducible"
_DIFFOSCOPE, _PATIENCE = "diffoscope", 1800.0  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Unlike:
    """What two payloads of one plan differ in.

    Attributes:
        difference: The first difference.
        reason: Why that usually is so, and what cures it.
        kept: The directory with both payloads.
        report: diffoscope's report; None where it isn't installed, or did not end.
    """

    difference: Difference
    reason: Reason
    kept: Path
    report: Path | None

    @property
    def error(self) -> str:
        """The difference and why it usually is so, a sentence after a list of lines."""
        more = len(self.difference.files) - 1
        others = f"\n    and {more} more {'file differs' if more == 1 else 'files differ'}" if more else ""
        shown = "".join(f"\n    {line}" for line in in_words(self.difference))
        return f"{shown}{others}\n  why: {self.reason.why} ({self.reason.kind})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A build that was built again.

    Attributes:
        recorded: What was built again.
        sha256: The digest of what came out.
        attempt: The id that building it again had, in a state that is gone.
        varied: What was made different.
        seconds: Wall time.
        unlike: What differs; None if it came out the same.
    """

    recorded: Repeatable
    sha256: str
    attempt: str
    varied: tuple[Varied, ...]
    seconds: float
    unlike: Unlike | None

    @property
    def name(self) -> str:
        """``NAME==VERSION``."""
        return f"{self.recorded.attempt.name}=={self.recorded.attempt.version}"

    def raise_if_unlike(self) -> None:
        """Refuse a build that came out different.

        Raises:
            ReproducibilityError: With the first difference in words.
        """
        if self.unlike is not None:
            attempt = self.recorded.attempt
            report = f", diffoscope's report in {self.unlike.report}" if self.unlike.report else ""
            raise ReproducibilityError(
                f"{attempt.name} {attempt.version} came out different:{self.unlike.error}",
                where=f"{self.unlike.kept}: both wheels and the log{report}",
                cure=f"specs/{attempt.name}.toml: {self.unlike.reason.cure}",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Checker:
    """Builds things again.

    Attributes:
        adapters: The world.
        libraries: What makes time and directories look different, by root; made once.
    """

    adapters: Adapters
    libraries: dict[Path, bytes] = field(default_factory=dict)

    def check(self, again: Repeatable) -> Checked:
        """Build a recorded plan again, compare, and remember what came of it.

        Raises:
            PybuildError: It did not build.
        """
        began = time.monotonic()
        adapters, cpus = self.adapters, again.source.spec.build.limits.cpus or len(usable())
        before = int(again.account["seal"].get("processors", 0))
        with (
            work_directory(adapters.layout, f"check-{secrets.token_hex(4)}") as work,
            fresh_state(adapters, again.plan, work / "state") as fresh,
        ):
            layout, libraries = fresh.layout, self.libraries
            engine = VaryingEngine(engine=adapters.engine, layout=layout, before=before, libraries=libraries)
            with keeping_record(adapters.layout):
                varied = dataclasses.replace(fresh, engine=engine)
                built = build_again(adapters, varied, again.source, again.plan, cpus=cpus)
            same = built.sha256 == again.attempt.payload
            unlike = None if same else self._unlike(again, built, fresh, ahead=engine.ahead)
        checked = Checked(
            recorded=again,
            sha256=built.sha256,
            attempt=built.attempt,
            varied=engine.varied,
            seconds=time.monotonic() - began,
            unlike=unlike,
        )
        fact = {**as_json(checked), "when": timestamp(adapters.now())}
        adapters.state.add_fact(_CHECK, f"{adapters.channel.name}/{checked.name}", fact)
        return checked

    def _unlike(self, again: Repeatable, built: Built, fresh: Adapters, *, ahead: int) -> Unlike:
        difference = first_difference(again.payload, built.path)
        if difference is None:
            raise PybuildError("two payloads with other digests have the same contents", where=str(built.path))
        account = record.read_record(fresh.layout.record(built.plan.key(), built.attempt))
        worlds = (
            _world(self.adapters.layout.root, again.account, socket.gethostname(), ahead=0),
            _world(fresh.layout.root, account, OTHER_HOST, ahead=ahead),
        )
        kept = keep_both(self.adapters.layout, fresh.layout, again.payload, built)
        return Unlike(
            difference=difference,
            reason=reason(difference, *worlds),
            kept=kept,
            report=_diffoscope(kept / "recorded" / again.payload.name, kept / "again" / built.filename),
        )


def _world(state: Path, account: Mapping[str, Any], host_name: str, *, ahead: int) -> World:
    began = int(datetime.fromisoformat(account["started"]).timestamp()) + ahead
    uid = account["seal"].get("outside", {}).get("uid", os.geteuid())
    words = (str(state), account["attempt"], host_name, str(uid))
    return World(
        times=(began, began + int(account["seconds"]) + 1),
        processors=int(account["seal"].get("processors", 0)),
        # A short one, such as root's number, is in too many other places.
        words=tuple(word for word in words if len(word) > 3),
    )


def _diffoscope(recorded: Path, again: Path) -> Path | None:
    """Diffoscope's report beside both wheels, if it is installed and ends in time."""
    if shutil.which(_DIFFOSCOPE) is None:
        return None
    report = recorded.parents[1] / "diffoscope.txt"
    with suppress(EngineError):
        # It ends with 1 where it found differences.
        run([_DIFFOSCOPE, "--text", str(report), str(recorded), str(again)], timeout=_PATIENCE)
    return report if report.exists() else None


def as_json(checked: Checked) -> dict[str, Any]:
    """What came of a check, for programs and for the state."""
    unlike = checked.unlike
    return {
        "name": checked.recorded.attempt.name,
        "version": checked.recorded.attempt.version,
        "attempt": checked.recorded.attempt.id,
        "key": checked.recorded.attempt.key,
        "same": unlike is None,
        "payload_sha256": checked.recorded.attempt.payload,
        "again_sha256": checked.sha256,
        "seconds": round(checked.seconds, 3),
        "varied": [{"what": each.what, "how": each.how, "same": each.same} for each in checked.varied],
        "difference": None
        if unlike is None
        else {
            "file": unlike.difference.file,
            "part": list(unlike.difference.part),
            "offset": unlike.difference.offset,
            "words": list(in_words(unlike.difference)),
            "files": list(unlike.difference.files),
            "kind": unlike.reason.kind,
            "why": unlike.reason.why,
            "cure": unlike.reason.cure,
            "kept": str(unlike.kept),
            "report": str(unlike.report) if unlike.report else None,
        },
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """How many of a channel's builds came out the same, when all of them were built again.

    Attributes:
        when: UTC, ISO 8601.
        same: Those that did, ``NAME==VERSION``.
        different: Those that did not, and the kind of reason.
        unknown: Those that could not be built again, and why.
    """

    when: str
    same: tuple[str, ...]
    different: Mapping[str, str]
    unknown: Mapping[str, str]

    def __str__(self) -> str:
        built = len(self.same) + len(self.different)
        share = f" ({len(self.same) / built:.1%})" if built else ""
        more = f"; {len(self.unknown)} could not be built again" if self.unknown else ""
        return f"{len(self.same)} of {built} came out the same{share}{more}"

    def as_json(self) -> dict[str, Any]:
        """For programs and for the state."""
        return {
            "when": self.when,
            "same": list(self.same),
            "different": dict(self.different),
            "unknown": dict(self.unknown),
        }


def remember_rate(state: State, channel: str, rate: Rate) -> None:
    """Keep what building a whole channel again came to; what was known before is replaced."""
    state.add_fact(_RATE, channel, rate.as_json())


def known_rate(state: State, channel: str) -> Rate | None:
    """What building a whole channel again came to the last time; None if nobody did."""
    known = state.fact(_RATE, channel)
    return None if known is None else Rate(**{**known, "same": tuple(known["same"])})


def known_check(state: State, channel: str, name: str) -> Mapping[str, Any] | None:
    """What came of building ``NAME==VERSION`` again the last time, as ``as_json`` has it."""
    known: Mapping[str, Any] | None = state.fact(_CHECK, f"{channel}/{name}")
    return known


@dataclass(kw_only=True, slots=True)
class Tally:
    """What came of building a whole channel again, so far.

    Attributes:
        checked: Those that were built again.
        unknown: Those that could not be, and why.
    """

    checked: list[Checked] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)

    def add(self, checked: Checked) -> None:
        """Count one that was built again."""
        self.checked.append(checked)

    def add_unknown(self, attempt: Attempt, error: PybuildError) -> None:
        """Count one that could not be built again."""
        self.unknown[f"{attempt.name}=={attempt.version}"] = error.what.partition("\n")[0]

    def rate(self, now: datetime) -> Rate:
        """How many came out the same."""
        return Rate(
            when=timestamp(now),
            same=tuple(each.name for each in self.checked if each.unlike is None),
            different={each.name: each.unlike.reason.kind for each in self.checked if each.unlike},
            unknown=dict(self.unknown),
        )


def published_attempts(adapters: Adapters) -> Iterator[Attempt]:
    """The attempts behind the newest build of each version that the channel has published, in order of name.

    Upstream's wheels, of which nothing was built, are left out.
    """
    state, channel = adapters.state, adapters.channel.name
    for project in adapters.index.projects():
        wheels = state.published(channel, project)
        newest = {wheel.version: wheel.number for wheel in reversed(wheels)}
        found = {wheel.attempt for wheel in wheels if wheel.number == newest[wheel.version]}
        for attempt in filter(None, map(state.attempt, sorted(found))):
            with suppress(StateError):
                if record.read_record(adapters.layout.record(attempt.key, attempt.id)).get("prebuilt"):
                    continue
            yield attempt

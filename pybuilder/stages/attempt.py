"""An attempt under way, from its first moment to its record: what a build and the taking of a wheel have in common."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from pybuilder import events, record
from pybuilder.clock import new_attempt_id, timestamp
from pybuilder.environment import freeze
from pybuilder.errors import BuildError, PybuildError, StateError
from pybuilder.files import disk_errors, fsync_dir, remove_tree, sha256_file, write_atomic
from pybuilder.plan import Plan
from pybuilder.processes import process_identity
from pybuilder.screening.account import remembered
from pybuilder.signing import load_private
from pybuilder.stages import Adapters, Source
from pybuilder.stages.taint import environment_taints, remember
from pybuilder.state import INTERRUPTED, Attempt
from pybuilder.timing import timed
from pybuilder.wheel.canonical import canonicalise
from pybuilder.work import make_work
from pybuilder.workspace.checkout import Revision


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """What an attempt made."""

    sha256: str
    filename: str
    path: Path
    plan: Plan
    attempt: str


@dataclass(kw_only=True, slots=True)
class UnderWay:
    """An attempt under way."""

    adapters: Adapters
    source: Source
    plan: Plan
    row: Attempt
    work: Path
    revision: Revision
    patches: Mapping[str, bytes]
    began: float
    phases: dict[str, float] = field(default_factory=dict)
    kept: ExitStack = field(default_factory=ExitStack)
    seal: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(cls, adapters: Adapters, source: Source, plan: Plan, *, phase: Literal["build", "prebuilt"]) -> Self:
        """Write the attempt down as running, and make room for its work.

        Raises:
            SigningError: The key can't be used; better told now than when a long build has ended.
            ConfigError: A patch is not what it was when the plan was made.
        """
        load_private(adapters.layout.key)
        # Now, not at the end: somebody may edit the workspace while it is built.
        patches = {patch.path.name: patch.read() for patch in source.patches}
        revision = adapters.workspace.revision(
            source.name,
            source.version,
            source.spec,
            patches=[patch.path for patch in source.patches],
            beside=[each.name for each in plan.environment],
            buildroot=adapters.channel.buildroot,
        )
        started = adapters.now()
        row = Attempt(
            id=new_attempt_id(started),
            key=plan.key(),
            recipe=plan.recipe.digest(),
            name=source.name,
            version=str(source.version),
            channel=adapters.channel.name,
            target=plan.target.name,
            engine=adapters.engine.name,
            state="running",
            owner=process_identity(os.getpid()),
            started=timestamp(started),
        )
        adapters.state.begin_attempt(row)
        work = make_work(adapters.layout, row.id)
        with disk_errors(work):
            (work / "record").mkdir()
            (work / "record" / record.LOG).touch()
        adapters.listen(
            events.Started(name=source.name, version=row.version, phase=phase, detail=str(work / "record" / record.LOG))
        )
        began = time.monotonic()
        return cls(
            adapters=adapters,
            source=source,
            plan=plan,
            row=row,
            work=work,
            revision=revision,
            patches=patches,
            began=began,
        )

    @property
    def log(self) -> Path:
        """Where everything the build prints goes, at once."""
        return self.work / "record" / record.LOG

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Whatever happens in the block that made no payload is written down as how the attempt ended."""
        try:
            with self.kept:
                yield
        except PybuildError as error:
            self.end(failure=error)
            error.attempt, error.log = self.row.id, str(self.kept_log)
            raise
        except BaseException as error:
            self.end(failure=BuildError(f"{INTERRUPTED} by {type(error).__name__}"))
            raise

    def keep(self, wheel: Path) -> Built:
        """Make the payload of a wheel, keep it in the store, and end the attempt as succeeded."""
        with self.phase("canonicalise"), disk_errors(self.work):
            payload = canonicalise(wheel, self.work / "payload.whl", epoch=self.plan.source_date_epoch)
            path = self.adapters.store.add_payload(
                self.work / "payload.whl", sha256=payload.sha256, name=payload.filename
            )
        self.end(payload=(payload.sha256, payload.filename))
        return Built(sha256=payload.sha256, filename=payload.filename, path=path, plan=self.plan, attempt=self.row.id)

    @property
    def kept_log(self) -> Path:
        """Where the log is once the attempt has ended."""
        return self.adapters.layout.record(self.plan.key(), self.row.id) / record.LOG

    def note(self, text: str) -> None:
        """Write something of ours into the log."""
        with self.log.open("ab") as stream:
            stream.write(text.encode())
        self.echo(text.encode())

    def echo(self, data: bytes) -> None:
        """Pass on a piece of what the log says."""
        self.adapters.listen(events.Output(name=self.source.name, version=str(self.source.version), data=data))

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Counts the time that a block takes as a phase."""
        return timed(self.tell, name=self.source.name, version=self.source.version, phase=name)

    def tell(self, span: events.Span) -> None:
        """Add a phase to the record, and tell of it."""
        self.phases[span.phase] = self.phases.get(span.phase, 0.0) + span.seconds
        self.adapters.listen(span)

    def end(self, *, payload: tuple[str, str] | None = None, failure: PybuildError | None = None) -> None:
        """Write the record, then say in the database how it ended, then clear away the work."""
        seconds = time.monotonic() - self.began
        result: dict[str, Any] = (
            {"phase": failure.phase, "error": failure.what}
            if failure
            else {"payload_sha256": payload[0], "filename": payload[1]}
            if payload
            else {}
        )
        with timed(self.adapters.listen, name=self.source.name, version=self.row.version, phase="record"):
            try:
                with disk_errors(self.work):
                    self._write_record(seconds, result)
            except StateError:
                # What the build wrote may have filled the disk, and the record needs room.
                for name in ("build", "out", "tmp"):
                    with suppress(OSError):
                        remove_tree(self.work / name)
                with disk_errors(self.work):
                    self._write_record(seconds, result)
        remember(self.adapters.state, record.read_record(self.kept_log.parent))
        self.adapters.state.end_attempt(
            self.row.id,
            seconds=seconds,
            sealed=bool(self.seal),
            payload=payload,
            failure=(failure.phase, failure.what) if failure else None,
        )
        self.adapters.cleaner.remove(self.work)

    def _write_record(self, seconds: float, result: dict[str, Any]) -> None:
        directory = self.work / "record"
        plan, source, engine = self.plan, self.source, self.adapters.engine
        prebuilt = source.spec.prebuilt
        write_atomic(directory / record.PLAN, record.pretty_json(plan.as_json()))
        write_atomic(directory / record.ENVIRONMENT, freeze(plan.environment).encode())
        for name, text in self.patches.items():
            write_atomic(directory / "patches" / name, text)
        write_atomic(
            directory / record.RECORD,
            record.record_json(
                attempt=self.row.id,
                plan=plan,
                source={
                    "file": source.file.name,
                    "sha256": source.sha256,
                    "origin": source.origin,
                    "scm": source.scm,
                },
                patches=[{"file": patch.file, "sha256": patch.sha256} for patch in source.patches],
                channel=self.adapters.channel.name,
                buildroot=self.adapters.channel.buildroot,
                workspace=asdict(self.revision),
                started=self.row.started,
                seconds=seconds,
                phases=self.phases,
                engine=engine.name,
                seal=self.seal,
                tools={} if prebuilt else engine.tools(),
                log_sha256=sha256_file(self.log),
                result=result,
                prebuilt=prebuilt.reason if prebuilt else "",
                tainted=[taint.as_json for taint in environment_taints(self.adapters.state, plan)],
                screening=remembered(self.adapters.state, source.name, str(source.version), source.sha256),
            ),
        )
        target = self.adapters.layout.record(plan.key(), self.row.id)
        target.parent.mkdir(parents=True, exist_ok=True)
        directory.rename(target)
        fsync_dir(target.parent)

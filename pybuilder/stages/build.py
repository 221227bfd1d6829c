"""From a plan to a payload: one attempt, from its first moment to its record."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from pybuilder import events, record
from pybuilder.clock import new_attempt_id, timestamp
from pybuilder.environment import freeze
from pybuilder.errors import BuildError, BuildTimeout, PybuildError
from pybuilder.files import disk_errors, fsync_dir, remove_tree, sha256_file, write_atomic
from pybuilder.lacking import LOG_SIZE, lacking
from pybuilder.plan import Plan
from pybuilder.processes import process_identity
from pybuilder.sandbox import Event, Outcome
from pybuilder.stages import Adapters, Project, Source
from pybuilder.stages.prepared import lay_out_source, payload_refs, prepared_job
from pybuilder.state import Attempt
from pybuilder.timing import timed
from pybuilder.wheel.canonical import canonicalise
from pybuilder.wheel.check import problems
from pybuilder.work import make_work


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """What an attempt made."""

    sha256: str
    filename: str
    path: Path
    plan: Plan
    attempt: str


# Given the requirements that only the backend knows: the plan with them, or the same plan if it has them already.
Replan = Callable[[tuple[Requirement, ...]], Plan]


def build(
    adapters: Adapters,
    source: Source,
    project: Project,
    plan: Plan,
    *,
    cpus: int,
    satisfied: Callable[[tuple[Requirement, ...]], bool],
    replan: Replan,
) -> Built:
    """Make an attempt at a plan.

    The backend is asked for its requirements in the same start of the sandbox in which it builds; only where it wants
    something that isn't there does a second start follow, with the plan that ``replan`` makes. Each hook runs once
    (PEP 517), over one tree: what is asked for first may write into it.

    Args:
        adapters: The world.
        source: What is built.
        project: What it says of itself.
        plan: Its plan.
        cpus: The processors that are free for it.
        satisfied: Whether the plan's environment has what only the backend knew of.
        replan: Makes the plan that has it.

    Raises:
        BuildError, BuildTimeout, EngineError: It failed; the attempt and its log are kept all the same.
    """
    with timed(adapters.listen, name=source.name, version=source.version, phase="build"):
        attempt = _Attempt.begin(adapters, source, plan, cpus=cpus)
        try:
            with attempt.kept:
                built = attempt.make(project, satisfied, replan)
        except PybuildError as error:
            attempt.end(failure=error)
            error.attempt, error.log = attempt.row.id, str(attempt.kept_log)
            raise
        except BaseException as error:
            attempt.end(failure=BuildError(f"interrupted by {type(error).__name__}"))
            raise
    return built


@dataclass(kw_only=True, slots=True)
class _Attempt:
    """An attempt under way."""

    adapters: Adapters
    source: Source
    plan: Plan
    row: Attempt
    work: Path
    began: float
    cpus: int
    phases: dict[str, float] = field(default_factory=dict)
    kept: ExitStack = field(default_factory=ExitStack)
    seal: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(cls, adapters: Adapters, source: Source, plan: Plan, *, cpus: int) -> _Attempt:
        """Write the attempt down as running, and make room for its work."""
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
            events.Started(
                name=source.name, version=row.version, phase="build", detail=str(work / "record" / record.LOG)
            )
        )
        return cls(adapters=adapters, source=source, plan=plan, row=row, work=work, began=time.monotonic(), cpus=cpus)

    @property
    def log(self) -> Path:
        """Where everything the build prints goes, at once."""
        return self.work / "record" / record.LOG

    def make(self, project: Project, satisfied: Callable[[tuple[Requirement, ...]], bool], replan: Replan) -> Built:
        """Go through the phases."""
        with disk_errors(self.work):
            self._lay_out_source(project)
        wanted = self._run(project, ("requires", "metadata", "wheel"), satisfied)
        if wanted is not None:
            self._log(f"[pybuild: the backend also wants {', '.join(map(str, wanted))}; starting again with these]\n")
            self._take_plan(replan(wanted))
            self._run(project, ("metadata", "wheel"), satisfied)
        with self._phase("canonicalise"), disk_errors(self.work):
            payload = canonicalise(self._wheel(), self.work / "payload.whl", epoch=self.plan.source_date_epoch)
            path = self.adapters.store.add_payload(
                self.work / "payload.whl", sha256=payload.sha256, name=payload.filename
            )
        self.end(payload=(payload.sha256, payload.filename))
        return Built(sha256=payload.sha256, filename=payload.filename, path=path, plan=self.plan, attempt=self.row.id)

    def _lay_out_source(self, project: Project) -> None:
        with self._phase("unpack"):
            lay_out_source(self.adapters, self.source, project, self.plan, self.work)

    def _run(
        self, project: Project, steps: Sequence[str], satisfied: Callable[[tuple[Requirement, ...]], bool]
    ) -> tuple[Requirement, ...] | None:
        """One start of the sandbox; what the backend wants besides, or None when it made its wheel."""
        adapters, spec = self.adapters, self.source.spec
        with self._phase("environment"):
            refs = payload_refs(adapters, self.plan)
            environment = adapters.environments.prepare(refs, python=adapters.python)
        with self._phase("root"):
            # Kept as long as the attempt lasts, since nobody may prune what it builds on.
            root = self.kept.enter_context(adapters.roots.tree(self.plan.root))
        wanted: list[tuple[Requirement, ...]] = []
        told = time.monotonic()

        def answer(event: Event) -> bool:
            nonlocal told
            if event.get("event") != "done":
                return True
            step = str(event["step"])
            told = self._tell_step(step, float(event["seconds"]), after=told)
            if step != "requires":
                return True
            extra = _requirements(event["result"], self.source)
            if satisfied(extra):
                return True
            wanted.append(extra)
            return False

        hook = {
            "backend": project.backend,
            "backend_path": list(project.backend_path),
            "config_settings": _settings(spec.build.config_settings),
        }
        job = prepared_job(
            adapters,
            self.source,
            self.plan,
            root=root,
            environment=environment,
            work=self.work,
            log=self.log,
            steps=[{"do": step, **hook} for step in steps],
            cpus=self.cpus,
        )
        with self._phase("sandbox"), disk_errors(self.work):
            outcome = adapters.engine.run(job, answer=answer, echo=self._echo)
        self.seal = dict(outcome.seal)
        self._check(outcome)
        return wanted[0] if wanted else None

    def _echo(self, data: bytes) -> None:
        self.adapters.listen(events.Output(name=self.source.name, version=str(self.source.version), data=data))

    def _check(self, outcome: Outcome) -> None:
        if not outcome.failure:
            return
        advice = "" if outcome.timed_out else self._advice()
        # What it lacks stands in the first line as well: that is all that a report for programs has.
        lacks = f"; {advice.partition(':')[0]}" if advice else ""
        shown = "".join(f"\n    | {line}" for line in record.last_lines(self.log))
        kind = BuildTimeout if outcome.timed_out else BuildError
        raise kind(
            f"{self.source.name} {self.source.version} did not build: {outcome.failure}{lacks}{shown}",
            where=str(self.kept_log),
            cure="raise [build] limits.timeout in its spec if it needs longer"
            if outcome.timed_out
            else advice or f"read the log: pybuild log {self.row.id}",
        )

    def _advice(self) -> str:
        lacks = lacking(record.tail(self.log, LOG_SIZE))
        return self.adapters.roots.advice(lacks, package=self.source.name, built_on=self.plan.root)

    @property
    def kept_log(self) -> Path:
        """Where the log is once the attempt has ended."""
        return self.adapters.layout.record(self.plan.key(), self.row.id) / record.LOG

    def _wheel(self) -> Path:
        """The one wheel in /out, which nothing but a regular file may be, and a sound wheel of this very version.

        It is checked before it is made canonical, because that makes RECORD anew and would hide what was wrong with it.

        Raises:
            BuildError: There is none, there are several, or it is another's or damaged.
        """
        out = self.work / "out"
        wheels = sorted(path for path in out.iterdir() if path.name.endswith(".whl"))
        if len(wheels) != 1:
            found = ", ".join(path.name for path in wheels) or "nothing"
            raise BuildError(
                f"the backend of {self.source.name} {self.source.version} left {found} where one wheel belongs",
                where=str(self.kept_log),
            )
        if not stat.S_ISREG(wheels[0].lstat().st_mode):
            raise BuildError(f"what the backend of {self.source.name} left as {wheels[0].name} is no regular file")
        if wrong := problems(wheels[0], name=self.source.name, version=self.source.version):
            raise BuildError(
                f"what the backend of {self.source.name} {self.source.version} made is no sound wheel of it: "
                + "; ".join(wrong),
                where=str(self.kept_log),
                cure="mend its source with a patch, or tell the backend with [build] env or config-settings",
            )
        return wheels[0]

    def _take_plan(self, plan: Plan) -> None:
        self.plan = plan
        self.adapters.state.move_attempt(self.row.id, key=plan.key())

    def _log(self, text: str) -> None:
        with self.log.open("ab") as stream:
            stream.write(text.encode())
        self._echo(text.encode())

    def _phase(self, name: str) -> AbstractContextManager[None]:
        return timed(self._tell, name=self.source.name, version=self.source.version, phase=name)

    def _tell(self, span: events.Span) -> None:
        """Add a phase to the record, and tell of it."""
        self.phases[span.phase] = self.phases.get(span.phase, 0.0) + span.seconds
        self.adapters.listen(span)

    def _tell_step(self, step: str, seconds: float, *, after: float) -> float:
        """Tell of a step of the backend that has just ended inside; the time at which it has.

        Args:
            step: Its name.
            seconds: How long it took there.
            after: When the step before it had ended here. News from inside may have been late then, and two steps
                never run at once.
        """
        ended = time.monotonic()
        self._tell(
            events.Span(
                name=self.source.name,
                version=self.row.version,
                phase=f"backend {step}",
                began=max(after, ended - seconds),
                seconds=min(seconds, ended - after),
                thread=threading.get_native_id(),
            )
        )
        return ended

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
            for name in ("build", "out", "tmp"):
                # What the build wrote goes first: it may have filled the disk, and the record needs room.
                with suppress(OSError):
                    remove_tree(self.work / name)
            with disk_errors(self.work):
                self._write_record(seconds, result)
        self.adapters.state.end_attempt(
            self.row.id,
            seconds=seconds,
            sealed=bool(self.seal),
            payload=payload,
            failure=(failure.phase, failure.what) if failure else None,
        )
        with suppress(OSError):
            remove_tree(self.work)

    def _write_record(self, seconds: float, result: dict[str, Any]) -> None:
        directory = self.work / "record"
        plan, source = self.plan, self.source
        write_atomic(directory / record.PLAN, record.pretty_json(plan.as_json()))
        write_atomic(directory / record.ENVIRONMENT, freeze(payload_refs(self.adapters, plan)).encode())
        for patch in source.patches:
            write_atomic(directory / "patches" / patch.path.name, patch.path.read_bytes())
        write_atomic(
            directory / record.RECORD,
            record.record_json(
                attempt=self.row.id,
                plan=plan,
                source={"file": source.file.name, "sha256": source.sha256, "origin": source.origin},
                patches=[{"file": patch.file, "sha256": patch.sha256} for patch in source.patches],
                channel=self.adapters.channel.name,
                started=self.row.started,
                seconds=seconds,
                phases=self.phases,
                engine=self.adapters.engine.name,
                seal=self.seal,
                tools=self.adapters.engine.tools(),
                log_sha256=sha256_file(self.log),
                result=result,
            ),
        )
        target = self.adapters.layout.record(plan.key(), self.row.id)
        target.parent.mkdir(parents=True, exist_ok=True)
        directory.rename(target)
        fsync_dir(target.parent)


def _requirements(texts: Sequence[str], source: Source) -> tuple[Requirement, ...]:
    found = []
    for text in texts:
        try:
            found.append(Requirement(text))
        except InvalidRequirement as error:
            raise BuildError(
                f"the backend of {source.name} {source.version} wants {text!r}, which is no requirement (PEP 508)",
                cure="mend its source with a patch",
            ) from error
    return tuple(found)


def _settings(settings: Any) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}

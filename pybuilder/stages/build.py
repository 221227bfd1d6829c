"""From a plan to a payload: one attempt, from its first moment to its record."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from pybuilder import events, record
from pybuilder.errors import BuildError, BuildTimeout
from pybuilder.files import disk_errors
from pybuilder.lacking import LOG_SIZE, lacking
from pybuilder.plan import Plan
from pybuilder.printable import printable
from pybuilder.sandbox import Event, Outcome, Share
from pybuilder.stages import Adapters, Project, Source
from pybuilder.stages.attempt import Built, UnderWay
from pybuilder.stages.prepared import check_room, lay_out_source, payload_refs, prepared_job
from pybuilder.timing import timed
from pybuilder.wheel.check import problems

# Given the requirements that only the backend knows: whether the plan's environment has them.
Satisfied = Callable[[tuple[Requirement, ...]], bool]
# The same: the plan with them, or the same plan if it has them already.
Replan = Callable[[tuple[Requirement, ...]], Plan]

# Of the files that a backend left where one belongs.
_NAMED = 5


def build(
    adapters: Adapters,
    source: Source,
    project: Project,
    plan: Plan,
    *,
    share: Share,
    satisfied: Satisfied,
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
        share: What it may use of the machine.
        satisfied: Whether the plan's environment has what only the backend knew of.
        replan: Makes the plan that has it.

    Raises:
        BuildError, BuildTimeout, EngineError: It failed; the attempt and its log are kept all the same.
        StateError: The disk has so little room left that no attempt was begun.
    """
    check_room(adapters.layout)
    with timed(adapters.listen, name=source.name, version=source.version, phase="build"):
        attempt = _Attempt.begin(adapters, source, plan, phase="build")
        with attempt.ending():
            return attempt.make(project, satisfied, replan, share)


@dataclass(kw_only=True, slots=True)
class _Attempt(UnderWay):
    """A build under way."""

    def make(self, project: Project, satisfied: Satisfied, replan: Replan, share: Share) -> Built:
        """Go through the phases."""
        with disk_errors(self.work):
            self._lay_out_source(project)
        wanted = self._run(project, ("requires", "wheel"), satisfied, share)
        if wanted is not None:
            self.note(f"[pybuild: the backend also wants {', '.join(map(str, wanted))}; starting again with these]\n")
            with self.phase("wait"):
                plan = replan(wanted)
            # What it waited for others is no part of what it takes.
            self.began += self.phases["wait"]
            self._take_plan(plan)
            self._run(project, ("wheel",), satisfied, share)
        with self.phase("check"), disk_errors(self.work):
            wheel = self._wheel()
        return self.keep(wheel)

    def _lay_out_source(self, project: Project) -> None:
        with self.phase("unpack"):
            lay_out_source(self.adapters, self.source, project, self.plan, self.work)

    def _run(
        self, project: Project, steps: Sequence[str], satisfied: Satisfied, share: Share
    ) -> tuple[Requirement, ...] | None:
        """One start of the sandbox; what the backend wants besides, or None when it made its wheel."""
        adapters, spec = self.adapters, self.source.spec
        with self.phase("environment"):
            refs = payload_refs(adapters, self.plan)
            environment = adapters.environments.prepare(refs, python=adapters.python)
        with self.phase("root"):
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
            cpus=share.cpus,
            gives_way=share.gives_way(),
        )
        with self.phase("sandbox"), disk_errors(self.work):
            outcome = adapters.engine.run(job, answer=answer, echo=self.echo)
        self.seal = dict(outcome.seal)
        self._check(outcome)
        return wanted[0] if wanted else None

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

    def _wheel(self) -> Path:
        """The one wheel in /out, which nothing but a regular file may be, and a sound wheel of this very version.

        It is checked before it is made canonical, because that makes RECORD anew and would hide what was wrong with it.

        Raises:
            BuildError: There is none, there are several, or it is another's or damaged.
        """
        out = self.work / "out"
        wheels = sorted(path for path in out.iterdir() if path.name.endswith(".whl"))
        if len(wheels) != 1 or printable(wheels[0].name) != wheels[0].name:
            found = ", ".join(printable(path.name) for path in wheels[:_NAMED]) or "nothing"
            found += f" and {len(wheels) - _NAMED} more" if len(wheels) > _NAMED else ""
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

    def _tell_step(self, step: str, seconds: float, *, after: float) -> float:
        """Tell of a step of the backend that has just ended inside; the time at which it has.

        Args:
            step: Its name.
            seconds: How long it took there.
            after: When the step before it had ended here. News from inside may have been late then, and two steps
                never run at once.
        """
        ended = time.monotonic()
        self.tell(
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


def _requirements(texts: Sequence[str], source: Source) -> tuple[Requirement, ...]:
    found = []
    for text in texts:
        try:
            found.append(Requirement(text))
        except InvalidRequirement as error:
            raise BuildError(
                f"the backend of {source.name} {source.version} wants {text[:200]!r}, "
                "which is no requirement (PEP 508)",
                cure="mend its source with a patch",
            ) from error
    return tuple(found)


def _settings(settings: Any) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}

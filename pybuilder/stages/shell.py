"""A shell where a build would run, for a person who wants to see what a build sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pybuilder.clock import new_attempt_id
from pybuilder.errors import EngineError, UsageError
from pybuilder.files import disk_errors
from pybuilder.plan import BUILD_PATH, Plan, Root
from pybuilder.sandbox import Job, Limits, build_environ
from pybuilder.sandbox.processors import usable
from pybuilder.stages import Adapters, Project, Source
from pybuilder.stages.prepared import lay_out_source, payload_refs, prepared_job
from pybuilder.work import work_directory

_LONGEST = 7 * 86400.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Somebody at a terminal, or a program in their place.

    Attributes:
        typed: The descriptor they type into.
        size: Rows and columns of their terminal; empty where it is none.
        show: Shows them what is printed.
    """

    typed: int
    size: tuple[int, ...]
    show: Callable[[bytes], None]


def build_shell(adapters: Adapters, source: Source, project: Project, plan: Plan, person: Person) -> None:
    """A shell in a prepared build: the patched source, the environment, the root, sealed; it is gone afterwards.

    Raises:
        UsageError: Nothing is built: upstream's wheel is used.
        PybuildError: The build can't be prepared.
    """
    if source.spec.prebuilt:
        raise UsageError(
            f"{source.name} {source.version} is not built: its spec takes upstream's wheel",
            cure="take [prebuilt] out of its spec to see a build of it",
        )
    environment = adapters.environments.prepare(payload_refs(adapters, plan), python=adapters.python)
    with (
        work_directory(adapters.layout, new_attempt_id(adapters.now())) as work,
        adapters.roots.tree(plan.root) as root,
        disk_errors(work),
    ):
        lay_out_source(adapters, source, project, plan, work)
        job = prepared_job(
            adapters,
            source,
            plan,
            root=root,
            environment=environment,
            work=work,
            log=work / "log",
            steps=[_step(person)],
            cpus=len(usable()),
        )
        _run(adapters, job, person)


def root_shell(adapters: Adapters, root: Root, person: Person) -> None:
    """A shell in a root, with an empty environment, sealed like a build.

    Raises:
        PybuildError: The root can't be had.
    """
    with (
        work_directory(adapters.layout, new_attempt_id(adapters.now())) as work,
        adapters.roots.tree(root) as tree,
        disk_errors(work),
    ):
        job = Job(
            root=tree,
            environment=adapters.environments.prepare((), python=adapters.python),
            work=work,
            cwd=BUILD_PATH,
            env=build_environ(source_date_epoch=0, build_dir=BUILD_PATH, extra=adapters.channel.env),
            steps=(_step(person),),
            limits=Limits(),
            log=work / "log",
        )
        _run(adapters, job, person)


def _step(person: Person) -> dict[str, object]:
    return {"do": "shell", "argv": ["/bin/sh", *(["-i"] if person.size else [])], "size": list(person.size)}


def _run(adapters: Adapters, job: Job, person: Person) -> None:
    """Run until the person leaves; nobody is timed out, and their terminal knows colours."""
    env = {**job.env, **({"TERM": "xterm-256color"} if person.size else {})}
    limits = dataclasses.replace(job.limits, seconds=_LONGEST, log=1 << 40)
    quiet = dataclasses.replace(job, env=env, limits=limits, typed=person.typed, log=Path("/dev/null"))
    outcome = adapters.engine.run(quiet, answer=lambda event: True, echo=person.show)
    if outcome.failure:
        raise EngineError(f"the shell was ended: {outcome.failure}")

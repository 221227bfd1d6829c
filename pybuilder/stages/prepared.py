"""A prepared build, for whoever runs something in it: the patched source, the environment, the job around steps."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pybuilder.environment import PayloadRef
from pybuilder.errors import BuildError, StateError
from pybuilder.layout import Layout
from pybuilder.patching import apply
from pybuilder.plan import Plan
from pybuilder.sandbox import FREE_DISK, Job, Limits, build_environ, parallel_environ
from pybuilder.sources.archive import extract
from pybuilder.sources.modules import installed_modules
from pybuilder.sources.scm import scm_env, tell_versioningit
from pybuilder.stages import Adapters, Made, Project, Source
from pybuilder.timing import timed


def check_room(layout: Layout) -> None:
    """Don't begin what would be ended at once, and then count as a failure of the package.

    Raises:
        StateError: The disk has less room than whatever runs in a sandbox has to leave.
    """
    if shutil.disk_usage(layout.root).free < FREE_DISK:
        raise StateError(
            f"less than {FREE_DISK >> 20} MiB are free on the disk, which every build has to leave",
            where=str(layout.root),
            cure="free some space (`pybuild gc`), or choose another disk with --state; then run it again",
        )


def lay_out_source(adapters: Adapters, source: Source, project: Project, plan: Plan, work: Path) -> None:
    """Unpack a source in a work directory where the sandbox shows it, and apply its patches.

    Raises:
        PybuildError: The archive is dangerous, or a patch doesn't apply.
    """
    tree = work / plan.build_path.lstrip("/")
    extract(source.file, tree, now=int(adapters.now().timestamp()))
    apply(tree, [patch.path for patch in source.patches], [patch.read() for patch in source.patches])
    if source.scm:
        directory = tree / source.spec.source.subdirectory
        tell_versioningit(directory, source.name, source.version, project.requires)


def make_ready(adapters: Adapters, plan: Plan) -> None:
    """Make the root and the build environment of a plan, unless they are there.

    Raises:
        PybuildError: They can't be made.
    """
    with timed(adapters.listen, name=plan.recipe.name, version=plan.recipe.version, phase="prepare"):
        adapters.environments.prepare(payload_refs(adapters, plan), python=adapters.python)
        with adapters.roots.tree(plan.root):
            pass


def unpack(adapters: Adapters, made: Made) -> None:
    """Unpack a payload as build environments have it, unless it is.

    Raises:
        PybuildError: It can't be installed.
    """
    with timed(adapters.listen, name=made.name, version=made.version, phase="prepare"):
        adapters.environments.unpack(made.ref, python=adapters.python)


def compile_ahead(adapters: Adapters, source: Source) -> None:
    """Have what builds will require most likely compiled while nothing else is there to do; returns at once."""
    adapters.environments.foresee(
        source.name, str(source.version), lambda: installed_modules(source.file), python=adapters.python
    )


def payload_refs(adapters: Adapters, plan: Plan) -> list[PayloadRef]:
    """The payloads of a plan's environment, in the store.

    Raises:
        BuildError: One of them isn't there any more.
    """
    refs = []
    for ingredient in plan.environment:
        path = adapters.store.payload(ingredient.payload)
        if path is None:
            raise BuildError(
                f"the payload of {ingredient.name} {ingredient.version} is gone from the store",
                where=str(adapters.layout.payload(ingredient.payload)),
                cure=f"build it again: pybuild rebuild {ingredient.name}=={ingredient.version}",
            )
        refs.append(PayloadRef(sha256=ingredient.payload, path=path))
    return refs


def prepared_job(
    adapters: Adapters,
    source: Source,
    plan: Plan,
    *,
    root: Path,
    environment: Path,
    work: Path,
    log: Path,
    steps: Sequence[Mapping[str, Any]],
    cpus: int,
    gives_way: bool = False,
) -> Job:
    """Steps in a build of this source: with its environment variables, in its directory, within its limits.

    Args:
        adapters: The world.
        source: What is built.
        plan: Its plan.
        root: The tree of the plan's root.
        environment: The plan's environment.
        work: The work directory, in which the source is laid out.
        log: The file for what is printed.
        steps: What is done.
        cpus: The processors that are free for it; a spec that says how many it wants has those.
        gives_way: Whether others are more urgent.
    """
    spec, build_dir = source.spec, plan.build_path
    used = spec.build.limits.cpus or cpus
    extra_env = {
        **parallel_environ(used),
        **(scm_env(source.name, source.version) if source.scm else {}),
        **adapters.channel.env,
        **spec.build.env,
    }
    return Job(
        root=root,
        environment=environment,
        work=work,
        cwd=f"{build_dir}/{spec.source.subdirectory}".rstrip("/"),
        env=build_environ(source_date_epoch=plan.source_date_epoch, build_dir=build_dir, extra=extra_env),
        steps=tuple(steps),
        limits=Limits(
            seconds=spec.build.limits.timeout.total_seconds(),
            memory=spec.build.limits.memory,
            cpus=spec.build.limits.cpus,
            gives_way=gives_way,
        ),
        log=log,
        cpus=used,
    )

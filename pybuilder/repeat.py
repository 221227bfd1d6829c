"""Build a recorded plan once more, in a fresh state: from the kept source, the kept patches and the kept payloads."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder import record
from pybuilder.environment import Environments
from pybuilder.errors import PybuildError, StateError, UsageError
from pybuilder.files import atomic_dir, disk_errors
from pybuilder.index.reader import DirectoryReader
from pybuilder.layout import Layout
from pybuilder.plan import Plan, Recipe
from pybuilder.recorded import kept_patch
from pybuilder.sandbox import SANDBOX_VERSION, Share
from pybuilder.spec import EffectiveSpec
from pybuilder.stages import Adapters, Source
from pybuilder.stages.attempt import Built
from pybuilder.stages.build import build
from pybuilder.stages.inspect import inspect_source
from pybuilder.stages.prebuilt import take_wheel
from pybuilder.stages.prepared import payload_refs
from pybuilder.state import Attempt, State
from pybuilder.store import Store
from pybuilder.wheel import CANONICALISER_VERSION
from pybuilder.work import Cleaner


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeatable:
    """A build that succeeded, as its record has it.

    Attributes:
        attempt: The attempt.
        account: Its record.
        plan: What was built.
        payload: What it made, in the store.
        source: What it was built from, under the spec that its recipe comes to.
    """

    attempt: Attempt
    account: dict[str, Any]
    plan: Plan
    payload: Path
    source: Source


def repeatable(adapters: Adapters, attempt: Attempt, spec: EffectiveSpec) -> Repeatable:
    """What is kept of an attempt that succeeded, enough to build its plan again.

    Args:
        adapters: The world.
        attempt: The attempt.
        spec: What the workspace says today, for limits; what the recipe says goes over it.

    Raises:
        UsageError: It can't be built again here, or nothing was built; says why.
        StateError: Something of it is lost or damaged.
    """
    directory = adapters.layout.record(attempt.key, attempt.id)
    account, plan = record.read_record(directory), record.read_plan(directory)
    if plan.key() != attempt.key:
        raise StateError("the plan of an attempt has another key than it had", where=str(directory / record.PLAN))
    if [patch["sha256"] for patch in account["patches"]] != list(plan.recipe.patches):
        raise StateError("a record has other patches than its plan", where=str(directory / record.RECORD))
    if account.get("prebuilt"):
        raise UsageError(f"{attempt.name} {attempt.version} was not built: it is upstream's wheel")
    if why := _hindrance(adapters, attempt, plan):
        cure = f"pybuild rebuild {attempt.name}=={attempt.version}, and check that"
        raise UsageError(f"{attempt.name} {attempt.version} can't be built again as it was: {why}", cure=cure)
    payload = adapters.store.sound_payload(attempt.payload or "")
    file = adapters.store.sound_source(plan.recipe.source)
    if payload is None or file is None:
        what = "payload" if payload is None else "source"
        cure = f"build it again: pybuild rebuild {attempt.name}=={attempt.version}"
        raise StateError(
            f"the {what} of {attempt.name} {attempt.version} is gone from the store, or damaged", cure=cure
        )
    spec = spec_of(plan.recipe, spec)
    source = Source(
        name=canonicalize_name(attempt.name),
        version=Version(attempt.version),
        spec=spec,
        sha256=plan.recipe.source,
        patches=tuple(kept_patch(DirectoryReader(directory), ".", entry) for entry in account["patches"]),
        file=file,
        origin=account["source"]["origin"],
        scm=was_scm(account, file),
    )
    return Repeatable(attempt=attempt, account=account, plan=plan, payload=payload, source=source)


def was_scm(account: Mapping[str, Any], source: Path) -> bool:
    """Whether a backend was told the version of what it built, which no plan says."""
    # Records of old don't say it; only what pybuild has packed itself is an uncompressed tar.
    return bool(account["source"].get("scm", source.suffix == ".tar"))


def spec_of(recipe: Recipe, spec: EffectiveSpec) -> EffectiveSpec:
    """A spec that says what a recipe says, and in all that is no part of recipes what another spec says."""
    env_and_settings = {"env": dict(recipe.env), "config_settings": dict(recipe.config_settings)}
    return spec.model_copy(
        update={
            "build": spec.build.model_copy(update=env_and_settings),
            "source": spec.source.model_copy(update={"subdirectory": recipe.subdirectory}),
            "prebuilt": None,
        }
    )


def _hindrance(adapters: Adapters, attempt: Attempt, plan: Plan) -> str:
    """Why a plan can't be built again with these adapters; empty if it can."""
    if attempt.channel != adapters.channel.name:
        return f"it is of the channel {attempt.channel}, this is {adapters.channel.name} (-b chooses)"
    if (plan.sandbox_version, plan.canonicaliser_version) != (SANDBOX_VERSION, CANONICALISER_VERSION):
        return "another version of pybuild built it, whose sandbox was another"
    before, now = plan.target, adapters.target
    if (before.name, before.full_version, tuple(before.tags)) != (now.name, now.full_version, now.tags):
        return f"it was built for {before.name}, Python {before.full_version}; here is {now.name}, {now.full_version}"
    if not adapters.roots.has(plan.root):
        return "the lock has moved since" if plan.root.kind == "rpm" else "this machine's system has changed since"
    return ""


@contextmanager
def fresh_state(adapters: Adapters, plan: Plan, root: Path) -> Iterator[Adapters]:
    """The same world over a state of its own, in which there is nothing but the payloads of a plan's environment.

    Args:
        adapters: The world.
        plan: The plan.
        root: Where the state is made; on the same file system as the other.
    """
    layout = Layout(root=root)
    for ref in payload_refs(adapters, plan):
        kept = layout.payload(ref.sha256) / ref.path.name
        with disk_errors(kept):
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.link(ref.path, kept)
    with contextlib.closing(State.open(layout)) as state, Cleaner() as cleaner:
        yield dataclasses.replace(
            adapters,
            layout=layout,
            store=Store(layout),
            state=state,
            environments=Environments(layout, adapters.environments.compilers),
            cleaner=cleaner,
            channel=dataclasses.replace(adapters.channel, env=plan.recipe.root_env, macros=plan.recipe.root_macros),
        )


def build_again(adapters: Adapters, fresh: Adapters, source: Source, plan: Plan, *, cpus: int) -> Built:
    """Build a recorded plan.

    Args:
        adapters: The world in which the source is known.
        fresh: That in which it is built.
        source: What is built.
        plan: How.
        cpus: The processors that are free for it.

    Raises:
        PybuildError: It failed.
    """
    if source.spec.prebuilt:
        return take_wheel(fresh, source, plan, reason=source.spec.prebuilt.reason)
    project = inspect_source(adapters, source)
    # The plan has what the backend wanted then; it is not asked again.
    return build(fresh, source, project, plan, share=Share(cpus=cpus), satisfied=lambda _: True, replan=lambda _: plan)


@contextmanager
def keeping_record(layout: Layout) -> Iterator[None]:
    """Keep the record of an attempt that fails in the block, and say where it is: the state that it is in goes away."""
    try:
        yield
    except PybuildError as error:
        if error.log:
            kept, directory = layout.check(error.attempt), Path(error.log).parent
            with disk_errors(kept), atomic_dir(kept) as made:
                shutil.move(directory, made / "record")
            error.log = str(kept / "record" / record.LOG)
            error.where = error.where.replace(str(directory), str(kept / "record"))
            error.cure = error.cure.replace(f"pybuild log {error.attempt}", error.log)
        raise


def keep_both(layout: Layout, fresh: Layout, payload: Path, built: Built) -> Path:
    """Keep two payloads that differ, and the record of the second; the directory that they are in.

    Args:
        layout: Where they are kept.
        fresh: Where the second was built.
        payload: The one.
        built: The other.
    """
    kept = layout.check(built.attempt)
    with disk_errors(kept), atomic_dir(kept) as directory:
        for name, each in (("recorded", payload), ("again", built.path)):
            (directory / name).mkdir()
            shutil.copyfile(each, directory / name / each.name)
        shutil.move(fresh.record(built.plan.key(), built.attempt), directory / "record")
    return kept

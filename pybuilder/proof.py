"""A recorded plan, built once more: whether the same payload comes out. It is a proof: nothing of it is published.

It is built in a state of its own that is gone afterwards, so that a payload that came out differently is never taken
for the one that the key stands for.
"""

from __future__ import annotations

import dataclasses
import secrets

from pydantic import ValidationError as ModelError

from pybuilder import record
from pybuilder.errors import EngineError, ReproducibilityError, ValidationError, blame
from pybuilder.layout import Layout
from pybuilder.plan import BUILD_PATH, ENVIRONMENT_PATH
from pybuilder.plan_diff import Account, input_changes
from pybuilder.recorded import Recorded
from pybuilder.repeat import build_again, fresh_state, keep_both, keeping_record, was_scm
from pybuilder.sandbox import SANDBOX_VERSION
from pybuilder.spec import EffectiveSpec, Limits
from pybuilder.stages import Adapters, Source
from pybuilder.stages.attempt import Built
from pybuilder.stages.screen import Screener
from pybuilder.supplies import Supplies
from pybuilder.wheel import CANONICALISER_VERSION
from pybuilder.wheel.reasons import told
from pybuilder.work import work_directory


def prove(
    adapters: Adapters, recorded: Recorded, supplies: Supplies, *, screener: Screener, limits: Limits, cpus: int
) -> tuple[str, ...]:
    """Build the plan of a wheel again, exactly as it was.

    Args:
        adapters: The world; its roots, target and channel are those of the plan, or those that there are.
        recorded: The wheel, and what its record says.
        supplies: Where what is not in the store may be had.
        screener: Screens the source, which may come from anybody's index.
        limits: What the build may use, which no plan says.
        cpus: The processors that are free for it.

    Returns:
        What had to be fetched, in words.

    Raises:
        EngineError: It can't be built here as it was: this machine, or this pybuild, is another.
        FetchError: Something that the plan names can't be had.
        ScreeningError, ReviewError: The workspace's policy doesn't let the source be used.
        ReproducibilityError: Another payload came out; both are kept.
        PybuildError: It failed; its record is kept.
    """
    check_possible(adapters, recorded)
    fetched = supplies.bring(recorded)
    wheel = recorded.wheel
    with blame((wheel.name, wheel.version)):
        source = _source(adapters, recorded, limits)
        screener.screen(source)
    with (
        blame((wheel.name, wheel.version)),
        work_directory(adapters.layout, f"proof-{secrets.token_hex(4)}") as work,
        fresh_state(adapters, recorded.plan, work / "state") as fresh,
    ):
        with keeping_record(adapters.layout):
            built = build_again(adapters, fresh, source, recorded.plan, cpus=cpus)
        if built.sha256 != wheel.payload_sha256:
            raise _difference(adapters.layout, fresh.layout, recorded, built)
    return fetched


def check_possible(adapters: Adapters, recorded: Recorded) -> None:
    """Refuse a plan that would be another one if it were made here.

    Raises:
        EngineError: Something in it is not what there is; says what.
    """
    plan = recorded.plan
    here = dataclasses.replace(
        plan,
        root=adapters.roots.for_build(()) if plan.root.kind == "host" else plan.root,
        target=adapters.target,
        build_path=f"{BUILD_PATH}/{plan.recipe.name}-{plan.recipe.version}",
        environment_path=ENVIRONMENT_PATH,
        sandbox_version=SANDBOX_VERSION,
        canonicaliser_version=CANONICALISER_VERSION,
    )
    changes = input_changes(recorded.account, Account(plan=here, record=recorded.account.record))
    if changes:
        raise EngineError(
            f"{recorded.wheel.filename} can't be built again as it was; then and here: "
            + "; ".join(change.sentence for change in changes),
            where=recorded.where,
            cure="build it on a machine, and with a pybuild, that are what they were",
        )


def _source(adapters: Adapters, recorded: Recorded, limits: Limits) -> Source:
    """The source under a spec that says what the recipe says.

    Raises:
        ValidationError: The recipe says what no spec can say.
    """
    recipe, account, wheel = recorded.plan.recipe, recorded.account.record, recorded.wheel
    file = adapters.store.source(recipe.source)
    assert file is not None, recipe.source
    try:
        spec = EffectiveSpec.model_validate(
            {
                "name": recipe.name,
                "source": {"subdirectory": recipe.subdirectory},
                "build": {"env": recipe.env, "config-settings": recipe.config_settings, "limits": limits},
                "prebuilt": {"reason": account["prebuilt"]} if account.get("prebuilt") else None,
            }
        )
    except ModelError as error:
        what = f"the record of {wheel.filename} has a recipe that no spec can have: {error.errors()[0]['msg']}"
        raise ValidationError(what, where=recorded.where) from error
    return Source(
        name=wheel.name,
        version=wheel.version,
        spec=spec,
        sha256=recipe.source,
        patches=recorded.patches,
        file=file,
        origin=account["source"]["origin"],
        scm=was_scm(account, file),
    )


def _difference(layout: Layout, fresh: Layout, recorded: Recorded, built: Built) -> ReproducibilityError:
    """What came out differently; both payloads and the record of the second are kept."""
    wheel = recorded.wheel
    kept = keep_both(layout, fresh, wheel.payload, built)
    error = ReproducibilityError(
        f"{wheel.filename} did not come out the same: {told(wheel.payload, built.path, names=('recorded', 'again'))}",
        where=f"both payloads: {kept}",
        cure="find out what the build depends on that its plan does not have",
    )
    error.attempt, error.log = built.attempt, str(kept / "record" / record.LOG)
    return error

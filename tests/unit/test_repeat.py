"""What must be as it was for a plan to be built again, and what of a spec counts then."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.version import Version

from pybuilder.environment import Environments
from pybuilder.errors import BuildError, PybuildError, StateError, UsageError
from pybuilder.layout import Layout
from pybuilder.plan import Plan
from pybuilder.record import PLAN, RECORD, pretty_json, record_json
from pybuilder.repeat import fresh_state, keeping_record, repeatable, spec_of, was_scm
from pybuilder.sandbox import SANDBOX_VERSION
from pybuilder.spec import EffectiveSpec, parse_spec
from pybuilder.stages import Channel
from pybuilder.state import Attempt
from pybuilder.store import Store
from pybuilder.wheel import CANONICALISER_VERSION
from tests.support.making import plan
from tests.support.planning import TARGET

PAYLOAD_DATA, SOURCE_DATA, PATCH_DATA = b"payload", b"source", b"patch"
PAYLOAD, SOURCE, PATCH = (hashlib.sha256(data).hexdigest() for data in (PAYLOAD_DATA, SOURCE_DATA, PATCH_DATA))
_MADE = plan(("demo", Version("1.0")), ())  # type: ignore[arg-type]
PLAN_NOW = dataclasses.replace(
    _MADE,
    recipe=dataclasses.replace(_MADE.recipe, source=SOURCE, patches=(PATCH,)),
    sandbox_version=SANDBOX_VERSION,
    canonicaliser_version=CANONICALISER_VERSION,
)


def spec(text: str = "") -> EffectiveSpec:
    parsed = parse_spec(f'name = "demo"\n{text}', "specs/demo.toml")
    return parsed.effective(version=Version("1.0"), buildroot="host", python="3.11")


class World:
    """A state with one attempt, and adapters over it."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root=root)
        self.store = Store(self.layout)
        self.changed = False
        self.target = TARGET
        self.channel = Channel(name="host", label="pb", buildroot="host", variant="", env={}, macros={})
        self.roots = SimpleNamespace(has=lambda root: not self.changed)

    def keep(self, made: Plan = PLAN_NOW, *, prebuilt: str = "", missing: str = "", **facts: Any) -> Attempt:
        for kind, sha256, name, data in (
            ("payload", PAYLOAD, "demo-1.0-py3-none-any.whl", PAYLOAD_DATA),
            ("source", SOURCE, "demo.tar.gz", SOURCE_DATA),
        ):
            if kind != missing:
                directory = getattr(self.layout, kind)(sha256)
                directory.mkdir(parents=True)
                (directory / name).write_bytes(data)
        attempt = Attempt(
            id="attempt",
            key=made.key(),
            recipe="r",
            name="demo",
            version="1.0",
            channel="host",
            target="t",
            engine="host",
            state="succeeded",
            owner="",
            started="",
            payload=PAYLOAD,
        )
        directory = self.layout.record(attempt.key, attempt.id)
        (directory / "patches").mkdir(parents=True)
        (directory / "patches" / "0001-a.patch").write_bytes(PATCH_DATA)
        (directory / PLAN).write_bytes(pretty_json(made.as_json()))
        (directory / RECORD).write_bytes(account(made, prebuilt))
        return dataclasses.replace(attempt, **facts)


def account(made: Plan, prebuilt: str) -> bytes:
    patches = [{"file": "patches/demo/0001-a.patch", "sha256": PATCH}]
    source: Mapping[str, Any] = {"file": "demo.tar.gz", "sha256": SOURCE, "origin": "somewhere"}
    return record_json(
        attempt="attempt",
        plan=made,
        source=source,
        patches=patches,
        channel="host",
        buildroot="host",
        workspace={"commit": "", "state": "unversioned"},
        started="",
        seconds=1,
        phases={},
        engine="host",
        seal={},
        tools={},
        log_sha256="l",
        result={"payload_sha256": PAYLOAD},
        prebuilt=prebuilt,
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "state")


def test_what_is_kept_is_enough(world: World) -> None:
    found = repeatable(world, world.keep(), spec())  # type: ignore[arg-type]
    assert found.plan.key() == PLAN_NOW.key()
    assert (found.source.name, found.source.origin, found.source.scm) == ("demo", "somewhere", False)
    [patch] = found.source.patches
    assert patch.path == world.layout.record(PLAN_NOW.key(), "attempt") / "patches" / "0001-a.patch"
    assert found.payload.name == "demo-1.0-py3-none-any.whl"


@pytest.mark.parametrize("scm", [True, False])
def test_what_a_backend_was_told_is_the_records_not_the_specs_of_today(world: World, scm: bool) -> None:
    attempt = world.keep()
    file = world.layout.record(attempt.key, attempt.id) / RECORD
    told = json.loads(file.read_bytes())
    told["source"]["scm"] = scm
    file.write_bytes(pretty_json(told))
    today = spec("" if scm else '[source]\ntype = "url"\nurl = "https://example.org/demo-1.0.tar.gz"\n')
    assert repeatable(world, attempt, today).source.scm is scm  # type: ignore[arg-type]


def test_records_that_do_not_say_it_have_what_pybuild_packed(tmp_path: Path) -> None:
    assert [was_scm({"source": {}}, tmp_path / name) for name in ("demo.tar", "demo.tar.gz")] == [True, False]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (dataclasses.replace(PLAN_NOW, sandbox_version=SANDBOX_VERSION - 1), "another version of pybuild"),
        (dataclasses.replace(PLAN_NOW, canonicaliser_version=CANONICALISER_VERSION + 1), "another version of pybuild"),
        (dataclasses.replace(PLAN_NOW, target=dataclasses.replace(TARGET, full_version="3.0.1")), "Python 3.0.1"),
    ],
)
def test_a_plan_of_another_world_is_refused(world: World, made: Plan, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        repeatable(world, world.keep(made), spec())  # type: ignore[arg-type]
    assert caught.value.cure == "pybuild rebuild demo==1.0, and check that"


def test_a_system_that_has_changed_since(world: World) -> None:
    world.changed = True
    with pytest.raises(UsageError, match="system has changed"):
        repeatable(world, world.keep(), spec())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "kind", "said"),
    [
        ({"channel": "other"}, UsageError, "channel other"),
        ({"prebuilt": "because"}, UsageError, "upstream's wheel"),
        ({"missing": "payload"}, StateError, "the payload of demo 1.0 is gone"),
        ({"missing": "source"}, StateError, "the source of demo 1.0 is gone"),
    ],
)
def test_what_cannot_be_built_again(world: World, facts: dict[str, str], kind: type[PybuildError], said: str) -> None:
    with pytest.raises(kind, match=said):
        repeatable(world, world.keep(**facts), spec())  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["payload", "source"])
def test_what_is_damaged_is_not_compared_with(world: World, kind: str) -> None:
    attempt = world.keep()
    [file] = getattr(world.layout, kind)({"payload": PAYLOAD, "source": SOURCE}[kind]).iterdir()
    file.write_bytes(b"other")
    with pytest.raises(StateError, match=f"the {kind} of demo 1.0 is gone from the store, or damaged"):
        repeatable(world, attempt, spec())  # type: ignore[arg-type]


@pytest.mark.parametrize(("data", "said"), [(b"edited", "has not the sha256"), (None, "is missing")])
def test_a_patch_that_is_another_is_not_built_with(world: World, data: bytes | None, said: str) -> None:
    attempt = world.keep()
    patch = world.layout.record(attempt.key, attempt.id) / "patches" / "0001-a.patch"
    patch.unlink()
    if data is not None:
        patch.write_bytes(data)
    with pytest.raises(StateError, match=f"its patch patches/demo/0001-a.patch.* {said}"):
        repeatable(world, attempt, spec())  # type: ignore[arg-type]


@pytest.mark.parametrize("patches", [[], [{"file": "patches/demo/0001-a.patch", "sha256": SOURCE}]])
def test_a_record_with_other_patches_than_its_plan_is_damaged(world: World, patches: list[dict[str, str]]) -> None:
    attempt = world.keep()
    file = world.layout.record(attempt.key, attempt.id) / RECORD
    file.write_bytes(pretty_json({**json.loads(file.read_bytes()), "patches": patches}))
    with pytest.raises(StateError, match="other patches than its plan"):
        repeatable(world, attempt, spec())  # type: ignore[arg-type]


def test_a_plan_whose_key_is_another_is_damaged(world: World) -> None:
    attempt = world.keep()
    directory = world.layout.record(attempt.key, attempt.id)
    (directory / PLAN).write_bytes(pretty_json(dataclasses.replace(PLAN_NOW, source_date_epoch=2).as_json()))
    with pytest.raises(StateError, match="another key"):
        repeatable(world, attempt, spec())  # type: ignore[arg-type]


def test_the_recipe_goes_over_the_spec_of_today() -> None:
    recipe = dataclasses.replace(PLAN_NOW.recipe, env={"A": "then"}, subdirectory="py", config_settings={"k": "v"})
    today = spec('[build]\nenv = { A = "now", B = "now" }\nlimits = { cpus = 3 }\n[prebuilt]\nreason = "now"\n')
    found = spec_of(recipe, today)
    assert (found.build.env, found.build.config_settings) == ({"A": "then"}, {"k": "v"})
    assert (found.source.subdirectory, found.build.limits.cpus, found.prebuilt) == ("py", 3, None)


def test_a_fresh_state_has_the_environment_and_nothing_else(world: World, tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Adapters:
        layout: Layout
        store: Store
        channel: Channel
        environments: Environments
        state: Any = None
        cleaner: Any = None

    world.keep()
    made = dataclasses.replace(
        plan(("user", Version("1")), [made_ingredient()]),  # type: ignore[arg-type]
        recipe=dataclasses.replace(PLAN_NOW.recipe, root_env={"THEN": "1"}),
    )
    environments = Environments(world.layout)
    adapters = Adapters(layout=world.layout, store=world.store, channel=world.channel, environments=environments)
    with fresh_state(adapters, made, tmp_path / "fresh") as fresh:  # type: ignore[type-var]
        kept = fresh.store.payload(PAYLOAD)
        assert kept is not None and kept.is_relative_to(tmp_path / "fresh")
        assert fresh.store.source(SOURCE) is None
        assert fresh.state.attempts("demo") == []
        assert fresh.channel.env == {"THEN": "1"}
        assert fresh.environments == Environments(fresh.layout, environments.compilers)


def made_ingredient() -> Any:
    from pybuilder.plan import Ingredient

    return Ingredient(name="demo", version="1.0", payload=PAYLOAD)


def test_the_record_of_one_that_fails_is_kept_and_named(tmp_path: Path) -> None:
    """Where the error is, and what to do, are in a state that goes away."""
    layout, gone = Layout(root=tmp_path / "state"), tmp_path / "gone" / "attempt"
    gone.mkdir(parents=True)
    (gone / "build.log").write_text("it failed\n")
    with pytest.raises(BuildError) as caught, keeping_record(layout):
        error = BuildError("no", where=str(gone / "build.log"), cure="read the log: pybuild log attempt")
        error.attempt, error.log = "attempt", str(gone / "build.log")
        raise error
    kept = layout.check("attempt") / "record" / "build.log"
    assert kept.read_text() == "it failed\n"
    assert (caught.value.where, caught.value.log) == (str(kept), str(kept))
    assert caught.value.cure == f"read the log: {kept}"


def test_an_error_that_is_no_attempts_keeps_nothing(tmp_path: Path) -> None:
    layout = Layout(root=tmp_path / "state")
    with pytest.raises(BuildError, match="no"), keeping_record(layout):
        raise BuildError("no")
    assert not (tmp_path / "state").exists()

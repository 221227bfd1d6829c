"""Pins of sources and of upstream's wheels: which counts, where each is kept, and when they contradict."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder import events
from pybuilder.errors import FetchError
from pybuilder.layout import Layout
from pybuilder.new import fetch_as_seen
from pybuilder.processes import run
from pybuilder.sources.fetch import Fetched, Sources, Wanted, WantedWheel
from pybuilder.spec import Pin
from pybuilder.stages import Adapters
from pybuilder.stages.source import SourceGetter
from pybuilder.state import State
from pybuilder.store import Store
from pybuilder.workspace import Workspace

SIX = NormalizedName("six")
ONE = Version("1.0")
PREBUILT = '[prebuilt]\nreason = "why"\n'
SDIST = Pin(file="six-1.0.tar.gz", sha256="aa" * 32)
ANY = Pin(file="six-1.0-py3-none-any.whl", sha256="bb" * 32)
OWN = Pin(file="six-1.0-cp311-cp311-linux_x86_64.whl", sha256="cc" * 32)
OTHER = Pin(file="six-1.0-cp312-cp312-linux_x86_64.whl", sha256="dd" * 32)


@dataclass
class FakeSources:
    """Whoever fetches: gets what is pinned, else upstream's; what was asked for is kept."""

    sdist: Pin = SDIST
    wheel: Pin = OWN
    archive: str = "99" * 32
    origin: str = "https://localhost/x"
    progress: Any = None
    wanted: list[Wanted | WantedWheel] = field(default_factory=list)

    def fetch(self, wanted: Wanted | WantedWheel) -> Fetched:
        self.wanted.append(wanted)
        pin = wanted.pin or (self.wheel if isinstance(wanted, WantedWheel) else self.sdist)
        sha256, commit = pin.sha256 or self.archive, pin.commit
        return Fetched(sha256=sha256, file=Path(pin.file), filename=pin.file, origin=self.origin, commit=commit)


@dataclass
class World:
    root: Path
    state: State
    sources: FakeSources = field(default_factory=FakeSources)

    def spec(self, text: str = "", *pins: Pin) -> None:
        (self.root / "specs").mkdir(exist_ok=True)
        lines = [f'"1.0" = {{ file = "{pin.file}", sha256 = "{pin.sha256}" }}\n' for pin in pins]
        text = f'name = "six"\n{text}' + ("[versions]\n" if pins else "") + "".join(lines)
        (self.root / "specs" / "six.toml").write_text(text)

    def getter(self, minor: str = "11") -> SourceGetter:
        """For one Python of two."""
        target = f"cp3{minor}-linux_x86_64"
        tags = (f"cp3{minor}-cp3{minor}-linux_x86_64", "py3-none-any")
        adapters = SimpleNamespace(
            state=self.state,
            layout=Layout(root=self.root / "state"),
            store=Store(Layout(root=self.root / "state")),
            channel=SimpleNamespace(name="host", buildroot="host", variant=""),
            target=SimpleNamespace(name=target, python=f"3.{minor}", tags=tags),
            listen=events.ignore,
            now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        )
        workspace = Workspace(root=self.root, run=run)
        return SourceGetter(adapters=cast(Adapters, adapters), workspace=workspace, sources=cast(Sources, self.sources))

    def acquired(self, minor: str = "11") -> str:
        return self.getter(minor).acquire(SIX, ONE).file.name

    def in_spec(self) -> str | None:
        spec = Workspace(root=self.root, run=run).spec("six")
        pin = spec.pin(ONE) if spec else None
        return pin.file if pin else None


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(State.open(Layout(root=tmp_path / "state"))) as state:
        yield World(root=tmp_path, state=state)


def test_first_sight_is_pinned_in_both_places(world: World) -> None:
    world.spec(PREBUILT)
    assert world.getter().pinned(SIX, ONE) is None
    assert world.acquired() == OWN.file == world.in_spec()
    world.spec(PREBUILT)
    pinned = world.getter().pinned(SIX, ONE)
    assert pinned and (pinned.sha256, pinned.patches) == (OWN.sha256, ())
    assert world.acquired() == OWN.file
    # What the state knows comes back into a spec that lacks it: a plan may have seen it, which writes nothing.
    assert world.in_spec() == OWN.file


def test_what_was_pinned_for_the_other_use_is_replaced_and_remembered(world: World) -> None:
    world.spec()
    assert world.acquired() == SDIST.file
    world.spec(PREBUILT, SDIST)
    assert world.getter().pinned(SIX, ONE) is None
    assert world.acquired() == OWN.file == world.in_spec()
    world.spec("", OWN)
    world.sources.sdist = Pin(file=SDIST.file, sha256="ee" * 32)
    # The state knows what the source was.
    assert world.acquired() == SDIST.file == world.in_spec()
    assert world.sources.wanted[-1].pin == SDIST
    world.spec(PREBUILT, SDIST)
    assert world.acquired() == OWN.file and world.sources.wanted[-1].pin == OWN


@pytest.mark.parametrize(
    ("pin", "minor", "expected"),
    [
        (ANY, "11", ANY),
        (OWN, "11", OWN),
        # What another target has pinned is no pin for this one.
        (OTHER, "11", None),
        (OTHER, "12", OTHER),
        (SDIST, "11", None),
    ],
)
def test_which_pin_of_the_spec_counts(world: World, pin: Pin, minor: str, expected: Pin | None) -> None:
    world.spec(PREBUILT, pin)
    world.acquired(minor)
    assert world.sources.wanted[0].pin == expected


def test_each_target_has_a_pin_of_its_own(world: World) -> None:
    world.spec(PREBUILT)
    assert world.acquired("11") == OWN.file
    world.sources.wheel = OTHER
    assert world.acquired("12") == OTHER.file
    assert world.in_spec() == OWN.file
    world.sources.wheel = ANY
    assert (world.acquired("11"), world.acquired("12")) == (OWN.file, OTHER.file)


def test_another_content_than_at_first_sight_is_refused(world: World) -> None:
    world.spec(PREBUILT)
    world.acquired()
    world.spec(PREBUILT, Pin(file=OWN.file, sha256="ee" * 32))
    with pytest.raises(FetchError, match="was first seen as") as caught:
        world.acquired()
    assert caught.value.exit_code == 30


def test_another_wheel_that_somebody_has_chosen_counts(world: World) -> None:
    world.spec(PREBUILT)
    world.acquired()
    world.spec(PREBUILT, ANY)
    assert world.acquired() == ANY.file == world.in_spec()


@pytest.mark.parametrize("source", ['type = "path"\npath = "src"', 'type = "git"\nurl = "https://x/y"\ntag = "1"'])
def test_whatever_the_type_of_its_source_is(world: World, source: str) -> None:
    world.spec(f"[source]\n{source}\n{PREBUILT}")
    made = world.getter().acquire(SIX, ONE)
    assert (made.file.name, made.scm, world.in_spec()) == (OWN.file, False, OWN.file)
    assert isinstance(world.sources.wanted[0], WantedWheel)


def test_a_commit_that_a_person_pins_is_known_by_digest_once_it_was_fetched(world: World) -> None:
    git = '[source]\ntype = "git"\nurl = "https://localhost/six.git"\ntag = "{version}"\n'
    pins = f'[versions]\n"1.0" = {{ commit = "{"12" * 20}" }}\n'
    world.spec(f"{git}{pins}")
    assert world.getter().pinned(SIX, ONE) is None
    world.acquired()
    pinned = world.getter().pinned(SIX, ONE)
    assert pinned and pinned.sha256 == "99" * 32
    # Its submodules make it another archive, and so does another commit.
    world.spec(f"{git}submodules = true\n{pins}")
    assert world.getter().pinned(SIX, ONE) is None
    world.spec(f"{git}{pins}".replace("12" * 20, "34" * 20))
    assert world.getter().pinned(SIX, ONE) is None


def test_where_a_source_came_from_is_on_the_disk_before_it_is_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[tuple[str, int]] = []
    add_fact = State.add_fact

    def noted(state: State, kind: str, key: str, value: Any) -> None:
        add_fact(state, kind, key, value)
        with state._connection() as connection:
            waited.append((kind, connection.in_transaction and connection.execute("PRAGMA synchronous").fetchone()[0]))

    monkeypatch.setattr(State, "add_fact", noted)
    world.spec("", SDIST)
    assert world.getter().acquire(SIX, ONE).origin == "https://localhost/x"
    assert waited == [("origin", 2)]  # FULL


def test_where_a_source_came_from_is_known_also_where_somebody_only_looked_at_it(world: World) -> None:
    looked = fetch_as_seen(cast(Sources, world.sources), world.state, SIX, ONE)
    world.sources.origin = "store"
    world.spec("", SDIST)
    assert world.getter().acquire(SIX, ONE).origin == looked.origin == "https://localhost/x"
    assert fetch_as_seen(cast(Sources, world.sources), world.state, SIX, ONE).origin == looked.origin

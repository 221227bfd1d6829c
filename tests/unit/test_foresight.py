"""Looking ahead of a plan: what is looked for, and that nothing of it outlives the plan or decides anything."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pybuilder import interruption
from pybuilder.errors import FetchError
from pybuilder.foresight import foresight
from pybuilder.statements import Statements
from pybuilder.tree import Package, package_id
from tests.support.planning import TARGET, package

EMPTY = SimpleNamespace(prebuilt=None, build=SimpleNamespace(remove_requires=(), add_requires=()))


@dataclass
class World:
    """Packages whose sources are new, and what they require: where they are installed, and to be built.

    Attributes:
        versions: By name.
        installs: By name.
        builds: By name.
        fault: The package that can't be had.
    """

    versions: Mapping[str, str]
    installs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    builds: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fault: str = ""
    ahead: Any = None
    asked: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    drafted: list[str] = field(default_factory=list)
    compiled: list[str] = field(default_factory=list)
    broken: dict[Package, Exception] = field(default_factory=dict)

    @property
    def statements(self) -> Statements:
        return cast(Statements, self)

    @property
    def packages(self) -> Any:
        return SimpleNamespace(adapters=SimpleNamespace(target=TARGET), source=self.source)

    def source(self, package: Package) -> Any:
        requires = tuple(map(Requirement, self.builds.get(package[0], ())))
        return SimpleNamespace(spec=EMPTY), SimpleNamespace(requires=requires)

    def likely(self, requirement: Requirement) -> Package | None:
        name = canonicalize_name(requirement.name)
        self.asked.append(str(requirement))
        return package(f"{name}=={self.versions[name]}") if name in self.versions else None

    def foreseen(self, package: Package) -> tuple[Requirement, ...]:
        self.seen.append(package_id(package))
        if package[0] == self.fault:
            raise FetchError("it can't be had")
        if self.ahead:
            self.ahead(package)
        return tuple(map(Requirement, self.installs.get(package[0], ())))

    def compile_ahead(self, package: Package) -> None:
        self.compiled.append(package_id(package))

    def compile_no_more_ahead(self) -> None:
        self.compiled.append("no more")

    def draft_ahead(self, package: Package) -> None:
        self.drafted.append(package_id(package))


def look(world: World, *tops: str, until: int) -> None:
    with foresight(world.statements, map(Requirement, tops), world.likely):
        end = time.monotonic() + 10
        while len(world.drafted) < until and time.monotonic() < end:
            time.sleep(0.001)


def test_what_is_installed_and_what_builds_it_and_so_on() -> None:
    world = World(
        versions={"top": "1", "lib": "2", "tool": "3", "core": "4"},
        installs={"top": ["lib", "winreg; sys_platform == 'win32'"], "tool": ["lib", "lib>=1"]},
        builds={"top": ["tool"], "lib": ["core"], "core": ["core"]},
    )
    look(world, "top", until=4)
    assert set(world.seen) == set(world.drafted) == {"core==4", "lib==2", "tool==3", "top==1"}
    # Each once.
    assert len(world.seen) == len(world.drafted) == 4


def test_what_is_installed_further_is_left_to_the_resolver() -> None:
    world = World(
        versions=dict.fromkeys(["top", "lib", "base", "tool", "help", "more"], "1"),
        installs={"top": ["lib"], "lib": ["base"], "tool": ["help"], "help": ["more"]},
        builds={"lib": ["tool"]},
    )
    look(world, "top", until=5)
    assert sorted(world.seen) == ["help==1", "lib==1", "more==1", "tool==1", "top==1"]


def test_what_builds_require_is_compiled_ahead_as_long_as_the_plan_is_made() -> None:
    world = World(
        versions=dict.fromkeys(["top", "lib", "tool", "help"], "1"),
        installs={"top": ["lib"], "tool": ["help"]},
        builds={"lib": ["tool"]},
    )
    look(world, "top", until=4)
    assert sorted(world.compiled[:-1]) == ["help==1", "tool==1"]
    assert world.compiled[-1] == "no more"


def test_nothing_is_compiled_ahead_for_who_comes_late() -> None:
    world, begun = World(versions={"top": "1", "tool": "1"}, builds={"top": ["tool"]}), threading.Event()
    foreseen = world.foreseen

    def slow(package: Package) -> tuple[Requirement, ...]:
        if package[0] == "tool":
            begun.set()
            time.sleep(0.3)  # in the middle of something that can't be interrupted
        return foreseen(package)

    world.foreseen = slow  # type: ignore[method-assign]
    with foresight(world.statements, [Requirement("top")], world.likely):
        assert begun.wait(10)
    assert world.compiled == ["tool==1", "no more"]


def test_who_is_found_serves_for_others() -> None:
    world = World(
        versions=dict.fromkeys(["top", "tool", "late"], "1"),
        installs={"tool": ["late"], "late": ["tool>=0.5", "tool>=2"]},
        builds={"top": ["tool"]},
    )
    look(world, "top", until=3)
    assert "tool>=0.5" not in world.asked
    assert sorted(world.seen) == ["late==1", "tool==1", "top==1"]


def test_what_nobody_has_and_what_cannot_be_had_is_nobody_s_business() -> None:
    world = World(
        versions={"top": "1", "bad": "1", "good": "1"},
        installs={"top": ["bad", "gone", "good"], "bad": ["never"]},
        fault="bad",
    )
    look(world, "top", until=2)
    assert sorted(world.seen) == ["bad==1", "good==1", "top==1"]
    assert world.broken == {}


def test_tops_whose_marker_means_nothing() -> None:
    world = World(versions={"top": "1"})
    look(world, "top; python_version > 'x' and extra ~= 'y'", until=0)
    assert world.broken == {}


@pytest.mark.parametrize("fails", [False, True])
def test_it_ends_with_the_plan(fails: bool) -> None:
    world, begun = World(versions={"top": "1"}), threading.Event()

    def slow(package: Package) -> tuple[Requirement, ...]:
        begun.set()
        interruption.sleep(60)
        raise AssertionError("it was not interrupted")

    world.foreseen = slow  # type: ignore[method-assign]
    began = time.monotonic()

    def planned() -> None:
        with foresight(world.statements, [Requirement("top")], world.likely):
            assert begun.wait(10)
            if fails:
                raise FetchError("no versions go together")

    if fails:
        with pytest.raises(FetchError):
            planned()
    else:
        planned()
    assert time.monotonic() - began < 30
    assert world.ahead is None
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("foresight")]

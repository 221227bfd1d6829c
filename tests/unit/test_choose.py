from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.errors import ReviewError
from pybuilder.http import NotFoundError
from pybuilder.layout import Layout
from pybuilder.processes import run
from pybuilder.resolution import Wanted
from pybuilder.stages.choose import Chooser
from pybuilder.state import PublishedWheel, State
from pybuilder.upstream import Upstream
from pybuilder.upstream.files import File, Project
from pybuilder.workspace import Workspace

NOW = datetime(2026, 1, 10, tzinfo=UTC)
SIX = NormalizedName("six")
MARKERS = {"python_version": "3.11", "sys_platform": "linux"}
TAGS = ("cp311-cp311-linux_x86_64", "py3-none-any")


@dataclass
class FakeUpstream:
    """An index that knows these versions, and counts how often it is asked."""

    files: dict[Version, File] = field(default_factory=dict)
    wheels: list[File] = field(default_factory=list)
    asked: int = 0

    def add(self, version: str, *, days: float | None = 100, **facts: Any) -> None:
        """A version that was uploaded so many days before now."""
        defaults: dict[str, Any] = {
            "filename": f"six-{version}.tar.gz",
            "url": "",
            "sha256": None,
            "size": None,
            "requires_python": "",
            "yanked": False,
            "yanked_reason": "",
            "upload_time": None if days is None else NOW - timedelta(days=days),
            "has_metadata": False,
            "metadata_sha256": None,
        }
        self.files[Version(version)] = File(**defaults | facts)

    def add_wheel(self, version: str, tag: str, **facts: Any) -> None:
        """A wheel of a version, which may have an sdist as well."""
        sdists, self.files = self.files, {}
        self.add(version, filename=f"six-{version}-{tag}.whl", **facts)
        [wheel] = self.files.values()
        self.wheels.append(wheel)
        self.files = sdists

    def sdists(self, name: NormalizedName) -> Mapping[Version, File]:
        self.asked += 1
        return self.files

    def project(self, name: NormalizedName) -> Project:
        return Project(name=name, files=(*self.files.values(), *self.wheels), status="active", status_reason="")


@dataclass
class World:
    root: Path
    state: State
    upstream: FakeUpstream
    now: datetime = NOW
    yanked: dict[Version, str] = field(default_factory=dict)

    def spec(self, text: str = "", name: str = "six") -> None:
        (self.root / "specs").mkdir(exist_ok=True)
        (self.root / "specs" / f"{name}.toml").write_text(f'name = "{name}"\n{text}')

    def publish(self, version: str, number: int, channel: str = "host") -> None:
        facts = dict.fromkeys(PublishedWheel.__slots__, "x")
        wheel = PublishedWheel(
            **facts  # type: ignore[arg-type]
            | {"label": "pb", "name": "six", "version": version, "number": number, "channel": channel}
        )
        self.state.begin_publish([wheel])
        self.state.finish_publish("pb", "six", version, number)

    @property
    def chooser(self) -> Chooser:
        return Chooser(
            workspace=Workspace(root=self.root, run=run),
            state=self.state,
            upstream=cast(Upstream, self.upstream),
            channel="host",
            label="pb",
            buildroot="host",
            variant="",
            python="3.11.7",
            tags=TAGS,
            now=lambda: self.now,
            yanked=lambda: {SIX: self.yanked},
        )

    def versions(self, *specifiers: str, asked_for: Iterable[str] = ()) -> list[str]:
        wanted = [SpecifierSet(specifier) for specifier in specifiers or ("",)]
        return [str(version) for version in self.chooser.versions(SIX, wanted, asked_for=[*map(Version, asked_for)])]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "pybuild.toml").touch()
    with closing(State.open(Layout(root=tmp_path / "state"))) as state:
        made = World(root=tmp_path, state=state, upstream=FakeUpstream())
        made.spec()
        for version in ("1.0", "1.5", "2.0"):
            made.upstream.add(version)
        yield made


def pins(*versions: str) -> str:
    lines = [f'"{version}" = {{ file = "six-{version}.tar.gz", sha256 = "{"0" * 64}" }}\n' for version in versions]
    return "[versions]\n" + "".join(lines)


class TestWhere:
    """What the workspace pins; else what is published; else upstream's newest."""

    def test_upstream_where_nothing_is_known(self, world: World) -> None:
        assert world.versions() == ["2.0", "1.5", "1.0"]

    def test_pins_come_first_and_nobody_is_asked(self, world: World) -> None:
        world.spec(pins("1.0", "1.5"))
        world.publish("2.0", 1)
        assert world.versions() == ["1.5", "1.0"]
        assert world.upstream.asked == 0

    def test_then_what_is_published(self, world: World) -> None:
        world.spec(pins("1.0"))
        world.publish("1.5", 1)
        world.publish("1.7", 1, channel="fedora-45")
        assert world.versions(">1") == ["1.5"]
        assert world.versions(">1.5") == ["2.0"]

    def test_all_specifiers_count(self, world: World) -> None:
        assert world.versions(">=1.5", "<2") == ["1.5"]
        assert world.versions("<1", ">2") == []

    def test_nothing_of_what_nobody_accepted(self, world: World) -> None:
        (world.root / "specs" / "six.toml").unlink()
        assert world.versions() == []
        assert world.upstream.asked == 0

    @pytest.mark.parametrize("source", ['type = "path"\npath = "src"', 'type = "url"\nurl = "https://x/{version}.gz"'])
    def test_another_type_of_source_has_the_version_that_is_named(self, world: World, source: str) -> None:
        world.spec(f"[source]\n{source}\n")
        assert world.versions("==3.0") == ["3.0"]
        assert world.versions("==3.*") == world.versions(">=3") == []
        assert world.upstream.asked == 0


class TestNumbers:
    def test_a_number_means_that_build(self, world: World) -> None:
        world.spec(pins("1.0"))
        for number in (1, 2, 10):
            world.publish("1.0", number)
        assert world.versions("==1.0+pb.2") == ["1.0+pb.2"]
        assert world.versions("==1.0+pb.3") == []

    def test_an_upstream_label_is_no_number(self, world: World) -> None:
        world.upstream.add("2.0+cu126")
        assert world.versions("==2.0+cu126") == ["2.0+cu126"]

    def test_a_number_of_a_version_with_a_label(self, world: World) -> None:
        world.publish("2.0+cu126", 3)
        assert world.versions("==2.0+cu126.pb.3") == ["2.0+cu126.pb.3"]


class TestRules:
    @pytest.mark.parametrize(
        ("rules", "expected"),
        [
            ("", ["2.0", "1.5", "1.0"]),
            ('allow = "<2"', ["1.5", "1.0"]),
            ('ignore = ["1.5", ">=2"]', ["1.0"]),
            ('series = ["1.*"]', ["1.5", "1.0"]),
            ('include = "0$"', ["2.0", "1.0"]),
            ('exclude = "^1"', ["2.0"]),
            # Tags of somebody else's, of which the index knows nothing.
            ('source = "github"\nid = "o/six"\ntag-prefix = "v"', ["2.0", "1.5", "1.0"]),
            ('series = ["1.0.*", "2.*"]', ["2.0", "1.0"]),
            ('cooldown = "200d"', []),
            ('cooldown = "99d"', ["2.0", "1.5", "1.0"]),
        ],
    )
    def test_the_specs(self, world: World, rules: str, expected: list[str]) -> None:
        world.spec(f"[update]\n{rules}\n")
        assert world.versions() == expected

    def test_the_workspaces_cooldown_where_the_spec_has_none(self, world: World) -> None:
        (world.root / "pybuild.toml").write_text('cooldown = "3d"\n')
        world.upstream.add("3.0", days=2.9)
        world.upstream.add("2.5", days=3.1)
        assert world.versions() == ["2.5", "2.0", "1.5", "1.0"]
        assert world.versions("==3.0", asked_for=["3.0"]) == ["3.0"]
        world.spec('[update]\ncooldown = "0d"\n')
        assert world.versions()[0] == "3.0"

    def test_a_yanked_one_only_by_name(self, world: World) -> None:
        world.upstream.add("3.0", yanked=True)
        assert world.versions() == ["2.0", "1.5", "1.0"]
        assert world.versions("==3.0") == ["3.0"]
        assert world.versions("==3.*") == []

    @pytest.mark.parametrize(
        ("requires_python", "taken"), [(">=3.12", False), (">=3.8,<4", True), ("", True), (">=3.6.*", True)]
    )
    def test_the_python(self, world: World, requires_python: str, taken: bool) -> None:
        world.upstream.add("3.0", requires_python=requires_python)
        assert (world.versions("==3.0") == ["3.0"]) is taken

    def test_prereleases_by_pep_440(self, world: World) -> None:
        world.upstream.add("3.0rc1")
        assert world.versions() == ["2.0", "1.5", "1.0"]
        assert world.versions(">=3.0rc1") == ["3.0rc1"]
        assert world.versions(">2.5") == ["3.0rc1"]

    @pytest.mark.parametrize(
        "spec",
        [
            "[update]\nprereleases = true\n",
            "[update]\nallow = '<=3.0rc1'\n",
            "[[override]]\nwhen = { versions = '>2' }\nupdate.prereleases = true\n",
        ],
    )
    def test_prereleases_that_a_spec_asks_for(self, world: World, spec: str) -> None:
        world.upstream.add("3.0rc1")
        world.upstream.add("1.7b1")
        world.spec(spec)
        assert world.versions()[0] == "3.0rc1"
        assert ("1.7b1" in world.versions()) is ("override" not in spec)


class TestUndated:
    """Where the index doesn't say when a file was uploaded, its age counts from when we first heard of it."""

    def test_old_enough_from_when_it_was_first_heard_of(self, world: World) -> None:
        world.spec('[update]\ncooldown = "3d"\n')
        world.upstream.add("3.0", days=None)
        assert world.versions(">2") == []
        world.now += timedelta(days=2)
        world.upstream.add("4.0", days=None)
        assert world.versions(">2") == []
        world.now += timedelta(days=1)
        assert world.versions(">2") == ["3.0"]
        world.now += timedelta(days=2)
        assert world.versions(">2") == ["4.0", "3.0"]

    def test_asked_for_by_name(self, world: World) -> None:
        world.spec('[update]\ncooldown = "3d"\n')
        world.upstream.add("3.0", days=None)
        # By a person, not by whatever requires it.
        assert world.versions("==3.0") == []
        assert world.versions("==3.0", asked_for=["3.0"]) == world.versions(">2", asked_for=["3.0"]) == ["3.0"]
        assert world.versions("==3.*") == []

    def test_a_yanked_one_that_a_build_requires_by_name_may_not_be_young(self, world: World) -> None:
        world.spec('[update]\ncooldown = "3d"\n')
        world.upstream.add("3.0", days=2, yanked=True)
        assert world.versions("==3.0") == []
        assert world.versions("==3.0", asked_for=["3.0"]) == ["3.0"]

    def test_nothing_is_written_where_nothing_needs_it(self, world: World) -> None:
        world.upstream.add("3.0", days=None)
        assert world.versions()[0] == "3.0"
        del world.upstream.files[Version("3.0")]
        world.spec('[update]\ncooldown = "3d"\n')
        assert world.versions()[0] == "2.0"
        assert world.state.fact("first-sights", "six") is None

    def test_packages_that_have_no_spec_yet(self, world: World) -> None:
        (world.root / "pybuild.toml").write_text('cooldown = "3d"\n')
        world.upstream.add("3.0", days=None)
        assert list(map(str, world.chooser.offered(SIX, SpecifierSet()))) == ["2.0", "1.5", "1.0"]
        world.now += timedelta(days=3)
        assert list(map(str, world.chooser.offered(SIX, SpecifierSet()))) == ["3.0", "2.0", "1.5", "1.0"]


class TestPrebuilt:
    """Where upstream's wheel is used, it is a version's wheels that say whether there is that version."""

    @pytest.fixture
    def wheels(self, world: World) -> World:
        world.spec('[prebuilt]\nreason = "why"\n')
        world.upstream.add_wheel("1.0", "py3-none-any")
        world.upstream.add_wheel("2.0", "cp39-cp39-win_amd64")
        world.upstream.add_wheel("3.0", "cp311-cp311-linux_x86_64")
        return world

    def test_only_what_the_target_accepts(self, wheels: World) -> None:
        assert wheels.versions() == ["3.0", "1.0"]
        assert wheels.versions("==2.0") == []

    def test_the_rules_hold_for_wheels(self, wheels: World) -> None:
        wheels.upstream.add_wheel("4.0", "py3-none-any", yanked=True)
        wheels.upstream.add_wheel("5.0", "py3-none-any", requires_python=">=3.12")
        assert wheels.versions() == ["3.0", "1.0"]
        assert wheels.versions("==4.0") == ["4.0"]

    @pytest.mark.parametrize(
        ("when", "expected"),
        [
            ('versions = ">=3"', ["3.0", "2.0", "1.5", "1.0"]),
            ('versions = "<3"', ["1.0"]),
            ('buildroot = "host"', ["3.0", "1.0"]),
            ('buildroot = "fedora-*"', ["2.0", "1.5", "1.0"]),
            ('python = "3.11"', ["3.0", "1.0"]),
            ('python = ">=3.12"', ["2.0", "1.5", "1.0"]),
            ('variant = "cuda"', ["2.0", "1.5", "1.0"]),
        ],
    )
    def test_for_some(self, wheels: World, when: str, expected: list[str]) -> None:
        wheels.spec(f"[[override]]\nwhen.{when}\nprebuilt.reason = 'why'\n")
        assert wheels.versions() == expected

    def test_beside_another_type_of_source(self, wheels: World) -> None:
        path = '[source]\ntype = "path"\npath = "src"\n'
        wheels.spec(f"{path}[[override]]\nwhen.versions = '<2'\nprebuilt.reason = 'why'\n")
        assert wheels.versions() == ["1.0"]
        assert wheels.versions("==1.0") == ["1.0"]
        assert wheels.versions("==9.0") == ["9.0"]
        assert wheels.versions("==1.5") == []

    def test_what_there_is(self, wheels: World) -> None:
        assert wheels.chooser.what_there_is(SIX) == "its spec pins nothing; upstream's newest sources are 3.0, 1.0"
        wheels.upstream.wheels = [file for file in wheels.upstream.wheels if "win" in file.filename]
        assert wheels.chooser.what_there_is(SIX) == (
            "its spec pins nothing; none of upstream's wheels of six 2.0 is for this target: "
            "six-2.0-cp39-cp39-win_amd64.whl"
        )


class TestAcceptance:
    def check(self, world: World, *requirements: str) -> ReviewError | None:
        try:
            world.chooser.check_accepted([Wanted(Requirement(text), "seven 1") for text in requirements], MARKERS)
        except ReviewError as error:
            return error
        return None

    def test_all_that_are_missing_are_named(self, world: World) -> None:
        error = self.check(world, "eight>1", "six", "Nine_One")
        assert error
        assert error.wanted == (("eight", "eight>1", "seven 1"), ("nine-one", "Nine_One", "seven 1"))
        assert "pybuild review approve eight nine-one" in error.cure
        assert "eight>1 (wanted by seven 1)" in error.what

    def test_what_somebody_has_rejected_is_named_with_the_reason(self, world: World) -> None:
        rejected = '[packages.eight]\nreason = "not maintained"\nby = "Ada"\nwhen = 2026-01-02T03:04:05Z\n'
        (world.root / "specs" / "rejected.toml").write_text(rejected)
        error = self.check(world, "eight>1", "nine")
        assert error
        assert "eight>1 (wanted by seven 1), rejected on 2026-01-02 by Ada: not maintained; nine (wanted" in error.what
        assert error.cure.endswith("pybuild review approve nine")
        error = self.check(world, "eight")
        assert error and error.cure == "do without; or take it in after all: pybuild review approve eight"

    def test_nobody_can_accept_the_list_of_rejected_packages(self, world: World) -> None:
        (world.root / "specs" / "rejected.toml").write_text("")
        error = self.check(world, "rejected")
        assert error and "specs/rejected.toml lists the packages that nobody wants" in error.what
        assert world.chooser.workspace.spec("rejected") is None

    @pytest.mark.parametrize(
        "requirement", ["six[fast]", "ten; python_version < '3'", "ten; extra == 'fast'", "ten[fast]; extra == 'fast'"]
    )
    def test_what_does_not_count_here(self, world: World, requirement: str) -> None:
        assert self.check(world, requirement) is None

    def test_a_person_is_the_command_line(self, world: World) -> None:
        with pytest.raises(ReviewError, match="wanted by the command line"):
            world.chooser.check_accepted([Wanted(Requirement("ten"), "")], MARKERS)


def test_what_there_is_for_a_message(world: World) -> None:
    world.spec(pins("1.0"))
    assert world.chooser.what_there_is(SIX) == "its spec pins 1.0; upstream's newest sources are 2.0, 1.5, 1.0"
    world.spec('[source]\ntype = "path"\npath = "src"\n')
    assert world.chooser.what_there_is(SIX) == "its spec pins nothing"


class TestTooYoung:
    @pytest.fixture(autouse=True)
    def cooldown(self, world: World) -> None:
        (world.root / "pybuild.toml").write_text('cooldown = "3d"\n')

    def test_is_named_with_its_day(self, world: World) -> None:
        assert world.chooser.too_young(SIX) == ""
        world.upstream.add("3.0", days=2.5)
        world.upstream.add("4.0", days=None)
        assert world.chooser.what_there_is(SIX) == (
            "its spec pins nothing; upstream's newest sources are 4.0, 3.0, 2.0, 1.5, 1.0; "
            "too young are 4.0 until 2026-01-13 00:00 UTC, 3.0 until 2026-01-10 12:00 UTC; "
            "name one with == on the command line, in a constraint or in add-requires, and it is taken all the same"
        )

    def test_only_what_nothing_else_forbids(self, world: World) -> None:
        world.spec('[update]\nallow = "<4"\n')
        world.upstream.add("3.0", days=None)
        world.upstream.add("3.5", days=None, yanked=True)
        world.upstream.add("4.0", days=None)
        assert world.chooser.too_young(SIX).startswith("too young are 3.0 until 2026-01-13 00:00 UTC; ")

    def test_a_package_without_a_spec(self, world: World) -> None:
        (world.root / "specs" / "six.toml").unlink()
        world.upstream.add("3.0", days=1)
        assert world.chooser.too_young(SIX).startswith("too young are 3.0 until 2026-01-12 00:00 UTC; ")

    def test_times_from_elsewhere_and_cooldowns_beyond_all_dates(self, world: World) -> None:
        world.spec('[update]\ncooldown = "999999w"\n')
        world.upstream.files.clear()
        late = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))
        world.upstream.add("1.0", upload_time=late)
        world.upstream.add("2.0", upload_time=NOW.astimezone(timezone(timedelta(hours=5))))
        assert "2.0 until 9999-12-31 23:59 UTC, 1.0 until 9999-12-31 23:59 UTC" in world.chooser.too_young(SIX)

    def test_another_type_of_source(self, world: World) -> None:
        world.spec('[source]\ntype = "path"\npath = "src"')
        assert world.chooser.too_young(SIX) == ""
        assert world.upstream.asked == 0


class TestOffers:
    """Everything that a joint resolution may choose from; what goes together is for that to say."""

    def offers(self, world: World, *asked_for: str, known_only: bool = False) -> list[str] | None:
        found = world.chooser.offers(SIX, asked_for={Version(each) for each in asked_for}, known_only=known_only)
        return None if found is None else sorted(str(offer.version) for offer in found)

    def test_what_is_known_and_what_upstream_has(self, world: World) -> None:
        world.spec(pins("0.5"))
        world.publish("1.7", 1)
        world.publish("1.8", 1, channel="fedora-45")
        assert self.offers(world) == ["0.5", "1.0", "1.5", "1.7", "2.0"]

    def test_what_is_known_alone_and_nobody_is_asked(self, world: World) -> None:
        world.spec(pins("0.5"))
        assert self.offers(world, known_only=True) == ["0.5"]
        assert world.upstream.asked == 0

    def test_upstream_is_asked_where_nothing_is_known(self, world: World) -> None:
        assert self.offers(world, known_only=True) == ["1.0", "1.5", "2.0"]

    def test_the_facts_of_upstream(self, world: World) -> None:
        world.upstream.add("3.0", yanked=True, yanked_reason="broken", requires_python=">=3.99")
        world.spec(pins("2.0"))
        offers = {str(o.version): o for o in world.chooser.offers(SIX, asked_for=(), known_only=False) or ()}
        young = offers["3.0"]
        assert (young.yanked, young.yanked_reason, young.requires_python) == (True, "broken", ">=3.99")
        assert young.upload_time == NOW - timedelta(days=100)
        # What somebody has taken before is taken again, whatever upstream says of it by now.
        assert (offers["2.0"].yanked, offers["2.0"].requires_python, offers["2.0"].upload_time) == (False, "", None)

    @pytest.mark.parametrize(
        ("rules", "expected"),
        [
            ('allow = "<2"', ["1.0", "1.5"]),
            ('ignore = ["1.5"]', ["1.0", "2.0"]),
            ('series = ["1.*"]', ["1.0", "1.5"]),
            ('cooldown = "200d"', []),
        ],
    )
    def test_the_rules_of_the_spec(self, world: World, rules: str, expected: list[str]) -> None:
        world.spec(f"[update]\n{rules}\n")
        assert self.offers(world) == expected

    def test_a_young_one_only_where_it_is_asked_for(self, world: World) -> None:
        world.spec('[update]\ncooldown = "3d"\n')
        world.upstream.add("3.0", days=1)
        assert self.offers(world) == ["1.0", "1.5", "2.0"]
        assert self.offers(world, "3.0", "4.0") == ["1.0", "1.5", "2.0", "3.0"]

    def test_rules_do_not_touch_what_is_pinned(self, world: World) -> None:
        world.spec(pins("2.0") + '[update]\nallow = "<2"\n')
        assert self.offers(world) == ["1.0", "1.5", "2.0"]

    def test_a_number_means_that_build(self, world: World) -> None:
        assert self.offers(world, "1.0+pb.2", "1.5") == ["1.0+pb.2"]
        assert world.upstream.asked == 0

    def test_another_type_of_source_has_what_is_pinned_or_named(self, world: World) -> None:
        world.spec('[source]\ntype = "path"\npath = "src"\n' + pins("1.0"))
        assert self.offers(world, "3.0") == ["1.0", "3.0"]
        assert world.upstream.asked == 0

    def test_nothing_of_what_nobody_accepted(self, world: World) -> None:
        (world.root / "specs" / "six.toml").unlink()
        assert self.offers(world) == []

    def test_a_project_that_upstream_does_not_have(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def gone(name: NormalizedName) -> Mapping[Version, File]:
            raise NotFoundError("the index has no project 'six'")

        monkeypatch.setattr(world.upstream, "sdists", gone)
        assert self.offers(world) is None
        world.spec(pins("1.0"))
        assert self.offers(world) == ["1.0"]

    def test_what_is_known_the_preferred_first(self, world: World) -> None:
        world.spec(pins("1.0", "1.5"))
        world.publish("2.0", 1)
        world.publish("1.5", 3)
        world.publish("1.7", 1)
        assert list(map(str, world.chooser.known(SIX))) == ["1.5", "1.0", "2.0", "1.7"]
        (world.root / "specs" / "six.toml").unlink()
        assert world.chooser.known(SIX) == ()


class TestYanked:
    """What the channel's index has yanked is taken where it is asked for by name, and else passed over."""

    def test_the_next_best_pin_then_what_is_published_then_upstream(self, world: World) -> None:
        world.spec(pins("1.0", "2.0"))
        world.yanked = {Version("2.0"): "upstream: bad"}
        assert world.versions() == ["1.0"]
        assert world.versions(">1") == ["1.5"]
        world.publish("1.8", 1)
        assert world.versions(">1") == ["1.8"]
        world.yanked[Version("1.8")] = "upstream deleted it"
        assert world.versions(">1") == ["1.5"]
        assert world.versions(">=2") == []

    def test_by_name_or_where_it_is_in_use(self, world: World) -> None:
        world.spec(pins("2.0"))
        world.yanked = {Version("2"): ""}
        assert world.versions("==2.0") == ["2.0"]
        assert world.versions("==2.*") == []
        used = world.chooser.versions(SIX, [SpecifierSet(">1")], used=[Version("2.0")])
        assert list(map(str, used)) == ["2.0"]

    def test_a_number_names_it_and_another_specifier_does_not(self, world: World) -> None:
        world.publish("1.0", 1)
        world.publish("2.0", 1)
        world.publish("2.0", 2)
        world.yanked = {Version("2.0"): "upstream: bad"}
        assert world.versions("==2.0+pb.1") == ["2.0+pb.1"]
        assert world.versions("!=1.5+pb.7") == ["1.0+pb.1"]

    def test_an_upgrade_passes_over_it_as_well(self, world: World) -> None:
        world.yanked = {Version("2.0"): "upstream: bad"}
        found = world.chooser.versions(SIX, [SpecifierSet("")], upgrade=True)
        assert list(map(str, found)) == ["1.5", "1.0"]

    def test_the_joint_resolution_is_told_and_does_not_prefer_it(self, world: World) -> None:
        world.spec(pins("1.0", "2.0"))
        world.yanked = {Version("2.0"): "upstream: bad"}
        assert world.chooser.known(SIX) == (Version("1.0"),)
        offers = world.chooser.offers(SIX, asked_for=(), known_only=True) or ()
        assert {str(o.version): (o.yanked, o.yanked_reason) for o in offers} == {
            "1.0": (False, ""),
            "2.0": (True, "upstream: bad"),
        }
        world.spec('[source]\ntype = "path"\npath = "src"\n' + pins("2.0"))
        offers = world.chooser.offers(SIX, asked_for=(), known_only=True) or ()
        assert [(o.yanked, o.yanked_reason) for o in offers] == [(True, "upstream: bad")]

    def test_where_only_yanked_ones_are_known_upstream_is_asked(self, world: World) -> None:
        world.spec(pins("2.0"))
        world.yanked = {Version("2.0"): "upstream: bad"}
        offers = world.chooser.offers(SIX, asked_for=(), known_only=True) or ()
        assert {str(o.version): o.yanked for o in offers} == {"1.0": False, "1.5": False, "2.0": True}

    def test_the_message_says_which_and_why(self, world: World) -> None:
        world.spec(pins("2.0"))
        world.publish("1.0", 1)
        world.yanked = {Version("2.0"): "upstream: bad", Version("1.0"): "", Version("3.0"): "elsewhere"}
        yanked = (
            "yanked are 2.0 (upstream: bad), 1.0 (no reason given); "
            "name one with == on the command line, in a constraint or in add-requires, and it is taken all the same"
        )
        assert world.chooser.withheld([SIX, NormalizedName("idna")]) == [f"of six {yanked}"]
        assert world.chooser.what_there_is(SIX) == (
            f"its spec pins 2.0; upstream's newest sources are 2.0, 1.5, 1.0; {yanked}"
        )
        world.spec('[source]\ntype = "path"\npath = "src"\n' + pins("2.0"))
        assert world.chooser.what_there_is(SIX) == f"its spec pins 2.0; {yanked}"

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.candidates import Candidate, Found, Judged
from pybuilder.index import Index
from pybuilder.layout import Layout
from pybuilder.releases.index import files_of
from pybuilder.spec import parse_spec
from pybuilder.state import PublishedWheel, State
from pybuilder.update import Finding
from pybuilder.upstream import Upstream
from pybuilder.upstream.files import File, Project
from pybuilder.yanks import doubts, yank_told, yank_upstreams
from pybuilder.yanks.decide import DELETED, Sight, Told, decide

SIX = NormalizedName("six")
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
TEN = tuple(f"1.{minor}" for minor in range(10))


def told(*versions: str, **yanked: str) -> Told:
    """These versions; a yanked one as ``v1_2="reason"``."""
    reasons = {version.removeprefix("v").replace("_", "."): reason for version, reason in yanked.items()}
    return Told(name=SIX, versions={**dict.fromkeys(versions), **reasons})


@dataclass
class Days:
    """Decisions one after the other, each with what the one before remembered."""

    pinned: tuple[str, ...] = ("1.0", "1.1")
    published: tuple[str, ...] = ()
    yanked: dict[str, str] = field(default_factory=dict)
    sight: Sight = Sight()  # noqa: RUF009 - it is frozen

    def look(self, said: Told, hours: float = 0) -> Mapping[str, str | None]:
        now = NOW + timedelta(hours=hours)
        decision = decide(
            said, pinned=self.pinned, published=self.published, yanked=self.yanked, before=self.sight, now=now
        )
        self.sight = Sight.load(decision.sight.dump())
        for version, reason in decision.changes.items():
            self.yanked.pop(version, None)
            if reason is not None:
                self.yanked[version] = reason
        return decision.changes


class TestYanked:
    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            ("broken on 3.14", "upstream: broken on 3.14"),
            ("", "upstream yanked it"),
            (" \t ", "upstream yanked it"),
            ("a\nb\x1b[31m\ud800", "upstream: a b\ufffd[31m\ufffd"),
            ("x" * 9999, f"upstream: {'x' * 300}"),
        ],
    )
    def test_at_once_and_taken_back_at_once(self, said: str, reason: str) -> None:
        days = Days()
        assert days.look(told("1.0", v1_1=said)) == {"1.1": reason}
        assert days.look(told("1.0", v1_1=said), hours=6) == {}
        assert days.look(told("1.0", "1.1"), hours=12) == {"1.1": None}
        assert days.look(told("1.0", "1.1"), hours=18) == {}

    def test_only_what_we_have(self) -> None:
        assert Days().look(told("1.0", "1.1", v1_2="bad")) == {}

    def test_a_reason_that_changes_is_told_anew(self) -> None:
        days = Days()
        days.look(told("1.0", v1_1=""))
        assert days.look(told("1.0", v1_1="CVE")) == {"1.1": "upstream: CVE"}

    def test_what_somebody_else_yanked_stays_as_they_said(self) -> None:
        days = Days(yanked={"1.0": "we found malware"})
        assert days.look(told("1.0", "1.1")) == {}
        assert days.look(told("1.1", v1_0="bad"), hours=1) == {}
        assert days.look(told("1.1"), hours=2) == {}
        assert days.look(told("1.1"), hours=200) == {}

    def test_what_was_yanked_and_then_deleted_keeps_its_reason(self) -> None:
        days = Days()
        days.look(told("1.0", v1_1="bad"))
        assert [days.look(told("1.0"), hours=hours) for hours in (6, 40, 80)] == [{}, {}, {}]
        assert days.look(told("1.0", "1.1"), hours=90) == {"1.1": None}


class TestDeleted:
    def test_when_it_was_missed_for_a_day_and_comes_back_when_it_is_there(self) -> None:
        days = Days()
        days.look(told(*TEN))
        without = told("1.0", *TEN[2:])
        assert [days.look(without, hours=hours) for hours in (6, 12, 29.9)] == [{}, {}, {}]
        assert days.look(without, hours=30) == {"1.1": DELETED}
        for hours in (36, 90):
            assert days.look(without, hours=hours) == {}
            assert not days.sight.missing
        assert days.look(told(*TEN), hours=96) == {"1.1": None}

    def test_one_look_after_a_long_time_is_not_enough(self) -> None:
        days = Days()
        days.look(told(*TEN))
        without = told("1.0", *TEN[2:])
        assert days.look(without, hours=1000) == {}
        assert days.look(without, hours=1001) == {}
        assert days.look(without, hours=1024) == {"1.1": DELETED}

    def test_what_came_back_meanwhile_begins_anew(self) -> None:
        days = Days()
        days.look(told(*TEN))
        without = told("1.0", *TEN[2:])
        for hours, said in ((1, without), (20, told(*TEN)), (26, without), (49, without)):
            assert days.look(said, hours=hours) == {}
        assert days.look(without, hours=50) == {"1.1": DELETED}

    def test_also_if_we_never_saw_it_there(self) -> None:
        days = Days()
        assert [days.look(told("1.0", "1.2"), hours=hours) for hours in (0, 23)] == [{}, {}]
        assert days.look(told("1.0", "1.2"), hours=24) == {"1.1": DELETED}

    def test_what_is_published_but_not_pinned_once_it_was_seen_there(self) -> None:
        days = Days(pinned=(), published=("1.0", "1.1"))
        for hours in (0, 30, 60):
            assert days.look(told("1.0", "1.2"), hours=hours) == {}
        assert days.look(told("1.0", v1_1="bad"), hours=70) == {"1.1": "upstream: bad"}
        assert days.look(told("1.1", "1.2"), hours=80) == {"1.1": None}
        assert days.look(told("1.1", "1.2"), hours=104) == {"1.0": DELETED}

    def test_the_only_one_of_ours(self) -> None:
        days = Days(pinned=("1.0",))
        days.look(told("1.0", "1.1", "1.2"))
        days.look(told("1.1", "1.2"), hours=1)
        assert days.look(told("1.1", "1.2"), hours=25) == {"1.0": DELETED}

    def test_a_clock_that_was_set_back_only_begins_anew(self) -> None:
        days = Days()
        days.look(told("1.0", "1.2"), hours=9000)
        assert days.look(told("1.0", "1.2"), hours=0) == {}
        assert days.look(told("1.0", "1.2"), hours=23) == {}
        assert days.look(told("1.0", "1.2"), hours=24) == {"1.1": DELETED}


class TestRubbish:
    def test_an_answer_without_versions_says_nothing(self) -> None:
        days = Days()
        days.look(told(*TEN))
        days.look(told("1.0", *TEN[2:]), hours=1)
        for hours in (2, 30, 300, 3000):
            assert days.look(told(), hours=hours) == {}
            assert "no version at all" in days.sight.doubt
        # What had been missed before is still to be missed once more.
        assert days.look(told(*TEN), hours=3001) == {}
        assert (days.sight.doubt, days.sight.missing) == ("", {})

    def test_most_versions_gone_at_once_must_stay_so_for_a_week(self) -> None:
        days = Days()
        days.look(told(*TEN))
        for hours in (1, 30, 168):
            assert days.look(told("1.8", "1.9", "2.0"), hours=hours) == {}
            assert days.sight.doubt == "upstream's answer lacks 8 of 11 versions that it had"
        assert days.look(told("1.8", "1.9", "2.0"), hours=169) == {"1.0": DELETED, "1.1": DELETED}
        assert days.sight.doubt == ""

    def test_most_versions_gone_and_back(self) -> None:
        days = Days()
        days.look(told(*TEN))
        days.look(told("1.8", "1.9"), hours=1)
        days.look(told(*TEN), hours=100)
        assert days.look(told("1.8", "1.9"), hours=169) == {}


def page(*files: tuple[str, str | None]) -> Project:
    facts = {"url": "", "sha256": None, "size": None, "requires_python": "", "upload_time": None}
    rest = {"has_metadata": False, "metadata_sha256": None}
    made = [
        File(filename=name, yanked=why is not None, yanked_reason=why or "", **facts, **rest)  # type: ignore[arg-type]
        for name, why in files
    ]
    return Project(name=SIX, files=tuple(made), status="active", status_reason="")


SDIST, ZIP, WHEEL = "six-1.0.tar.gz", "six-1.0.zip", "six-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("files", "pinned", "expected"),
    [
        ([(SDIST, None), (WHEEL, None)], "", {"1.0": None}),
        ([(SDIST, "bad"), (WHEEL, "worse")], "", {"1.0": "bad"}),
        ([(SDIST, ""), (WHEEL, "worse")], "", {"1.0": "worse"}),
        ([(SDIST, ""), (WHEEL, "")], "", {"1.0": ""}),
        ([(SDIST, "bad"), (WHEEL, None)], "", {"1.0": None}),
        ([(SDIST, "bad"), (WHEEL, None)], SDIST, {"1.0": "bad"}),
        ([(SDIST, ""), (WHEEL, None)], SDIST, {"1.0": ""}),
        ([(SDIST, "bad"), (ZIP, None)], ZIP, {"1.0": None}),
        ([(WHEEL, None)], SDIST, {"1.0": None}),
        ([(WHEEL, "bad")], SDIST, {"1.0": "bad"}),
        ([("six-nonsense.exe", None), ("seven-2.0.tar.gz", None)], "", {}),
    ],
)
def test_what_a_page_says_of_a_version(
    files: list[tuple[str, str | None]], pinned: str, expected: dict[str, str | None]
) -> None:
    assert Told.of(SIX, files_of(page(*files)), {"1.0": pinned}).versions == expected


@dataclass
class World:
    """An index and a state, and upstream's answers."""

    index: Index
    state: State
    confirmed: Told | None = None
    asked: int = 0

    def publish(self, *versions: str, number: int = 1) -> None:
        facts = dict.fromkeys(PublishedWheel.__slots__, "x")
        for version in versions:
            own = {"label": "pb", "name": "six", "version": version, "number": number, "channel": "host"}
            self.state.begin_publish([PublishedWheel(**facts | own)])  # type: ignore[arg-type]
            self.state.finish_publish("pb", "six", version, number)

    def look(self, said: Told, hours: float = 0, pinned: tuple[str, ...] = ()) -> tuple[tuple[str, str], ...]:
        def confirm(name: NormalizedName) -> Told | None:
            self.asked += 1
            return self.confirmed

        return yank_told(
            [said],
            pinned={SIX: [Version(each) for each in pinned]},
            confirm=confirm,
            index=self.index,
            state=self.state,
            channel="host",
            now=NOW + timedelta(hours=hours),
        )

    @property
    def yanked(self) -> dict[str, str]:
        return {str(version): reason for version, reason in self.index.yanked().get(SIX, {}).items()}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(State.open(Layout(root=tmp_path / "state"))) as state:
        yield World(index=Index(tmp_path / "index", lock=tmp_path / "lock"), state=state)


def test_every_build_of_the_version_is_told_once(world: World) -> None:
    world.publish("1.0", "1.1")
    world.publish("1.0", number=2)
    world.confirmed = bad = told("1.1", v1_0="bad")
    told_of = tuple((f"host/six==1.0+pb.{number}", "upstream: bad") for number in (1, 2))
    assert world.look(bad) == told_of
    assert world.look(bad, hours=1) == ()
    assert world.yanked == {"1.0": "upstream: bad"}
    world.confirmed = told("1.1", v1_0="worse")
    assert world.look(world.confirmed, hours=1.5) == ()
    assert world.yanked == {"1.0": "upstream: worse"}
    world.confirmed = told("1.0", "1.1")
    assert world.look(told("1.0", "1.1"), hours=2) == ()
    assert world.yanked == {}


def test_a_version_that_is_only_pinned_is_yanked_before_it_is_published(world: World) -> None:
    world.confirmed = bad = told("1.1", v1_0="bad")
    assert world.look(bad, pinned=("1.0",)) == ()
    assert world.yanked == {"1.0": "upstream: bad"}


def test_nothing_changes_unless_every_file_says_so(world: World) -> None:
    world.publish("1.0", "1.1")
    bad = told("1.1", v1_0="bad")
    world.confirmed = None
    assert world.look(bad) == () and world.yanked == {}
    world.confirmed = told("1.0", "1.1")
    assert world.look(bad) == () and world.yanked == {}
    assert world.asked == 2
    assert world.look(told("1.0", "1.1")) == () and world.asked == 2


def test_a_pass_that_died_before_it_remembered_is_made_good(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.publish("1.0", "1.1")
    world.look(told("1.0", "1.1"))
    world.look(told("1.1"), hours=1)
    world.confirmed = told("1.1")
    with monkeypatch.context() as dying:

        def die(*arguments: object) -> None:
            raise KeyboardInterrupt

        dying.setattr(Index, "yank", die)
        with pytest.raises(KeyboardInterrupt):
            world.look(told("1.1"), hours=25)
    assert world.look(told("1.1"), hours=31) == (("host/six==1.0+pb.1", DELETED),)
    assert world.yanked == {"1.0": DELETED}


def test_doubts_are_kept_until_they_are_gone(world: World) -> None:
    world.publish("1.0", "1.1")
    world.look(told("1.0", "1.1"))
    assert doubts(world.state) == {}
    world.look(told(), hours=1)
    assert list(doubts(world.state)) == ["six"]
    world.look(told("1.0", "1.1"), hours=2)
    assert doubts(world.state) == {}


def test_what_was_remembered_is_read_as_it_was_written() -> None:
    sight = Sight(there=frozenset({"1.0"}), missing={"1.1": NOW}, doubt="why")
    assert Sight.load(sight.dump()) == sight


def test_what_only_every_file_tells_of_is_not_missed_afterwards(world: World) -> None:
    """The sdists alone are looked at first; of a version of which there is but a wheel they say nothing."""
    world.publish("1.0", "1.1")
    bad = told("1.1", v1_0="bad")
    world.confirmed = told("0.1", "0.2", "0.3", "1.1", v1_0="bad")
    world.look(bad)
    assert world.yanked == {"1.0": "upstream: bad"}
    world.look(bad, hours=1)
    assert doubts(world.state) == {}


@pytest.mark.parametrize(("identity", "yanked"), [("", {"1.0": DELETED}), ("id = 'https://127.0.0.1/fork'", {})])
def test_a_tag_is_missed_only_in_the_repository_that_is_built_from(
    world: World, identity: str, yanked: dict[str, str]
) -> None:
    source = "[source]\ntype = 'git'\nurl = 'https://127.0.0.1/six'\ntag = 'v{version}'"
    pins = f'"1.0" = {{ commit = "{"a" * 40}" }}'
    text = f'name = "six"\n{source}\n[update]\nsource = "git"\n{identity}\n[versions]\n{pins}\n'
    tag = Found(text="v1.1", ref="v1.1", commit="b" * 40)
    judged = Judged(candidates=(Candidate(found=tag, version=Version("1.1"), fate="taken", why=""),))
    for hours in (0, 24, 48):
        yank_upstreams(
            [Finding(name=SIX, spec=parse_spec(text, "specs/six.toml"), judged=judged)],
            upstream=cast(Upstream, None),
            index=world.index,
            state=world.state,
            channel="host",
            now=NOW + timedelta(hours=hours),
        )
    assert world.yanked == yanked


def test_an_archive_from_elsewhere_is_not_missed_on_the_index(world: World) -> None:
    pins = f'"1.0" = {{ file = "six-1.0.tar.gz", sha256 = "{"a" * 64}" }}'
    source = "[source]\ntype = 'url'\nurl = 'https://127.0.0.1/six-{version}.tar.gz'"
    spec = parse_spec(f'name = "six"\n{source}\n[versions]\n{pins}\n', "specs/six.toml")
    world.publish("1.0")
    for hours in (0, 25, 50):
        found = yank_upstreams(
            [Finding(name=SIX, spec=spec, listed=(Found(text="1.1", file="six-1.1.tar.gz"),))],
            upstream=cast(Upstream, SimpleNamespace(project=lambda name: page(("six-1.1.tar.gz", None)))),
            index=world.index,
            state=world.state,
            channel="host",
            now=NOW + timedelta(hours=hours),
        )
        assert (found, world.yanked) == ((), {})

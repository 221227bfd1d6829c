"""What a run holds of its packages: their sources, and the review queue that runs leave for each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder.errors import FetchError
from pybuilder.layout import Layout
from pybuilder.packages import Packages
from pybuilder.rejections import Rejection
from pybuilder.screening.account import remember
from pybuilder.settings import Screen
from pybuilder.spec import parse_spec
from pybuilder.stages.plan import learn_dynamic
from pybuilder.state import State

SCREENED = ("alpha", "alpha==1.0", "the screening of its source, which has 1 archive: x.zip")
OTHERWISE = ("alpha", "alpha==1.0", "the screening of its source, which has 1 archive: y.zip")
UNKNOWN = ("beta", "beta==1.0", "alpha 1.0")


@dataclass
class Here:
    state: State
    accepted: set[str] = field(default_factory=set)
    rejected: dict[str, Rejection] = field(default_factory=dict)
    specs: dict[str, str] = field(default_factory=dict)
    policy: Screen = field(default_factory=Screen)
    written: list[list[str]] = field(default_factory=list)

    def run(self, *wanted: tuple[str, str, str], day: int) -> None:
        """A run of its own that comes to this, on a day of January."""
        adapters = SimpleNamespace(
            state=self.state,
            now=lambda: datetime(2026, 1, day, tzinfo=UTC),
            index=SimpleNamespace(write_review=self.write),
            workspace=SimpleNamespace(
                spec_names=lambda: tuple(self.accepted),
                settings=SimpleNamespace(screen=self.policy),
                spec=lambda name: parse_spec(f'name = "{name}"\n{self.specs.get(name, "")}', f"specs/{name}.toml"),
                rejections=self.rejected,
                refusal=lambda name: self.rejected[name].sentence if name in self.rejected else "",
            ),
        )
        anything: Any = None
        packages = Packages(adapters=cast(Any, adapters), sources=anything, chooser=anything, screener=anything)
        packages.queue_reviews(wanted)

    def write(self, waiting: Sequence[Mapping[str, str]], rejected: Sequence[Mapping[str, str]]) -> None:
        """What is published of who waits, and of who has been rejected."""
        self.written.append([*(each["wanted_by"] for each in waiting), *(each["reason"] for each in rejected)])

    def queue(self) -> list[tuple[str, str]]:
        """Why each waits, and since which day."""
        return [(each["wanted_by"], each["first_seen"][8:10]) for each in self.state.review()]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with closing(State.open(Layout(root=tmp_path))) as state:
        yield Here(state=state)


def test_what_still_waits_keeps_its_place(here: Here) -> None:
    here.run(SCREENED, day=1)
    here.run(UNKNOWN, day=2)
    here.run(SCREENED, UNKNOWN, day=3)
    assert here.queue() == [(SCREENED[2], "01"), (UNKNOWN[2], "02")]
    assert here.written[-1] == [SCREENED[2], UNKNOWN[2]]


def test_what_is_found_now_takes_the_place_of_what_was(here: Here) -> None:
    here.run(SCREENED, day=1)
    here.run(OTHERWISE, day=2)
    assert here.queue() == [(OTHERWISE[2], "02")]


def test_an_accepted_package_leaves_and_a_screened_one_stays(here: Here) -> None:
    here.run(SCREENED, UNKNOWN, day=1)
    here.accepted |= {"alpha", "beta"}
    here.run(day=2)
    assert here.queue() == [(SCREENED[2], "01")]


def test_a_rejected_package_is_not_asked_for_again(here: Here) -> None:
    here.run(UNKNOWN, day=1)
    here.rejected["beta"] = Rejection(reason="not maintained")
    here.run(UNKNOWN, day=2)
    assert here.queue() == []
    assert here.written[-1] == ["not maintained"]


def test_a_new_version_waits_until_it_is_pinned_or_ignored(here: Here) -> None:
    here.accepted.add("alpha")
    for version in ("2.0", "3.0", "4.0"):
        here.state.ask_review([("alpha", f"alpha=={version}", "update")], now="2026-01-01T00:00:00Z")
    here.specs["alpha"] = "[update]\nignore = ['>=4']\n"
    here.run(UNKNOWN, day=2)
    assert [row["requirement"] for row in here.state.review()] == ["alpha==2.0", "alpha==3.0", "beta==1.0"]
    here.specs["alpha"] += "[versions]\n'2' = { file = 'alpha-2.0.tar.gz', sha256 = '" + "a" * 64 + "' }\n"
    here.run(day=3)
    assert [row["requirement"] for row in here.state.review()] == ["alpha==3.0", "beta==1.0"]
    here.specs["alpha"] = "nonsense = 3\n"
    here.run(day=4)
    assert [row["requirement"] for row in here.state.review()] == ["alpha==3.0", "beta==1.0"]
    here.accepted.clear()
    here.run(day=5)
    assert [row["requirement"] for row in here.state.review()] == ["beta==1.0"]


def test_a_screening_waits_until_the_policy_lets_it_pass(here: Here) -> None:
    here.accepted.add("alpha")
    here.policy = Screen(archive="review")
    archive = {"path": "x.zip", "kind": "archive", "sha256": "cd" * 32, "accepted": ""}
    account: Any = {"files": [archive], "unlisted": {}, "advisories": [], "dump_sha256": None}
    for version in ("1.0", "2.0"):
        remember(here.state, "alpha", version, "ab" * 32, account)
    here.run(SCREENED, day=1)
    here.run(day=2)
    assert here.queue() == [(SCREENED[2], "01")]
    here.policy = Screen(archive="allow", compiled="refuse")
    here.run(day=3)
    assert here.queue() == [] and here.written[-1] == []


def test_nothing_is_looked_at_where_nobody_waits(here: Here) -> None:
    here.run(day=1)
    assert here.written == []


def test_what_is_said_against_an_accepted_package_counts_no_more(here: Here) -> None:
    rejected = {name: f"rejected: {name}" for name in ("alpha", "beta")}
    anything: Any = None
    packages = Packages(
        adapters=cast(Any, SimpleNamespace(workspace=SimpleNamespace(refusal=lambda name: rejected.get(name, "")))),
        sources=anything,
        chooser=cast(Any, SimpleNamespace(is_accepted={"alpha"}.__contains__)),
        screener=anything,
    )
    assert packages.refusals([SCREENED, UNKNOWN, ("gamma", "gamma", "alpha 1.0")]) == {"beta": "rejected: beta"}


@pytest.mark.parametrize("digest", ["aa", "bb"])
def test_a_source_that_is_fetched_again_is_the_one_that_was_screened(digest: str) -> None:
    first, again = (SimpleNamespace(name="alpha", version="1.0", sha256=each, origin="src") for each in ("aa", digest))
    adapters = SimpleNamespace(store=SimpleNamespace(sound_source=lambda sha256: None))
    sources = SimpleNamespace(acquire=lambda *package: again)
    anything: Any = None
    packages = Packages(adapters=cast(Any, adapters), sources=cast(Any, sources), chooser=anything, screener=anything)
    package: Any = ("alpha", "1.0")
    packages._sources[package] = cast(Any, (first, None))
    if digest == "aa":
        assert packages._sound(package) is again
    else:
        with pytest.raises(FetchError, match=r"alpha 1\.0 was damaged in the store, and has changed since"):
            packages._sound(package)


def test_a_source_that_several_want_at_once_is_got_once(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go, got = threading.Event(), threading.Event(), list[str]()

    def acquire(name: str, version: Version) -> Any:
        got.append(name)
        begun.set()
        go.wait(10)
        return SimpleNamespace(name=name)

    monkeypatch.setattr("pybuilder.packages.inspect_source", lambda adapters, source: "project")
    anything: Any = None
    screener = cast(Any, SimpleNamespace(screen=lambda source: got.append("screened")))
    sources = cast(Any, SimpleNamespace(acquire=acquire))
    packages = Packages(adapters=anything, sources=sources, chooser=anything, screener=screener)
    six = (canonicalize_name("six"), Version("1.0"))
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(packages.source, six) for _ in range(3)]
        assert begun.wait(10)
        go.set()
        found = [each.result(10) for each in asked]
    assert got == ["six", "screened"]
    assert all(each is found[0] for each in found)


def test_a_source_that_could_not_be_had_is_asked_for_again() -> None:
    def acquire(name: str, version: Version) -> Any:
        raise FetchError("it is away")

    anything: Any = None
    sources = cast(Any, SimpleNamespace(acquire=acquire))
    packages = Packages(adapters=anything, sources=sources, chooser=anything, screener=anything)
    for _ in range(2):
        with pytest.raises(FetchError):
            packages.source((canonicalize_name("six"), Version("1.0")))


class TestWhatBackendsWant:
    """It depends on the root: what that has, such as cmake, no backend wants."""

    ALPHA = (canonicalize_name("alpha"), Version("1.0"))

    def packages(self, state: State, lock: str, spec: str = "") -> Packages:
        """Those of a run on a buildroot whose roots hold a lock's RPMs and those that specs ask for."""
        adapters = SimpleNamespace(
            state=state,
            target=SimpleNamespace(name="cp314-linux_x86_64"),
            channel=SimpleNamespace(env={}, macros={}),
            roots=SimpleNamespace(for_build=lambda system: SimpleNamespace(digest=f"{lock} {sorted(system)}")),
        )
        anything: Any = None
        made = Packages(adapters=cast(Any, adapters), sources=anything, chooser=anything, screener=anything)
        parsed = parse_spec(f'name = "alpha"\n{spec}', "specs/alpha.toml")
        effective = parsed.effective(version=self.ALPHA[1], buildroot="b", python="3.14")
        source = SimpleNamespace(name="alpha", version=self.ALPHA[1], sha256="0" * 64, patches=(), spec=effective)
        made._sources[self.ALPHA] = cast(Any, (source, SimpleNamespace(requires=())))
        return made

    def test_it_is_remembered_for_its_root_alone(self, here: Here) -> None:
        old = self.packages(here.state, "old")
        learn_dynamic(old.adapters, *old.source(self.ALPHA), {}, [Requirement("cmake")])
        assert self.packages(here.state, "old").dynamic(self.ALPHA, {}) == ("cmake",)
        assert self.packages(here.state, "new").dynamic(self.ALPHA, {}) == ()
        asks = '[system]\nbuild = ["cmake"]\n'
        assert self.packages(here.state, "old", asks).dynamic(self.ALPHA, {}) == ()

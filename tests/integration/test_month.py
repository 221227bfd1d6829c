"""A month of ``pybuild cron``, every six simulated hours and killed at random: at its end all is what the rules say."""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from pybuilder.state import State
from tests.support.git import git, repository
from tests.support.month import BEGIN, EVERY, Event, Month, Package, Release, chances, day
from tests.support.upstream import Fault
from tests.support.workspaces import bench, processes_of, wait_for

DAYS = 30
RANDOM = ("amber", "birch", "cedar", "dune")
SEED = 20261126


@pytest.fixture
def month(tmp_path: Path) -> Iterator[Month]:
    with bench(tmp_path, hashes=True) as here:
        month = Month(here=here)
        for name in RANDOM:
            month.accept(name)
        month.accept("steady")
        month.accept("needy", text="# Somebody's words stay.\n")
        month.accept("picky", update='allow = "<2"', allow="<2")
        month.accept("twins", update='series = ["1.*", "2.*"]', series=("1.*", "2.*"))
        month.accept("cool", update='cooldown = "3d"', cooldown=timedelta(days=3))
        month.accept("manual", update='mode = "review"', mode="review")
        month.accept("frozen", update='mode = "off"\nreason = "its last release"', mode="off")
        for name in ("shaky", "liar", "regret", "gone"):
            month.accept(name)
        (here.workspace / ".gitignore").write_text(".pybuild/\n")
        repository(here.workspace, {})
        yield month


def story() -> list[Event]:
    """What happens besides what happens by chance."""
    release = Month.release
    return [
        day(2, lambda m: release(m, "twins", "1.1")),
        day(3, lambda m: release(m, "steady", "1.1")),
        day(3, lambda m: release(m, "regret", "1.1")),
        day(3, lambda m: release(m, "frozen", "1.1")),
        day(4, lambda m: release(m, "picky", "1.5")),
        day(4, lambda m: release(m, "manual", "1.1")),
        day(4, lambda m: release(m, "gone", "1.1")),
        day(4.5, lambda m: release(m, "needy", "1.1", wants=("steady",))),
        # It waits for fresh, which somebody takes in three days later.
        day(5, lambda m: release(m, "needy", "1.2", wants=("steady", "fresh"))),
        day(5, lambda m: release(m, "fresh", "0.3")),
        day(5, lambda m: release(m, "cool", "1.1")),
        day(6, lambda m: release(m, "picky", "2.0")),
        day(6, lambda m: release(m, "shaky", "1.1", builds=False)),
        day(7, lambda m: release(m, "picky", "1.6rc1")),
        day(8, approve_fresh),
        day(9, lie),
        day(10, lambda m: release(m, "picky", "1.6")),
        day(10, lambda m: m.yank("regret", "1.1", "breaks everything")),
        day(11, approve_manual),
        # A proxy's page stands where upstream should be, for one pass.
        day(11, lambda m: release(m, "steady", "1.2")),
        day(11, lambda m: fall_silent(m, "steady")),
        day(11.25, lambda m: speak_again(m, "steady")),
        day(12, lambda m: release(m, "twins", "2.1")),
        day(12, lambda m: m.delete("gone", "1.1")),
        day(14, lambda m: release(m, "shaky", "1.2")),
        day(15, lambda m: release(m, "liar", "1.1")),
        day(16, lambda m: release(m, "needy", "1.3", wants=("unwanted",))),
        day(16, lambda m: release(m, "unwanted", "1.0")),
        day(17, patch_steady),
        day(18, reject_unwanted),
        day(19, unpatch_steady),
        day(20, lambda m: m.take_back("regret", "1.1")),
        day(21, ask_for_rebuild),
        day(23, lambda m: release(m, "needy", "1.4", wants=("steady",))),
    ]


def approve_fresh(month: Month) -> None:
    ran = month.pybuild("review", "approve", "fresh")
    assert ran.code == 0, ran.stderr
    release = Release(uploaded=month.now)
    month.packages["fresh"] = Package(releases={"0.3": release}, pins={"0.3"})


def approve_manual(month: Month) -> None:
    ran = month.pybuild("review", "approve", "manual")
    assert ran.code == 0, ran.stderr
    month.packages["manual"].pins.add("1.1")
    month.updates.append(("manual", "1.1"))


def reject_unwanted(month: Month) -> None:
    ran = month.pybuild("review", "reject", "unwanted", "--reason", "nobody keeps it up")
    assert ran.code == 0, ran.stderr


def lie(month: Month) -> None:
    """Upstream puts other bytes under the name of a release that has been there for a month."""
    month.here.sdist("liar", "1.0", module="VERSION = 'something else'\n")


def fall_silent(month: Month, name: str) -> None:
    month.here.upstream.faults[f"/simple/{name}/"] = Fault(content=b"<html>please log in</html>")
    month.silent.add(name)


def speak_again(month: Month, name: str) -> None:
    del month.here.upstream.faults[f"/simple/{name}/"]
    month.silent.remove(name)


def patch_steady(month: Month) -> None:
    month.here.patch("steady", "tiny.json", "VERSION = '1.2'", "VERSION = '1.2 patched'")
    month.commit("Patch steady")


def unpatch_steady(month: Month) -> None:
    (month.here.workspace / "patches" / "steady" / "0001-change.patch").unlink()
    month.commit("The patch was wrong")


def ask_for_rebuild(month: Month) -> None:
    asked = (
        f'"picky==1.6" = {{ requested = {month.now:%Y-%m-%dT%H:%M:%SZ}, reason = "to see whether it still builds" }}\n'
    )
    (month.here.workspace / "rebuild.toml").write_text(asked)
    month.commit("Rebuild picky")


def one_pass(month: Month, chance: random.Random, usual: float) -> tuple[list[str], list[str], float]:
    """A pass, now and then killed and begun again; the lines it told, those of the one that was killed, how long."""
    told_by_killed: list[str] = []
    if chance.random() < 0.25:
        with month.start("cron") as process:
            time.sleep(chance.uniform(0.02, 1) * usual)
            process.kill()
            told_by_killed = process.communicate()[1].splitlines()
        wait_for(
            lambda: not processes_of(month.here.state), seconds=60, what="the end of what the killed pass had started"
        )
        month.now += timedelta(minutes=1)
    began = time.monotonic()
    ran = month.pybuild("cron")
    assert ran.stdout == "", ran.stdout
    lines = [line for line in ran.stderr.splitlines() if line.startswith("pybuild: ")]
    assert bool(lines) == (ran.code != 0), (ran.code, ran.stderr)
    return lines, told_by_killed, time.monotonic() - began


def test_a_month(month: Month) -> None:
    chance = random.Random(SEED)
    events = sorted([*chances(SEED, RANDOM, DAYS), *story()], key=lambda event: event[0])
    told: Counter[str] = Counter()
    twice: set[str] = set()
    usual = 2.0
    for count in range(DAYS * 4):
        scheduled = BEGIN + EVERY * count
        while events and events[0][0] <= scheduled:
            month.now, happen = events.pop(0)
            happen(month)
        month.now = scheduled
        if count == 101:
            month.now -= timedelta(days=400)  # a battery is empty; the next pass knows the time again
        lines, of_killed, seconds = one_pass(month, chance, usual)
        told.update(lines)
        twice |= set(of_killed)
        usual = (usual + seconds) / 2
        month.expect()
        assert month.pins() == {name: package.pins for name, package in month.packages.items()}, (month.now, lines)
        assert git(month.here.workspace, "status", "--porcelain") == ""
    check_told(told, twice)
    check_end(month)


def check_told(told: Counter[str], twice: set[str]) -> None:
    """Everything was told once, but for what a pass had told that was killed before it could remember."""
    subjects = Counter(line.partition(": ")[2].partition(": ")[0] for line in told)
    assert subjects == {
        "build shaky==1.1": 1,
        "reupload liar==1.0": 1,
        "review fresh": 1,
        "review manual": 1,
        "review unwanted": 2,  # It waits; then it is rejected, and what needs it can't be had.
        "update steady": 1,
    }, told
    assert [line for line, count in told.items() if count > 1 and line not in twice] == []


def check_end(month: Month) -> None:
    """Index, specs, git's history, queue and reports are what the rules say."""
    here = month.here
    assert month.published() == {name: package.published for name, package in month.packages.items()}
    here.check_sound()
    check_commits(month)
    assert month.pybuild("review", "list", "--json").json == {"review": []}
    assert json.loads((here.index.root / "review.json").read_text())["review"] == []
    check_builds(month)
    heartbeat = (here.state / "cron" / "heartbeat").read_text()
    assert f"{BEGIN + EVERY * (DAYS * 4 - 1):%Y-%m-%dT%H}" in heartbeat, heartbeat


def check_commits(month: Month) -> None:
    """One commit for each update, in their order; besides these, first pins and what people did."""
    subjects = git(month.here.workspace, "log", "--reverse", "--format=%s").splitlines()
    updates = [
        match.groups() for subject in subjects if (match := re.fullmatch(r"(\S+): update to (\S+) from \S+", subject))
    ]
    assert len(updates) == len(month.updates)
    for name in month.packages:
        assert [v for each, v in updates if each == name] == [v for each, v in month.updates if each == name]
    others = [subject for subject in subjects if ": update to " not in subject]
    assert Counter(others) == Counter(
        [
            "x",
            *(f"{name}: pin 1.0" for name in month.packages if name != "fresh"),
            "Take in fresh 0.3",
            "Reject unwanted",
            "Patch steady",
            "The patch was wrong",
            "Rebuild picky",
        ]
    )
    assert "# Somebody's words stay.\n" in month.here.spec_text("needy")


def check_builds(month: Month) -> None:
    """A recipe that was changed and changed back, a rebuild that was asked for, and one that failed again and again."""
    here = month.here
    with closing(State.open(here.layout)) as state:
        payloads = [wheel.payload for wheel in state.published_anywhere("steady") if wheel.version == "1.2"]
        failures = [one for one in state.attempts("shaky", "1.1") if one.phase != "interrupted"]
        asked_for = [one.started for one in state.attempts("picky", "1.6") if one.state == "succeeded"]
    newest, patched, *_, first = payloads
    assert newest == first != patched
    # Eight days are 32 passes; with growing delays few of these try.
    assert 4 <= len(failures) <= 9
    assert sum(started > "2026-03-22" for started in asked_for) in (1, 2) and min(asked_for) < "2026-03-12"

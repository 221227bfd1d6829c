"""What makes a package stale, after builds that took place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from pybuilder import clock
from pybuilder.staleness import StaleReport, find_stale, note_failure
from pybuilder.staleness.judge import Policy
from pybuilder.state import State
from tests.support.workspaces import Bench, bench, tiny_files

OLD = "built with a broken compiler"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def look(here: Bench, *, policy: Policy = "never", days: float = 0) -> StaleReport:
    """What a pass of cron would find so many days from now."""
    with here.session() as session:
        return find_stale(session.packages(), policy=policy, now=clock.now() + timedelta(days=days))


def stale(here: Bench, *, policy: Policy = "never", days: float = 0) -> list[tuple[str, str]]:
    """What is to be built and why, most needed first; there is no problem."""
    report = look(here, policy=policy, days=days)
    assert report.problems == ()
    return [(str(each.requirement), each.why) for each in report.stale]


def requested(here: Bench, name: str, reason: str = OLD) -> None:
    (here.workspace / "rebuild.toml").write_text(
        f'"{name}" = {{ requested = {clock.now().isoformat()}, reason = "{reason}" }}\n'
    )


def test_from_a_new_spec_to_a_rebuilt_dependent(here: Bench) -> None:
    """One package with a build and an install requirement goes through all that can make it stale."""
    here.accept("base")
    here.accept("six")
    here.accept("app", build_requires=["base>=1"], requires=["six"])
    # Nobody has fetched anything yet, so nothing is pinned.
    assert stale(here) == [("app", "new"), ("base", "new"), ("six", "new")]
    here.build("app")
    assert stale(here, policy="monthly", days=100) == []

    here.patch("app", "tiny.json", "VERSION = '1.0'", "VERSION = '1.0 patched'")
    assert stale(here) == [("app==1.0", "recipe")]
    here.build("app")
    here.spec("six", '[build]\nenv = { COLOUR = "red" }\n' + here.spec_text("six").partition("\n")[2])
    report = look(here)
    assert [(each.name, each.why, each.detail, each.needed_by) for each in report.stale] == [
        ("six", "recipe", "[build.env] COLOUR: added, red", 1)
    ]
    # It comes out the same, so its number stays, and yet it is not stale any more.
    here.build("six")
    assert here.published("six") == ["1.0+pb.1"]
    assert stale(here) == []

    requested(here, "app==1.0")
    [found] = look(here).stale
    assert (found.why, found.is_forced, OLD in found.detail) == ("request", True, True)
    here.rebuild("app==1.0")
    assert stale(here) == []

    # Another payload of its build requirement counts by policy, and once in 30 days.
    here.patch("base", "tiny.json", "VERSION = '1.0'", "VERSION = '1.0 patched'")
    assert stale(here) == [("base==1.0", "recipe")]
    here.build("base")
    assert stale(here, days=100) == []
    assert stale(here, policy="monthly", days=29) == []
    assert [(each.name, each.why) for each in look(here, policy="monthly", days=29).delayed] == [("app", "environment")]
    assert stale(here, policy="monthly", days=31) == [("app==1.0", "environment")]
    here.spec("base", "[update]\nrebuild-dependents = true\n" + here.spec_text("base").partition("\n")[2])
    assert stale(here) == [("app==1.0", "environment")]
    here.build("app")
    assert stale(here, policy="monthly", days=100) == []


def test_a_build_that_fails_waits_until_something_of_it_changes(here: Bench) -> None:
    here.accept("app", act="raise SystemExit('broken')")
    here.build("app", code=10)
    assert stale(here) == []
    [waits] = look(here).delayed
    assert (waits.why, waits.failures, str(waits.requirement)) == ("new", 1, "app==1.0")
    assert stale(here, days=0.05) == [("app==1.0", "new")]
    here.patch("app", "tiny.json", "raise SystemExit('broken')", "")
    assert stale(here) == [("app==1.0", "new")]
    here.build("app")
    assert stale(here) == []

    # A wheel that is refused has an attempt that succeeded: whoever tried notes the failure.
    here.spec("app", '[test]\nimports = ["nowhere"]\n' + here.spec_text("app").partition("\n")[2])
    requested(here, "app")
    [asked] = look(here).stale
    here.rebuild("app==1.0", code=50)
    with_attempt = here.attempts("app")[-1]["id"]
    _note(here, "app", "1.0", asked.mark, with_attempt)
    assert stale(here) == []
    here.spec("app", here.spec_text("app").partition("\n")[2].replace('["nowhere"]', '["app"]'))
    assert stale(here) == [("app==1.0", "request")]


def _note(here: Bench, name: str, version: str, mark: str, attempt: str) -> None:
    with closing(State.open(here.layout)) as state:
        note_failure(state, "host", name, Version(version), mark=mark, now=clock.now(), attempt=attempt)


def test_a_directory_of_the_workspace_is_stale_when_something_in_it_has_changed(here: Bench) -> None:
    directory = here.workspace / "own"
    directory.mkdir()
    for file, data in tiny_files("own", "1.0").items():
        (directory / file).write_bytes(data)
    here.spec("own", '[source]\ntype = "path"\npath = "own"\n')
    # Nobody knows a version of it before it is built under one.
    assert stale(here) == []
    here.build("own==1.0")
    assert stale(here) == []
    (directory / "tiny.json").write_bytes(tiny_files("own", "1.0", module="VERSION = 'other'\n")["tiny.json"])
    assert stale(here) == [("own==1.0", "recipe")]

"""What nobody has accepted is asked for, all of it at once, and what was done meanwhile is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.workspaces import Bench, Ran, bench


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def queue(here: Bench) -> list[str]:
    """The names in the published queue."""
    entries = json.loads((here.index.root / "review.json").read_bytes())["review"]
    return sorted(entry["name"] for entry in entries)


def waiting(ran: Ran) -> list[tuple[str, str, str]]:
    return sorted((entry["name"], entry["requirement"], entry["wanted_by"]) for entry in ran.json["review"])


class TestReview:
    def test_all_that_one_step_needs_are_named_at_once(self, here: Bench) -> None:
        here.accept("alpha", build_requires=["beta", "one>=1", "two"])
        here.accept("beta")
        here.accept("gamma", requires=["three", "four; python_version > '3'", "not-here; python_version < '3'"])
        ran = here.build("alpha", "gamma", "six", code=40)
        assert waiting(ran) == [
            ("four", 'four; python_version > "3"', "gamma 1.0"),
            ("one", "one>=1", "the build of alpha 1.0"),
            ("six", "six", "the command line"),
            ("three", "three", "gamma 1.0"),
            ("two", "two", "the build of alpha 1.0"),
        ]
        assert queue(here) == ["four", "one", "six", "three", "two"]
        said = here.pybuild("build", "alpha")
        assert "one>=1, wanted by the build of alpha 1.0" in said.stderr and "pybuild review show one" in said.stderr

    def test_after_accepting_it_goes_on_where_it_was(self, here: Bench) -> None:
        here.accept("alpha", build_requires=["beta"], requires=["gamma"], static=False)
        here.accept("beta")
        ran = here.build("alpha", code=40)
        assert waiting(ran) == [("gamma", "gamma", "alpha 1.0")]
        assert (here.outcomes("alpha"), here.published("alpha")) == (["succeeded"], [])
        here.accept("gamma")
        assert here.build("alpha").built() == ["gamma==1.0+pb.1", "alpha==1.0+pb.1"]
        assert (here.outcomes("alpha"), here.outcomes("beta")) == (["succeeded"], ["succeeded"])
        assert queue(here) == []
        here.check_sound()

    def test_what_waits_and_what_fails_are_both_told(self, here: Bench) -> None:
        here.accept("alpha", build_requires=["nowhere"])
        here.accept("beta", act="raise SystemExit(3)")
        here.accept("gamma")
        ran = here.build("alpha", "beta", "gamma", code=10)
        assert [failure["name"] for failure in ran.json["failed"]] == ["beta"]
        assert waiting(ran) == [("nowhere", "nowhere", "the build of alpha 1.0")]
        assert ran.built() == ["gamma==1.0+pb.1"]

    def test_what_an_extra_needs_waits_only_where_the_extra_is_wanted(self, here: Bench) -> None:
        requires = ["nowhere; extra == 'fast'", "lost[fast]; extra == 'fast'"]
        here.accept("beta", requires=requires, metadata=["Provides-Extra: fast"])
        here.accept("alpha", build_requires=["beta[fast]"])
        here.build("beta")
        ran = here.build("alpha", code=40)
        assert {name for name, _, _ in waiting(ran)} <= {"nowhere", "lost"}
        assert all(by == "beta 1.0" for _, _, by in waiting(ran)) and waiting(ran)

    def test_the_queue_outlasts_runs_about_something_else(self, here: Bench) -> None:
        here.accept("alpha", requires=["nowhere"])
        here.accept("beta")
        here.build("alpha", code=40)
        here.build("beta")
        assert queue(here) == ["nowhere"]

"""Who may be built: packages that nobody has accepted wait, and the rest of the tree does not wait for them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.workspaces import Bench, bench


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def spec(here: Bench, name: str) -> Any:
    return tomllib.loads((here.workspace / "specs" / f"{name}.toml").read_text())


def specs(here: Bench) -> list[str]:
    return sorted(path.stem for path in (here.workspace / "specs").iterdir())


def queue(here: Bench) -> list[str]:
    """The names in the published review queue."""
    entries = json.loads((here.index.root / "review.json").read_bytes())["review"]
    return sorted({entry["name"] for entry in entries})


def test_what_waits_is_queued_and_the_rest_is_built(here: Bench) -> None:
    here.accept("alpha", requires=["beta", "stranger>=1"], build_requires=["tool"])
    here.accept("beta", build_requires=["tool"])
    here.accept("gamma", build_requires=["foreign"])
    here.accept("tool")
    for name in ("stranger", "foreign"):
        here.sdist(name)
    ran = here.bootstrap("alpha", "gamma", code=40)
    assert ran.built() == ["tool==1.0+pb.1", "beta==1.0+pb.1"]
    assert ran.json["failed"] == []
    assert ran.json["review"] == [
        {"name": "foreign", "requirement": "foreign", "wanted_by": "the build of gamma 1.0"},
        {"name": "stranger", "requirement": "stranger>=1", "wanted_by": "alpha 1.0"},
    ]
    assert not here.attempts("stranger") and not here.attempts("gamma")
    assert specs(here) == ["alpha", "beta", "gamma", "tool"]
    assert queue(here) == ["foreign", "stranger"]


def test_no_other_version_is_taken_to_avoid_what_waits(here: Bench) -> None:
    here.sdist("alpha", "1.0")
    here.accept("alpha", "2.0", requires=["stranger"])
    here.sdist("stranger")
    ran = here.bootstrap("alpha", code=40)
    assert ran.built() == []
    nodes = here.plan("alpha", code=40)
    assert {package: (node["accepted"], node["status"]) for package, node in nodes.items()} == {
        "alpha==2.0": (True, "waits"),
        "stranger==1.0": (False, "waits"),
    }


def test_everything_that_waits_is_seen_at_once(here: Bench) -> None:
    """Not only the first of a chain."""
    here.accept("alpha", requires=["one"])
    here.sdist("one", requires=["two"], build_requires=["three"])
    here.sdist("two")
    here.sdist("three")
    ran = here.bootstrap("alpha", code=40)
    assert [entry["name"] for entry in ran.json["review"]] == ["one", "three", "two"]


def test_accepting_new_ones_writes_a_spec_for_each(here: Bench) -> None:
    here.accept("alpha", requires=["one"], spec="# mine\n")
    here.sdist("one", build_requires=["two"])
    here.sdist("two")
    here.sdist("unused")
    assert here.bootstrap("alpha", code=40).built() == []
    ran = here.bootstrap("--accept-new", "alpha")
    assert ran.built() == ["two==1.0+pb.1", "one==1.0+pb.1", "alpha==1.0+pb.1"]
    assert specs(here) == ["alpha", "one", "two"]
    for name in specs(here):
        assert list(spec(here, name)["versions"]) == ["1.0"], name
        assert spec(here, name)["versions"]["1.0"]["file"] == f"{name}-1.0.tar.gz"
    assert "# mine" in (here.workspace / "specs" / "alpha.toml").read_text()
    # From now on they are accepted.
    ran = here.bootstrap("alpha")
    assert (ran.built(), ran.cached()) == ([], ["alpha==1.0+pb.1"])
    assert queue(here) == []
    assert here.pybuild("lint").code == 0


def test_pybuild_toml_can_accept_them(here: Bench) -> None:
    here.settings("accept-new = true\n")
    here.sdist("alpha")
    assert here.bootstrap("alpha").built() == ["alpha==1.0+pb.1"]


def test_only_what_is_in_the_tree_is_pinned(here: Bench) -> None:
    """The resolver looks at versions that it does not take, in the end."""
    here.sdist("alpha", requires=["multi<3"])
    for version in ("1.0", "2.0", "3.0"):
        here.sdist("multi", version, requires=["beta<2"] if version == "2.0" else [])
    for version in ("1.0", "2.0"):
        here.sdist("beta", version)
    here.bootstrap("--accept-new", "alpha", "beta>=2")
    assert list(spec(here, "multi")["versions"]) == ["1.0"]
    assert list(spec(here, "beta")["versions"]) == ["2.0"]


def test_a_plan_writes_no_spec(here: Bench) -> None:
    here.sdist("alpha", requires=["beta"])
    here.sdist("beta")
    nodes = here.plan("--accept-new", "alpha")
    assert [node["status"] for node in nodes.values()] == ["new", "new"]
    assert specs(here) == []
    assert here.attempts("beta") == [] and here.published("beta") == []


def test_what_turns_up_during_a_build_waits_as_well(here: Bench) -> None:
    here.accept("alpha", dynamic=["stranger"])
    here.accept("beta")
    here.sdist("stranger")
    ran = here.bootstrap("alpha", "beta", code=40)
    assert ran.built() == ["beta==1.0+pb.1"]
    assert ran.json["review"] == [
        {"name": "stranger", "requirement": "stranger", "wanted_by": "the build of alpha 1.0"}
    ]
    assert not here.attempts("stranger")
    assert queue(here) == ["stranger"]
    here.check_sound()
    assert here.bootstrap("--accept-new", "alpha").built() == ["stranger==1.0+pb.1", "alpha==1.0+pb.1"]


def test_what_turns_up_during_a_build_is_taken_in_where_new_ones_are(here: Bench) -> None:
    here.sdist("alpha", dynamic=["late"])
    here.sdist("late")
    here.bootstrap("--accept-new", "alpha")
    assert specs(here) == ["alpha", "late"]
    assert list(spec(here, "late")["versions"]) == ["1.0"]
    assert here.bootstrap("alpha").cached() == ["alpha==1.0+pb.1"]

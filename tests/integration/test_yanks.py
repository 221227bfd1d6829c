"""What upstream yanks is yanked in ours: for pip and uv, for our own builds, and whatever is done with the index."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.http import Client
from pybuilder.state import State
from pybuilder.upstream import Upstream
from pybuilder.yanks import Told, yank_told
from tests.support.indexes import clean_environment
from tests.support.workspaces import Bench, Ran, bench, plan_of

ALPHA = NormalizedName("alpha")
NOW = datetime(2026, 12, 1, tzinfo=UTC)
UV = str(Path(sys.executable).with_name("uv"))


def look(here: Bench) -> tuple[tuple[str, str], ...]:
    """Do what cron does with what upstream says of alpha now."""
    with closing(State.open(here.layout)) as state, Client() as client:
        upstream = Upstream(client=client, url=here.upstream.index)
        said = Told.by(upstream.project(ALPHA), {})
        pinned = {ALPHA: [Version("1.0"), Version("2.0")]}
        return yank_told(
            [said],
            pinned=pinned,
            confirm=lambda name: said,
            index=here.index,
            state=state,
            channel="host",
            now=NOW,
        )


def install(here: Bench, tool: str, requirement: str) -> tuple[str | None, str]:
    """What is installed, which is None where the tool refuses, and what it says."""
    site = here.root / f"site-{tool}-{len(list(here.root.glob('site-*')))}"
    pip = [sys.executable, "-m", "pip", "install", "--no-input"]
    command = pip if tool == "pip" else [UV, "pip", "install", "--no-config", "--python", sys.executable]
    index = f"--index-url={(here.index.root / 'simple').as_uri()}"
    argv = [*command, index, "--only-binary=:all:", "--target", str(site), requirement]
    done = subprocess.run(argv, env=clean_environment(here.root), capture_output=True, text=True, timeout=120)
    found = [path.name.removesuffix(".dist-info") for path in site.glob("*.dist-info")]
    assert (done.returncode == 0) is bool(found), done.stderr
    return (found[0] if found else None), done.stderr


def built_with(here: Bench, ran: Ran, name: str) -> dict[str, str]:
    [build] = [build for build in ran.json["built"] if build["name"] == name]
    return {item["name"]: item["version"] for item in plan_of(here.state, build)["environment"]}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        made.accept("alpha", "1.0")
        made.sdist("alpha", "2.0")
        made.build("alpha==1.0", "alpha==2.0")
        made.upstream.yanked["alpha-2.0.tar.gz"] = 'eats <"data">'
        assert look(made) == (("host/alpha==2.0+pb.1", 'upstream: eats <"data">'),)
        yield made


def marks(here: Bench) -> dict[str, str | None]:
    files = (*here.index.files(ALPHA), *here.index.sources(ALPHA))
    return {file.version: file.yanked for file in files}


def test_our_own_builds_take_it_only_by_name(here: Bench) -> None:
    here.accept("user", build_requires=["alpha"])
    here.accept("exact", build_requires=["alpha==2.0"])
    here.accept("needs", build_requires=["alpha>=2"])
    ran = here.build("user", "exact")
    assert (built_with(here, ran, "user"), built_with(here, ran, "exact")) == ({"alpha": "1.0"}, {"alpha": "2.0"})
    assert "no version satisfies" in here.build("needs", code=30).json["failed"][0]["error"]
    refused = here.bootstrap("needs", code=30)
    assert "yanked are 2.0 (upstream: eats" in refused.stdout + refused.stderr
    plan = here.plan("alpha")
    assert list(plan) == ["alpha==1.0"]
    assert "yanked" in here.bootstrap("alpha>=2", code=30).stderr
    assert here.bootstrap("alpha==2.0").cached() == ["alpha==2.0+pb.1"]


def test_it_outlives_all_that_is_done_with_the_index(here: Bench) -> None:
    why = 'upstream: eats <"data">'
    assert here.rebuild("alpha==2.0").built() == ["alpha==2.0+pb.2"]
    yanked = {"1.0+pb.1": None, "2.0+pb.1": why, "2.0+pb.2": why, "1.0": None, "2.0": why}
    assert marks(here) == yanked
    assert here.pybuild("index", "refresh").code == 0 and marks(here) == yanked
    assert here.pybuild("audit", "--all").code == 0
    for file in here.state.glob("state.db*"):
        file.unlink()
    assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]
    assert marks(here) == yanked and look(here) == ()
    here.check_sound()

    for tool in ("pip", "uv"):
        assert install(here, tool, "alpha")[0] == "alpha-1.0+pb.1"
        assert install(here, tool, "alpha>1")[0] is None
        got, said = install(here, tool, "alpha==2.0+pb.2")
        assert (got, "yanked" in said, "eats" in said) == ("alpha-2.0+pb.2", True, True), (tool, said)
    assert install(here, "pip", "alpha==2.0")[0] == "alpha-2.0+pb.2"

    here.upstream.yanked.clear()
    assert look(here) == ()
    assert set(marks(here).values()) == {None}
    assert here.build("alpha").cached() == ["alpha==2.0+pb.2"]
    here.check_sound()

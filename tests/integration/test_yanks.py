"""What upstream yanks is yanked in ours: for pip and uv, for our own builds, and whatever is done with the index."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from pybuilder.http import Client
from pybuilder.processes import run
from pybuilder.state import State
from pybuilder.update import Finder
from pybuilder.upstream import Upstream
from pybuilder.workspace import Workspace
from pybuilder.yanks import yank_upstreams
from pybuilder.yanks.decide import DELETED
from tests.support.git import git, repository
from tests.support.indexes import clean_environment, make_wheel
from tests.support.upstream import Fault
from tests.support.workspaces import Bench, Ran, bench, plan_of

ALPHA = NormalizedName("alpha")
NOW = datetime(2026, 12, 1, tzinfo=UTC)
UV = str(Path(sys.executable).with_name("uv"))


def look(here: Bench, hours: float = 0) -> tuple[tuple[str, str], ...]:
    """Do what cron does: ask upstream about every package, and yank."""
    now = NOW + timedelta(hours=hours)
    with closing(State.open(here.layout)) as state, Client() as client:
        upstream = Upstream(client=client, url=here.upstream.index)
        finder = Finder(
            workspace=Workspace.open(here.workspace, run=run),
            state=state,
            upstream=upstream,
            buildroot="host",
            variant="",
            pythons=("3.11.7",),
            tags=("py3-none-any",),
            now=lambda: now,
        )
        findings = finder.find()
        return yank_upstreams(findings, upstream=upstream, index=here.index, state=state, channel="host", now=now)


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
    assert "of alpha yanked are 2.0 (upstream: eats" in here.build("needs", code=30).json["failed"][0]["error"]
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
    shown = here.pybuild("show", "alpha", "--json").json["builds"]
    assert [build["yanked"] for build in shown] == [why, why, None]
    assert here.pybuild("show", "alpha").stdout.count(f"    yanked: {why}\n") == 2
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


def test_what_upstream_deletes(here: Bench) -> None:
    """Believed when it stays so, and of what is no rubbish; a wheel keeps a version alive, a commit one from git."""
    repo = here.root / "repo"
    commits = [repository(repo, {"file": version.encode()}, tag=f"v{version}") for version in ("1.0", "1.1", "1.2")]
    pins = "".join(f'"1.{minor}" = {{ commit = "{commit}" }}\n' for minor, commit in enumerate(commits))
    source = f'[source]\ntype = "git"\nurl = "{repo.as_uri()}"\ntag = "v{{version}}"\n'
    for name, mode in (("gamma", ""), ("delta", 'mode = "off"\nreason = "we stay where we are"\n')):
        here.spec(name, f'{source}[update]\nsource = "git"\ntag-prefix = "v"\n{mode}[versions]\n{pins}')
    for version in ("0.1", "0.2", "0.3"):
        here.sdist("alpha", version)
    assert look(here) == ()
    gone = here.upstream.directory / "alpha-1.0.tar.gz"
    gone.rename(here.root / gone.name)
    git(repo, "tag", "--delete", "v1.0")
    git(repo, "tag", "v1.1-renamed", "v1.1^{}")
    git(repo, "tag", "--delete", "v1.1")
    assert look(here, 1) == () and look(here, 24) == ()
    # What says nothing: no such project, a server that is down; and a wheel is there still.
    here.upstream.faults["/alpha/"] = Fault(status=404)
    assert look(here, 26) == ()
    here.upstream.faults["/alpha/"] = Fault(status=503)
    assert look(here, 27) == ()
    here.upstream.faults.clear()
    wheel = make_wheel(here.upstream.directory, "alpha", "1.0")
    assert look(here, 28) == ()
    for name in (NormalizedName("gamma"), NormalizedName("delta")):
        assert {str(version): why for version, why in here.index.yanked()[name].items()} == {"1.0": DELETED}
    assert marks(here)["1.0+pb.1"] is None
    wheel.unlink()
    assert look(here, 30) == () and look(here, 53) == ()
    assert look(here, 54) == (("host/alpha==1.0+pb.1", DELETED),)
    assert (marks(here)["1.0+pb.1"], marks(here)["1.0"]) == (DELETED, DELETED)
    (here.root / gone.name).rename(gone)
    git(repo, "tag", "v1.0", commits[0])
    assert look(here, 55) == ()
    assert marks(here)["1.0+pb.1"] is None and not {"gamma", "delta"} & here.index.yanked().keys()

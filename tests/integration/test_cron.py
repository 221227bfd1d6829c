"""A pass of ``pybuild cron``, as a timer starts it, over a workspace in git."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.git import git
from tests.support.workspaces import Bench, Ran, bench


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        git(made.workspace, "init", "-q", "-b", "main")
        made.environ |= {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "cron"), ("EMAIL", "cron@localhost"))
        }
        yield made


def commit(here: Bench) -> None:
    git(here.workspace, "add", "-A")
    git(here.workspace, "commit", "-qm", "by hand")


def passed(here: Bench, *arguments: str, code: int = 0) -> Ran:
    """A pass with ``--json``, which must end with this code."""
    ran = here.pybuild("cron", "--json", *arguments)
    assert ran.code == code, ran.stderr + ran.stdout
    return ran


def silent(here: Bench, *arguments: str) -> None:
    """A pass that has nothing to tell."""
    ran = here.pybuild("cron", *arguments)
    assert (ran.code, ran.stdout, ran.stderr) == (0, "", "")


def subjects(here: Bench) -> list[str]:
    return git(here.workspace, "log", "--format=%s").splitlines()


def test_a_new_version_is_built_pinned_and_committed(here: Bench) -> None:
    here.accept("tool")
    here.accept("alpha", build_requires=["tool"])
    commit(here)
    first = passed(here)
    assert sorted(first.built()) == ["alpha==1.0+pb.1", "tool==1.0+pb.1"]
    silent(here)
    here.sdist("tool", "2.0")
    second = passed(here)
    assert second.built() == ["tool==2.0+pb.1"]
    assert [(each["name"], each["old"], each["new"]) for each in second.json["updated"]] == [("tool", "1.0", "2.0")]
    assert second.json["updated"][0]["commit"] == git(here.workspace, "rev-parse", "HEAD")
    assert '"2.0"' in here.spec_text("tool") and '"1.0"' in here.spec_text("tool")
    assert git(here.workspace, "status", "--porcelain") == ""
    silent(here)
    here.check_sound()

"""A pass of ``pybuild cron``, as a timer starts it, over a workspace in git."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pybuilder.files import file_lock
from tests.support.git import git
from tests.support.upstream import Fault
from tests.support.workspaces import Bench, Ran, bench, wait_for


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


def silent(here: Bench, *before: str) -> None:
    """A pass that has nothing to tell."""
    ran = here.pybuild(*before, "cron")
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


def test_what_is_stale_in_the_tree_of_an_update_is_left_to_the_policy(here: Bench) -> None:
    here.accept("tool")
    here.accept("alpha", build_requires=["tool"])
    here.accept("beta", requires=["alpha"])
    commit(here)
    passed(here)
    here.sdist("tool", "2.0")
    assert passed(here).built() == ["tool==2.0+pb.1"]
    here.sdist("beta", "2.0", requires=["alpha"])
    assert passed(here).built() == ["beta==2.0+pb.1"]
    assert here.outcomes("alpha") == ["succeeded"], "nobody has asked for it"
    ran = here.bootstrap("beta")
    assert here.outcomes("alpha") == ["succeeded", "succeeded"], ran.stderr


FAILS = "raise SystemExit('this release does not build')"


def test_an_update_that_fails_leaves_everything_as_it_is_and_is_told_once(here: Bench) -> None:
    here.accept("alpha")
    here.accept("beta")
    commit(here)
    passed(here)
    here.sdist("alpha", "2.0", act=FAILS)
    here.sdist("beta", "2.0")
    failed = here.pybuild("cron")
    assert failed.code == 10 and failed.stdout == ""
    [line] = failed.stderr.splitlines()
    assert line.startswith("pybuild: build alpha==2.0: ") and "build.log" in line
    assert here.published("alpha") == ["1.0+pb.1"] and '"2.0"' not in here.spec_text("alpha")
    assert here.published("beta") == ["1.0+pb.1", "2.0+pb.1"], "what fails holds back no other"
    silent(here)
    assert here.outcomes("alpha") == ["succeeded", "failed"], "it is tried again later"
    known = passed(here)
    assert [(each["subject"], each["new"]) for each in known.json["problems"]] == [("alpha==2.0", False)]
    assert known.json["postponed"] == 1 and known.json["ok"]
    # Another patch level: the old failure is gone, and so is what was told of it.
    here.sdist("alpha", "2.0.1")
    mended = passed(here)
    assert mended.built() == ["alpha==2.0.1+pb.1"] and mended.json["problems"] == []
    here.check_sound()


def test_a_person_decides_where_the_spec_says_so_and_on_new_packages(here: Bench) -> None:
    here.accept("alpha", spec='[update]\nmode = "review"\n')
    here.accept("beta")
    here.accept("gamma", spec='[update]\nmode = "off"\nreason = "it is frozen"\n')
    commit(here)
    passed(here)
    for name in ("alpha", "gamma"):
        here.sdist(name, "2.0")
    here.sdist("beta", "2.0", requires=["stranger"])
    here.sdist("stranger")
    waits = passed(here, code=40)
    assert waits.built() == [] and waits.json["problems"] == []
    asked = {(each["requirement"], each["wanted_by"]) for each in waits.json["review"]}
    assert asked == {("alpha==2.0", "update"), ("stranger", "beta 2.0")}
    assert len(waits.stderr.splitlines()) == 2
    silent(here)
    here.spec("stranger")
    commit(here)
    accepted = passed(here)
    assert sorted(accepted.built()) == ["beta==2.0+pb.1", "stranger==1.0+pb.1"]
    assert [each["requirement"] for each in accepted.json["review"]] == ["alpha==2.0"]
    # A newer one takes the place of what waits, and is told as something new.
    here.sdist("alpha", "3.0")
    again = passed(here, code=40)
    assert [each["requirement"] for each in again.json["review"]] == ["alpha==3.0"]


def test_another_recipe_and_a_request_are_built(here: Bench) -> None:
    here.accept("alpha")
    commit(here)
    passed(here)
    here.patch("alpha", "tiny.json", "VERSION = '1.0'", "VERSION = 'one'")
    assert passed(here).built() == ["alpha==1.0+pb.2"]
    requested = datetime.now(UTC).isoformat()
    (here.workspace / "rebuild.toml").write_text(f'"alpha==1.0" = {{ requested = {requested}, reason = "a test" }}\n')
    assert passed(here).built() == ["alpha==1.0+pb.3"]
    silent(here)
    # It was really built again, and not published once more; and that was all that was asked for.
    assert [each["state"] for each in here.attempts("alpha")] == ["succeeded"] * 3
    assert here.published("alpha") == ["1.0+pb.1", "1.0+pb.2", "1.0+pb.3"]


def test_a_dry_run_changes_nothing(here: Bench) -> None:
    here.accept("alpha")
    here.accept("beta", spec='[update]\nmode = "review"\n')
    commit(here)
    passed(here)
    here.sdist("alpha", "2.0")
    here.sdist("beta", "2.0")
    here.accept("gamma")
    before = git(here.workspace, "status", "--porcelain"), here.published("alpha")
    ran = here.pybuild("cron", "--dry-run")
    assert ran.code == 0 and ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "build     gamma  new: nothing of it is pinned yet",
        "build     alpha==2.0  update: 1.0 -> 2.0",
        "review    beta==2.0  in place of 1.0",
    ]
    assert before == (git(here.workspace, "status", "--porcelain"), here.published("alpha"))
    assert here.pybuild("review", "list", "--json").json["review"] == []


def test_a_dry_run_tells_of_problems_by_its_exit_code(here: Bench) -> None:
    here.accept("alpha")
    (here.workspace / "specs" / "beta.toml").write_text('name = "gamma"\n')
    commit(here)
    ran = here.pybuild("cron", "--dry-run", "--json")
    assert (ran.code, ran.json["ok"]) == (3, False)
    assert [each["subject"] for each in ran.json["problems"]] == ["beta"]
    assert [each["name"] for each in ran.json["build"]] == ["alpha"]


def test_a_budget_leaves_the_rest_for_the_next_pass(here: Bench) -> None:
    for name in ("alpha", "beta", "gamma"):
        here.accept(name)
    commit(here)
    assert passed(here, "--max-time", "0s").json["postponed"] == 3
    first, second = passed(here, "--max-builds", "2"), passed(here, "--max-builds", "2")
    assert (len(first.built()), first.json["postponed"]) == (2, 1)
    assert (len(second.built()), second.json["postponed"]) == (1, 0)
    assert [each.json["ok"] for each in (first, second)] == [True, True]


def test_what_waits_and_comes_along_with_what_needs_it_fails_no_more(here: Bench) -> None:
    now = time.time()
    here.accept("alpha", act=f"import time\nif time.time() < {now + 20}: raise SystemExit(1)")
    commit(here)
    failed = passed(here, code=10)
    assert [each["kind"] for each in failed.json["problems"]] == ["build"]
    time.sleep(max(0.0, now + 21 - time.time()))
    here.accept("beta", requires=["alpha"])
    commit(here)
    ran = passed(here)
    assert sorted(ran.built()) == ["alpha==1.0+pb.1", "beta==1.0+pb.1"]
    assert (ran.json["problems"], ran.json["postponed"]) == ([], 0)


def test_one_pass_at_a_time(here: Bench) -> None:
    here.accept("alpha")
    commit(here)
    lock = here.layout.lock("cron")
    with file_lock(lock):
        refused = here.pybuild("cron")
        assert refused.code == 60 and "another pass of cron is at work" in refused.stderr
        waiting, stopped = (here.start("cron", "--wait") for _ in range(2))
        for process in (waiting, stopped):
            wait_for(lambda process=process: str(lock) in open_files(process.pid), seconds=60)
        stopped.send_signal(signal.SIGINT)
        assert stopped.communicate(timeout=60)[0] == "" and stopped.returncode == 130
        assert waiting.poll() is None
    stdout, stderr = waiting.communicate(timeout=60)
    assert (waiting.returncode, stdout, stderr) == (0, "", "")
    assert here.published("alpha") == ["1.0+pb.1"]


def open_files(process: int) -> set[str]:
    """The files that a process has open."""
    found = set()
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(os.readlink(descriptor))
    return found


@pytest.mark.parametrize("moment", ["built", "published"])
def test_a_pass_that_is_killed_is_finished_by_the_next(here: Bench, moment: str) -> None:
    here.accept("alpha")
    commit(here)
    passed(here)
    here.sdist("alpha", "2.0", act="import time; time.sleep(1)")
    with here.start("cron") as process:
        if moment == "built":
            wait_for(here.running_log)
        else:
            wait_for(lambda: "2.0+pb.1" in here.published("alpha"))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finished = passed(here)
    assert here.published("alpha") == ["1.0+pb.1", "2.0+pb.1"]
    assert '"2.0"' in here.spec_text("alpha") and git(here.workspace, "status", "--porcelain") == ""
    assert subjects(here)[0] == "alpha: update to 2.0 from 1.0" and len(subjects(here)) == 3
    assert finished.json["problems"] == []
    silent(here)
    here.check_sound()


def test_without_upstream_what_can_go_on_goes_on(here: Bench) -> None:
    here.accept("alpha")
    here.accept("beta")
    commit(here)
    passed(here)
    here.upstream.faults = {f"/simple/{name}/": Fault(status=404) for name in ("alpha", "beta")}
    here.patch("alpha", "tiny.json", "VERSION = '1.0'", "VERSION = 'one'")
    down = here.pybuild("cron")
    assert down.code == 30
    assert here.published("alpha") == ["1.0+pb.1", "1.0+pb.2"]
    silent(here)
    here.upstream.faults = {}
    assert passed(here).json["problems"] == []


def test_patches_are_taken_over_and_a_person_looks_at_what_does_not_fit(here: Bench) -> None:
    module = "".join(f"line {number}\n" for number in range(20))
    for name in ("fits", "moved", "lost"):
        here.accept(name, files={"notes.txt": module.encode()})
        here.patch(name, "notes.txt", "line 10\n", "line ten\n")
    commit(here)
    passed(here)
    here.sdist("fits", "2.0", files={"notes.txt": module.encode()})
    here.sdist("moved", "2.0", files={"notes.txt": module.replace("line 8\n", "line eight\n").encode()})
    here.sdist("lost", "2.0", files={"notes.txt": b"nothing of it is left\n"})
    second = passed(here, code=40)
    assert sorted(second.built()) == ["fits==2.0+pb.1", "moved==2.0+pb.1"]
    assert [each["requirement"] for each in second.json["review"]] == ["lost==2.0"]
    assert git(here.workspace, "status", "--porcelain") == ""
    assert '"2.0"' in here.spec_text("moved") and "patches" in here.spec_text("moved")
    assert '"2.0"' not in here.spec_text("lost")
    # What was built is what the workspace says now.
    silent(here)
    assert here.build("moved==1.0", "moved==2.0").built() == []
    # What waits is looked at in each pass, and was fetched by the first.
    assert len(here.upstream.asked("/lost-2.0.tar.gz")) == 1


def test_what_upstream_does_to_what_is_published(here: Bench) -> None:
    """A yank is passed on; what is uploaded again is refused; an update needs a rejected package in vain."""
    for name in ("alpha", "beta", "gamma"):
        here.accept(name)
    (here.workspace / "specs" / "rejected.toml").write_text('[packages.stranger]\nreason = "it is not free software"\n')
    commit(here)
    passed(here)
    here.upstream.yanked["alpha-1.0.tar.gz"] = "it deletes files"
    # Nobody has yanked this one, but it is not what is pinned.
    (here.upstream.directory / "alpha-1.0.zip").touch()
    here.sdist("beta", module="VERSION = 'another'\n")
    here.sdist("stranger")
    here.sdist("gamma", "2.0", requires=["stranger"])
    told = passed(here, code=30)
    assert told.json["yanked"] == [{"build": "host/alpha==1.0+pb.1", "reason": "upstream: it deletes files"}]
    lines = sorted(line.split(": ")[1] for line in told.stderr.splitlines())
    assert lines == ["reupload beta==1.0", "review stranger"]
    assert "it is not free software" in told.stderr and told.json["review"] == []
    assert here.published("gamma") == ["1.0+pb.1"]
    silent(here)
    del here.upstream.yanked["alpha-1.0.tar.gz"]
    here.sdist("gamma", "2.1")
    assert passed(here).built() == ["gamma==2.1+pb.1"]
    assert [each["kind"] for each in passed(here).json["problems"]] == ["reupload"]


def test_what_is_wrong_here_is_told_once_and_holds_back_nothing_else(here: Bench) -> None:
    here.accept("alpha")
    here.accept("beta", spec="[update]\nallowed = '>1'\n")
    commit(here)
    hook = here.workspace / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\necho not today >&2; exit 1\n")
    hook.chmod(0o755)
    first = passed(here, code=3)
    assert first.built() == ["alpha==1.0+pb.1"]
    kinds = [(each["kind"], each["subject"]) for each in first.json["problems"]]
    assert kinds == [("commit", "alpha==1.0"), ("spec", "beta")]
    assert "not today" in first.stderr and "allow" in first.stderr
    assert '"1.0"' not in here.spec_text("alpha")
    silent(here)
    hook.unlink()
    here.spec("beta")
    commit(here)
    assert passed(here).built() == ["beta==1.0+pb.1"]
    assert subjects(here)[:2] == ["beta: pin 1.0", "alpha: update to 1.0"]
    # A git that was killed has left its lock.
    lock = here.workspace / ".git" / "index.lock"
    lock.touch()
    here.sdist("beta", "2.0")
    locked = passed(here, code=3)
    assert locked.built() == ["beta==2.0+pb.1"] and [each["where"] for each in locked.json["problems"]] == [str(lock)]
    silent(here)
    lock.unlink()
    assert [each["new"] for each in passed(here).json["updated"]] == ["2.0"]
    # There is nothing to pull from.
    pulled = here.pybuild("cron", "--pull")
    assert pulled.code == 3 and pulled.stderr.startswith("pybuild: pull: the branch that is checked out follows none")
    assert here.pybuild("cron", "--pull").stderr == ""
    # A buildroot that is not there: nothing can be built, and the pass says so once.
    missing = here.pybuild("-b", "nowhere", "cron")
    assert missing.code == 20 and len(missing.stderr.splitlines()) == 1
    silent(here, "-b", "nowhere")


def test_packages_are_taken_in_unseen_where_the_workspace_says_so(here: Bench) -> None:
    here.settings("accept-new = true\n")
    here.accept("alpha")
    commit(here)
    passed(here)
    here.sdist("stranger")
    here.sdist("broken", act=FAILS)
    here.sdist("alpha", "2.0", requires=["stranger"])
    here.accept("beta", requires=["broken"])
    taken = passed(here, code=10)
    assert sorted(taken.built()) == ["alpha==2.0+pb.1", "stranger==1.0+pb.1"]
    assert git(here.workspace, "status", "--porcelain").split() == ["??", "specs/beta.toml"]
    assert '"1.0"' in here.spec_text("stranger")
    [line] = taken.stderr.splitlines()
    assert line.startswith("pybuild: build broken==1.0: ")
    silent(here)
    assert passed(here).json["postponed"] == 1, "beta waits for its time, since it can't be had without broken"


def test_what_an_update_needs_is_pinned_with_it_also_by_the_pass_after_a_kill(here: Bench) -> None:
    """A version that is no news by itself: the newest is another, which the update does not accept."""
    here.accept("base")
    here.accept("alpha", requires=["base"])
    commit(here)
    passed(here)
    here.sdist("base", "2.0")
    here.sdist("base", "3.0", act=FAILS)
    here.sdist("alpha", "2.0", requires=["base==2.0"])
    with here.start("cron") as process:
        wait_for(lambda: here.published("alpha")[-1:] == ["2.0+pb.1"], seconds=60)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    here.pybuild("cron")
    assert '"2.0"' in here.spec_text("alpha")
    assert '"2.0"' in here.spec_text("base") and '"3.0"' not in here.spec_text("base")
    assert git(here.workspace, "status", "--porcelain") == ""

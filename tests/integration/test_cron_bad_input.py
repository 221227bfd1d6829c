"""What a server that nobody watches meets: told once, in a line that says what and what to do, and mended by itself."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.git import git
from tests.support.hooked import hook
from tests.support.upstream import JSON_TYPE, Fault
from tests.support.workspaces import Bench, bench, wait_for

FAILS = "raise SystemExit('this release does not build')"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        git(made.workspace, "init", "-q", "-b", "main")
        made.accept("alpha")
        commit(made)
        yield made


def commit(here: Bench) -> None:
    git(here.workspace, "add", "-A")
    git(here.workspace, "commit", "-qm", "by hand")


def tells(here: Bench, *words: str, code: int, arguments: tuple[str, ...] = ()) -> None:
    """A pass tells one thing, with these words, and the next one nothing."""
    ran = here.pybuild("cron", *arguments)
    [line] = ran.stderr.splitlines()
    assert (ran.code, ran.stdout) == (code, "") and all(word in line for word in words), line
    silent(here, *arguments)


def silent(here: Bench, *arguments: str) -> None:
    ran = here.pybuild("cron", *arguments)
    assert (ran.code, ran.stdout, ran.stderr) == (0, "", "")


def test_upstream_answers_what_is_no_page(here: Bench) -> None:
    silent(here)
    for content, kind, says in (
        (b"", "text/html", "no link on it"),
        (b"[]", JSON_TYPE, "does not say what files"),
        (
            b'{"meta": {"api-version": "1.0"}, "name": "alpha", "files": [{"filename": 7}]}',
            JSON_TYPE,
            "files.0.filename",
        ),
    ):
        here.upstream.faults = {"/simple/alpha/": Fault(content=content, content_type=kind)}
        tells(here, "pybuild: update alpha: this is no page of a package index", says, "/simple/alpha/", code=30)
    here.upstream.faults = {}
    silent(here)
    assert here.published("alpha") == ["1.0+pb.1"]


def test_a_new_version_that_is_uploaded_again_before_it_was_ever_pinned_in_a_spec(here: Bench) -> None:
    silent(here)
    here.sdist("alpha", "2.0", act=FAILS)
    tells(here, "build alpha==2.0: ", code=10)
    here.sdist("alpha", "2.0")
    tells(here, "reupload alpha==2.0: ", 'ignore = ["2.0"]', code=30)
    assert here.published("alpha") == ["1.0+pb.1"] and len(here.outcomes("alpha")) == 2, "it is not tried"
    here.spec("alpha", here.spec_text("alpha").partition("\n")[2] + '[update]\nignore = ["2.0"]\n')
    commit(here)
    told = here.pybuild("cron", "-v")
    assert told.code == 0 and "reupload" not in told.stdout and told.stdout.startswith("nothing to do")
    here.sdist("alpha", "2.1")
    silent(here)
    assert here.published("alpha") == ["1.0+pb.1", "2.1+pb.1"]


def test_a_hook_that_rewrites_what_is_committed(here: Bench) -> None:
    """Neither pybuild nor the next person finds half of it staged."""
    hook = here.workspace / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\necho '# by a hook' >> specs/alpha.toml && git add specs/alpha.toml\n")
    hook.chmod(0o755)
    for version in ("2.0", "3.0"):
        here.sdist("alpha", version)
        silent(here)
        assert f'"{version}"' in git(here.workspace, "show", "HEAD:specs/alpha.toml")
        assert git(here.workspace, "status", "--porcelain") == ""
    assert here.spec_text("alpha").count("# by a hook") == 2


def test_a_machine_that_stops_in_the_middle_of_a_commit(here: Bench) -> None:
    """It leaves git's lock; while it may be that of somebody at work it is told, and later taken away."""
    silent(here)
    here.sdist("alpha", "2.0")
    hook, lock = (here.workspace / ".git" / name for name in ("hooks/pre-commit", "index.lock"))
    hook.write_text("#!/bin/sh\nsleep 60\n")
    hook.chmod(0o755)
    with here.start("cron") as process:
        wait_for(lock.exists)
        # git has a process group of its own.
        for running in (process.pid, *git_processes(here.workspace)):
            os.kill(running, signal.SIGKILL)
        process.communicate()
    hook.unlink()
    assert '"2.0"' in here.spec_text("alpha")
    tells(here, "pybuild: commit: another git works in this repository, or one died there", str(lock), code=3)
    os.utime(lock, (1_700_000_000, 1_700_000_000))
    silent(here)
    assert git(here.workspace, "log", "-1", "--format=%s") == "alpha: update to 2.0 from 1.0"
    assert git(here.workspace, "status", "--porcelain") == "" and not lock.exists()
    here.check_sound()


def git_processes(directory: Path) -> list[int]:
    """The processes that work in a directory: git, and the hooks that it runs."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").readlink() == directory:
                found.append(int(entry.name))
    return found


def test_a_workspace_that_was_broken_and_mended_where_it_is_pulled_from(here: Bench, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(here.workspace), "origin")
    git(here.workspace, "remote", "add", "-f", "origin", str(tmp_path / "origin"))
    git(here.workspace, "branch", "-q", "--set-upstream-to=origin/main")
    git(tmp_path, "clone", "-q", "origin", "other")
    settings = tmp_path / "other" / "pybuild.toml"
    good = settings.read_text()
    for text, code in (("index = [", 3), (good, 0)):
        settings.write_text(text)
        git(settings.parent, "commit", "-qam", "by a colleague")
        git(settings.parent, "push", "-q")
        ran = here.pybuild("cron", "--pull")
        assert ran.code == code and ("pybuild.toml:1" in ran.stderr) is bool(code), ran.stderr
    assert here.published("alpha") == ["1.0+pb.1"]
    # Where there is nothing to pull, and where there is no git.
    shutil.rmtree(here.workspace / ".git")
    tells(
        here, "pybuild: pull: there is no git commit to start from: not a git repository", code=3, arguments=("--pull",)
    )
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "bwrap").symlink_to(shutil.which("bwrap") or "/nowhere")
    here.environ["PATH"] = str(programs)
    tells(here, "pybuild: pull: the program 'git' is missing", "do: ", code=20, arguments=("--pull",))


def test_a_file_where_the_state_has_a_directory_and_a_hook_that_is_gone(here: Bench) -> None:
    silent(here)
    shutil.rmtree(here.layout.cron)
    here.layout.cron.write_text("")
    here.sdist("alpha", "2.0")
    with hook() as server:
        server.answers = [(404, "")] * 9
        here.settings(f'notify = ["{server.url}"]\n')
        ran = here.pybuild("cron", "--json")
        [line] = ran.stderr.splitlines()
        assert line.startswith("pybuild: report: a file stands where a directory belongs"), line
        assert str(here.layout.cron) in line
        assert (ran.code, ran.json["ok"], [each["kind"] for each in ran.json["problems"]]) == (1, False, ["report"])
        silent(here)
        assert here.published("alpha") == ["1.0+pb.1", "2.0+pb.1"]
        here.layout.cron.unlink()
        # No pass has told it yet: their reports could not be written.
        tells(here, "pybuild: notify http://", "404", code=30)
        assert len(server.answers) == 5
    assert (here.layout.cron / "heartbeat").exists()
    here.check_sound()

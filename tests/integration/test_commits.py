"""Commits to a real git repository: exactly what is named, and nobody's work in the way."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from packaging.version import Version

from pybuilder.commits import Change, Commits
from pybuilder.commits.journal import Entry, Journal
from pybuilder.errors import CommitError, ConfigError, StateError, UsageError
from pybuilder.layout import Layout
from pybuilder.processes import run
from pybuilder.spec import Pin
from pybuilder.state import State
from pybuilder.workspace import Workspace, init

SPEC = 'name = "six"  # by hand\n'
PIN = '\n[versions]\n"1.0" = { file = "six-1.0.tar.gz", sha256 = "' + "cd" * 32 + '" }\n'
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_") or name == "EMAIL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture(params=["", "packages/python"], ids=["top", "below the top"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    root: Path = tmp_path / "repository" / request.param
    init(root)
    files = {"specs/six.toml": SPEC, "specs/idna.toml": 'name = "idna"\n', "patches/six/a.patch": "a\n"}
    for file, text in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    git(tmp_path / "repository", "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    return root


@pytest.fixture
def commits(home: Path) -> Iterator[Commits]:
    layout = Layout(root=home / ".pybuild")
    with closing(State.open(layout)) as state:
        yield Commits(workspace=Workspace.open(home, run=run), layout=layout, state=state, now=lambda: NOW)


def update(home: Path) -> list[Change]:
    """A new patch, one that is changed, and the pin."""
    spec = (home / "specs/six.toml").read_bytes()
    return [
        Change(file="patches/six/b [1].patch", before=None, after=b"b\n"),
        Change(file="patches/six/a.patch", before=b"a\n", after=b"A\n"),
        Change(file="specs/six.toml", before=spec, after=spec + PIN.encode()),
    ]


FILES = ["patches/six/a.patch", "patches/six/b [1].patch", "specs/six.toml"]


def snapshot(home: Path) -> tuple[str, str, str, dict[str, bytes]]:
    """All that a person would miss: branch, what is staged, what is changed, every file."""
    files = {str(p): p.read_bytes() for p in home.rglob("*") if p.is_file() and ".pybuild" not in p.parts}
    kept = {name: data for name, data in files.items() if "/.git/" not in name}
    status = git(home, "status", "--porcelain", "--untracked-files=all", "--", ".")
    return git(home, "log", "--all", "--format=%H %D"), git(home, "diff", "--cached"), status, kept


def hook(home: Path, script: str, name: str = "pre-commit") -> None:
    directory = Path(git(home, "rev-parse", "--path-format=absolute", "--git-path", "hooks").strip())
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)


def committed_files(home: Path, commit: str) -> list[str]:
    names = git(home, "diff-tree", "-r", "-z", "--no-commit-id", "--name-only", "--relative", commit).split("\0")
    return sorted(filter(None, names))


def test_a_commit_has_the_named_files_and_leaves_all_else_as_it_was(home: Path, commits: Commits) -> None:
    (home / "specs/idna.toml").write_text('name = "idna"\n[test]\nimports = ["idna"]\n')
    git(home, "add", "specs/idna.toml")
    (home / "specs/idna.toml").write_text("half-done")
    (home / "specs/new.toml").write_text('name = "new"\n')
    git(home, "add", "specs/new.toml")
    (home / "notes").write_text("mine\n")
    before = git(home, "status", "--porcelain"), git(home, "diff"), git(home, "diff", "--cached")
    commit = commits.commit(update(home), "six: update to 1.0\n\n# not a comment\n")
    assert commit == git(home, "rev-parse", "main").strip()
    assert committed_files(home, commit) == FILES
    assert (git(home, "status", "--porcelain"), git(home, "diff"), git(home, "diff", "--cached")) == before
    told = git(home, "log", "-1", "--format=%an <%ae> %cn %at %ct%n%B")
    assert told.startswith(f"pybuild <pybuild@localhost> pybuild {NOW.timestamp():.0f} {NOW.timestamp():.0f}\nsix: up")
    assert "\n# not a comment\n" in told
    assert (home / "specs/six.toml").read_text() == SPEC + PIN


def test_git_says_who_commits_and_no_hook_that_runs_us_says_where(
    home: Path, commits: Commits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(home, "config", "user.name", "Ada")
    git(home, "config", "user.email", "ada@example.org")
    git(tmp_path, "init", "-q", "other")
    with monkeypatch.context() as patched:
        patched.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
        patched.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
        commits.commit(update(home), "x")
    assert git(home, "log", "-1", "--format=%an <%ae>") == "Ada <ada@example.org>\n"


@pytest.mark.parametrize("script", ["echo not today >&2; exit 1", "echo reformatted >>specs/six.toml; false"])
def test_a_hook_that_fails_is_told_and_leaves_everything_as_it_was(home: Path, commits: Commits, script: str) -> None:
    hook(home, f"cd {home}\n{script}")
    git(home, "rm", "--cached", "-q", "specs/idna.toml")
    before = snapshot(home)
    with pytest.raises(CommitError, match=r"git commit failed: (not today|it ended with 1)"):
        commits.commit(update(home), "x")
    assert snapshot(home) == before
    assert commits.finish() == ""


def test_a_last_look_may_refuse_it_and_leaves_everything_as_it_was(home: Path, commits: Commits) -> None:
    def refuse() -> None:
        raise UsageError("no more")

    before = snapshot(home)
    with pytest.raises(UsageError, match="no more"):
        commits.commit(update(home), "x", recheck=refuse)
    assert snapshot(home) == before
    assert commits.finish() == ""


def test_what_could_not_be_undone_is_finished_by_the_next(
    home: Path, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = Path(git(home, "rev-parse", "--git-path", "hooks/pre-commit").strip())
    hook = home / hook
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)

    def fail(root: Path, changes: object) -> None:
        raise StateError("no room on the disk", where=str(root))

    with monkeypatch.context() as patched:
        patched.setattr("pybuilder.commits.undo", fail)
        with pytest.raises(StateError, match="no room"):
            commits.commit(update(home), "two")
    hook.unlink()
    commits.finish()
    assert git(home, "log", "-1", "--format=%s").strip() == "two"
    assert git(home, "status", "--porcelain") == ""


def test_work_that_somebody_has_begun_is_never_committed(home: Path, commits: Commits) -> None:
    spec, patch = home / "specs/six.toml", home / "patches/six/a.patch"
    for text in (SPEC + "# a thought\n", SPEC + "[test]\nimports = ['six']\n", None):
        for staged in (False, True):
            if text is None:
                patch.write_text("better\n")
            else:
                spec.write_text(text)
            if staged:
                git(home, "add", "-A", ".")
            if staged and text:
                spec.write_text(SPEC)  # nothing of it is in the working tree any more
            before, file = snapshot(home), "a.patch" if text is None else "six.toml"
            with pytest.raises(CommitError, match=f"{file} has changes that nobody"):
                commits.commit([c for c in update(home) if c.before is None or c.after], "x")
            with pytest.raises(CommitError, match="has changes that nobody"):
                commits.propose(update(home), "x", branch="pybuild/six-1.0")
            assert snapshot(home) == before
            git(home, "reset", "-q", "--hard")
    (home / "specs/new.toml").write_text('name = "new"\n')
    with pytest.raises(CommitError, match=r"specs/new.toml has never been committed"):
        commits.commit([Change(file="specs/new.toml", before=b'name = "new"\n', after=b'name = "new" # x\n')], "x")
    (home / ".gitignore").write_text("*.patch\n.pybuild/\n")
    for before in (None, b"x"):
        if before:
            (home / "patches/six/new.patch").write_bytes(before)
        with pytest.raises(CommitError, match=r"is ignored by git|paths are ignored by one of your"):
            commits.commit([Change(file="patches/six/new.patch", before=before, after=b"y")], "x")
        assert (home / "patches/six/new.patch").exists() == bool(before)


def test_pins_of_pybuild_are_nobodys_work(home: Path, commits: Commits) -> None:
    commits.workspace.write_pin("six", Version("0.9"), Pin(file="six-0.9.tar.gz", sha256="ab" * 32))
    text = (home / "specs/six.toml").read_bytes()
    after = text + PIN.split("\n")[2].encode() + b"\n"
    commits.commit([Change(file="specs/six.toml", before=text, after=after)], "x")
    assert git(home, "show", "HEAD:./specs/six.toml").encode() == after


def test_what_is_under_way_comes_first(home: Path, commits: Commits, tmp_path: Path) -> None:
    directory = tmp_path / "repository" / ".git"
    git(home, "switch", "-qc", "other")
    (home / "specs/idna.toml").write_text('name = "idna"\n# theirs\n')
    git(home, "commit", "-qam", "theirs")
    git(home, "switch", "-q", "main")
    (home / "specs/idna.toml").write_text('name = "idna"\n# ours\n')
    git(home, "commit", "-qam", "ours")
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", "merge", "-q", "other"], cwd=home, check=False)
    assert (directory / "MERGE_HEAD").exists()
    states = [("a merge is under way", lambda: git(home, "merge", "--abort"))]
    for words, end in states:
        before = snapshot(home)
        with pytest.raises(CommitError, match=words):
            commits.commit(update(home), "x")
        assert snapshot(home) == before
        end()
    git(home, "switch", "-q", "--detach")
    with pytest.raises(CommitError, match="detached HEAD"):
        commits.commit(update(home), "x")
    git(home, "switch", "-q", "main")
    (directory / "index.lock").touch()
    with pytest.raises(CommitError, match="another git works"):
        commits.commit(update(home), "x")
    (directory / "index.lock").unlink()
    assert commits.commit(update(home), "x")


def test_a_killed_run_is_finished_by_the_next(home: Path, commits: Commits) -> None:
    changes = update(home)
    journal = Journal(state=commits.state, root=home)
    journal.begin(Entry(changes=tuple(changes), message="six: killed"))
    (home / "patches/six/b [1].patch").write_bytes(b"b\n")
    git(home, "add", "--intent-to-add", "patches")
    (home / "specs/.six.toml.a1b2c3d4.tmp").write_text("half")
    (home / "specs/.six.toml.swp").write_text("an editor's")
    other = Change(file="specs/idna.toml", before=b'name = "idna"\n', after=b'name = "idna" # x\n')
    commits.commit([other], "idna")
    assert git(home, "log", "--format=%s", "-2") == "idna\nsix: killed\n"
    assert committed_files(home, "HEAD~1") == FILES and committed_files(home, "HEAD") == ["specs/idna.toml"]
    # Killed after the commit, before it was noted.
    journal.begin(Entry(changes=tuple(changes), message="six: killed"))
    assert commits.finish() == git(home, "rev-parse", "HEAD~1").strip()
    # Somebody has gone on with it.
    journal.begin(Entry(changes=(Change(file="specs/idna.toml", before=b"x", after=b"y"),), message="x"))
    assert commits.finish() == "" and journal.pending() is None
    [left] = git(home, "status", "--porcelain").splitlines()
    assert left.startswith("?? ") and left.endswith("specs/.six.toml.swp")


def test_a_branch_of_its_own(home: Path, commits: Commits, tmp_path: Path) -> None:
    (home / "notes").write_text("mine\n")
    git(home, "add", "notes")
    git(home, "switch", "-q", "--detach")
    hook(home, "pwd >>$HOME/ran; test -f specs/six.toml || test -f packages/python/specs/six.toml")
    hook(home, "echo checkout >>$HOME/ran", "post-checkout")
    before = snapshot(home)[1:]
    commit = commits.propose(update(home), "six: update", branch="pybuild/six-1.0")
    assert snapshot(home)[1:] == before
    assert (
        git(home, "rev-parse", "pybuild/six-1.0", "pybuild/six-1.0^") == f"{commit}\n{git(home, 'rev-parse', 'main')}"
    )
    assert committed_files(home, commit) == FILES
    [ran] = (tmp_path / "ran").read_text().splitlines()
    assert ran != "checkout" and str(home / ".pybuild/work") in ran
    assert len(git(home, "worktree", "list").splitlines()) == 1
    spec = (SPEC + PIN).encode()
    assert commits.proposed("pybuild/six-1.0", "specs/six.toml") == (commit, spec)
    assert commits.proposed("pybuild/six-1.1", "specs/six.toml") == ("", None)
    with pytest.raises(CommitError, match=r"there is a branch pybuild/six-1\.0"):
        commits.propose(update(home), "again", branch="pybuild/six-1.0")
    hook(home, "exit 1")
    with pytest.raises(CommitError, match="git commit failed"):
        commits.propose(update(home), "x", branch="pybuild/six-1.1")
    assert "six-1.1" not in git(home, "branch") and len(git(home, "worktree", "list").splitlines()) == 1
    # What a killed run has left.
    git(home, "worktree", "add", "-q", "--detach", str(home / ".pybuild/work/gone/tree"))
    subprocess.run(["rm", "-r", home / ".pybuild/work/gone"], check=True)
    hook(home, "exit 0")
    assert commits.propose(update(home), "x", branch="pybuild/six-1.1")
    assert len(git(home, "worktree", "list").splitlines()) == 1
    assert list((home / ".pybuild/work").iterdir()) == []


def test_without_git_it_is_written_only(tmp_path: Path) -> None:
    init(tmp_path / "w")
    layout = Layout(root=tmp_path / "state")
    change = Change(file="specs/six.toml", before=None, after=SPEC.encode())
    with closing(State.open(layout)) as state:
        workspace = Workspace.open(tmp_path / "w", run=run)
        commits = Commits(workspace=workspace, layout=layout, state=state, now=lambda: NOW)
        assert commits.commit([change], "x") == ""
        assert (tmp_path / "w/specs/six.toml").read_text() == SPEC
        with pytest.raises(CommitError, match="no git repository"):
            commits.propose([change], "x", branch="pybuild/six-1.0")
        (tmp_path / "w/specs/six.toml").write_text("mine\n")
        with pytest.raises(ConfigError, match="changed by somebody else"):
            commits.commit([change], "x")
        assert (tmp_path / "w/specs/six.toml").read_text() == "mine\n"

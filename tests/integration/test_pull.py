"""A workspace that follows a remote branch, with a real git."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybuilder.errors import ConfigError, FetchError, PybuildError
from pybuilder.processes import run
from pybuilder.workspace.pull import pull
from tests.support.git import git


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    root = tmp_path / "origin"
    (root / "specs").mkdir(parents=True)
    (root / "specs" / "six.toml").write_text('name = "six"\n')
    git(root, "init", "-q", "-b", "main")
    commit(root, "one")
    return root


@pytest.fixture
def clone(origin: Path, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "-q", str(origin), "clone")
    return tmp_path / "clone"


def commit(root: Path, message: str) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-qm", message)


def pulled(clone: Path) -> tuple[PybuildError, ...]:
    return pull(clone, run=run)


def test_newer_commits_are_taken_and_ours_kept(origin: Path, clone: Path) -> None:
    commit_file(origin, "specs/idna.toml", 'name = "idna"\n')
    assert pulled(clone) == ()
    assert (clone / "specs" / "idna.toml").is_file()
    commit_file(clone, "specs/ours.toml", 'name = "ours"\n')
    assert pulled(clone) == ()
    assert git(clone, "log", "-1", "--format=%s") == "specs/ours.toml"


def test_what_stands_in_the_way_is_told_and_nothing_is_lost(origin: Path, clone: Path) -> None:
    commit_file(origin, "specs/six.toml", 'name = "six"\n# theirs\n')
    (clone / "specs" / "six.toml").write_text('name = "six"\n[test]\nimports = ["six"]\n')
    dirty, refused = pulled(clone)
    assert isinstance(dirty, ConfigError) and dirty.what.endswith("not committed: specs/six.toml")
    assert refused.what == "git merge --ff-only would overwrite changes that are not committed"
    assert "[test]" in (clone / "specs" / "six.toml").read_text()
    git(clone, "commit", "-qam", "ours")
    [diverged] = pulled(clone)
    assert "has diverged" in diverged.what and "git pull --rebase" in diverged.cure
    assert "[test]" in (clone / "specs" / "six.toml").read_text()


def test_pins_that_pybuild_wrote_are_no_changes(clone: Path) -> None:
    pin = f'[versions]\n"1.0" = {{ file = "six-1.0.tar.gz", sha256 = "{"ab" * 32}" }}\n'
    (clone / "specs" / "six.toml").write_text(f'name = "six"\n{pin}')
    assert pulled(clone) == ()


def test_the_lock_of_a_git_that_was_killed_is_told_with_its_cure(origin: Path, clone: Path) -> None:
    commit_file(origin, "specs/idna.toml", 'name = "idna"\n')
    lock = clone / ".git" / "index.lock"
    lock.touch()
    [error] = pulled(clone)
    assert "left a lock" in error.what and error.where == str(lock) and "remove that file" in error.cure
    lock.unlink()
    assert pulled(clone) == ()


def test_no_remote_and_no_network(origin: Path, clone: Path, tmp_path: Path) -> None:
    [error] = pulled(origin)
    assert "follows none" in error.what
    git(clone, "remote", "set-url", "origin", f"file://someone:secret@localhost{tmp_path}/gone")
    [down] = pulled(clone)
    assert isinstance(down, FetchError) and down.what.startswith("git fetch fails: ")
    assert "secret" not in str(down)
    (tmp_path / "plain").mkdir()
    [none] = pulled(tmp_path / "plain")
    assert "no git commit" in none.what


def commit_file(root: Path, file: str, text: str) -> None:
    (root / file).write_text(text)
    commit(root, file)

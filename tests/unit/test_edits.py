"""Changes of a workspace's files: all or none, and only of what is as it was."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from pybuilder.errors import ConfigError, StateError, UsageError
from pybuilder.workspace.edits import Change, changed, undo, write


def changes() -> list[Change]:
    return [
        Change(file="patches/six/b.patch", before=None, after=b"b"),
        Change(file="specs/old.toml", before=b"old", after=None),
        Change(file="specs/six.toml", before=b"one", after=b"two"),
    ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "old.toml").write_text("old")
    (tmp_path / "specs" / "six.toml").write_text("one")
    (tmp_path / "specs" / "six.toml").chmod(0o664)
    return tmp_path


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


def test_files_are_made_changed_and_removed_and_it_can_be_undone(root: Path) -> None:
    before = files(root)
    write(root, changes())
    assert files(root) == {"patches/six/b.patch": "b", "specs/six.toml": "two"}
    assert (root / "specs" / "six.toml").stat().st_mode & 0o777 == 0o664
    write(root, changes())
    undo(root, changes())
    assert files(root) == before


def test_what_somebody_has_changed_meanwhile_stays_and_so_does_all_else(root: Path) -> None:
    (root / "specs" / "six.toml").write_text("mine")
    before = files(root)
    assert changed(root, changes()) == ("specs/six.toml",)
    with pytest.raises(ConfigError, match=r"specs/six.toml was changed by somebody else"):
        write(root, changes())
    assert files(root) == before


def test_a_last_look_is_taken_while_nobody_else_can_write(root: Path) -> None:
    def refuse() -> None:
        with pytest.raises(BlockingIOError):
            descriptor = os.open(root / "specs", os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                os.close(descriptor)
        raise UsageError("no")

    before = files(root)
    with pytest.raises(UsageError):
        write(root, changes(), recheck=refuse)
    assert files(root) == before


def test_a_full_disk_leaves_everything_as_it_was(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pybuilder.workspace import edits

    def full(path: Path, data: bytes, *, mode: int) -> None:
        if data == b"two":
            raise OSError(28, "No space left on device", str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    before = files(root)
    monkeypatch.setattr(edits, "write_atomic", full)
    with pytest.raises(StateError, match="disk is full"):
        write(root, changes())
    assert files(root) == before

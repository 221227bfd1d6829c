"""Which files get which label; the kernel of a test machine may know none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pybuilder.sandbox import selinux


@pytest.fixture
def labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The labels that are set, by path, on a machine with SELinux."""
    found: dict[str, bytes] = {}
    status = tmp_path / "enforce"
    status.touch()
    monkeypatch.setattr(selinux, "_STATUS", status)
    monkeypatch.setattr(os, "getxattr", lambda path, name: found.get(str(path), b"unlabeled_t\0"))

    def set_label(path: str, name: str, value: bytes, *, follow_symlinks: bool) -> None:
        assert (name, follow_symlinks) == ("security.selinux", False)
        found[str(path)] = value

    monkeypatch.setattr(os, "setxattr", set_label)
    return found


def test_everything_that_is_there_is_labelled_the_top_last(tmp_path: Path, labels: dict[str, bytes]) -> None:
    tree = tmp_path / "store"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "file").touch()
    (tree / "link").symlink_to("nowhere")
    selinux.let_containers_use(tree)
    assert list(labels) == [str(tree / name) for name in ("a/file", "a", "link")] + [str(tree)]
    assert set(labels.values()) == {b"system_u:object_r:container_file_t:s0\0"}


def test_what_is_labelled_is_not_looked_through_again(tmp_path: Path, labels: dict[str, bytes]) -> None:
    tree = tmp_path / "store"
    selinux.let_containers_use(tree)
    (tree / "file").touch()
    before = dict(labels)
    selinux.let_containers_use(tree)
    assert labels == before


def test_nothing_is_done_without_selinux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selinux, "_STATUS", tmp_path / "absent")
    monkeypatch.setattr(os, "setxattr", lambda *arguments, **options: pytest.fail("labelled"))
    selinux.let_containers_use(tmp_path / "store")
    assert not (tmp_path / "store").exists()

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pybuilder import files
from pybuilder.errors import StateError
from pybuilder.layout import Layout
from pybuilder.store import Store

SHA = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Layout(root=tmp_path / "state"))


def make(tmp_path: Path, text: str = "x") -> Path:
    file = tmp_path / "incoming"
    file.write_text(text)
    file.chmod(0o600)
    return file


def test_nothing_there(store: Store) -> None:
    assert store.source(SHA) is None
    assert store.payload(SHA) is None


def test_kept_under_its_own_name(store: Store, tmp_path: Path) -> None:
    file = make(tmp_path)
    stored = store.add_source(file, sha256=SHA, name="six-1.17.0.tar.gz")
    assert stored == store.source(SHA) == tmp_path / "state/store/sources" / SHA / "six-1.17.0.tar.gz"
    assert stored.read_text() == "x"
    assert stored.stat().st_mode & 0o777 == 0o644
    assert not file.exists()
    assert store.payload(SHA) is None


def test_the_payload_beside_its_unpacked_tree(store: Store, tmp_path: Path) -> None:
    stored = store.add_payload(make(tmp_path), sha256=SHA, name="six-1.17.0-py3-none-any.whl")
    (stored.parent / "unpacked").mkdir()
    assert store.payload(SHA) == stored


def test_a_second_time(store: Store, tmp_path: Path) -> None:
    first = store.add_source(make(tmp_path), sha256=SHA, name="first.tar.gz")
    assert store.add_source(make(tmp_path), sha256=SHA, name="second.tar.gz") == first
    assert [path.name for path in first.parent.parent.iterdir()] == [SHA]


def test_a_full_disk(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StateError, match="full"):
        store.add_source(make(tmp_path), sha256=SHA, name="x.tar.gz")
    assert store.source(SHA) is None

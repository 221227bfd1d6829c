from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pytest

from pybuilder import files
from pybuilder.errors import StateError
from pybuilder.events import Damaged, Event
from pybuilder.layout import Layout
from pybuilder.store import Store

SHA = hashlib.sha256(b"x").hexdigest()


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


class TestDamage:
    @pytest.fixture
    def told(self) -> list[Event]:
        return []

    @pytest.fixture
    def store(self, tmp_path: Path, told: list[Event]) -> Store:
        return Store(Layout(root=tmp_path / "state"), told.append)

    @pytest.mark.parametrize("kind", ["source", "payload", "rpm"])
    def test_is_set_aside_and_told(self, kind: str, store: Store, tmp_path: Path, told: list[Event]) -> None:
        add, get, sound = (getattr(store, name) for name in (f"add_{kind}", kind, f"sound_{kind}"))
        stored = add(make(tmp_path), sha256=SHA, name="x.bin")
        assert sound(SHA) == stored and not told
        stored.write_text("y")
        assert get(SHA) == stored, "who only looks does not read it"
        assert sound(SHA) is None and get(SHA) is None and sound(SHA) is None
        [event] = told
        assert isinstance(event, Damaged) and SHA in event.what
        assert Path(event.file).read_text() == "y" and Path(event.file).is_relative_to(store.layout.damaged)
        assert add(make(tmp_path), sha256=SHA, name="x.bin") == stored == sound(SHA)

    def test_what_is_added_takes_the_place_of_what_is_damaged(self, store: Store, tmp_path: Path) -> None:
        store.add_source(make(tmp_path), sha256=SHA, name="x.bin").write_text("y")
        assert store.add_source(make(tmp_path), sha256=SHA, name="x.bin").read_text() == "x"

    def test_twice_the_same(self, store: Store, tmp_path: Path) -> None:
        for _ in range(2):
            store.add_source(make(tmp_path), sha256=SHA, name="x.bin").write_text("y")
            assert store.sound_source(SHA) is None
        assert len(list(store.layout.damaged.iterdir())) == 2

    def test_a_payload_whose_file_is_gone(self, store: Store, tmp_path: Path, told: list[Event]) -> None:
        """Its trees are still there, and would be in the way of the one that is built in its place."""
        stored = store.add_payload(make(tmp_path), sha256=SHA, name="x.whl")
        (stored.parent / "tree-1").mkdir()
        stored.unlink()
        assert store.payload(SHA) is None
        assert store.add_payload(make(tmp_path), sha256=SHA, name="x.whl") == stored == store.sound_payload(SHA)
        [event] = told
        assert isinstance(event, Damaged) and (Path(event.file) / "tree-1").is_dir()

from __future__ import annotations

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from pybuilder import files
from pybuilder.errors import LockedError, StateError
from pybuilder.files import (
    atomic_dir,
    atomic_writer,
    disk_errors,
    file_lock,
    remove_lock,
    remove_tree,
    sha256_file,
    write_atomic,
)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission"),
        (errno.EPERM, "permission"),
        (errno.EIO, "can't be read"),
        (errno.ENOTDIR, "where a directory belongs"),
        (errno.EEXIST, "where a directory belongs"),
    ],
)
def test_what_a_disk_can_do_to_us(number: int, says: str, tmp_path: Path) -> None:
    with pytest.raises(StateError, match=says) as caught, disk_errors(tmp_path):
        raise OSError(number, "x", str(tmp_path / "file"))
    assert caught.value.where == str(tmp_path / "file")
    assert caught.value.cure
    with pytest.raises(StateError) as caught, disk_errors(tmp_path):
        raise OSError(number, "x")
    assert caught.value.where == str(tmp_path)


def test_other_errors_are_faults_of_ours(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        (tmp_path / "missing").read_bytes()


def test_sha256_of_a_file(tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    (tmp_path / "x").write_bytes(data)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(data).hexdigest()


class TestAtomicFiles:
    def test_appears_whole(self, tmp_path: Path) -> None:
        target = tmp_path / "a" / "b"
        with atomic_writer(target, mode=0o600) as stream:
            stream.write(b"new")
            assert not target.exists()
        assert target.read_bytes() == b"new"
        assert target.stat().st_mode & 0o777 == 0o600
        assert names(tmp_path / "a") == ["b"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_or_not_at_all(self, tmp_path: Path, error: type[BaseException]) -> None:
        target = tmp_path / "x"
        write_atomic(target, b"old")
        with pytest.raises(error), atomic_writer(target) as stream:
            stream.write(b"half")
            raise error
        assert target.read_bytes() == b"old"
        assert names(tmp_path) == ["x"]

    def test_a_full_disk_leaves_the_old_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        write_atomic(tmp_path / "x", b"old")
        monkeypatch.setattr(files.os, "fsync", full)
        with pytest.raises(StateError, match="full"), disk_errors(tmp_path):
            write_atomic(tmp_path / "x", b"new")
        assert (tmp_path / "x").read_bytes() == b"old"
        assert names(tmp_path) == ["x"]

    def test_names_as_long_as_names_can_be(self, tmp_path: Path) -> None:
        write_atomic(tmp_path / ("x" * 255), b"")
        assert names(tmp_path) == ["x" * 255]


class TestAtomicDirectories:
    def test_appears_whole(self, tmp_path: Path) -> None:
        target = tmp_path / "a" / "b"
        with atomic_dir(target) as fresh:
            (fresh / "x").write_text("x")
            assert not target.exists()
        assert names(target) == ["x"]
        assert names(tmp_path / "a") == ["b"]
        assert target.stat().st_mode & 0o777 == 0o755

    def test_or_not_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt), atomic_dir(tmp_path / "a") as fresh:
            (fresh / "x").mkdir()
            (fresh / "x").chmod(0)
            raise KeyboardInterrupt
        assert names(tmp_path) == []

    def test_whoever_is_first_stays(self, tmp_path: Path) -> None:
        with atomic_dir(tmp_path / "a") as second:
            (second / "x").write_text("second")
            with atomic_dir(tmp_path / "a") as first:
                (first / "x").write_text("first")
        assert (tmp_path / "a" / "x").read_text() == "first"
        assert names(tmp_path) == ["a"]


class TestRemoving:
    def test_a_tree(self, tmp_path: Path) -> None:
        (tmp_path / "t" / "a" / "b").mkdir(parents=True)
        (tmp_path / "t" / "0").mkdir()
        (tmp_path / "t" / "a" / "file").write_text("x")
        remove_tree(tmp_path / "t")
        assert names(tmp_path) == []

    def test_nothing_there(self, tmp_path: Path) -> None:
        remove_tree(tmp_path / "t")
        assert names(tmp_path) == []

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "t").write_text("x")
        remove_tree(tmp_path / "t")
        assert names(tmp_path) == []

    def test_links_are_not_followed(self, tmp_path: Path) -> None:
        kept = tmp_path / "kept"
        (kept / "x").mkdir(parents=True)
        kept.chmod(0o755)
        (tmp_path / "t").mkdir()
        for name, target in (("directory", kept), ("dangling", tmp_path / "no"), ("loop", "loop"), ("up", "..")):
            (tmp_path / "t" / name).symlink_to(target)
        remove_tree(tmp_path / "t")
        (tmp_path / "link").symlink_to(kept)
        remove_tree(tmp_path / "link")
        assert names(tmp_path) == ["kept"]
        assert names(kept) == ["x"]
        assert kept.stat().st_mode & 0o777 == 0o755

    @pytest.mark.parametrize("mode", [0, 0o500, 0o400, 0o100])
    def test_directories_without_rights(self, tmp_path: Path, mode: int) -> None:
        inner = tmp_path / "t" / "a" / "b"
        inner.mkdir(parents=True)
        (inner / "file").write_text("x")
        for directory in (inner, inner.parent, inner.parent.parent):
            directory.chmod(mode)
        remove_tree(tmp_path / "t")
        assert names(tmp_path) == []

    def test_deeper_than_a_path_can_be_long(self, tmp_path: Path) -> None:
        descriptor = os.open(tmp_path, os.O_RDONLY)
        for _ in range(5000):
            os.mkdir("d", dir_fd=descriptor)
            inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        os.close(descriptor)
        remove_tree(tmp_path / "d")
        assert names(tmp_path) == []

    def test_special_files_and_odd_names(self, tmp_path: Path) -> None:
        (tmp_path / "t").mkdir()
        os.mkfifo(tmp_path / "t" / "fifo")
        (tmp_path / "t" / "a\nb").mkdir()
        os.mkdir(os.fsencode(tmp_path / "t") + b"/\xff")
        (tmp_path / "t" / ("x" * 255)).mkdir()
        remove_tree(tmp_path / "t")
        assert names(tmp_path) == []


class TestLocks:
    def test_one_at_a_time(self, tmp_path: Path) -> None:
        lock = tmp_path / "locks" / "x.lock"
        refused = file_lock(lock, wait=False, what="another run is at it")
        with file_lock(lock), pytest.raises(LockedError, match="another run is at it") as caught, refused:
            pass
        assert caught.value.where == str(lock)
        assert caught.value.exit_code == 60
        with file_lock(lock, wait=False):
            pass

    def test_given_up_whatever_happens(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt), file_lock(tmp_path / "x"):
            raise KeyboardInterrupt
        with file_lock(tmp_path / "x", wait=False):
            pass

    def test_a_file_that_nobody_holds_can_be_removed(self, tmp_path: Path) -> None:
        lock = tmp_path / "x"
        with file_lock(lock, shared=True):
            assert not remove_lock(lock) and lock.exists()
        assert remove_lock(lock) and not lock.exists()

    def test_who_waited_for_a_file_that_was_removed_locks_the_next_one(self, tmp_path: Path) -> None:
        """Or two would hold the same lock: one the file that is gone, one the file that is there."""
        lock = tmp_path / "x"
        held, go_on = threading.Event(), threading.Event()

        def wait_for_it() -> None:
            with file_lock(lock):
                held.set()
                go_on.wait(10)

        waiting = threading.Thread(target=wait_for_it)
        with file_lock(lock):
            waiting.start()
            assert not held.wait(0.05)
            lock.unlink()
        assert held.wait(10)
        try:
            with pytest.raises(LockedError), file_lock(lock, wait=False):
                pass
        finally:
            go_on.set()
            waiting.join()

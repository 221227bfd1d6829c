"""What is ours inside of containers: no container is started here."""

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pybuilder.errors import StateError
from pybuilder.layout import Layout
from pybuilder.sandbox import own_files
from pybuilder.sandbox.own_files import TALK, OwnFiles
from pybuilder.sandbox.programs import programs
from pybuilder.sandbox.start import OWN_ETC


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(root=tmp_path / "state")


def environments(layout: Layout) -> list[Path]:
    return list(layout.kind("envs").iterdir())


def test_all_of_it_is_there(layout: Layout) -> None:
    made = OwnFiles(layout=layout).directory()
    assert environments(layout) == [made]
    assert {name: (made / "pybuild" / name).read_bytes() for name in programs()} == programs()
    assert {name: (made / "etc" / name).read_text() for name in OWN_ETC} == OWN_ETC
    assert not any((made / "pybuild" / TALK).iterdir())


def test_everybody_may_read_it_whatever_the_umask(layout: Layout) -> None:
    before = os.umask(0o077)
    try:
        made = OwnFiles(layout=layout).directory()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in made.rglob("*") if path.is_dir()}
    assert modes | {stat.S_IMODE(made.stat().st_mode)} == {0o755}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.rglob("*") if path.is_file()} == {0o644}


def test_it_is_made_once_for_all_runs_and_is_marked_as_used_by_each(layout: Layout) -> None:
    made = OwnFiles(layout=layout).directory()
    file = made / "pybuild" / "inside.py"
    before = file.stat().st_ino
    os.utime(made, (1, 1))
    assert OwnFiles(layout=layout).directory() == made
    assert file.stat().st_ino == before
    assert made.stat().st_mtime > 1


def test_one_run_looks_once(layout: Layout) -> None:
    own = OwnFiles(layout=layout)
    made = own.directory()
    os.utime(made, (1, 1))
    assert own.directory() == made
    assert made.stat().st_mtime == 1


def test_another_pybuild_has_another(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = OwnFiles(layout=layout).directory()
    newer = {**programs(), "inside.py": b"print('newer')"}
    monkeypatch.setattr(own_files, "programs", lambda: newer)
    monkeypatch.setattr(own_files, "_files", own_files._files.__wrapped__)
    monkeypatch.setattr(own_files, "_digest", own_files._digest.__wrapped__)
    other = OwnFiles(layout=layout).directory()
    assert other != mine
    assert (other / "pybuild" / "inside.py").read_bytes() == newer["inside.py"]
    assert (mine / "pybuild" / "inside.py").read_bytes() == programs()["inside.py"]


def test_threads_make_one(layout: Layout) -> None:
    own = OwnFiles(layout=layout)
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: own.directory(), range(8)))
    assert environments(layout) == list(made)


def test_a_full_disk_leaves_nothing_that_another_run_might_take(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    own = OwnFiles(layout=layout)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(StateError, match="the disk is full"):
            own.directory()
    assert environments(layout) == []
    assert (own.directory() / "pybuild" / "inside.py").is_file()

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pybuilder import files, work
from pybuilder.files import remove_heap, remove_tree
from pybuilder.layout import Layout
from pybuilder.work import Cleaner, make_work, strays


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(root=tmp_path)


def test_what_a_dead_run_left_is_a_stray(layout: Layout) -> None:
    mine, other = make_work(layout, "mine"), make_work(layout, "other")
    (other / "owner").write_text("1:0")
    unfinished = layout.work("x.new-999999999")
    unfinished.mkdir()
    assert sorted(strays(layout)) == sorted([other, unfinished])
    assert mine.is_dir()


def test_what_a_live_run_is_removing_is_its_own(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that empty one directory get into each other's way."""
    mine = make_work(layout, "mine")
    seen: list[list[Path]] = []
    real = files._move_to

    def look(*arguments: object) -> str:
        seen.append(strays(layout))
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "_move_to", look)
    remove_tree(mine)
    assert seen == [[]]
    assert os.listdir(mine.parent) == []


def test_of_a_dead_one_it_is_a_stray(layout: Layout) -> None:
    heap = layout.work(".mine.new-999999999.abc_d1.tmp")
    heap.mkdir(parents=True)
    assert strays(layout) == [heap]


def test_somebody_else_was_quicker(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs clear away after the same dead one."""
    mine = make_work(layout, "mine")
    real = files._make_heap

    def late(path: Path) -> Path:
        heap = real(path)
        path.rename(path.with_name("elsewhere"))
        return heap

    monkeypatch.setattr(files, "_make_heap", late)
    remove_tree(mine)
    assert os.listdir(mine.parent) == ["elsewhere"]


def test_nobody_waits_for_a_cleaner_but_who_leaves_it(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make_work(layout, "first"), make_work(layout, "second")
    (first / "out").mkdir()
    may_go_on = threading.Event()

    def slowly(heap: Path) -> None:
        assert may_go_on.wait(10)
        remove_heap(heap)

    monkeypatch.setattr(work, "remove_heap", slowly)
    with Cleaner() as cleaner:
        for tree in (first, second, layout.work("never made")):
            cleaner.remove(tree)
        assert not first.exists()
        assert not second.exists()
        assert len(os.listdir(first.parent)) == 2
        assert strays(layout) == []
        may_go_on.set()
    assert os.listdir(first.parent) == []


def test_what_a_cleaner_can_not_remove_is_left(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = make_work(layout, "mine")

    def refuse(path: Path) -> Path:
        raise PermissionError(path)

    with monkeypatch.context() as patched:
        patched.setattr(work, "set_aside", refuse)
        with Cleaner() as cleaner:
            cleaner.remove(mine)
    assert mine.is_dir()

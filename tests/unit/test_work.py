from __future__ import annotations

import os
from pathlib import Path

import pytest

from pybuilder import files
from pybuilder.files import remove_tree
from pybuilder.layout import Layout
from pybuilder.work import make_work, strays


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
    work = make_work(layout, "mine")
    seen: list[list[Path]] = []
    real = files._move_to

    def look(*arguments: object) -> Path:
        seen.append(strays(layout))
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "_move_to", look)
    remove_tree(work)
    assert seen == [[]]
    assert os.listdir(work.parent) == []


def test_of_a_dead_one_it_is_a_stray(layout: Layout) -> None:
    heap = layout.work(".mine.new-999999999.abc_d1.tmp")
    heap.mkdir(parents=True)
    assert strays(layout) == [heap]


def test_somebody_else_was_quicker(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs clear away after the same dead one."""
    work = make_work(layout, "mine")
    real = files._make_heap

    def late(path: Path) -> Path:
        heap = real(path)
        path.rename(path.with_name("elsewhere"))
        return heap

    monkeypatch.setattr(files, "_make_heap", late)
    remove_tree(work)
    assert os.listdir(work.parent) == ["elsewhere"]

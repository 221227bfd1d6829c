from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pybuilder.files import file_lock
from pybuilder.layout import Layout
from pybuilder.usage import at_work, horizon, last_use, taking, use

LONG_AGO = (10**9, 10**9)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(root=tmp_path / "state")


def began(layout: Layout, name: str, age: float) -> Path:
    """The note of a run; it lives as long as somebody has it locked."""
    layout.runs.mkdir(parents=True, exist_ok=True)
    note = layout.runs / name
    note.touch()
    then = time.time_ns() - int(age * 1e9)
    os.utime(note, ns=(then, then))
    return note


def test_the_oldest_run_at_work(layout: Layout) -> None:
    older, dead = began(layout, "1-0000000a", 60), began(layout, "2-0000000b", 3600)
    with at_work(layout):
        [mine] = set(layout.runs.iterdir()) - {older, dead}
        with file_lock(older, shared=True):
            assert horizon(layout) == older.stat().st_mtime_ns
        assert not dead.exists(), "a run that was killed counts no more"
        assert horizon(layout) == mine.stat().st_mtime_ns
    assert not list(layout.runs.iterdir())


def test_what_is_found_while_at_work_is_marked_after_its_beginning(layout: Layout) -> None:
    thing = layout.source("a" * 64)
    thing.mkdir(parents=True)
    os.utime(thing, LONG_AGO)
    with at_work(layout):
        assert last_use(thing) < horizon(layout)
        assert use(layout, thing)
        assert last_use(thing) >= horizon(layout)


def test_a_clock_that_is_set_back_while_at_work(layout: Layout) -> None:
    """Whatever is marked from then on is no older than the run."""
    thing = layout.source("a" * 64)
    thing.mkdir(parents=True)
    with at_work(layout):
        [mine] = layout.runs.iterdir()
        later = time.time_ns() + 3600 * 10**9
        os.utime(mine, ns=(later, later))
        assert use(layout, thing)
        assert last_use(thing) >= horizon(layout)


def test_what_is_not_there_leaves_no_trace(layout: Layout) -> None:
    assert not use(layout, layout.source("a" * 64))
    assert not layout.root.exists()


def test_nobody_finds_anything_while_something_is_taken(layout: Layout) -> None:
    """Whoever looks waits, and sees what came of it."""
    import threading

    thing = layout.source("a" * 64)
    thing.mkdir(parents=True)
    found: list[bool] = []
    with taking(layout):
        looking = threading.Thread(target=lambda: found.append(use(layout, thing)))
        looking.start()
        looking.join(0.05)
        assert looking.is_alive()
        thing.rmdir()
    looking.join(10)
    assert found == [False]


def test_where_nothing_can_be_marked_things_are_found_all_the_same(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    thing = layout.source("a" * 64)
    thing.mkdir(parents=True)
    monkeypatch.setattr("pybuilder.usage.os.access", lambda path, mode: False)
    assert use(layout, thing)
    assert not layout.locks.exists()

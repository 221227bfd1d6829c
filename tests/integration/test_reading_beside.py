"""Archives that a process beside ours reads: nobody can tell, whatever becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pybuilder.interruption import Interruption
from pybuilder.sources import beside, kept, whole
from pybuilder.sources.beside import reading_beside
from pybuilder.sources.kept import members
from pybuilder.sources.limits import Limits
from pybuilder.sources.whole import read_whole as read
from tests.support.archives import COMPRESSIONS, EVERY_KIND, Item, tar, zipped
from tests.support.workspaces import wait_for


@pytest.fixture(autouse=True)
def shelf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept yet."""
    monkeypatch.setattr(kept, "_SHELF", kept._Shelf())


@pytest.fixture
def reader() -> Iterator[beside._Reader]:
    """One whose process is ready."""
    with reading_beside():
        yield ready()


def ready() -> beside._Reader:
    """The one that reads now, once its process is ready."""
    [found] = beside._readers
    assert found.ask(Path("/nowhere")) is None
    wait_for(lambda: found._helper and found._helper.is_ready)
    return found


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the archives that were read in this process."""
    names: list[str] = []

    def counted(archive: Path) -> whole.Entries | None:
        names.append(archive.name)
        return read(archive)

    monkeypatch.setattr(kept, "read_whole", counted)
    return names


def archive(root: Path, data: bytes | None = None, name: str = "x-1.tar.gz") -> Path:
    path = root / name
    path.write_bytes(tar(EVERY_KIND) if data is None else data)
    return path


@pytest.mark.parametrize("compress", [*COMPRESSIONS.values(), lambda data: data], ids=[*COMPRESSIONS, "plain"])
def test_it_reads_what_we_would_read(
    reader: beside._Reader, here: list[str], tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    path = archive(tmp_path, compress(tar(EVERY_KIND)))
    here.clear()
    assert kept._entries(path) == read(path)
    assert here == []


def test_a_zip(reader: beside._Reader, here: list[str], tmp_path: Path) -> None:
    path = archive(tmp_path, zipped(EVERY_KIND[:3]))
    here.clear()
    assert kept._entries(path) == read(path)
    assert here == []


@pytest.mark.parametrize("data", [b"", b"no archive", tar(EVERY_KIND)[:600], tar([Item("x/fifo", type=b"6")])])
def test_what_cannot_be_kept_is_read_by_whoever_wants_it(
    reader: beside._Reader, here: list[str], tmp_path: Path, data: bytes
) -> None:
    path = archive(tmp_path, data)
    here.clear()
    assert kept._entries(path) is None
    assert here == []


def test_members_come_from_it_as_long_as_the_block_lasts(here: list[str], tmp_path: Path) -> None:
    one, two, three = (archive(tmp_path, tar([*EVERY_KIND, Item(f"x-1/{n}")]), f"{n}.tar") for n in "123")

    def names(path: Path) -> Sequence[str]:
        return [member.name for member in members(path, Limits())]

    with reading_beside():
        assert names(one) == [*(item.name for item in EVERY_KIND), "x-1/1"]
        # It starts meanwhile.
        assert here == ["1.tar"]
        reader = ready()
        here.clear()
        assert names(two)[-1] == "x-1/2"
        assert here == []
        assert reader._helper
        process = reader._helper.pid
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert beside._readers == []
    assert names(three)[-1] == "x-1/3"


def test_where_nothing_is_read_nothing_is_started() -> None:
    with reading_beside():
        [reader] = beside._readers
        assert reader._helper is None


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_one_that_crashes_or_hangs_is_done_without(
    reader: beside._Reader, here: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: signal.Signals
) -> None:
    monkeypatch.setattr(beside, "_TIMEOUT", 0.3)
    assert reader._helper
    os.kill(reader._helper.pid, end)
    path = archive(tmp_path)
    for _ in range(2):
        here.clear()
        assert kept._entries(path) == read(path)
        assert here == [path.name]


def test_who_is_interrupted_leaves_no_answer_for_another(
    reader: beside._Reader, here: list[str], tmp_path: Path
) -> None:
    assert reader._helper
    os.kill(reader._helper.pid, signal.SIGSTOP)
    told, ended = Interruption(), threading.Event()
    one, other = archive(tmp_path), archive(tmp_path, tar(EVERY_KIND[:2]), "other.tar")

    def work() -> None:
        try:
            with told.heard():
                kept._entries(one)
        except KeyboardInterrupt:
            ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(reader._turn.locked)
    told.tell()
    thread.join(10)
    assert ended.is_set()
    os.kill(reader._helper.pid, signal.SIGCONT)
    here.clear()
    assert kept._entries(other) == read(other)
    assert here == ["other.tar"]


def test_who_is_interrupted_waits_for_no_turn(reader: beside._Reader, tmp_path: Path) -> None:
    told, begun, ended = Interruption(), threading.Event(), threading.Event()
    path = archive(tmp_path)

    def work() -> None:
        try:
            with told.heard():
                begun.set()
                kept._entries(path)
        except KeyboardInterrupt:
            ended.set()

    thread = threading.Thread(target=work)
    with reader._turn:
        thread.start()
        assert begun.wait(10)
        told.tell()
        assert ended.wait(10)
    thread.join(10)


def test_at_the_end_who_still_waits_does_without(here: list[str], tmp_path: Path) -> None:
    path = archive(tmp_path)
    found: list[object] = []
    with reading_beside():
        reader = ready()
        assert reader._helper
        os.kill(reader._helper.pid, signal.SIGSTOP)
        thread = threading.Thread(target=lambda: found.append(kept._entries(path)))
        thread.start()
        wait_for(reader._turn.locked)
        began = time.monotonic()
    thread.join(10)
    assert time.monotonic() - began < beside._TIMEOUT / 2
    assert found == [read(path)] and here == [path.name]


def test_where_it_cannot_be_started_it_is_done_without(
    here: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "_PROGRAM", ("/nowhere/python",))
    path = archive(tmp_path)
    with reading_beside():
        assert [kept._entries(path) for _ in range(2)] == [read(path)] * 2
    assert here == [path.name] * 2


def test_it_imports_no_more_than_it_must() -> None:
    """What makes data classes takes longer to import than an archive to read, and a spec's types five times as long."""
    script = """
import sys
sys.path.insert(0, sys.argv[1])
before = {*sys.modules}
import pybuilder.sources.whole
print(*{*sys.modules} - before)
"""
    argv = [sys.executable, "-I", "-c", script, str(Path(kept.__file__).parents[2])]
    imported = set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())
    assert "pybuilder.sources.members" in imported
    assert not imported & {"dataclasses", "inspect", "logging", "packaging", "pydantic", "subprocess"}

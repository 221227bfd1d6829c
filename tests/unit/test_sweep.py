from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pybuilder import sweep
from pybuilder.errors import LockedError
from pybuilder.files import file_lock
from pybuilder.layout import Layout
from pybuilder.sweep import Space, Thing, everything, objects, take, unfinished, unused_since, used_by

NOW = time.time_ns()
BEFORE = NOW - 10**9
LONG_AGO = (10**9, 10**9)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(root=tmp_path / "state")


def make(layout: Layout, kind: str, letter: str, *, size: int = 4096, used: bool = False) -> Path:
    """Something that is filed under a digest."""
    directory = layout.kind(kind) / (letter * 64)
    directory.mkdir(parents=True)
    (directory / "file").write_bytes(b"x" * size)
    if not used:
        os.utime(directory, LONG_AGO)
    return directory


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class TestWhatThereIs:
    def test_objects_have_a_digest(self, layout: Layout) -> None:
        sources = layout.kind("sources")
        for name in ("a" * 64, "b" * 63, "README", f".{'c' * 64}.xyz.tmp", f"{'d' * 64}.log"):
            (sources / name).mkdir(parents=True)
        assert [each.path.name for each in objects(layout, "sources", "sources")] == ["a" * 64]
        assert [each.path.name for each in objects(layout, "logs", "sources", suffix=".log")] == [f"{'d' * 64}.log"]
        assert list(objects(layout, "rpms", "rpms")) == []

    def test_what_is_unfinished(self, tmp_path: Path) -> None:
        for name in (".x.abc.tmp", ".hidden", "x.tmp", ".gitignore"):
            (tmp_path / name).touch()
        assert [each.path.name for each in unfinished(tmp_path)] == [".x.abc.tmp"]
        assert list(unfinished(tmp_path, name="y")) == []

    def test_what_is_unfinished_one_directory_further_down(self, tmp_path: Path) -> None:
        (tmp_path / "payload" / ".tree.abc.tmp").mkdir(parents=True)
        assert list(unfinished(tmp_path)) == []
        assert [each.path.name for each in unfinished(tmp_path, below=True)] == [".tree.abc.tmp"]

    def test_everything_of_a_directory(self, tmp_path: Path) -> None:
        (tmp_path / "x").touch()
        assert [each.path.name for each in everything("downloads", tmp_path)] == ["x"]
        assert list(everything("downloads", tmp_path, "y.*")) == []
        assert list(everything("downloads", tmp_path / "none")) == []


class TestTaking:
    def test_the_unused_goes_and_the_used_stays(self, layout: Layout) -> None:
        make(layout, "sources", "a")
        used = make(layout, "sources", "b", used=True)
        things = list(objects(layout, "sources", "sources"))
        taken = list(take(layout, things, BEFORE, Space()))
        assert [each.path.name for each, _ in taken] == ["a" * 64]
        assert names(layout.kind("sources")) == [used.name]

    def test_what_is_used_after_it_was_listed_stays(self, layout: Layout) -> None:
        """The look that counts is the one in the moment of taking."""
        directory = make(layout, "sources", "a")
        [thing] = objects(layout, "sources", "sources")
        assert unused_since(thing, BEFORE) == LONG_AGO[0] * 10**9
        os.utime(directory)
        assert list(take(layout, [thing], BEFORE, Space())) == [] and directory.exists()

    def test_what_goes_meanwhile(self, layout: Layout) -> None:
        directory = make(layout, "sources", "a")
        things = list(objects(layout, "sources", "sources"))
        directory.rename(layout.root / "elsewhere")
        assert unused_since(things[0], BEFORE) is None
        assert list(take(layout, things, BEFORE, Space())) == []

    def test_nobody_finds_what_is_just_being_taken(self, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between the last look at its mark and its going nobody can mark it: they wait."""
        make(layout, "sources", "a")
        real = sweep.unused_since

        def look(thing: Thing, moment: int) -> int | None:
            with pytest.raises(LockedError), file_lock(layout.lock("store"), shared=True, wait=False):
                pass
            return real(thing, moment)

        monkeypatch.setattr(sweep, "unused_since", look)
        assert len(list(take(layout, objects(layout, "sources", "sources"), BEFORE, Space()))) == 1

    def test_of_a_link_only_the_link_goes(self, layout: Layout, tmp_path: Path) -> None:
        """A person may have moved a cache to another disk."""
        (tmp_path / "theirs").mkdir()
        (tmp_path / "theirs" / "file").touch()
        link = layout.root / "uv-cache"
        link.parent.mkdir()
        link.symlink_to(tmp_path / "theirs")
        thing = Thing(kind="uv-cache", path=link, marked=link)
        assert len(list(take(layout, [thing], time.time_ns(), Space()))) == 1
        assert names(tmp_path / "theirs") == ["file"] and names(layout.root) == ["locks"]

    def test_more_than_one_batch(self, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sweep, "_BATCH", 2)
        for letter in "abcde":
            make(layout, "sources", letter)
        assert len(list(take(layout, objects(layout, "sources", "sources"), BEFORE, Space()))) == 5
        assert names(layout.kind("sources")) == []

    def test_a_tree_in_a_payload_leaves_the_payload_as_it_was(self, layout: Layout) -> None:
        payload = make(layout, "payloads", "a")
        tree = payload / "tree-1"
        (tree / "deep" / "er").mkdir(parents=True)
        os.utime(payload, LONG_AGO)
        thing = Thing(kind="trees", path=tree, marked=payload)
        assert [each for each, _ in take(layout, [thing], BEFORE, Space())] == [thing]
        assert names(payload) == ["file"] and payload.stat().st_mtime == LONG_AGO[0]
        assert names(layout.kind("payloads")) == ["a" * 64]

    def test_who_is_killed_after_renaming_leaves_what_the_next_finds(
        self, layout: Layout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make(layout, "sources", "a")

        def die(path: Path) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(sweep, "_remove", die)
            list(take(layout, objects(layout, "sources", "sources"), BEFORE, Space()))
        left = list(unfinished(layout.kind("sources")))
        assert len(left) == 1 and not list(objects(layout, "sources", "sources"))
        assert len(list(take(layout, left, time.time_ns(), Space()))) == 1
        assert names(layout.kind("sources")) == []


class TestSpace:
    def test_a_file_with_several_names_is_freed_with_the_last(self, layout: Layout) -> None:
        one, other = make(layout, "payloads", "a", size=40_960), make(layout, "envs", "b", size=0)
        os.link(one / "file", other / "linked")
        space = Space()
        assert space.freed_with(other) == 0
        assert space.freed_with(one) == 40_960

    def test_one_that_is_named_elsewhere_is_not_freed(self, layout: Layout) -> None:
        one, other = make(layout, "payloads", "a"), make(layout, "envs", "b", size=0)
        os.link(one / "file", other / "linked")
        assert Space().freed_with(one) == 0

    def test_a_file_by_itself_and_nothing_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"x" * 8192)
        assert Space().freed_with(tmp_path / "x") == 8192
        assert Space().freed_with(tmp_path / "none") == 0

    def test_what_is_taken_is_counted(self, layout: Layout) -> None:
        make(layout, "sources", "a", size=12_288)
        assert [freed for _, freed in take(layout, objects(layout, "s", "sources"), BEFORE, Space())] == [12_288]

    def test_each_file_is_used_once(self, layout: Layout) -> None:
        one, other = make(layout, "payloads", "a", size=40_960), make(layout, "envs", "b", size=4096)
        os.link(one / "file", other / "linked")
        assert used_by([layout.store]) == 45_056
        assert used_by([layout.store, layout.downloads]) == 45_056

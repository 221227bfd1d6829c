"""What a backend sees the same in every run; each test in the interpreter of its own that a hook would have."""

from __future__ import annotations

import glob
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from pybuilder.sandbox import steady

NAMES = ["b", "a", "d", "c"]


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is changed in Python itself is as it was afterwards."""
    monkeypatch.setattr(os, "supports_fd", set(os.supports_fd))
    monkeypatch.setattr(os, "listdir", os.listdir)
    monkeypatch.setattr(os, "scandir", os.scandir)
    if globber := getattr(glob, "_StringGlobber", None):
        monkeypatch.setattr(globber, "scandir", vars(globber)["scandir"])


@pytest.fixture
def shuffled(restored: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that lists names in no order, under a Python that sorts them."""

    class Scan:
        def __init__(self, path: object = None) -> None:
            self.entries = [SimpleNamespace(name=name) for name in NAMES]

        def __enter__(self) -> list[SimpleNamespace]:
            return self.entries

        def __iter__(self) -> object:
            return iter(self.entries)

        def __exit__(self, *error: object) -> None:
            self.entries = []

    def listdir(path: object = None) -> list[str]:
        return list(NAMES)

    def scandir(path: object = None) -> Scan:
        return Scan(path)

    monkeypatch.setattr(os, "listdir", listdir)
    monkeypatch.setattr(os, "scandir", scandir)
    steady.sort_directories()


@pytest.mark.usefixtures("shuffled")
def test_directories_are_listed_in_order_of_name() -> None:
    assert os.listdir(".") == sorted(NAMES)
    assert [entry.name for entry in os.scandir(".")] == sorted(NAMES)
    with os.scandir() as entries:
        assert next(entries).name == "a"
        entries.close()
        assert list(entries) == []


@pytest.mark.usefixtures("shuffled")
def test_what_asks_with_a_descriptor_is_told_that_it_can() -> None:
    assert {os.listdir, os.scandir} <= os.supports_fd


@pytest.mark.usefixtures("restored")
def test_a_real_tree_is_walked_and_removed(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / "top" / name).mkdir(parents=True)
        (tmp_path / "top" / name / "file").touch()
    steady.sort_directories()
    assert [Path(top).name for top, _, _ in os.walk(tmp_path / "top")] == ["top", *sorted(NAMES)]
    assert [path.name for path in (tmp_path / "top").iterdir()] == sorted(NAMES)
    assert [path.parent.name for path in tmp_path.glob("top/*/file")] == sorted(NAMES)
    assert os.listdir(os.fsencode(tmp_path / "top")) == [os.fsencode(name) for name in sorted(NAMES)]
    shutil.rmtree(tmp_path / "top")
    assert os.listdir(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        os.scandir(tmp_path / "top")


@pytest.mark.usefixtures("restored")
def test_who_has_imported_glob_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.13's keeps the function, others look for it each time."""

    def looks(path: str) -> None: ...

    keeping, looking = SimpleNamespace(scandir=os.scandir), SimpleNamespace(scandir=looks)
    real = os.scandir
    for globber in (keeping, looking):
        monkeypatch.setattr(os, "scandir", real)
        monkeypatch.setitem(sys.modules, "glob", SimpleNamespace(_StringGlobber=globber))
        steady.sort_directories()
    assert isinstance(keeping.scandir("."), steady.Entries)
    assert looking.scandir is looks


def test_temporary_files_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "_name_sequence", None)
    steady.name_temporaries()
    (tmp_path / "tmp00000001").touch()
    made = [Path(tempfile.mkdtemp(dir=tmp_path)).name for _ in range(3)]
    assert made == ["tmp00000000", "tmp00000002", "tmp00000003"]

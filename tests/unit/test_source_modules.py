"""Where most backends would put the modules of a source archive."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from pybuilder.errors import FetchError
from pybuilder.sources import modules
from pybuilder.sources.modules import installed_modules
from tests.support.archives import Item, directory, link, tar


def gz(items: Sequence[Item]) -> bytes:
    return gzip.compress(tar(items))


def found(root: Path, *names: str) -> dict[str, bytes]:
    archive = root / "demo-1.tar.gz"
    archive.write_bytes(gz([directory("demo-1"), *(Item(f"demo-1/{name}", name.encode()) for name in names)]))
    return installed_modules(archive)


def test_packages_at_the_top(tmp_path: Path) -> None:
    names = ["demo/__init__.py", "demo/sub/a.py", "demo/data.txt", "setup.py", "tools/run.py", "tests/__init__.py"]
    assert found(tmp_path, *names) == {name: name.encode() for name in names[:2]}


def test_whatever_is_below_src(tmp_path: Path) -> None:
    names = ["src/demo/__init__.py", "src/space/core/a.py", "src/single.py", "docs/conf.py"]
    assert found(tmp_path, *names) == {name.removeprefix("src/"): name.encode() for name in names[:3]}


def test_tests_are_left_out_wherever_they_are(tmp_path: Path) -> None:
    names = ["src/demo/a.py", "src/demo/tests/b.py", "src/tests/c.py", "demo/__init__.py", "demo/sub/test/d.py"]
    assert list(found(tmp_path, *names)) == ["demo/a.py", "demo/__init__.py"]


def test_links_are_no_modules(tmp_path: Path) -> None:
    archive = tmp_path / "demo-1.tar.gz"
    items = [directory("demo-1"), Item("demo-1/src/a.py", b"1"), link("demo-1/src/b.py", "a.py"), Item("c.py")]
    archive.write_bytes(gz(items))
    assert installed_modules(archive) == {"a.py": b"1"}


def test_a_large_archive_is_not_worth_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "_LARGEST", 10)
    assert found(tmp_path, "src/a.py") == {}


def test_a_damaged_one_is_told(tmp_path: Path) -> None:
    archive = tmp_path / "demo-1.tar.gz"
    archive.write_bytes(b"no archive")
    with pytest.raises(FetchError):
        installed_modules(archive)

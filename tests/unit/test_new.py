"""What a source's files tell about building it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from pybuilder.errors import FetchError
from pybuilder.new import Findings, inspect

PKG_INFO = """\
Metadata-Version: 2.4
Name: x
Version: 1.0
Summary: Does x
License-Expression: MIT
Requires-Dist: six>=1.10
"""


def inspected(root: Path, files: dict[str, str]) -> Findings:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return packed(root)


def packed(root: Path) -> Findings:
    archive = root.with_name(f"{root.name}.tar.gz")
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root, "x-1.0")
    return inspect(archive)


def test_a_c_extension(tmp_path: Path) -> None:
    found = inspected(
        tmp_path,
        {
            "PKG-INFO": PKG_INFO,
            "pyproject.toml": '[build-system]\nrequires = ["setuptools>=61", "cython"]\n',
            "setup.py": "Extension('x', ['x.c'])",
            "x.c": "#include <zlib.h>\n",
            "tests/t.c": "#include <yaml.h>\n",
        },
    )
    assert (found.summary, found.licence) == ("Does x", "MIT")
    assert (found.guess.build, found.guess.runtime) == (("gcc", "zlib-devel"), ("zlib",))
    assert list(map(str, found.requires)) == ["setuptools>=61", "cython"]
    assert list(map(str, found.requires_dist or ())) == ["six>=1.10"]
    assert found.notes == ()


def test_the_defaults_of_a_source_that_says_nothing(tmp_path: Path) -> None:
    found = inspected(tmp_path, {"setup.py": "setup()"})
    assert list(map(str, found.requires)) == ["setuptools>=40.8.0"]
    assert found.requires_dist is None
    assert (found.summary, found.licence) == ("", "")
    assert "its backend only" in found.notes[0]


def test_a_pyproject_that_is_wrong_is_noted(tmp_path: Path) -> None:
    found = inspected(tmp_path, {"PKG-INFO": PKG_INFO, "pyproject.toml": "[build-system\n"})
    assert found.requires == ()
    assert "pyproject.toml is wrong" in found.notes[0] and "patch" in found.notes[0]


def test_large_files_and_links_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "link.c").symlink_to("large.c")
    (tmp_path / "large.c").write_text("#include <yaml.h>\n" + " " * (1 << 20))
    (tmp_path / "setup.py").write_bytes(b"ext_modules = '\xff'")
    found = packed(tmp_path)
    assert found.guess.build == ("gcc",)
    assert found.guess.why == {"gcc": "there is large.c"}


def test_a_link_out_of_the_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link.c").symlink_to("/dev/zero")
    with pytest.raises(FetchError, match="leads out of it"):
        packed(tmp_path)

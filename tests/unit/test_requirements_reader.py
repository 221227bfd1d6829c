from __future__ import annotations

import codecs
from collections.abc import Mapping
from pathlib import Path

import pytest

from pybuilder.errors import ConfigError
from pybuilder.requirements_reader import read_requirements


def write(home: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def read(home: Path, *names: str, constraints: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    asked = read_requirements([home / name for name in names], [home / name for name in constraints])
    shown = [[f"{each.place.removeprefix(f'{home}/')} {each.requirement}" for each in kind] for kind in
             (asked.requirements, asked.constraints)]  # fmt: skip
    return shown[0], shown[1]


def refused(home: Path, *names: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(home, *names)
    return str(caught.value).replace(f"{home}/", "")


def test_what_is_named_stands_where_it_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"r.txt": "a\n-r sub/r.txt\nd\n-c c.txt\n", "sub/r.txt": "b\n-r more.txt", "sub/more.txt": "c",
                     "c.txt": "a<2\n-c sub/c.txt", "sub/c.txt": "b<2", "last.txt": "e<2"})  # fmt: skip
    assert read(tmp_path, "r.txt", constraints=("last.txt",)) == (
        ["r.txt:1 a", "sub/r.txt:1 b", "sub/more.txt:1 c", "r.txt:3 d"],
        ["c.txt:1 a<2", "sub/c.txt:1 b<2", "last.txt:1 e<2"],
    )


def test_a_file_that_two_name_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": "a\n-c c.txt", "b.txt": "-r a.txt\nb\n-c c.txt", "c.txt": "a<2"})
    assert read(tmp_path, "a.txt", "b.txt", constraints=("c.txt",)) == (["a.txt:1 a", "b.txt:2 b"], ["c.txt:1 a<2"])


def test_a_file_may_require_and_limit(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": "a<2"})
    assert read(tmp_path, "a.txt", constraints=("a.txt",)) == (["a.txt:1 a<2"], ["a.txt:1 a<2"])


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_marks_of_encodings(tmp_path: Path, mark: bytes) -> None:
    encoding = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}.get(mark, "utf-8")
    write(tmp_path, {"a.txt": mark + "six # ü\r\n".encode(encoding)})
    assert read(tmp_path, "a.txt") == (["a.txt:1 six"], [])


def test_circles(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": "a\n-r b.txt", "b.txt": "-r sub/c.txt", "sub/c.txt": "-r ../b.txt", "d.txt": "-c d.txt"})
    assert refused(tmp_path, "a.txt") == (
        "a file names itself: b.txt -> sub/c.txt -> sub/../b.txt\n  where: sub/c.txt:1\n  do: take this line out"
    )
    assert refused(tmp_path, "d.txt").startswith("a file names itself: d.txt -> d.txt\n  where: d.txt:1")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.txt": "-r b.txt"}, "there is no file b.txt\n  where: a.txt:1\n  do: correct the path; it is relative"),
        ({"a.txt": "six\n-c sub"}, "sub can't be read: Is a directory\n  where: a.txt:2"),
        ({"a.txt": b"six\nidna # \xfc"}, "this is not UTF-8\n  where: a.txt:2\n  do: save the file as UTF-8"),
        ({}, "there is no file a.txt\n  do: correct the path"),
        ({"a.txt": "-r link.txt"}, "link.txt can't be read: Too many levels of symbolic links\n  where: a.txt:1"),
    ],
)
def test_what_can_not_be_read(tmp_path: Path, files: Mapping[str, str | bytes], said: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.txt").symlink_to("link.txt")
    write(tmp_path, files)
    assert refused(tmp_path, "a.txt").startswith(said)


def test_problems_of_all_files_at_once(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": "-r b.txt\n-r gone.txt", "b.txt": "six=>1\n--pre"})
    said = refused(tmp_path, "a.txt", "missing.txt")
    assert said.startswith("the files have 4 problems\n")
    for part in (
        "b.txt:1: 'six=>1'",
        "b.txt:2: --pre",
        "a.txt:2: there is no file gone.txt",
        "there is no file missing",
    ):
        assert part in said

"""What a person names: an index, or a wheel in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybuilder.audit import DirectoryReader, Place
from pybuilder.errors import UsageError

WHEEL = "six-1.0+pb.1-py3-none-any.whl"


@pytest.mark.parametrize(
    ("text", "index", "wheel"),
    [
        ("https://x.example/host", "https://x.example/host/", ""),
        ("https://x.example/host/", "https://x.example/host/", ""),
        ("https://x.example/host/simple", "https://x.example/host/", ""),
        ("https://x.example/host/simple/", "https://x.example/host/", ""),
        ("https://x.example/host/files/six-1.0%2Bpb.1-py3-none-any.whl", "https://x.example/host/", WHEEL),
        ("https://x.example/host/files/six-1.0+pb.1-py3-none-any.whl#sha256=0", "https://x.example/host/", WHEEL),
        ("HTTP://u:p@x.example/files/six-1.0+pb.1-py3-none-any.whl", "HTTP://u:p@x.example/", WHEEL),
    ],
)
def test_urls(text: str, index: str, wheel: str) -> None:
    assert Place.of(text) == Place(index=index, wheel=wheel, is_url=True)


@pytest.mark.parametrize("text", ["https://x.example/six.whl", "https://x.example/host/?page=1"])
def test_urls_of_something_else(text: str) -> None:
    with pytest.raises(UsageError):
        Place.of(text)


def test_directories(tmp_path: Path) -> None:
    (tmp_path / "index" / "simple").mkdir(parents=True)
    (tmp_path / "index" / "files").mkdir()
    wheel = tmp_path / "index" / "files" / WHEEL
    whole = Place(index=str(tmp_path / "index"))
    assert Place.of(str(tmp_path / "index")) == Place.of(str(tmp_path / "index" / "simple")) == whole
    assert Place.of((tmp_path / "index").as_uri()) == whole
    assert Place.of(str(wheel)) == Place(index=whole.index, wheel=WHEEL)
    assert Place.of(str(tmp_path / WHEEL)) is None
    assert Place.of("six") is None and Place.of(str(tmp_path)) is None


def test_what_a_directory_has_and_has_not(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"c")
    reader = DirectoryReader(tmp_path)
    assert (reader.read("a/b"), reader.read("a/x"), reader.read("a"), reader.read("a/b/c")) == (b"c", None, None, None)
    assert (reader.file("a/b"), reader.file("a")) == (tmp_path / "a" / "b", None)
    assert (reader.names("a"), reader.names("x")) == (("b",), ())

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pybuilder.errors import FetchError, UsageError
from pybuilder.http import Client
from pybuilder.index.reader import DirectoryReader, HttpReader, Place


@pytest.fixture
def index(tmp_path: Path) -> Path:
    for name in ("simple", "files", "records/p/A1", "records/p/A2"):
        (tmp_path / "index" / name).mkdir(parents=True)
    (tmp_path / "index" / "files" / "x.whl").write_bytes(b"wheel")
    return tmp_path / "index"


class TestDirectoryReader:
    def test_what_is_there(self, index: Path) -> None:
        reader = DirectoryReader(index)
        assert reader.where == str(index)
        assert reader.read("files/x.whl") == b"wheel"
        assert reader.file("files/x.whl") == index / "files" / "x.whl"
        assert reader.names("records/p") == ("A1", "A2")

    def test_what_is_not(self, index: Path) -> None:
        reader = DirectoryReader(index)
        for path in ("files/y.whl", "files/x.whl/y", "files"):
            assert reader.read(path) is None
            assert reader.file(path) is None
        assert reader.names("records/q") == ()

    def test_what_is_too_large_to_be_a_page(self, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is not read into memory, as none is from a server."""
        monkeypatch.setattr("pybuilder.index.reader.PAGE_LIMIT", 4)
        with pytest.raises(FetchError, match="larger than 4 bytes"):
            DirectoryReader(index).read("files/x.whl")
        monkeypatch.setattr("pybuilder.index.reader.PAGE_LIMIT", 5)
        assert DirectoryReader(index).read("files/x.whl") == b"wheel"


class TestPlace:
    def test_a_wheel_in_an_index(self, index: Path) -> None:
        expected = Place(index=str(index), wheel="x.whl")
        assert Place.of(str(index / "files" / "x.whl")) == expected
        assert Place.of((index / "files" / "x.whl").as_uri()) == expected

    def test_an_index(self, index: Path) -> None:
        assert Place.of(str(index)) == Place.of(str(index / "simple")) == Place(index=str(index))

    def test_a_wheel_somewhere_else(self, tmp_path: Path) -> None:
        assert Place.of(str(tmp_path / "x.whl")) is None

    @pytest.mark.parametrize(
        ("url", "wheel"),
        [
            ("http://h/a/files/x-1%2Bpb.1-py3-none-any.whl", "x-1+pb.1-py3-none-any.whl"),
            ("http://h/a/files/x.whl#sha256=00", "x.whl"),
            ("https://h/a/simple/", ""),
            ("https://h/a", ""),
        ],
    )
    def test_a_url(self, url: str, wheel: str) -> None:
        place = Place.of(url)
        assert place == Place(index=f"{url.partition(':')[0]}://h/a/", wheel=wheel, is_url=True)

    @pytest.mark.parametrize(
        "url", ["http://h/a/x.whl", "http://h/files/b/x.whl", "http://h/files/..%2Fx.whl", "http://h/a?b"]
    )
    def test_a_url_of_something_else(self, url: str) -> None:
        with pytest.raises(UsageError):
            Place.of(url)

    def test_who_reads_it(self, index: Path, tmp_path: Path) -> None:
        with Client() as client:
            assert Place(index=str(index)).open(client, tmp_path) == DirectoryReader(index)
            reader = Place(index="http://h/a/", is_url=True).open(client, tmp_path)
            assert reader == HttpReader(client=client, url="http://h/a/", scratch=tmp_path)
            assert reader.names("records") is None


class TestHttpReader:
    def test_a_file_is_fetched_once_by_whoever_comes_first_until_it_is_forgotten(self, tmp_path: Path) -> None:
        """Threads of an audit ask for one source at the same time."""
        fetched: list[str] = []

        class Slow(Client):
            def download(self, url: str, destination: Path, **_: object) -> str:
                fetched.append(url)
                time.sleep(0.02)
                destination.parent.mkdir(parents=True, exist_ok=True)
                destination.write_bytes(b"source")
                return ""

        reader = HttpReader(client=Slow(), url="http://h/a/", scratch=tmp_path)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(reader.file, ["sources/files/a+b.tar"] * 4))
        assert found == [tmp_path / "sources/files/a+b.tar"] * 4
        assert fetched == ["http://h/a/sources/files/a%2Bb.tar"]
        reader.forget("sources/files/a+b.tar")
        assert not found[0].exists()
        reader.file("sources/files/a+b.tar")
        assert len(fetched) == 2

"""The METADATA of wheels on servers that do as they should, and on others."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuilder.errors import FetchError
from pybuilder.http import Client, NotFoundError
from pybuilder.upstream.remote_wheel import remote_metadata
from tests.support.upstream import Fault, UpstreamServer, serve

NAME = "six-1.0-py3-none-any.whl"
METADATA = b"Metadata-Version: 2.1\nName: six\nVersion: 1.0\nRequires-Dist: a\n"
INFO = "six-1.0.dist-info/METADATA"


def wheel(**more: bytes) -> bytes:
    """A wheel; what is in it besides comes first."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in more.items():
            archive.writestr(name, data)
        archive.writestr(INFO, METADATA)
        archive.writestr("six-1.0.dist-info/RECORD", b"")
    return stream.getvalue()


LARGE = wheel(big=random.Random(1).randbytes(500_000))
# METADATA is far from the end.
FAR = io.BytesIO()
with zipfile.ZipFile(FAR, "w", zipfile.ZIP_DEFLATED) as _archive:
    _archive.writestr(INFO, METADATA)
    _archive.writestr("big", random.Random(2).randbytes(500_000))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[UpstreamServer]:
    (tmp_path / "files").mkdir()
    with serve(tmp_path / "files") as running:
        yield running


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(sleep=lambda seconds: None, timeout=0.5) as running:
        yield running


def put(server: UpstreamServer, data: bytes) -> str:
    (server.directory / NAME).write_bytes(data)
    return server.file_url(NAME)


def sent(server: UpstreamServer) -> list[str]:
    return [headers.get("range", "all") for headers in server.asked(NAME)]


class TestSound:
    @pytest.mark.parametrize("data", [LARGE, FAR.getvalue(), wheel()], ids=["near", "far", "small"])
    def test_only_its_end_and_the_member_are_fetched(self, client: Client, server: UpstreamServer, data: bytes) -> None:
        assert remote_metadata(client, put(server, data)) == METADATA
        assert sent(server)[0] == "bytes=-32768"
        assert len(sent(server)) <= 2
        assert "all" not in sent(server)

    def test_one_request_where_all_is_near_the_end(self, client: Client, server: UpstreamServer) -> None:
        remote_metadata(client, put(server, LARGE))
        assert sent(server) == ["bytes=-32768"]

    def test_something_stands_before_it(self, client: Client, server: UpstreamServer) -> None:
        assert remote_metadata(client, put(server, b"#!/bin/sh\n" * 10_000 + LARGE)) == METADATA

    def test_a_long_comment_stands_behind_it(self, client: Client, server: UpstreamServer, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
            archive.writestr(INFO, METADATA)
            archive.comment = b"c" * 60_000
        assert remote_metadata(client, put(server, (tmp_path / "x.whl").read_bytes())) == METADATA

    @pytest.mark.parametrize("data", [LARGE, FAR.getvalue(), wheel()], ids=["near", "far", "small"])
    def test_a_file_of_this_machine(self, client: Client, tmp_path: Path, data: bytes) -> None:
        (tmp_path / NAME).write_bytes(data)
        assert remote_metadata(client, (tmp_path / NAME).as_uri()) == METADATA


class TestServers:
    def test_one_that_sends_whole_files_only_is_not_made_to_send_them(
        self, client: Client, server: UpstreamServer
    ) -> None:
        server.ranges = False
        assert remote_metadata(client, put(server, LARGE)) is None
        assert len(sent(server)) == 1

    def test_one_that_knows_no_bytes_from_the_end(self, client: Client, server: UpstreamServer) -> None:
        url = put(server, LARGE)
        server.faults[NAME] = Fault(status=416)
        assert remote_metadata(client, url) is None
        server.faults[NAME] = Fault(status=206, content=b"x" * 100)
        assert remote_metadata(client, url) is None
        server.faults[NAME] = Fault(status=206, content=b"x" * 100, headers={"Content-Range": "bytes 0-99/*"})
        assert remote_metadata(client, url) is None

    def test_one_that_fails_for_a_moment(self, client: Client, server: UpstreamServer) -> None:
        url = put(server, LARGE)
        server.faults[NAME] = Fault(status=503, times=2)
        assert remote_metadata(client, url) == METADATA

    def test_one_that_hangs_up_in_the_middle(self, client: Client, server: UpstreamServer) -> None:
        url = put(server, LARGE)
        server.faults[NAME] = Fault(status=206, content=b"x" * 32768, cut_after=100, headers=part(LARGE), times=1)
        assert remote_metadata(client, url) == METADATA

    @pytest.mark.parametrize(
        "told", ["bytes 0-32767/{size}", "bytes 5-4/{size}", "bytes 0-{last}/{size}", "bytes 100-32867/90"]
    )
    def test_one_that_sends_other_bytes_than_asked_for(self, client: Client, server: UpstreamServer, told: str) -> None:
        url = put(server, LARGE)
        told = told.format(size=len(LARGE), last=len(LARGE) - 1)
        server.faults[NAME] = Fault(status=206, content=LARGE[:32768], headers={"Content-Range": told})
        with pytest.raises(FetchError, match="another part of the file"):
            remote_metadata(client, url)

    def test_one_that_sends_more_than_it_says(self, client: Client, server: UpstreamServer) -> None:
        url = put(server, LARGE)
        server.faults[NAME] = Fault(status=206, content=b"x" * 5_000_000, headers=part(LARGE))
        with pytest.raises(FetchError, match="more than"):
            remote_metadata(client, url)

    def test_one_that_has_no_such_file(self, client: Client, server: UpstreamServer) -> None:
        with pytest.raises(NotFoundError):
            remote_metadata(client, server.file_url(NAME))
        with pytest.raises(NotFoundError):
            remote_metadata(client, (server.directory / NAME).as_uri())

    def test_one_that_changes_the_file_meanwhile(self, client: Client, server: UpstreamServer) -> None:
        """Its end is of one file, the rest of another: what comes of that is no METADATA."""
        url = put(server, FAR.getvalue())
        end = FAR.getvalue()[-32768:]
        server.faults[NAME] = Fault(status=206, content=end, headers=part(FAR.getvalue()), times=1)
        put(server, bytes(len(FAR.getvalue())))
        assert remote_metadata(client, url) is None


def part(data: bytes) -> dict[str, str]:
    return {"Content-Range": f"bytes {len(data) - 32768}-{len(data) - 1}/{len(data)}"}


class TestNoWheels:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"PK",
            b"x" * 100_000,
            LARGE[:-1000],
            wheel(**{"other-1.0.dist-info/METADATA": METADATA}),
        ],
        ids=["nothing", "two bytes", "no archive", "no end", "two of them"],
    )
    def test_nothing_is_known(self, client: Client, server: UpstreamServer, tmp_path: Path, data: bytes) -> None:
        assert remote_metadata(client, put(server, data)) is None
        (tmp_path / NAME).write_bytes(data)
        assert remote_metadata(client, (tmp_path / NAME).as_uri()) is None

    def test_a_metadata_that_says_it_is_huge(self, client: Client, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / NAME, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(INFO, bytes(9 << 20))
        assert remote_metadata(client, (tmp_path / NAME).as_uri()) is None

    def test_damaged_ones(self, client: Client, tmp_path: Path) -> None:
        """Whatever bytes are wrong: it is METADATA, or nothing, and no fault of ours."""
        chance = random.Random(3)
        path = tmp_path / NAME
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w", method) as archive:
                archive.writestr(INFO, METADATA)
            sound = stream.getvalue()
            for _ in range(50):
                data = bytearray(sound)
                for _ in range(chance.randrange(1, 4)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
                path.write_bytes(data)
                found = remote_metadata(client, path.as_uri())
                assert found is None or isinstance(found, bytes)

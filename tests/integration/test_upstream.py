from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder.errors import FetchError
from pybuilder.http import Client, NotFoundError
from pybuilder.upstream import Upstream
from tests.support.sdists import make_sdist
from tests.support.upstream import Fault, UpstreamServer, serve

FOO = canonicalize_name("foo")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[UpstreamServer]:
    files = tmp_path / "files"
    make_sdist(files, "foo", "1.0")
    wheel = files / "foo-1.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    wheel.with_name(wheel.name + ".metadata").write_bytes(b"Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n")
    with serve(files) as running:
        yield running


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(sleep=lambda seconds: None) as running:
        yield running


@pytest.mark.parametrize("formats", [("json",), ("html",), ("json", "html")])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"relative": False},
        {"base_href": True},
        {"hashes": False},
        {"core_metadata": "legacy"},
        {"core_metadata": "none"},
        {"pep700": False},
    ],
    ids=str,
)
def test_every_kind_of_page(
    server: UpstreamServer, client: Client, formats: tuple[str, ...], options: dict[str, object]
) -> None:
    server.formats = formats
    for option, value in options.items():
        setattr(server, option, value)
    server.yanked["foo-1.0.tar.gz"] = "broken"
    server.requires_python["foo-1.0.tar.gz"] = ">=3.8,<4"
    upstream = Upstream(client=client, url=server.index)
    (wheel,) = upstream.project(FOO).wheels(Version("1.0"))
    file = upstream.sdists(FOO)[Version("1.0")]
    assert len(server.asked("/simple/foo/")) == 1
    assert file.url == server.file_url("foo-1.0.tar.gz")
    assert (file.yanked_reason, file.requires_python) == ("broken", ">=3.8,<4")
    assert (file.sha256 is not None) == server.hashes
    assert (file.size is not None) == (server.pep700 and formats[0] == "json")
    metadata = upstream.metadata(wheel)
    assert (metadata is not None) == (server.core_metadata != "none")
    assert upstream.metadata(file) is None


def test_metadata_is_verified(server: UpstreamServer, client: Client) -> None:
    server.faults[".metadata"] = Fault(content=b"Name: bar\n")
    upstream = Upstream(client=client, url=server.index)
    (wheel,) = upstream.project(FOO).wheels(Version("1.0"))
    with pytest.raises(FetchError, match=r"mismatch of foo-1.0-py3-none-any.whl.metadata"):
        upstream.metadata(wheel)


def test_no_such_project(server: UpstreamServer, client: Client) -> None:
    with pytest.raises(NotFoundError, match="no project 'bar'"):
        Upstream(client=client, url=server.index.rstrip("/")).project(canonicalize_name("bar"))


def test_a_login_page_in_place_of_the_index(server: UpstreamServer, client: Client) -> None:
    server.faults["/simple/foo/"] = Fault(location="/login")
    server.faults["/login"] = Fault(content=b"<html><form><input type=password></form></html>")
    with pytest.raises(FetchError, match="no page of a package index") as caught:
        Upstream(client=client, url=server.index).project(FOO)
    assert caught.value.where == f"{server.root}/login"


def test_an_index_on_disk(server: UpstreamServer, client: Client, tmp_path: Path) -> None:
    page = server.page("foo", "html")
    assert page is not None
    (tmp_path / "simple" / "foo").mkdir(parents=True)
    (tmp_path / "simple" / "foo" / "index.html").write_bytes(page)
    upstream = Upstream(client=client, url=(tmp_path / "simple").as_uri())
    file = upstream.sdists(FOO)[Version("1.0")]
    assert client.download(file.url, tmp_path / "out", sha256=file.sha256)
    with pytest.raises(NotFoundError, match="no project 'bar'"):
        upstream.project(canonicalize_name("bar"))


def test_the_machine_s_own_index(server: UpstreamServer, client: Client) -> None:
    upstream = Upstream(client=client, environ={"PIP_INDEX_URL": server.index})
    assert list(upstream.sdists(FOO)) == [Version("1.0")]


def test_importing_it_is_cheap() -> None:
    code = "import sys, pybuilder.upstream; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"httpx2", "pypi_simple", "pydantic", "requests"} & set(done.stdout.split())


def test_who_reads_json_needs_no_html_parser() -> None:
    code = "import sys, pybuilder.upstream.pages; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"httpx2", "pypi_simple", "bs4", "requests"} & set(done.stdout.split())

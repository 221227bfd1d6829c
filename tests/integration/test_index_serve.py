"""The server on loopback, asked by a plain HTTP client."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pybuilder.errors import UsageError
from pybuilder.web.negotiation import HTML, HTML_V1, JSON_V1
from pybuilder.web.serve import listening, serve
from tests.support.indexes import make_release, make_source, make_wheel, open_index, served

FILE = "/host/files/six-1.17.0%2Bpb.1-py3-none-any.whl"
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Iterator[str]:
    state = tmp_path_factory.mktemp("state")
    source = make_source(state)
    open_index(state).publish([make_release(wheel, source=source)])
    open_index(state, "fedora-45").publish([make_release(make_wheel(state, "idna", "3.10+pb.1"))])
    (state / "secret").write_text("secret")
    (state / "index" / "host" / "files" / "escape-1.0.tar").symlink_to(state / "secret")
    (state / "index" / "host" / ".hidden").write_text("secret")
    with served(state / "index") as url:
        yield url


def ask(url: str, path: str, method: str = "GET", **headers: str) -> Answer:
    """One request, its path sent as it is; header names with ``_`` for ``-``."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, headers={key.replace("_", "-"): value for key, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [("*/*", HTML), (JSON_V1, JSON_V1), (HTML_V1, HTML_V1), (f"{JSON_V1},x/y;q=0.1", JSON_V1)],
)
@pytest.mark.parametrize("path", ["/host/simple/", "/host/simple/six/", "/host/sources/simple/six/"])
def test_a_page_has_the_form_that_is_asked_for(url: str, path: str, accept: str, content_type: str) -> None:
    status, headers, body = ask(url, path, Accept=accept)
    assert (status, headers["Content-Type"], headers["Vary"]) == (200, content_type, "Accept")
    if content_type == JSON_V1:
        assert json.loads(body)["meta"] == {"api-version": "1.4"}
    else:
        assert body.startswith(b"<!DOCTYPE html>")


def test_nothing_acceptable_is_406(url: str) -> None:
    assert ask(url, "/host/simple/six/", Accept="image/png")[0] == 406


def test_channels_are_apart(url: str) -> None:
    assert ask(url, "/fedora-45/simple/idna/")[0] == 200
    assert ask(url, "/fedora-45/simple/six/")[0] == 404


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/host/simple", "/host/simple/"),
        ("/host/simple/six", "/host/simple/six/"),
        ("/host/simple/SIX/", "/host/simple/six/"),
        ("http://x//elsewhere.example/simple/SIX", "/elsewhere.example/simple/six/"),
    ],
)
def test_other_spellings_are_redirected(url: str, path: str, location: str) -> None:
    status, headers, _ = ask(url, path)
    assert (status, headers["Location"]) == (301, location)


@pytest.mark.parametrize("path", [FILE, FILE.replace("%2B", "+")])
def test_a_file_is_whole(url: str, wheel: Path, path: str) -> None:
    status, headers, body = ask(url, path)
    assert (status, body) == (200, wheel.read_bytes())
    assert headers["Content-Length"] == str(wheel.stat().st_size)
    assert headers["Content-Type"] == "application/zip"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        (f"{FILE}.metadata", "text/plain; charset=utf-8"),
        ("/host/sources/files/six-1.17.0.tar.gz", "application/gzip"),
        ("/host/simple/six/index.html", HTML),
        ("/host/simple/six/index.json", JSON_V1),
        ("/host/simple/six/index.v1_json", JSON_V1),
    ],
)
def test_files_have_their_types(url: str, path: str, content_type: str) -> None:
    status, headers, _ = ask(url, path)
    assert (status, headers["Content-Type"]) == (200, content_type)


def test_head_is_get_without_the_body(url: str) -> None:
    _, headers, _ = ask(url, FILE)
    status, same, body = ask(url, FILE, "HEAD")
    assert (status, body) == (200, b"")
    assert same | {"Date": ""} == headers | {"Date": ""}


def test_a_range_is_a_part_of_the_file(url: str, wheel: Path) -> None:
    content = wheel.read_bytes()
    status, headers, body = ask(url, FILE, Range="bytes=-22")
    assert (status, body) == (206, content[-22:])
    assert headers["Content-Range"] == f"bytes {len(content) - 22}-{len(content) - 1}/{len(content)}"
    assert ask(url, FILE, Range="bytes=0-9", If_Range=headers["ETag"])[2] == content[:10]
    assert ask(url, FILE, Range="bytes=0-9", If_Range='"other"')[2] == content
    status, headers, _ = ask(url, FILE, Range=f"bytes={len(content)}-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{len(content)}")


def test_what_the_client_has_is_not_sent_again(url: str) -> None:
    _, headers, _ = ask(url, "/host/simple/six/", Accept=JSON_V1)
    status, _, body = ask(url, "/host/simple/six/", Accept=JSON_V1, If_None_Match=f'"x", W/{headers["ETag"]}')
    assert (status, body) == (304, b"")
    assert ask(url, "/host/simple/six/", Accept=HTML, If_None_Match=headers["ETag"])[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/host/",
        "/host/files/",
        "/host/files/none.whl",
        "/host/simple/none/",
        "/host/.hidden",
        "/host/files/escape-1.0.tar",
        "/../secret",
        "/host/../../secret",
        "/host/%2e%2e/%2e%2e/secret",
        "/..%2fsecret",
        "/host/files/..%2f..%2f..%2fsecret",
        "/host/files/%00",
        "/host/%ff%fe",
        "/host/" + "a" * 5000,
        f"{FILE}/",
    ],
)
def test_what_is_not_published_is_not_there(url: str, path: str) -> None:
    status, _, body = ask(url, path)
    assert (status, body) == (404, b"")


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_nothing_can_be_written(url: str, method: str) -> None:
    assert ask(url, FILE, method)[0] == 501


def test_one_connection_serves_many_requests(url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    statuses = []
    for path, accept in (("/host/simple/six/", "image/png"), ("/none", "*/*"), ("/host/simple/", "*/*")):
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    assert statuses == [406, 404, 200]


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with listening(tmp_path) as server:
        port = server.server_address[1]
        with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1: another program uses it") as caught:
            serve(tmp_path, port=port, ready=lambda url: None)
    assert "another port" in caught.value.cure


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"192\.0\.2\.1"):
        serve(tmp_path, host="192.0.2.1", port=0, ready=lambda url: None)


def test_serve_says_when_it_is_ready_and_ends_with_its_interruption(tmp_path: Path) -> None:
    """As Ctrl-C does, an exception out of the block closes the port."""
    urls: list[str] = []

    def ready(url: str) -> None:
        urls.append(url)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(tmp_path, host="127.0.0.1", port=0, ready=ready)
    address = urlsplit(urls[0])
    assert address.hostname == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port or 0))

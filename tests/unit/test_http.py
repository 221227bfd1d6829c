from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from pybuilder.connections import open_client
from pybuilder.errors import ConfigError, FetchError
from pybuilder.http import ATTEMPTS, Client, NotFoundError, Page, UnreachableError, redact
from pybuilder.interruption import Interruption, end
from pybuilder.responses import transport_fault
from tests.support.upstream import Fault, UpstreamServer, serve

DATA = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[UpstreamServer]:
    files = tmp_path / "files"
    files.mkdir()
    (files / "big-1.0.tar.gz").write_bytes(DATA)
    with serve(files) as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(waits: list[float]) -> Iterator[Client]:
    with Client(sleep=waits.append, jitter=lambda: 0.0, now=lambda: 1_700_000_000.0, timeout=0.3) as running:
        yield running


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "x"


def test_get_gives_the_body_the_media_type_and_the_final_url(client: Client, server: UpstreamServer) -> None:
    server.faults["/old"] = Fault(location="/simple/big/")
    page = client.get(f"{server.root}/old", accept="text/html")
    assert page.url == f"{server.root}/simple/big/"
    assert page.content_type == "application/vnd.pypi.simple.v1+html"
    assert b"big-1.0.tar.gz" in page.body
    assert server.requests[0][1]["accept"] == "text/html"


def test_get_refuses_a_page_over_the_limit(client: Client, server: UpstreamServer, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="larger than 1000 bytes"):
        client.get(server.file_url("big-1.0.tar.gz"), limit=1000)
    with pytest.raises(FetchError, match="larger than 1000 bytes"):
        client.get((server.directory / "big-1.0.tar.gz").as_uri(), limit=1000)


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ({"etag": '"e"'}, {"if-none-match": '"e"'}),
        ({"modified": "Thu, 08 Jan 2026 10:00:00 GMT"}, {"if-modified-since": "Thu, 08 Jan 2026 10:00:00 GMT"}),
    ],
)
def test_renew_asks_whether_it_is_as_it_was(
    client: Client, server: UpstreamServer, known: dict[str, str], asked: dict[str, str]
) -> None:
    server.faults["/x"] = Fault(content=b"body", headers={"ETag": '"e"'}, times=1)
    page = client.renew(f"{server.root}/x", headers={"X-Own": "1"})
    assert page and (page.body, page.headers["etag"]) == (b"body", '"e"')
    server.faults["/x"] = Fault(status=304)
    assert client.renew(f"{server.root}/x", headers={"X-Own": "1"}, **known) is None
    sent = server.requests[-1][1]
    assert {"x-own": "1", **asked}.items() <= sent.items()
    # That it is as it was is no answer for somebody who doesn't know how it was.
    with pytest.raises(FetchError, match="304"):
        client.renew(f"{server.root}/x")


def test_renew_has_an_end_with_a_server_that_sends_a_byte_now_and_then(
    client: Client, server: UpstreamServer, waits: list[float]
) -> None:
    server.faults["/drip"] = Fault(content=b"x" * 100, drip=0.02)
    with pytest.raises(UnreachableError, match=r"failed 2 times: it took more than 0.1 s"):
        client.renew(f"{server.root}/drip", attempts=2, seconds=0.1)
    assert len(waits) == 1


def test_get_does_not_ask_again_for_what_is_not_there(
    client: Client, server: UpstreamServer, waits: list[float]
) -> None:
    with pytest.raises(NotFoundError, match="404"):
        client.get(f"{server.root}/files/none")
    assert len(server.requests) == 1 and not waits


@pytest.mark.parametrize("status", [401, 403])
def test_refused_rights_point_at_the_credentials(client: Client, server: UpstreamServer, status: int) -> None:
    server.faults["/simple/x/"] = Fault(status=status)
    with pytest.raises(FetchError, match=str(status)) as caught:
        client.get(f"{server.index}x/")
    assert "password" in caught.value.cure
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_server_is_asked_again_with_growing_pauses(
    client: Client, server: UpstreamServer, waits: list[float], status: int
) -> None:
    server.faults["/simple/big/"] = Fault(status=status, times=3)
    assert client.get(f"{server.index}big/").body
    assert waits == [0.5, 1.0, 2.0]


def test_the_last_failure_ends_it_and_says_why(client: Client, server: UpstreamServer, waits: list[float]) -> None:
    server.faults["/simple/big/"] = Fault(status=500)
    with pytest.raises(FetchError, match="failed 5 times: the server answers 500"):
        client.get(f"{server.index}big/")
    assert len(waits) == 4


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 7.0),
        ("9999", 60.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:30", 10.0),
        ("Tue, 14 Nov 99999999999999999999 22:13:30 GMT", 0.5),
        ("soon", 0.5),
    ],
)
def test_retry_after(client: Client, server: UpstreamServer, waits: list[float], header: str, wait: float) -> None:
    server.faults["/simple/big/"] = Fault(status=503, retry_after=header, times=1)
    client.get(f"{server.index}big/")
    assert waits == [wait]


def test_a_server_that_hangs_is_given_up(client: Client, server: UpstreamServer) -> None:
    client.timeout = 0.05
    server.faults["/simple/big/"] = Fault(hang=True)
    with pytest.raises(FetchError, match="read timeout"):
        client.get(f"{server.index}big/")


class TestInterruption:
    """No signal wakes a thread that waits for a server."""

    def waiting(self, client: Client, server: UpstreamServer, told: Interruption) -> Future[Page]:
        server.faults["/simple/big/"] = Fault(hang=True)

        def work() -> Page:
            with told.heard():
                return client.get(f"{server.index}big/")

        future = self.pool.submit(work)
        deadline = time.monotonic() + 10
        while not server.requests:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return future

    @pytest.fixture(autouse=True)
    def threads(self) -> None:
        self.pool = ThreadPoolExecutor(1)

    def test_ctrl_c_ends_it(self, server: UpstreamServer) -> None:
        told = Interruption()
        with Client(timeout=60) as client:
            future = self.waiting(client, server, told)
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                try:
                    raise KeyboardInterrupt
                finally:
                    end(self.pool, told)
            assert time.monotonic() - began < 10
            with pytest.raises(KeyboardInterrupt):
                future.result(0)
            with pytest.raises(FetchError, match="interrupted"):
                client.get(f"{server.index}big/")

    def test_whoever_ends_otherwise_is_waited_for(self, server: UpstreamServer) -> None:
        told = Interruption()
        with Client(timeout=0.3, sleep=lambda seconds: None) as client:
            future = self.waiting(client, server, told)
            end(self.pool, told)
            with pytest.raises(FetchError, match="read timeout"):
                future.result(0)
            server.faults.clear()
            assert client.get(f"{server.index}big/").body


def test_no_network_says_so(client: Client) -> None:
    with pytest.raises(FetchError, match="connect error") as caught:
        client.get("http://127.0.0.1:9/simple/")
    assert "needs no network" in caught.value.cure


def test_a_certificate_that_is_not_trusted_is_not_tried_again() -> None:
    error = httpx2.ConnectError("certificate verify failed")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed")
    fault = transport_fault(error, "https://127.0.0.1/")
    assert isinstance(fault, FetchError) and "SSL_CERT_FILE" in fault.cure


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "six.tar.gz", "", "file://elsewhere/x", "http://["])
def test_urls_that_cannot_be_fetched(client: Client, url: str) -> None:
    with pytest.raises(FetchError):
        client.get(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@127.0.0.1/simple/", "https://127.0.0.1/simple/"),
        ("https://127.0.0.1/x?sig=secret", "https://127.0.0.1/x?…"),
        ("https://127.0.0.1/a@b", "https://127.0.0.1/a@b"),
    ],
)
def test_redact(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_credentials_reach_the_server_and_no_message(client: Client, server: UpstreamServer) -> None:
    url = server.index.replace("//", "//me:secret@")
    assert client.get(f"{url}big/").body
    assert server.requests[0][1]["authorization"].startswith("Basic ")
    server.faults["/simple/big/"] = Fault(status=500)
    with pytest.raises(FetchError) as caught:
        client.get(f"{url}big/")
    assert "secret" not in str(caught.value)


def test_download(client: Client, server: UpstreamServer, destination: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    url = server.file_url("big-1.0.tar.gz")
    digest = client.download(url, destination, sha256=DIGEST, size=len(DATA), progress=lambda *step: seen.append(step))
    assert digest == DIGEST and destination.read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA)) and seen == sorted(seen)
    assert list(destination.parent.iterdir()) == [destination]


def test_an_empty_file(client: Client, server: UpstreamServer, destination: Path) -> None:
    (server.directory / "empty").write_bytes(b"")
    assert client.download(server.file_url("empty"), destination, size=0) == hashlib.sha256().hexdigest()
    assert destination.read_bytes() == b""


def test_download_of_a_local_file(client: Client, tmp_path: Path, destination: Path) -> None:
    source = tmp_path / "a b.tar.gz"
    source.write_bytes(DATA)
    assert client.download(source.as_uri(), destination, sha256=DIGEST) == DIGEST
    with pytest.raises(NotFoundError, match="no such file"):
        client.download((tmp_path / "none").as_uri(), destination)
    with pytest.raises(FetchError, match="sha256 mismatch"):
        client.download(source.as_uri(), tmp_path / "downloads" / "y", sha256="0" * 64)


def test_a_cut_connection_is_resumed(client: Client, server: UpstreamServer, destination: Path) -> None:
    server.faults["big-1.0.tar.gz"] = Fault(cut_after=300_000, times=2)
    assert client.download(server.file_url("big-1.0.tar.gz"), destination) == DIGEST
    ranges = [headers.get("range", "") for headers in server.asked("big-1.0.tar.gz")]
    assert ranges[0] == "" and ranges[1].startswith("bytes=") and ranges[1] != "bytes=0-"
    assert "if-range" in server.asked("big-1.0.tar.gz")[1]


def test_a_cut_that_always_comes_at_the_same_place_ends(
    client: Client, server: UpstreamServer, destination: Path
) -> None:
    server.ranges = False
    server.faults["big-1.0.tar.gz"] = Fault(cut_after=300_000)
    with pytest.raises(FetchError, match="failed 5 times"):
        client.download(server.file_url("big-1.0.tar.gz"), destination, sha256=DIGEST)
    assert not destination.exists()


def test_many_cuts_that_each_bring_something_do_not_end_it(
    client: Client, server: UpstreamServer, destination: Path
) -> None:
    server.faults["big-1.0.tar.gz"] = Fault(cut_after=100_000)
    assert client.download(server.file_url("big-1.0.tar.gz"), destination, sha256=DIGEST) == DIGEST
    assert len(server.requests) > ATTEMPTS


def _leave_part(destination: Path, data: bytes, validator: str = "") -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    destination.with_name("x.part").write_bytes(data)
    if validator:
        destination.with_name("x.part.validator").write_text(validator)


def test_a_later_run_goes_on_where_the_digest_is_known(
    client: Client, server: UpstreamServer, destination: Path
) -> None:
    _leave_part(destination, DATA[:5000])
    assert client.download(server.file_url("big-1.0.tar.gz"), destination, sha256=DIGEST) == DIGEST
    assert server.asked("big-1.0.tar.gz")[0]["range"] == "bytes=5000-"


def test_what_another_file_left_is_found_out(client: Client, server: UpstreamServer, destination: Path) -> None:
    _leave_part(destination, b"x" * 5000)
    assert client.download(server.file_url("big-1.0.tar.gz"), destination, sha256=DIGEST) == DIGEST
    assert len(server.requests) == 2


def test_nothing_is_resumed_that_nobody_vouches_for(client: Client, server: UpstreamServer, destination: Path) -> None:
    _leave_part(destination, b"x" * 5000)
    assert client.download(server.file_url("big-1.0.tar.gz"), destination) == DIGEST
    assert "range" not in server.requests[0][1]


def test_a_file_that_changed_on_the_server_starts_over(
    client: Client, server: UpstreamServer, destination: Path
) -> None:
    _leave_part(destination, b"x" * 5000, '"another"')
    assert client.download(server.file_url("big-1.0.tar.gz"), destination) == DIGEST
    assert len(server.requests) == 1


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_a_part_that_was_whole(client: Client, server: UpstreamServer, destination: Path, size: int | None) -> None:
    _leave_part(destination, DATA)
    assert client.download(server.file_url("big-1.0.tar.gz"), destination, sha256=DIGEST, size=size) == DIGEST
    assert len(server.requests) == (0 if size else 2)


def test_a_part_that_is_too_long_starts_over(client: Client, server: UpstreamServer, destination: Path) -> None:
    _leave_part(destination, DATA + b"more")
    url = server.file_url("big-1.0.tar.gz")
    assert client.download(url, destination, sha256=DIGEST, size=len(DATA)) == DIGEST
    assert "range" not in server.requests[0][1]


def test_a_wrong_digest_names_both_and_keeps_nothing(client: Client, server: UpstreamServer, destination: Path) -> None:
    wrong = "0" * 64
    with pytest.raises(FetchError) as caught:
        client.download(server.file_url("big-1.0.tar.gz"), destination, sha256=wrong)
    assert wrong in caught.value.what and DIGEST in caught.value.what
    assert caught.value.exit_code == 30
    assert not list(destination.parent.iterdir())


def test_a_body_longer_than_its_size_is_not_read_to_its_end(
    client: Client, server: UpstreamServer, destination: Path
) -> None:
    with pytest.raises(FetchError, match="expected 1000 bytes"):
        client.download(server.file_url("big-1.0.tar.gz"), destination, size=1000)
    assert not list(destination.parent.iterdir())


def test_content_labelled_as_coded_arrives_as_it_is(client: Client, server: UpstreamServer, destination: Path) -> None:
    client.download(server.file_url("big-1.0.tar.gz"), destination)
    assert server.requests[0][1]["accept-encoding"] == "identity"


def test_certificates_that_are_not_there_are_a_mistake_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
    with pytest.raises(ConfigError, match="the certificates of authorities can't be read") as caught:
        open_client(1.0)
    assert "SSL_CERT_FILE=/nonexistent.pem" in caught.value.where

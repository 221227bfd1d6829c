"""A mirror of an index on loopback that keeps what it was asked for, so that no benchmark measures the network.

A file's URL on the mirror holds the URL it has upstream; what is kept is never fetched again, so a mirror's directory
is also a fixed view of upstream. Remove it to see upstream anew.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from pybuilder.files import write_atomic
from pybuilder.http import Client, NotFoundError
from tests.support.loopback import LoopbackServer, answering

# The URLs of files on a page of either form: an attribute of HTML, a member of JSON.
_LINK = re.compile(r'(\bhref="|"url":\s*")([^"#]*)')


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What upstream said.

    Attributes:
        status: 200 or 404.
        content_type: The media type.
        file: The body.
    """

    status: int
    content_type: str
    file: Path


@dataclass(kw_only=True)
class Mirror:
    """The mirror.

    Attributes:
        upstream: The URL of the index it mirrors, with a slash at the end.
        directory: What it keeps.
        client: How it asks upstream.
        misses: How often it had to ask upstream since it began.
        root: Its own URL.
    """

    upstream: str
    directory: Path
    client: Client
    misses: int = 0
    root: str = ""
    _locks: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    @property
    def index(self) -> str:
        """The URL to give to installers and builders as their index."""
        return f"{self.root}/simple/"

    def page(self, path: str, accept: str) -> Answer:
        """A page of the index, its files' URLs leading here."""
        return self._kept(urljoin(self.upstream, path), accept)

    def file(self, path: str) -> Answer:
        """A file, or the metadata beside it, by what follows ``/files/`` where a page of ours named it."""
        place, _, name = path.partition("/")
        return self._kept(f"{urlsafe_b64decode(place).decode()}/{name}", "")

    def _kept(self, url: str, accept: str) -> Answer:
        """What upstream said to this question, asked once; pages are those with an Accept header."""
        kept = self.directory / hashlib.sha256(f"{accept} {url}".encode()).hexdigest()
        with self._locks[kept.name]:
            if not (kept / "answer.json").exists():
                self.misses += 1
                kept.mkdir(parents=True, exist_ok=True)
                write_atomic(kept / "answer.json", json.dumps(self._ask(url, accept, kept / "body")).encode())
        return Answer(file=kept / "body", **json.loads((kept / "answer.json").read_bytes()))

    def _ask(self, url: str, accept: str, body: Path) -> dict[str, object]:
        try:
            if not accept:
                self.client.download(url, body)
                return {"status": 200, "content_type": "application/octet-stream"}
            page = self.client.get(url, accept=accept)
        except NotFoundError:
            write_atomic(body, b"not found upstream\n")
            return {"status": 404, "content_type": "text/plain"}
        text = _LINK.sub(lambda link: link[1] + _here(urljoin(page.url, link[2])), page.body.decode())
        write_atomic(body, text.encode())
        return {"status": 200, "content_type": page.content_type}


def _here(url: str) -> str:
    place, _, name = url.rpartition("/")
    return f"/files/{urlsafe_b64encode(place.encode()).decode()}/{name}"


@contextmanager
def serve(directory: Path, upstream: str) -> Iterator[Mirror]:
    """Run a mirror on a free port of 127.0.0.1.

    Args:
        directory: What it keeps, also for the next time.
        upstream: The URL of the index.
    """
    with Client() as client:
        mirror = Mirror(upstream=upstream.rstrip("/") + "/", directory=directory, client=client)
        handler = type("Handler", (_Handler,), {"mirror": mirror})
        with LoopbackServer(handler) as http:
            mirror.root = http.root
            with answering(http):
                yield mirror


class _Handler(BaseHTTPRequestHandler):
    mirror: Mirror
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        kind, _, rest = urlsplit(self.path).path.lstrip("/").partition("/")
        if kind == "simple":
            answer = self.mirror.page(rest, self.headers.get("Accept") or "*/*")
        else:
            answer = self.mirror.file(rest)
        self._send(answer, answer.file.read_bytes())

    def _send(self, answer: Answer, body: bytes) -> None:
        status, headers = answer.status, {"Content-Type": answer.content_type, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if wanted and status == 200 and (wanted[1] or wanted[2]):
            first, last = _range(wanted[1], wanted[2], len(body))
            status, headers["Content-Range"] = 206, f"bytes {first}-{last}/{len(body)}"
            body = body[first : last + 1]
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _range(first: str, last: str, size: int) -> tuple[int, int]:
    """The first and last byte of a range (RFC 9110, 14.1.2)."""
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last or size - 1), size - 1)

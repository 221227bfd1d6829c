"""Serve published trees over HTTP, for use on this machine: any web server can do it for the world."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import IO
from urllib.parse import quote, unquote, urlsplit

from packaging.utils import canonicalize_name

from pybuilder.errors import UsageError
from pybuilder.web.negotiation import HTML, JSON_V1, Span, choose, requested_span

_TYPES = {
    ".html": HTML,
    ".json": "application/json",
    ".v1_json": JSON_V1,
    ".metadata": "text/plain; charset=utf-8",
    ".log": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".whl": "application/zip",
    ".zip": "application/zip",
    ".tar": "application/x-tar",
    ".gz": "application/gzip",
}
_SIMPLE = re.compile(r"(.*/simple/)([^/]+)(/?)\Z")
_PIECE = 1 << 18


def serve(root: Path, *, host: str = "127.0.0.1", port: int, ready: Callable[[str], None]) -> None:
    """Serve the channels below ``root`` until interrupted.

    Args:
        root: A directory with one tree for each channel, so that an index is at ``/<channel>/simple/``.
        host: The address to listen on.
        port: The port, or 0 for a free one.
        ready: Called once with the URL, when connections are accepted.

    Raises:
        UsageError: The address can't be had.
    """
    with listening(root, host=host, port=port) as server:
        ready(server.url)
        server.serve_forever()


@contextmanager
def listening(root: Path, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[Server]:
    """A server that has its port; it answers once somebody calls its ``serve_forever``.

    Raises:
        UsageError: The address can't be had.
    """
    try:
        server = Server(root, host, port)
    except OSError as error:
        reasons = {errno.EADDRINUSE: "another program uses it", errno.EACCES: "only root may use it"}
        raise UsageError(
            f"can't listen on port {port} of {host}: {reasons.get(error.errno or 0, error.strerror)}",
            cure="choose another port, or 0 for any that is free",
        ) from error
    with server:
        yield server


class Server(ThreadingTCPServer):
    """The listening socket and what it serves; TCPServer and not HTTPServer, which asks the DNS for its own name."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, root: Path, host: str, port: int) -> None:
        self.root = Path(os.path.realpath(root))
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        """The address to name to clients, with a slash at its end."""
        host, port = self.socket.getsockname()[:2]
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up: a library prints nothing, and they do so all the time."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "pybuild"
    sys_version = ""
    timeout = 60
    # Headers and body go out as one packet for small pages.
    wbufsize = -1
    server: Server

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        # One slash at the beginning: two in a Location would send the client to another host.
        path = "/" + unquote(urlsplit(self.path).path).lstrip("/")
        location = redirection(path)
        if location is not None:
            self._empty(HTTPStatus.MOVED_PERMANENTLY, {"Location": quote(location)})
            return
        target = _inside(self.server.root, path)
        if target is None or (path.endswith("/") and not target.is_dir()):
            self._empty(HTTPStatus.NOT_FOUND)
        elif target.is_dir():
            self._answer_directory(target, path, body=body)
        else:
            self._answer_file(target, _content_type(target), {}, body=body)

    def _answer_directory(self, directory: Path, path: str, *, body: bool) -> None:
        page = directory / "index.html"
        if not page.is_file():
            self._empty(HTTPStatus.NOT_FOUND)
        elif not path.endswith("/"):
            self._empty(HTTPStatus.MOVED_PERMANENTLY, {"Location": quote(path) + "/"})
        else:
            chosen = choose(",".join(self.headers.get_all("Accept", [])))
            if chosen is None:
                self._empty(HTTPStatus.NOT_ACCEPTABLE, {"Vary": "Accept"})
            else:
                page = page.with_suffix(".json") if chosen == JSON_V1 else page
                self._answer_file(page, chosen, {"Vary": "Accept", "Cache-Control": "no-cache"}, body=body)

    def _answer_file(self, path: Path, content_type: str, extra: dict[str, str], *, body: bool) -> None:
        try:
            stream = path.open("rb")
        except OSError:
            self._empty(HTTPStatus.NOT_FOUND)
            return
        with stream:
            stat = os.fstat(stream.fileno())
            headers = {
                "Content-Type": content_type,
                "ETag": _etag(stat),
                "Last-Modified": formatdate(stat.st_mtime, usegmt=True),
                "Accept-Ranges": "bytes",
                **extra,
            }
            if _matches(self.headers.get("If-None-Match", ""), headers["ETag"]):
                self._head(HTTPStatus.NOT_MODIFIED, headers)
                return
            self._send(stream, stat.st_size, headers, body=body)

    def _send(self, stream: IO[bytes], size: int, headers: dict[str, str], *, body: bool) -> None:
        wanted = self.headers.get("Range", "") if self._range_is_current(headers) else ""
        try:
            span = requested_span(wanted, size)
        except ValueError:
            self._empty(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {"Content-Range": f"bytes */{size}"})
            return
        status = HTTPStatus.OK
        if span is not None:
            status = HTTPStatus.PARTIAL_CONTENT
            headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size}"
        span = span or Span(0, size)
        self._head(status, headers | {"Content-Length": str(span.end - span.start)})
        if body:
            _copy(stream, self.wfile, span)

    def _range_is_current(self, headers: dict[str, str]) -> bool:
        return self.headers.get("If-Range", headers["ETag"]) in (headers["ETag"], headers["Last-Modified"])

    def _empty(self, status: HTTPStatus, headers: dict[str, str] | None = None) -> None:
        self._head(status, {"Content-Length": "0", **(headers or {})})

    def _head(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def redirection(path: str) -> str | None:
    """Where a request for a project by another spelling of its name, or without the slash, is sent (PEP 503)."""
    match = _SIMPLE.match(path)
    if match is None or match[2].startswith("index."):
        return None
    right = f"{match[1]}{canonicalize_name(match[2])}/"
    return None if right == path else right


def _inside(root: Path, path: str) -> Path | None:
    """The file or directory a path names, if it exists below ``root`` with all links followed and nothing hidden."""
    parts = [part for part in path.split("/") if part]
    if any(part.startswith(".") or "\0" in part for part in parts):
        return None
    real = Path(os.path.realpath(root.joinpath(*parts)))
    # os.path.exists and not Path.exists, which raises where a name is too long for the file system.
    return real if real.is_relative_to(root) and os.path.exists(real) else None


def _content_type(path: Path) -> str:
    return JSON_V1 if path.name == "index.json" else _TYPES.get(path.suffix, "application/octet-stream")


def _etag(stat: os.stat_result) -> str:
    # Files are never rewritten in place, so inode, time and size tell two contents apart, without reading a gigabyte.
    key = f"{stat.st_ino} {stat.st_mtime_ns} {stat.st_size}"
    return f'"{hashlib.sha256(key.encode()).hexdigest()[:32]}"'


def _matches(header: str, etag: str) -> bool:
    """Whether ``If-None-Match`` names this content (RFC 9110, 13.1.2: weakly compared)."""
    return any(each.strip().removeprefix("W/") in (etag, "*") for each in header.split(","))


def _copy(stream: IO[bytes], out: BufferedIOBase, span: Span) -> None:
    stream.seek(span.start)
    left = span.end - span.start
    while left > 0 and (piece := stream.read(min(left, _PIECE))):
        out.write(piece)
        left -= len(piece)

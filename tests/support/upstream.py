"""A package index on loopback that serves a directory of files, well or badly, as a test asks."""

from __future__ import annotations

import hashlib
import html
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from packaging.utils import canonicalize_name

from tests.support.loopback import LoopbackServer, answering

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"


@dataclass
class Fault:
    """What goes wrong, for the next ``times`` requests of one path.

    Attributes:
        status: Answer with this status instead.
        retry_after: With this Retry-After header.
        cut_after: Close the connection after so many bytes of the body.
        content: Answer with these bytes (status 200, or the one above).
        content_type: Under this media type.
        drip: Seconds between one byte of the content and the next.
        hang: Answer nothing until the server is closed.
        location: Answer with a redirect to here.
        headers: Add these headers to the answer.
        times: How often; -1 is for ever.
    """

    status: int = 0
    retry_after: str = ""
    cut_after: int | None = None
    content: bytes | None = None
    content_type: str = "text/html"
    drip: float = 0.0
    hang: bool = False
    location: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    times: int = -1


@dataclass
class UpstreamServer:
    """The index. Change its fields at any time; they are read at each request.

    Attributes:
        directory: The files it offers; a project's are those whose name begins with the project's.
        formats: The media types of the pages it can make, ``json`` and ``html``.
        relative: Whether file URLs are relative to the page.
        base_href: A ``<base href>`` on HTML pages, against which relative URLs are then made.
        hashes: Whether sha256 are given.
        core_metadata: ``none``, ``core`` (PEP 714 names) or ``legacy`` (PEP 658 names); needs ``NAME.metadata`` files.
        pep700: Whether JSON pages have sizes and upload times.
        upload_times: When files were uploaded, by file name; the others were in January 2024.
        yanked: Reasons by file name.
        requires_python: Specifiers by file name.
        ranges: Whether Range is honoured.
        etags: Whether files have an ETag.
        faults: What goes wrong, by path suffix.
        requests: Paths and headers of all requests so far.
    """

    directory: Path
    formats: tuple[str, ...] = ("json", "html")
    relative: bool = True
    base_href: bool = False
    hashes: bool = True
    core_metadata: str = "core"
    pep700: bool = True
    upload_times: dict[str, str] = field(default_factory=dict)
    yanked: dict[str, str] = field(default_factory=dict)
    requires_python: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    etags: bool = True
    faults: dict[str, Fault] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    root: str = ""
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def index(self) -> str:
        """The URL to give to pip as ``--index-url``."""
        return f"{self.root}/simple/"

    def file_url(self, name: str) -> str:
        """The absolute URL of one file."""
        return f"{self.root}/files/{quote(name)}"

    def asked(self, suffix: str) -> list[dict[str, str]]:
        """The headers of all requests for paths that end so."""
        return [headers for path, headers in self.requests if path.endswith(suffix)]

    def page(self, project: str, kind: str) -> bytes | None:
        """A project's page, or None where no file belongs to it."""
        files = [path for path in sorted(self.directory.iterdir()) if _belongs(path.name, project)]
        if not files:
            return None
        return self._json(project, files) if kind == "json" else self._html(project, files)

    def _url(self, name: str) -> str:
        return f"../../files/{quote(name)}" if self.relative else self.file_url(name)

    def _metadata_digest(self, path: Path) -> str:
        metadata = path.with_name(path.name + ".metadata")
        return _sha256(metadata) if self.core_metadata != "none" and metadata.exists() else ""

    def _json(self, project: str, files: list[Path]) -> bytes:
        listed = []
        for path in files:
            entry: dict[str, object] = {"filename": path.name, "url": self._url(path.name)}
            entry["hashes"] = {"sha256": _sha256(path)} if self.hashes else {}
            if digest := self._metadata_digest(path):
                key = "core-metadata" if self.core_metadata == "core" else "dist-info-metadata"
                entry[key] = {"sha256": digest}
            if self.pep700:
                uploaded = self.upload_times.get(path.name, "2024-01-02T03:04:05.000006Z")
                entry |= {"size": path.stat().st_size, "upload-time": uploaded}
            if path.name in self.yanked:
                entry["yanked"] = self.yanked[path.name] or True
            if path.name in self.requires_python:
                entry["requires-python"] = self.requires_python[path.name]
            listed.append(entry)
        version = "1.1" if self.pep700 else "1.0"
        return json.dumps({"meta": {"api-version": version}, "name": project, "files": listed}).encode()

    def _html(self, project: str, files: list[Path]) -> bytes:
        lines = ["<!DOCTYPE html><html><head>", '<meta name="pypi:repository-version" content="1.0">']
        if self.base_href:
            lines.append(f'<base href="{self.root}/files/">')
        lines.append(f"</head><body><h1>Links for {project}</h1>")
        for path in files:
            fragment = f"#sha256={_sha256(path)}" if self.hashes else ""
            url = quote(path.name) if self.base_href else self._url(path.name)
            attributes = [f'href="{url}{fragment}"']
            if digest := self._metadata_digest(path):
                key = "data-core-metadata" if self.core_metadata == "core" else "data-dist-info-metadata"
                attributes.append(f'{key}="sha256={digest}"')
            if path.name in self.yanked:
                attributes.append(f'data-yanked="{html.escape(self.yanked[path.name])}"')
            if path.name in self.requires_python:
                attributes.append(f'data-requires-python="{html.escape(self.requires_python[path.name])}"')
            lines.append(f"<a {' '.join(attributes)}>{path.name}</a><br>")
        return "\n".join([*lines, "</body></html>"]).encode()


@contextmanager
def serve(directory: Path, **options: object) -> Iterator[UpstreamServer]:
    """Run an index over ``directory`` on a free port of 127.0.0.1; the options are fields of ``UpstreamServer``."""
    server = UpstreamServer(directory=directory)
    for option, value in options.items():
        assert hasattr(server, option), option
        setattr(server, option, value)
    handler = type("Handler", (_Handler,), {"upstream": server})
    with LoopbackServer(handler) as http:
        server.root = http.root
        with answering(http, server.closing):
            yield server


class _Handler(BaseHTTPRequestHandler):
    upstream: UpstreamServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.upstream.requests.append((path, {key.lower(): value for key, value in self.headers.items()}))
        fault = self._fault(path)
        if fault.hang:
            self.upstream.closing.wait(60)
            self.close_connection = True
        elif fault.location:
            self._answer(fault.status or 302, b"", {"Location": fault.location})
        elif fault.content is not None or fault.status:
            headers = {"Content-Type": fault.content_type} | fault.headers
            if fault.retry_after:
                headers["Retry-After"] = fault.retry_after
            self._answer(fault.status or 200, fault.content or b"", headers, cut=fault.cut_after, drip=fault.drip)
        elif path.startswith("/simple/"):
            self._page(path)
        else:
            self._file(path, cut=fault.cut_after)

    def _fault(self, path: str) -> Fault:
        for suffix, fault in self.upstream.faults.items():
            if path.endswith(suffix) and fault.times != 0:
                fault.times -= 1
                return fault
        return Fault()

    def _page(self, path: str) -> None:
        project = path.removeprefix("/simple/").strip("/")
        wants_json = JSON_TYPE in self.headers.get("Accept", "")
        kind = "json" if "json" in self.upstream.formats and wants_json else "html"
        if kind not in self.upstream.formats:
            kind = self.upstream.formats[0]
        body = self.upstream.page(project, kind)
        if body is None:
            self._answer(404, b"404 Not Found", {"Content-Type": "text/plain"})
            return
        self._answer(200, body, {"Content-Type": JSON_TYPE if kind == "json" else HTML_TYPE})

    def _file(self, path: str, *, cut: int | None) -> None:
        file = self.upstream.directory / Path(path).name
        if not path.startswith("/files/") or not file.is_file():
            self._answer(404, b"404 Not Found", {"Content-Type": "text/plain"})
            return
        data = file.read_bytes()
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        headers = {"Content-Type": "application/octet-stream"} | ({"ETag": etag} if self.upstream.etags else {})
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if wanted and self.upstream.ranges and self.headers.get("If-Range", etag) == etag:
            # Without a beginning it is so many bytes from the end (RFC 9110, section 14.1.2).
            start = int(wanted[1]) if wanted[1] else max(0, len(data) - int(wanted[2]))
            end = min(int(wanted[2]) if wanted[1] and wanted[2] else len(data) - 1, len(data) - 1)
            if start >= len(data):
                self._answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
            self._answer(206, data[start : end + 1], headers, cut=cut)
            return
        self._answer(200, data, headers, cut=cut)

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None, drip: float = 0.0
    ) -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(key, value)
        self.end_headers()
        for position in range(len(body) if drip else 0):
            self.wfile.write(body[position : position + 1])
            self.wfile.flush()
            if self.upstream.closing.wait(drip):
                break
        if self.command != "HEAD" and not drip:
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True


def _belongs(filename: str, project: str) -> bool:
    if filename.endswith(".metadata"):
        return False
    stem = filename.split("-")
    return any(canonicalize_name("-".join(stem[:count])) == project for count in range(1, len(stem)))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

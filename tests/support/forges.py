"""Who knows versions, on loopback: the APIs of GitHub, GitLab and Anitya, index pages, any page; and what was asked."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import quote

from tests.support.loopback import LoopbackServer, answering

COMMIT = "c" * 40


@dataclass(frozen=True)
class Answered:
    """One request, and what was answered."""

    path: str
    headers: Mapping[str, str]
    status: int


@dataclass
class Knower:
    """The server; change its fields at any time.

    Attributes:
        pages: What it has, by path and query: a body, and header fields beside the ETag.
        delay: Seconds that each answer takes.
        conditional: Whether pages have an ETag, and If-None-Match is honoured.
        down: Whether every answer is 503.
        log: What it was asked.
        busiest: How many requests it was busy with at once, at most.
    """

    root: str = ""
    pages: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    delay: float = 0.0
    conditional: bool = True
    down: bool = False
    log: list[Answered] = field(default_factory=list)
    busiest: int = 0
    _busy: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        """Host and port, as a variable would name it."""
        return self.root.partition("://")[2]

    def statuses(self, part: str = "") -> list[int]:
        """What was answered to requests for paths with this in them."""
        return [one.status for one in self.log if part in one.path]

    def put(self, path: str, body: bytes | str | Any, **headers: str) -> None:
        """Have a page; what is neither bytes nor text is JSON."""
        data = (
            body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        )
        self.pages[path] = (data, {key.replace("_", "-"): value for key, value in headers.items()})

    def index(self, name: str, *files: Mapping[str, Any]) -> None:
        """A project's page (PEP 691); of a file at least its ``filename``."""
        listed = [{"url": f"../../files/{each['filename']}", "hashes": {}} | dict(each) for each in files]
        page = {"meta": {"api-version": "1.1"}, "name": name, "files": listed}
        self.put(f"/simple/{name}/", page, Content_Type="application/vnd.pypi.simple.v1+json")

    def sdists(self, name: str, *versions: str, **facts: Any) -> None:
        """A project's page with an sdist of each version, uploaded long ago."""
        defaults = {"upload-time": "2024-01-02T03:04:05.000006Z"} | facts
        self.index(name, *({"filename": f"{name}-{version}.tar.gz"} | defaults for version in versions))

    def github_tags(self, repository: str, *pages: Sequence[str]) -> None:
        """The tags of a repository on a GitHub of one's own, in pages."""
        path = f"/api/v3/repos/{repository}/tags?per_page=100"
        self._paged(path, [[{"name": tag, "commit": {"sha": COMMIT}} for tag in tags] for tags in pages])

    def github_releases(self, repository: str, *releases: Mapping[str, Any]) -> None:
        """The releases of a repository."""
        self._paged(f"/api/v3/repos/{repository}/releases?per_page=100", [list(releases)])

    def gitlab_tags(self, project: str, *tags: str) -> None:
        """The tags of a project."""
        listed = [{"name": tag, "commit": {"id": COMMIT}} for tag in tags]
        self._paged(f"/api/v4/projects/{quote(project, safe='')}/repository/tags?per_page=100", [listed])

    def gitlab_releases(self, project: str, *releases: Mapping[str, Any]) -> None:
        """The releases of a project."""
        self._paged(f"/api/v4/projects/{quote(project, safe='')}/releases?per_page=100", [list(releases)])

    def anitya(self, number: int, *versions: str) -> None:
        """The versions of a project of Anitya's."""
        listed = {"latest_version": versions[0], "versions": list(versions), "stable_versions": list(versions)}
        self.put(f"/api/v2/versions/?project_id={number}", listed)

    def _paged(self, path: str, pages: Sequence[Sequence[Any]]) -> None:
        for number, entries in enumerate(pages, start=1):
            here = path if number == 1 else f"{path}&page={number}"
            last = number == len(pages)
            link = {} if last else {"Link": f'<{self.root}{path}&page={number + 1}>; rel="next", <x>; rel="last"'}
            self.put(here, list(entries), **link)


@contextmanager
def knower(**options: Any) -> Iterator[Knower]:
    """Run a server on a free port of 127.0.0.1; the options are fields of ``Knower``."""
    server = Knower(**options)
    handler = type("Handler", (_Handler,), {"knower": server})
    with LoopbackServer(handler) as http:
        server.root = http.root
        with answering(http):
            yield server


class _Handler(BaseHTTPRequestHandler):
    knower: Knower
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer."""
        here = self.knower
        with here._guard:
            here._busy += 1
            here.busiest = max(here.busiest, here._busy)
        try:
            if here.delay:
                time.sleep(here.delay)
            self._answer()
        finally:
            with here._guard:
                here._busy -= 1

    def _answer(self) -> None:
        body, headers = self.knower.pages.get(self.path, (b"no", {}))
        status = 503 if self.knower.down else 200 if self.path in self.knower.pages else 404
        if status == 200 and self.knower.conditional:
            headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:16]}"'} | headers
            if self.headers.get("If-None-Match") == headers["ETag"]:
                status, body = 304, b""
        asked = {key.lower(): value for key, value in self.headers.items()}
        self.knower.log.append(Answered(path=self.path, headers=asked, status=status))
        self.send_response(status)
        for key, value in ({"Content-Type": "application/json", "Content-Length": str(len(body))} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

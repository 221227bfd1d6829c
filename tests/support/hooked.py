"""A webhook on loopback that keeps what it is sent and answers as a test asks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.loopback import LoopbackServer, answering

ANSWERED = (204, "")


@dataclass
class HookServer:
    """The hook.

    Attributes:
        answers: Status and Retry-After of the next answers; after these it takes everything.
        drip: Whether it sends its answers a byte at a time, for ever.
        hang: Whether it answers nothing until it is closed.
        requests: Headers and documents of all requests so far.
    """

    answers: list[tuple[int, str]] = field(default_factory=list)
    drip: bool = False
    hang: bool = False
    requests: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    root: str = ""
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where it takes messages; its secrets are in the path and in the query."""
        return self.root.replace("//", "//user:hunter2@") + "/services/T0/s3cret?token=t0ken"

    @property
    def documents(self) -> list[Any]:
        """All documents so far."""
        return [document for _, document in self.requests]


@contextmanager
def hook() -> Iterator[HookServer]:
    """Run a hook on a free port of 127.0.0.1."""
    server = HookServer()
    handler = type("Handler", (_Handler,), {"hook": server})
    with _Server(handler) as http:
        server.root = http.root
        with answering(http, server.closing):
            yield server


class _Server(LoopbackServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that leave in the middle of an answer."""


class _Handler(BaseHTTPRequestHandler):
    hook: HookServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {key.lower(): value for key, value in self.headers.items()} | {"path": self.path}
        self.hook.requests.append((headers, json.loads(body)))
        if self.hook.hang:
            self.hook.closing.wait(60)
            self.close_connection = True
            return
        if self.hook.drip:
            while not self.hook.closing.wait(0.02):
                self.wfile.write(b"H")
        status, retry_after = self.hook.answers.pop(0) if self.hook.answers else ANSWERED
        self.send_response(status)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        if 300 <= status < 400:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.hook.requests.append(({"method": "GET"}, None))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

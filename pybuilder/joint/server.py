"""The planning view served: an index on loopback, under a secret path, as long as uv asks."""

from __future__ import annotations

import secrets
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from pybuilder.interruption import wake
from pybuilder.joint.pages import METADATA_SUFFIX, PAGE_TYPE

# Between a stop and the moment the server sees it, in seconds.
_POLL = 0.005

_LINE_LIMIT = 65_536  # bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A running server.

    Attributes:
        url: The index; a secret.
        failures: What the world raised, in the order it happened.
    """

    url: str
    failures: list[BaseException]


@contextmanager
def served(answer: Callable[[str], bytes | None]) -> Iterator[Served]:
    """An index on loopback; when the block is left, it is gone and nothing of it runs.

    Args:
        answer: What there is at a path below the index; raising ends the connection without an answer.
    """
    # Other users of this machine can connect, so what they can't guess is the path.
    prefix = f"/{secrets.token_urlsafe(24)}/"
    with _Server(prefix, answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(_POLL,), name="planning view")
        thread.start()
        try:
            yield Served(url=f"http://127.0.0.1:{server.server_address[1]}{prefix}", failures=server.failures)
        finally:
            wake()
            server.shutdown()
            server.hang_up()
            thread.join()


# No HTTPServer: it asks the resolver for the host's name, which can take seconds.
class _Server(socketserver.ThreadingTCPServer):
    request_queue_size = 128
    # Closing waits for the threads: a call of the world outlives no resolution.
    daemon_threads = False
    block_on_close = True

    def __init__(self, prefix: str, answer: Callable[[str], bytes | None]) -> None:
        self.prefix = prefix
        self.answer = answer
        self.failures: list[BaseException] = []
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: what the world raised is in ``failures``, and who goes away may."""

    def hang_up(self) -> None:
        """End the connections, also those on which nothing comes."""
        for connection in tuple(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


# As much of HTTP/1.1 (RFC 9112) as uv uses. In the standard library's handler headers take longer than all the rest.
class _Handler(socketserver.StreamRequestHandler):
    server: _Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Answer one request after the other, until the other side hangs up or speaks nonsense."""
        while (path := self._request()) is not None:
            body = self._body(path)
            kind = "text/plain" if path.endswith(METADATA_SUFFIX) else PAGE_TYPE
            # The port and the path are others next time, so what uv kept would only pile up: no-store.
            head = (
                f"HTTP/1.1 {'404 Not Found' if body is None else '200 OK'}\r\nContent-Type: {kind}\r\n"
                f"Content-Length: {len(body or b'')}\r\nCache-Control: no-store\r\n\r\n"
            )
            # In one piece: the second of two would wait for the acknowledgement of the first.
            self.wfile.write(head.encode() + (body or b""))

    def _request(self) -> str | None:
        words = self.rfile.readline(_LINE_LIMIT).decode("latin-1").split()
        while self.rfile.readline(_LINE_LIMIT) not in (b"\r\n", b"\n", b""):
            pass
        return words[1] if len(words) == 3 and words[0] == "GET" else None

    def _body(self, path: str) -> bytes | None:
        if not path.startswith(self.server.prefix):
            return None
        try:
            return self.server.answer(path.removeprefix(self.server.prefix))
        except BaseException as error:
            # uv gets no answer and ends.
            self.server.failures.append(error)
            raise

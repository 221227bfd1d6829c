"""Servers of tests: on a free port of 127.0.0.1, in a thread of their own, for as long as a test needs them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer


class LoopbackServer(ThreadingHTTPServer):
    """An HTTP server that waits for nobody when it is closed."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)

    @property
    def root(self) -> str:
        """Its URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def answering(server: BaseServer, closing: threading.Event | None = None) -> Iterator[None]:
    """Let a server answer meanwhile; what its answers wait for in the end is told first."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        if closing:
            closing.set()
        server.shutdown()
        thread.join()

"""The planning view: what a world says, as an index for uv, on loopback and under a secret path."""

from __future__ import annotations

import secrets
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pybuilder.errors import FetchError
from pybuilder.joint.pages import METADATA_SUFFIX, PAGE_TYPE, Offer, metadata_file, project_page, satisfied, version_of
from pybuilder.tree import Package

# Between a stop and the moment the server sees it, in seconds.
_POLL = 0.005

_LINE_LIMIT = 65_536  # bytes


class World(Protocol):
    """What exists, as the resolver may ask. Several threads ask at once, also for what turns out not to be needed."""

    def offers(self, name: NormalizedName) -> Sequence[Offer] | None:
        """The versions that can be had, in any order; None if there is no such project."""
        ...

    def requires(self, name: NormalizedName, version: Version) -> tuple[Requirement, ...] | None:
        """What a version requires, markers not yet evaluated; None if nobody knows that without building it.

        Raises:
            FetchError: It can't be found out. That counts only if the version is chosen.
        """
        ...


class View:
    """A world for one target, as the bytes of an index.

    What nobody knows, and what fails, is shown as a version that requires nothing: a version that is then not chosen
    doesn't matter, since whatever it requires could only have excluded more.

    Args:
        world: What exists.
        markers: The target's environment (PEP 508).
        python: The target's full version.

    Attributes:
        python: As given.
        missing: The projects that don't exist, of those asked for.
        empty: The projects that offer nothing.
        other_pythons: By project, each Requires-Python that leaves the target out, and the newest version that has it.
        unknown: The versions whose requirements nobody knows.
        failed: The versions whose requirements can't be found out, with the reason.
    """

    def __init__(self, world: World, *, markers: Mapping[str, str], python: str) -> None:
        self._world = world
        self._markers = markers
        self.python = python
        self.missing: set[NormalizedName] = set()
        self.empty: set[NormalizedName] = set()
        self.other_pythons: dict[NormalizedName, dict[str, Version]] = {}
        self.unknown: set[Package] = set()
        self.failed: dict[Package, FetchError] = {}

    def answer(self, path: str) -> bytes | None:
        """What the index has at ``NAME/`` or ``NAME/FILE.metadata``, or None."""
        project, _, file = unquote(path).partition("/")
        name = canonicalize_name(project)
        if not file:
            return self._page(name)
        version = version_of(file)
        return None if version is None else self._metadata(name, version)

    def _page(self, name: NormalizedName) -> bytes | None:
        offers = self._world.offers(name)
        if offers is None:
            self.missing.add(name)
            return None
        if not offers:
            self.empty.add(name)
        for offer in sorted(offers, key=lambda offer: offer.version):
            if not satisfied(offer.requires_python, self.python):
                self.other_pythons.setdefault(name, {})[offer.requires_python] = offer.version
        return project_page(name, offers, self.python)

    def _metadata(self, name: NormalizedName, version: Version) -> bytes:
        try:
            requirements = self._world.requires(name, version)
            if requirements is not None:
                return metadata_file(name, version, requirements, self._markers)
            self.unknown.add((name, version))
        except FetchError as error:
            self.failed[name, version] = error
        return metadata_file(name, version, (), self._markers)


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

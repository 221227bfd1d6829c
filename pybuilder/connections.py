"""The connections of an HTTP client, so that Ctrl-C can end them: no signal wakes a thread that waits for a server."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from pybuilder.errors import ConfigError

if TYPE_CHECKING:
    from socket import socket

    import httpx2

# A socket that gets TLS is another one from then on.
_MADE = ("connect_tcp.complete", "start_tls.complete")


def open_client(timeout: Any) -> httpx2.Client:
    """An HTTP client.

    Raises:
        ConfigError: The certificates of authorities that the environment names can't be read.
    """
    import httpx2

    try:
        return httpx2.Client(follow_redirects=True, timeout=timeout, headers={"User-Agent": "pybuild-hermetic"})
    except OSError as error:
        named = [f"{name}={os.environ[name]}" for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ]
        raise ConfigError(
            f"the certificates of authorities can't be read: {error.strerror or error}",
            where=", ".join(named) or str(error.filename or ""),
            cure="name a file that is there, or unset the variable",
        ) from error


@dataclass(slots=True)
class Connections:
    """Those that are open; once they were cut, all that are made are cut at once.

    Attributes:
        cut: Whether they were.
    """

    cut: bool = False
    _sockets: WeakSet[socket] = field(default_factory=WeakSet)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def trace(self, event: str, facts: Mapping[str, Any]) -> None:
        """Hear of a connection that is made (httpcore's extension "trace")."""
        if event.endswith(_MADE):
            made = facts["return_value"].get_extra_info("socket")
            with self._lock:
                self._sockets.add(made)
            if self.cut:
                _shut(made)

    def end(self) -> None:
        """Cut them: whoever waits on one hears that it has ended."""
        self.cut = True
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            _shut(each)


def _shut(connection: socket) -> None:
    # A run that asks nobody does not import it.
    from socket import SHUT_RDWR

    with suppress(OSError):
        connection.shutdown(SHUT_RDWR)

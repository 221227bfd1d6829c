"""The connections of an HTTP client, so that Ctrl-C can end them: no signal wakes a thread that waits for a server."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from socket import socket

# A socket that gets TLS is another one from then on.
_MADE = ("connect_tcp.complete", "start_tls.complete")


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

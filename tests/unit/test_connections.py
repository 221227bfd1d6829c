from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from pybuilder.connections import Connections

Pair = tuple[socket.socket, socket.socket]


class Stream:
    """What httpcore says was made."""

    def __init__(self, made: socket.socket) -> None:
        self.made = made

    def get_extra_info(self, name: str) -> Any:
        return {"socket": self.made}[name]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        ours.settimeout(5)
        yield ours, theirs


@pytest.mark.parametrize("event", ["connection.connect_tcp.complete", "http_proxy.start_tls.complete"])
def test_who_waits_hears_that_it_has_ended(pair: Pair, event: str) -> None:
    connections = Connections()
    connections.trace(event, {"return_value": Stream(pair[0])})
    assert not connections.cut
    connections.end()
    assert connections.cut
    assert pair[0].recv(1) == b""


def test_what_is_made_afterwards_is_cut_at_once(pair: Pair) -> None:
    connections = Connections()
    connections.end()
    connections.trace("connection.connect_tcp.complete", {"return_value": Stream(pair[0])})
    assert pair[0].recv(1) == b""


def test_what_is_closed_or_not_made_yet_is_left_alone(pair: Pair) -> None:
    connections = Connections()
    connections.trace("connection.connect_tcp.started", {"host": "localhost"})
    connections.trace("connection.connect_tcp.complete", {"return_value": Stream(pair[0])})
    pair[0].close()
    connections.end()
    assert connections.cut

"""Politeness: how many ask one server at once, and when it is left alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pybuilder import interruption
from pybuilder.errors import FetchError
from pybuilder.http import UnreachableError, redact

AT_ONCE = 8


def host_of(url: str) -> str:
    """The server that a URL leads to, with its port and without anybody's password."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


@dataclass(kw_only=True, slots=True)
class _Host:
    turns: threading.BoundedSemaphore
    failures: int = 0
    said: str = ""


@dataclass(kw_only=True)
class Turns:
    """Lets threads ask a server, so many at once; once so many in a row got no answer, the others don't ask any more.

    Args:
        at_once: How many may ask one server at once.
        patience: How many in a row may get no answer.
    """

    at_once: int = AT_ONCE
    patience: int = 8
    _hosts: dict[str, _Host] = field(default_factory=dict, init=False, repr=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @contextmanager
    def at(self, url: str) -> Iterator[None]:
        """This thread's turn at the server of a URL; what is raised inside tells whether it answers.

        Raises:
            UnreachableError: It did not answer the others.
        """
        name = host_of(url)
        with self._guard:
            host = self._hosts.setdefault(name, _Host(turns=threading.BoundedSemaphore(self.at_once)))
        while not host.turns.acquire(timeout=interruption.TICK):
            interruption.check()
        try:
            self._check(host, name, url)
            yield
        except UnreachableError as error:
            self._note(host, error.what)
            raise
        except FetchError:
            # An answer, if not the one that was hoped for.
            self._note(host, "")
            raise
        else:
            self._note(host, "")
        finally:
            host.turns.release()

    def _check(self, host: _Host, name: str, url: str) -> None:
        if host.failures < self.patience:
            return
        what = f"not asked, since {name} gave no answer {self.patience} times in a row"
        raise UnreachableError(f"{what}: {host.said}", where=redact(url), cure="wait until the server is back")

    def _note(self, host: _Host, said: str) -> None:
        with self._guard:
            if host.failures < self.patience:
                host.failures = host.failures + 1 if said else 0
                host.said = said

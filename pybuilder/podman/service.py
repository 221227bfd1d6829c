"""What we ask a podman service for, in the words of the libpod API, over the socket where it listens."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from pybuilder import interruption
from pybuilder.errors import EngineError
from pybuilder.processes import install_command

OLDEST = (4, 0)
_API = f"/v{OLDEST[0]}.{OLDEST[1]}.0/libpod"
_ANSWER_TIMEOUT = 120.0  # seconds
_BUSY_TIMEOUT = 20.0


@dataclass(kw_only=True, slots=True)
class Service:
    """A podman that answers.

    Attributes:
        socket: Where.
        runtime: The OCI runtime that it was started with; empty for the machine's own service and its default.
        version: podman's.
    """

    socket: Path
    runtime: str
    version: str
    _held: contextlib.ExitStack

    def create(self, spec: Mapping[str, Any]) -> None:
        """Make a container.

        Args:
            spec: As POST /libpod/containers/create takes it.

        Raises:
            Refused: podman says no.
        """
        self._ask("POST", "/containers/create", body=spec)

    def start(self, container: str) -> None:
        """Start a container.

        Raises:
            Refused: podman or its runtime says no.
        """
        self._ask("POST", f"/containers/{container}/start")

    def first_process(self, container: str) -> int:
        """The number of a container's first process outside; 0 once it has ended.

        Raises:
            Refused: podman says no.
        """
        try:
            return int(self._ask("GET", f"/containers/{container}/json")["State"]["Pid"])
        except Refused as error:
            # Of one that has ended unnoticed podman asks the kernel for its control group.
            if isinstance(error, Gone) or "no such process" in error.what:
                return 0
            raise

    def wait(self, container: str) -> int | None:
        """Wait for a container's end.

        Returns:
            Its exit code; None where it was removed before podman could tell.

        Raises:
            Refused: podman says no.
            KeyboardInterrupt: This thread was told to end; the container runs on.
        """
        path = f"/containers/{container}/wait?condition=stopped&condition=exited&interval=20ms"
        while True:
            try:
                return int(self._ask("POST", path, timeout=interruption.patience()))
            except StillWaiting:
                interruption.check()
            except Refused as error:
                if isinstance(error, Gone) or "already been removed" in error.what:
                    return None
                raise

    def remove(self, container: str) -> None:
        """End a container at once and forget it; one that is gone already is no error.

        Raises:
            Refused: podman says no.
        """
        deadline = time.monotonic() + _BUSY_TIMEOUT
        while True:
            try:
                self._ask("DELETE", f"/containers/{container}?force=true&timeout=0")
            except Gone:
                return
            except Unanswered:
                raise
            except Refused:
                # podman's own monitor may be about to remove it, and both unmount the same.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def has_image(self, name: str) -> bool:
        """Whether there is an image of that name.

        Raises:
            Refused: podman says no.
        """
        try:
            self._ask("GET", f"/images/{quote(name, safe='')}/exists")
        except Gone:
            return False
        return True

    def info(self) -> Mapping[str, Any]:
        """What podman knows of the machine (GET /libpod/info); takes a third of a second."""
        found: Mapping[str, Any] = self._ask("GET", "/info")
        return found

    def subordinate_ids(self) -> int:
        """How many user ids podman can give to containers, besides its own user's (subuid(5)).

        Raises:
            Refused: podman says no.
        """
        mapped = self.info()["host"].get("idMappings", {}).get("uidmap") or []
        return sum(int(each["size"]) for each in mapped) - 1

    def close(self) -> None:
        """Hang up."""
        self._held.close()

    def _ask(self, method: str, path: str, *, body: Any = None, timeout: float | None = _ANSWER_TIMEOUT) -> Any:
        answer, content = _exchange(self.socket, method, path, body=body, timeout=timeout)
        if answer.status >= 400:
            kind = Gone if answer.status == 404 else Refused
            raise kind(_message(answer.status, content), where=f"podman {self.version} {self.runtime}".strip())
        try:
            return json.loads(content) if content else None
        except ValueError as error:
            raise _unanswered(error, self.socket) from error


class Refused(EngineError):
    """podman does not do what it was asked for."""


class Gone(Refused):
    """There is no such container."""


class Unanswered(Refused):
    """The service does not answer, or not as podman does; another one may."""


class StillWaiting(Unanswered):
    """The service has not answered in the time that it was given."""


class _Connection(HTTPConnection):
    """To who listens at a socket in the file system; for one request, since podman hangs up on who pauses."""

    def __init__(self, path: Path, *, timeout: float | None) -> None:
        super().__init__("podman", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))

    def ask(self, method: str, path: str, body: Any = None) -> HTTPResponse:
        """Send a request of the libpod API, with a JSON body if one is given; returns when its answer begins.

        Raises:
            StillWaiting: It has not begun in time.
            Unanswered: Nobody answers, or not in HTTP.
        """
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            self.request(method, _API + path, None if body is None else json.dumps(body), headers)
            return self.getresponse()
        except (OSError, HTTPException) as error:
            raise _unanswered(error, self._path) from error


def _exchange(
    path: Path, method: str, what: str, *, body: Any = None, timeout: float | None = _ANSWER_TIMEOUT
) -> tuple[HTTPResponse, bytes]:
    """Ask a service for something, and read all that it answers."""
    with contextlib.closing(_Connection(path, timeout=timeout)) as connection:
        answer = connection.ask(method, what, body)
        try:
            return answer, answer.read()
        except (OSError, HTTPException) as error:
            raise _unanswered(error, path) from error


def _unanswered(error: Exception, path: Path) -> Unanswered:
    kind = StillWaiting if isinstance(error, TimeoutError) else Unanswered
    return kind(
        f"podman's service does not answer: {_one_line(str(error)) or type(error).__name__}",
        where=str(path),
        cure="run the same command again; `podman info` must work",
    )


def _message(status: int, content: bytes) -> str:
    """What podman says, without the kind of error that it appends to what a runtime says."""
    try:
        body = json.loads(content)
        kind = str(body["cause"])
        said = str(body["message"])
        return _one_line(said.removesuffix(f": {kind}") if kind.startswith("OCI ") else said)
    except (ValueError, KeyError, TypeError):
        return f"HTTP {status} {_one_line(content.decode(errors='replace'))[:200]}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def call(path: Path, runtime: str) -> Service:
    """Call the service that listens at a socket.

    One request is left open as long as we hold it, since podman counts requests under way, not connections.

    Args:
        path: The socket.
        runtime: The OCI runtime that the service was started with; empty for its own choice.

    Raises:
        EngineError: What answers is too old, or no podman.
    """
    with contextlib.ExitStack() as held:
        connection = held.enter_context(contextlib.closing(_Connection(path, timeout=_ANSWER_TIMEOUT)))
        parameters = urlencode({"stream": "true", "filters": json.dumps({"container": ["none"]})})
        held.enter_context(connection.ask("GET", f"/events?{parameters}"))
        answer, _ = _exchange(path, "GET", "/_ping")
        version = answer.headers.get("Libpod-API-Version", "")
        check_version(version, path)
        return Service(socket=path, runtime=runtime, version=version, _held=held.pop_all())


def check_version(version: str, path: Path) -> None:
    """Refuse a podman that is too old, or something else that answers there.

    Args:
        version: Of libpod's API, as the service says it.
        path: Its socket.

    Raises:
        EngineError: It is not good enough.
    """
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None:
        raise EngineError(
            "what answers is not podman",
            where=str(path),
            cure="let CONTAINER_HOST name podman's socket, or unset it: pybuild starts podman by itself",
        )
    if (int(found[1]), int(found[2])) < OLDEST:
        raise EngineError(
            f"podman {version} is too old", where=str(path), cure=f"{install_command('podman')} (4.0 or newer)"
        )

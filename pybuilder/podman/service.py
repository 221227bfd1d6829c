"""What we ask a podman service for, through podman-py and the libpod API."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pybuilder import interruption
from pybuilder.errors import EngineError
from pybuilder.processes import install_command

OLDEST = (4, 0)
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
    _client: Any
    _held: Any

    def create(self, spec: Mapping[str, Any]) -> None:
        """Make a container.

        Args:
            spec: As POST /libpod/containers/create takes it.

        Raises:
            Refused: podman says no.
        """
        headers = {"Content-Type": "application/json"}
        self._ask("post", "/containers/create", data=json.dumps(spec), headers=headers)

    def start(self, container: str) -> None:
        """Start a container.

        Raises:
            Refused: podman or its runtime says no.
        """
        self._ask("post", f"/containers/{container}/start")

    def first_process(self, container: str) -> int:
        """The number of a container's first process outside; 0 once it has ended.

        Raises:
            Refused: podman says no.
        """
        try:
            return int(self._ask("get", f"/containers/{container}/json")["State"]["Pid"])
        except Gone:
            return 0

    def wait(self, container: str) -> int | None:
        """Wait for a container's end.

        Returns:
            Its exit code; None where it was removed before podman could tell.

        Raises:
            Refused: podman says no.
            KeyboardInterrupt: This thread was told to end; the container runs on.
        """
        parameters = {"condition": ["stopped", "exited"], "interval": "20ms"}
        while True:
            timeout = (_ANSWER_TIMEOUT, interruption.patience())
            try:
                return int(self._ask("post", f"/containers/{container}/wait", params=parameters, timeout=timeout))
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
                self._ask("delete", f"/containers/{container}", params={"force": True, "timeout": 0})
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
            self._ask("get", f"/images/{quote(name, safe='')}/exists")
        except Gone:
            return False
        return True

    def info(self) -> Mapping[str, Any]:
        """What podman knows of the machine (GET /libpod/info); takes a third of a second."""
        found: Mapping[str, Any] = self._ask("get", "/info")
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
        self._client.close()

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        from podman.errors import APIError

        arguments.setdefault("timeout", _ANSWER_TIMEOUT)
        try:
            answer = getattr(self._client, method)(path, **arguments)
            if answer.status_code < 400:
                return answer.json() if answer.content else None
        except (APIError, ValueError) as error:
            raise _unanswered(error, self.socket) from error
        kind = Gone if answer.status_code == 404 else Refused
        raise kind(_message(answer), where=f"podman {self.version} {self.runtime}".strip())


class Refused(EngineError):
    """podman does not do what it was asked for."""


class Gone(Refused):
    """There is no such container."""


class Unanswered(Refused):
    """The service does not answer, or not as podman does; another one may."""


class StillWaiting(Unanswered):
    """The service has not answered in the time that it was given."""


def _unanswered(error: Exception, path: Path) -> Unanswered:
    from requests.exceptions import ReadTimeout

    kind = StillWaiting if isinstance(error.__cause__, ReadTimeout) else Unanswered
    # podman-py's own words are a URL; the cause says more.
    return kind(
        f"podman's service does not answer: {_one_line(str(error.__cause__ or error))}",
        where=str(path),
        cure="run the same command again; `podman info` must work",
    )


def _message(answer: Any) -> str:
    """What podman says, without the kind of error that it appends to what a runtime says."""
    try:
        body = answer.json()
        kind = str(body["cause"])
        said = str(body["message"])
        return _one_line(said.removesuffix(f": {kind}") if kind.startswith("OCI ") else said)
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code} {_one_line(str(answer.text))[:200]}"


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
    from podman.api.client import APIClient
    from podman.errors import APIError

    with contextlib.ExitStack() as opened:
        client = opened.enter_context(contextlib.closing(APIClient(base_url=f"unix://{path}")))
        try:
            held = client.get(
                "/events",
                params={"stream": "true", "filters": json.dumps({"container": ["none"]})},
                stream=True,
                timeout=(_ANSWER_TIMEOUT, None),
            )
            opened.callback(held.close)
            version = client.get("/_ping", timeout=_ANSWER_TIMEOUT).headers.get("Libpod-API-Version", "")
        except APIError as error:
            raise _unanswered(error, path) from error
        check_version(version, path)
        opened.pop_all()
    return Service(socket=path, runtime=runtime, version=version, _client=client, _held=held)


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

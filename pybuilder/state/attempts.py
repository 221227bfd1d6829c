"""Attempts: every try at a plan, from its first moment."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pybuilder.state.database import Database

INTERRUPTED = "interrupted"
"""How the error of an attempt begins whose run was stopped or killed: that is no fault of the package."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try at a plan, as far as it got.

    Attributes:
        id: Its name from its first moment, ``20261121T061500Z-1a2b3c``; sorts by time.
        key: The digest of its plan.
        recipe: The digest of what a person decided.
        name: Normalised package name.
        version: Upstream's version.
        channel: Where it would be published.
        target: ``cp311-linux_x86_64``.
        engine: ``host`` or ``podman``.
        state: ``running``, ``succeeded`` or ``failed``.
        owner: ``pid:starttime`` of the process that makes it.
        started: UTC, ISO 8601.
        seconds: How long it took; None while it runs.
        phase: Where it failed; None unless it did.
        error: The sentence; None unless it failed.
        sealed: Whether the seal was probed and found tight.
        payload: sha256 of what it made; None unless it succeeded.
        filename: The payload's file name; None unless it succeeded.
    """

    id: str
    key: str
    recipe: str
    name: str
    version: str
    channel: str
    target: str
    engine: str
    state: str
    owner: str
    started: str
    seconds: float | None = None
    phase: str | None = None
    error: str | None = None
    sealed: bool = False
    payload: str | None = None
    filename: str | None = None


class Attempts(Database):
    """The attempts of a state."""

    def begin_attempt(self, attempt: Attempt) -> None:
        """Write an attempt down as running, before anything of it happens."""
        self._write(
            "INSERT INTO attempts (id, key, recipe, name, version, channel, target, engine, state, owner, started)"
            " VALUES (:id, :key, :recipe, :name, :version, :channel, :target, :engine, :state, :owner, :started)",
            dataclasses.asdict(attempt),
        )

    def end_attempt(
        self,
        attempt: str,
        *,
        seconds: float,
        sealed: bool,
        payload: tuple[str, str] | None = None,
        failure: tuple[str, str] | None = None,
    ) -> None:
        """Write down how an attempt ended.

        Args:
            attempt: Its id.
            seconds: How long it took.
            sealed: Whether the seal was probed and found tight.
            payload: ``(sha256, file name)`` of what it made.
            failure: ``(phase, error)`` if it failed.
        """
        sha256, filename = payload or (None, None)
        phase, error = failure or (None, None)
        self._write(
            "UPDATE attempts SET state = :state, seconds = :seconds, sealed = :sealed, payload = :sha256,"
            " filename = :filename, phase = :phase, error = :error WHERE id = :id",
            {
                "id": attempt,
                "state": "failed" if failure else "succeeded",
                "seconds": seconds,
                "sealed": int(sealed),
                "sha256": sha256,
                "filename": filename,
                "phase": phase,
                "error": error,
            },
        )

    def move_attempt(self, attempt: str, *, key: str) -> None:
        """Put a running attempt under another key: the backend wanted more than was known when it began."""
        self._write("UPDATE attempts SET key = :key WHERE id = :id", {"id": attempt, "key": key})

    def restore_attempt(self, attempt: Attempt) -> None:
        """Write down an attempt that ended long ago, as its record says; one that is known stays as it is."""
        names = Attempt.__slots__
        self._write(
            f"INSERT OR IGNORE INTO attempts ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})",
            {name: getattr(attempt, name) for name in names},
        )

    def succeeded(self, key: str) -> Attempt | None:
        """The newest attempt that made a payload for this key."""
        row = self._row(
            "SELECT * FROM attempts WHERE key = :key AND state = 'succeeded' ORDER BY id DESC LIMIT 1",
            key=key,
        )
        return _attempt(row) if row else None

    def attempt(self, identity: str) -> Attempt | None:
        """The attempt with this id."""
        row = self._row("SELECT * FROM attempts WHERE id = :id", id=identity)
        return _attempt(row) if row else None

    def attempts(self, name: str, version: str | None = None) -> list[Attempt]:
        """A package's attempts, newest first."""
        return [
            _attempt(row)
            for row in self._rows(
                "SELECT * FROM attempts WHERE name = :name AND (:version IS NULL OR version = :version)"
                " ORDER BY id DESC",
                name=name,
                version=version,
            )
        ]

    def told(self, columns: Sequence[str], name: str | None = None) -> list[tuple[Any, ...]]:
        """Some columns of every attempt, or of every one of a package, oldest first."""
        return self._tuples(
            f"SELECT {', '.join(columns)} FROM attempts WHERE :name IS NULL OR name = :name ORDER BY id", name=name
        )

    def ended(self) -> list[dict[str, Any]]:
        """Of every attempt that has ended: ``id``, ``key``, ``name``, ``channel``, ``target``, ``payload``."""
        return self._rows("SELECT id, key, name, channel, target, payload FROM attempts WHERE state != 'running'")

    def makers(self, payloads: Iterable[str]) -> list[Attempt]:
        """The attempts that made any of these payloads, newest first."""
        rows = self._rows(
            "SELECT * FROM attempts WHERE state = 'succeeded' AND payload IN (SELECT value FROM json_each(:payloads))"
            " ORDER BY id DESC",
            payloads=json.dumps(list(payloads)),
        )
        return [_attempt(row) for row in rows]

    def failing(self, channel: str) -> list[Attempt]:
        """The attempts that failed and after which none at the same version has succeeded, newest first."""
        later = (
            "SELECT 1 FROM attempts AS later WHERE later.name = attempts.name AND later.version = attempts.version"
            " AND later.channel = :channel AND later.state = 'succeeded' AND later.id > attempts.id"
        )
        rows = self._rows(
            f"SELECT * FROM attempts WHERE channel = :channel AND state = 'failed' AND NOT EXISTS ({later})"
            " ORDER BY id DESC",
            channel=channel,
        )
        return [_attempt(row) for row in rows]

    def outcomes(self, channel: str) -> dict[str, int]:
        """How many attempts of a channel ended in which state."""
        rows = self._rows(
            "SELECT state, count(*) AS count FROM attempts WHERE channel = :channel AND state != 'running'"
            " GROUP BY state",
            channel=channel,
        )
        return {row["state"]: row["count"] for row in rows}

    def running(self) -> list[Attempt]:
        """Attempts that were begun and not ended."""
        return [_attempt(row) for row in self._rows("SELECT * FROM attempts WHERE state = 'running'")]


def _attempt(row: Mapping[str, Any]) -> Attempt:
    return Attempt(**{**row, "sealed": bool(row["sealed"])})

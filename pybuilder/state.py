"""What must be remembered between runs and can't be read off the store: pins, attempts, numbers, validations, review.

SQLite from the standard library: its import is a hundredth of that of an SQL toolkit, which would take half of what a
cached build may take. All statements are here.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybuilder.errors import ConfigError, StateError
from pybuilder.files import disk_errors, write_atomic
from pybuilder.layout import Layout

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE pins (
    name TEXT NOT NULL, version TEXT NOT NULL, pin TEXT NOT NULL, first_seen TEXT NOT NULL,
    PRIMARY KEY (name, version)) WITHOUT ROWID;
CREATE TABLE facts (
    kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE attempts (
    id TEXT PRIMARY KEY, key TEXT NOT NULL, recipe TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,
    channel TEXT NOT NULL, target TEXT NOT NULL, engine TEXT NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL,
    started TEXT NOT NULL, seconds REAL, phase TEXT, error TEXT, sealed INTEGER NOT NULL DEFAULT 0,
    payload TEXT, filename TEXT) WITHOUT ROWID;
CREATE INDEX attempts_by_key ON attempts (key, state);
CREATE INDEX attempts_by_name ON attempts (name, version);
CREATE INDEX attempts_running ON attempts (state) WHERE state = 'running';
CREATE TABLE floors (
    label TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (label, name, version)) WITHOUT ROWID;
CREATE TABLE builds (
    label TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, number INTEGER NOT NULL, channel TEXT NOT NULL,
    started TEXT NOT NULL, PRIMARY KEY (label, name, version, number)) WITHOUT ROWID;
CREATE TABLE wheels (
    label TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, number INTEGER NOT NULL, target TEXT NOT NULL,
    channel TEXT NOT NULL, wheel TEXT NOT NULL, wheel_sha256 TEXT NOT NULL, payload TEXT NOT NULL,
    key TEXT NOT NULL, recipe TEXT NOT NULL, attempt TEXT NOT NULL, published TEXT NOT NULL,
    PRIMARY KEY (label, name, version, number, target)) WITHOUT ROWID;
CREATE INDEX wheels_by_channel ON wheels (channel, name, version, number);
CREATE TABLE validations (
    key TEXT PRIMARY KEY, ok INTEGER NOT NULL, error TEXT NOT NULL, finished TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE review (
    name TEXT NOT NULL, requirement TEXT NOT NULL, wanted_by TEXT NOT NULL, first_seen TEXT NOT NULL,
    PRIMARY KEY (name, requirement, wanted_by)) WITHOUT ROWID;
CREATE TABLE channels (channel TEXT PRIMARY KEY, label TEXT NOT NULL) WITHOUT ROWID;
"""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedWheel:
    """One wheel of a numbered build."""

    label: str
    name: str
    version: str
    number: int
    target: str
    channel: str
    wheel: str
    wheel_sha256: str
    payload: str
    key: str
    recipe: str
    attempt: str
    published: str


class State:
    """The database of one state directory. One object per thread."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, fresh: bool) -> None:
        self._connection = connection
        self._path = path
        self.fresh = fresh

    @classmethod
    def open(cls, layout: Layout) -> State:
        """Open the database, made anew where there is none.

        Raises:
            StateError: It is damaged, or the disk doesn't let us.
            ConfigError: It belongs to another user.
        """
        with disk_errors(layout.root):
            layout.root.mkdir(parents=True, exist_ok=True)
            check_owner(layout)
        with _sqlite_errors(layout.database):
            connection = sqlite3.connect(layout.database, timeout=60, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA synchronous = FULL")
            state = cls(connection, layout.database, fresh=False)
            if connection.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA_VERSION:
                state._create()
        return state

    def _create(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        with self.transaction():
            found = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if found == _SCHEMA_VERSION:
                return
            if found:
                raise StateError(
                    f"the state is of version {found}, this pybuild knows version {_SCHEMA_VERSION}",
                    where=str(self._path),
                    cure="use the pybuild that wrote it, or choose another directory with --state",
                )
            for statement in _SCHEMA.split(";\n"):
                if statement.strip():
                    self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            self.fresh = True

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and nobody else writes meanwhile."""
        with _sqlite_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _write(self, statement: str, values: Mapping[str, Any]) -> int:
        with _sqlite_errors(self._path):
            return self._connection.execute(statement, values).rowcount

    def _rows(self, statement: str, **values: Any) -> list[sqlite3.Row]:
        with _sqlite_errors(self._path):
            return self._connection.execute(statement, values).fetchall()

    def _row(self, statement: str, **values: Any) -> sqlite3.Row | None:
        rows = self._rows(statement, **values)
        return rows[0] if rows else None

    # Pins: what a version's source was when we first saw it.

    def pin(self, name: str, version: str) -> Mapping[str, str] | None:
        """The pin of a version, or None at its first sight."""
        row = self._row("SELECT pin FROM pins WHERE name = :name AND version = :version", name=name, version=version)
        return json.loads(row["pin"]) if row else None

    def add_pin(self, name: str, version: str, pin: Mapping[str, str], *, now: str) -> None:
        """Remember a first sight; an older pin stays."""
        self._write(
            "INSERT OR IGNORE INTO pins VALUES (:name, :version, :pin, :now)",
            {"name": name, "version": version, "pin": json.dumps(dict(pin), sort_keys=True), "now": now},
        )

    # Facts: what a digest's owner has been found to say; they can be found out again.

    def fact(self, kind: str, key: str) -> Any:
        """What is known under a key, or None."""
        row = self._row("SELECT value FROM facts WHERE kind = :kind AND key = :key", kind=kind, key=key)
        return json.loads(row["value"]) if row else None

    def add_fact(self, kind: str, key: str, value: Any) -> None:
        """Remember a fact."""
        self._write(
            "INSERT OR REPLACE INTO facts VALUES (:kind, :key, :value)",
            {"kind": kind, "key": key, "value": json.dumps(value, sort_keys=True)},
        )

    # Attempts.

    def begin_attempt(self, attempt: Attempt) -> None:
        """Write an attempt down as running, before anything of it happens."""
        self._write(
            "INSERT INTO attempts (id, key, recipe, name, version, channel, target, engine, state, owner, started)"
            " VALUES (:id, :key, :recipe, :name, :version, :channel, :target, :engine, :state, :owner, :started)",
            {
                field: getattr(attempt, field)
                for field in (
                    "id",
                    "key",
                    "recipe",
                    "name",
                    "version",
                    "channel",
                    "target",
                    "engine",
                    "state",
                    "owner",
                    "started",
                )
            },
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
                "SELECT * FROM attempts WHERE name = :name AND (:version IS NULL OR version = :version) ORDER BY id DESC",
                name=name,
                version=version,
            )
        ]

    def running(self) -> list[Attempt]:
        """Attempts that were begun and not ended."""
        return [_attempt(row) for row in self._rows("SELECT * FROM attempts WHERE state = 'running'")]

    # Numbers and what was published under them.

    def raise_floor(self, label: str, name: str, version: str, number: int) -> None:
        """No number up to this one is handed out any more, whoever handed it out."""
        self._write(
            "INSERT INTO floors VALUES (:label, :name, :version, :number) ON CONFLICT DO UPDATE"
            " SET number = max(number, excluded.number)",
            {"label": label, "name": name, "version": version, "number": number},
        )

    def mint(self, label: str, name: str, version: str, *, channel: str, floor: int, now: str) -> int:
        """A number nobody has had: greater than every one of the database and than ``floor``."""
        with self.transaction():
            row = self._row(
                "SELECT max(number) AS number FROM (SELECT number FROM floors WHERE label = :label AND name = :name AND"
                " version = :version UNION ALL SELECT number FROM builds WHERE label = :label AND name = :name AND"
                " version = :version)",
                label=label,
                name=name,
                version=version,
            )
            number = max(floor, (row["number"] if row else 0) or 0) + 1
            self._connection.execute(
                "INSERT INTO builds VALUES (:label, :name, :version, :number, :channel, :now)",
                {
                    "label": label,
                    "name": name,
                    "version": version,
                    "number": number,
                    "channel": channel,
                    "now": now,
                },
            )
        return number

    def add_wheels(self, wheels: Sequence[PublishedWheel]) -> None:
        """Write down what has been published, all of it or nothing."""
        with self.transaction():
            for wheel in wheels:
                self._connection.execute(
                    "INSERT OR REPLACE INTO wheels VALUES (:label, :name, :version, :number, :target, :channel, :wheel,"
                    " :wheel_sha256, :payload, :key, :recipe, :attempt, :published)",
                    {name: getattr(wheel, name) for name in PublishedWheel.__slots__},
                )

    def published(self, channel: str, name: str, version: str | None = None) -> list[PublishedWheel]:
        """What a channel has published of a package, newest number first."""
        return [
            PublishedWheel(**dict(row))
            for row in self._rows(
                "SELECT * FROM wheels WHERE channel = :channel AND name = :name AND"
                " (:version IS NULL OR version = :version) ORDER BY published DESC, number DESC, target",
                channel=channel,
                name=name,
                version=version,
            )
        ]

    def published_anywhere(self, name: str) -> list[PublishedWheel]:
        """What any channel has published of a package, newest first."""
        return [
            PublishedWheel(**dict(row))
            for row in self._rows(
                "SELECT * FROM wheels WHERE name = :name ORDER BY published DESC, number DESC", name=name
            )
        ]

    def claim_label(self, channel: str, label: str) -> None:
        """Fix a channel's label at its first publish.

        Raises:
            ConfigError: It has published under another.
        """
        self._write("INSERT OR IGNORE INTO channels VALUES (:channel, :label)", {"channel": channel, "label": label})
        row = self._row("SELECT label FROM channels WHERE channel = :channel", channel=channel)
        if row and row["label"] != label:
            raise ConfigError(
                f"the channel {channel} has published under the label {row['label']!r}, the workspace says {label!r}",
                where="pybuild.toml [label]",
                cure="set the old label again, or publish into another state with --state",
            )

    # Validations, by their own key.

    def validation(self, key: str) -> tuple[bool, str] | None:
        """Whether a validation passed, and what was wrong if not; None if it never ran."""
        row = self._row("SELECT ok, error FROM validations WHERE key = :key", key=key)
        return (bool(row["ok"]), row["error"]) if row else None

    def add_validation(self, key: str, *, ok: bool, error: str, now: str) -> None:
        """Remember how a validation ended."""
        self._write(
            "INSERT OR REPLACE INTO validations VALUES (:key, :ok, :error, :now)",
            {"key": key, "ok": int(ok), "error": error, "now": now},
        )

    # Review.

    def ask_review(self, wanted: Sequence[tuple[str, str, str]], *, now: str) -> None:
        """Queue ``(name, requirement, wanted_by)``."""
        with self.transaction():
            self._connection.executemany(
                "INSERT OR IGNORE INTO review VALUES (?, ?, ?, ?)", [(*entry, now) for entry in wanted]
            )

    def drop_review(self, names: Sequence[str]) -> None:
        """Forget packages that have been accepted."""
        with self.transaction():
            self._connection.executemany("DELETE FROM review WHERE name = ?", [(name,) for name in names])

    def review(self) -> list[dict[str, str]]:
        """The queue, oldest first."""
        rows = self._rows("SELECT name, requirement, wanted_by, first_seen FROM review ORDER BY first_seen, name")
        return [dict(row) for row in rows]


def _attempt(row: sqlite3.Row) -> Attempt:
    return Attempt(**{**dict(row), "sealed": bool(row["sealed"])})


@contextlib.contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        text = str(error)
        if "malformed" in text or "not a database" in text:
            cure = f"move {path.name} away and run again: numbers, records and index are read back from the store"
        elif "full" in text:
            cure = "free some space, then run the same command again"
        elif "readonly" in text or "unable to open" in text:
            cure = "make the directory writable, or choose another with --state"
        else:
            cure = "run the same command again"
        raise StateError(f"the state's database can't be used: {text}", where=str(path), cure=cure) from error


def check_owner(layout: Layout) -> None:
    """Refuse a state that another user (or the same through another id map) made.

    Files of a root made under one id map have other owners under another, so mixing them breaks both.

    Raises:
        ConfigError: It belongs to somebody else.
    """
    me = {"uid": os.geteuid(), "uid_map": Path("/proc/self/uid_map").read_text().split()}
    try:
        owner = json.loads(layout.owner.read_bytes())
    except FileNotFoundError:
        write_atomic(layout.owner, json.dumps(me).encode())
        return
    except ValueError as error:
        raise StateError(
            "the note of who owns the state is damaged",
            where=str(layout.owner),
            cure="remove that file, as its owner",
        ) from error
    if owner != me:
        raise ConfigError(
            f"this state belongs to uid {owner.get('uid')}, you are uid {me['uid']} (or in another user namespace)",
            where=str(layout.root),
            cure="run as its owner, or choose another directory with --state",
        )

"""The database file: one SQLite file, its errors as ours, and who owns it."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from pybuilder.errors import ConfigError, StateError
from pybuilder.files import disk_errors, file_lock, write_atomic
from pybuilder.layout import Layout
from pybuilder.state.schema import SCHEMA, SCHEMA_VERSION

# Bytes below which nothing that SQLite writes has room: a page of its journal with its header.
_ROOM = 16_384


class Database:
    """The database file of one state directory: opening it, transactions, statements.

    Safe to use from several threads at once: a statement or a transaction has a connection to itself, so that no thread
    sees or ends another's transaction. Writers of one process wait for each other on a lock of ours, since SQLite would
    let them look again and again; those of other processes wait for the file.
    """

    def __init__(self, path: Path, *, alone: bool = False) -> None:
        self._path = path
        self._alone = alone
        self._here = threading.local()
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False
        self._writing = threading.RLock()

    @classmethod
    def open(cls, layout: Layout, *, alone: bool = False) -> Self:
        """Open the database, made anew where there is none.

        Args:
            layout: Where it is.
            alone: Whether nobody else gets at it meanwhile; then reading needs no room on the disk. For one thread.

        Raises:
            StateError: It is damaged, or the disk doesn't let us.
            ConfigError: It belongs to another user.
        """
        with disk_errors(layout.root):
            try:
                layout.root.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise StateError(
                    "there is a file where the state directory should be",
                    where=str(layout.root),
                    cure="move it away, or choose another place with --state",
                ) from error
            check_owner(layout)
        with _sqlite_errors(layout.database):
            database = cls(layout.database, alone=alone)
            if database._version() != SCHEMA_VERSION:
                # Who changes the journal's mode beside another gets no turn to wait for.
                with disk_errors(layout.root), file_lock(layout.lock("database")):
                    database._create()
        return database

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection that nobody else has meanwhile: in a transaction of this thread its own, else an idle one."""
        held: sqlite3.Connection | None = getattr(self._here, "connection", None)
        if held is not None:
            yield held
            return
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        except BaseException:
            # It may be in the middle of reading, and would go on to see the database as it is now.
            connection.close()
            raise
        self._idle.append(connection)
        if self._closed:
            self._close_idle()

    def _connect(self) -> sqlite3.Connection:
        # One thread after the other has it.
        connection = sqlite3.connect(self._path, timeout=60, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        if self._alone:
            # No file of shared memory then (SQLite's documents, "Use of WAL Without Shared-Memory").
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _version(self) -> int:
        with self._connection() as connection:
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return version

    def _create(self) -> None:
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        with self.transaction() as connection:
            found = self._version()
            if found == SCHEMA_VERSION:
                return
            if found:
                raise StateError(
                    f"the state is of version {found}, this pybuild knows version {SCHEMA_VERSION}",
                    where=str(self._path),
                    cure="use the pybuild that wrote it, or choose another directory with --state",
                )
            for statement in SCHEMA.split(";\n"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Close what nobody uses, and the rest as soon as it is not used any more."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and nobody else writes meanwhile; this thread's statements are part of it."""
        with self._writing, _sqlite_errors(self._path), self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            self._here.connection = connection
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # After some errors, such as a full disk, SQLite has rolled back by itself.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                self._here.connection = None

    def _write(self, statement: str, values: Mapping[str, Any]) -> int:
        # A statement by itself is a transaction by itself, which waits its turn before it reads anything.
        with self._writing, _sqlite_errors(self._path), self._connection() as connection:
            return connection.execute(statement, values).rowcount

    def _note(self, statement: str, values: Mapping[str, Any]) -> None:
        """The same for what can be found out again: a power cut may undo it, so nobody waits for the disk.

        Whatever is written afterwards in the other way takes it along.
        """
        with self._writing, _sqlite_errors(self._path), self._connection() as connection:
            if connection.in_transaction:
                connection.execute(statement, values)
                return
            connection.execute("PRAGMA synchronous = NORMAL")
            try:
                connection.execute(statement, values)
            finally:
                connection.execute("PRAGMA synchronous = FULL")

    def _rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        with _sqlite_errors(self._path), self._connection() as connection:
            return [dict(row) for row in connection.execute(statement, values)]

    def _tuples(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Rows without names, for a hundred thousand of them."""
        with _sqlite_errors(self._path), self._connection() as connection:
            cursor = connection.cursor()
            cursor.row_factory = None
            return cursor.execute(statement, values).fetchall()

    def _row(self, statement: str, **values: Any) -> dict[str, Any] | None:
        rows = self._rows(statement, **values)
        return rows[0] if rows else None


@contextlib.contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        # A fault in our statements, not in the file.
        raise
    except sqlite3.DatabaseError as error:
        text = str(error)
        if "full" in text or _is_full(path.parent):
            # SQLite has several words for it, few of which name it: a journal that can't be made, an I/O error.
            text, cure = "the disk is full", "free some space (`pybuild gc`), then run the same command again"
        elif "malformed" in text or "not a database" in text:
            cure = f"move {path.name} away and run again: numbers, records and index are read back from the store"
        elif "readonly" in text or "unable to open" in text:
            cure = "make the directory writable, or choose another with --state"
        else:
            cure = "run the same command again"
        raise StateError(f"the state's database can't be used: {text}", where=str(path), cure=cure) from error


def _is_full(directory: Path) -> bool:
    """Whether a file system has no blocks or no inodes left for us; one that counts no inodes says 0 of 0."""
    facts = os.statvfs(directory)
    return facts.f_bavail * facts.f_frsize < _ROOM or (facts.f_files > 0 and facts.f_favail == 0)


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
    except ValueError:
        owner = None
    if not isinstance(owner, dict):
        raise StateError(
            "the note of who owns the state is damaged",
            where=str(layout.owner),
            cure="remove that file, as its owner",
        )
    if owner != me:
        raise ConfigError(
            f"this state belongs to uid {owner.get('uid')}, you are uid {me['uid']} (or in another user namespace)",
            where=str(layout.root),
            cure="run as its owner, or choose another directory with --state",
        )

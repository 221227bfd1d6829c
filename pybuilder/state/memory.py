"""What was found out once: pins, facts, validations, and who waits for review."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pybuilder.state.database import Database


class Memory(Database):
    """What a state remembers besides attempts and numbers."""

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

    def facts(self, kind: str, prefix: str) -> dict[str, Any]:
        """What is known under all keys that begin so."""
        same = "kind = :kind AND substr(key, 1, :length) = :prefix"
        rows = self._rows(f"SELECT key, value FROM facts WHERE {same}", kind=kind, prefix=prefix, length=len(prefix))
        return {row["key"]: json.loads(row["value"]) for row in rows}

    def facts_of(self, kind: str, keys: Iterable[str]) -> dict[str, Any]:
        """What is known under these keys; of those under which nothing is known, nothing."""
        statement = "SELECT key, value FROM facts WHERE kind = :kind AND key IN (SELECT value FROM json_each(:keys))"
        rows = self._rows(statement, kind=kind, keys=json.dumps(list(keys)))
        return {row["key"]: json.loads(row["value"]) for row in rows}

    def add_fact(self, kind: str, key: str, value: Any) -> None:
        """Remember a fact, which a power cut may undo."""
        self._note(
            "INSERT OR REPLACE INTO facts VALUES (:kind, :key, :value)",
            {"kind": kind, "key": key, "value": json.dumps(value, sort_keys=True)},
        )

    def add_facts(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Remember facts, all of them or none."""
        rows = [(kind, key, json.dumps(value, sort_keys=True)) for key, value in facts.items()]
        with self.transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", rows)

    # First sights: when a version, of which nobody says how old it is, was first heard of.

    def first_sights(self, name: str, versions: Sequence[str], *, now: str) -> Mapping[str, str]:
        """When each of a project's versions was first heard of; those that nobody had heard of are from now on.

        So are those of a time to come: the clock was wrong then.
        """
        sights: dict[str, str] = self.fact("first-sights", name) or {}
        if not all(sights.get(version, "~") <= now for version in versions):
            with self.transaction():
                # Another run may have looked since; the older sight stays.
                known: dict[str, str] = self.fact("first-sights", name) or {}
                sights = known | {version: min(known.get(version, now), now) for version in versions}
                self.add_fact("first-sights", name, sights)
        return sights

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
        with self.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO review VALUES (?, ?, ?, ?)", [(*entry, now) for entry in wanted]
            )

    def settle_review(self, entries: Sequence[tuple[str, str, str]]) -> None:
        """Forget single entries, ``(name, requirement, wanted_by)``."""
        with self.transaction() as connection:
            connection.executemany("DELETE FROM review WHERE name = ? AND requirement = ? AND wanted_by = ?", entries)

    def review(self) -> list[dict[str, str]]:
        """The queue, oldest first."""
        return self._rows("SELECT name, requirement, wanted_by, first_seen FROM review ORDER BY first_seen, name")

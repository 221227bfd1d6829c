"""Numbers, and the wheels that were published under them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pybuilder.errors import ConfigError, StateError
from pybuilder.state.database import Database


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


class Numbers(Database):
    """The numbers of a state and what bears them."""

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

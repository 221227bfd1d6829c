"""Numbers, and the wheels that were published under them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pybuilder.errors import ConfigError, StateError
from pybuilder.state.database import Database


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedWheel:
    """One wheel of a numbered build.

    Attributes:
        label: The word before the number, ``pb``.
        name: Normalised package name.
        version: Upstream's version.
        number: The build's number.
        target: ``cp311-linux_x86_64``.
        channel: Where it is published.
        wheel: Its file name.
        wheel_sha256: Its digest.
        payload: The digest of the payload it is made of.
        key: The digest of the plan that made the payload.
        recipe: The digest of what a person decided.
        attempt: The attempt that made the payload.
        published: UTC, ISO 8601.
    """

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


_BUILD = "label = :label AND name = :name AND version = :version AND number = :number"
_COLUMNS = ", ".join(field.name for field in dataclasses.fields(PublishedWheel))


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
            self._write(
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

    def begin_publish(self, wheels: Sequence[PublishedWheel]) -> None:
        """Write down, before it happens, what is about to be published: all of it or nothing.

        Until ``finish_publish`` no other method than ``unfinished_publishes`` shows these wheels. Those of an earlier
        try that didn't finish are replaced.

        Raises:
            StateError: A wheel for that target has been published under that number; such a wheel never changes.
        """
        with self.transaction():
            for wheel in wheels:
                changed = self._write(
                    "INSERT INTO wheels VALUES (:label, :name, :version, :number, :target, :channel, :wheel,"
                    " :wheel_sha256, :payload, :key, :recipe, :attempt, :published, 0) ON CONFLICT DO UPDATE SET"
                    " channel = excluded.channel, wheel = excluded.wheel, wheel_sha256 = excluded.wheel_sha256,"
                    " payload = excluded.payload, key = excluded.key, recipe = excluded.recipe,"
                    " attempt = excluded.attempt, published = excluded.published WHERE visible = 0",
                    dataclasses.asdict(wheel),
                )
                if not changed:
                    raise StateError(f"{wheel.wheel} has been published already", where=str(self._path))

    def finish_publish(self, label: str, name: str, version: str, number: int) -> None:
        """Say that the wheels begun under this number can be seen by everybody."""
        self._write(
            f"UPDATE wheels SET visible = 1 WHERE {_BUILD}",
            {"label": label, "name": name, "version": version, "number": number},
        )

    def drop_unfinished(self, label: str, name: str, version: str, number: int) -> None:
        """Forget the wheels begun under this number; those that were published under it stay."""
        self._write(
            f"DELETE FROM wheels WHERE {_BUILD} AND visible = 0",
            {"label": label, "name": name, "version": version, "number": number},
        )

    def unfinished_publishes(self, channel: str) -> list[PublishedWheel]:
        """Wheels whose publishing was begun and not finished, oldest first."""
        return self._wheels(
            "channel = :channel AND visible = 0 ORDER BY published, name, version, number, target", channel=channel
        )

    def published(self, channel: str, name: str, version: str | None = None) -> list[PublishedWheel]:
        """What a channel has published of a package, newest first."""
        return self._wheels(
            "channel = :channel AND name = :name AND (:version IS NULL OR version = :version) AND visible = 1"
            " ORDER BY published DESC, number DESC, target",
            channel=channel,
            name=name,
            version=version,
        )

    def published_in(self, channel: str) -> list[PublishedWheel]:
        """Everything that a channel has published, newest first."""
        return self._wheels(
            "channel = :channel AND visible = 1 ORDER BY published DESC, name, version, number DESC, target",
            channel=channel,
        )

    def published_anywhere(self, name: str) -> list[PublishedWheel]:
        """What any channel has published of a package, newest first."""
        return self._wheels("name = :name AND visible = 1 ORDER BY published DESC, number DESC, target", name=name)

    def numbers(self, channel: str) -> list[dict[str, Any]]:
        """What a channel has published: ``label``, ``name``, ``version``, ``number``; by these."""
        return self._rows(
            "SELECT DISTINCT label, name, version, number FROM wheels WHERE channel = :channel AND visible = 1"
            " ORDER BY name, version, number",
            channel=channel,
        )

    def published_builds(self, channel: str | None = None, name: str | None = None) -> list[dict[str, Any]]:
        """Every build: ``channel``, ``name``, ``version``, ``label``, ``number``, ``published`` (its newest wheel).

        Args:
            channel: Of this channel only.
            name: Of this package only.
        """
        return self._rows(
            "SELECT channel, name, version, label, number, max(published) AS published FROM wheels"
            " WHERE visible = 1 AND (:channel IS NULL OR channel = :channel) AND (:name IS NULL OR name = :name)"
            " GROUP BY label, name, version, number",
            channel=channel,
            name=name,
        )

    def numbered(self) -> list[dict[str, Any]]:
        """Of everything that was published, or begun to be: ``id`` (the attempt's) and the rest as in ``ended``."""
        return self._rows("SELECT DISTINCT attempt AS id, key, name, channel, target, payload FROM wheels")

    def _wheels(self, condition: str, **values: str | None) -> list[PublishedWheel]:
        return [
            PublishedWheel(**row) for row in self._rows(f"SELECT {_COLUMNS} FROM wheels WHERE {condition}", **values)
        ]

    def claim_label(self, channel: str, label: str) -> None:
        """Fix a channel's label at its first publish.

        Raises:
            ConfigError: It has published under another.
        """
        self._write("INSERT OR IGNORE INTO channels VALUES (:channel, :label)", {"channel": channel, "label": label})
        self.check_label(channel, label)

    def check_label(self, channel: str, label: str) -> None:
        """Refuse a label that is not a channel's, once it has one.

        Raises:
            ConfigError: It has published under another.
        """
        row = self._row("SELECT label FROM channels WHERE channel = :channel", channel=channel)
        if row and row["label"] != label:
            raise ConfigError(
                f"the channel {channel} has published under the label {row['label']!r}, the workspace says {label!r}",
                where="pybuild.toml [label]",
                cure="set the old label again, or publish into another state with --state",
            )

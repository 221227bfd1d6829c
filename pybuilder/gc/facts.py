"""What gc must know of a workspace and a state, to say what is needed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from pybuilder.errors import PybuildError
from pybuilder.layout import Layout
from pybuilder.lockfile import Lock
from pybuilder.reachability import Inputs, Needed, Tried, needed, newest
from pybuilder.record import PLAN, read_record
from pybuilder.review_queue import waiting
from pybuilder.state import State
from pybuilder.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """What a workspace names.

    Attributes:
        needed: The sources that its specs pin, and the RPMs that its buildroots lock.
        repomds: The digests of the repomd.xml files that its locks were made from.
    """

    needed: Needed
    repomds: frozenset[str]


def named_by(workspace: Workspace, locks: Iterable[Lock]) -> Named:
    """What a workspace names.

    Raises:
        ConfigError: A spec is wrong: nobody knows what it pins.
    """
    specs = [spec for name in workspace.spec_names() if (spec := workspace.spec(name))]
    locks = tuple(locks)
    return Named(
        needed=Needed(
            sources=frozenset(pin.sha256 for spec in specs for pin in spec.versions.values() if pin.sha256),
            rpms=frozenset(rpm.sha256 for lock in locks for rpm in lock.rpms.values()),
        ),
        repomds=frozenset(repomd for lock in locks for repomd in lock.repositories.values()),
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """What the database, the records and the published indexes say.

    Attributes:
        layout: Where they are.
        state: The database, which has everything that was there before it (see ``stages.recover``).
        unread: Records of what is needed that can't be read; what these were made from is not known.
    """

    layout: Layout
    state: State
    unread: dict[str, None] = field(default_factory=dict)
    _known: dict[str, Inputs | None] = field(default_factory=dict)
    _rpms: dict[str, frozenset[str]] = field(default_factory=dict)

    def needed(self, keep: int) -> tuple[Needed, Needed]:
        """What must stay in any case, and what should stay besides.

        The latter: what the last attempts at each package need, and what waits for a person, which each pass of cron
        looks at again.

        Args:
            keep: How many the last attempts are.
        """
        ended = [_tried(row) for row in self.state.ended()]
        numbered = [_tried(row) for row in self.state.numbered()]
        attempts = {each.id: each for each in (*numbered, *ended)}
        must = {each.id for each in numbered} | set(kept(self.layout))
        # What an index has is published, also where the database has forgotten it.
        payloads = [path.name for path in self.layout.indexes.glob("*/records/*")]
        return (
            needed(attempts, self._inputs, wanted=must, payloads=payloads),
            needed(attempts, self._inputs, wanted=newest(ended, keep)) | Needed(sources=self._awaited()),
        )

    def _awaited(self) -> frozenset[str]:
        """The sources of versions that wait for a person, where they have been fetched."""
        entries = [each for each in waiting(self.state) if each.is_update or each.is_screening]
        pins = (self.state.pin(each.name, str(each.version)) for each in entries)
        return frozenset(pin["sha256"] for pin in pins if pin and "sha256" in pin)

    def _inputs(self, attempt: Tried) -> Inputs | None:
        if attempt.id not in self._known:
            self._known[attempt.id] = self._read(attempt)
        return self._known[attempt.id]

    def _read(self, attempt: Tried) -> Inputs | None:
        """What an attempt was made from, as its record says: in the store, else in an index."""
        stored = self.layout.record(attempt.key, attempt.id)
        for directory in chain((stored,), self.layout.indexes.glob(f"*/records/{attempt.payload}/{attempt.id}")):
            try:
                account = read_record(directory)
                return Inputs(
                    source=account["source"]["sha256"],
                    payloads=tuple(each["payload_sha256"] for each in account["environment"]),
                    rpms=self._rpms_of(account["root"], directory),
                )
            except (PybuildError, KeyError, TypeError):
                continue
        if attempt.payload:
            self.unread[str(stored)] = None
        return None

    def _rpms_of(self, root: Mapping[str, str], directory: Path) -> frozenset[str]:
        """The RPMs of a root; the plans of all attempts that were made on it say the same."""
        if root["kind"] != "rpm":
            return frozenset()
        if root["digest"] not in self._rpms:
            try:
                contents: Any = json.loads((directory / PLAN).read_bytes())["root"]["contents"]
                self._rpms[root["digest"]] = frozenset(each["sha256"] for each in contents["rpms"])
            except (OSError, ValueError, KeyError, TypeError):
                self.unread[str(directory / PLAN)] = None
                return frozenset()
        return self._rpms[root["digest"]]


def _tried(row: Mapping[str, Any]) -> Tried:
    line = (row["name"], row["channel"], row["target"])
    return Tried(id=row["id"], key=row["key"], line=line, payload=row["payload"] or "")


def kept(layout: Layout) -> tuple[str, ...]:
    """The ids of the attempts that somebody told gc to keep, oldest first."""
    return tuple(sorted(os.listdir(layout.kept))) if layout.kept.is_dir() else ()


def keep(layout: Layout, attempt: str) -> None:
    """From now on keep what an attempt made and was made from.

    A file for each, not a row in the database: it must outlive that.
    """
    layout.kept.mkdir(exist_ok=True)
    (layout.kept / attempt).touch()


def let_go(layout: Layout, attempt: str) -> None:
    """Keep it no longer; what is published stays all the same."""
    (layout.kept / attempt).unlink(missing_ok=True)

"""What a run is about to write and commit, noted before it does: who finds the note finishes it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybuilder.state import State
from pybuilder.workspace.edits import Change

_FACT = "commit"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A commit that is being made.

    Attributes:
        changes: What it has, in the order in which it is written.
        message: Its message.
    """

    changes: tuple[Change, ...]
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Journal:
    """The note of a workspace; one at a time, under a lock that the caller holds.

    Attributes:
        state: Keeps it; where the state is lost, a person commits what was written.
        root: The workspace.
    """

    state: State
    root: Path

    def pending(self) -> Entry | None:
        """What was begun and not ended."""
        known = self.state.fact(_FACT, str(self.root))
        if known is None:
            return None
        changes = [
            Change(file=file, before=_bytes(before), after=_bytes(after)) for file, before, after in known["changes"]
        ]
        return Entry(changes=tuple(changes), message=known["message"])

    def begin(self, entry: Entry) -> None:
        """Note what is about to happen."""
        changes = [[each.file, _text(each.before), _text(each.after)] for each in entry.changes]
        # Alone, a fact may come to the disk after what is written next.
        with self.state.transaction():
            self.state.add_fact(_FACT, str(self.root), {"message": entry.message, "changes": changes})

    def clear(self) -> None:
        """Say that it has happened, or never will."""
        self.state.add_fact(_FACT, str(self.root), None)


def _text(data: bytes | None) -> Any:
    return None if data is None else base64.b64encode(data).decode()


def _bytes(text: Any) -> bytes | None:
    return None if text is None else base64.b64decode(text)

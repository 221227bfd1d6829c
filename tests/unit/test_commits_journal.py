"""The note of a commit that is being made; integration tests finish what was noted."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from pybuilder.commits.journal import Entry, Journal
from pybuilder.layout import Layout
from pybuilder.state import State
from pybuilder.workspace.edits import Change
from tests.support.stores import statements


def test_the_note_is_on_the_disk_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry(changes=(Change(file="specs/six.toml", before=None, after=b"\xff"),), message="six: 1.0")
    said = statements(monkeypatch)
    with closing(State.open(Layout(root=tmp_path / "state"))) as state:
        journal = Journal(state=state, root=tmp_path)
        said.clear()
        journal.begin(entry)
        assert any(line.startswith("INSERT") for line in said)
        assert said[-1] == "COMMIT" and not any("NORMAL" in line for line in said)
        assert journal.pending() == entry
        journal.clear()
        assert journal.pending() is None

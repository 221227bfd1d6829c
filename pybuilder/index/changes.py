"""What one publish adds to the pages, as a value that is written down before anything is done.

Files are put in place first and pages switched after, so nobody ever sees a page that lists what is not there. But a
group of projects has many pages, and a process may die between any two. The note says what was under way: when all
the files are there the next run lists the rest, and when they are not it removes those that no page lists.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.utils import NormalizedName

from pybuilder.index import pages
from pybuilder.index.pages import File, PageError

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """The files that one project's page gains.

    Attributes:
        tree: The tree below the index: empty for the wheels, or ``sources``.
        project: Whose page it is.
        files: The files that it will list besides those it lists now.
    """

    tree: str
    project: NormalizedName
    files: tuple[File, ...]


def dump_changes(changes: Iterable[Change]) -> bytes:
    """The note's bytes."""
    listed = [
        {"tree": each.tree, "project": each.project, "files": [pages.entry(file) for file in each.files]}
        for each in changes
    ]
    return json.dumps({"format": FORMAT, "changes": listed}).encode()


def load_changes(data: bytes) -> tuple[Change, ...]:
    """The changes of a note.

    Raises:
        PageError: It is no such note.
    """
    try:
        note = json.loads(data)
        if note["format"] != FORMAT:
            raise PageError(f"has format {note['format']!r}, not {FORMAT}")
        return tuple(_load_change(each) for each in note["changes"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise PageError(f"can't be read: {error!r}") from error


def _load_change(raw: Mapping[str, Any]) -> Change:
    files = tuple(pages.parse_entry(each) for each in raw["files"])
    return Change(tree=raw["tree"], project=NormalizedName(raw["project"]), files=files)

"""A small archive at once and in memory.

``reading.py`` imports this, and a process beside ours is of use as soon as it has started: there are no dataclasses
here nor in what this imports, since what makes them takes longer to import than an archive to read.
"""

from __future__ import annotations

from pathlib import Path

from pybuilder.errors import FetchError
from pybuilder.sources.members import Kind, damage, loaded_members

LARGEST = 16 << 20
"""Bytes that an archive, or its members, may take."""
BESIDE = 1 << 10
"""Bytes that a member takes besides its own, about."""

Entries = list[tuple[tuple[str, Kind, bool, int, int, str], bytes | None]]
"""All of each member but its stream, and the bytes that this would give."""


def read_whole(archive: Path) -> Entries | None:
    """What is in an archive; None where that is much, or where something is wrong, which its reader will be told."""
    entries: Entries = []
    left = LARGEST
    try:
        with damage(archive):
            # A tar has headers and padding besides.
            for member in loaded_members(archive, 2 * LARGEST):
                left -= BESIDE + member.size
                data = member.data.read(member.size + 1) if member.data and left > 0 else None
                if left < 0 or len(data or b"") > member.size:
                    return None
                entries.append((member[:-1], data))
    except FetchError:
        return None
    return entries

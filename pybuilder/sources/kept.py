"""The members of small archives, kept for who reads them next: a new source is read five times in a row.

Decompressing it and reading its headers takes longer than most of what is done with it: is it the right one, what is
in it that no person reads, what does it say of itself, what will it need, and then it is unpacked.
"""

from __future__ import annotations

import io
import marshal
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from pybuilder.files import sha256_file
from pybuilder.sources import beside
from pybuilder.sources.limits import Limits
from pybuilder.sources.members import Member
from pybuilder.sources.members import members as streamed
from pybuilder.sources.whole import BESIDE, LARGEST, Entries, read_whole

_ROOM = 64 << 20  # bytes for all that is kept


class _Shelf:
    """The archives that were read last, by digest; None for those that can't be kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._archives: OrderedDict[str, Entries | None] = OrderedDict()
        self._size = 0

    def get(self, archive: Path) -> Entries | None:
        # Of what is there now: a name says nothing, and a time little.
        digest = sha256_file(archive)
        with self._lock:
            if digest in self._archives:
                self._archives.move_to_end(digest)
                return self._archives[digest]
        entries = _entries(archive)
        with self._lock:
            if digest not in self._archives:
                self._archives[digest] = entries
                self._size += _size(entries)
            while self._size > _ROOM:
                self._size -= _size(self._archives.popitem(last=False)[1])
        return entries


_SHELF = _Shelf()


def members(archive: Path, limits: Limits) -> Iterator[Member]:
    """All members of an archive, as ``members.members`` has them: from memory, where they are there.

    Raises:
        FetchError: As that does.
    """
    small = archive.stat().st_size <= LARGEST
    entries = _SHELF.get(archive) if small and limits == Limits() else None
    if entries is None:
        yield from streamed(archive, limits)
        return
    for facts, data in entries:
        yield Member(*facts, None if data is None else io.BytesIO(data))


def _entries(archive: Path) -> Entries | None:
    """As ``read_whole``; from a process beside ours, where there is one."""
    answer = beside.ask(archive)
    if answer is None:
        return read_whole(archive)
    entries: Entries | None = marshal.loads(answer)
    return entries


def _size(entries: Entries | None) -> int:
    return sum(BESIDE + len(data or b"") for _, data in entries or ())

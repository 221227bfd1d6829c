"""The members of small archives, kept for who reads them next: a new source is read five times in a row.

Decompressing it and reading its headers takes longer than most of what is done with it: is it the right one, what is
in it that no person reads, what does it say of itself, what will it need, and then it is unpacked.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pybuilder.errors import FetchError
from pybuilder.files import sha256_file
from pybuilder.sources.limits import Limits
from pybuilder.sources.members import Member, damage, loaded_members
from pybuilder.sources.members import members as streamed

_LARGEST = 16 << 20  # bytes that an archive, or its members, may take
_ROOM = 64 << 20  # bytes for all that is kept
_BESIDE = 1 << 10  # bytes that a member takes besides its own, about

Entries = Sequence[tuple[Member, bytes | None]]


class _Shelf:
    """The archives that were read last, by digest; None for those that can't be kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._archives: OrderedDict[str, Entries | None] = OrderedDict()
        self._size = 0
        self.read: Callable[[Path], Entries | None] = read

    def get(self, archive: Path) -> Entries | None:
        # Of what is there now: a name says nothing, and a time little.
        digest = sha256_file(archive)
        with self._lock:
            if digest in self._archives:
                self._archives.move_to_end(digest)
                return self._archives[digest]
        entries = self.read(archive)
        with self._lock:
            if digest not in self._archives:
                self._archives[digest] = entries
                self._size += _size(entries)
            while self._size > _ROOM:
                self._size -= _size(self._archives.popitem(last=False)[1])
        return entries


def members(archive: Path, limits: Limits) -> Iterator[Member]:
    """All members of an archive, as ``members.members`` has them: from memory, where they are there.

    Raises:
        FetchError: As that does.
    """
    small = archive.stat().st_size <= _LARGEST
    entries = _SHELF.get(archive) if small and limits == Limits() else None
    if entries is None:
        yield from streamed(archive, limits)
        return
    for member, data in entries:
        yield member if data is None else _with(member, io.BytesIO(data))


@contextmanager
def read_by(reader: Callable[[Path], Entries | None]) -> Iterator[None]:
    """As long as the block lasts, another reads archives of which nothing is kept, as ``read`` does it."""
    before, _SHELF.read = _SHELF.read, reader
    try:
        yield
    finally:
        _SHELF.read = before


def read(archive: Path) -> Entries | None:
    """What is in an archive; None where that is much, or where something is wrong, which its reader will be told."""
    entries, left = [], _LARGEST
    try:
        with damage(archive):
            # A tar has headers and padding besides.
            for member in loaded_members(archive, 2 * _LARGEST):
                left -= _BESIDE + member.size
                data = member.data.read(member.size + 1) if member.data and left > 0 else None
                if left < 0 or len(data or b"") > member.size:
                    return None
                entries.append((_with(member, None), data))
    except FetchError:
        return None
    return entries


def _with(member: Member, data: IO[bytes] | None) -> Member:
    # Not by dataclasses.replace, which takes ten times as long.
    return Member(
        name=member.name,
        kind=member.kind,
        executable=member.executable,
        mtime=member.mtime,
        size=member.size,
        target=member.target,
        data=data,
    )


def _size(entries: Entries | None) -> int:
    return sum(_BESIDE + len(data or b"") for _, data in entries or ())


_SHELF = _Shelf()

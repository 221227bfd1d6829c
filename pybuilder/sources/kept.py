"""The members of small archives, kept for who reads them next: a new source is read five times in a row.

Decompressing it and reading its headers takes longer than most of what is done with it: is it the right one, what is
in it that no person reads, what does it say of itself, what will it need, and then it is unpacked.
"""

from __future__ import annotations

import io
import marshal
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from pybuilder.errors import FetchError
from pybuilder.files import sha256_file
from pybuilder.sources import beside
from pybuilder.sources.limits import Limits
from pybuilder.sources.members import Kind, Member, damage, loaded_members
from pybuilder.sources.members import members as streamed

_LARGEST = 16 << 20  # bytes that an archive, or its members, may take
_ROOM = 64 << 20  # bytes for all that is kept
_BESIDE = 1 << 10  # bytes that a member takes besides its own, about

_Entries = Sequence[tuple[Member, bytes | None]]
_Facts = tuple[str, Kind, bool, int, int, str]


class _Shelf:
    """The archives that were read last, by digest; None for those that can't be kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._archives: OrderedDict[str, _Entries | None] = OrderedDict()
        self._size = 0

    def get(self, archive: Path) -> _Entries | None:
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
    small = archive.stat().st_size <= _LARGEST
    entries = _SHELF.get(archive) if small and limits == Limits() else None
    if entries is None:
        yield from streamed(archive, limits)
        return
    for member, data in entries:
        yield member if data is None else _with(member, io.BytesIO(data))


def _entries(archive: Path) -> _Entries | None:
    """As ``_read``; from a process beside ours, where there is one."""
    answer = beside.ask(archive)
    if answer is None:
        return _read(archive)
    told: list[tuple[_Facts, bytes | None]] | None = marshal.loads(answer)
    return None if told is None else [(_member(facts, None), data) for facts, data in told]


def packed(archive: Path) -> bytes:
    """What is in an archive, for ``_entries`` of another process."""
    entries = _read(archive)
    return marshal.dumps(None if entries is None else [(_facts(member), data) for member, data in entries])


def _read(archive: Path) -> _Entries | None:
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
    return _member(_facts(member), data)


def _facts(member: Member) -> _Facts:
    return member.name, member.kind, member.executable, member.mtime, member.size, member.target


def _member(facts: _Facts, data: IO[bytes] | None) -> Member:
    name, kind, executable, mtime, size, target = facts
    return Member(name=name, kind=kind, executable=executable, mtime=mtime, size=size, target=target, data=data)


def _size(entries: _Entries | None) -> int:
    return sum(_BESIDE + len(data or b"") for _, data in entries or ())

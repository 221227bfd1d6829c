"""Reading a source or a patch for what no person reads: compiled code and archives, and what is in these.

Archives are streams from which one megabyte at a time is in memory. An archive in a source is copied to disk and looked
into, and so is one in that; what is deeper is told and left. How much is read out of them together has a bound, so
that no bomb takes long.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pybuilder import interruption
from pybuilder.errors import FetchError
from pybuilder.files import CHUNK
from pybuilder.printable import printable
from pybuilder.screening.formats import (
    BZIP2,
    GZIP,
    HEAD,
    TAIL,
    TAR,
    XZ,
    ZIP,
    ZIP_AT_END,
    ZSTD,
    Format,
    ends_in_zip,
    identify,
    is_tar,
)
from pybuilder.screening.found import Findings, Found
from pybuilder.screening.patches import made_by
from pybuilder.sources.archive import walk
from pybuilder.sources.limits import Limits
from pybuilder.sources.members import damage, decompressed, members, refused

DEPTH = 2
"""How many archives deep is looked."""

_COMPRESSED = (GZIP, BZIP2, XZ, ZSTD)
_OPENED = (ZIP, TAR, *_COMPRESSED)
_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
_UNKNOWN = Format(kind="compiled", name="binary difference")

Spool = Callable[[], Path]
"""Asked only where there is something to copy, which is in few sources."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How much is looked at in the archives of one source together.

    Attributes:
        size: Bytes that come out of them.
        entries: Files, directories and links.
        archives: How many are opened.
    """

    size: int = 1 << 30
    entries: int = 100_000
    archives: int = 1000


def scan_source(
    archive: Path, spool: Spool, *, wheel: bool = False, limits: Limits | None = None, bounds: Bounds | None = None
) -> Findings:
    """All compiled code and all archives in a source.

    Args:
        archive: A tar or zip file with one directory at its top.
        spool: Gives a directory for copies of what is in it; they are gone afterwards.
        wheel: Whether it is a wheel, which has no such directory.
        limits: How large it may get.
        bounds: How much is looked at in archives that are in it.

    Raises:
        FetchError: It is damaged, or a bomb.
    """
    limits = limits or Limits()
    scan = _Scan(archive=archive, spool=spool, left=limits.bytes_of(archive.stat().st_size), bounds=bounds or Bounds())
    with damage(archive):
        pairs = ((each.name, each) for each in members(archive, limits)) if wheel else walk(archive, limits=limits)
        for path, member in pairs:
            if member.data is not None:
                scan.look_at(path, member.data, depth=0)
    return Findings.first(scan.found)


def scan_patch(patch: Path, spool: Spool) -> Findings:
    """All compiled code and all archives that a patch adds to a source.

    Args:
        patch: The patch.
        spool: Gives a directory for copies of what is in it; they are gone afterwards.
    """
    scan = _Scan(archive=patch, spool=spool, left=Limits().total, bounds=Bounds())
    for made in made_by(patch.read_bytes()):
        if made.content is None:
            # Nobody can tell what it makes of the older file, which was none for people either.
            digest = hashlib.sha256(made.encoded).hexdigest()
            scan.found.append(Found.of(made.path, _UNKNOWN, size=len(made.encoded), sha256=digest))
        else:
            scan.look_at(made.path, io.BytesIO(made.content), depth=0)
    return Findings.first(scan.found)


class _Enough(Exception):
    """As much has been looked at in archives as is looked at."""


@dataclass(kw_only=True, slots=True)
class _Scan:
    """One scan under way.

    Attributes:
        archive: What is scanned, for messages.
        spool: Gives the directory where copies go.
        left: Bytes that may come out of it.
        bounds: What may come out of archives in it.
        found: What has been found.
    """

    archive: Path
    spool: Spool
    left: int
    bounds: Bounds
    found: list[Found] = field(default_factory=list)
    _size: int = 0
    _entries: int = 0
    _archives: int = 0

    def look_at(self, path: str, data: IO[bytes], *, depth: int) -> None:
        """Read one file to its end; if it is something, note that, and what is in it."""
        interruption.check()
        head = data.read(HEAD)
        while len(head) < HEAD and (more := data.read(HEAD - len(head))):
            head += more
        what = identify(head)
        if what is None and len(head) < HEAD and not ends_in_zip(head[-TAIL:], len(head)):
            # As nearly all are: nobody asks for their digests.
            self._count(len(head), depth)
            return
        copy = self.spool() / str(depth) if what in _OPENED and depth < DEPTH else None
        with copy.open("wb") if copy else contextlib.nullcontext() as stream:
            size, digest, tail = self._read(head, data, stream, depth)
        if what is None and ends_in_zip(tail, size):
            what = ZIP_AT_END
        if what is None:
            return
        note, at = "", len(self.found)
        if copy:
            note = self._look_into(path, what, copy, depth=depth + 1)
        elif what.kind == "archive":
            note = "it is too deep in archives" if what in _OPENED else f"pybuild opens no {what.name}"
        self.found.insert(at, Found.of(path, what, size=size, sha256=digest, note=note))

    def _read(self, head: bytes, data: IO[bytes], copy: IO[bytes] | None, depth: int) -> tuple[int, str, bytes]:
        """The size of a file, its digest, and its last bytes."""
        digest, size, tail, chunk = hashlib.sha256(), 0, b"", head
        while chunk:
            size += len(chunk)
            self._count(len(chunk), depth)
            digest.update(chunk)
            tail = (tail + chunk[-TAIL:])[-TAIL:]
            if copy:
                copy.write(chunk)
            chunk = data.read(CHUNK)
        return size, digest.hexdigest(), tail

    def _count(self, size: int, depth: int) -> None:
        if depth == 0:
            self.left -= size
            if self.left < 0:
                raise refused(self.archive, "it unpacks to far more than a source archive should (a bomb)")
        else:
            self._size += size
            if self._size > self.bounds.size:
                raise _Enough

    def _look_into(self, path: str, what: Format, copy: Path, *, depth: int) -> str:
        """Look at all that is in an archive; says why, where not all of it was looked at."""
        try:
            self._archives += 1
            if self._archives > self.bounds.archives:
                raise _Enough
            with damage(copy):
                for name, data in self._content(path, what, copy):
                    self.look_at(f"{path}!/{name}", data, depth=depth)
        except FetchError as error:
            return printable(f"it {error.what.removeprefix(f'{copy.name} ')}")
        except _Enough:
            return "too much is in the archives of this source to look at all of it"
        finally:
            copy.unlink(missing_ok=True)
        return ""

    def _content(self, path: str, what: Format, copy: Path) -> Iterator[tuple[str, IO[bytes]]]:
        """The files in an archive; in one that was only compressed, that which it is without."""
        if what in _COMPRESSED:
            with copy.open("rb") as raw, decompressed(raw, raw.peek(HEAD)) as stream:
                if not is_tar(stream.read(512)):
                    stream.seek(0)
                    name = path.rpartition("/")[2]
                    yield next((name.removesuffix(s) for s in _SUFFIXES if name.endswith(s)), name), stream
                    return
        left = Limits(total=self.bounds.size - self._size, entries=self.bounds.entries - self._entries)
        for member in members(copy, left):
            self._entries += 1
            if self._entries > self.bounds.entries:
                raise _Enough
            if member.data is not None:
                yield member.name, member.data

"""A download that has begun: what is there of a file, and how the rest is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pybuilder import interruption
from pybuilder.errors import FetchError

Progress = Callable[[int, int | None], None]
"""Told of the bytes that are there, and of how many there will be, where somebody says so."""

DOWNLOAD_LIMIT = 16 << 30
"""Bytes of a file whose size nobody knows."""


@dataclass(frozen=True, slots=True)
class PartFile:
    """The beginning of a file, and what the server said to know the same file by (RFC 9110, section 13.1.5).

    Both lie beside where the file will be.
    """

    destination: Path

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.destination.with_name(self.destination.name + ".part")

    @property
    def note(self) -> Path:
        """Where the server's words are."""
        return self.destination.with_name(self.destination.name + ".part.validator")

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self) -> str:
        """What the server said; empty where it said nothing that can be relied on."""
        try:
            return self.note.read_text("latin-1")
        except FileNotFoundError:
            return ""

    def range_headers(self) -> dict[str, str]:
        """Ask for the rest, if the file is still the same, else for all of it."""
        if not self.size:
            return {}
        condition = {"If-Range": self.validator()} if self.validator() else {}
        return {"Range": f"bytes={self.size}-"} | condition

    def note_validator(self, headers: Mapping[str, str]) -> None:
        """Keep what the server says now: a strong entity tag, else a date."""
        etag = headers.get("ETag", "")
        validator = etag if etag.startswith('"') else headers.get("Last-Modified", "")
        # The part itself does not wait for the disk; by what is cut short the server knows no file, and sends it whole.
        self.note.write_bytes(validator.encode("latin-1", "replace"))

    def remove(self) -> None:
        """Forget it."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Download:
    """A download that is under way.

    Attributes:
        url: What is fetched.
        part: What is there of it.
        sha256: What it must be, in lower-case hex; None where nobody knows.
        size: How many bytes it must be; None likewise.
        attempts: How often it may fail to bring anything more.
        report: Told of what is there.
    """

    url: str
    part: PartFile
    sha256: str | None
    size: int | None
    attempts: int
    report: Progress

    def drop_what_cannot_be_resumed(self) -> None:
        """Keep the part only if the server, or the digest in the end, can tell that the rest belongs to it."""
        too_long = self.size is not None and self.part.size > self.size
        if too_long or not (self.sha256 or self.part.validator()):
            self.part.remove()

    def append(self, chunks: Iterator[bytes], total: int | None) -> None:
        """Write what comes, of so many bytes in all as far as the server says, until it is more than may come."""
        done = self.part.size
        limit = DOWNLOAD_LIMIT if self.size is None else self.size
        with self.part.path.open("ab") as stream:
            for chunk in chunks:
                interruption.check()
                stream.write(chunk)
                done += len(chunk)
                self.report(done, total if self.size is None else self.size)
                # One byte too many is enough to know; the size check says so afterwards.
                if done > limit:
                    break

    def fault(self, digest: str, *, where: str) -> FetchError | None:
        """What is wrong with the whole file, if anything is; ``where`` it came from is for the message."""
        size = self.part.size
        cure = "if upstream has really replaced this file, find out why before you trust it"
        if self.sha256 is not None and digest != self.sha256:
            return FetchError(f"sha256 mismatch: expected {self.sha256}, got {digest}", where=where, cure=cure)
        if self.size is not None and size != self.size:
            return FetchError(f"size mismatch: expected {self.size} bytes, got {size} or more", where=where, cure=cure)
        if size > DOWNLOAD_LIMIT:
            return FetchError(f"the file is larger than {DOWNLOAD_LIMIT} bytes", where=where)
        return None

"""A download that has begun: what is there of a file, and how the rest is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pybuilder.files import write_atomic


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
        write_atomic(self.note, validator.encode("latin-1", "replace"))

    def remove(self) -> None:
        """Forget it."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

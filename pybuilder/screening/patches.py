"""The files that a patch makes whole: those it adds as text, and those it has as git's binary patches."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_BINARY = re.compile(rb"(literal|delta) (\d{1,12})")
_LARGEST = 256 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A file that a patch makes.

    Attributes:
        path: Where, below the top of the source.
        content: All of it; None where the patch alone doesn't tell, as it has binary differences from an older file.
        encoded: What the patch has in place of the content then.
    """

    path: str
    content: bytes | None
    encoded: bytes = b""


def made_by(patch: bytes) -> Iterator[Made]:
    """Each new or binary file of a patch (git-apply(1)); what is changed in texts is for people to read.

    Args:
        patch: The patch file's bytes.
    """
    lines = patch.split(b"\n")
    path, added, at = "", None, 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith((b"diff --git ", b"--- ")):
            if added is not None:
                yield Made(path=path, content=added)
            path = _named(line.rpartition(b" b/")[2]) if line.startswith(b"d") else path
            added = b"" if line.startswith(b"--- /dev/null") else None
        elif line.startswith(b"+++ "):
            path = _named(line[4:].partition(b"\t")[0].rstrip(b"\r").partition(b"/")[2])
        elif hunk := _HUNK.match(line):
            if int(hunk[1]) == 0:
                # A file that was empty or none, whatever the line before says: git makes it from this alone.
                added = added or b""
            at, more = _added(lines, at, old=int(hunk[2] or 1), new=int(hunk[3] or 1))
            added = None if added is None else added + more
        elif line.rstrip() == b"GIT binary patch" and at < len(lines):
            end = next((n for n in range(at, len(lines)) if not lines[n].strip()), len(lines))
            yield _binary(path, lines[at:end])
            at = end
    if added is not None:
        yield Made(path=path, content=added)


def _named(path: bytes) -> str:
    return path.decode("utf-8", "replace")


def _added(lines: Sequence[bytes], at: int, *, old: int, new: int) -> tuple[int, bytes]:
    """Where a hunk ends, and the lines that it adds."""
    added = []
    while at < len(lines) and (old > 0 or new > 0):
        mark = lines[at][:1]
        if mark == b"+":
            added.append(lines[at][1:] + b"\n")
        old -= mark not in (b"+", b"\\")
        new -= mark not in (b"-", b"\\")
        at += 1
    whole = b"".join(added)
    # "\ No newline at end of file" is about the line before it.
    return at, whole.removesuffix(b"\n") if at < len(lines) and lines[at][:1] == b"\\" else whole


def _binary(path: str, lines: Sequence[bytes]) -> Made:
    encoded = b"\n".join(lines)
    head = _BINARY.match(lines[0]) if lines else None
    if head is None or head[1] == b"delta" or int(head[2]) > _LARGEST:
        return Made(path=path, content=None, encoded=encoded)
    try:
        packed = b"".join(map(_decoded, lines[1:]))
        content = zlib.decompressobj().decompress(packed, int(head[2]) + 1)
    except (ValueError, zlib.error, IndexError):
        content = b""
    return Made(path=path, content=content if len(content) == int(head[2]) else None, encoded=encoded)


def _decoded(line: bytes) -> bytes:
    """A line of base 85: a letter for how many bytes, A to Z then a to z, and as many, padded to groups of four."""
    line = line.rstrip(b"\r")
    length = line[0] - (64 if line[:1].isupper() else 70)
    return base64.b85decode(line[1:])[:length]

"""Write a wheel again with another prefix and other files in dist-info; everything else stays byte for byte."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pybuilder.wheel.archive import IN_MEMORY, ArchiveWriter, Moment, sha256_of
from pybuilder.wheel.read import Wheel, open_archive, pieces
from pybuilder.wheel.record import Line, render


@dataclass(frozen=True, slots=True)
class _Member:
    """One file of the new wheel: ``data``, or else what ``source`` holds in the old one."""

    source: str
    size: int
    executable: bool
    data: bytes | None = None


def rewrite(
    wheel: Wheel,
    destination: Path,
    *,
    prefix: str,
    changes: Mapping[str, bytes | None],
    moment: Moment,
    compress: bool,
) -> str:
    """Write a wheel with its entries in order of name, dist-info last, and RECORD, made anew, last of all.

    Args:
        wheel: The wheel to start from.
        destination: The file to write. It is complete when this returns, and gone when this raises.
        prefix: How the new dist-info and data directories begin, ``NAME-VERSION``.
        changes: What becomes of files in dist-info, by name relative to it: new bytes, or None to leave one out.
        moment: The time of all entries.
        compress: Whether entries are deflated, rather than stored.

    Returns:
        The sha256 of the file written, in lower-case hex.

    Raises:
        BuildError: The old wheel is damaged.
    """
    members = _members(wheel, prefix, changes)
    record = f"{prefix}.dist-info/RECORD"
    try:
        size = sum(member.size for member in members.values())
        with open_archive(wheel.path) as archive, _opened(destination, size) as stream:
            writer = ArchiveWriter(stream, moment=moment, compress=compress)
            lines = []
            for name in sorted(members, key=lambda name: (name.startswith(f"{prefix}.dist-info/"), name)):
                member = members[name]
                content = _content(archive, member)
                entry = writer.add(name, content, size=member.size, executable=member.executable)
                lines.append(Line(name, entry.digest, str(entry.size)))
            data = render([*lines, Line(record, "", "")])
            writer.add(record, [data], size=len(data), executable=False)
            writer.close()
    except BaseException:
        destination.unlink(missing_ok=True)
        raise
    return sha256_of(destination)


@contextlib.contextmanager
def _opened(destination: Path, size: int) -> Iterator[IO[bytes]]:
    """What the new wheel is written to, of about this many bytes; a small one is on disk when the block ends."""
    if size > IN_MEMORY:
        with destination.open("wb") as stream:
            yield stream
        return
    content = io.BytesIO()
    yield content
    destination.write_bytes(content.getbuffer())


def _members(wheel: Wheel, prefix: str, changes: Mapping[str, bytes | None]) -> dict[str, _Member]:
    """The new wheel's files by their new names, RECORD left out."""
    directories = {f"{wheel.prefix}{suffix}": f"{prefix}{suffix}" for suffix in (".dist-info", ".data")}
    members = {}
    for entry in wheel.entries:
        top, slash, rest = entry.name.partition("/")
        name = f"{directories.get(top, top)}{slash}{rest}"
        members[name] = _Member(entry.name, entry.size, entry.executable)
    for relative, data in {**changes, "RECORD": None}.items():
        name = f"{prefix}.dist-info/{relative}"
        old = members.pop(name, None)
        if data is not None:
            members[name] = _Member("", len(data), bool(old and old.executable), data)
    return members


def _content(archive: zipfile.ZipFile, member: _Member) -> Iterator[bytes]:
    return pieces(archive, member.source) if member.data is None else iter([member.data])

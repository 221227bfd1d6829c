"""What differs between two wheels: their files, and what their metadata says."""

from __future__ import annotations

import difflib
import email
import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pybuilder.wheel.read import Entry, Wheel, open_archive, open_wheel, pieces

MAX_TEXT = 256 << 10
"""Bytes of a text file whose lines are compared; comparing takes much longer than reading."""
CONTEXT = 1
"""Lines shown around what changed in a text file."""
_SHOWN = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """One file in a wheel.

    Attributes:
        size: Bytes.
        sha256: Of them.
        executable: Whether it may be executed.
    """

    size: int
    sha256: str
    executable: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class FileChange:
    """A file that is not the same in two wheels.

    Attributes:
        name: Its name in the second wheel, else in the first.
        before: As it is in the first; None where that has none.
        after: As it is in the second; None where that has none.
        lines: For texts that both have, a unified diff without its head; a lone line break ends no line.
    """

    name: str
    before: Content | None
    after: Content | None
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldChange:
    """A field of METADATA that does not say the same.

    Attributes:
        field: Its name, such as ``Requires-Dist``.
        before: The values that only the first wheel has.
        after: Those that only the second has.
    """

    field: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Differences:
    """What is not the same in two wheels, in a stable order.

    Attributes:
        fields: Of METADATA, in order of name.
        files: Without RECORD, which repeats what the others are; in order of name.
        moments: The times of their files, if these are not the same; else empty.
    """

    fields: tuple[FieldChange, ...]
    files: tuple[FileChange, ...]
    moments: tuple[str, ...]


def differences(before: Path, after: Path) -> Differences:
    """Compare two wheels; the names of their dist-info and data directories may have different versions in them.

    Raises:
        BuildError: One of them is no sound wheel.
    """
    one, two = open_wheel(before), open_wheel(after)
    moments = tuple("{:04}-{:02}-{:02} {:02}:{:02}:{:02}".format(*wheel.moment) for wheel in (one, two))
    return Differences(
        fields=tuple(_fields(one.metadata, two.metadata)),
        files=tuple(_files(one, two)),
        moments=moments if one.moment != two.moment else (),
    )


def _files(one: Wheel, two: Wheel) -> Iterator[FileChange]:
    names, others = _by_name(one), _by_name(two)
    with open_archive(one.path) as before, open_archive(two.path) as after:
        for name in sorted(names.keys() | others.keys()):
            first, second = names.get(name), others.get(name)
            old = _content(before, first) if first else None
            new = _content(after, second) if second else None
            if old != new:
                lines = _lines(before, first, after, second) if first and second else ()
                shown = (second or first or _NOTHING).name
                yield FileChange(name=shown, before=old, after=new, lines=tuple(lines))


_NOTHING = Entry(name="", size=0, executable=False)


def _by_name(wheel: Wheel) -> dict[str, Entry]:
    """The files but RECORD, by their names without the version that their directory may have."""
    own = {f"{wheel.prefix}{ending}": ending for ending in (".dist-info", ".data")}
    found = {}
    for entry in wheel.entries:
        top, slash, rest = entry.name.partition("/")
        if entry.name != f"{wheel.dist_info}/RECORD":
            found[f"{own.get(top, top)}{slash}{rest}"] = entry
    return found


def _content(archive: zipfile.ZipFile, entry: Entry) -> Content:
    sha256 = hashlib.sha256()
    for piece in pieces(archive, entry.name):
        sha256.update(piece)
    return Content(size=entry.size, sha256=sha256.hexdigest(), executable=entry.executable)


def _lines(before: zipfile.ZipFile, one: Entry, after: zipfile.ZipFile, two: Entry) -> list[str]:
    """A unified diff of two files, without its head; nothing where one of them is no text, or a long one."""
    if max(one.size, two.size) > MAX_TEXT:
        return []
    try:
        texts = [archive.read(entry.name).decode() for archive, entry in ((before, one), (after, two))]
    except UnicodeDecodeError:
        return []
    if any("\0" in text for text in texts):
        return []
    old, new = (text.splitlines() for text in texts)
    return list(difflib.unified_diff(old, new, lineterm="", n=CONTEXT))[2:]


def _fields(before: bytes, after: bytes) -> Iterator[FieldChange]:
    one, two = _values(before), _values(after)
    for field in sorted(one.keys() | two.keys()):
        old, new = one.get(field, []), two.get(field, [])
        if sorted(old) != sorted(new):
            gone, added = Counter(old) - Counter(new), Counter(new) - Counter(old)
            yield FieldChange(field=field, before=tuple(gone.elements()), after=tuple(added.elements()))


def _values(metadata: bytes) -> dict[str, list[str]]:
    """The values of each field, by its name; of the description, which is long, its lines' number and its digest."""
    message = email.message_from_string(metadata.decode("utf-8", "replace"))
    names = {name: "-".join(part.capitalize() for part in name.split("-")) for name in message.keys()}  # noqa: SIM118
    found = {field: [str(value) for value in message.get_all(name, [])] for name, field in names.items()}
    text = "".join(found.get("Description", [])) or str(message.get_payload())
    if text:
        found["Description"] = [f"{len(text.splitlines())} lines, sha256 {hashlib.sha256(text.encode()).hexdigest()}"]
    return found


def first_difference(before: Path, after: Path) -> str:
    """Where two wheels of one version begin to differ, in words; they are known not to be the same.

    Raises:
        BuildError: One of them is no sound wheel.
    """
    found = differences(before, after)
    if not found.files:
        return "the times of their files differ" if found.moments else "their files are the same, packed another way"
    change = found.files[0]
    others = len(found.files) - 1
    more = f"; {others} more {'files differ' if others > 1 else 'file differs'}" if others else ""
    return f"{_how(change, before, after)}{more}"


def _how(change: FileChange, before: Path, after: Path) -> str:
    if change.before is None or change.after is None:
        return f"{change.name} is {'new' if change.before is None else 'missing'}"
    if change.before.sha256 == change.after.sha256:
        return f"{change.name} is {'' if change.after.executable else 'not '}executable"
    lines = [next((line for line in change.lines if line[:1] == sign), "") for sign in "-+"]
    if any(lines):
        old, new = (repr(line[1 : 1 + _SHOWN]) if line else "not there" for line in lines)
        return f"{change.name}: a line was {old} and is {new}"
    return f"{change.name} differs from byte {_offset(change, before, after)} on"


def _offset(change: FileChange, before: Path, after: Path) -> int:
    """The first byte that is not the same in a file of two wheels."""
    datas = []
    for path in (before, after):
        with open_archive(path) as archive:
            datas.append(archive.read(change.name))
    pairs = zip(*datas, strict=False)
    return next((at for at, (one, two) in enumerate(pairs) if one != two), min(map(len, datas)))

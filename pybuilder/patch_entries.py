"""Editing ``[[patches]]`` in a spec's text: ranges change, entries are put in, all else stays as a person wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tomli

from pybuilder.errors import ConfigError
from pybuilder.spec_edit import line_above, quoted, set_at
from pybuilder.toml_places import KeyPath, key_offsets


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One of ``[[patches]]``.

    Attributes:
        file: The file.
        versions: The versions that it is for; empty for all.
    """

    file: str
    versions: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryEdit:
    """What becomes of an entry.

    Attributes:
        path: Where it stands: ``("patches", 0)``, or in an override ``("override", 1, "patches", 0)``.
        versions: What it is for from now on.
        added: The entries that are put in before it.
    """

    path: KeyPath
    versions: str
    added: tuple[Entry, ...] = ()


def edited(text: str, edits: Sequence[EntryEdit]) -> str:
    """The spec with entries changed.

    Args:
        text: The spec's text.
        edits: At most one for each entry.

    Raises:
        ConfigError: They are written in a way in which they can't be edited.
    """
    expected = tomli.loads(text)
    # From the last to the first, so that what is put in moves no entry that is still to be found.
    for edit in sorted(edits, key=lambda each: key_offsets(text)[each.path], reverse=True):
        *listing, index = edit.path
        entries = _at(expected, listing)
        entries[index] = {**entries[index], "versions": edit.versions}
        entries[int(index) : int(index)] = map(_data, edit.added)
        text = _put_in(_limited(text, edit), edit)
    return _agreed(text, expected)


def listed(text: str, entries: Sequence[Entry]) -> str:
    """The spec with ``[[patches]]``, of which it had none.

    Args:
        text: The spec's text.
        entries: All of them, in order.

    Raises:
        ConfigError: The text can't be edited.
    """
    expected = {**tomli.loads(text), "patches": list(map(_data, entries))}
    end = _line_end(text)
    block = end.join(_block("[[patches]]", entry, end) for entry in entries)
    offsets = key_offsets(text)
    at = offsets.get(("versions",))
    start = line_above(text, ("versions",)) if at is not None and text.startswith("[versions]", at) else None
    before, after = (text.rstrip() + end * 2, "") if start is None else (text[:start], end + text[start:])
    return _agreed(before + block + after, expected)


def _limited(text: str, edit: EntryEdit) -> str:
    """The text with the range of an entry set."""
    offsets = key_offsets(text)
    if (*edit.path, "versions") in offsets or text[offsets[edit.path]] != "[":
        return set_at(text, (*edit.path, "versions"), edit.versions)
    file = offsets[*edit.path, "file"]
    start = text.rfind("\n", 0, file) + 1
    end, line_end = text.find("\n", file), _line_end(text)
    indent, line = text[start:file], f"versions = {quoted(edit.versions)}"
    if end < 0:
        return f"{text}{line_end}{indent}{line}{line_end}"
    return f"{text[: end + 1]}{indent}{line}{line_end}{text[end + 1 :]}"


def _put_in(text: str, edit: EntryEdit) -> str:
    """The text with new entries before one."""
    at, start = key_offsets(text)[edit.path], line_above(text, edit.path)
    if text[at] == "[" and start is not None:
        end = _line_end(text)
        header = text[at : text.index("]]", at) + 2]
        block = "".join(_block(header, entry, end) + end for entry in edit.added)
        return text[:start] + block + text[start:]
    between = "," + (" " if start is None else _line_end(text) + text[text.rfind("\n", 0, at) + 1 : at])
    inline = "".join(
        f"{{ file = {quoted(entry.file)}, versions = {quoted(entry.versions)} }}{between}" for entry in edit.added
    )
    return text[:at] + inline + text[at:]


def _block(header: str, entry: Entry, end: str) -> str:
    lines = [header, f"file = {quoted(entry.file)}"]
    lines += [f"versions = {quoted(entry.versions)}"] if entry.versions else []
    return "".join(line + end for line in lines)


def _data(entry: Entry) -> dict[str, str]:
    return {"file": entry.file} | ({"versions": entry.versions} if entry.versions else {})


def _at(data: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        data = data[key]
    return data


def _agreed(text: str, expected: dict[str, Any]) -> str:
    """A text, if it says what it should."""
    try:
        found: Any = tomli.loads(text)
    except tomli.TOMLDecodeError:
        found = None
    if found != expected:
        raise ConfigError(
            "the patches of this spec are written in a way that pybuild can't edit",
            cure="write each of them as [[patches]] with the keys file and versions",
        )
    return text


def _line_end(text: str) -> str:
    return "\r\n" if text.count("\r\n") == text.count("\n") > 0 else "\n"

"""Editing a spec's text by tomlkit, so that a person's comments, order and layout stay as they are."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from pybuilder.errors import ConfigError
from pybuilder.spec import Pin, parse_spec
from pybuilder.toml_places import KeyPath, key_offsets

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

    from pybuilder.guess import Guess

Value = str | int | bool | Sequence[str]


def with_pin(text: str, version: Version, pin: Pin) -> str:
    """The spec with a version pinned, in the order of versions that its pins are in.

    An older pin of the same version, however spelled, is replaced where it stands.

    Args:
        text: The spec's text.
        version: The version.
        pin: Its source.

    Raises:
        ConfigError: The text is no spec.
    """
    from tomlkit.items import KeyType, SingleKey

    document = _parsed(text)
    if "versions" not in document:
        document = _parsed(f"{text.rstrip()}\n\n[versions]\n")
    pins: Any = document["versions"]
    key = _spelling(document, version)
    if key is None and (placed := _placed(text, tuple(pins), version, pin)):
        return placed
    pins[SingleKey(str(version), t=KeyType.Basic) if key is None else key] = _inline(pin)
    return _checked(document, text)


def without_pin(text: str, version: Version) -> str:
    """The spec without the pin of a version, if there is one.

    Raises:
        ConfigError: The text is no spec.
    """
    document = _parsed(text)
    key = _spelling(document, version)
    if key is None:
        return text
    pins: Any = document["versions"]
    del pins[key]
    return _checked(document, text)


def set_at(text: str, path: Sequence[str | int], value: Value) -> str:
    """The spec with one key set, such as ``("update", "allow")``; a table that is missing is made.

    Args:
        text: The spec's text.
        path: The key; in an array of tables it has the index.
        value: What it is set to.

    Raises:
        ConfigError: The text is no spec, or no longer one with this value.
    """
    import tomlkit

    document = _parsed(text)
    *parents, last = path
    table: Any = document
    for key in parents:
        if isinstance(key, str) and key not in table:
            table[key] = tomlkit.table()
        table = table[key]
    table[last] = value if isinstance(value, (str, int)) else list(value)
    return _checked(document, text)


def with_ignored(text: str, versions: Sequence[Version], comment: str) -> str:
    """The spec with versions that are never taken, each on a line of its own under ``[update] ignore``.

    Args:
        text: The spec's text.
        versions: The versions.
        comment: Why, for a comment beside each; may be empty.

    Raises:
        ConfigError: The text is no spec.
    """
    import tomlkit

    document = _parsed(text)
    _checked(document, text)
    if "update" not in document:
        document = _parsed(f"{text.rstrip()}\n\n[update]\n")
    update: Any = document["update"]
    if "ignore" not in update:
        update["ignore"] = tomlkit.array()
    ignored = update["ignore"]
    for version in versions:
        ignored.add_line(str(version), comment=_one_line(comment) or None)
    if not ignored.as_string().endswith("\n]"):
        ignored.add_line(indent="")
    return _checked(document, text)


def new_spec(*, name: str, version: Version, pin: Pin, summary: str, licence: str, guess: Guess) -> str:
    """The text of a fresh spec.

    Args:
        name: The normalised package name.
        version: The version that is pinned.
        pin: Its source.
        summary: Upstream's summary, which becomes a comment.
        licence: Upstream's licence, likewise.
        guess: What it seems to need.

    Raises:
        ConfigError: What was given makes no spec.
    """
    lines = [f"name = {quoted(name)}"]
    about = " · ".join(filter(None, (_one_line(summary), _one_line(licence))))
    lines += [f"# {text}" for text in (about, *map(_one_line, guess.notes)) if text]
    lines += _table("system", {"build": guess.build, "runtime": guess.runtime})
    lines += _table("build", {"remove-requires": guess.remove_requires, "vendor": guess.vendor})
    return with_pin("\n".join(lines) + "\n", version, pin)


def _table(name: str, keys: dict[str, str | tuple[str, ...]]) -> list[str]:
    written = [f"{key} = {_literal(value)}" for key, value in keys.items() if value]
    return ["", f"[{name}]", *written] if written else []


def _literal(value: str | tuple[str, ...]) -> str:
    return quoted(value) if isinstance(value, str) else f"[{', '.join(map(quoted, value))}]"


def quoted(text: str) -> str:
    """A text as TOML has it."""
    import tomlkit

    return tomlkit.string(text).as_string()


def _one_line(text: str) -> str:
    """Text for a comment: upstream's words may hold line ends, and control characters are no TOML."""
    return "".join(character if character.isprintable() else " " for character in " ".join(text.split())).strip()[:100]


def _parsed(text: str) -> TOMLDocument:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError(f"this spec can't be edited: {error}", cure="correct the spec first") from error


def _spelling(document: TOMLDocument, version: Version) -> str | None:
    """The key under which a version is pinned already: ``1.0`` may stand there as ``1.0.0``."""
    pins: Any = document.get("versions", {})
    for key in pins:
        try:
            if Version(key) == version:
                return str(key)
        except InvalidVersion:
            continue
    return None


def _placed(text: str, keys: Sequence[str], version: Version, pin: Pin) -> str:
    """The spec with a pin on a line of its own before that of its successor; empty where it is to be the last.

    Pins that a person keeps newest first stay so. A comment above a pin belongs to it.
    """
    pinned = [(key, Version(key)) for key in keys]
    falling = len(pinned) > 1 and all(a > b for (_, a), (_, b) in itertools.pairwise(pinned))
    follows = (key for key, other in pinned if (other < version if falling else other > version))
    successor = next(follows, None)
    if successor is None or text[key_offsets(text)["versions", successor]] == "[":
        return ""
    at = line_above(text, ("versions", successor))
    if at is None:
        return ""
    indent = re.match(r"[ \t]*", text[at:])
    end = "\r\n" if text[:at].endswith("\r\n") else "\n"
    line = f"{indent[0] if indent else ''}{quoted(str(version))} = {_inline(pin).as_string()}{end}"
    return _checked_text(text[:at] + line + text[at:])


def line_above(text: str, path: KeyPath) -> int | None:
    """Where something can be put in before a key: the beginning of its line, or of the comments right above it.

    Args:
        text: Valid TOML.
        path: The key.

    Returns:
        None where the key does not begin its line.
    """
    at = key_offsets(text)[path]
    start = text.rfind("\n", 0, at) + 1
    if text[start:at].strip():
        return None
    while start and text[text.rfind("\n", 0, start - 1) + 1 :].lstrip(" \t").startswith("#"):
        start = text.rfind("\n", 0, start - 1) + 1
    return start


def _inline(pin: Pin) -> Any:
    import tomlkit

    keys = [f"{key} = {quoted(value)}" for key, value in pin.model_dump(by_alias=True).items() if value]
    return tomlkit.value("{ " + ", ".join(keys) + " }")


def _checked(document: TOMLDocument, before: str) -> str:
    """The document as text with the line ends it had, if it is still a spec."""
    text = document.as_string()
    if before.count("\r\n") == before.count("\n") > 0:
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    return _checked_text(text)


def _checked_text(text: str) -> str:
    """A text, if it is a spec."""
    import tomli

    try:
        name = tomli.loads(text).get("name", "")
    except tomli.TOMLDecodeError as error:
        raise ConfigError(f"this spec can't be edited: {error}", cure="correct the spec first") from error
    parse_spec(text, f"specs/{name}.toml")
    return text

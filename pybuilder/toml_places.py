"""The place of every key in a TOML text, which tomli does not tell.

The text is one that tomli has accepted, so nothing is checked again here: only as much of TOML 1.0 is known as is
needed to walk over it.
"""

from __future__ import annotations

import re

import tomli

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys, and the indexes of arrays."""

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def key_offsets(text: str) -> dict[KeyPath, int]:
    """Where each key and each element of an array begins.

    Args:
        text: Valid TOML.

    Returns:
        Offsets into ``text``; that of a table is its header's, or its first dotted key's.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.offsets


_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'""")
_SCALAR = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # up to two more quotes may stand before the closing three
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
    r"|[^,\]}#\r\n]*",
    re.DOTALL,
)


class _Scanner:
    """The places of all keys in a text that tomli has accepted, so it checks nothing again."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.offsets: dict[KeyPath, int] = {}
        self.lengths: dict[KeyPath, int] = {}

    def document(self) -> None:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        assert match, self.at
        self.at = match.end()
        return match[0]

    def _header(self) -> KeyPath:
        start = self.at
        array = self.text.startswith("[[", self.at)
        self.at += 1 + array
        path: KeyPath = ()
        for key, _ in self._key():
            path = (*self._last(path), key)
            self.offsets.setdefault(path, start)
        if array:
            self.lengths[path] = self.lengths.get(path, 0) + 1
        self.at += 1 + array
        self.offsets.setdefault(self._last(path), start)
        return self._last(path)

    def _last(self, path: KeyPath) -> KeyPath:
        """A header below an array of tables means the array's last table (TOML 1.0, "Array of Tables")."""
        return (*path, self.lengths[path] - 1) if path in self.lengths else path

    def _key(self) -> list[tuple[str, int]]:
        found = []
        while True:
            self._skip(_SPACE)
            start = self.at
            found.append((_plain(self._skip(_KEY)), start))
            self._skip(_SPACE)
            if self.text[self.at] != ".":
                return found
            self.at += 1

    def _pair(self, path: KeyPath) -> None:
        for key, start in self._key():
            path = (*path, key)
            self.offsets.setdefault(path, start)
        self.at += 1
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        opening = self.text[self.at]
        if opening not in "[{":
            self._skip(_SCALAR)
            return
        self.at += 1
        self._skip(_BLANK)
        index = 0
        while self.text[self.at] not in "]}":
            if opening == "{":
                self._pair(path)
            else:
                self.offsets[(*path, index)] = self.at
                self._value((*path, index))
                index += 1
            self._skip(_BLANK)
            if self.text[self.at] == ",":
                self.at += 1
                self._skip(_BLANK)
        self.at += 1


def _plain(key: str) -> str:
    return key if key[0] not in "\"'" else str(next(iter(tomli.loads(f"{key} = 0"))))

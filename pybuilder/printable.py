"""Texts of strangers, without what a terminal would obey or UTF-8 can't write."""

from __future__ import annotations


def printable(text: str) -> str:
    """A text in one line."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def printable_lines(data: bytes) -> list[str]:
    """The lines of any bytes that aren't blank; tabs stay."""
    lines = data.decode("utf-8", errors="replace").splitlines()
    clean = ("\t".join(map(printable, line.split("\t"))) for line in lines)
    return [line for line in clean if line.strip()]

"""RECORD: one line for each file of a wheel, ``path,algorithm=digest,size`` (PEP 376; the wheel specification)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

SIGNATURES = ("RECORD.jws", "RECORD.p7s")
"""Signatures of RECORD, which can't list them."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of RECORD.

    Attributes:
        path: The file, relative to the wheel's root.
        digest: ``sha256=`` and URL-safe base64 without padding; empty for RECORD itself.
        size: Its bytes in decimal; empty for RECORD itself.
    """

    path: str
    digest: str
    size: str


def parse(data: bytes) -> tuple[Line, ...]:
    """Read the lines of RECORD.

    Raises:
        ValueError: It isn't UTF-8, isn't CSV, or a line has another number of fields than three.
    """
    lines = []
    try:
        for fields in csv.reader(io.StringIO(data.decode(), newline=""), strict=True):
            if not fields:
                continue
            if len(fields) != 3:
                raise ValueError(f"the line {','.join(fields)!r} has {len(fields)} fields, not 3")
            lines.append(Line(*fields))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    return tuple(lines)


def render(lines: Iterable[Line]) -> bytes:
    """The bytes of RECORD, in the order given."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows((line.path, line.digest, line.size) for line in lines)
    return text.getvalue().encode()

"""Which form of a page a client wants (PEP 691, "Version + Format Selection"), and which part of a file: pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

HTML = "text/html"
HTML_V1 = "application/vnd.pypi.simple.v1+html"
JSON_V1 = "application/vnd.pypi.simple.v1+json"

# In the order in which we choose where the client does not care: PEP 691 asks for HTML then.
_OFFERED = {
    HTML: HTML,
    HTML_V1: HTML_V1,
    JSON_V1: JSON_V1,
    "application/vnd.pypi.simple.latest+html": HTML_V1,
    "application/vnd.pypi.simple.latest+json": JSON_V1,
}
_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")


def choose(accept: str) -> str | None:
    """The content type to answer an ``Accept`` header with, or None where nothing we have is acceptable (406)."""
    wanted = _parse_accept(accept) or {"*/*": 1.0}
    best = max(_OFFERED, key=lambda offered: _quality(offered, wanted))
    return _OFFERED[best] if _quality(best, wanted) > 0 else None


def _parse_accept(accept: str) -> dict[str, float]:
    wanted: dict[str, float] = {}
    for item in accept.split(","):
        media, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                quality = _number(value)
        if media:
            wanted[media] = quality
    return wanted


def _number(text: str) -> float:
    # What is no number is not wanted: RFC 9110 leaves it open, and NaN must not win a comparison.
    return float(text) if re.fullmatch(r"[01](\.\d{0,3})?", text.strip()) else 0.0


def _quality(offered: str, wanted: dict[str, float]) -> float:
    """The most specific range counts (RFC 9110, 12.5.1)."""
    for pattern in (offered, f"{offered.partition('/')[0]}/*", "*/*"):
        if pattern in wanted:
            return wanted[pattern]
    return 0.0


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of a file from ``start`` up to, but not with, ``end``."""

    start: int
    end: int


def requested_span(header: str, size: int) -> Span | None:
    """The one range that a ``Range`` header asks for; None where all is to be sent (no range, several, another unit).

    Raises:
        ValueError: The range has no byte in common with the file (416).
    """
    match = _RANGE.match(header.strip())
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        start, end = max(size - int(match[2]), 0), size
    else:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    if start >= end:
        raise ValueError(f"{header} is outside of {size} bytes")
    return Span(start, end)

"""Who waits for review and what was rejected, as an index publishes it: pure functions from values to bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from pybuilder.printable import printable

JSON = "review.json"
HTML = "review.html"

_Entries = Sequence[Mapping[str, str]]
_WAITING = {"name": "package", "requirement": "requirement", "wanted_by": "wanted by", "first_seen": "since"}
_REJECTED = {"name": "package", "reason": "why", "by": "by", "when": "on"}
_TIMES = ("first_seen", "when")
# The columns need room, and nothing else: these pages look as plain as those of the Simple API.
_STYLE = "table{border-collapse:collapse}th,td{padding:.2em 1em .2em 0;text-align:left;vertical-align:top}"


def review_json(waiting: _Entries, rejected: _Entries) -> bytes:
    """The queue for programs.

    Args:
        waiting: ``name``, ``requirement``, ``wanted_by`` and ``first_seen`` of each.
        rejected: ``name``, ``reason``, ``by`` and ``when`` of each package that nobody wants.
    """
    return json.dumps({"review": list(waiting), "rejected": list(rejected)}, indent=1).encode() + b"\n"


def review_html(waiting: _Entries, rejected: _Entries) -> bytes:
    """The same for people; what strangers wrote is text there, whatever it looks like."""
    waits = _table(_WAITING, waiting) or "<p>Nothing waits.</p>\n"
    refused = f"<h2>Rejected</h2>\n{_table(_REJECTED, rejected)}" if rejected else ""
    text = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>Waiting for review</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Waiting for review</h1>\n{waits}{refused}</body>\n</html>\n"
    )
    return text.encode()


def _table(columns: Mapping[str, str], entries: _Entries) -> str:
    if not entries:
        return ""
    rows = [_row("th", columns.values()), *(_row("td", (_cell(key, each[key]) for key in columns)) for each in entries)]
    return f"<table>\n{''.join(rows)}</table>\n"


def _row(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in cells)}</tr>\n"


def _cell(key: str, text: str) -> str:
    shown = escape(printable(" ".join(text.split())))
    return f'<time datetime="{shown}">{shown[:10]}</time>' if key in _TIMES and shown else shown

"""How ``steps.py`` talks to the outside, and to what it starts: one JSON object a line.

Runs inside, like ``inside.py``: standard library only, and no import of pybuild. Importing ``json`` takes as long as
starting Python, so every start would pay twice.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Job = dict[str, Any]


class Talk:
    """One JSON object a line, both ways."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader = os.fdopen(reader, "r", encoding="utf-8")
        # What a backend returned may hold lone surrogates, which nobody outside could write down.
        self.writer = os.fdopen(writer, "w", encoding="utf-8", errors="replace")

    def tell(self, event: str, **facts: Any) -> None:
        """Report something."""
        self.writer.write(to_json({"event": event, **facts}) + "\n")
        self.writer.flush()

    def hear_job(self) -> Job | None:
        """What to do; None when whoever started us has died."""
        line = self.reader.readline()
        job: Job | None = from_json(line) if line.endswith("\n") else None
        return job

    def hear(self) -> bool:
        """Whether to go on; no answer is a no."""
        return self.reader.readline().strip() == "go"


_ESCAPES = {number: f"\\u{number:04x}" for number in (*range(0x20), ord('"'), ord("\\"))}


def to_json(value: Any) -> str:
    """A value as ``json.dumps`` has it without ``ensure_ascii``, but for blanks and the choice of escapes.

    Args:
        value: A string, a finite number, a boolean, nothing, or a dictionary or list of such.
    """
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    if isinstance(value, dict):
        return "{" + ",".join(f"{to_json(name)}:{to_json(item)}" for name, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(to_json, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


class _Context:
    """What ``json.loads`` asks of its scanner."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float


def from_json(text: str) -> Any:
    """What ``json.loads`` makes of a text, by the part of it that is written in C, where Python has it.

    Raises:
        ValueError: It is no JSON.
    """
    try:
        from _json import make_scanner

        scan = make_scanner(_Context)  # type: ignore[arg-type]
    except (ImportError, AttributeError):
        import json

        return json.loads(text)
    text = text.strip()
    try:
        value, end = scan(text, 0)
    except StopIteration:
        end = -1
    if end != len(text):
        raise ValueError("no JSON")
    return value

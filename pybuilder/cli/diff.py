"""``pybuild diff``: what changed between two builds."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import click

from pybuilder.build_diff import BuildDiff, compare
from pybuilder.cli.completion import complete_names
from pybuilder.cli.options import Options
from pybuilder.cli.places import find_attempt, open_layout, open_workspace
from pybuilder.printable import printable_lines
from pybuilder.state import Attempt, State
from pybuilder.wheel.differences import Content, Differences, FileChange

# Of one file; programs get them all.
_SHOWN_LINES = 20
_SHA256 = re.compile(r"\b([0-9a-f]{16})[0-9a-f]{48}\b")


@click.command()
@click.argument("before", metavar="BUILD", shell_complete=complete_names)
@click.argument("after", metavar="BUILD", shell_complete=complete_names)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def diff(options: Options, before: str, after: str, as_json: bool) -> int:
    """Print what changed from the first BUILD to the second: inputs, tools, metadata, files of the wheel.

    A BUILD is [CHANNEL/]NAME==VERSION+LABEL.N, an attempt's id, or NAME[==VERSION] for the latest attempt. The exit
    code is 0 whether anything changed or not.
    """
    workspace = open_workspace(options)
    layout, label = open_layout(options, workspace), workspace.settings.label
    with contextlib.closing(State.open(layout)) as state:
        attempts = [find_attempt(text, state, label) for text in (before, after)]
        found = compare(*attempts, layout=layout, state=state)
    if as_json:
        print(json.dumps(_facts(attempts, found), indent=2))
    else:
        for line in _lines(attempts, found):
            print(line)
    return 0


def _facts(attempts: list[Attempt], found: BuildDiff) -> dict[str, Any]:
    wheels = found.wheels
    sides = [
        {
            "channel": attempt.channel,
            "name": attempt.name,
            "version": attempt.version,
            "target": attempt.target,
            "attempt": attempt.id,
            "key": attempt.key,
            "payload_sha256": attempt.payload,
        }
        for attempt in attempts
    ]
    return {
        "before": sides[0],
        "after": sides[1],
        "same": found.same,
        "changes": [change.as_json for change in found.changes],
        "not_compared": found.without or None,
        "metadata": [
            {"field": change.field, "before": list(change.before), "after": list(change.after)}
            for change in (wheels.fields if wheels else ())
        ],
        "times": list(wheels.moments) if wheels and wheels.moments else None,
        "files": [_file_facts(change) for change in (wheels.files if wheels else ())],
    }


def _file_facts(change: FileChange) -> dict[str, Any]:
    return {
        "name": change.name,
        "before": _content_facts(change.before),
        "after": _content_facts(change.after),
        "diff": list(change.lines),
    }


def _content_facts(content: Content | None) -> dict[str, Any] | None:
    if content is None:
        return None
    return {"size": content.size, "sha256": content.sha256, "executable": content.executable}


def _lines(attempts: list[Attempt], found: BuildDiff) -> Iterator[str]:
    for sign, attempt in zip("-+", attempts, strict=True):
        yield f"{sign} {attempt.channel}/{attempt.name}=={attempt.version}  {attempt.id}  {attempt.state}"
    if found.same:
        yield "nothing changed" + (f"; {found.without}" if found.without else "")
        return
    part = ""
    for change in found.changes:
        if change.part != part:
            part = change.part
            yield part
        yield f"  {_short(change.sentence)}"
    yield from _payload_lines(found)


def _payload_lines(found: BuildDiff) -> Iterator[str]:
    one, two = (payload or "none" for payload in found.payloads)
    yield "payload"
    yield f"  the same: sha256 {_short(one)}" if one == two else f"  sha256: {_short(one)} -> {_short(two)}"
    if found.without:
        yield f"  not compared: {found.without}"
    if found.wheels:
        yield from _wheel_lines(found.wheels)


def _wheel_lines(wheels: Differences) -> Iterator[str]:
    if wheels.moments:
        yield f"  time of the files: {' -> '.join(wheels.moments)}"
    if wheels.fields:
        yield "metadata"
    for field in wheels.fields:
        yield from (f"  - {field.field}: {_short(value)}" for value in field.before)
        yield from (f"  + {field.field}: {_short(value)}" for value in field.after)
    if wheels.files:
        yield "files"
    for change in wheels.files:
        yield f"  {_file_line(change)}"
        # What a wheel holds may be written by anybody: nothing of it may move a terminal.
        yield from (f"      {line}" for line in printable_lines("\n".join(change.lines[:_SHOWN_LINES]).encode()))
        if more := len(change.lines[_SHOWN_LINES:]):
            yield f"      … {more} more lines"


def _file_line(change: FileChange) -> str:
    old, new = change.before, change.after
    if old is None or new is None:
        return f"{'+' if new else '-'} {change.name}  {(new or old or _NONE).size} bytes"
    size = f"{old.size} -> {new.size} bytes" if old.size != new.size else f"{new.size} bytes, others than before"
    modes = f", {'' if new.executable else 'not '}executable now" if old.executable != new.executable else ""
    return f"~ {change.name}  {size if old.sha256 != new.sha256 else f'{new.size} bytes'}{modes}"


_NONE = Content(size=0, sha256="", executable=False)


def _short(text: str) -> str:
    """A text whose digests are cut to what a person compares, and that no terminal obeys."""
    return " ".join(printable_lines(_SHA256.sub(r"\1…", text).encode()))

"""``pybuild challenge``: our payloads against those that another pybuild made from the same keys."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import click

from pybuilder.audit import Place, Shelf, Trust
from pybuilder.audit.challenge import Challenge, Compared
from pybuilder.audit.challenge import challenge as compare
from pybuilder.cli.options import Options
from pybuilder.cli.places import channel_name, named_index, open_layout, open_workspace, own_index
from pybuilder.errors import ReproducibilityError, ValidationError
from pybuilder.http import Client
from pybuilder.names import normalize
from pybuilder.printable import printable


@click.command()
@click.argument("other", metavar="URL")
@click.argument("names", metavar="[NAME...]", nargs=-1)
@click.option("--index", metavar="DIR|URL", help="Our index [default: that of the channel].")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def challenge(options: Options, other: str, names: tuple[str, ...], index: str | None, as_json: bool) -> int:
    """Compare our payloads with those that the index at URL has for the same keys; exit 12 if any differ.

    The wheels themselves are compared, whatever is said of them. A key that only one of the two has says nothing; a
    wheel that can't be compared, or whose record of ours can't be read, is exit 50.
    """
    ours = named_index(index) if index else _own(options)
    theirs = named_index(other)
    with Client() as client, tempfile.TemporaryDirectory(prefix="pybuild-challenge-") as scratch:
        shelves = []
        for name, place in (("ours", ours), ("theirs", theirs)):
            (room := Path(scratch, name)).mkdir()
            shelves.append(Shelf(reader=place.open(client, room), trust=Trust(keys={}), scratch=room))
        found = compare(shelves[0], shelves[1], only=[normalize(name) for name in names])
    if as_json:
        print(json.dumps(_document(found), indent=2))
    else:
        for line in _lines(found):
            print(printable(line))
    if found.differ:
        return ReproducibilityError.exit_code
    return ValidationError.exit_code if found.broken or found.unknown else 0


def _own(options: Options) -> Place:
    workspace = open_workspace(options)
    return own_index(open_layout(options, workspace), channel_name(options, workspace))


def _document(found: Challenge) -> dict[str, Any]:
    return {
        "ok": not (found.differ or found.broken or found.unknown),
        "compared": [_facts(each) for each in found.compared],
        "alone": list(found.alone),
        "unknown": list(found.unknown),
    }


def _facts(each: Compared) -> dict[str, Any]:
    return {
        "name": each.name,
        "key": each.key,
        "ours": {"wheel": each.ours[0], "payload_sha256": each.ours[1] or None},
        "theirs": {"wheel": each.theirs[0], "payload_sha256": each.theirs[1] or None},
        "same": not each.difference and not each.problem,
        "difference": each.difference or None,
        "problem": each.problem or None,
    }


def _lines(found: Challenge) -> list[str]:
    said = []
    for each in found.differ:
        said += [f"{each.ours[0]}: the same key, another payload", f"  key      {each.key}"]
        said += [f"  ours     {each.ours[1]}", f"  theirs   {each.theirs[1]}  {each.theirs[0]}", f"  {each.difference}"]
    said += [f"{each.ours[0]}: {each.problem}" for each in found.broken]
    same = len(found.compared) - len(found.differ) - len(found.broken)
    counts = f"{same} the same, {len(found.differ)} differ, {len(found.broken)} can't be compared"
    if found.unknown:
        said.append(f"{len(found.unknown)} wheels of ours have no record that can be read: pybuild audit --all")
    return [*said, f"{len(found.compared)} of the same key: {counts}; {len(found.alone)} wheels of ours have no rival"]

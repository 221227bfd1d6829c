"""``pybuild key``: the key that signs what is published."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from pybuilder.cli.options import Options
from pybuilder.cli.places import open_layout, open_workspace
from pybuilder.errors import UsageError
from pybuilder.files import file_lock
from pybuilder.signing import PublicKey, kept_keys, load_private, make_key


@click.group()
def key() -> None:
    """The key that signs the provenance of what is published, and those that it has replaced."""


@key.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def new(options: Options, as_json: bool) -> int:
    """Make a key; refused where there is one."""
    return _make(options, as_json, replace=False)


@key.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def rotate(options: Options, as_json: bool) -> int:
    """Make another key in place of the one there is, whose public part stays, so that what it signed still verifies."""
    return _make(options, as_json, replace=True)


@key.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def show(options: Options, as_json: bool) -> int:
    """Print the public key, and the ids of those before it; the private one is never printed."""
    workspace = open_workspace(options)
    path, directory = open_layout(options, workspace).key, workspace.keys
    private, known = load_private(path), kept_keys(directory)
    if private is None:
        raise UsageError("there is no key: what is published is not signed", where=str(path), cure="pybuild key new")
    current = private.public
    former = [keyid for keyid in known if keyid != current.keyid]
    committed = directory / f"{current.keyid}.pem"
    if as_json:
        _print(_facts(current, path, directory) | {"pem": current.pem.decode(), "former": former})
        return 0
    print(current.keyid)
    print(current.pem.decode(), end="")
    for keyid in former:
        print(f"former  {keyid}")
    if current.keyid not in known:
        print(f"pybuild: the workspace lacks this key; write the lines above to {committed}", file=sys.stderr)
    return 0


def _make(options: Options, as_json: bool, *, replace: bool) -> int:
    workspace = open_workspace(options)
    layout, directory = open_layout(options, workspace), workspace.keys
    with file_lock(layout.lock("key")):
        made = make_key(layout.key, directory, replace=replace)
    facts = _facts(made, layout.key, directory)
    if as_json:
        _print(facts)
        return 0
    print(made.keyid)
    print(f"private  {facts['private']}  keep a copy of it where nobody else can read it")
    print(f"public   {facts['public']}  commit it")
    return 0


def _facts(made: PublicKey, private: Path, directory: Path) -> dict[str, Any]:
    return {"keyid": made.keyid, "private": str(private), "public": str(directory / f"{made.keyid}.pem")}


def _print(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2))

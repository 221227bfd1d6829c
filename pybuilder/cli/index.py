"""``pybuild index`` and ``pybuild serve``."""

from __future__ import annotations

import contextlib
import json
import sys

import click

from pybuilder.cli.options import Options
from pybuilder.cli.places import channel_name, open_index, open_layout, open_workspace
from pybuilder.errors import UsageError, ValidationError
from pybuilder.layout import Layout
from pybuilder.state import PublishedWheel, State

# The kind of fact that a published wheel was taken out of its index, by channel and file name.
_TAKEN_OUT = "taken-out"


@click.group()
def index() -> None:
    """Check or renew the published index of a channel."""


@index.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def verify(options: Options, as_json: bool) -> int:
    """Read every file and page, and list what is wrong; exit 50 if anything is."""
    workspace = open_workspace(options)
    channel = channel_name(options, workspace)
    layout = open_layout(options, workspace)
    tree = open_index(layout, channel)
    found = (*tree.verify(), *_gone(layout, channel))
    if as_json:
        json.dump({"ok": not found, "channel": channel, "problems": list(found)}, sys.stdout, indent=2)
        print()
    else:
        for problem in found:
            print(problem)
        print(f"{tree.root}: {f'{len(found)} problems' if found else 'sound'}", file=sys.stderr)
    return ValidationError.exit_code if found else 0


def _gone(layout: Layout, channel: str) -> list[str]:
    """What is wrong with the wheels that are published and gone, but for those that ``refresh`` took note of."""
    if not layout.database.exists():
        return []
    with contextlib.closing(State.open(layout)) as state:
        gone, noted = _missing(layout, state, channel), state.facts(_TAKEN_OUT, f"{channel}/")
    what = "it was published, and is gone; published again, under another number, by"
    return [
        f"files/{wheel.wheel}: {what} `pybuild build {wheel.name}=={wheel.version}`; if it was taken out on purpose,"
        " `pybuild index refresh` takes note of that"
        for wheel in gone
        if not noted.get(f"{channel}/{wheel.wheel}")
    ]


def _note_taken_out(layout: Layout, channel: str) -> None:
    """Take note of what is gone; whoever renews the pages of an index means it to be as it is."""
    if not layout.database.exists():
        return
    with contextlib.closing(State.open(layout)) as state:
        gone = {f"{channel}/{wheel.wheel}" for wheel in _missing(layout, state, channel)}
        # What was put back may go again, and is told of then.
        state.add_facts(_TAKEN_OUT, {key: key in gone for key in gone.union(state.facts(_TAKEN_OUT, f"{channel}/"))})


def _missing(layout: Layout, state: State, channel: str) -> list[PublishedWheel]:
    """The wheels of newest numbers that the state knows to be published, and whose files are gone."""
    published = state.published_in(channel)
    newest: dict[tuple[str, str], int] = {}
    for wheel in published:
        newest[wheel.name, wheel.version] = max(wheel.number, newest.get((wheel.name, wheel.version), 0))
    return [
        wheel
        for wheel in sorted(published, key=lambda wheel: wheel.wheel)
        if wheel.number == newest[wheel.name, wheel.version] and not layout.wheel(channel, wheel.wheel).exists()
    ]


@index.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def refresh(options: Options, as_json: bool) -> int:
    """Write all pages anew from the files; what is right stays as it is.

    Published wheels whose files are gone count as taken out on purpose: `index verify` tells of them no more.
    """
    workspace = open_workspace(options)
    channel = channel_name(options, workspace)
    layout = open_layout(options, workspace)
    tree = open_index(layout, channel)
    done = tree.refresh()
    _note_taken_out(layout, channel)
    if as_json:
        document = {
            "channel": channel,
            "listed": list(done.listed),
            "dropped": list(done.dropped),
            "pages": list(done.pages),
        }
        json.dump(document, sys.stdout, indent=2)
        print()
    else:
        print(f"{tree.root}: {len(done.pages)} pages written, {len(done.dropped)} files dropped", file=sys.stderr)
    return 0


@click.command()
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.pass_obj
def serve(options: Options, port: int) -> int:
    """Serve every channel's index on this machine's loopback until interrupted."""
    from pybuilder.web.serve import serve as run_server

    workspace = open_workspace(options)
    root = open_layout(options, workspace).indexes
    if not root.is_dir():
        raise UsageError("nothing has been published yet", where=str(root), cure="pybuild build NAME")
    channels = sorted(path.name for path in root.iterdir() if (path / "simple").is_dir())

    def ready(url: str) -> None:
        for channel in channels:
            print(f"{channel}: pip install --index-url {url.rstrip('/')}/{channel}/simple/ NAME", flush=True)

    run_server(root, port=port, ready=ready)
    return 0

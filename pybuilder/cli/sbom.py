"""``pybuild sbom``: the bill of materials of a whole build."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import click

from pybuilder.cli.completion import complete_names
from pybuilder.cli.options import Options
from pybuilder.cli.places import open_layout, open_workspace, published_wheels
from pybuilder.errors import StateError, UsageError
from pybuilder.provenance import BILL
from pybuilder.state import PublishedWheel, State
from pybuilder.wheel.filename import WheelName


@click.command()
@click.argument("build", metavar="BUILD|WHEEL", shell_complete=complete_names)
@click.option("--spdx", "as_spdx", is_flag=True, help="As SPDX 2.3 in place of CycloneDX 1.6.")
@click.pass_obj
def sbom(options: Options, build: str, as_spdx: bool) -> int:
    """Print the bill of materials of a published BUILD, or of a WHEEL by its file name, as one JSON document."""
    workspace = open_workspace(options)
    layout = open_layout(options, workspace)
    with contextlib.closing(State.open(layout)) as state:
        wheel = _one(_published(build, state, workspace.settings.label), build)
    path = layout.index(wheel.channel) / "files" / f"{wheel.wheel}{BILL}"
    bill = _read(path, wheel)
    sys.stdout.buffer.write(_as_spdx(bill, path) if as_spdx else bill)
    return 0


def _published(text: str, state: State, label: str) -> list[PublishedWheel]:
    """The published wheels that a person means, those of one number."""
    if text.endswith(".whl"):
        filename = Path(text).name
        return [each for each in state.published_anywhere(WheelName.parse(filename).name) if each.wheel == filename]
    return published_wheels(text, state, label)


def _one(wheels: list[PublishedWheel], text: str) -> PublishedWheel:
    if not wheels:
        raise UsageError(
            f"nothing that {text!r} names is published", cure="name a build that `pybuild show NAME` lists"
        )
    if len(wheels) > 1:
        raise UsageError(
            f"{text} has {len(wheels)} wheels, each with its own bill of materials",
            cure=f"name one of: {', '.join(sorted(wheel.wheel for wheel in wheels))}",
        )
    return wheels[0]


def _as_spdx(bill: bytes, path: Path) -> bytes:
    from pybuilder.sbom.spdx import spdx

    try:
        return spdx(json.loads(bill))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise StateError(
            f"the bill of materials is damaged: {error!r}", where=str(path), cure="pybuild index verify"
        ) from error


def _read(path: Path, wheel: PublishedWheel) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise StateError(
            f"{wheel.wheel} has no bill of materials beside it",
            where=str(path),
            cure=f"pybuild rebuild {wheel.name}=={wheel.version}",
        ) from error

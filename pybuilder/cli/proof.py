"""``pybuild rebuild WHEEL``: build the plan of a wheel again, found from the wheel alone."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pybuilder import reports
from pybuilder.cli.clearing import clear_left
from pybuilder.cli.ground import Ground, this_machine
from pybuilder.cli.options import Options
from pybuilder.cli.places import open_layout, open_workspace
from pybuilder.cli.progress import listener
from pybuilder.cli.run_command import print_document
from pybuilder.cli.session import adapters_on
from pybuilder.errors import FetchError, PybuildError, UsageError
from pybuilder.events import Listener
from pybuilder.http import Client
from pybuilder.index.reader import DirectoryReader, Place, Reader
from pybuilder.layout import Layout
from pybuilder.proof import prove
from pybuilder.recorded import Recorded, find_record, read_numbered
from pybuilder.sandbox.processors import usable
from pybuilder.spec import Limits
from pybuilder.stages import Channel
from pybuilder.stages.reap import reap
from pybuilder.stages.screen import Screener
from pybuilder.state import State
from pybuilder.store import Store
from pybuilder.supplies import Supplies
from pybuilder.usage import at_work
from pybuilder.work import work_directory
from pybuilder.workspace import Workspace


def rebuild_wheels(options: Options, wheels: Sequence[str], *, as_json: bool) -> int:
    """Build the plan of each wheel again, the first failure ends it; the exit code."""
    began = time.monotonic()
    proven: list[dict[str, Any]] = []
    try:
        with listener(options) as listen:
            for text in wheels:
                proven.append(_rebuild(options, text, listen))
    except PybuildError as error:
        if as_json:
            refused = reports.refusal_report(error, seconds=time.monotonic() - began)
            print_document({**refused, "proven": proven})
        raise
    if as_json:
        seconds = round(time.monotonic() - began, 3)
        done = {"ok": True, "seconds": seconds, "built": [], "cached": [], "failed": [], "review": []}
        print_document({**done, "proven": proven})
        return 0
    for each in proven:
        print(f"proven  {each['wheel']}")
        print(f"        built again as {each['record']} says, the same payload came out: {each['payload_sha256']}")
        for what in each["fetched"]:
            print(f"        fetched: {what}")
    print("nothing is published and no number is taken: this is a proof, not a release")
    return 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bench:
    """What a rebuild of one wheel works with."""

    workspace: Workspace
    layout: Layout
    state: State
    client: Client
    scratch: Path
    listen: Listener


def _rebuild(options: Options, text: str, listen: Listener) -> dict[str, Any]:
    workspace = open_workspace(options)
    layout = open_layout(options, workspace)
    with (
        contextlib.closing(State.open(layout)) as state,
        at_work(layout),
        Client() as client,
        work_directory(layout, f"wheel-{secrets.token_hex(4)}") as scratch,
    ):
        bench = _Bench(workspace=workspace, layout=layout, state=state, client=client, scratch=scratch, listen=listen)
        file, readers = _find(text, bench)
        (scratch / "payload").mkdir()
        recorded = find_record(read_numbered(file, scratch / "payload"), readers, state=state, layout=layout)
        buildroot = options.buildroot or recorded.account.record.get("buildroot") or recorded.account.record["channel"]
        supplies = Supplies(layout=layout, store=Store(layout, listen), readers=readers)
        with _ground(bench, recorded, buildroot) as ground:
            channel = _channel(recorded, buildroot)
            with adapters_on(ground, workspace, layout=layout, state=state, channel=channel, listen=listen) as adapters:
                reap(layout, state, partial(clear_left, layout, state))
                limits = _limits(workspace, recorded, buildroot)
                screener = Screener(adapters=adapters, policy=workspace.settings.screen, root=workspace.root)
                fetched = prove(adapters, recorded, supplies, screener=screener, limits=limits, cpus=len(usable()))
        wheel = recorded.wheel
        return {
            "wheel": wheel.filename,
            "wheel_sha256": wheel.sha256,
            "payload_sha256": wheel.payload_sha256,
            "key": recorded.plan.key(),
            "record": recorded.where,
            "fetched": list(fetched),
        }


def _find(text: str, bench: _Bench) -> tuple[Path, list[Reader]]:
    """The file of a wheel, and who may know of it: the index that it lies in, or what lies beside it, then our own.

    Raises:
        UsageError: There is no such file.
        FetchError: The index has no such wheel.
    """
    indexes = bench.layout.indexes
    own: list[Reader] = [DirectoryReader(path) for path in sorted(indexes.iterdir())] if indexes.is_dir() else []
    place = Place.of(text)
    if place is None or not place.wheel:
        file = Path(text)
        if not file.is_file():
            raise UsageError(f"there is no file {text}")
        return file, [DirectoryReader(file.absolute().parent), *own]
    reader = place.open(bench.client, bench.scratch / "index")
    found = reader.file(f"files/{place.wheel}")
    if found is None:
        raise FetchError(f"the index has no wheel {place.wheel}", where=reader.where)
    return found, [reader, *(each for each in own if each.where != reader.where)]


@contextlib.contextmanager
def _ground(bench: _Bench, recorded: Recorded, buildroot: str) -> Iterator[Ground]:
    """What the plan stood on, or this machine as it is."""
    if recorded.plan.root.kind == "host":
        yield this_machine(bench.state)
        return
    from pybuilder.cli.rpm_ground import recorded_rpm_ground

    with recorded_rpm_ground(
        recorded.plan,
        bench.workspace.buildroot(buildroot),
        workspace=bench.workspace,
        layout=bench.layout,
        facts=bench.state,
        client=bench.client,
        listen=bench.listen,
    ) as ground:
        yield ground


def _channel(recorded: Recorded, buildroot: str) -> Channel:
    """The channel of the plan, as its recipe says it was."""
    recipe = recorded.plan.recipe
    return Channel(
        name=recorded.account.record["channel"],
        label=recorded.wheel.label,
        buildroot=buildroot,
        variant="",
        env=recipe.root_env,
        macros=recipe.root_macros,
    )


def _limits(workspace: Workspace, recorded: Recorded, buildroot: str) -> Limits:
    """What the workspace lets a build of this package use; the default where nobody has accepted it."""
    spec = workspace.spec(recorded.wheel.name)
    if spec is None:
        return Limits()
    python = recorded.plan.target.python
    return spec.effective(version=recorded.wheel.version, buildroot=buildroot, python=python).build.limits

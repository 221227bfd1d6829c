"""A pass of cron and a state, for the tests of what is told of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pybuilder.passes import Pass
from pybuilder.state import PublishedWheel, State
from pybuilder.units import Job

NOW = datetime(2026, 11, 26, 6, 15, 0, 123456, tzinfo=UTC)
PASS = Pass(
    run="20261126T061000.000000Z-abcdef",
    workspace="wheels",
    channel="host",
    began=datetime(2026, 11, 26, 6, 10, tzinfo=UTC),
    seconds=300.25,
    phases={"update": 12.5, "build": 280.0},
    outcome="ok",
)
"""One in which nothing was to do."""

JOB = Job(
    workspace=Path("/srv/wheels"),
    state=Path("/srv/wheels/.pybuild"),
    program=("/opt/pybuild/bin/pybuild",),
    options=("--buildroot", "fedora-45"),
    arguments=("--pull", "--jobs", "4"),
    user="packager",
    uid=1000,
    home=Path("/home/packager"),
    engine="host",
    max_time=None,
)
"""What units run."""


def published(
    state: State, name: str, version: str, number: int, *, channel: str = "host", visible: bool = True
) -> None:
    """Publish a build, as far as the database sees it."""
    wheel = PublishedWheel(
        label="pb",
        name=name,
        version=version,
        number=number,
        target="cp311-linux_x86_64",
        channel=channel,
        wheel=f"{name}-{version}+pb.{number}-py3-none-any.whl",
        wheel_sha256="0" * 64,
        payload="1" * 64,
        key="2" * 64,
        recipe="3" * 64,
        attempt="20261126T061100.000000Z-aaaaaa",
        published="2026-11-26T06:11:00.000000Z",
    )
    state.begin_publish([wheel])
    if visible:
        state.finish_publish("pb", name, version, number)

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from pybuilder import events
from pybuilder.cli.options import Options
from pybuilder.cli.progress import listener

OPTIONS = Options(workspace=None, buildroot="", variant="", state=None, log_format="json", quiet=False, verbose=False)
STARTED = events.Started(name="alpha", version="1.0", phase="build")
FAILED = events.Failed(name="alpha", version="1.0", phase="build", error="it\nfails", log="")


@pytest.fixture
def logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """What is written to standard error, which is a file, for some events."""
    with (tmp_path / "stderr").open("w+") as stream:

        def log(*said: events.Event, journal: bool = False, **options: Any) -> list[str]:
            monkeypatch.setattr(sys, "stderr", stream)
            status = os.fstat(stream.fileno())
            # As a child of a unit inherits it whose output goes to a file.
            other = f"{status.st_dev}:{status.st_ino + 1}"
            monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}" if journal else other)
            with listener(OPTIONS, **options) as listen:
                # As a build does it: in a thread of its own.
                worker = threading.Thread(target=lambda: [listen(event) for event in said])
                worker.start()
                worker.join()
            return (tmp_path / "stderr").read_text().splitlines()

        yield log
    structlog.reset_defaults()


def test_each_json_line_says_which_run_it_is_of(logged: Callable[..., list[str]]) -> None:
    lines = [json.loads(line) for line in logged(STARTED, FAILED, run="20261126T061000.000000Z-abcdef")]
    assert [line["event"] for line in lines] == ["started", "failed"]
    assert {line["run"] for line in lines} == {"20261126T061000.000000Z-abcdef"}


def test_a_run_that_has_no_id_gets_one(logged: Callable[..., list[str]]) -> None:
    lines = [json.loads(line) for line in logged(STARTED, FAILED)]
    [run] = {line["run"] for line in lines}
    assert len(run) == len("20261126T061000.000000Z-abcdef")


def test_where_systemd_reads_them_they_begin_with_their_priority(logged: Callable[..., list[str]]) -> None:
    damaged = events.Damaged(what="sources/0", file="x")
    waiting = events.Waiting(name="beta", version="1.0", on="review")
    lines = logged(STARTED, FAILED, damaged, waiting, journal=True)
    assert [line[:3] for line in lines] == ["<6>", "<3>", "<4>", "<5>"]
    assert [json.loads(line[3:])["event"] for line in lines] == ["started", "failed", "damaged", "waiting"]


def test_where_somebody_else_reads_them_they_do_not(logged: Callable[..., list[str]]) -> None:
    assert json.loads(logged(FAILED)[0])["error"] == "it\nfails"

"""What a build that is done again finds different, and what is told of it; no place is made here."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pybuilder.layout import Layout
from pybuilder.sandbox import Event, Job, Limits, Outcome, parallel_environ, variation
from pybuilder.sandbox.namespace import PREFERRED_ID, unprivileged_ids
from pybuilder.sandbox.variation import AHEAD, VaryingEngine, other_cpus, with_cpus

JOB = Job(
    root=Path("/"),
    environment=Path("/nowhere"),
    work=Path("/nowhere"),
    cwd="/build/x",
    env={**parallel_environ(4), "CFLAGS": "-O2"},
    steps=({"do": "wheel"},),
    limits=Limits(),
    log=Path("/nowhere/log"),
    cpus=4,
)


def job(tmp_path: Path, **changes: object) -> Job:
    return dataclasses.replace(JOB, work=tmp_path / "work", **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "there", "limit", "cpus", "same"),
    [
        (4, 4, 0, 1, False),
        (2, 8, 0, 1, False),
        (1, 4, 0, 4, False),
        (0, 4, 0, 1, False),
        (1, 1, 0, 1, True),
        (1, 4, 1, 1, True),
        (1, 8, 3, 3, False),
        (3, 8, 3, 1, False),
        (1, 2, 8, 2, False),
    ],
)
def test_another_number_of_processors(before: int, there: int, limit: int, cpus: int, same: bool) -> None:
    again = dataclasses.replace(JOB, cpus=limit or there, limits=Limits(cpus=limit))
    found, told = other_cpus(again, before=before, there=there)
    assert (found, told.same) == (cpus, same)
    assert same or told.how == f"{cpus} instead of {before or there}"


def test_a_job_is_told_its_number_but_where_its_spec_says_another() -> None:
    again = with_cpus(dataclasses.replace(JOB, env={**JOB.env, "MAX_JOBS": "3"}, limits=Limits(cpus=4)), 1)
    assert again.env == {**parallel_environ(1), "CFLAGS": "-O2", "MAX_JOBS": "3"}
    assert (again.cpus, again.limits.cpus) == (1, 1)
    assert with_cpus(JOB, 1).limits.cpus == 0


def test_other_ids_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda path: "0 0 4294967295\n")
    builds, others = unprivileged_ids(), unprivileged_ids(other=True)
    assert builds and others
    assert (builds.uid, builds.gid) == (PREFERRED_ID, PREFERRED_ID)
    assert (others.uid, others.gid) == (PREFERRED_ID - 1, PREFERRED_ID - 1)


class Engine:
    """Writes down what it is asked to start; compiling fails where there is no compiler."""

    name = "podman"

    def __init__(self, *, compiler: bool) -> None:
        self.compiler = compiler
        self.jobs: list[Job] = []

    def tools(self) -> dict[str, str]:
        return {"tool": "1"}

    def run(self, job: Job, *, answer: Callable[[Event], bool], echo: object = None) -> Outcome:
        self.jobs.append(job)
        is_compiling = job.steps[0]["do"] == "run"
        failure = "" if self.compiler or not is_compiling else "cc can't be started"
        if is_compiling and self.compiler:
            (job.work / "out").mkdir()
            (job.work / "out" / "vary.so").write_bytes(b"library")
        return Outcome(seal={}, failure=failure, timed_out=False, seconds=0)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No busy process; root, on a machine of four processors."""
    monkeypatch.setattr(variation, "usable", lambda: frozenset())
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def start(tmp_path: Path, *, compiler: bool = True, **changes: object) -> tuple[VaryingEngine, Engine]:
    inner = Engine(compiler=compiler)
    engine = VaryingEngine(engine=inner, layout=Layout(root=tmp_path / "state"), before=4)
    (tmp_path / "work").mkdir()
    outcome = engine.run(job(tmp_path, **changes), answer=lambda event: True)
    assert outcome.failure == ""
    return engine, inner


def test_time_and_order_come_by_a_library_that_the_root_compiles(tmp_path: Path) -> None:
    engine, inner = start(tmp_path)
    compiling, building = inner.jobs
    assert f"-DAHEAD={AHEAD}" in compiling.steps[0]["argv"]
    assert building.env["LD_PRELOAD"] == "/tmp/.vary.so"
    assert (building.work / "tmp" / ".vary.so").read_bytes() == b"library"
    assert engine.ahead == AHEAD
    assert {each.what for each in engine.varied if not each.same} >= {"time", "file order", "processors", "uid"}
    assert list((tmp_path / "state" / "work").iterdir()) == []


def test_what_a_spec_loads_is_loaded_as_well(tmp_path: Path) -> None:
    _, inner = start(tmp_path, env={"LD_PRELOAD": "/env/lib/own.so"})
    assert inner.jobs[-1].env["LD_PRELOAD"] == "/tmp/.vary.so /env/lib/own.so"


def test_a_library_serves_all_builds_on_a_root(tmp_path: Path) -> None:
    engine, inner = start(tmp_path)
    engine.run(job(tmp_path), answer=lambda event: True)
    assert [each.steps[0]["do"] for each in inner.jobs] == ["run", "wheel", "wheel"]


def test_what_needs_a_compiler_is_told_where_there_is_none(tmp_path: Path) -> None:
    engine, inner = start(tmp_path, compiler=False)
    assert "LD_PRELOAD" not in inner.jobs[-1].env
    assert engine.ahead == 0
    same = {each.what: each.how for each in engine.varied if each.same}
    assert same.keys() == {"time", "file order", "host name"}
    assert "cc can't be started" in same["time"]


def test_the_job_is_another_ones_and_elsewhere(tmp_path: Path) -> None:
    engine, inner = start(tmp_path)
    assert (inner.jobs[-1].other_ids, inner.jobs[-1].cpus) == (True, 1)
    assert [each.how for each in engine.varied if each.what == "state path"] == [str(tmp_path / "state")]


def test_somebody_ordinary_has_one_uid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    engine, _ = start(tmp_path)
    assert [each.same for each in engine.varied if each.what == "uid"] == [True]


def test_otherwise_it_is_the_engine(tmp_path: Path) -> None:
    engine, _ = start(tmp_path)
    assert (engine.name, engine.tools()) == ("podman", {"tool": "1"})

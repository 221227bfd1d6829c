from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pybuilder import events, trace
from pybuilder.errors import UsageError
from pybuilder.timing import timed


def span(name: str, phase: str, began: float, ended: float, thread: int = 1) -> events.Span:
    return events.Span(name=name, version="1.0", phase=phase, began=began, seconds=ended - began, thread=thread)


BUILD = [
    span("six", "fetch", 100.0, 101.0),
    span("six", "backend requires", 102.0, 102.5),
    span("six", "backend wheel", 102.5, 104.0),
    span("six", "sandbox", 101.5, 104.5),
    span("six", "build", 101.0, 105.0),
]


def boxes(spans: list[events.Span]) -> list[dict[str, Any]]:
    return [event for event in json.loads(trace.trace_json(spans))["traceEvents"] if event["ph"] == "X"]


def test_timings_are_sums_by_phase_in_order_and_whole_milliseconds() -> None:
    found = trace.timings([*BUILD, span("seven", "fetch", 7.0, 7.12345)])
    assert found == {"backend requires": 0.5, "backend wheel": 1.5, "build": 4.0, "fetch": 1.123, "sandbox": 3.0}
    assert list(found) == sorted(found)


def test_nested_timings_say_what_is_inside_what() -> None:
    found = trace.nested_timings([*BUILD, span("seven", "build", 101.0, 103.0, thread=2)])
    assert found == {
        ("build",): 6.0,
        ("build", "sandbox"): 3.0,
        ("build", "sandbox", "backend requires"): 0.5,
        ("build", "sandbox", "backend wheel"): 1.5,
        ("fetch",): 1.0,
    }


def test_a_package_takes_its_outermost_spans_and_no_waiting_between_them() -> None:
    run = events.Span(name="", version="", phase="plan", began=0.0, seconds=50.0, thread=1)
    found = trace.package_timings(
        [
            *BUILD,
            run,
            span("six", "validate", 200.0, 202.0),
            span("seven", "fetch", 7.0, 20.0),
            span("seven", "wait", 20.0, 90.0),  # For another run, outside of any build.
        ]
    )
    assert list(found.items()) == [(("seven", "1.0"), 13.0), (("six", "1.0"), 7.0)]


def test_a_package_is_a_box_with_its_phases_inside() -> None:
    package, *phases = boxes(BUILD)
    assert (package["name"], package["ts"], package["dur"]) == ("six 1.0", 0, 5_000_000)
    assert [(box["name"], box["ts"], box["dur"]) for box in phases] == [
        ("fetch", 0, 1_000_000),
        ("build", 1_000_000, 4_000_000),
        ("sandbox", 1_500_000, 3_000_000),
        ("backend requires", 2_000_000, 500_000),
        ("backend wheel", 2_500_000, 1_500_000),
    ]
    assert {box["args"]["package"] for box in phases} == {"six 1.0"}


def test_what_is_done_for_the_whole_run_has_a_box_as_well() -> None:
    [box, _] = boxes([events.Span(name="", version="", phase="plan", began=1.0, seconds=1.0, thread=1)])
    assert box["name"] == "pybuild"


def test_packages_at_once_are_in_lanes_of_their_own_and_lanes_are_used_again() -> None:
    spans = [
        span("a", "build", 0.0, 2.0, thread=11),
        span("b", "build", 1.0, 3.0, thread=12),
        # A third thread, but never three at once.
        span("c", "build", 2.0, 4.0, thread=13),
        # One package waits for another that its own thread builds.
        span("d", "plan", 5.0, 9.0, thread=11),
        span("e", "build", 6.0, 7.0, thread=11),
    ]
    document = json.loads(trace.trace_json(spans))["traceEvents"]
    lanes = {event["name"]: event["tid"] for event in document if event.get("cat") == "package"}
    assert lanes == {"a 1.0": 1, "b 1.0": 2, "c 1.0": 1, "d 1.0": 1, "e 1.0": 2}
    named = {event["tid"]: event["args"]["name"] for event in document if event["name"] == "thread_name"}
    assert named == {1: "lane 1", 2: "lane 2"}


def test_boxes_of_a_lane_nest_whatever_the_floats_say() -> None:
    thirds = [1e6 + n / 3 for n in range(50)]
    spans = [span("six", f"phase {n}", *ends) for n, ends in enumerate(itertools.pairwise(thirds))]
    outer = span("six", "build", thirds[0], thirds[-1])
    _, build, *phases = boxes([*spans, outer])
    for before, after in itertools.pairwise(phases):
        assert before["ts"] + before["dur"] == after["ts"]
    assert phases[-1]["ts"] + phases[-1]["dur"] == build["ts"] + build["dur"]
    assert set(trace.nested_timings([*spans, outer])) == {("build",)} | {("build", s.phase) for s in spans}


@pytest.mark.parametrize("ends_by", [ValueError, KeyboardInterrupt])
def test_a_trace_is_written_whatever_ends_the_run(tmp_path: Path, ends_by: type[BaseException]) -> None:
    file = tmp_path / "trace.json"
    heard: list[events.Event] = []
    with pytest.raises(ends_by), trace.tracing(heard.append, file) as listen:
        listen(events.Preparing(what="a root"))
        with timed(listen, name="six", version="1.0", phase="build"):
            assert not file.exists()
            raise ends_by
    names = {event["name"] for event in json.loads(file.read_bytes())["traceEvents"]}
    assert {"six 1.0", "build"} <= names
    assert [type(event) for event in heard] == [events.Preparing, events.Span]
    assert list(tmp_path.iterdir()) == [file]


def test_a_trace_replaces_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    for name in ("six", "seven"):
        with trace.tracing(events.ignore, file) as listen:
            listen(span(name, "build", 0.0, 1.0))
    assert b"seven 1.0" in file.read_bytes() and b"six 1.0" not in file.read_bytes()


def test_a_run_without_a_trace_keeps_its_spans_for_the_timings() -> None:
    with trace.tracing(events.ignore, None) as listen:
        listen(BUILD[0])
    assert trace.timings(listen.found) == {"fetch": 1.0}


def test_a_run_of_nothing_has_a_trace_of_nothing() -> None:
    assert boxes([]) == [] and trace.timings([]) == {} and trace.nested_timings([]) == {}


@pytest.mark.parametrize("place", ["", "missing/trace.json"])
def test_a_place_where_no_trace_can_be_is_refused_before_anything_is_done(tmp_path: Path, place: str) -> None:
    with pytest.raises(UsageError, match="trace"), trace.tracing(events.ignore, tmp_path / place):
        pytest.fail("the run has begun")


def test_what_is_no_file_stays_what_it_is(tmp_path: Path) -> None:
    """As root one would take /dev/null from the machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with trace.tracing(events.ignore, pipe):
        pass
    assert json.loads(os.read(reader, 1 << 16))["traceEvents"] is not None
    os.close(reader)
    assert pipe.is_fifo()


def test_a_link_is_followed(tmp_path: Path) -> None:
    link, file = tmp_path / "link.json", tmp_path / "file.json"
    link.symlink_to(file)
    for text in ("", "older"):
        file.write_text(text)
        with trace.tracing(events.ignore, link):
            pass
        assert link.is_symlink() and "traceEvents" in json.loads(file.read_bytes())

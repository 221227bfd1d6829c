from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from pybuilder import events
from pybuilder.cli import summary
from pybuilder.errors import BuildError, FetchError, PybuildError
from pybuilder.names import normalize
from pybuilder.results import Failure, Result
from pybuilder.stages import Made
from pybuilder.stages.publish import Outcome

NOTHING = Result(built=(), cached=(), failed=(), review=(), seconds=75.0)


def outcome(name: str, *, minted: bool = True) -> Outcome:
    made = Made(
        name=normalize(name),
        version=Version("1.0"),
        sha256="ab",
        path=Path("/payload.whl"),
        key="k",
        recipe="r",
        attempt="a",
        target="t",
        requires_dist=(),
    )
    return Outcome(made=made, number=1, minted=minted)


def build(name: str) -> dict[str, Any]:
    wheels = [{"wheel": f"/index/{name}-1.0+pb.1.whl"}]
    return {"build": f"host/{name}==1.0+pb.1", "name": name, "version": "1.0", "wheels": wheels}


def report(built: Sequence[str] = (), cached: Sequence[str] = ()) -> dict[str, Any]:
    return {"built": [build(name) for name in built], "cached": [build(name) for name in cached]}


def failure(
    error: PybuildError, *held_back: str, package: tuple[str, str] = ("broken", "2.0"), log: str = ""
) -> Failure:
    error.package, error.log = package, log
    return Failure.of(error, [Requirement(text) for text in held_back])


def span(name: str, phase: str, began: float, seconds: float, thread: int = 1) -> events.Span:
    return events.Span(name=name, version="1.0", phase=phase, began=began, seconds=seconds, thread=thread)


class TestSetbacks:
    def test_a_failed_build_has_its_phase_and_what_it_holds_back(self) -> None:
        error = BuildError("it did not build: exit 1\n    | gcc: no", where="/log", cure="read the log")
        failed = failure(error, "broken>=2", "other==3", log="/log")
        assert summary.setback_lines(replace(NOTHING, failed=(failed,))) == [
            "pybuild: error: broken 2.0: it did not build: exit 1\n    | gcc: no\n  where: /log\n  do: read the log",
            "  phase: build",
            "  holds back: other==3",
        ]

    def test_the_end_of_a_log_that_the_error_does_not_show(self, tmp_path: Path) -> None:
        log = tmp_path / "build.log"
        log.write_text("one\ntwo\n")
        failed = failure(BuildError("left no wheel"), "broken", log=str(log))
        assert summary.setback_lines(replace(NOTHING, failed=(failed,))) == [
            "pybuild: error: broken 2.0: left no wheel",
            f"  log: {log}",
            "    | one",
            "    | two",
            "  phase: build",
        ]
        log.unlink()
        assert len(summary.setback_lines(replace(NOTHING, failed=(failed,)))) == 3

    def test_what_waits_for_review_says_what_to_do(self) -> None:
        waiting = replace(NOTHING, review=(("nine", "nine>2", "six 1.0"),))
        assert summary.setback_lines(waiting) == [
            "pybuild: waits for review: nine>2, wanted by six 1.0",
            "  do: look at it: pybuild review show nine; then take it in: pybuild review approve nine",
        ]
        rejected = replace(waiting, refusals={"nine": "rejected by Ada: no"})
        assert summary.setback_lines(rejected) == [
            "pybuild: waits for review: nine>2, wanted by six 1.0; rejected by Ada: no",
            "  do: do without; or take it in after all: pybuild review approve nine",
        ]


def test_wheels() -> None:
    assert summary.wheel_lines(report(["six"], ["seven"])) == [
        "built   host/six==1.0+pb.1",
        "        /index/six-1.0+pb.1.whl",
        "cached  host/seven==1.0+pb.1",
        "        /index/seven-1.0+pb.1.whl",
    ]


def test_the_table_has_a_row_for_each_package() -> None:
    result = replace(
        NOTHING,
        built=(outcome("six"),),
        cached=(outcome("seven", minted=False),),
        failed=(
            failure(BuildError("no"), "broken", "other==3", "another"),
            failure(FetchError("gone"), "another", package=("lost", "")),
        ),
        review=(("nine", "nine>2", "six 1.0"),),
    )
    spans = [span("six", "fetch", 0.0, 2.0), span("six", "build", 50.0, 10.5), span("seven", "fetch", 1.0, 1.0)]
    rows = summary.table_lines(result, report(["six"], ["seven"]), spans)
    assert [row.split() for row in rows] == [
        ["built", "host/six==1.0+pb.1", "12.5", "s"],
        ["cached", "host/seven==1.0+pb.1"],
        ["failed", "broken", "2.0", "in", "build"],
        ["failed", "lost", "in", "fetch"],
        ["held", "back", "other==3", "by", "broken", "2.0"],
        ["held", "back", "another", "by", "broken", "2.0,", "lost"],
        ["review", "nine>2", "wanted", "by", "six", "1.0"],
    ]
    assert len({row.find("by") for row in rows if row.startswith("held")}) == 1
    assert summary.table_lines(NOTHING, report(), []) == []


class TestTotals:
    def test_counts_name_only_what_there_is(self) -> None:
        assert summary.total_lines(NOTHING, []) == ["nothing to do; took 1:15 min"]
        failed = failure(BuildError("no"), "broken", "other==3")
        some = replace(NOTHING, built=(outcome("six"),), failed=(failed,), review=(("nine", "nine>2", "six"),))
        assert summary.total_lines(some, [])[0] == (
            "1 built, 1 failed, 1 held back, 1 waiting for review; took 1:15 min"
        )

    def test_the_slowest_five(self) -> None:
        spans = [span(f"p{n}", "build", 0.0, float(n), thread=n) for n in range(1, 9)]
        # What is done for the whole run is no package.
        lines = summary.total_lines(NOTHING, [*spans, span("", "plan", 0.0, 99.0, thread=99)])
        start = lines.index("slowest:")
        assert [line.split()[0] for line in lines[start + 1 : start + 6]] == ["p8", "p7", "p6", "p5", "p4"]
        assert lines[start + 6].startswith("time by phase")

    def test_phases_stand_below_those_around_them_the_longest_first(self) -> None:
        spans = [
            span("six", "fetch", 0.0, 2.0),
            span("six", "build", 2.0, 6.0),
            span("six", "unpack", 2.0, 1.0),
            span("six", "sandbox", 3.0, 5.0),
            span("six", "backend wheel", 4.0, 3.0),
        ]
        lines = summary.total_lines(NOTHING, spans)
        phases = lines[lines.index("time by phase, of all packages together:") + 1 :]
        assert [(len(line) - len(line.lstrip()), *line.rsplit(maxsplit=3)) for line in phases] == [
            (2, "  build", "6.0", "s", "75%"),
            (4, "    sandbox", "5.0", "s", "62%"),
            (6, "      backend wheel", "3.0", "s", "38%"),
            (4, "    unpack", "1.0", "s", "12%"),
            (2, "  fetch", "2.0", "s", "25%"),
        ]


def test_what_went_wrong_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    failed = failure(BuildError("no"), "broken")
    summary.print_summary(replace(NOTHING, built=(outcome("six"),), failed=(failed,)), report(["six"]), [])
    out, err = capsys.readouterr()
    assert out.splitlines()[0].startswith("built") and out.splitlines()[-1].startswith("1 built, 1 failed")
    assert err.startswith("pybuild: error: broken 2.0: no")

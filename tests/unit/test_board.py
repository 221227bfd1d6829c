from __future__ import annotations

import pytest

from pybuilder import events
from pybuilder.cli.board import Board, Line, width


def text(line: Line | None) -> str:
    return "".join(piece.text for piece in line or ())


def started(name: str, phase: str = "build") -> events.Started:
    return events.Started(name=name, version="1.0", phase=phase)


def ended(name: str, phase: str) -> events.Span:
    return events.Span(name=name, version="1.0", phase=phase, began=0.0, seconds=0.0, thread=1)


def said(name: str, data: bytes) -> events.Output:
    return events.Output(name=name, version="1.0", data=data)


def published(name: str) -> events.Published:
    return events.Published(name=name, version="1.0", build=f"{name}==1.0+pb.1", signed=True)


def failed(name: str, error: str = "no") -> events.Failed:
    return events.Failed(name=name, version="1.0", phase="build", error=error, log="/log")


def waiting(name: str, on: str) -> events.Waiting:
    return events.Waiting(name=name, version="1.0", on=on)


def board(*heard: tuple[float, events.Event]) -> Board:
    made = Board(began=0.0)
    for now, event in heard:
        made.take(event, now)
    return made


def lines(of: Board, now: float, columns: int = 80, rows: int = 24) -> list[str]:
    return [text(line) for line in of.lines(now, columns=columns, rows=rows)]


def summary(of: Board, now: float, columns: int = 120) -> str:
    return lines(of, now, columns)[-1]


class TestRows:
    def test_a_row_tells_what_builds_since_when_and_what_it_says(self) -> None:
        running = board((10.0, started("six")), (11.0, said("six", b"one\ntwo\n")))
        assert lines(running, 85.5)[0] == "six 1.0 build       1:15  two"

    def test_a_row_tells_what_is_waited_for(self) -> None:
        wait = events.Started(name="six", version="1.0", phase="wait", detail="another run builds it")
        assert lines(board((0.0, wait)), 12.0)[0] == "six 1.0 wait        0:12  another run builds it"

    def test_the_longest_running_stands_first(self) -> None:
        running = board((1.0, started("b")), (2.0, started("a")))
        assert [line.split()[0] for line in lines(running, 3.0)[:-1]] == ["b", "a"]

    def test_a_package_between_two_phases_is_not_running(self) -> None:
        phases = board((1.0, started("six", "fetch")), (2.0, ended("six", "fetch")))
        assert len(lines(phases, 3.0)) == 1
        phases.take(started("six"), 4.0)
        # What is inside a phase ends without ending it.
        phases.take(ended("six", "unpack"), 5.0)
        assert lines(phases, 6.0)[0].split()[:3] == ["six", "1.0", "build"]

    def test_a_download_tells_how_far_it_is(self) -> None:
        fetching = board((0.0, started("six", "fetch")))
        for done in (1024, 4096):
            fetching.take(events.Fetching(name="six", version="1.0", done=done, total=8192), 1.0)
        assert lines(fetching, 2.0)[0].endswith("  4 KiB of 8 KiB")

    @pytest.mark.parametrize(
        ("output", "shown"),
        [
            ([b"one\n", b"\n  \n"], "one"),
            ([b"half a ", b"line"], "half a line"),
            ([b" 10%\r 20%\r"], "20%"),
            ([b"\x1b[32mgreen\x1b[0m\x1b[K\n"], "green"),
            ([b"tab\tbell\x07"], "tab bell\N{REPLACEMENT CHARACTER}"),
            ([b"\xff\xfe"], "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
            ([b"x" * 5000 + b"\n", b"short\n"], "short"),
        ],
    )
    def test_output_is_its_last_line_without_what_moves_a_terminal(self, output: list[bytes], shown: str) -> None:
        running = board((0.0, started("six")), *((1.0, said("six", piece)) for piece in output))
        assert lines(running, 2.0)[0].partition("0:02  ")[2] == shown

    def test_output_of_what_does_not_run_is_not_kept(self) -> None:
        assert len(lines(board((0.0, said("six", b"late\n"))), 1.0)) == 1

    @pytest.mark.parametrize("columns", [1, 5, 20, 40, 41, 80, 137, 200])
    @pytest.mark.parametrize("rows", [1, 2, 3, 5, 60])
    def test_nothing_is_wider_or_higher_than_the_terminal(self, columns: int, rows: int) -> None:
        names = [f"package-{'long-' * n}{n}" for n in range(20)]
        full = board(
            (0.0, events.Planned(total=100, cached=3, seconds=3000.0)),
            *((1.0, started(name)) for name in names),
            *((1.0, said(name, "日本語のコンパイル ".encode() * 30)) for name in names),
            (1.0, failed("broken")),
            (1.0, waiting("other", "review")),
        )
        found = full.lines(9000.0, columns=columns, rows=rows)
        assert 1 <= len(found) <= max(1, rows - 1)
        assert all(width(line) < max(2, columns) for line in found)

    def test_what_there_is_no_room_for_is_counted(self) -> None:
        running = board(*((float(n), started(f"p{n}")) for n in range(10)))
        assert [line.split(" ")[0] for line in lines(running, 20.0, rows=6)] == ["p0", "p1", "p2", "…", "planning"]
        assert lines(running, 20.0, rows=6)[3] == "… and 7 more"

    def test_of_a_long_name_its_version_is_left(self) -> None:
        running = board((0.0, started("a-very-long-name-of-a-package")))
        assert lines(running, 1.0, columns=40)[0].startswith("a-very-long-nam… 1.0 build")


class TestSummary:
    def test_before_there_is_a_plan(self) -> None:
        assert summary(board(), 12.0) == "planning · 0:12 elapsed"

    def test_everything_is_counted(self) -> None:
        counted = board(
            (0.0, events.Planned(total=10, cached=2, seconds=100.0)),
            (1.0, published("a")),
            (1.0, failed("b")),
            (1.0, waiting("c", "b==1.0")),
            (1.0, waiting("d", "b==1.0")),
            (1.0, waiting("e", "review")),
        )
        assert summary(counted, 62.0).startswith(
            "3/10 done (2 cached) · 1 failed · 2 held back · 1 waiting for review · 1:02 elapsed"
        )
        assert summary(counted, 62.0, columns=60) == "3/10 (2 cached) · 1 failed · 2 held · 1 review · 1:02"
        assert summary(counted, 62.0, columns=50) == "3/10 · 1 failed · 2 held · 1 review · 1:02"

    def test_cached_packages_of_the_plan_are_not_counted_again_when_they_are_told_of(self) -> None:
        cached = events.Cached(name="a", version="1.0", build="a==1.0+pb.1")
        counted = board((0.0, events.Planned(total=10, cached=2, seconds=0.0)), (1.0, cached))
        assert (counted.done, summary(counted, 2.0)) == (2, "2/10 done (2 cached) · 0:02 elapsed")

    def test_another_plan_has_other_totals(self) -> None:
        plan = events.Planned(total=10, cached=2, seconds=0.0)
        again = board((0.0, plan), (1.0, published("a")), (2.0, events.Planned(total=12, cached=2, seconds=0.0)))
        assert summary(again, 3.0).startswith("3/12 done")


class TestRemaining:
    PLAN = (0.0, events.Planned(total=10, cached=0, seconds=100.0))

    def test_nobody_knows_before_there_is_a_plan(self) -> None:
        assert board((0.0, started("a"))).remaining(5.0) == 0.0

    def test_it_runs_down_while_nothing_ends(self) -> None:
        assert board(self.PLAN).remaining(30.0) == pytest.approx(70.0)
        assert board(self.PLAN).remaining(200.0) == 0.0
        assert "left" not in summary(board(self.PLAN), 200.0)

    @pytest.mark.parametrize(("took", "left"), [(50.0, 50.0), (80.0, 65.0), (20.0, 35.0)])
    def test_half_way_the_pace_counts_as_much_as_the_plan(self, took: float, left: float) -> None:
        half = board(self.PLAN, *((took, published(f"p{n}")) for n in range(5)))
        assert half.remaining(took) == pytest.approx(left)
        assert half.remaining(took + 5.0) == pytest.approx(left - 5.0)

    def test_an_estimate_made_anew_takes_the_place_of_the_old_one(self) -> None:
        half = board(self.PLAN, *((80.0, published(f"p{n}")) for n in range(5)), (80.0, events.Remaining(seconds=7.0)))
        assert half.remaining(81.0) == pytest.approx(6.0)

    def test_the_end(self) -> None:
        assert board(self.PLAN, *((9.0, published(f"p{n}")) for n in range(10))).remaining(9.0) == 0.0


class TestLog:
    def test_a_package_took_as_long_as_its_phases_not_as_it_waited_between_them(self) -> None:
        log = board(
            (0.0, started("six", "fetch")),
            (1.0, ended("six", "fetch")),
            (50.0, started("six")),
            (60.0, ended("six", "build")),
            (61.0, started("six", "validate")),
        )
        assert text(log.take(published("six"), 62.5)) == "✓ six==1.0+pb.1  12.5 s"
        assert len(lines(log, 63.0)) == 1

    def test_nor_as_it_waited_for_another_run(self) -> None:
        log = board((0.0, started("six", "wait")), (50.0, ended("six", "wait")), (50.0, started("six", "validate")))
        assert text(log.take(published("six"), 52.0)) == "✓ six==1.0+pb.1  2.0 s"

    def test_a_failure_has_its_phase_and_the_first_line_of_the_error(self) -> None:
        line = board().take(failed("six", "six 1.0 did not build: exit 1\n    | gcc: error"), 1.0)
        assert text(line) == "✗ six 1.0: failed in build: did not build: exit 1"
        assert "\x1b" not in text(board().take(failed("six", "a\x1b[2Jb"), 1.0))

    def test_what_goes_no_further_says_why(self) -> None:
        assert text(board().take(waiting("six", "seven==1.0"), 0.0)) == "· six 1.0: held back by seven==1.0"
        assert text(board().take(waiting("six", "review"), 0.0)) == "· six 1.0: waits for review"

    def test_a_plan_is_told_once(self) -> None:
        plan = events.Planned(total=10, cached=2, seconds=75.0)
        log = board()
        assert text(log.take(plan, 0.0)) == "10 packages, 2 of them cached; about 1:15 to go"
        assert log.take(plan, 1.0) is None

    @pytest.mark.parametrize("event", [started("six"), said("six", b"x\n"), ended("six", "build")])
    def test_what_goes_on_is_no_log(self, event: events.Event) -> None:
        assert board().take(event, 0.0) is None

from __future__ import annotations

import pytest

from pybuilder import events
from pybuilder.cli.lines import duration, event_line, watch


@pytest.mark.parametrize(
    ("seconds", "long", "short"),
    [
        (0.0, "0.0 s", "0:00"),
        (12.34, "12.3 s", "0:12"),
        (59.9, "59.9 s", "0:59"),
        (60.0, "1:00 min", "1:00"),
        (247.0, "4:07 min", "4:07"),
        (3600.0, "1:00:00 h", "1:00:00"),
        (3753.0, "1:02:33 h", "1:02:33"),
        (90_000.0, "25:00:00 h", "25:00:00"),
    ],
)
def test_durations(seconds: float, long: str, short: str) -> None:
    assert duration(seconds) == long
    assert watch(seconds) == short


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (events.Planned(total=1, cached=0, seconds=5.0), "1 package, 0 of them cached; about 0:05 to go"),
        (events.Planned(total=9, cached=2, seconds=61.0), "9 packages, 2 of them cached; about 1:01 to go"),
        (events.Waiting(name="six", version="1.0", on="review"), "six 1.0: waits for review"),
        (events.Waiting(name="six", version="1.0", on="a==1"), "six 1.0: held back by a==1"),
        (events.Failed(name="six", version="", phase="fetch", error="no", log=""), "six: failed in fetch"),
        (events.Remaining(seconds=1.0), ""),
        (events.Span(name="six", version="1.0", phase="build", began=0.0, seconds=1.0, thread=1), ""),
        (events.Output(name="six", version="1.0", data=b"x"), ""),
    ],
)
def test_events(event: events.Event, line: str) -> None:
    assert event_line(event) == line

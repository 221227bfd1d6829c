"""``pybuild history`` over what real builds left, and how long a long history takes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pybuilder.clock import timestamp
from pybuilder.history import read_history
from pybuilder.layout import Layout
from pybuilder.state import State
from tests.support.workspaces import bench, wait_for

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


def test_of_a_package_that_was_killed_failed_and_then_built(tmp_path: Path) -> None:
    with bench(tmp_path) as here:
        here.accept("alpha", act="print('sleeps', flush=True)\nimport time; time.sleep(60)")
        with here.start("build", "alpha") as process:
            wait_for(here.running_log)
            os.killpg(process.pid, signal.SIGKILL)
        assert "interrupted" in here.pybuild("history", "alpha").stdout
        here.accept("alpha", "2.0", act="raise SystemExit('no \\x1b[31m compiler')")
        here.build("alpha==2.0", code=10)
        here.build("alpha==2.0", code=10)
        here.accept("beta")
        here.build("beta")

        told = here.pybuild("history", "--json").json
        assert [each["name"] for each in told["packages"]] == ["beta", "alpha"]
        assert told["attempts"] == {"succeeded": 1, "failed": 2, "interrupted": 1, "running": 0}
        [streak] = told["failing"]
        assert (streak["name"], streak["version"], streak["failures"], streak["phase"]) == ("alpha", "2.0", 2, "build")
        assert streak["attempt"] == here.attempts("alpha")[-1]["id"] and told["flaky"] == []

        table = here.pybuild("history").stdout.splitlines()
        assert re.match(r"package +last +succeeded +failed +interrupted +published +mean +median", table[0])
        assert re.match(r"beta +\d{4}-\d\d-\d\d \d\d:\d\d UTC +1 +0 +0 +1 +[\d.]+ s +[\d.]+ s", table[1])
        assert re.match(r"alpha +\S+ \S+ UTC +0 +2 +1 +0$", table[2])
        assert table[3].startswith("failing: alpha 2.0 (host, ") and "2 times in a row since" in table[3]
        assert table[-1].startswith("1 succeeded, 2 failed, 1 interrupted, 1 published; mean")
        rows = here.pybuild("history", "alpha").stdout.splitlines()
        assert [row.split()[6] for row in rows[:3]] == ["failed", "failed", "interrupted"]
        assert "\x1b" not in "".join(rows)

        here.accept("alpha", "3.0")
        here.build("alpha==3.0")
        told = here.pybuild("history", "alpha", "--since", "1h", "--json").json
        assert (told["name"], told["failing"], [b["build"] for b in told["builds"]]) == (
            *("alpha", []),
            ["host/alpha==3.0+pb.1"],
        )
        assert [one["outcome"] for one in told["tries"]] == ["succeeded", "failed", "failed", "interrupted"]
        assert here.pybuild("history", "alpha", "--since", "2999-01-01").stdout == (
            "no attempt, 0 published since 2999-01-01 00:00 UTC\n"
        )
        unknown = here.pybuild("history", "alpa")
        assert unknown.code == 2 and "did you mean alpha?" in unknown.stderr
        assert here.pybuild("history", "--since", "yesterday").code == 2


def test_a_hundred_thousand_attempts_take_a_second(tmp_path: Path) -> None:
    """By the processor's clock: how long it takes on a machine with nothing else to do; half as much again for CI."""
    row = ("k", "r", "1.0", "host", "cp311", "host", "succeeded", "1:1", 1.0, 1, "p" * 64)
    columns = "key, recipe, version, channel, target, engine, state, owner, seconds, sealed, payload, started, id, name"
    minutes = [NOON + timedelta(minutes=minute) for minute in range(100_000)]
    with closing(State.open(Layout(root=tmp_path))) as state:
        with state.transaction() as connection:
            connection.executemany(
                f"INSERT INTO attempts ({columns}) VALUES ({', '.join('?' * 14)})",
                [(*row, timestamp(m), f"{n:08}", f"package-{n % 1000}") for n, m in enumerate(minutes)],
            )
        began = time.process_time()
        found = read_history(state, since=minutes[60_000])
        assert time.process_time() - began < 1.5
        assert found.counts.outcomes == {"succeeded": 40_000}


def test_it_loads_nothing_that_builds() -> None:
    code = "import sys, pybuilder.cli.history; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pybuilder.cli.session", "pybuilder.packages", "pybuilder.stages.build"} & set(done.stdout.split())

"""The printed units, in a systemd that runs: a build comes out under their sandboxing, and stopping leaves nothing."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pybuilder.units import units
from tests.support.debian import CACHE
from tests.support.hooked import HookServer, hook
from tests.support.passing import JOB
from tests.support.systemd import boot, unit_files, verified
from tests.support.workspaces import ROOT, Bench, bench, clean_environ

# What else the units need here: pybuild is not installed, and the machine ends with them.
_BEGUN = "[Unit]\nDefaultDependencies=no\nSuccessAction=exit-force\n"


@pytest.fixture
def here() -> Iterator[Bench]:
    # Not below /tmp, which the units make their own.
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="units-", dir=CACHE) as root, bench(Path(root) / "bench") as made:
        made.accept("alpha")
        (made.root / "home").mkdir()
        made.state.mkdir()
        yield made
        shutil.rmtree("/var/cache/pybuild-workspace", ignore_errors=True)


@pytest.fixture
def hooked() -> Iterator[HookServer]:
    with hook() as running:
        yield running


def environment(here: Bench) -> str:
    lines = (f'Environment="{name}={value}"\n' for name, value in clean_environ(here.root).items() if name != "TMPDIR")
    return "[Service]\n" + "".join(lines) + f"StandardError=append:{here.state}/said\n"


def test_systemd_finds_no_fault_in_them_and_a_pass_under_them_builds_and_tells(
    here: Bench, hooked: HookServer, tmp_path: Path
) -> None:
    here.settings(f'notify = ["{hooked.url}"]\n')
    printed = here.pybuild("-b", "host", "cron", "--max-builds", "3", "--print-units")
    assert (printed.code, printed.stderr) == (0, "")
    files = unit_files(printed.stdout)
    assert list(files) == ["pybuild-workspace.service", "pybuild-workspace.timer"]
    assert "--buildroot host cron --max-builds 3\n" in files["pybuild-workspace.service"]
    assert ("PrivateTmp=yes" in files["pybuild-workspace.service"]) is not ROOT.is_relative_to("/tmp")
    assert verified(tmp_path / "units", files) == ""

    ends = {"pybuild-workspace.service.d/test.conf": _BEGUN + "FailureAction=exit-force\n" + environment(here)}
    said = boot(tmp_path / "booted", {**files, **ends}, "pybuild-workspace.service")
    log = (here.state / "said").read_text()
    assert (here.layout.cron / "heartbeat").exists(), log + said
    assert here.published("alpha") == ["1.0+pb.1"], log
    events = [json.loads(line) for line in log.splitlines()]
    assert {event["run"] for event in events} == {json.loads((here.layout.cron / "heartbeat").read_bytes())["run"]}
    [message] = hooked.documents
    assert (message["topic"], message["build"]["build"]) == ("pybuild.build.complete", "host/alpha==1.0+pb.1")
    assert message["build"]["why"] and message["build"]["seconds"] > 0
    here.check_sound()


@pytest.mark.parametrize("engine", ["host", "podman"])
def test_systemd_finds_no_fault_in_units_for_others(engine: Any, tmp_path: Path) -> None:
    awkward = Path('/srv/a b"c\\d%n$x;')
    # It looks for the program, so it must read its name as it is.
    (program := tmp_path / "a b%n$x;").write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for uid in (0, 1000):
        job = replace(JOB, program=(str(program),), workspace=awkward, state=awkward / "s", engine=engine, uid=uid)
        assert verified(tmp_path / str(uid), unit_files(units(job))) == ""


def test_a_unit_that_is_stopped_leaves_nothing_and_is_no_failure(here: Bench, tmp_path: Path) -> None:
    here.accept("alpha", act="import os, time; os.write(1, b'building\\n'); time.sleep(600)")
    files = unit_files(here.pybuild("-b", "host", "cron", "--print-units").stdout)
    stop = f"""\
until grep -qs building {here.state}/work/*/record/build.log; do sleep 0.05; done
systemctl stop pybuild-workspace.service
systemctl is-failed pybuild-workspace.service > {here.state}/failed
for process in /proc/[0-9]*; do cat $process/cmdline; echo; done > {here.state}/left
"""
    (tmp_path / "stop").write_text(stop)
    runs = f"[Service]\nType=oneshot\nExecStart=-/bin/sh {tmp_path}/stop\n"
    others = {
        "pybuild-workspace.service.d/test.conf": "[Unit]\nDefaultDependencies=no\n" + environment(here),
        "stopping.service": _BEGUN + "FailureAction=exit-force\n" + runs,
    }
    said = boot(tmp_path / "booted", {**files, **others}, "pybuild-workspace.service stopping.service")
    log = (here.state / "said").read_text()
    assert here.outcomes("alpha") == ["failed"], said + log
    init, shell = (line.split("\0")[0] for line in (here.state / "left").read_text().splitlines() if line)
    assert (Path(init).name, shell) == ("systemd", "/bin/sh")
    assert (here.state / "failed").read_text() == "inactive\n", said
    assert "pybuild: interrupted" in log
    here.check_sound()

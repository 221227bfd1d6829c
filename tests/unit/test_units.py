from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest

from pybuilder.cli.running import carried
from pybuilder.errors import UsageError
from pybuilder.units import Job, units
from tests.support.passing import JOB


def read(job: Job) -> dict[str, dict[str, list[str]]]:
    """The settings of each file, as they are written."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in units(job).splitlines():
        if line.startswith("# /etc/systemd/system/"):
            settings: dict[str, list[str]] = defaultdict(list)
            found[line.rpartition("/")[2]] = settings
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            settings[key].append(value)
    return found


def service(job: Job) -> dict[str, list[str]]:
    return read(job)[f"{job.name}.service"]


def test_the_service_runs_cron_as_it_was_called() -> None:
    found = service(JOB)
    assert found["ExecStart"] == [
        "/opt/pybuild/bin/pybuild --workspace /srv/wheels --state /srv/wheels/.pybuild --log-format json"
        " --buildroot fedora-45 cron --pull --jobs 4"
    ]
    assert (found["User"], found["WorkingDirectory"], found["Type"]) == (["packager"], ["/srv/wheels"], ["oneshot"])
    assert found["SuccessExitStatus"] == ["40 60 130"]
    assert (found["KillSignal"], found["KillMode"]) == (["SIGINT"], ["mixed"])
    assert found["RequiresMountsFor"] == ["/srv/wheels /srv/wheels/.pybuild"]


def test_the_timer_makes_up_for_what_was_missed_and_not_at_once_everywhere() -> None:
    timer = read(JOB)["pybuild-wheels.timer"]
    assert (timer["Persistent"], timer["RandomizedDelaySec"]) == (["true"], ["15min"])
    assert timer["WantedBy"] == ["timers.target"]


@pytest.mark.parametrize(("limit", "seconds"), [(None, 86400), (timedelta(hours=2), 93600)])
def test_a_pass_that_hangs_is_ended(limit: timedelta | None, seconds: int) -> None:
    assert service(replace(JOB, max_time=limit))["TimeoutStartSec"] == [str(seconds)]


def test_only_what_a_pass_writes_to_can_be_written() -> None:
    assert service(JOB)["ReadWritePaths"] == ["/srv/wheels"]
    found = service(replace(JOB, state=Path("/var/lib/pybuild"), engine="podman"))
    assert found["ReadWritePaths"] == ["/srv/wheels /var/lib/pybuild /run /tmp /var/tmp /home/packager"]
    as_root = service(replace(JOB, engine="podman", user="root", uid=0, home=Path("/root")))
    assert as_root["ReadWritePaths"] == ["/srv/wheels /run /tmp /var/tmp -/var/lib/containers"]
    assert found["ProtectSystem"] == ["strict"]


def test_podman_without_root_gets_its_session_and_no_filter_that_takes_newuidmap_away() -> None:
    found = service(replace(JOB, engine="podman"))
    assert "user@1000.service" in found["After"] and "XDG_RUNTIME_DIR=/run/user/1000" in found["Environment"]
    implying = {"NoNewPrivileges", "SystemCallFilter", "RestrictRealtime", "LockPersonality", "PrivateDevices"}
    implying |= {"RestrictSUIDSGID", "ProtectKernelModules", "ProtectClock", "SystemCallArchitectures"}
    assert not implying & found.keys()
    assert found["CapabilityBoundingSet"] != [""] == service(JOB)["CapabilityBoundingSet"]
    as_root = service(replace(JOB, engine="podman", user="root", uid=0))
    assert "NoNewPrivileges" in as_root and "RestrictSUIDSGID" not in as_root and "PrivateTmp" not in as_root


@pytest.mark.parametrize("where", ["/tmp/wheels", "/var/tmp/x/wheels"])
def test_a_workspace_in_tmp_is_not_hidden(where: str) -> None:
    assert service(JOB)["PrivateTmp"] == ["yes"]
    assert "PrivateTmp" not in service(replace(JOB, workspace=Path(where), state=Path(where)))
    assert "PrivateTmp" not in service(replace(JOB, program=(f"{where}/pybuild",)))


def test_what_systemd_would_read_otherwise_is_escaped() -> None:
    awkward = Path('/srv/a b"c\\d%n$x;')
    found = service(replace(JOB, workspace=awkward, state=awkward))
    quoted = '"/srv/a b\\"c\\\\d%%n$x;"'
    assert found["ReadWritePaths"] == [quoted]
    assert quoted.replace("$", "$$") in found["ExecStart"][0]
    assert found["WorkingDirectory"] == ['/srv/a b"c\\d%%n$x;']
    assert replace(JOB, workspace=awkward).name == "pybuild-a-b-c-d-n-x"
    assert '--variant ""' in service(replace(JOB, options=("--variant", "")))["ExecStart"][0]


def test_a_path_that_no_unit_can_name_is_refused() -> None:
    with pytest.raises(UsageError, match="control characters"):
        units(replace(JOB, workspace=Path("/srv/a\nExecStart=/bin/evil")))
    with pytest.raises(UsageError, match="no program whose path"):
        units(replace(JOB, program=("/opt/'/pybuild",)))


def test_the_options_of_the_command_are_carried_as_they_were_typed() -> None:
    command = click.Command(
        "cron",
        params=[
            click.Option(["--pull", "is_pulled"], is_flag=True),
            click.Option(["--wait"], is_flag=True),
            click.Option(["-j", "--jobs"], type=int),
            click.Option(["--max-builds"], type=int),
            click.Option(["--max-time"]),
            click.Option(["--json", "as_json"], is_flag=True),
            click.Option(["--print-units"], is_flag=True),
        ],
    )
    typed: dict[str, Any] = {
        "is_pulled": True,
        "wait": False,
        "jobs": 4,
        "max_builds": 0,
        "max_time": timedelta(hours=2),
        "as_json": True,
        "print_units": True,
    }
    assert carried(command, typed) == ("--pull", "--jobs", "4", "--max-builds", "0", "--max-time", "7200s")

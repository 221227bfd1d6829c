from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pybuilder.cronjob import manifest
from pybuilder.units import Job
from tests.support.passing import JOB


def documents(job: Job) -> list[Any]:
    return list(yaml.safe_load_all(manifest(job, version="1.2.3")))


@pytest.mark.parametrize(
    "job", [JOB, replace(JOB, engine="podman", workspace=Path("/srv/Ärger_ohne.Ende " + "x" * 80))]
)
def test_kubernetes_takes_it(job: Job) -> None:
    found = documents(job)
    assert [each["kind"] for each in found] == ["PersistentVolumeClaim", "PersistentVolumeClaim", "CronJob"]
    for document in found:
        kubernetes_validate.validate(document, "1.33", strict=True)
        assert re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", document["metadata"]["name"])
    assert len(found[2]["metadata"]["name"]) <= 52


def test_one_pass_at_a_time_and_none_is_tried_again() -> None:
    spec = documents(JOB)[2]["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert re.fullmatch(r"[0-5]?[0-9] \* \* \* \*", spec["schedule"])
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (1, 5)
    job = spec["jobTemplate"]["spec"]
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (0, 86400)
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_it_runs_cron_with_its_options_on_its_volumes() -> None:
    pod = documents(JOB)[2]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["command"][4:] == [
        *("--workspace", "/workspace", "--state", "/state", "--log-format", "json", "--buildroot", "fedora-45"),
        *("cron", "--pull", "--jobs", "4"),
    ]
    claims = {each["name"]: each.get("persistentVolumeClaim", {}).get("claimName") for each in pod["volumes"]}
    assert claims == {"workspace": "pybuild-wheels-workspace", "state": "pybuild-wheels-state", "tmp": None}
    assert {each["mountPath"] for each in container["volumeMounts"]} == {"/workspace", "/state", "/tmp"}


@pytest.mark.parametrize(("engine", "added"), [("host", None), ("podman", ["SETUID", "SETGID"])])
def test_a_build_gets_namespaces_and_the_pod_nothing_of_the_node(engine: Any, added: Any) -> None:
    pod = documents(replace(JOB, engine=engine))[2]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    context = pod["containers"][0]["securityContext"]
    assert pod["hostUsers"] is False and pod["securityContext"]["runAsNonRoot"] is True
    assert context["procMount"] == "Unmasked" and "privileged" not in context
    assert context["capabilities"]["drop"] == ["ALL"] and context["capabilities"].get("add") == added
    assert pod["securityContext"]["seccompProfile"] == {"type": "Unconfined"}
    assert context["allowPrivilegeEscalation"] is (engine == "podman")

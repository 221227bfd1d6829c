"""The OpenShift manifest that runs ``pybuild cron``: a CronJob and the claim for its state (Kubernetes' batch/v1).

Workspace and state lie on volumes; the image is a person's to build, so its name, and the sizes, are to be looked at.
"""

from __future__ import annotations

import zlib
from pathlib import PurePosixPath
from typing import Any

import yaml

from pybuilder.units import Job

_WORKSPACE = PurePosixPath("/workspace")
_STATE = PurePosixPath("/state")
_UID = 1000
_HEADER = """\
# oc apply -f this. Look at: image, storage, resources, and the schedule.
# The pod has a user namespace of its own (hostUsers: false), in which builds make their sandboxes: OpenShift 4.20 or
# newer, or Kubernetes 1.33 with these features. Its service account needs a security context constraint that allows
# what stands under securityContext: OpenShift's nested-container, and any seccomp profile.
# Exit codes 40 (something waits for review) and 60 (another pass is at work) end a job well, as in the systemd units.
"""


def manifest(job: Job, *, version: str) -> str:
    """The manifest, several YAML documents.

    Args:
        job: What is to be run.
        version: pybuild's, for the image's tag.
    """
    documents = [_claim(job, "workspace", "5Gi"), _claim(job, "state", "200Gi"), _cron_job(job, version)]
    return _HEADER + "".join("---\n" + yaml.safe_dump(each, sort_keys=False, width=100) for each in documents)


def _name(job: Job) -> str:
    """A name by RFC 1123; a CronJob's has at most 52 characters, since its jobs' get a suffix."""
    return job.name.lower().replace("_", "-").replace(".", "-")[:52].strip("-")


def _labels(job: Job) -> dict[str, str]:
    return {"app.kubernetes.io/name": "pybuild", "app.kubernetes.io/instance": _name(job)}


def _claim(job: Job, what: str, size: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"{_name(job)}-{what}", "labels": _labels(job)},
        # Hard links and locks are used: a block device, no object store.
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    }


def _cron_job(job: Job, version: str) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": _name(job), "labels": _labels(job)},
        "spec": {
            # At a minute that is the workspace's own, so that not all begin at once.
            "schedule": f"{zlib.crc32(job.name.encode()) % 60} * * * *",
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 1800,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 5,
            "jobTemplate": {
                "spec": {
                    "backoffLimit": 0,
                    "activeDeadlineSeconds": int(job.timeout.total_seconds()),
                    "ttlSecondsAfterFinished": 7 * 86400,
                    "template": {"metadata": {"labels": _labels(job)}, "spec": _pod(job, version)},
                }
            },
        },
    }


# Jobs know no other success than 0.
_WELL = 'pybuild "$@"; code=$?; case $code in 40|60) exit 0;; esac; exit $code'


def _pod(job: Job, version: str) -> dict[str, Any]:
    mounts = {"workspace": str(_WORKSPACE), "state": str(_STATE), "tmp": "/tmp"}
    claims = [
        {"name": what, "persistentVolumeClaim": {"claimName": f"{_name(job)}-{what}"}}
        for what in ("workspace", "state")
    ]
    container = {
        "name": "pybuild",
        "image": f"image-registry.example.org/pybuild/pybuild:{version}",
        "command": ["/bin/sh", "-c", _WELL, "pybuild", *job.command(_WORKSPACE, _STATE)],
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "TMPDIR", "value": "/tmp"}],
        "resources": {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "16Gi"}},
        "securityContext": _security(job),
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
    }
    return {
        "restartPolicy": "Never",
        # Killed rather than asked: the next pass goes on where this one was.
        "terminationGracePeriodSeconds": 5,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostUsers": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _UID,
            "runAsGroup": _UID,
            "fsGroup": _UID,
            # Files of a large state are given to the group once, not before each pass.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seLinuxOptions": {"type": "container_engine_t"},
            # The usual profile forbids a sandbox to have its own host name, to whom has no CAP_SYS_ADMIN.
            "seccompProfile": {"type": "Unconfined"},
        },
        "containers": [container],
        "volumes": [*claims, {"name": "tmp", "emptyDir": {}}],
    }


def _security(job: Job) -> dict[str, Any]:
    """What a container needs so that a build can have a /proc of its own; podman also maps subordinate ids."""
    podman = job.engine == "podman"
    capabilities = {"drop": ["ALL"]} | ({"add": ["SETUID", "SETGID"]} if podman else {})
    return {
        "procMount": "Unmasked",
        "allowPrivilegeEscalation": podman,
        "readOnlyRootFilesystem": not podman,
        "capabilities": capabilities,
    }

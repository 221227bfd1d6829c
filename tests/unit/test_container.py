"""A job as podman's API is asked for it: words only, no podman runs here."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pybuilder.rpm.install import script_environment
from pybuilder.sandbox import BUILD_GID, BUILD_UID, HOST_NAME, Job, Limits
from pybuilder.sandbox.container import (
    EXPECTED_MOUNTS,
    MOUNT_POINTS,
    PIPES,
    container,
    container_name,
    idle_container,
)
from pybuilder.sandbox.namespace import IdMap
from pybuilder.sandbox.podman import _open_process

IDS = IdMap(uid=5000, gid=6000)
JOB = Job(
    root=Path("/state/roots/abc/tree"),
    environment=Path("/state/environments/def"),
    work=Path("/state/work/attempt-1"),
    cwd="/build/x",
    env={"SECRET": "of the spec"},
    steps=({"do": "run", "argv": ["make"]},),
    limits=Limits(),
    log=Path("/state/log"),
)


def made(ids: IdMap | None = IDS, **limits: Any) -> dict[str, Any]:
    job = dataclasses.replace(JOB, limits=Limits(**limits))
    return container(job, ids, interpreter="/usr/bin/python3.14", own=Path("/state/store/envs/ours"))


def mounts(spec: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Source and mode by destination."""
    return {each["destination"]: (each["source"], each["options"][0]) for each in spec["mounts"]}


def test_it_can_be_sent() -> None:
    assert json.loads(json.dumps(made())) == made()


def test_the_root_is_never_written_to() -> None:
    spec = made()
    assert spec["rootfs"] == "/state/roots/abc/tree"
    assert spec["rootfs_overlay"] is spec["read_only_filesystem"] is True
    assert spec["read_write_tmpfs"] is False
    assert spec["remove"] is True


def test_what_it_runs_is_ours_and_nothing_of_the_spec() -> None:
    spec = made()
    assert spec["command"][:5] == ["/usr/bin/python3.14", "-I", "-S", "-B", "/.pybuild/inside.py"]
    assert spec["command"][5:] == [f"/.pybuild/talk/{name}" for name in PIPES]
    assert "of the spec" not in json.dumps(spec) and "make" not in json.dumps(spec)


def test_mounts() -> None:
    found = mounts(made())
    assert {to: source for to, (source, mode) in found.items() if mode == "rw" and source != "tmpfs"} == {
        "/build": "/state/work/attempt-1/build",
        "/out": "/state/work/attempt-1/out",
        "/tmp": "/state/work/attempt-1/tmp",
    }
    assert found["/env"] == ("/state/environments/def", "ro")
    assert found["/.pybuild"] == ("/state/store/envs/ours/pybuild", "ro")
    assert found["/.pybuild/talk"] == ("/state/work/attempt-1/talk", "ro")
    assert found["/etc/passwd"] == ("/state/store/envs/ours/etc/passwd", "ro")
    assert set(found) <= EXPECTED_MOUNTS
    for each in made()["mounts"]:
        assert {"nosuid", "nodev"} <= set(each["options"]), each
        assert each["type"] == "tmpfs" or {"bind", "rprivate"} <= set(each["options"]), each


def test_every_mount_has_a_place_in_roots() -> None:
    """Also in those that rpm's transaction makes: there is no way to add one later."""
    environment = script_environment(1)
    prepared = {*environment["DIRECTORIES"].split(), *environment["FILES"].split()}
    places = {place.rstrip("/") for place in MOUNT_POINTS}
    assert places <= prepared
    nested = {"run/secrets", ".pybuild/talk"}  # within mounts of ours
    assert {target.lstrip("/") for target in mounts(made())} - nested <= prepared


@pytest.mark.parametrize(
    ("ids", "uids", "gids"),
    [(IDS, (4999, 5000), (5999, 6000)), (None, (1, 0), (1, 0))],
    ids=["rootful", "rootless"],
)
def test_ids(ids: IdMap | None, uids: tuple[int, int], gids: tuple[int, int]) -> None:
    spec = made(ids)
    for kind, inside, (root, build) in (("UIDMap", BUILD_UID, uids), ("GIDMap", BUILD_GID, gids)):
        assert spec["idmappings"][kind] == [
            {"container_id": 0, "host_id": root, "size": 1},
            {"container_id": inside, "host_id": build, "size": 1},
        ]
    assert spec["user"] == f"{BUILD_UID}:{BUILD_GID}"
    assert spec["cap_drop"] == ["ALL"] and spec["no_new_privileges"] is True


def test_nothing_of_the_machine_reaches_it() -> None:
    spec = made()
    assert spec["netns"] == {"nsmode": "none"}
    assert {spec[f"{name}ns"]["nsmode"] for name in ("user", "pid", "ipc", "uts", "cgroup")} == {"private"}
    assert spec["hostname"] == HOST_NAME
    assert spec["httpproxy"] is False and spec["unsetenvall"] is True and "env" not in spec
    assert spec["use_image_hosts"] is spec["use_image_resolve_conf"] is True
    assert {"/sys/class", "/sys/devices", "/sys/fs/btrfs"} <= set(spec["mask"])
    assert not [path for path in spec["mask"] if path.startswith("/sys/fs/cgroup")]


def test_limits() -> None:
    spec = made(memory=1 << 30, cpus=2, processes=100)
    assert spec["resource_limits"] == {
        "pids": {"limit": 100},
        "memory": {"limit": 1 << 30, "swap": 1 << 30},
        "cpu": {"quota": 200_000, "period": 100_000},
    }
    assert spec["shm_size"] == 1 << 30
    assert {"type": "nproc", "soft": 100, "hard": 100} in spec["r_limits"]


def test_what_gives_way_has_a_tenth_of_the_time_where_root_starts_it() -> None:
    assert made(gives_way=True)["resource_limits"]["cpu"] == {"shares": 102}
    assert made(gives_way=True, cpus=1)["resource_limits"]["cpu"] == {
        "shares": 102,
        "quota": 100_000,
        "period": 100_000,
    }
    # Others may not have the controller, and a runtime that lacks it starts nothing.
    assert "cpu" not in made(None, gives_way=True)["resource_limits"]


def test_no_limits() -> None:
    spec = made()
    assert spec["resource_limits"] == {"pids": {"limit": 4096}}
    assert 0 < spec["shm_size"] < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_its_log_is_bounded() -> None:
    log = made()["log_configuration"]
    assert log == {"driver": "k8s-file", "path": "/state/work/attempt-1/container.log", "size": 1 << 20}


def test_its_name_is_known_to_whoever_clears_up() -> None:
    assert made()["name"] == container_name(JOB.work) == "pybuild-attempt-1"


class TestIdle:
    def test_it_is_isolated_like_a_job(self, tmp_path: Path) -> None:
        spec, job = idle_container(tmp_path, IDS), made()
        alike = set(spec) - {"name", "rootfs", "command", "mounts", "log_configuration"}
        assert {key: spec[key] for key in alike} == {key: job[key] for key in alike}
        assert "idmappings" in alike and "r_limits" in alike

    def test_its_root(self, tmp_path: Path) -> None:
        root = Path(idle_container(tmp_path, None)["rootfs"])
        assert root == tmp_path / "root"
        for place in MOUNT_POINTS:
            assert (root / place).is_dir() if place.endswith("/") else (root / place).is_file(), place
        assert (root / "bin").readlink() == Path("usr/bin")


def test_a_process_that_is_in_no_container_is_left_alone() -> None:
    """A number that podman gave may be another's by now, who would be killed at the end."""
    assert _open_process(os.getpid()) is None
    assert _open_process(0) is None

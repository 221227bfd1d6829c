from __future__ import annotations

import os
from pathlib import Path

import pytest

from pybuilder.sandbox import Limits, cgroups
from pybuilder.sandbox.cgroups import Group, group, settings_version_1, settings_version_2, sweep

ALL = Limits(memory=1 << 30, cpus=2, processes=99)
PLAIN = Limits(memory=0, cpus=0, processes=99)


class Tree:
    """A made-up /sys/fs/cgroup: directories that grow the kernel's files when they are made."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root / "cgroup"
        self.memberships = root / "memberships"
        self.files: dict[str, tuple[str, ...]] = {}
        monkeypatch.setattr(cgroups, "_MOUNT", self.root)
        monkeypatch.setattr(cgroups, "_MEMBERSHIPS", self.memberships)
        monkeypatch.setattr(cgroups, "_remove", self.remove)
        self.removed: list[str] = []
        self.busy = False

    def remove(self, directory: Path, *, patience: float = 2.0) -> None:
        if directory.exists() and not self.busy:
            for file in directory.iterdir():
                file.unlink()
            directory.rmdir()
            self.removed.append(str(directory.relative_to(self.root)))

    def version_2(self, own: str, *, controllers: str = "cpu io memory pids", enabled: str = "memory pids") -> None:
        base = (self.root / own.lstrip("/")).parent if own != "/" else self.root
        base.mkdir(parents=True)
        for directory in {base, self.root}:
            (directory / "cgroup.controllers").write_text(controllers)
            (directory / "cgroup.subtree_control").write_text(enabled)
        self.memberships.write_text(f"0::{own}\n")

    def version_1(self, *controllers: str, own: str = "/") -> None:
        for controller in controllers:
            (self.root / controller / own.lstrip("/")).mkdir(parents=True, exist_ok=True)
        self.memberships.write_text("".join(f"{n}:{c}:{own}\n" for n, c in enumerate(controllers, 1)) + "0::/\n")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(tmp_path, monkeypatch)


def read(directory: Path) -> dict[str, str]:
    return {file.name: file.read_text().strip() for file in directory.iterdir()}


@pytest.mark.parametrize(
    ("limits", "settings"),
    [
        (PLAIN, {"pids": {"pids.max": 99}}),
        (
            ALL,
            {
                "pids": {"pids.max": 99},
                "memory": {"memory.max": 1 << 30, "memory.swap.max": 0},
                "cpu": {"cpu.max": 200_000},
            },
        ),
    ],
)
def test_settings_of_version_2(limits: Limits, settings: dict[str, dict[str, int]]) -> None:
    assert settings_version_2(limits) == settings


def test_what_gives_way_has_a_tenth_of_what_others_have() -> None:
    patient, limited = Limits(gives_way=True), Limits(gives_way=True, cpus=2)
    # Unless told otherwise, a group has 100 under version 2 and 1024 under version 1.
    assert settings_version_2(patient)["cpu"] == {"cpu.weight": 10}
    assert settings_version_2(limited)["cpu"] == {"cpu.max": 200_000, "cpu.weight": 10}
    assert settings_version_1(patient)["cpu"] == {"cpu.shares": 102}
    assert settings_version_1(limited)["cpu"] == {"cpu.cfs_quota_us": 200_000, "cpu.shares": 102}


def test_settings_of_version_1() -> None:
    assert settings_version_1(PLAIN) == {"pids": {"pids.max": 99}}
    assert settings_version_1(ALL) == {
        "pids": {"pids.max": 99},
        "memory": {"memory.limit_in_bytes": 1 << 30, "memory.memsw.limit_in_bytes": 1 << 30},
        "cpu": {"cpu.cfs_quota_us": 200_000},
    }
    # The kernel refuses a limit with swap that is below the one without.
    assert list(settings_version_1(ALL)["memory"]) == ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]


class TestVersion2:
    OWN = "/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope"

    def test_beside_our_own_group(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not in it: version 2 allows no processes beside groups that have controllers."""
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        tree.version_2(self.OWN)
        with group("pybuild-x", ALL) as made:
            assert made is not None
            directory = (tree.root / self.OWN.lstrip("/")).parent / "pybuild-x"
            assert made.entrances == (directory / "cgroup.procs",)
            assert set(made.directories) == {"cpu", "memory", "pids"}
            # No swap accounting in this kernel: its file isn't there and isn't missed.
            assert read(directory) == {"pids.max": "99", "memory.max": str(1 << 30), "cpu.max": "200000"}
            assert (directory.parent / "cgroup.subtree_control").read_text() == "+cpu"
        assert not directory.exists()

    def test_at_the_top_for_root(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        tree.version_2("/system.slice/x.service", enabled="cpu memory pids")
        with group("pybuild-x", ALL) as made:
            assert made is not None
            assert made.entrances == (tree.root / "pybuild-x" / "cgroup.procs",)

    def test_a_controller_that_is_not_delegated(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        tree.version_2(self.OWN, controllers="pids", enabled="pids")
        with group("pybuild-x", ALL) as made:
            assert made is not None
            assert set(made.directories) == {"pids"}
            assert not made.out_of_memory()
            assert made.peak_memory() is None

    def test_nothing_delegated(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        tree.version_2(self.OWN, controllers="", enabled="")
        with group("pybuild-x", ALL) as made:
            assert made is None

    def test_not_ours_to_write(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        tree.version_2("/user.slice/user-1000.slice/session-3.scope")
        with group("pybuild-x", ALL) as made:
            assert made is None

    def test_in_a_container_that_owns_no_controllers(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """Turning one on there fails: its own processes are in that group (cgroups(7), "no internal processes")."""
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        tree.version_2("/", enabled="")
        (tree.root / "cgroup.subtree_control").unlink()
        (tree.root / "cgroup.subtree_control").mkdir()
        with group("pybuild-x", ALL) as made:
            assert made is None

    def test_out_of_memory(self, tmp_path: Path) -> None:
        made = Group(directories={"memory": tmp_path}, version=2)
        assert not made.out_of_memory()
        for text, killed in (("low 0\noom 3\noom_kill 0\n", False), ("oom_kill 2\noom_group_kill 0\n", True)):
            (tmp_path / "memory.events").write_text(text)
            assert made.out_of_memory() is killed
        (tmp_path / "memory.peak").write_text("12345\n")
        assert made.peak_memory() == 12345


class TestVersion1:
    def test_a_group_in_each_hierarchy(self, tree: Tree) -> None:
        tree.version_1("memory", "pids", "cpu,cpuacct", own="/user")
        (tree.root / "cpu").mkdir()  # a link to cpu,cpuacct on a real machine
        with group("pybuild-x", ALL) as made:
            assert made is not None
            assert read(tree.root / "memory/user/pybuild-x") == {"memory.limit_in_bytes": str(1 << 30)}
            assert read(tree.root / "pids/user/pybuild-x") == {"pids.max": "99"}
            assert read(tree.root / "cpu/pybuild-x") == {"cpu.cfs_quota_us": "200000"}
            assert len(made.entrances) == 3
        assert sorted(tree.removed) == ["cpu/pybuild-x", "memory/user/pybuild-x", "pids/user/pybuild-x"]

    def test_in_a_container_that_sees_the_hosts_path(self, tree: Tree) -> None:
        tree.version_1("pids")
        tree.memberships.write_text("1:pids:/docker/0123\n0::/\n")
        with group("pybuild-x", ALL) as made:
            assert made is not None
            assert made.directories == {"pids": tree.root / "pids/pybuild-x"}

    def test_no_groups_at_all(self, tree: Tree) -> None:
        tree.memberships.write_text("0::/\n")
        with group("pybuild-x", ALL) as made:
            assert made is None

    def test_out_of_memory(self, tmp_path: Path) -> None:
        made = Group(directories={"memory": tmp_path}, version=1)
        (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
        (tmp_path / "memory.max_usage_in_bytes").write_text("77\n")
        assert made.out_of_memory()
        assert made.peak_memory() == 77


def test_what_a_killed_run_left_is_made_anew(tree: Tree) -> None:
    tree.version_1("pids")
    stale = tree.root / "pids/pybuild-x"
    stale.mkdir()
    (stale / "pids.max").write_text("1")
    with group("pybuild-x", ALL) as made:
        assert made is not None
        assert read(stale) == {"pids.max": "99"}


def test_a_limit_that_does_not_take_is_no_limit(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, text: str) -> None:
        raise PermissionError(path)

    tree.version_1("pids")
    monkeypatch.setattr(cgroups.Path, "write_text", refuse)
    with group("pybuild-x", ALL) as made:
        assert made is None
    assert not (tree.root / "pids/pybuild-x").exists()


def test_sweep(tree: Tree) -> None:
    tree.version_1("memory", "pids")
    for name in ("pids/pybuild-1", "memory/pybuild-1", "memory/pybuild-2", "memory/other"):
        (tree.root / name).mkdir()
    sweep("pybuild-")
    assert sorted(tree.removed) == ["memory/pybuild-1", "memory/pybuild-2", "pids/pybuild-1"]
    assert (tree.root / "memory/other").exists()


def test_removing_waits_for_members_to_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "member").touch()
    monkeypatch.setattr(cgroups.time, "sleep", lambda seconds: (tmp_path / "x" / "member").unlink())
    cgroups._remove(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_removing_gives_up(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "member").touch()
    cgroups._remove(tmp_path / "x", patience=0)
    assert (tmp_path / "x").exists()

"""What an ordinary user lacks for containers, on machines of paper."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybuilder.doctor.podman import control_groups, id_mapping, subordinate_ids


class TestSubordinateIds:
    def test_there(self, tmp_path: Path) -> None:
        for kind in ("subuid", "subgid"):
            (tmp_path / kind).write_text("root:1:2\nann:100000:65536\n1001:165536:65536\n")
        checks = list(subordinate_ids("ann", 1001, tmp_path))
        assert [(check.name, check.ok, check.cure) for check in checks] == [("subuid", True, ""), ("subgid", True, "")]
        assert checks[0].found == f"131072 of ann in {tmp_path}/subuid"

    @pytest.mark.parametrize("text", [None, "", "bob:100000:65536\n", "ann:100000\n", "ann:100000:many\n"])
    def test_none(self, tmp_path: Path, text: str | None) -> None:
        if text is not None:
            (tmp_path / "subuid").write_text(text)
        first = next(subordinate_ids("ann", 1001, tmp_path))
        assert not first.ok
        assert first.cure == "sudo usermod --add-subuids 100000-165535 ann && podman system migrate"


def test_programs_that_map_ids() -> None:
    found = {"newuidmap": "/usr/bin/newuidmap"}
    there, absent = id_mapping(found.get)
    assert (there.ok, there.found) == (True, "/usr/bin/newuidmap")
    assert (absent.ok, absent.found) == (False, "newgidmap is missing")
    assert absent.cure


class TestControlGroups:
    def test_version_1(self, tmp_path: Path) -> None:
        check = control_groups(tmp_path, 1001)
        assert not check.ok
        assert "version 1" in check.found

    def test_no_session(self, tmp_path: Path) -> None:
        (tmp_path / "cgroup.controllers").touch()
        assert control_groups(tmp_path, 1001).cure == "loginctl enable-linger 1001"

    @pytest.mark.parametrize(("controllers", "ok"), [("cpu memory pids io", True), ("memory pids", False)])
    def test_delegated(self, tmp_path: Path, controllers: str, ok: bool) -> None:
        (tmp_path / "cgroup.controllers").touch()
        mine = tmp_path / "user.slice" / "user-1001.slice" / "user@1001.service"
        mine.mkdir(parents=True)
        (mine / "cgroup.controllers").write_text(controllers)
        check = control_groups(tmp_path, 1001)
        assert check.ok is ok
        assert ok or check.found == "cpu not delegated to you"

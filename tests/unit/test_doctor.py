"""The judgements; what is really found on this machine is an integration test's."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybuilder import doctor
from pybuilder.doctor import ENOUGH_DISK, Check, disk, headers, state, user_namespaces, works
from pybuilder.errors import StateError
from pybuilder.layout import Layout


def check(*, ok: bool, needed_for: str) -> Check:
    return Check(name="x", ok=ok, found="", needed_for=needed_for)


@pytest.mark.parametrize(
    ("checks", "result"),
    [
        ((check(ok=True, needed_for="the host buildroot"),), True),
        ((check(ok=True, needed_for="the host buildroot"), check(ok=False, needed_for="RPM buildroots")), True),
        ((check(ok=True, needed_for="RPM buildroots"), check(ok=False, needed_for="the host buildroot")), False),
    ],
)
def test_only_what_the_host_buildroot_needs_counts(checks: tuple[Check, ...], result: bool) -> None:
    assert works(checks) is result


@pytest.mark.parametrize(
    ("free", "ok", "needed"),
    [(ENOUGH_DISK, True, True), (ENOUGH_DISK - 1, False, False), (200 << 20, False, True)],
)
def test_disk(free: int, ok: bool, needed: bool) -> None:
    found = disk(Path("/state"), free)
    assert (found.ok, found.needed) == (ok, needed)
    assert "/state" in found.found
    assert bool(found.cure) is not ok


@pytest.mark.parametrize(
    ("setting", "value", "privileged", "cure"),
    [
        ("user/max_user_namespaces", "0", True, "sysctl -w user.max_user_namespaces=15000"),
        ("user/max_user_namespaces", "1000", True, ""),
        ("kernel/unprivileged_userns_clone", "0", False, "sysctl -w kernel.unprivileged_userns_clone=1"),
        ("kernel/unprivileged_userns_clone", "0", True, ""),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            False,
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("kernel/apparmor_restrict_unprivileged_userns", "0", False, ""),
    ],
)
def test_user_namespaces(tmp_path: Path, setting: str, value: str, privileged: bool, cure: str) -> None:
    (tmp_path / setting).parent.mkdir()
    (tmp_path / setting).write_text(f"{value}\n")
    found = user_namespaces(tmp_path, privileged=privileged)
    assert (found.ok, found.cure) == (not cure, cure)
    # The sealed start decides: a profile may let bubblewrap do what others may not.
    assert not found.needed


def test_headers(tmp_path: Path) -> None:
    missing = headers(tmp_path)
    assert not missing.ok and "Python.h" in missing.found and "python3" in missing.cure
    (tmp_path / "Python.h").touch()
    assert headers(tmp_path).ok


def test_a_state_that_can_not_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(root=tmp_path / "a" / "b")
    assert state(layout) == f"{layout.root}, to be made"
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    with pytest.raises(StateError, match=f"{tmp_path} can't be written") as caught:
        state(layout)
    assert "--state" in caught.value.cure
    assert list(tmp_path.iterdir()) == []

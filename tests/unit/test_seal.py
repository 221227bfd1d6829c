from __future__ import annotations

from typing import Any

import pytest

from pybuilder.errors import EngineError
from pybuilder.sandbox.seal import NAMESPACES, breaches, judge

OURS = {name: f"{name}:[1]" for name in NAMESPACES}
TIGHT: dict[str, Any] = {
    "uid": 1000,
    "gid": 1000,
    "groups": [],
    "capabilities": dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapAmb"), "0000000000000000"),
    "no_new_privs": "1",
    "dumpable": 0,
    "interfaces": ["lo"],
    "connect": "ENETUNREACH",
    "namespaces": {name: f"{name}:[2]" for name in NAMESPACES},
    "pids": [1, 2],
    "host_name": "pybuild",
    "writable": [],
    "devices": ["null", "shm", "zero"],
}


def found(seal: dict[str, Any], **settings: Any) -> tuple[str, ...]:
    return breaches(seal, ours=OURS, expected_pids=3, **settings)


def test_tight() -> None:
    assert found(TIGHT) == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"uid": 0}, "uid 0"),
        ({"gid": 0}, "gid 0"),
        ({"groups": [0, 65534]}, "groups [0, 65534]"),
        ({"capabilities": {"CapEff": "0000000000000001"}}, "capabilities (CapEff)"),
        ({"capabilities": {"CapInh": "00000000000000c0"}}, "capabilities (CapInh)"),
        ({"no_new_privs": "0"}, "no_new_privs"),
        ({"dumpable": 1}, "dumpable"),
        ({"interfaces": ["eth0", "lo"]}, "['eth0', 'lo']"),
        ({"connect": "connected"}, "'connected'"),
        ({"connect": "timeout"}, "'timeout'"),
        ({"connect": "ECONNREFUSED"}, "'ECONNREFUSED'"),
        ({"pids": [1, 2, 3, 4]}, "[1, 2, 3, 4]"),
        ({"pids": []}, "processes"),
        ({"writable": ["/usr"]}, "can be written: /usr"),
        ({"devices": ["kvm", "null"]}, "devices of this machine: kvm"),
        ({"host_name": "vm"}, "'vm'"),
    ],
)
def test_each_breach_is_said(change: dict[str, Any], says: str) -> None:
    (sentence,) = found({**TIGHT, **change})
    assert says in sentence


@pytest.mark.parametrize("name", NAMESPACES)
@pytest.mark.parametrize("shared", [True, False])
def test_namespaces(name: str, shared: bool) -> None:
    namespaces = dict(TIGHT["namespaces"])
    namespaces[name] = OURS[name] if shared else None
    if not shared:
        del namespaces[name]
    (sentence,) = found({**TIGHT, "namespaces": namespaces})
    assert sentence == f"namespaces shared with the outside: {name}"


@pytest.mark.parametrize("field", TIGHT)
def test_what_is_not_told_is_not_believed(field: str) -> None:
    assert found({name: value for name, value in TIGHT.items() if name != field})


@pytest.mark.parametrize("connect", ["ENETUNREACH", "EHOSTUNREACH", "EPERM", "EACCES"])
@pytest.mark.parametrize("groups", [[], [1000], [65534, 65534]])
def test_other_engines_ways_to_be_tight(connect: str, groups: list[int]) -> None:
    assert found({**TIGHT, "connect": connect, "groups": groups, "interfaces": []}) == ()


def test_an_overlay_may_be_written() -> None:
    assert found({**TIGHT, "writable": ["/", "/usr"]}, writable=("/", "/usr")) == ()


def test_what_is_mounted() -> None:
    mounted = {**TIGHT, "mounts": ["/", "/proc/sys", "/sys/fs/cgroup", "/dev/shm", "/development", "/mnt"]}
    (sentence,) = found(mounted, mounts={"/"})
    assert "mounted at /development, /mnt" in sentence
    assert found(mounted) == ()
    assert found(TIGHT, mounts={"/"})


def test_all_at_once() -> None:
    assert len(found({})) == 12
    with pytest.raises(EngineError, match="not sealed") as caught:
        judge({**TIGHT, "uid": 0, "host_name": "vm"}, expected_pids=3)
    assert "uid 0" in caught.value.what
    assert "'vm'" in caught.value.what
    assert caught.value.exit_code == 20

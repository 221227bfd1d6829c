"""What must be true inside for a build to be let run: words only, judged outside from what the probe reports."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pybuilder.errors import EngineError
from pybuilder.sandbox import BUILD_GID, BUILD_UID, HOST_NAME

NAMESPACES = ("user", "pid", "mnt", "ipc", "uts", "cgroup", "net")
# All that engines put into /dev; core and fd are links into /proc, and what has pts, shm and mqueue is the build's own.
_DEVICES = "console core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"


def breaches(
    seal: Mapping[str, Any],
    *,
    ours: Mapping[str, str],
    expected_pids: int,
    writable: tuple[str, ...] = (),
    mounts: Collection[str] | None = None,
) -> tuple[str, ...]:
    """Every way in which a place is not sealed, as sentences.

    Args:
        seal: What ``confine.probe`` reported.
        ours: Our own namespaces, ``{"net": "net:[4026531833]", …}``.
        expected_pids: How many processes the engine itself has inside, the probe included.
        writable: Places outside the build's own directories that may be written.
        mounts: Where something may be mounted, besides below /proc, /sys and /dev; None where the engine itself takes
            care of that. The settings of a machine can make podman mount more, such as credentials for repositories.
    """
    found = []
    if (seal.get("uid"), seal.get("gid")) != (BUILD_UID, BUILD_GID):
        found.append(f"the build would run as uid {seal.get('uid')}, gid {seal.get('gid')}")
    if any(group not in (BUILD_GID, 65534) for group in seal.get("groups", ("?",))):
        found.append(f"the build would be in the groups {seal.get('groups')}")
    if held := [name for name, mask in seal.get("capabilities", {"all": "1"}).items() if int(mask, 16)]:
        found.append(f"the build would have capabilities ({', '.join(held)})")
    if seal.get("no_new_privs") != "1":
        found.append("setuid programs would work (no_new_privs is not set)")
    if seal.get("dumpable") != 0:
        found.append("the build could speak in the probe's name (its process is dumpable)")
    if set(seal.get("interfaces", ("?",))) - {"lo"}:
        found.append(f"network interfaces besides loopback: {seal.get('interfaces')}")
    if seal.get("connect") not in ("ENETUNREACH", "EHOSTUNREACH", "EPERM", "EACCES"):
        found.append(f"a connection to the outside ended with {seal.get('connect')!r}, not with 'no route'")
    inside = seal.get("namespaces", {})
    if shared := [name for name in NAMESPACES if inside.get(name, ours.get(name)) == ours.get(name)]:
        found.append(f"namespaces shared with the outside: {', '.join(shared)}")
    if len(seal.get("pids", ())) > expected_pids or not seal.get("pids"):
        found.append(f"processes of others can be seen: {seal.get('pids')}")
    if seal.get("host_name") != HOST_NAME:
        found.append(f"the host name is {seal.get('host_name')!r}")
    return (*found, *_files(seal, writable, mounts))


def _files(seal: Mapping[str, Any], writable: Collection[str], mounts: Collection[str] | None) -> Iterator[str]:
    if more := set(seal.get("writable", ("?",))) - set(writable):
        yield f"can be written: {', '.join(sorted(more))}"
    if devices := set(seal.get("devices", ("?",))) - set(_DEVICES.split()):
        yield f"devices of this machine: {', '.join(sorted(devices))} (containers.conf(5) may add some)"
    kernel = re.compile(r"/(proc|sys|dev)(/|$)")
    seen = () if mounts is None else seal.get("mounts", ("?",))
    if strange := [path for path in seen if path not in (mounts or ()) and not kernel.match(path)]:
        yield f"something is mounted at {', '.join(strange)} (containers.conf(5) and mounts.conf(5) may ask for it)"


def judge(seal: Mapping[str, Any], *, expected_pids: int, mounts: Collection[str] | None = None) -> None:
    """Refuse to run anything in a place that is not sealed.

    Raises:
        EngineError: With every breach.
    """
    ours = {name: str(Path(f"/proc/self/ns/{name}").readlink()) for name in NAMESPACES}
    if found := breaches(seal, ours=ours, expected_pids=expected_pids, mounts=mounts):
        raise EngineError("the sandbox is not sealed: " + "; ".join(found), cure="see `pybuild doctor`")

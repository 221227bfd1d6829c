"""A user namespace for builds that root starts, in which the build's uid is nobody's outside.

bubblewrap alone would map its uid to root's, so that files of root that happen to be mounted stay readable.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pybuilder.errors import EngineError
from pybuilder.processes import spawn
from pybuilder.sandbox import BUILD_GID, BUILD_UID

# "pb" in ASCII, then zeros: far from the ranges that distributions hand out to users, containers and systemd.
PREFERRED_ID = 0x70620000

# Runs in the new namespace. No sub-namespace can be made in it afterwards: inside one, a build would have
# capabilities again, and with them more of the kernel to attack.
_HOLDER = """
import os, sys
if hasattr(os, "unshare"):  # Python 3.12
    os.unshare(os.CLONE_NEWUSER)
else:
    import ctypes
    if ctypes.CDLL(None, use_errno=True).unshare(0x10000000): sys.exit("unshare")
print(flush=True); sys.stdin.readline()
open("/proc/sys/user/max_user_namespaces", "w").write("0")
print(flush=True); sys.stdin.readline()
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class IdMap:
    """Which ids of ours a build's ids are outside."""

    uid: int
    gid: int


def unprivileged_ids(*, other: bool = False) -> IdMap | None:
    """Ids that are nobody's for a build that root starts, or None where there is only one id to map to.

    Read from ``/proc/self/uid_map``: pybuild may itself be root of a container that has a small range of ids.

    Args:
        other: Whether others are wanted than builds have.
    """
    uid, gid = (_free_id(Path(f"/proc/self/{kind}_map")) for kind in ("uid", "gid"))
    if uid is None or gid is None:
        return None
    return IdMap(uid=uid - other, gid=gid - other)


def _free_id(id_map: Path) -> int | None:
    ranges = [tuple(int(n) for n in line.split()) for line in id_map.read_text().splitlines()]
    for first, _, count in ranges:
        if first < PREFERRED_ID < first + count:
            return PREFERRED_ID
    first, _, count = max(ranges, key=lambda r: r[2])
    # 65534 is "nobody", which other services use as well.
    last = first + count - 1
    return None if count < 1000 else last - 1000 if last >= 65534 > last - 1000 else last


@contextlib.contextmanager
def user_namespace(ids: IdMap) -> Iterator[int]:
    """A descriptor of a new user namespace: root is root in it, the build's uid and gid are ``ids``.

    Raises:
        EngineError: The kernel forbids it.
    """
    with spawn([sys.executable, "-I", "-S", "-c", _HOLDER], input_pipe=True) as holder:
        assert holder.stdin and holder.stdout and holder.stderr
        try:
            _expect(holder.stdout.readline(), holder.stderr.read)
            for kind, inside, outside in (("uid", BUILD_UID, ids.uid), ("gid", BUILD_GID, ids.gid)):
                Path(f"/proc/{holder.pid}/{kind}_map").write_text(f"0 0 1\n{inside} {outside} 1\n")
            descriptor = os.open(f"/proc/{holder.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _refused(str(error)) from error
        try:
            holder.stdin.write(b"\n")
            holder.stdin.flush()
            _expect(holder.stdout.readline(), holder.stderr.read)
            yield descriptor
        finally:
            os.close(descriptor)


def _expect(line: bytes, rest: object) -> None:
    if line != b"\n":
        text = rest().decode(errors="replace").strip() if callable(rest) else ""
        raise _refused(text.rpartition("\n")[2])


def _refused(detail: str) -> EngineError:
    return EngineError(
        f"this kernel does not let us make a user namespace for the build: {detail}",
        cure="see `pybuild doctor`; sysctl user.max_user_namespaces must be above 0",
    )

"""A user namespace for builds that root starts, in which the build's uid is nobody's outside.

bubblewrap alone would map its uid to root's, so that files of root that happen to be mounted stay readable.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pybuilder.errors import EngineError
from pybuilder.processes import bubblewrap_child_number, communicate, kill_group, spawn, wait_for
from pybuilder.sandbox import BUILD_GID, BUILD_UID

# "pb" in ASCII, then zeros: far from the ranges that distributions hand out to users, containers and systemd.
PREFERRED_ID = 0x70620000

# Done in the new namespace: no sub-namespace can be made in it afterwards. Inside one, a build would have
# capabilities again, and with them more of the kernel to attack.
_SETTINGS = "/proc/sys/user"
_CLOSE = f"echo 0 > {_SETTINGS}/max_user_namespaces"


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


class Namespaces:
    """User namespaces for one start after another: making one takes a tenth as long as all the rest of a start.

    Each serves one start at a time, since its processes count together, and none serves again after a start that raised
    an error. Nothing of a start is left in it: its processes have ended, and they could change nothing about it.
    """

    def __init__(self) -> None:
        self._free: dict[IdMap, list[int]] = {}
        weakref.finalize(self, _close_all, self._free)

    @contextlib.contextmanager
    def one(self, ids: IdMap, system: Iterable[str], *, env: Mapping[str, str]) -> Iterator[int]:
        """A descriptor of one that is nobody else's as long as the block lasts; see ``user_namespace``."""
        free = self._free.setdefault(ids, [])
        try:
            descriptor = free.pop()
        except IndexError:
            descriptor = user_namespace(ids, system, env=env)
        try:
            yield descriptor
        except BaseException:
            os.close(descriptor)
            raise
        free.append(descriptor)


def _close_all(free: Mapping[IdMap, Iterable[int]]) -> None:
    for descriptor in itertools.chain.from_iterable(free.values()):
        os.close(descriptor)


def user_namespace(ids: IdMap, system: Iterable[str], *, env: Mapping[str, str]) -> int:
    """A descriptor of a new user namespace, which the caller closes: root is root in it, a build's ids are ``ids``.

    Args:
        ids: The build's uid and gid outside.
        system: What bubblewrap mounts so that there is a shell.
        env: The whole environment of bubblewrap and the shell.

    Raises:
        EngineError: The kernel forbids it.
    """
    with contextlib.ExitStack() as opened, contextlib.ExitStack() as made:
        (told, tells), (waits, go) = _pipe(opened), _pipe(opened)
        # bubblewrap is there at any rate, and takes a quarter of the time in which a Python starts.
        argv = ["bwrap", "--unshare-user", "--cap-drop", "ALL", "--cap-add", "CAP_SYS_RESOURCE"]
        argv += ["--userns-block-fd", str(waits.fileno()), "--info-fd", str(tells.fileno())]
        argv += [*system, "--bind", _SETTINGS, _SETTINGS, "--", "/bin/sh", "-c", _CLOSE]
        # With the end that we read: it must not die of SIGPIPE if we die before it tells, or its child waits for ever.
        theirs = (waits.fileno(), tells.fileno(), told.fileno())
        with spawn(argv, env=env, pass_fds=theirs) as process:
            tells.close()
            waits.close()
            child = bubblewrap_child_number(process, told.fileno())
            try:
                descriptor = -1 if child is None else _mapped(child, ids, made)
                go.write(b"\n")
            except OSError as error:
                raise _refused(str(error)) from error
            # It may have been killed, and its child would wait for it for ever, with its pipes open.
            if process.returncode is None:
                wait_for(process)
                kill_group(process)
            said = communicate(process)[1].decode(errors="replace").strip()
        if child is None or process.returncode:
            raise _refused(said.rpartition("\n")[2])
        made.pop_all()
        return descriptor


def _mapped(process: int, ids: IdMap, made: contextlib.ExitStack) -> int:
    """A descriptor of a process's user namespace, which gets its ids."""
    for kind, inside, outside in (("uid", BUILD_UID, ids.uid), ("gid", BUILD_GID, ids.gid)):
        Path(f"/proc/{process}/{kind}_map").write_text(f"0 0 1\n{inside} {outside} 1\n")
    descriptor = os.open(f"/proc/{process}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    made.callback(os.close, descriptor)
    return descriptor


def _pipe(opened: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    ends = zip(os.pipe(), ("rb", "wb"), strict=True)
    reader, writer = (opened.enter_context(os.fdopen(end, mode, buffering=0)) for end, mode in ends)
    return reader, writer


def _refused(detail: str) -> EngineError:
    return EngineError(
        f"this kernel does not let us make a user namespace for the build: {detail}",
        cure="see `pybuild doctor`; sysctl user.max_user_namespaces must be above 0",
    )

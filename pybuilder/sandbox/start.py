"""What every engine does alike around one start: lay out the work directory, send the job, judge how it ended."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pybuilder.sandbox import BUILD_GID, BUILD_UID, HOST_NAME, Job, Limits
from pybuilder.sandbox.namespace import IdMap
from pybuilder.sandbox.supervise import Supervisor

OWN_ETC = {
    "passwd": f"root:x:0:0:root:/nonexistent:/bin/false\nbuild:x:{BUILD_UID}:{BUILD_GID}:build:/tmp/home:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "group": f"root:x:0:\nbuild:x:{BUILD_GID}:\nnobody:x:65534:\n",
    "hosts": f"127.0.0.1 localhost {HOST_NAME}\n::1 localhost\n",
    "hostname": f"{HOST_NAME}\n",
    "resolv.conf": "",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
"""The files of /etc that name people and machines: ours, whatever lies under a build."""

_NO_MEMORY = (b"MemoryError", b"Cannot allocate memory", b"bad_alloc", b"virtual memory exhausted", b"out of memory")


def prepare(work: Path, ids: IdMap | None) -> None:
    """Lay out the work directory, and give what the build may write to the build's user."""
    for name in ("build", "out", "tmp"):
        directory = work / name
        directory.mkdir(exist_ok=True)
        if ids:
            _give(directory, ids)


def _give(tree: Path, ids: IdMap) -> None:
    """Make a tree the build's; what is the build's already, and as deep as it likes, is not looked into again."""
    os.chown(tree, ids.uid, ids.gid)
    directories = [str(tree)]
    while directories:
        with os.scandir(directories.pop()) as entries:
            for entry in entries:
                if entry.stat(follow_symlinks=False).st_uid == ids.uid:
                    continue
                os.chown(entry.path, ids.uid, ids.gid, follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.path)


def job_message(job: Job, *, grouped: bool, processors: Sequence[int]) -> Mapping[str, Any]:
    """The job as ``steps.py`` reads it.

    Args:
        job: What to run.
        grouped: Whether a control group is known to limit memory.
        processors: The numbers of those that it may run on; empty is all.
    """
    return {
        "uid": BUILD_UID,
        "gid": BUILD_GID,
        "cwd": job.cwd,
        "env": dict(job.env),
        "steps": [dict(step) for step in job.steps],
        "limits": kernel_limits(job.limits, grouped=grouped),
        "cpus": job.cpus,
        "processors": list(processors),
    }


def kernel_limits(limits: Limits, *, grouped: bool) -> dict[str, int]:
    """Resource limits for ``confine.py`` to set, by name without RLIMIT\\_.

    Since Linux 5.14 NPROC counts the processes of one user namespace, before that all those of the user outside, so
    that builds beside each other share it.

    Args:
        limits: What a build may use.
        grouped: Whether a control group is known to limit memory.
    """
    values = {"FSIZE": limits.file_size, "NOFILE": 16384, "CORE": 0, "NPROC": limits.processes}
    if limits.memory and not grouped:
        values["AS"] = limits.memory
    return values


def outside_ids(ids: IdMap | None) -> dict[str, int]:
    """The ids that the build has outside its namespace."""
    return {"uid": ids.uid, "gid": ids.gid} if ids else {"uid": os.geteuid(), "gid": os.getegid()}


def how_it_ended(supervisor: Supervisor, said: bytes, *, end: str, out_of_memory: bool = False) -> str:
    """How a start failed, a sentence; empty if it ended well.

    Args:
        supervisor: That watched it.
        said: The last it printed.
        end: How the engine's own process ended, for starts that told of no end themselves; empty if well.
        out_of_memory: Whether the engine knows that the kernel ended one of its processes for its use of memory.
    """
    limits = supervisor.limits
    failure = supervisor.failure or ("" if supervisor.finished and not end else _bad_end(supervisor, said, end))
    # Without a control group each process has the limit for itself, and says so in its own words.
    alone = supervisor.seal.get("memory_limit") == "process" and any(words in said for words in _NO_MEMORY)
    if limits.memory and (out_of_memory or supervisor.out_of_memory or (failure and alone)):
        return f"needed more memory than its limit of {limits.memory >> 20} MiB"
    return failure


def _bad_end(supervisor: Supervisor, said: bytes, end: str) -> str:
    if not supervisor.seal and (lines := said.decode(errors="replace").strip().splitlines()):
        return lines[-1]
    return end or "the sandbox ended before its steps were done"


def tail(log: Path, before: int) -> bytes:
    """The last bytes of what was written after ``before``."""
    with log.open("rb") as stream:
        stream.seek(max(before, log.stat().st_size - 8192))
        return stream.read()

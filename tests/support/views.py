"""Programs that see a machine of their own: other files in place of some, and perhaps a user that is not there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_MOUNT_THEN = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done; shift; exec "$@"'
# Far from the ranges that distributions hand out, and from the ids that pybuild itself gives to builds.
_FIRST_SUBORDINATE_ID = 0x70000000


def in_view(argv: Sequence[str], mounts: Mapping[Path | str, Path], *, uid: int | None = None) -> list[str]:
    """The command that runs another where some paths show other files, as some user; only root can do that.

    Args:
        argv: The other command.
        mounts: What is seen instead, by the path where; everybody else sees what was there before.
        uid: The user and group to become, with no other groups; None stays root.
    """
    pairs = [str(path) for seen, real in mounts.items() for path in (real, seen)]
    become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if uid else []
    return ["unshare", "--mount", "/bin/sh", "-c", _MOUNT_THEN, "sh", *pairs, "--", *become, *argv]


def user_files(directory: Path, uid: int, *, home: Path, subordinate_ids: bool = True) -> dict[Path | str, Path]:
    """Files of /etc in which a user is who does not exist, as ``in_view`` takes them.

    Args:
        directory: Where to write them; missing.
        uid: The user's number, and the group's.
        home: The home directory.
        subordinate_ids: Whether the user has any (subuid(5)), which rootless podman needs.
    """
    directory.mkdir()
    name = "pybuild-test"
    ids = [f"{name}:{_FIRST_SUBORDINATE_ID}:65536"] if subordinate_ids else []
    added: dict[str, Iterable[str]] = {
        "passwd": [*_lines("/etc/passwd"), f"{name}:x:{uid}:{uid}::{home}:/bin/sh"],
        "group": [*_lines("/etc/group"), f"{name}:x:{uid}:"],
        "subuid": ids,
        "subgid": ids,
    }
    for file, lines in added.items():
        (directory / file).write_text("".join(f"{line}\n" for line in lines))
    return {f"/etc/{file}": directory / file for file in added}


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()

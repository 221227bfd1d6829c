"""A layer made plain: what an overlay showed over a base tree, as a tree of its own that needs no mount."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

# Those of a mount by root, and those of a mount inside a user namespace.
_PREFIXES = ("trusted.overlay.", "user.overlay.")


def flatten(base: str, upper: str, tree: str) -> None:
    """Fill an empty directory with what an overlay of ``upper`` over ``base`` shows.

    Files of the base are hard-linked and stay as they are; those of ``upper`` are moved, so it is of no use afterwards.

    Args:
        base: The lower tree, on the same file system.
        upper: The overlay's upper directory, on the same file system, not mounted any more.
        tree: The directory to fill.
    """
    # Directories last, and from the deepest on: to fill one changes its time.
    made: list[tuple[str, os.stat_result]] = []
    pending: list[tuple[str | None, str | None, str]] = [(base, upper, tree)]
    while pending:
        below, above, target = pending.pop()
        made.append((target, os.stat(above or below or "")))
        pending += list(_fill(below, above, target))
    for target, facts in reversed(made):
        os.chmod(target, stat.S_IMODE(facts.st_mode))
        os.utime(target, ns=(facts.st_mtime_ns, facts.st_mtime_ns))


def _fill(below: str | None, above: str | None, target: str) -> Iterator[tuple[str | None, str | None, str]]:
    """Fill one directory with files, and make its directories, which are yielded with what is to fill them."""
    covering = _entries(above)
    for name, entry in _entries(below).items():
        if name in covering:
            continue
        if entry.is_dir(follow_symlinks=False):
            os.mkdir(f"{target}/{name}", 0o700)
            yield entry.path, None, f"{target}/{name}"
        else:
            os.link(entry.path, f"{target}/{name}", follow_symlinks=False)
    for name, entry in covering.items():
        if entry.is_dir(follow_symlinks=False):
            os.mkdir(f"{target}/{name}", 0o700)
            yield _below(f"{below}/{name}" if below else None, entry.path), entry.path, f"{target}/{name}"
        elif not _is_whiteout(entry):
            os.rename(entry.path, f"{target}/{name}")
            _strip(f"{target}/{name}")


def _entries(directory: str | None) -> dict[str, os.DirEntry[str]]:
    if directory is None:
        return {}
    with os.scandir(directory) as entries:
        return {entry.name: entry for entry in entries}


def _below(lower: str | None, upper: str) -> str | None:
    """What shows through a directory of the upper tree: the lower one of its name, unless it is opaque."""
    if lower is None or os.path.islink(lower) or not os.path.isdir(lower):
        return None
    for prefix in _PREFIXES:
        with suppress(OSError):
            if os.getxattr(upper, f"{prefix}opaque") == b"y":
                return None
    return lower


def _is_whiteout(entry: os.DirEntry[str]) -> bool:
    facts = entry.stat(follow_symlinks=False)
    return stat.S_ISCHR(facts.st_mode) and facts.st_rdev == 0


def _strip(path: str) -> None:
    """Take off what an overlay notes at a file; it would mean something else in the next one."""
    for name in os.listxattr(path, follow_symlinks=False):
        if name.startswith(_PREFIXES):
            os.removexattr(path, name, follow_symlinks=False)

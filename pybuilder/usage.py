"""Who works with the store, and when what is in it was last used: what lets gc work beside builds.

A run that works with the store says so before it looks (``at_work``), and whatever it finds there it marks as used now
(``use``). gc takes away only what nothing needs and whose mark is older than the beginning of the oldest run at work
(``horizon``). It looks at a mark again when it takes the thing, with a lock that who marks holds as well. So what a run
has found stays until the run ends, and what gc was faster to take was never found.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from pybuilder.errors import LockedError
from pybuilder.files import disk_errors, file_lock
from pybuilder.layout import Layout

_RUN = re.compile(r"\d+-[0-9a-f]{8}")


@contextmanager
def at_work(layout: Layout) -> Iterator[None]:
    """Whatever is found or made in the store in this block stays there until the block is left."""
    mine = layout.runs / f"{os.getpid()}-{secrets.token_hex(4)}"
    with file_lock(mine, shared=True):
        try:
            yield
        finally:
            with suppress(OSError):
                mine.unlink(missing_ok=True)


def horizon(layout: Layout) -> int:
    """When the oldest run that is at work began, by the file system's clock, in nanoseconds since 1970.

    Only for a run that is at work itself. What runs left that were killed is removed.
    """
    # By their names, since a person may take a directory of theirs for a state.
    runs = [path for path in layout.runs.iterdir() if _RUN.fullmatch(path.name)]
    return min(began for path in runs if (began := _began(path)) is not None)


def _began(run: Path) -> int | None:
    try:
        began = run.stat().st_mtime_ns
        with file_lock(run, wait=False):
            run.unlink(missing_ok=True)
            return None
    except FileNotFoundError:
        return None
    except LockedError:
        return began


def use(layout: Layout, directory: Path) -> bool:
    """Mark something in the store as used now; false where it is not there."""
    if not directory.exists():
        return False
    if not os.access(directory, os.W_OK):
        # Where nothing can be marked, nothing can be taken away either.
        return True
    with marking(layout), disk_errors(directory):
        try:
            os.utime(directory)
            mark = last_use(directory)
        except FileNotFoundError:
            return False
        _begin_before(layout, mark)
        return True


def _begin_before(layout: Layout, mark: int) -> None:
    """Where the clock was set back while we are at work, we began no later than at what we mark now."""
    for run in layout.runs.glob(f"{os.getpid()}-*"):
        with suppress(FileNotFoundError):
            if last_use(run) > mark:
                os.utime(run, ns=(mark, mark))


def last_use(path: Path) -> int:
    """The mark: when something was made, or was used last, in nanoseconds since 1970.

    Raises:
        FileNotFoundError: It isn't there.
    """
    return path.stat(follow_symlinks=False).st_mtime_ns


def marking(layout: Layout) -> AbstractContextManager[None]:
    """Nothing is taken away from the store in this block; keep it short."""
    return file_lock(layout.lock("store"), shared=True)


def taking(layout: Layout) -> AbstractContextManager[None]:
    """Nobody finds anything in the store in this block; keep it short."""
    return file_lock(layout.lock("store"))

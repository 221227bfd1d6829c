"""After a run that was killed: say that its attempts were interrupted, and clear away what it left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pybuilder import record
from pybuilder.files import fsync_dir, remove_tree
from pybuilder.layout import Layout
from pybuilder.processes import process_identity
from pybuilder.state import INTERRUPTED, Attempt, State
from pybuilder.work import strays


def reap(layout: Layout, state: State, clear: Callable[[Path], None]) -> tuple[Attempt, ...]:
    """End the attempts whose process is gone; their logs are kept.

    Args:
        layout: Where their work lies.
        state: Has them.
        clear: Ends what a sandbox of whichever engine left that had a work directory.

    Returns:
        The attempts that had been interrupted.
    """
    dead = [attempt for attempt in state.running() if not is_alive(attempt)]
    for attempt in dead:
        _keep_log(layout, attempt)
        failure = ("build", f"{INTERRUPTED}: the run was killed")
        state.end_attempt(attempt.id, seconds=0.0, sealed=False, failure=failure)
    left = {layout.work(attempt.id) for attempt in dead} | set(strays(layout))
    for work in left:
        # A check has a state of its own in there, with what it had started.
        for started in (work, *work.glob("state/work/*")):
            clear(started)
        remove_tree(work)
    return tuple(dead)


def is_alive(attempt: Attempt) -> bool:
    """Whether the process that makes an attempt is still there, and still the same."""
    return process_identity(int(attempt.owner.partition(":")[0])) == attempt.owner


def _keep_log(layout: Layout, attempt: Attempt) -> None:
    left = layout.work(attempt.id) / "record"
    kept = layout.record(attempt.key, attempt.id)
    if (left / record.LOG).is_file() and not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            left.rename(kept)
            fsync_dir(kept.parent)

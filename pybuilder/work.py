"""Directories for work in progress: who makes one is written into it, so that what a killed run left can be told."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from pybuilder.files import disk_errors, remove_heap, remove_tree, set_aside
from pybuilder.interruption import finish
from pybuilder.layout import Layout
from pybuilder.processes import process_identity

_OWNER = "owner"


def make_work(layout: Layout, name: str) -> Path:
    """A directory that is removed at a later start if its maker dies before removing it."""
    work = layout.work(name)
    with disk_errors(work):
        # The name appears with the note in it: a directory without one is removed by anybody who looks.
        fresh = work.with_name(f"{name}.new-{os.getpid()}")
        fresh.mkdir(parents=True)
        (fresh / _OWNER).write_text(process_identity(os.getpid()))
        fresh.rename(work)
    return work


@contextmanager
def work_directory(layout: Layout, name: str) -> Iterator[Path]:
    """The same for a block; it is gone afterwards."""
    work = make_work(layout, name)
    try:
        yield work
    finally:
        remove_tree(work)


class Cleaner:
    """Removes trees in a thread of its own, since whoever has no more use for one need not wait for the disk.

    A context manager; when it is left, they are gone.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        """Nothing is to be removed yet."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Wait for what is being removed."""
        finish(self._pool)

    def remove(self, tree: Path) -> None:
        """Remove a tree soon; its name is free at once. What can't be removed is left to a later start."""
        with suppress(OSError):
            if (heap := set_aside(tree)) is not None:
                self._pool.submit(remove_heap, heap)


def strays(layout: Layout) -> list[Path]:
    """Work directories whose maker is dead."""
    try:
        entries = list(layout.work("x").parent.iterdir())
    except FileNotFoundError:
        return []
    return [entry for entry in entries if not _in_use(entry)]


def _in_use(work: Path) -> bool:
    with suppress(OSError, ValueError):
        identity = (work / _OWNER).read_text()
        return process_identity(int(identity.partition(":")[0])) == identity
    # Being made right now by a live process, or removed.
    maker = re.search(r"\.new-(\d+)(?:\.\w+\.tmp)?$", work.name)
    return maker is not None and bool(process_identity(int(maker[1])))

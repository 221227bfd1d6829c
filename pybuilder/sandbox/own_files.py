"""What is ours inside of containers, on the disk: one may not be let read where we are installed (SELinux, 0700)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from pybuilder.files import disk_errors
from pybuilder.layout import Layout
from pybuilder.sandbox.programs import programs
from pybuilder.sandbox.start import OWN_ETC
from pybuilder.work import work_directory

TALK = "talk"
"""The directory beside our programs over which each container's own named pipes are mounted."""


@dataclass(kw_only=True, slots=True)
class OwnFiles:
    """Files that all containers of a run read and none can write; written when the first of them starts.

    Safe to use from several threads at once.

    Attributes:
        layout: Where work in progress lies: there they are removed also after a run that was killed.
    """

    layout: Layout
    _directory: Path | None = None
    _held: ExitStack = field(default_factory=ExitStack)
    _lock: Lock = field(default_factory=Lock)

    def directory(self) -> Path:
        """Where they are: ``etc``, and ``pybuild``, which is seen as ``RUNNER``.

        Raises:
            StateError: The disk is full or can't be written.
        """
        with self._lock:
            if self._directory is None:
                work = self._held.enter_context(work_directory(self.layout, f"inside-{secrets.token_hex(4)}"))
                with disk_errors(work):
                    _write(work)
                self._directory = work
            return self._directory

    def close(self) -> None:
        """Remove them; no container may run any more."""
        self._held.close()


def _write(work: Path) -> None:
    files = dict(_files())
    parents = {parent for name in files for parent in Path(name).parents} - {Path()}
    for directory in sorted({*parents, Path("pybuild", TALK)}):
        (work / directory).mkdir()
        (work / directory).chmod(0o755)
    for name, data in files.items():
        (work / name).write_bytes(data)
        (work / name).chmod(0o644)


def _files() -> Iterator[tuple[str, bytes]]:
    """By path."""
    for name, text in OWN_ETC.items():
        yield f"etc/{name}", text.encode()
    for name, data in programs().items():
        yield f"pybuild/{name}", data

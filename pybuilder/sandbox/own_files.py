"""What is ours inside of containers, on the disk: one may not be let read where we are installed (SELinux, 0700)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pybuilder.files import atomic_dir, disk_errors, sync_filesystem
from pybuilder.layout import Layout
from pybuilder.plan import digest
from pybuilder.sandbox.programs import programs
from pybuilder.sandbox.start import OWN_ETC
from pybuilder.usage import use

TALK = "talk"
"""The directory beside our programs over which each container's own named pipes are mounted."""


@dataclass(kw_only=True, slots=True)
class OwnFiles:
    """Files that all containers read and none can write, by what they are: they lie with the environments of a state.

    Safe to use from several threads at once.

    Attributes:
        layout: The state's paths.
    """

    layout: Layout
    _found: Path | None = None

    def directory(self) -> Path:
        """Where they are, made unless they are there: ``etc``, and ``pybuild``, which is seen as ``RUNNER``.

        Raises:
            StateError: The disk is full or can't be written.
        """
        if self._found is None:
            directory = self.layout.environment(_digest())
            if not use(self.layout, directory):
                with disk_errors(directory), atomic_dir(directory) as fresh:
                    _write(fresh)
                    sync_filesystem(fresh)
            self._found = directory
        return self._found


@functools.cache
def _files() -> Mapping[str, bytes]:
    """By path."""
    etc = {f"etc/{name}": text.encode() for name, text in OWN_ETC.items()}
    return {**etc, **{f"pybuild/{name}": data for name, data in programs().items()}}


@functools.cache
def _digest() -> str:
    return digest(["own files", TALK, {name: sha256(data).hexdigest() for name, data in _files().items()}])


def _write(directory: Path) -> None:
    parents = {parent for name in _files() for parent in Path(name).parents} - {Path()}
    for each in sorted({*parents, Path("pybuild", TALK)}):
        (directory / each).mkdir()
        (directory / each).chmod(0o755)
    for name, data in _files().items():
        (directory / name).write_bytes(data)
        (directory / name).chmod(0o644)

"""Making a workspace."""

from __future__ import annotations

import os
from pathlib import Path

from pybuilder.errors import UsageError
from pybuilder.files import disk_errors, write_atomic

_SETTINGS = """\
# Settings of this workspace; everything is optional. See `pybuild --help`.
# buildroot = "host"
# label = "pb"
"""


def init(directory: Path) -> tuple[Path, ...]:
    """Make a workspace; what is there already stays as it is.

    Args:
        directory: Where; it is made if it is missing.

    Returns:
        The directories and files that were made.

    Raises:
        UsageError: Something else stands where a directory belongs.
        StateError: The disk is full or can't be written.
    """
    from pybuilder.buildroot import HOST

    files = {"buildroots/host.toml": HOST, "pybuild.toml": _SETTINGS, ".gitignore": ".pybuild/\n"}
    made = []
    with disk_errors(directory):
        for name in ("specs", "patches", "buildroots"):
            path = directory / name
            if not path.is_dir():
                _make_directory(path)
                made.append(path)
        for name, text in files.items():
            path = directory / name
            if not os.path.lexists(path):
                write_atomic(path, text.encode())
                made.append(path)
    return tuple(made)


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(
            "a workspace can't be made here: a file stands where a directory belongs",
            where=str(error.filename),
            cure="move it away, or choose another directory",
        ) from error

"""Locks of other tools, read and written: mock's ``buildroot_lock.json`` and Konflux's ``rpms.lock.yaml``.

They say less than our own: which RPMs, but not what asks for them or what each needs. So they are what a lock starts
from and what it is compared with, and never take its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from pybuilder.errors import ConfigError, UsageError
from pybuilder.json_files import ANEW
from pybuilder.lock_exchange import konflux, mock
from pybuilder.lock_exchange.listing import Export, Listed, Listing, common_arch

__all__ = ["Export", "Listed", "Listing", "check_form", "common_arch", "format_listing", "is_listing", "parse_listing"]

# Characters; four thousand RPMs have about two million in mock's form, and fewer in Konflux's.
_LONGEST = 16 << 20

_PARSERS = {".json": mock.parse, ".yaml": konflux.parse, ".yml": konflux.parse}
_WRITERS = {".json": mock.write, ".yaml": konflux.write, ".yml": konflux.write}


def is_listing(file: str) -> bool:
    """Whether a file is another tool's, by the end of its name."""
    return PurePosixPath(file).suffix in _PARSERS


def check_form(file: str) -> None:
    """Refuse a file whose name does not say whose it is.

    Raises:
        UsageError: It does not.
    """
    if not is_listing(file):
        raise UsageError(
            f"the name {file!r} does not say what form the file has",
            cure="name mock's form .json (buildroot_lock.json), Konflux's .yaml (rpms.lock.yaml)",
        )


def parse_listing(text: str, file: str) -> Listing:
    """Read another tool's lock.

    Args:
        text: The file's text.
        file: Its name, for messages and because it says what form the file has.

    Raises:
        UsageError: The name does not say it.
        ConfigError: Lists everything that is wrong with the file.
    """
    check_form(file)
    if len(text) > _LONGEST:
        raise ConfigError(f"this is too long for a lock: more than {_LONGEST} characters", where=file, cure=ANEW)
    return _PARSERS[PurePosixPath(file).suffix](text, file)


def format_listing(file: str, arch: str, exports: Iterable[Export]) -> str:
    """A lock's RPMs in the form that a file's name asks for.

    Args:
        file: The name.
        arch: The target's architecture.
        exports: The RPMs.

    Raises:
        UsageError: The name says no form.
    """
    check_form(file)
    return _WRITERS[PurePosixPath(file).suffix](arch, sorted(exports, key=lambda each: each.rpm.name))

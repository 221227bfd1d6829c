"""Which RPM has what an ELF file needs, by the RPMs' own headers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pybuilder.errors import StateError


def providers(files: Mapping[str, Path]) -> Mapping[str, tuple[str, ...]]:
    """What RPMs provide, by its name: ``libxslt.so.1()(64bit)``, ``libc.so.6(GLIBC_2.34)(64bit)``.

    Only headers are read, at 0.1 ms for an RPM, so nothing is remembered. Versions are left out: what is provided for
    ELF files has none.

    Args:
        files: The RPMs' files by name.

    Returns:
        The names of the RPMs that provide it, sorted.

    Raises:
        StateError: A file is damaged.
    """
    found: dict[str, set[str]] = {}
    for name, file in files.items():
        for each in _provides(file):
            found.setdefault(each, set()).add(name)
    return {each: tuple(sorted(found[each])) for each in sorted(found)}


def _provides(file: Path) -> list[str]:
    import rpm_rs

    try:
        return [each.name for each in rpm_rs.PackageMetadata.open(str(file)).provides()]
    except (OSError, RuntimeError, ValueError) as error:
        # rpm-rs quotes what it read, byte by byte.
        raise StateError(
            f"the RPM {file.name} can't be read: {str(error)[:80]}",
            where=str(file),
            cure=f"remove {file.parent}; it will be fetched again",
        ) from error

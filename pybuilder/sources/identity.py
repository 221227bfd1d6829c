"""Whether an archive is of the package it was fetched for."""

from __future__ import annotations

from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from pybuilder.errors import FetchError
from pybuilder.filenames import directory_version
from pybuilder.metadata import parse_metadata
from pybuilder.sources.archive import read_head
from pybuilder.wheel.check import problems


def check_identity(archive: Path, filename: str, name: NormalizedName, version: Version, *, sdist: bool) -> None:
    """Compare what an archive says of itself with what was asked for.

    The PKG-INFO at its top decides. Where there is none, an sdist must at least have the right top directory, and any
    other archive (of a tag, say) says nothing.

    Args:
        archive: The archive.
        filename: Its name, for messages.
        name: The package's name.
        version: Its version.
        sdist: Whether it claims to be an sdist.

    Raises:
        FetchError: It is another package's or version's, or no archive.
    """
    head = read_head(archive)
    if head.pkg_info is not None:
        metadata = parse_metadata(head.pkg_info)
        if canonicalize_name(metadata.name) != name or not _same_version(metadata.version, version):
            raise _wrong(filename, f"{metadata.name} {metadata.version}".strip(), name, version, head.top)
    elif sdist and directory_version(head.top, name) != version:
        raise _wrong(filename, f"{head.top!r}", name, version, head.top)


def check_wheel(wheel: Path, name: NormalizedName, version: Version) -> None:
    """Whether a wheel is a sound one of the package and version that it was fetched for.

    Args:
        wheel: The wheel, under its own name.
        name: The package's name.
        version: Its version.

    Raises:
        FetchError: It is another package's or version's, or damaged; says everything that is wrong with it.
    """
    if wrong := problems(wheel, name=name, version=version):
        raise FetchError(
            f"upstream's wheel {wheel.name} is no sound wheel of {name} {version}: {'; '.join(wrong)}",
            cure="choose another version, or report it upstream",
        )


def _same_version(text: str, version: Version) -> bool:
    try:
        return Version(text) == version
    except InvalidVersion:
        return False


def _wrong(filename: str, found: str, name: NormalizedName, version: Version, top: str) -> FetchError:
    what = f"wrong name or version: {filename} holds {found or 'nothing that has a name'}, not {name} {version}"
    return FetchError(
        what, where=f"{filename}: {top}/PKG-INFO", cure="check the spec's [source]; else report it upstream"
    )

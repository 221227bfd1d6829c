"""Versions in the names of files and directories, also in those from before the names had rules."""

from __future__ import annotations

from packaging.utils import InvalidWheelFilename, NormalizedName, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

# In order of preference. PEP 625 allows the first only; the others are what was uploaded before it.
SDIST_SUFFIXES = (".tar.gz", ".zip", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def sdist_version(filename: str, name: NormalizedName) -> Version | None:
    """The version in the name of an sdist of this project, or None where it is none.

    Looser than packaging's ``parse_sdist_filename``, as files from before PEP 625 need it: any spelling of the name,
    dashes in the name or version, any archive that setup.py could make.
    """
    for suffix in SDIST_SUFFIXES:
        if filename.lower().endswith(suffix):
            return directory_version(filename[: -len(suffix)], name)
    return None


def directory_version(stem: str, name: NormalizedName) -> Version | None:
    """The version in ``name-version``, in any spelling of the name, or None where it is not of this form."""
    for position, character in enumerate(stem):
        if character == "-" and canonicalize_name(stem[:position]) == name:
            try:
                return Version(stem[position + 1 :])
            except InvalidVersion:
                continue
    return None


def is_wheel_of(filename: str, version: Version) -> bool:
    """Whether a file is by its name a wheel of a version."""
    try:
        # Most are of another, which shows without reading the tags.
        if Version("".join(filename.split("-", 2)[1:2])) != version:
            return False
    except InvalidVersion:
        return False
    return wheel_version(filename) == version


def wheel_version(filename: str) -> Version | None:
    """The version in the name of a wheel, or None where it is none."""
    try:
        return parse_wheel_filename(filename)[1]
    except (InvalidWheelFilename, InvalidVersion):
        return None

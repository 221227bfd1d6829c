"""Which versions of an index are yanked (PEP 592), as the index itself says: ``yanked.json``, and the pages' marks.

The file says it of upstream's versions, and so of every build of them, those to come too; a numbered version means that
build alone. The pages' marks are made from it whenever a page is written. Where the file is lost or damaged, they tell
what it said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from pybuilder.index.pages import File, PageError
from pybuilder.layout import YANKED
from pybuilder.names import any_number

FORMAT = 1

Reasons = Mapping[Version, str]
"""Why versions of one project are yanked; a reason may be empty."""
Yanked = Mapping[NormalizedName, Reasons]
"""All that is yanked; a project of which nothing is may have no entry."""


def dump(yanked: Yanked) -> bytes:
    """The file's bytes."""
    listed = {
        project: {str(version): reasons[version] for version in sorted(reasons)}
        for project, reasons in sorted(yanked.items())
        if reasons
    }
    return json.dumps({"format": FORMAT, "yanked": listed}, indent=1).encode() + b"\n"


def load(data: bytes) -> Yanked:
    """What the file's bytes say.

    Raises:
        PageError: It is no such file.
    """
    try:
        raw = json.loads(data)
        if raw["format"] != FORMAT:
            raise PageError(f"has format {raw['format']!r}, not {FORMAT}")
        return {NormalizedName(project): _load_reasons(reasons) for project, reasons in raw["yanked"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise error if isinstance(error, PageError) else PageError(f"can't be read: {error!r}") from error


def _load_reasons(raw: Mapping[str, str]) -> Reasons:
    if not all(isinstance(reason, str) for reason in raw.values()):
        raise PageError("has a reason that is no text")
    return {Version(version): reason for version, reason in raw.items()}


def read(root: Path) -> Yanked | None:
    """What the file of an index says; None where there is none.

    Raises:
        PageError: It is damaged.
    """
    try:
        return load((root / YANKED).read_bytes())
    except FileNotFoundError:
        return None


def believed(root: Path) -> Yanked | None:
    """What the file of an index says; None where it is lost or damaged, and the pages' marks count."""
    try:
        return read(root)
    except PageError:
        return None


def marked(files: Iterable[File], reasons: Reasons) -> tuple[File, ...]:
    """The files of one project, wheels or sources, each yanked if its version is, and else not."""
    files = tuple(files)
    if not reasons and all(file.yanked is None for file in files):
        return files
    found = ((file, _reason_of_file(file, reasons)) for file in files)
    return tuple(file if file.yanked == reason else replace(file, yanked=reason) for file, reason in found)


def _reason_of_file(file: File, reasons: Reasons) -> str | None:
    try:
        return reason_of(Version(file.version), reasons)
    except InvalidVersion:
        return None


def reason_of(version: Version, reasons: Reasons) -> str | None:
    """Why a version, numbered or not, is yanked; None where it is not."""
    numbered = any_number(version)
    return reasons.get(version, reasons.get(numbered[0]) if numbered else None)


def read_back(files: Iterable[File]) -> Reasons:
    """What the marks of one project's wheels say: of an upstream version where all its builds are yanked alike."""
    by_upstream: dict[Version, dict[Version, str | None]] = {}
    for file in files:
        version = Version(file.version)
        numbered = any_number(version)
        by_upstream.setdefault(numbered[0] if numbered else version, {})[version] = file.yanked
    found: dict[Version, str] = {}
    for upstream, builds in by_upstream.items():
        alike = {upstream: next(iter(builds.values()))} if len(set(builds.values())) == 1 else builds
        found |= {version: reason for version, reason in alike.items() if reason is not None}
    return found

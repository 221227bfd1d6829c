"""What the planning view says: Simple API pages (PEP 691) and metadata files (PEP 658) of stand-in wheels.

Markers and Requires-Python are judged here, for the target, so that no idea of uv about a platform or Python plays a
role. uv would look at the lower bound of Requires-Python only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from pybuilder.errors import FetchError
from pybuilder.resolution import applies, check_no_url, required_by

PAGE_TYPE = "application/vnd.pypi.simple.v1+json"
METADATA_SUFFIX = ".metadata"

# What no Python satisfies: stands for every Requires-Python that leaves the target out.
NO_PYTHON = ">=1000"

_EXTRA = re.compile(r"""extra == "([^"]+)"|"([^"]+)" == extra""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A version that can be had.

    Attributes:
        version: Upstream's, or one of ours with a local label.
        requires_python: The specifier as it stands there; empty for any Python.
        yanked: Whether it was yanked (PEP 592): taken only where it is pinned or preferred.
        yanked_reason: Why, or empty.
        upload_time: When it appeared; None where nobody knows.
    """

    version: Version
    requires_python: str = ""
    yanked: bool = False
    yanked_reason: str = ""
    upload_time: datetime | None = None


@lru_cache(maxsize=1024)
def satisfied(requires_python: str, python: str) -> bool:
    """Whether a Python is one of those that a Requires-Python names; one that can't be read names every Python."""
    try:
        return SpecifierSet(requires_python).contains(python, prereleases=True)
    except InvalidSpecifier:
        return True


def wheel_name(name: NormalizedName, version: Version) -> str:
    """The file name of a version's stand-in."""
    return f"{name.replace('-', '_')}-{version}-py3-none-any.whl"


def version_of(metadata_name: str) -> Version | None:
    """The version in the name of a stand-in's metadata file; None if it is no such name."""
    parts = metadata_name.removesuffix(METADATA_SUFFIX).split("-")
    try:
        return Version(parts[1]) if len(parts) == 5 and metadata_name.endswith(METADATA_SUFFIX) else None
    except InvalidVersion:
        return None


def project_page(name: NormalizedName, offers: Iterable[Offer], python: str) -> bytes:
    """The page of a project: a stand-in for every version, each with a metadata file.

    Args:
        name: The project.
        offers: Its versions.
        python: The target's full version.
    """
    files = [_file(name, offer, python) for offer in offers]
    return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": files}).encode()


def _file(name: NormalizedName, offer: Offer, python: str) -> dict[str, object]:
    filename = wheel_name(name, offer.version)
    file: dict[str, object] = {"filename": filename, "url": quote(filename), "hashes": {}, "core-metadata": True}
    if not satisfied(offer.requires_python, python):
        file["requires-python"] = NO_PYTHON
    if offer.yanked:
        file["yanked"] = offer.yanked_reason or True
    if offer.upload_time is not None:
        file["upload-time"] = f"{offer.upload_time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return file


def metadata_file(
    name: NormalizedName, version: Version, requirements: Sequence[Requirement], markers: Mapping[str, str]
) -> bytes:
    """The metadata of a stand-in: what it requires on the target, and which extras it has.

    Raises:
        FetchError: A requirement means nothing, or names a URL.
    """
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    extras: set[str] = set()
    with required_by(name, version):
        for requirement in requirements:
            named = _extras_named(requirement)
            extras |= named
            if applies(requirement, markers, frozenset()):
                lines.append(f"Requires-Dist: {plain(requirement)}")
                continue
            for extra in sorted(named):
                if applies(requirement, markers, frozenset({extra})):
                    lines.append(f"Requires-Dist: {plain(requirement)} ; extra == '{extra}'")
    lines += [f"Provides-Extra: {extra}" for extra in sorted(extras)]
    return "\n".join([*lines, "", ""]).encode()


def plain(requirement: Requirement) -> str:
    """A requirement without its marker.

    Raises:
        FetchError: It names a URL, or what no version can be equal to.
    """
    check_no_url(requirement)
    for specifier in requirement.specifier:
        if specifier.operator == "===" and not _is_version(specifier.version):
            raise FetchError(f"{str(requirement)!r} names no version (PEP 440)", cure="require a version")
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _extras_named(requirement: Requirement) -> set[str]:
    if requirement.marker is None:
        return set()
    return {canonicalize_name(a or b) for a, b in _EXTRA.findall(str(requirement.marker))}

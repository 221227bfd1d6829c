"""Reading a project's page in its JSON form (PEP 691, with 592, 658, 700, 714 and 792).

By types of our own: pypi_simple, which reads the HTML, brings two HTTP clients and an HTML parser along, and takes each
file's name to pieces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import urljoin

from packaging.version import Version
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictBool

from pybuilder.names import NormalizedName
from pybuilder.upstream.files import File, Project, sha256_of

_KNOWN = Version("1")
"""The version of the API up to which every page can be read, whatever its minor version adds."""

# The beginning of a URL with a path of its own, up to the path.
_ROOT = re.compile(r"(?:https?://[^/?#]+)?/(?=[^/.])")


class NewerError(Exception):
    """The page is of a version of the API that nobody here knows; the argument says which."""


def _dashed(name: str) -> str:
    return name.replace("_", "-")


class _Entry(BaseModel):
    model_config = ConfigDict(alias_generator=_dashed)

    filename: str
    url: str
    hashes: dict[str, str]
    requires_python: str | None = None
    # PEP 714: the old name counts where the new one is missing.
    metadata: StrictBool | dict[str, str] | None = Field(
        None, validation_alias=AliasChoices("core-metadata", "dist-info-metadata")
    )
    yanked: StrictBool | str = False
    size: int | None = None
    upload_time: datetime | None = None


class _Status(BaseModel):
    status: str | None = None
    reason: str | None = None


class _Meta(BaseModel):
    model_config = ConfigDict(alias_generator=_dashed)

    api_version: str


class _Page(BaseModel):
    model_config = ConfigDict(alias_generator=_dashed)

    meta: _Meta
    name: str
    files: list[_Entry]
    project_status: _Status | None = None


def read_json(body: bytes, url: str, name: NormalizedName) -> Project:
    """What a page says.

    Args:
        body: The page.
        url: Where it came from, to which its URLs may be relative.
        name: The project that it is about.

    Raises:
        ValueError: It is no page of an index.
        NewerError: It is of a version of the API that is too new.
    """
    page = _Page.model_validate_json(body)
    declared = Version(page.meta.api_version)
    if (declared.epoch, declared.major) > (_KNOWN.epoch, _KNOWN.major):
        raise NewerError(page.meta.api_version)
    status = page.project_status or _Status()
    return Project(
        name=name,
        files=tuple(_file(entry, url) for entry in page.files),
        status=status.status or "active",
        status_reason=status.reason or "",
    )


def _file(entry: _Entry, url: str) -> File:
    time, yanked, metadata = entry.upload_time, entry.yanked, entry.metadata
    digests: Mapping[str, str] = metadata if isinstance(metadata, dict) else {}
    return File(
        filename=entry.filename,
        url=_absolute(url, entry.url),
        sha256=sha256_of(entry.hashes),
        size=entry.size,
        requires_python=entry.requires_python or "",
        yanked=yanked is not False,
        yanked_reason=yanked if isinstance(yanked, str) else "",
        upload_time=time if time is None or time.tzinfo else time.replace(tzinfo=UTC),
        has_metadata=metadata is not None and metadata is not False,
        metadata_sha256=sha256_of(digests),
    )


def _absolute(base: str, url: str) -> str:
    """The same as ``urljoin``, which would take most of the time: nearly all files of an index are in one place."""
    found = _ROOT.match(url)
    if found is None or "/." in url:
        return urljoin(base, url)
    return _root(base, found[0]) + url[found.end() :]


@lru_cache(maxsize=64)
def _root(base: str, root: str) -> str:
    return urljoin(base, root)

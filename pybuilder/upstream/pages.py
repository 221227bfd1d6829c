"""Reading a project's page, HTML or JSON, by pypi_simple's parsers."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from pybuilder.errors import FetchError
from pybuilder.filenames import SDIST_SUFFIXES
from pybuilder.http import Page, redact
from pybuilder.names import NormalizedName
from pybuilder.upstream.files import File, Project

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage

_FILE_SUFFIXES = (*SDIST_SUFFIXES, ".whl", ".egg")


def parse_project(page: Page, name: NormalizedName, *, credentials: str = "") -> Project:
    """Read a project's page, HTML or JSON, whichever its body is.

    Args:
        page: The page as fetched.
        name: The project it is about.
        credentials: ``user:password@host`` of the index, for files on the same host, as pip does.

    Raises:
        FetchError: It is no page of an index.
    """
    from pypi_simple import UnsupportedRepoVersionError

    _quieten()
    is_json = page.content_type.endswith("json") or page.body[:64].lstrip().startswith(b"{")
    try:
        packages, status, reason = (_read_json if is_json else _read_html)(page, name)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _no_index_page(page, _why(error)) from error
    except UnsupportedRepoVersionError as error:
        what = f"the index speaks version {error.declared_version} of the simple API, which is too new"
        raise FetchError(what, where=redact(page.url), cure="update pypi-simple") from error
    files = tuple(_file(package, credentials) for package in packages)
    return Project(name=name, files=files, status=status, status_reason=reason)


def _quieten() -> None:
    """Keep pypi_simple from warning of each index newer than itself, on stderr, where nobody can do anything about it.

    And its parser from warning of what is no text: such a page is refused, or its links are read all the same. Filters
    are common to all threads, and one that is set again is not there for a moment.
    """
    from pypi_simple import UnexpectedRepoVersionWarning

    if all(category is not UnexpectedRepoVersionWarning for _, _, category, *_ in warnings.filters):
        warnings.filterwarnings("ignore", category=UnexpectedRepoVersionWarning)
    logging.getLogger("bs4.dammit").setLevel(logging.ERROR)


def _why(error: Exception) -> str:
    """What is wrong with a page, in a line; of several things that one lacks, the first."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error).partition("\n")[0] if isinstance(error, ValueError) else "it does not say what files there are"


def _no_index_page(page: Page, why: str) -> FetchError:
    cure = "check the index URL; a proxy or a login page may answer in its place"
    return FetchError(f"this is no page of a package index: {why}", where=redact(page.url), cure=cure)


def _read_json(page: Page, name: NormalizedName) -> tuple[list[DistributionPackage], str, str]:
    from pypi_simple import ProjectPage

    data = json.loads(page.body)
    status = data.pop("project-status", None) or {}
    for entry in data["files"]:
        _adapt_json(entry)
    parsed = ProjectPage.from_json_data(data, base_url=page.url)
    return parsed.packages, str(status.get("status", "active")), str(status.get("reason") or "")


def _adapt_json(entry: dict[str, Any]) -> None:
    """Make one file's description one that pypi_simple reads, whatever in it is of no use to us."""
    # PEP 714: the old name counts where the new one is missing.
    entry.setdefault("core-metadata", entry.get("dist-info-metadata"))
    # Only whole URLs pass there, and PEP 740 has relative ones on mirrors.
    entry.pop("provenance", None)
    entry.pop("gpg-sig", None)


def _read_html(page: Page, name: NormalizedName) -> tuple[list[DistributionPackage], str, str]:
    from bs4.exceptions import ParserRejectedMarkup
    from pypi_simple import DistributionPackage, RepositoryPage

    try:
        parsed = RepositoryPage.from_html(page.body, base_url=page.url)
    except ParserRejectedMarkup as error:
        raise ValueError("it is no HTML") from error
    packages = []
    for link in parsed.links:
        # Like pip, and unlike PEP 503: servers that list directories shorten the text, never the URL.
        filename = unquote(urlsplit(link.url).path.rpartition("/")[2])
        if filename.lower().endswith(_FILE_SUFFIXES):
            link.text = filename
        if not link.text.lower().endswith(_FILE_SUFFIXES):
            continue
        if "data-dist-info-metadata" in link.attrs:
            link.attrs.setdefault("data-core-metadata", link.attrs["data-dist-info-metadata"])
        packages.append(DistributionPackage.from_link(link, name))
    if not packages and parsed.repository_version is None:
        raise ValueError("no link on it leads to a package file")
    status = parsed.pypi_meta.get("project-status", ["active"])[0]
    return packages, status, parsed.pypi_meta.get("project-status-reason", [""])[0]


def _file(package: DistributionPackage, credentials: str) -> File:
    time = package.upload_time
    if time is not None and time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return File(
        filename=package.filename,
        url=_with_credentials(package.url, credentials),
        sha256=_sha256(package.digests),
        size=package.size,
        requires_python=package.requires_python or "",
        yanked=package.is_yanked,
        yanked_reason=package.yanked_reason or "",
        upload_time=time,
        has_metadata=bool(package.has_metadata),
        metadata_sha256=_sha256(package.metadata_digests or {}),
    )


def _sha256(digests: Mapping[str, str]) -> str | None:
    digest = digests.get("sha256", "").lower()
    return digest if len(digest) == 64 else None


def _with_credentials(url: str, credentials: str) -> str:
    parts = urlsplit(url)
    same = bool(credentials) and parts.netloc == credentials.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=credentials, fragment="")) if same else url

"""Reading a project's page, HTML or JSON; the HTML by pypi_simple's parser."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from pybuilder.errors import FetchError
from pybuilder.filenames import SDIST_SUFFIXES
from pybuilder.http import Page, redact
from pybuilder.names import NormalizedName
from pybuilder.upstream.files import File, Project, sha256_of
from pybuilder.upstream.json_pages import NewerError, read_json

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage

_NO_FILES = "it does not say what files there are"
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
    is_json = page.content_type.endswith("json") or page.body[:64].lstrip().startswith(b"{")
    try:
        project = read_json(page.body, page.url, name) if is_json else _read_html(page, name)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _no_index_page(page, _why(error)) from error
    except NewerError as error:
        what = f"the index speaks version {error} of the simple API, which is too new"
        raise FetchError(what, where=redact(page.url), cure="update pybuild") from error
    if not credentials:
        return project
    files = tuple(replace(file, url=_with_credentials(file.url, credentials)) for file in project.files)
    return replace(project, files=files)


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
        where = ".".join(map(str, first["loc"]))
        return f"{where}: {first['msg']}" if where else _NO_FILES
    return str(error).partition("\n")[0] if isinstance(error, ValueError) else _NO_FILES


def _no_index_page(page: Page, why: str) -> FetchError:
    cure = "check the index URL; a proxy or a login page may answer in its place"
    return FetchError(f"this is no page of a package index: {why}", where=redact(page.url), cure=cure)


def _read_html(page: Page, name: NormalizedName) -> Project:
    # They take a third of a second to import, and most indexes speak JSON.
    from bs4.exceptions import ParserRejectedMarkup
    from pypi_simple import DistributionPackage, RepositoryPage, UnsupportedRepoVersionError

    _quieten()
    try:
        parsed = RepositoryPage.from_html(page.body, base_url=page.url)
    except ParserRejectedMarkup as error:
        raise ValueError("it is no HTML") from error
    except UnsupportedRepoVersionError as error:
        raise NewerError(error.declared_version) from error
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
    reason = parsed.pypi_meta.get("project-status-reason", [""])[0]
    return Project(name=name, files=tuple(map(_file, packages)), status=status, status_reason=reason)


def _file(package: DistributionPackage) -> File:
    time = package.upload_time
    if time is not None and time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return File(
        filename=package.filename,
        url=package.url,
        sha256=sha256_of(package.digests),
        size=package.size,
        requires_python=package.requires_python or "",
        yanked=package.is_yanked,
        yanked_reason=package.yanked_reason or "",
        upload_time=time,
        has_metadata=bool(package.has_metadata),
        metadata_sha256=sha256_of(package.metadata_digests or {}),
    )


def _with_credentials(url: str, credentials: str) -> str:
    parts = urlsplit(url)
    same = parts.netloc == credentials.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=credentials, fragment="")) if same else url

"""The upstream index: which files a project has there (PEP 503 and 691, with 592, 658, 700, 714 and 792)."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from packaging.utils import parse_wheel_filename
from packaging.version import Version

from pybuilder.errors import FetchError
from pybuilder.http import Client, NotFoundError, redact, scheme
from pybuilder.names import NormalizedName

if TYPE_CHECKING:
    from pybuilder.upstream.files import File, Project

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.5, text/html;q=0.01"
"""What a project's page may be, the preferred first (PEP 691, section "Version + format selection")."""


@dataclass(kw_only=True)
class Upstream:
    """An index that speaks the simple API; each project's page is asked for once, also by several threads.

    Args:
        client: Who fetches.
        url: The index; empty for the one that pip and uv would use on this machine, found out when first needed.
        environ: The environment in which that one is looked up.
    """

    client: Client
    url: str = ""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _projects: dict[NormalizedName, Project] = field(default_factory=dict, init=False, repr=False)
    _sdists: dict[NormalizedName, Mapping[Version, File]] = field(default_factory=dict, init=False, repr=False)
    _asking: dict[NormalizedName, threading.Lock] = field(default_factory=dict, init=False, repr=False)

    def project(self, name: NormalizedName) -> Project:
        """What the index says of a project.

        Raises:
            NotFoundError: It has no such project.
            FetchError: It can't be reached, or what it answers is no page of an index.
        """
        if name not in self._projects:
            # One lock for each name: pages are fetched side by side, but none of them twice.
            with self._asking.setdefault(name, threading.Lock()):
                if name not in self._projects:
                    self._projects[name] = self._fetch_project(name)
        return self._projects[name]

    def sdists(self, name: NormalizedName) -> Mapping[Version, File]:
        """``Project.sdists`` of the project with this name, with the errors of ``project``."""
        project = self.project(name)
        if name not in self._sdists:
            self._sdists[name] = project.sdists()
        return self._sdists[name]

    def metadata(self, file: File) -> bytes | None:
        """The core metadata that the index offers beside a file (PEP 658), or None where it offers none.

        Raises:
            FetchError: It can't be fetched, or has another digest than the index says.
        """
        if not file.has_metadata:
            return None
        parts = urlsplit(file.url)
        url = urlunsplit(parts._replace(path=parts.path + ".metadata", query=""))
        body = self.client.get(url).body
        digest = hashlib.sha256(body).hexdigest()
        if file.metadata_sha256 not in (None, digest):
            what = f"sha256 mismatch of {file.filename}.metadata: expected {file.metadata_sha256}, got {digest}"
            raise FetchError(what, where=redact(url))
        return body

    def metadata_beside(self, name: NormalizedName, version: Version, tags: Sequence[str]) -> bytes | None:
        """The core metadata of a wheel of this version from the file beside it (PEP 658); None where there is none.

        Args:
            name: The project.
            version: Its version.
            tags: The tags that the target accepts, best first; a wheel that it doesn't accept may still tell.

        Raises:
            FetchError: It can't be fetched.
        """
        wheels = (file for file in self._wheels(name, version, tags) if file.has_metadata)
        return next((self.metadata(file) for file in wheels), None)

    def metadata_inside(self, name: NormalizedName, version: Version, tags: Sequence[str]) -> bytes | None:
        """The core metadata in a wheel of this version, of which only that part is fetched; else as above."""
        from pybuilder.upstream.remote_wheel import remote_metadata

        return next((remote_metadata(self.client, file.url) for file in self._wheels(name, version, tags)), None)

    def _wheels(self, name: NormalizedName, version: Version, tags: Sequence[str]) -> list[File]:
        """The wheels of a version, those first that a target takes."""
        ranks = {tag: rank for rank, tag in enumerate(tags)}

        def rank(file: File) -> tuple[int, str]:
            own = parse_wheel_filename(file.filename)[3]
            return min(ranks.get(str(tag), len(ranks)) for tag in own), file.filename

        return sorted(self.project(name).wheels(version), key=rank)

    def _fetch_project(self, name: NormalizedName) -> Project:
        # Its types take long to make: only for those who ask an index.
        from pybuilder.upstream.pages import parse_project

        url = self.page_url(name)
        try:
            page = self.client.get(url, accept=ACCEPT)
        except NotFoundError as error:
            raise no_project(name, url) from error
        return parse_project(page, name, credentials=_credentials(self.url))

    def page_url(self, name: NormalizedName) -> str:
        """Where the page of a project is."""
        from pybuilder.upstream.settings import default_index

        if not self.url:
            self.url = default_index(self.environ, prefix=Path(sys.prefix)).url
        url = f"{self.url.rstrip('/')}/{name}/"
        # A directory on disk has nobody who would pick its index page.
        return f"{url}index.html" if scheme(url) == "file" else url


def no_project(name: str, url: str) -> NotFoundError:
    """The error that says that an index has no such project."""
    cure = "check the name; a package that is not there needs another [source] type"
    return NotFoundError(f"the index has no project {name!r}", where=redact(url), cure=cure)


def _credentials(index: str) -> str:
    location = urlsplit(index).netloc
    return location if "@" in location else ""

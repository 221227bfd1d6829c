"""What the upstream index has of a project, as candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.version import Version

from pybuilder.candidates import Found
from pybuilder.filenames import sdist_version, wheel_version
from pybuilder.http import NotFoundError, Page
from pybuilder.names import NormalizedName
from pybuilder.releases.notebook import Notebook
from pybuilder.upstream import ACCEPT, Upstream, no_project
from pybuilder.upstream.files import File, Project, preference


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexReader:
    """Reads projects' pages.

    Args:
        notebook: Asks.
        upstream: Knows where they are.
    """

    notebook: Notebook
    upstream: Upstream

    def sdists(self, name: NormalizedName) -> tuple[Found, ...]:
        """The sdists of a project, the preferred one of a version before its others.

        Raises:
            NotFoundError: There is no such project.
            FetchError: Its page can't be had, or is none.
        """
        return self._read(name, "sdists")

    def files(self, name: NormalizedName) -> tuple[Found, ...]:
        """The sdists and wheels of a project, with the errors of ``sdists``."""
        return self._read(name, "files")

    def _read(self, name: NormalizedName, shape: str) -> tuple[Found, ...]:
        url = self.upstream.page_url(name)

        def parse(page: Page) -> Sequence[Found]:
            from pybuilder.upstream.pages import parse_project

            project = parse_project(page, name)
            return sdists_of(project) if shape == "sdists" else files_of(project)

        try:
            return self.notebook.read(url, parse, shape=shape, headers={"Accept": ACCEPT})
        except NotFoundError as error:
            raise no_project(name, url) from error


def sdists_of(project: Project) -> list[Found]:
    """The sdists of a project, the preferred one of a version before its others."""
    files = sorted(project.files, key=preference)
    return [_found(file, version) for file in files if (version := sdist_version(file.filename, project.name))]


def files_of(project: Project) -> list[Found]:
    """The same, and the wheels after them."""
    wheels = [_found(file, version) for file in project.files if (version := wheel_version(file.filename))]
    return [*sdists_of(project), *wheels]


def _found(file: File, version: Version) -> Found:
    return Found(
        text=str(version),
        uploaded=file.upload_time,
        yanked=file.yanked_reason if file.yanked else None,
        requires_python=file.requires_python,
        file=file.filename,
        sha256=file.sha256 or "",
    )

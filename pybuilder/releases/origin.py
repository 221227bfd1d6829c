"""Where the versions of a package are known, by its spec; a wrong spec is refused before anybody is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from pybuilder.errors import ConfigError, UsageError
from pybuilder.fields import expand, url
from pybuilder.names import normalize
from pybuilder.releases.turns import host_of
from pybuilder.spec import Spec

GITHUB, GITLAB, ANITYA = "https://github.com", "https://gitlab.com", "https://release-monitoring.org"
_GITHUB_API = "https://api.github.com"
_NAME = r"[\w.-]+"


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where to ask.

    Attributes:
        kind: ``pypi``, ``git``, ``github``, ``gitlab``, ``anitya`` or ``url``.
        url: The page, the repository or the API's first page; the project's name for ``pypi``.
        what: ``tags``, ``releases``, ``versions`` or ``projects``; empty where there is but one thing to ask for.
        site: The server that people see, without a password, for whose API a token may be meant; else empty.
    """

    kind: str
    url: str
    what: str = ""
    site: str = ""


def origin(spec: Spec) -> Origin:
    """Where to ask for the versions of a package.

    Raises:
        ConfigError: The spec does not say.
    """
    kind = spec.update.source
    return _ORIGINS[kind](spec)


def _pypi(spec: Spec) -> Origin:
    try:
        return Origin(kind="pypi", url=normalize(spec.update.id or spec.name))
    except UsageError as error:
        raise _wrong(spec, error.what, error.cure) from error


def _git(spec: Spec) -> Origin:
    repository = spec.update.id or _source_url(spec)
    if not repository:
        raise _wrong(spec, "no repository is named", "write id = 'https://…', or take the source from git")
    return Origin(kind="git", url=_checked(spec, repository, ("https", "http", "file", "ssh", "git")))


def _github(spec: Spec) -> Origin:
    site, path = _project(spec, GITHUB)
    found = re.fullmatch(rf"({_NAME})/({_NAME}?)(?:\.git)?(?:/(tags|releases))?(?:/.*)?", path)
    if not found:
        raise _wrong(spec, f"{path!r} is no GitHub repository", "write id = 'OWNER/REPOSITORY', or its URL")
    owner, name, what = found[1], found[2], found[3] or "tags"
    api = _GITHUB_API if site == GITHUB else f"{site}/api/v3"
    return Origin(kind="github", url=f"{api}/repos/{owner}/{name}/{what}?per_page=100", what=what, site=site)


def _gitlab(spec: Spec) -> Origin:
    site, path = _project(spec, GITLAB)
    project, _, page = path.partition("/-/")
    project = project.removesuffix(".git")
    if not re.fullmatch(rf"{_NAME}(?:/{_NAME})+", project):
        raise _wrong(spec, f"{path!r} is no GitLab project", "write id = 'GROUP/PROJECT', or its URL")
    what = "releases" if page.partition("/")[0] == "releases" else "tags"
    listing = what if what == "releases" else "repository/tags"
    api = f"{site}/api/v4/projects/{quote(project, safe='')}/{listing}?per_page=100"
    return Origin(kind="gitlab", url=api, what=what, site=site)


def _anitya(spec: Spec) -> Origin:
    identity = spec.update.id
    if not identity:
        name = quote(spec.name, safe="")
        return Origin(kind="anitya", url=f"{ANITYA}/api/v2/projects/?ecosystem=pypi&name={name}", what="projects")
    found = re.fullmatch(r"(?:(https?://[^?#]+?)/project/)?([0-9]+)/?", identity)
    if not found:
        raise _wrong(spec, f"{identity!r} is no project of Anitya's", "write the number in the URL of its page")
    return Origin(kind="anitya", url=f"{found[1] or ANITYA}/api/v2/versions/?project_id={found[2]}", what="versions")


def _page(spec: Spec) -> Origin:
    if not spec.update.id:
        raise _wrong(spec, "no page is named", "write id = 'https://…'")
    if not spec.update.include:
        raise _wrong(spec, "nothing says what a version looks like", "write include = '…', a regular expression")
    return Origin(kind="url", url=_checked(spec, spec.update.id, ("https", "http", "file")))


_ORIGINS = {"pypi": _pypi, "git": _git, "github": _github, "gitlab": _gitlab, "anitya": _anitya, "url": _page}


def _project(spec: Spec, public: str) -> tuple[str, str]:
    """The site and the path of a project on it, from ``id`` or from where the source comes from."""
    named = spec.update.id or _source_url(spec)
    if not named:
        raise _wrong(spec, f"no project on {host_of(public)} is named", "write it into the key 'id'")
    if "://" not in named:
        return public, named.strip("/")
    parts = urlsplit(_checked(spec, named, ("https", "http", "ssh", "git")))
    host = host_of(named)
    # Whoever clones by ssh or git has the API on the web server of the same machine.
    site = f"{parts.scheme}://{host}" if parts.scheme in ("http", "https") else f"https://{parts.hostname}"
    return site, parts.path.strip("/")


def _source_url(spec: Spec) -> str:
    text = spec.source.url
    return expand(text, name=spec.name, version="0") if text else ""


def _checked(spec: Spec, text: str, schemes: tuple[str, ...]) -> str:
    try:
        return url(text, schemes)
    except ValueError as error:
        raise _wrong(spec, str(error), "correct the URL") from error


def _wrong(spec: Spec, what: str, cure: str) -> ConfigError:
    return ConfigError(what, where=spec.document.place(("update", "id")), cure=cure)

"""GitHub and GitLab: their tags or releases, by their REST APIs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pybuilder.candidates import Found
from pybuilder.errors import FetchError
from pybuilder.http import NotFoundError, Page, RefusedError, redact
from pybuilder.releases.notebook import Notebook
from pybuilder.releases.origin import GITHUB, GITLAB, Origin
from pybuilder.releases.turns import host_of

_ACCEPT = {"github": "application/vnd.github+json", "gitlab": "application/json"}
# The public site, the variable with the token, and the one that names another host it is for.
_TOKENS = {"github": (GITHUB, "GITHUB_TOKEN", "GH_HOST"), "gitlab": (GITLAB, "GITLAB_TOKEN", "GITLAB_HOST")}


@dataclass(frozen=True, kw_only=True, slots=True)
class ForgeReader:
    """Reads tags and releases.

    Args:
        notebook: Asks.
        environ: The environment, which may have tokens.
    """

    notebook: Notebook
    environ: Mapping[str, str]

    def found(self, origin: Origin) -> tuple[Found, ...]:
        """The tags or releases of a project, in the forge's order.

        Raises:
            FetchError: They can't be had, or are none.
        """
        parse = _PARSERS[origin.kind, origin.what]
        token = token_for(origin, self.environ)

        headers = {"Accept": _ACCEPT[origin.kind]} | ({"Authorization": f"Bearer {token}"} if token else {})

        def read(page: Page) -> list[Found]:
            return _parsed(page, parse)

        try:
            return tuple(self.notebook.read_all(origin.url, read, shape=origin.what, headers=headers))
        except RefusedError as error:
            raise RefusedError(error.what, where=error.where, cure=_cure(origin, token)) from error
        except NotFoundError as error:
            what = f"there is no such project on {host_of(origin.site)}, or it is not for everybody"
            raise NotFoundError(what, where=redact(origin.url), cure=f"check 'id'; {_cure(origin, token)}") from error


def token_for(origin: Origin, environ: Mapping[str, str]) -> str:
    """The token for a site's API, from the variables that ``gh`` and ``glab`` read; empty where there is none.

    A token is for the public site, or for the host that somebody names beside it, and goes to no other.
    """
    host = host_of(origin.site)
    if origin.kind == "github":
        if host in (host_of(GITHUB), environ.get("GH_HOST", "").lower()):
            return environ.get("GH_TOKEN") or environ.get("GITHUB_TOKEN") or ""
        return ""
    if host == (environ.get("GITLAB_HOST", "").lower() or host_of(GITLAB)):
        return environ.get("GITLAB_TOKEN", "")
    return ""


def _cure(origin: Origin, token: str) -> str:
    if token:
        return "check what the token may do, or wait: so many requests an hour are allowed"
    public, variable, naming = _TOKENS[origin.kind]
    beside = "" if origin.site == public else f" and {naming}={host_of(origin.site)}"
    return f"set {variable}{beside}: without a token few requests an hour are allowed"


def _parsed(page: Page, parse: Callable[[Mapping[str, Any]], Found | None]) -> list[Found]:
    try:
        entries: Iterable[Mapping[str, Any]] = json.loads(page.body)
        if not isinstance(entries, list):
            raise TypeError("no list")
        return [found for entry in entries if (found := parse(entry)) is not None]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        what = "what the server answers is no list of tags or releases"
        raise FetchError(what, where=redact(page.url), cure="check 'id'; a login page may answer instead") from error


def _github_tag(entry: Mapping[str, Any]) -> Found:
    name = _text(entry["name"])
    return Found(text=name, ref=name, commit=_text(entry["commit"]["sha"]))


def _github_release(entry: Mapping[str, Any]) -> Found | None:
    name = _text(entry["tag_name"])
    return None if entry.get("draft") else Found(text=name, ref=name, uploaded=_moment(entry.get("published_at")))


def _gitlab_tag(entry: Mapping[str, Any]) -> Found:
    name = _text(entry["name"])
    return Found(text=name, ref=name, commit=_text(entry["commit"]["id"]))


def _gitlab_release(entry: Mapping[str, Any]) -> Found | None:
    name = _text(entry["tag_name"])
    commit = entry.get("commit") or {}
    # Not released_at, which is whatever its author likes.
    made = _moment(entry.get("created_at"))
    if entry.get("upcoming_release"):
        return None
    return Found(text=name, ref=name, commit=_text(commit.get("id", "")), uploaded=made)


_PARSERS: Mapping[tuple[str, str], Callable[[Mapping[str, Any]], Found | None]] = {
    ("github", "tags"): _github_tag,
    ("github", "releases"): _github_release,
    ("gitlab", "tags"): _gitlab_tag,
    ("gitlab", "releases"): _gitlab_release,
}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(_text(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

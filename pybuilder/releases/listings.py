"""Anitya's list of a project's versions, and what a regular expression finds on a page."""

from __future__ import annotations

import json
import re
from typing import Any

from pybuilder.candidates import Found
from pybuilder.errors import FetchError
from pybuilder.http import NotFoundError, Page, redact
from pybuilder.releases.notebook import Notebook
from pybuilder.releases.origin import Origin

_MOST_FINDS = 10_000


def anitya(notebook: Notebook, origin: Origin) -> tuple[Found, ...]:
    """The versions of a project, the newest first (Anitya's API, version 2).

    Raises:
        FetchError: They can't be had, or are none.
    """

    def parse(page: Page) -> list[Found]:
        try:
            data = json.loads(page.body)
            return [Found(text=str(version)) for version in _versions(data, origin)]
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            what = "what the server answers is no list of versions"
            raise FetchError(what, where=redact(page.url), cure="check 'id'") from error

    return notebook.read(origin.url, parse, shape=origin.what, headers={"Accept": "application/json"})


def _versions(data: Any, origin: Origin) -> list[Any]:
    if origin.what == "versions":
        found = data["versions"]
    elif not data["items"]:
        cure = "write the number in the URL of its page there: id = '1234'"
        raise NotFoundError("Anitya has no project of that name from pypi", where=redact(origin.url), cure=cure)
    else:
        found = data["items"][0]["versions"]
    if not isinstance(found, list):
        raise TypeError("no list")
    return found


def page(notebook: Notebook, origin: Origin, include: str) -> tuple[Found, ...]:
    """What a regular expression finds on a page: its first group, or all of it where it has none; each once.

    Raises:
        FetchError: The page can't be had, or has nothing of the kind.
    """

    def parse(fetched: Page) -> list[Found]:
        pattern = re.compile(include)
        text = fetched.body.decode("utf-8", "replace")
        found: dict[str, None] = {}
        for match in pattern.finditer(text):
            found[match[1 if pattern.groups else 0] or ""] = None
            if len(found) > _MOST_FINDS:
                raise FetchError(f"include finds more than {_MOST_FINDS} texts", where=redact(fetched.url))
        found.pop("", None)
        if not found:
            cure = "look at the page, and correct the regular expression"
            raise FetchError("include finds nothing on the page", where=redact(fetched.url), cure=cure)
        return [Found(text=each) for each in found]

    return notebook.read(origin.url, parse, shape=f"find {include}")

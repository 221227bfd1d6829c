"""What upstream said last, in few words, and how to ask whether it still says so."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import urlsplit

from pybuilder.candidates import Found
from pybuilder.errors import FetchError
from pybuilder.http import Client, Page, redact
from pybuilder.releases.turns import Turns
from pybuilder.responses import http_date

# Raised whenever what is noted has another form.
_KIND = "upstream-1"
_LIMIT = 32 << 20
_ATTEMPTS = 3
_SECONDS = 60.0
_MOST_PAGES = 50

Parse = Callable[[Page], Sequence[Found]]


class Facts(Protocol):
    """Where it is remembered; the state's memory is one."""

    def fact(self, kind: str, key: str) -> Any:
        """What is known under a key, or None."""

    def add_facts(self, kind: str, values: Mapping[str, Any]) -> None:
        """Remember many facts at once, by key."""


@dataclass(kw_only=True)
class Notebook:
    """Asks upstream for pages, each of which is parsed once for as long as it stays the same.

    Args:
        client: Who fetches.
        facts: Where is remembered what was parsed, with the page's ETag, date and digest.
        turns: Whose turn it is.
    """

    client: Client
    facts: Facts
    turns: Turns = field(default_factory=Turns)
    _fresh: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def read(
        self, url: str, parse: Parse, *, shape: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[Found, ...]:
        """What is on a page.

        Args:
            url: Where it is.
            parse: Reads it.
            shape: What is read from it, in a word; a page may be read in several ways.
            headers: Header fields of the request.

        Raises:
            FetchError: It can't be had, is not what it should be, or is older than it was.
        """
        return _found(self._entry(url, parse, shape, headers))

    def read_all(self, url: str, parse: Parse, *, shape: str, headers: Mapping[str, str]) -> Iterator[Found]:
        """What is on a page and on those that it names as the next ones (RFC 8288), with the errors of ``read``.

        They must be on the same server, to which alone a token in the header fields goes.
        """
        following = url
        for _ in range(_MOST_PAGES):
            entry = self._entry(following, parse, shape, headers)
            yield from _found(entry)
            following = entry.get("next", "")
            if not following:
                return
            if urlsplit(following)[:2] != urlsplit(url)[:2]:
                raise FetchError(f"the next page is said to be at {redact(following)}", where=redact(url))
        raise FetchError(f"there are more than {_MOST_PAGES} pages", where=redact(url), cure="use source = 'git'")

    def save(self) -> None:
        """Remember what was read, for the next time."""
        with self._guard:
            fresh, self._fresh = self._fresh, {}
        if fresh:
            self.facts.add_facts(_KIND, fresh)

    def _entry(self, url: str, parse: Parse, shape: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
        key = f"{shape} {re.sub('(?<=://)[^/]*@', '', url)}"
        known: Mapping[str, Any] = self.facts.fact(_KIND, key) or {}
        with self.turns.at(url):
            page = self.client.renew(
                url,
                etag=known.get("etag", ""),
                modified=known.get("modified", ""),
                headers=headers,
                limit=_LIMIT,
                attempts=_ATTEMPTS,
                seconds=_SECONDS,
            )
        if page is None:
            return known
        entry = _entry(page)
        if known and entry["sha256"] == known["sha256"]:
            entry["rows"] = known["rows"]
        else:
            entry["rows"] = [_row(found) for found in parse(page)]
            _check_age(url, known, entry)
        if entry != known:
            with self._guard:
                self._fresh[key] = entry
        return entry


def _entry(page: Page) -> dict[str, Any]:
    said = {
        "etag": page.headers.get("etag", ""),
        "modified": page.headers.get("last-modified", ""),
        "serial": page.headers.get("x-pypi-last-serial", ""),
        "next": _next(page.headers.get("link", "")),
        "sha256": hashlib.sha256(page.body).hexdigest(),
    }
    return {key: value for key, value in said.items() if value}


def _next(link: str) -> str:
    found = re.search(r'<([^<>]+)>\s*;[^<>]*\brel="?next"?', link)
    return found[1] if found else ""


def _check_age(url: str, known: Mapping[str, Any], entry: Mapping[str, Any]) -> None:
    """Refuse a page that is older than the one before it: a mirror that lags behind, a backup that was put back.

    Without a word on that, what is missing on a page has been deleted.
    """
    lost = {row[0] for row in known.get("rows", ())} - {row[0] for row in entry["rows"]}
    if not lost:
        return
    older = _decreases(known, entry, "serial", _serial) or _decreases(known, entry, "modified", http_date)
    if not older and entry["rows"]:
        return
    named = ", ".join(sorted(lost)[:5]) + (", …" if len(lost) > 5 else "")
    how = "upstream's page is older than the one it gave before" if older else "upstream's page lists nothing any more"
    raise FetchError(
        f"{how}; {named} would be missing",
        where=redact(url),
        cure="nothing is done until it has caught up; check whether the server is the one you mean",
    )


def _decreases(known: Mapping[str, Any], entry: Mapping[str, Any], key: str, read: Callable[[str], Any]) -> bool:
    before, after = read(known.get(key, "")), read(entry.get(key, ""))
    return before is not None and after is not None and after < before


def _serial(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _row(found: Found) -> list[str | None]:
    """A version in few bytes; what is empty at the end is left out."""
    row = [
        found.text,
        _utc(found.uploaded),
        found.yanked,
        found.requires_python,
        found.file,
        found.sha256,
        found.ref,
        found.commit,
    ]
    while row and not row[-1] and len(row) > 3:
        row.pop()
    return row


def _utc(moment: datetime | None) -> str:
    try:
        return moment.astimezone(UTC).isoformat() if moment else ""
    except OverflowError:
        # No date in UTC, and of no upload.
        return ""


def _found(entry: Mapping[str, Any]) -> tuple[Found, ...]:
    return tuple(map(_of_row, entry["rows"]))


def _of_row(row: Sequence[Any]) -> Found:
    text, uploaded, yanked, *rest = row
    requires_python, file, sha256, ref, commit = [*rest, "", "", "", "", ""][:5]
    return Found(
        text=text,
        uploaded=datetime.fromisoformat(uploaded) if uploaded else None,
        yanked=yanked,
        requires_python=requires_python,
        file=file,
        sha256=sha256,
        ref=ref,
        commit=commit,
    )

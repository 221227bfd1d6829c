"""The published queue: what is put in can be read from both pages, and is never more than text."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

from pybuilder.index.review_pages import review_html, review_json

NASTY = '<script>alert("x")</script> & \x1b[31m\nred'
WAITING = {"name": "six", "requirement": "six>=1; python_version > '3'", "wanted_by": NASTY}
ENTRY = {**WAITING, "first_seen": "2026-01-02T03:04:05.000006Z"}
REJECTED = {"name": "evil", "reason": NASTY, "by": "Ada <ada>", "when": "2026-01-03T00:00:00Z"}


class Page(HTMLParser):
    """The cells of a page; fails where an element is not closed, or one that is no table's comes up."""

    KNOWN = frozenset(
        ["html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "tr", "th", "td", "time"]
    )

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.headings: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.KNOWN
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
        elif self.open and self.open[-1] in ("h1", "h2", "p"):
            self.headings.append(data)


def test_the_page_for_programs_gives_back_what_was_put_in() -> None:
    assert json.loads(review_json([ENTRY], [REJECTED])) == {"review": [ENTRY], "rejected": [REJECTED]}


def test_the_page_for_people_says_it_as_text() -> None:
    page = Page(review_html([ENTRY], [REJECTED]))
    red = '<script>alert("x")</script> & \N{REPLACEMENT CHARACTER}[31m red'
    assert page.rows == [
        ["package", "requirement", "wanted by", "since"],
        ["six", "six>=1; python_version > '3'", red, "2026-01-02"],
        ["package", "why", "by", "on"],
        ["evil", red, "Ada <ada>", "2026-01-03"],
    ]
    assert page.headings == ["Waiting for review", "Rejected"]


@pytest.mark.parametrize(("rejected", "headings"), [([], []), ([{**REJECTED, "when": "", "by": ""}], ["Rejected"])])
def test_nothing_waits(rejected: list[dict[str, str]], headings: list[str]) -> None:
    page = Page(review_html([], rejected))
    assert page.headings == ["Waiting for review", "Nothing waits.", *headings]
    assert [row[2:] for row in page.rows[1:]] == [["", ""] for _ in rejected]

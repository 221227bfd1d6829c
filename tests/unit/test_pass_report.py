from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from html.parser import HTMLParser

import pytest

from pybuilder.pass_html import report_html
from pybuilder.pass_report import MOST, report
from pybuilder.pass_text import report_text
from pybuilder.passes import Awaited, Built, Pass, Problem, Updated
from tests.support.passing import NOW, PASS

BEFORE = datetime(2026, 11, 20, 3, 4, tzinfo=UTC)
FAILED = Problem(
    kind="build",
    subject="lxml==5.4.0",
    phase="build",
    what="the backend failed\n  File setup.py\nKeyError: 'x'",
    where="/state/build.log",
    cure="mend specs/lxml.toml",
    exit_code=10,
    first_seen=NOW,
    new=True,
)
FULL = replace(
    PASS,
    outcome="problems",
    cached=118,
    postponed=4,
    updated=(Updated(name="lxml", old="5.3.1", new="5.4.0", commit="c0ffee1234567890", needed_by=12),),
    built=(Built(build="host/lxml==5.4.0+pb.1", name="lxml", version="5.4.0", why="update", seconds=83.2),),
    yanked=(("host/foo==1.0+pb.2", "upstream yanked it: broken"),),
    review=(
        Awaited(name="old", requirement="old>1", wanted_by="x 1.0", first_seen=BEFORE, new=False),
        Awaited(name="six", requirement="six", wanted_by="the build of y 1", first_seen=NOW, new=True),
    ),
    problems=(
        replace(
            FAILED, kind="pull", subject="", phase="", what="the branch has diverged", new=False, first_seen=BEFORE
        ),
        FAILED,
    ),
)
TEXT = """\
Subject: pybuild wheels (host): 1 new problem, 1 new review, 1 update, 1 build, 1 yank
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

pass               20261126T061000.000000Z-abcdef
began              2026-11-26 06:10 UTC
took               5 min (update 12 s, build 4 min 40 s)
as they should be  118 packages
left for later     4 stale packages

New problems (1)
----------------
* lxml==5.4.0 (build): the backend failed
  |   File setup.py
  | KeyError: 'x'
    where: /state/build.log
    do: mend specs/lxml.toml

Waiting for you (2)
-------------------
* six (new)
    wanted by the build of y 1, since 2026-11-26 06:15 UTC
* old>1
    wanted by x 1.0, since 2026-11-20 03:04 UTC

Updated (1)
-----------
* lxml 5.3.1 → 5.4.0
    needed by 12 packages, commit c0ffee123456

Built (1)
---------
* host/lxml==5.4.0+pb.1
    why update, took 1 min 23 s

Yanked, as upstream did (1)
---------------------------
* host/foo==1.0+pb.2
    reason: upstream yanked it: broken

Problems told before (1)
------------------------
* pull: the branch has diverged
    since 2026-11-20 03:04 UTC
    where: /state/build.log
    do: mend specs/lxml.toml
"""


class Page(HTMLParser):
    """The texts, tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_data(self, data: str) -> None:
        self.texts += data.split()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def subject(pass_: Pass) -> str:
    return report(pass_).subject


def test_the_text_tells_all_and_the_most_urgent_first() -> None:
    assert report_text(report(FULL)) == TEXT


def test_the_page_tells_the_same() -> None:
    page = Page(report_html(report(FULL)))
    words = " ".join(page.texts)
    for line in TEXT.partition("\n\n")[2].splitlines():
        for part in re.split(r"[|*]|, |  +|: |-{3,}|\(new\)", line):
            assert " ".join(part.split()) in words, part


def test_a_mail_program_reads_the_text_as_it_is() -> None:
    text = report_text(report(replace(FULL, workspace="räder")))
    mail = message_from_bytes(text.encode(), policy=policy.default)
    assert not mail.defects
    assert mail["subject"].startswith("pybuild räder (host): 1 new problem")
    assert mail.get_content() == text.partition("\n\n")[2]
    assert text.partition("\n")[0].isascii()


@pytest.mark.parametrize(
    ("pass_", "told"),
    [
        (PASS, "pybuild wheels (host): nothing new"),
        (replace(PASS, outcome="failed"), "pybuild wheels (host): failed"),
        (replace(FULL, problems=(), review=(), yanked=()), "pybuild wheels (host): 1 update, 1 build"),
        (replace(PASS, problems=(FAILED, FAILED)), "pybuild wheels (host): 2 new problems"),
        (replace(PASS, problems=(replace(FAILED, new=False),)), "pybuild wheels (host): nothing new"),
    ],
)
def test_the_subject_says_what_is_new(pass_: Pass, told: str) -> None:
    assert subject(pass_) == told


HOSTILE = "</pre></b><script>alert(1)</script>\r\nBcc: all@example.org\x1b[31m\u202e" + "\ud800" + "x" * 9000


def test_what_strangers_write_stays_text() -> None:
    pass_ = replace(
        FULL,
        workspace=HOSTILE,
        channel=HOSTILE,
        problems=(replace(FAILED, what=HOSTILE + "\n" + HOSTILE, subject=HOSTILE, where=HOSTILE, cure=HOSTILE),),
        review=(Awaited(name=HOSTILE, requirement=HOSTILE, wanted_by=HOSTILE, first_seen=NOW, new=True),),
        yanked=((HOSTILE, HOSTILE),),
        updated=(replace(FULL.updated[0], new=HOSTILE, old=HOSTILE, commit=HOSTILE),),
        built=(replace(FULL.built[0], build=HOSTILE, why=HOSTILE),),
    )
    text, html = report_text(report(pass_)), report_html(report(pass_))
    mail = message_from_bytes(text.encode(), policy=policy.default)
    assert mail["bcc"] is None and mail.keys() == [
        "Subject",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ]
    assert "\x1b" not in text + html and "\u202e" not in text + html
    page = Page(html)
    assert "script" not in page.tags and page.attributes == Page(report_html(report(FULL))).attributes
    assert max(map(len, text.splitlines()[5:])) < 2000 and len(html.encode()) < 60_000


def test_the_page_fetches_nothing() -> None:
    page = Page(report_html(report(FULL)))
    assert not page.attributes & {"src", "href", "background", "srcset"}
    assert not page.tags & {"script", "link", "style", "img"}
    assert "url(" not in report_html(report(FULL))


def test_of_very_many_things_the_first_are_told_and_the_rest_counted() -> None:
    many = replace(PASS, built=FULL.built * (MOST + 7))
    assert f"Built ({MOST + 7})" in report_text(report(many))
    assert "* … and 7 more\n" in report_text(report(many))
    assert report_text(report(many)).count("host/lxml") == MOST
    assert "and 7 more" in report_html(report(many))
    assert "more" not in report_text(report(replace(PASS, built=FULL.built * MOST)))


@pytest.mark.parametrize(
    ("pass_", "tone"),
    [
        (PASS, "good"),
        (replace(PASS, problems=(replace(FAILED, new=False),)), "good"),
        (replace(PASS, outcome="problems", review=FULL.review), "ask"),
        (FULL, "bad"),
        (replace(PASS, outcome="failed"), "bad"),
    ],
)
def test_a_pass_after_which_somebody_is_only_asked_is_not_a_bad_one(pass_: Pass, tone: str) -> None:
    assert report(pass_).tone == tone

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import pytest

from pybuilder.candidates import Found
from pybuilder.errors import FetchError
from pybuilder.http import Client, NotFoundError, Page, UnreachableError
from pybuilder.releases.forges import token_for
from pybuilder.releases.notebook import Notebook
from pybuilder.releases.origin import Origin, origin
from pybuilder.releases.turns import Turns, host_of
from pybuilder.spec import parse_spec

URL = "http://127.0.0.1/tags"


def where(update: str, source: str = "") -> Origin:
    return origin(parse_spec(f'name = "six"\n{source}[update]\n{update}\n', "specs/six.toml"))


class TestOrigin:
    """The public services are what is meant where nothing else is said."""

    @pytest.mark.parametrize(
        ("identity", "url"),
        [
            ("o/six", "https://api.github.com/repos/o/six/tags?per_page=100"),
            ("o/six/tags", "https://api.github.com/repos/o/six/tags?per_page=100"),
            ("o/six/releases", "https://api.github.com/repos/o/six/releases?per_page=100"),
            ("o/six.py", "https://api.github.com/repos/o/six.py/tags?per_page=100"),
            ("https://github.com/o/six.git", "https://api.github.com/repos/o/six/tags?per_page=100"),
            ("https://me:secret@github.com/o/six", "https://api.github.com/repos/o/six/tags?per_page=100"),
            ("https://github.com/o/six/releases/", "https://api.github.com/repos/o/six/releases?per_page=100"),
            ("https://git.example.org/o/six", "https://git.example.org/api/v3/repos/o/six/tags?per_page=100"),
            ("ssh://git@git.example.org:22/o/six", "https://git.example.org/api/v3/repos/o/six/tags?per_page=100"),
        ],
    )
    def test_github(self, identity: str, url: str) -> None:
        assert where(f"source = 'github'\nid = '{identity}'").url == url

    @pytest.mark.parametrize(
        ("identity", "path"),
        [
            ("g/six", "gitlab.com/api/v4/projects/g%2Fsix/repository/tags"),
            ("g/sub/six/-/tags", "gitlab.com/api/v4/projects/g%2Fsub%2Fsix/repository/tags"),
            ("g/releases/-/releases", "gitlab.com/api/v4/projects/g%2Freleases/releases"),
            ("https://git.example.org/g/six.git", "git.example.org/api/v4/projects/g%2Fsix/repository/tags"),
        ],
    )
    def test_gitlab(self, identity: str, path: str) -> None:
        assert where(f"source = 'gitlab'\nid = '{identity}'").url == f"https://{path}?per_page=100"

    def test_from_where_the_source_comes_from(self) -> None:
        archive = "[source]\ntype = 'url'\nurl = 'https://{host}/o/six/{path}/{{version}}.tar.gz'\n"
        assert "/repos/o/six/tags" in where("source = 'github'", archive.format(host="github.com", path="archive")).url
        found = where("source = 'gitlab'", archive.format(host="gitlab.com", path="-/archive"))
        assert found.url.startswith("https://gitlab.com/api/v4/projects/o%2Fsix/repository/tags")
        repository = "[source]\ntype = 'git'\nurl = 'https://127.0.0.1/{name}'\ntag = 'v{version}'\n"
        assert where("source = 'git'", repository).url == "https://127.0.0.1/six"

    def test_anitya(self) -> None:
        root = "https://release-monitoring.org/api/v2"
        assert where("source = 'anitya'\nid = '42'").url == f"{root}/versions/?project_id=42"
        assert where("source = 'anitya'").url == f"{root}/projects/?ecosystem=pypi&name=six"
        own = "https://anitya.example.org/project/42/"
        assert where(f"source = 'anitya'\nid = '{own}'").url == (
            "https://anitya.example.org/api/v2/versions/?project_id=42"
        )

    def test_the_index(self) -> None:
        assert where("").url == "six"
        assert where("id = 'Six.Next'").url == "six-next"


class TestTokens:
    @pytest.mark.parametrize(
        ("site", "environ", "token"),
        [
            ("https://github.com", {"GITHUB_TOKEN": "a"}, "a"),
            ("https://github.com", {"GITHUB_TOKEN": "a", "GH_TOKEN": "b"}, "b"),
            ("https://github.com", {"GITLAB_TOKEN": "a"}, ""),
            ("https://git.example.org", {"GITHUB_TOKEN": "a"}, ""),
            ("https://git.example.org", {"GITHUB_TOKEN": "a", "GH_HOST": "git.example.org"}, "a"),
            ("https://github.com.example.org", {"GITHUB_TOKEN": "a"}, ""),
        ],
    )
    def test_github(self, site: str, environ: dict[str, str], token: str) -> None:
        assert token_for(Origin(kind="github", url="", site=site), environ) == token

    @pytest.mark.parametrize(
        ("site", "environ", "token"),
        [
            ("https://gitlab.com", {"GITLAB_TOKEN": "a"}, "a"),
            # Whoever names a host has the token for that one.
            ("https://gitlab.com", {"GITLAB_TOKEN": "a", "GITLAB_HOST": "git.example.org"}, ""),
            ("https://git.example.org", {"GITLAB_TOKEN": "a", "GITLAB_HOST": "git.example.org"}, "a"),
            ("https://git.example.org", {"GITLAB_TOKEN": "a"}, ""),
        ],
    )
    def test_gitlab(self, site: str, environ: dict[str, str], token: str) -> None:
        assert token_for(Origin(kind="gitlab", url="", site=site), environ) == token


class Facts:
    """A memory of one's own."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Any] = {}

    def fact(self, kind: str, key: str) -> Any:
        return self.known.get((kind, key))

    def add_facts(self, kind: str, values: Mapping[str, Any]) -> None:
        self.known |= {(kind, key): value for key, value in values.items()}


class Pages:
    """A client that has these pages, by URL; None is as it was."""

    def __init__(self, *answers: Page | FetchError | None) -> None:
        self.answers: Iterator[Page | FetchError | None] = iter(answers)
        self.asked: list[tuple[str, str, str]] = []

    def renew(self, url: str, *, etag: str, modified: str, **rest: Any) -> Page | None:
        self.asked.append((url, etag, modified))
        answer = next(self.answers)
        if isinstance(answer, FetchError):
            raise answer
        return answer


def page(text: str, **headers: str) -> Page:
    return Page(url=URL, content_type="", body=text.encode(), headers=headers)


def words(fetched: Page) -> list[Found]:
    return [Found(text=text) for text in fetched.body.decode().split()]


class TestNotebook:
    def read(self, facts: Facts, pages: Pages, *, url: str = URL, parse: Any = words) -> list[str]:
        notebook = Notebook(client=cast(Client, pages), facts=facts)
        found = notebook.read(url, parse, shape="words")
        notebook.save()
        return [one.text for one in found]

    def test_asks_whether_it_is_as_it_was_and_parses_it_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        facts = Facts()
        pages = Pages(page("1 2", etag='"e"', **{"last-modified": "yesterday"}), None, page("1 2", etag='"f"'))

        def never(*arguments: Any) -> list[Found]:
            raise AssertionError

        assert self.read(facts, pages) == ["1", "2"]
        assert self.read(facts, pages, parse=never) == ["1", "2"]
        # Other words for the same bytes.
        assert self.read(facts, pages, parse=never) == ["1", "2"]
        assert pages.asked == [(URL, "", ""), (URL, '"e"', "yesterday"), (URL, '"e"', "yesterday")]
        [entry] = facts.known.values()
        assert entry["etag"] == '"f"'
        monkeypatch.setattr(facts, "add_facts", never)
        assert self.read(facts, Pages(page("1 2", etag='"f"')), parse=never) == ["1", "2"]

    def test_everything_that_is_known_comes_back(self) -> None:
        full = Found(
            text="1",
            uploaded=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
            yanked="",
            requires_python=">=3",
            file="f",
            sha256="s",
            ref="r",
            commit="c",
        )
        bare = Found(text="2")
        facts, pages = Facts(), Pages(page("x", etag="e"), None)
        for _ in range(2):
            notebook = Notebook(client=cast(Client, pages), facts=facts)
            assert notebook.read(URL, lambda _: [full, bare], shape="all") == (full, bare)
            notebook.save()

    def test_no_password_is_remembered(self) -> None:
        facts = Facts()
        self.read(facts, Pages(page("1")), url="http://me:secret@127.0.0.1/x?y=1")
        [(_, key)] = facts.known
        assert key == "words http://127.0.0.1/x?y=1"

    def test_what_can_not_be_parsed_is_not_remembered(self) -> None:
        facts = Facts()
        with pytest.raises(FetchError, match="rubbish"):
            self.read(facts, Pages(page("1")), parse=lambda _: (_ for _ in ()).throw(FetchError("rubbish")))
        assert facts.known == {}

    @pytest.mark.parametrize(
        "uploaded",
        [
            datetime(1, 1, 1, tzinfo=UTC),
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=10))),
            datetime.max.replace(tzinfo=timezone(timedelta(hours=-10))),
            datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        ],
    )
    def test_a_date_at_the_end_of_all_dates_counts_for_what_it_is_or_as_none(self, uploaded: datetime) -> None:
        facts = Facts()
        notebook = Notebook(client=cast(Client, Pages(page("x"))), facts=facts)
        [found] = notebook.read(URL, lambda _: [Found(text="1", uploaded=uploaded)], shape="all")
        assert found.uploaded in (uploaded, None)
        assert found.uploaded is None or found.uploaded.tzinfo is UTC

    @pytest.mark.parametrize(
        ("before", "after", "older"),
        [
            ("Thu, 08 Jan 2026 10:00:00 GMT", "Wed, 07 Jan 2026 10:00:00 -0000", True),
            ("Thu, 08 Jan 2026 10:00:00", "Thu, 08 Jan 2026 11:00:00 GMT", False),
            ("Thu, 08 Jan 2026 10:00:00 GMT", "Thu, 08 Jan 99999999999999999999 10:00:00 GMT", False),
            ("Thu, 08 Jan 2026 10:00:00 GMT", "yesterday", False),
        ],
    )
    def test_dates_of_pages_however_they_are_written(self, before: str, after: str, older: bool) -> None:
        self.later({"last-modified": before}, {"last-modified": after}, older=older)

    @pytest.mark.parametrize(
        ("before", "after", "older"),
        [("20", "19", True), ("20", "20", False), ("20", "²", False), ("9" * 5000, "1", False)],
    )
    def test_serials_however_they_are_written(self, before: str, after: str, older: bool) -> None:
        self.later({"x-pypi-last-serial": before}, {"x-pypi-last-serial": after}, older=older)

    def later(self, before: dict[str, str], after: dict[str, str], *, older: bool) -> None:
        """A page that lacks something, with other header fields."""
        facts = Facts()
        assert self.read(facts, Pages(page("1 2", **before))) == ["1", "2"]
        pages = Pages(page("1", **after))
        if older:
            with pytest.raises(FetchError, match="older than the one it gave before; 2 would be missing"):
                self.read(facts, pages)
        else:
            assert self.read(facts, pages) == ["1"]

    def test_pages_without_end(self) -> None:
        notebook = Notebook(client=cast(Client, Pages(*[page("1", link=f'<{URL}>; rel="next"')] * 99)), facts=Facts())
        with pytest.raises(FetchError, match="more than 50 pages"):
            list(notebook.read_all(URL, words, shape="words", headers={}))


class TestTurns:
    def fail(self, turns: Turns, error: Exception, url: str = URL) -> None:
        with pytest.raises(type(error)), turns.at(url):
            raise error

    def test_an_answer_of_any_kind_is_one(self) -> None:
        turns = Turns(patience=2)
        for _ in range(3):
            self.fail(turns, UnreachableError("timed out"))
            self.fail(turns, NotFoundError("404"))
        with turns.at(URL):
            pass
        self.fail(turns, UnreachableError("timed out"))
        with turns.at(URL):
            pass

    def test_no_answer_so_often_and_nobody_asks_any_more(self) -> None:
        turns = Turns(patience=2)
        for _ in range(2):
            self.fail(turns, UnreachableError("timed out"))
        said = r"127\.0\.0\.1 gave no answer 2 times in a row: timed out"
        with pytest.raises(UnreachableError, match=said), turns.at("http://me:secret@127.0.0.1/other"):
            raise AssertionError
        with turns.at("http://127.0.0.2/"):
            pass

    def test_hosts(self) -> None:
        assert host_of("https://me:secret@Example.org:8080/x") == "example.org:8080"
        assert host_of("file:///x") == ""

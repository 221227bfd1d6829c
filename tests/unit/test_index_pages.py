from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import permutations

import pytest
from packaging.utils import NormalizedName
from pypi_simple import ProjectPage

from pybuilder.index import pages
from pybuilder.index.changes import Change, dump_changes, load_changes
from pybuilder.index.pages import File, PageError
from pybuilder.web.negotiation import HTML, HTML_V1, JSON_V1, Span, choose, requested_span
from pybuilder.web.serve import redirection

SIX = NormalizedName("six")
WHEEL = File(
    filename="six-1.17.0+pb.1-py2.py3-none-any.whl",
    version="1.17.0+pb.1",
    sha256="a" * 64,
    size=11050,
    upload_time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    requires_python=">=2.7, !=3.0.*, <4",
    metadata_sha256="b" * 64,
    beside=((".cdx.json", "d" * 64), (".intoto.json", "e" * 64)),
)
OTHER = replace(WHEEL, filename="six-1.17.0+pb.10-py3-none-any.whl", version="1.17.0+pb.10", requires_python="")
EVERYTHING = "1!4.0rc1.post2.dev3+cu126.pb.2"
SOURCE = replace(WHEEL, filename="six-1.17.0.tar.gz", version="1.17.0", requires_python="", metadata_sha256="")


@pytest.mark.parametrize("yanked", [None, "", 'breaks "<b>" & more'])
@pytest.mark.parametrize("file", [WHEEL, OTHER, SOURCE])
def test_the_json_page_gives_back_what_was_put_in(file: File, yanked: str | None) -> None:
    files = (replace(file, yanked=yanked),)
    assert pages.parse_project_json(pages.project_json(SIX, files), SIX) == files


@pytest.mark.parametrize("yanked", [None, "", 'breaks "<b>" & more'])
def test_the_html_page_gives_back_what_it_can_say(yanked: str | None) -> None:
    file = replace(WHEEL, yanked=yanked)
    (link,) = pages.parse_project_html(pages.project_html(SIX, (file,)))
    assert (link.filename, link.sha256, link.yanked) == (file.filename, file.sha256, yanked)


@pytest.mark.parametrize("form", ["html", "json"])
def test_another_library_reads_both_forms_alike(form: str) -> None:
    files = (replace(WHEEL, yanked="bad"), OTHER)
    base = "http://127.0.0.1/host/simple/six/"
    if form == "html":
        page = ProjectPage.from_html("six", pages.project_html(SIX, files).decode(), base)
    else:
        page = ProjectPage.from_json_data(json.loads(pages.project_json(SIX, files)), base)
    assert (page.repository_version, page.status) == ("1.4", "active")
    first, second = page.packages
    assert first.url.partition("#")[0] == "http://127.0.0.1/host/files/six-1.17.0%2Bpb.1-py2.py3-none-any.whl"
    assert first.digests == {"sha256": "a" * 64}
    assert first.metadata_digests == {"sha256": "b" * 64}
    assert first.requires_python == ">=2.7, !=3.0.*, <4"
    assert (first.is_yanked, first.yanked_reason, second.is_yanked) == (True, "bad", False)
    if form == "json":
        assert (first.size, first.upload_time) == (11050, WHEEL.upload_time)
        assert page.versions == ["1.17.0+pb.1", "1.17.0+pb.10"]


def test_json_has_both_spellings_of_metadata_and_utc_times() -> None:
    (entry,) = json.loads(pages.project_json(SIX, (WHEEL,)))["files"]
    assert entry["core-metadata"] == entry["dist-info-metadata"] == {"sha256": "b" * 64}
    assert entry["upload-time"] == "2026-01-02T03:04:05Z"
    assert entry["yanked"] is False
    assert json.loads(pages.project_json(SIX, (WHEEL,)))["project-status"] == {"status": "active"}
    assert not {"core-metadata", "requires-python", "provenance"} & pages.entry(SOURCE).keys()


def test_html_is_escaped_and_well_formed() -> None:
    page = pages.project_html(SIX, (replace(WHEEL, yanked='"><script>'),)).decode()
    assert "<script>" not in page
    assert 'data-requires-python="&gt;=2.7, !=3.0.*, &lt;4"' in page
    assert 'data-core-metadata="sha256=' + "b" * 64 in page
    assert 'data-dist-info-metadata="sha256=' + "b" * 64 in page
    assert "%2Bpb.1-py2.py3-none-any.whl#sha256=" + "a" * 64 in page
    HTMLParser().feed(page)


def test_root_pages_list_all_projects() -> None:
    names = (NormalizedName("a-b"), SIX)
    assert pages.parse_root_json(pages.root_json(names)) == names
    assert b'<a href="a-b/">a-b</a>' in pages.root_html(names)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        b'{"meta":{"api-version":"2.0"},"name":"six","files":[],"projects":[]}',
        b'{"meta":{"api-version":"1.4"},"name":"six","files":{},"projects":3}',
        b'{"meta":{"api-version":"1.4"},"name":"seven","files":[],"projects":[1]}',
        b'{"meta":{"api-version":"1.4"},"name":"six","files":[3],"projects":[{"name":"../x"}]}',
    ],
)
def test_rubbish_is_a_page_error(data: bytes) -> None:
    with pytest.raises(PageError):
        pages.parse_project_json(data, SIX)
    with pytest.raises(PageError):
        pages.parse_root_json(data)
    with pytest.raises(PageError):
        load_changes(data)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("filename", "../../etc/passwd"),
        ("filename", "six.exe"),
        ("filename", 3),
        ("url", "https://elsewhere.example/six.whl"),
        ("hashes", {}),
        ("hashes", {"sha256": "x"}),
        ("size", "big"),
        ("upload-time", "yesterday"),
        ("core-metadata", True),
        ("_beside", []),
        ("_beside", {".cdx.json": {}}),
        ("_beside", {".cdx.json": {"sha256": "x"}}),
        ("_beside", {"/../../x": {"sha256": "d" * 64}}),
        ("_beside", {"": {"sha256": "d" * 64}}),
    ],
)
def test_an_entry_with_a_wrong_field_is_a_page_error(key: str, value: object) -> None:
    with pytest.raises(PageError):
        pages.parse_entry(pages.entry(WHEEL) | {key: value})


def test_damaged_html_gives_the_links_that_are_left() -> None:
    page = pages.project_html(SIX, (WHEEL, OTHER))
    cut = page.index(b"pb.10") - 20
    assert [link.filename for link in pages.parse_project_html(page[:cut])] == [WHEEL.filename]
    assert pages.parse_project_html(b"\x00\xff<a href><a href=x#sha256=zz>") == ()


@pytest.mark.parametrize(
    ("filename", "split"),
    [
        ("six-1.17.0+pb.1-py2.py3-none-any.whl", ("six", "1.17.0+pb.1")),
        ("Ruamel.Yaml-1!4.0rc1.post2.dev3+cu126.pb.2-py3-none-any.whl", ("ruamel-yaml", EVERYTHING)),
        ("six-1.0-1-py3-none-any.whl", ("six", "1.0")),
        ("six-one-py3-none-any.whl", None),
        ("six-01.0-py3-none-any.whl", None),
        ("six-1.0-py3-none.whl", None),
        ("six-1.17.0.tar.gz", ("six", "1.17.0")),
        ("ruamel.yaml-0.18.tar", ("ruamel-yaml", "0.18")),
        ("my-old-name-1.0-beta.zip", ("my-old-name", "1.0b0")),
        ("six-latest.tar.gz", None),
        ("six-1.17.0.exe", None),
        (".six-1.0.tar.gz", None),
        ("a/six-1.0.tar.gz", None),
        ("six-1.17.0+pb.1-py3-none-any.whl.metadata", None),
    ],
)
def test_file_names_tell_project_and_version(filename: str, split: tuple[str, str] | None) -> None:
    assert pages.split_filename(filename) == split


def test_files_are_in_order_of_version_however_they_come() -> None:
    versions = ["1.9+pb.1", "1.10+pb.2", "1.10+pb.10", "2.0rc1+pb.1", "2.0+pb.1"]
    files = [replace(WHEEL, filename=f"six-{v}-py3-none-any.whl", version=v) for v in versions]
    for some in permutations(files):
        listed: tuple[File, ...] = ()
        for file in some:
            listed = pages.with_files(listed, [file])
        assert listed == pages.sorted_files(some) == tuple(files)
    assert pages.with_files(files, [files[2]]) == tuple(files)


def test_a_note_gives_back_its_changes() -> None:
    noted = (
        Change(tree="sources", project=SIX, files=(SOURCE,)),
        Change(tree="", project=SIX, files=(WHEEL, OTHER)),
    )
    assert load_changes(dump_changes(noted)) == noted


PIP_ACCEPTS = f"{JSON_V1}, {HTML_V1}; q=0.1, text/html; q=0.01"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", HTML),
        ("*/*", HTML),
        ("text/*", HTML),
        ("application/*", HTML_V1),
        (PIP_ACCEPTS, JSON_V1),
        (f"{HTML_V1};q=0.2, {JSON_V1};q=0.1", HTML_V1),
        ("APPLICATION/vnd.pypi.simple.V1+JSON", JSON_V1),
        ("application/vnd.pypi.simple.latest+json", JSON_V1),
        ("application/vnd.pypi.simple.latest+html", HTML_V1),
        ("text/html;q=0, */*;q=0.5", HTML_V1),
        ("text/html;q=0", None),
        ("application/json", None),
        ("application/vnd.pypi.simple.v2+json", None),
        (f"{JSON_V1};q=nan", None),
        (f"{JSON_V1};q=0, {HTML_V1};q=0.000", None),
    ],
)
def test_the_form_follows_the_accept_header(accept: str, chosen: str | None) -> None:
    assert choose(accept) == chosen


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("", None),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=2-", Span(2, 10)),
        ("bytes=2-99", Span(2, 10)),
        ("bytes=-3", Span(7, 10)),
        ("bytes=-99", Span(0, 10)),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=1-2", None),
    ],
)
def test_a_range_is_one_span_or_the_whole(header: str, span: Span | None) -> None:
    assert requested_span(header, 10) == span


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_outside_of_the_file_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match="outside of 10 bytes"):
        requested_span(header, 10)


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/host/simple/six/", None),
        ("/host/simple/six", "/host/simple/six/"),
        ("/host/simple/Typing_Extensions/", "/host/simple/typing-extensions/"),
        ("/host/sources/simple/A.b", "/host/sources/simple/a-b/"),
        ("/host/simple/", None),
        ("/host/simple/index.html", None),
        ("/host/simple/six/index.json", None),
        ("/host/files/Six.whl", None),
    ],
)
def test_other_spellings_are_redirected(path: str, location: str | None) -> None:
    assert redirection(path) == location

from __future__ import annotations

import re

import pytest

from pybuilder.errors import FetchError
from pybuilder.rpm.repodata import parse_metalink, parse_mirrorlist, parse_repomd
from tests.support.repositories import metalink_xml, repomd_xml

URL = "https://mirrors.example.org/metalink"
MIRRORS = ["https://a.example.org/f45", "http://b.example.org/f45", "rsync://c.example.org/f45"]


def test_a_metalink_has_mirrors_that_can_be_used_in_order() -> None:
    found = parse_metalink(metalink_xml(MIRRORS, b"now"), URL)
    assert found.mirrors == ("https://a.example.org/f45/", "http://b.example.org/f45/")


def test_a_metalink_accepts_its_own_states_only() -> None:
    found = parse_metalink(metalink_xml(MIRRORS, b"now", older=[b"yesterday"]), URL)
    assert found.accepts(b"now") and found.accepts(b"yesterday")
    assert not found.accepts(b"forged")


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"<html>", "this is no metalink"),
        (b"<metalink/>", "has no mirrors"),
        (metalink_xml([], b"now"), "has no mirrors"),
        (re.sub(rb'<hash type="sha256".*?</hash>', b"", metalink_xml(MIRRORS, b"now")), "no digest"),
    ],
)
def test_a_metalink_without_use_is_refused(body: bytes, wanted: str) -> None:
    with pytest.raises(FetchError, match=wanted) as caught:
        parse_metalink(body, URL)
    assert caught.value.where == URL


def test_a_list_of_mirrors() -> None:
    assert parse_mirrorlist(b"# repo = f45\nhttps://a.example.org/x/\n\nftp://b/\n", URL) == (
        "https://a.example.org/x/",
    )
    with pytest.raises(FetchError, match="empty"):
        parse_mirrorlist(b"# no such repo\n", URL)


def test_repomd_names_the_list_of_packages() -> None:
    found = parse_repomd(repomd_xml("repodata/x-primary.xml.zst", "ab" * 32, b"12345").encode(), URL)
    primary = found.primary
    assert (primary.location, primary.sha256, primary.size) == ("repodata/x-primary.xml.zst", "ab" * 32, 5)
    assert found.updateinfo is None


def test_repomd_may_name_the_advisories() -> None:
    text = repomd_xml("repodata/x-primary.xml.zst", "ab" * 32, b"12345").replace("filelists", "updateinfo")
    found = parse_repomd(text.encode(), URL)
    assert found.updateinfo is not None
    assert (found.updateinfo.location, found.updateinfo.sha256) == ("repodata/updateinfo.xml.gz", "0" * 64)
    with pytest.raises(FetchError, match="no file of the repository"):
        parse_repomd(text.replace("repodata/updateinfo", "../updateinfo").encode(), URL)


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ('type="primary"', 'type="other"', "no list of packages"),
        ('"sha256">ab', '"sha">ab', "no list of packages"),
        ("ab" * 32, "ab", "no sha256 of it"),
        ("repodata/x", "../x", "no file of the repository"),
        ("repodata/x", "/etc/x", "no file of the repository"),
        ("</repomd>", "", "this is no repomd.xml"),
    ],
)
def test_a_wrong_repomd_is_refused(old: str, new: str, wanted: str) -> None:
    text = repomd_xml("repodata/x-primary.xml.gz", "ab" * 32, b"").replace(old, new)
    with pytest.raises(FetchError, match=wanted):
        parse_repomd(text.encode(), URL)

"""uv's answers are remembered for as long as it would be shown the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.errors import FetchError
from pybuilder.joint import uv
from pybuilder.joint.memory import noting, recall, remember

CHOSEN = {
    NormalizedName("foo"): (Version("1.2+pb.3"), frozenset({NormalizedName("socks")})),
    NormalizedName("bar"): (Version("2"), frozenset[NormalizedName]()),
}
QUESTION = [["foo[socks]"], {"foo": ["1.2", "1.1"]}]
INDEX: dict[str, bytes | None] = {"foo/": b"page", "bar/": b"bars", "gone/": None, "foo/f.metadata": b"metadata"}


class Facts:
    """A memory that has been written down and read again."""

    def __init__(self) -> None:
        self.texts: dict[tuple[str, str], str] = {}

    def fact(self, kind: str, key: str) -> Any:
        text = self.texts.get((kind, key))
        return None if text is None else json.loads(text)

    def add_fact(self, kind: str, key: str, value: Any) -> None:
        self.texts[kind, key] = json.dumps(value)


@pytest.fixture
def facts() -> Facts:
    """Has what uv chose when it had been shown all of ``INDEX``."""
    shown: dict[str, str] = {}
    answer = noting(INDEX.__getitem__, shown)
    assert [answer(path) for path in INDEX] == list(INDEX.values())
    found = Facts()
    remember(found, QUESTION, shown, CHOSEN)
    return found


def test_the_same_question_and_the_same_index_have_the_same_answer(facts: Facts) -> None:
    asked: list[str] = []

    def answer(path: str) -> bytes | None:
        asked.append(path)
        return INDEX[path]

    assert recall(facts, QUESTION, answer) == CHOSEN
    assert sorted(asked) == sorted(INDEX)
    assert asked[-1] == "foo/f.metadata"


@pytest.mark.parametrize("path", INDEX)
def test_another_answer_of_the_index_is_another_matter(facts: Facts, path: str) -> None:
    other = {**INDEX, path: b"other"}
    assert recall(facts, QUESTION, other.__getitem__) is None


def test_what_has_come_or_gone_is_another_matter(facts: Facts) -> None:
    for path, body in (("gone/", b""), ("foo/", None)):
        other = {**INDEX, path: body}
        assert recall(facts, QUESTION, other.__getitem__) is None


def test_metadata_are_not_asked_for_where_a_page_has_changed(facts: Facts) -> None:
    pages = {path: body for path, body in INDEX.items() if path.endswith("/")} | {"bar/": b"other"}
    assert recall(facts, QUESTION, pages.__getitem__) is None


@pytest.mark.parametrize(
    "question", [[["foo"], {"foo": ["1.2", "1.1"]}], [["foo[socks]"], {"foo": ["1.1", "1.2"]}], [["foo[socks]"], {}]]
)
def test_another_question_is_another_matter(facts: Facts, question: Any) -> None:
    assert recall(facts, question, INDEX.__getitem__) is None


def test_what_goes_wrong_is_left_to_who_asks_next(facts: Facts) -> None:
    def answer(path: str) -> bytes | None:
        raise FetchError("the network is gone")

    assert recall(facts, QUESTION, answer) is None


def test_what_was_shown_two_ways_is_never_the_same_again() -> None:
    shown: dict[str, str] = {}
    bodies = iter([b"one", b"two", b"two"])
    answer = noting(lambda path: next(bodies), shown)
    assert [answer("foo/") for _ in range(3)] == [b"one", b"two", b"two"]
    facts = Facts()
    remember(facts, QUESTION, shown, CHOSEN)
    for body in (b"one", b"two"):
        assert recall(facts, QUESTION, {"foo/": body}.__getitem__) is None


def test_another_uv_or_another_use_of_it_decides_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "uv"
    program.write_bytes(b"uv 1")
    monkeypatch.setattr(uv, "find_uv", lambda: str(program))
    now = uv.decisive(())
    assert json.loads(json.dumps(now)) == now == uv.decisive(())
    assert uv.decisive([NormalizedName("foo")]) != now
    program.write_bytes(b"uv 10")
    assert uv.decisive(()) != now

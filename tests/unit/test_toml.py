"""Places of keys, and errors that name them."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
import tomli

from pybuilder.errors import ConfigError
from pybuilder.toml import Problem, describe, dotted, merged, nearest, parse
from pybuilder.toml_places import key_offsets

TEXT = '''\
# a comment with = and [brackets]
name = "x"   # another
"quoted key".sub = 'a # no comment'
many = [1, "]", {a = 1, b = [2]}, # in the middle
  """]""",
]

[source]
  type = """
[not.a.table]
x = 1 \\""" and "" """
url = "u"
[build.limits]
cpus = 2
[build]
env = { A = "1", 'B' = "2" }

[[override]]
when.versions = "<1"
[override.build]
env = {}
[[override]]
  [[override.patches]]
  file = "p"
[versions]
"1.0" = { file = "f", sha256 = "s" }
date = 1979-05-27 07:32:00
empty = ""
'''


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("name",), 2, 1),
        (("quoted key",), 3, 1),
        (("quoted key", "sub"), 3, 14),
        (("many", 1), 4, 12),
        (("many", 2, "b", 0), 4, 30),
        (("many", 3), 5, 3),
        (("source",), 8, 1),
        (("source", "type"), 9, 3),
        (("source", "url"), 12, 1),
        (("build", "limits", "cpus"), 14, 1),
        (("build", "env", "B"), 16, 18),
        (("override", 0), 18, 1),
        (("override", 0, "when", "versions"), 19, 6),
        (("override", 0, "build", "env"), 21, 1),
        (("override", 1), 22, 1),
        (("override", 1, "patches", 0, "file"), 24, 3),
        (("versions", "1.0", "sha256"), 26, 23),
        (("versions", "empty"), 28, 1),
    ],
)
def test_position_of_every_kind_of_key(path: tuple[str | int, ...], line: int, column: int) -> None:
    assert parse(TEXT, "t.toml").position(path) == (line, column)


def test_position_falls_back_to_the_nearest_ancestor() -> None:
    document = parse(TEXT, "t.toml")
    assert document.position(("source", "tag", 3)) == (8, 1)
    assert document.position(("nothing",)) == (1, 1)


def test_windows_line_ends_move_no_position() -> None:
    document = parse("a = 1\r\n[t]\r\nb = 2\r\n", "t.toml")
    assert document.position(("t", "b")) == (3, 1)


def test_nesting_as_deep_as_tomli_reads_is_walked_over() -> None:
    document = parse(f"a = {'[' * 390}{']' * 390}\nb = 1\n", "t.toml")
    assert document.position(("b",)) == (2, 1)


@pytest.mark.parametrize(
    ("text", "where"),
    [("a = \n", "t.toml:1:5"), ("a = 1\na = 2\n", "t.toml:2:"), ("[t\n", "t.toml:1:"), ("a = " + "[" * 3000, "t.toml")],
)
def test_what_is_no_toml_is_refused_with_its_place(text: str, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "t.toml")
    assert caught.value.where.startswith(where)


def test_one_problem_stands_alone() -> None:
    error = parse(TEXT, "t.toml").error([Problem(path=("source", "url"), text="is bad")])
    assert (error.what, error.where) == ("is bad", "t.toml:12:1 [source].url")


def test_several_problems_are_listed_in_order_of_place() -> None:
    problems = [Problem(path=("source", "url"), text="is bad"), Problem(path=("name",), text="is worse")]
    message = str(parse(TEXT, "t.toml").error(problems))
    assert message.index("t.toml:2:1 name: is worse") < message.index("t.toml:12:1 [source].url: is bad")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("name",), "name"),
        (("pythons", 0), "pythons[0]"),
        (("source", "type"), "[source].type"),
        (("override", 0, "build", "env"), "[[override]][0].build.env"),
        (("versions", "1.0"), '[versions]."1.0"'),
        (("system", "build", 2), "[system].build[2]"),
    ],
)
def test_dotted(path: tuple[str | int, ...], text: str) -> None:
    assert dotted(path) == text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "true"),
        (3, "the integer 3"),
        (1.5, "the float 1.5"),
        ("a", "the string 'a'"),
        ([], "an array"),
        ({}, "a table"),
    ],
)
def test_describe(value: object, words: str) -> None:
    assert describe(value) == words


def test_nearest_suggests_or_lists() -> None:
    assert nearest("verison", ["version", "name"]) == "did you mean 'version'?"
    assert nearest("zzz", ["version", "name"]) == "known here: name, version"


def test_merged_goes_down_tables_and_replaces_arrays() -> None:
    base = {"a": {"x": 1, "y": [1, 2], "z": {"k": 1}}, "b": 1}
    assert merged(base, {"a": {"y": [3], "z": {"l": 2}}}) == {"a": {"x": 1, "y": [3], "z": {"k": 1, "l": 2}}, "b": 1}
    assert base["a"] == {"x": 1, "y": [1, 2], "z": {"k": 1}}


PIECES = ["a", '"b c"', "'d'", ".", "=", " ", "\n", "[", "]", "{", "}", ",", '"x#]"', "'''q'''", '"""z"" """', "1"]
PIECES += ["# c\n", "a.b = 1\n", "[t]\n", "[[u]]\n", "x = [1, {k = 2}]\n", "\r\n"]


def paths(data: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield (*at, key)
        yield from paths(value, (*at, key))


def test_whatever_tomli_reads_has_a_place_for_every_key() -> None:
    random = Random(1)
    for _ in range(20_000):
        text = "".join(random.choices(PIECES, k=random.randint(1, 9)))
        try:
            data = tomli.loads(text)
        except tomli.TOMLDecodeError:
            continue
        assert set(paths(data)) <= key_offsets(text).keys(), text

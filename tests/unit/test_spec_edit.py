"""Edits that leave what a person wrote as it is."""

from __future__ import annotations

import pytest
from packaging.version import Version

from pybuilder.errors import ConfigError
from pybuilder.guess import Guess
from pybuilder.spec import Pin, parse_spec
from pybuilder.spec_edit import new_spec, set_at, with_ignored, with_pin, without_pin

SHA = "ab" * 32
PIN = Pin(file="six-1.17.0.tar.gz", sha256=SHA)
LINE = f'"1.17.0" = {{ file = "six-1.17.0.tar.gz", sha256 = "{SHA}" }}'
V = Version("1.17.0")
OTHER = f'{{ file = "six-1.16.0.tar.gz", sha256 = "{SHA}" }}'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('# about\nname = "six"', f'# about\nname = "six"\n\n[versions]\n{LINE}\n'),
        ('name = "six"\n\n\n', f'name = "six"\n\n[versions]\n{LINE}\n'),
        ('name = "six"\n[versions]\n', f'name = "six"\n[versions]\n{LINE}\n'),
        (
            f'name = "six"\n[versions] # pins\n"1.16.0"={OTHER} # old\n\n\n[test]\nimports=["six"]\n',
            f'name = "six"\n[versions] # pins\n"1.16.0"={OTHER} # old\n{LINE}\n\n\n[test]\nimports=["six"]\n',
        ),
        (
            f'name = "six"\n[versions]\n"1.17"   = {OTHER}   # short\n',
            f'name = "six"\n[versions]\n"1.17"   = {LINE.partition(" = ")[2]}   # short\n',
        ),
        (
            f'name = "six"\n[versions]\n# odd\n"1.9" = {OTHER} # old\n  # the other\n  "1.18" = {OTHER}\n'
            f'"2.0" = {OTHER}',
            f'name = "six"\n[versions]\n# odd\n"1.9" = {OTHER} # old\n  {LINE}\n  # the other\n  "1.18" = {OTHER}\n'
            f'"2.0" = {OTHER}',
        ),
        (
            f'name = "six"\r\n[versions]\r\n"1.18" = {OTHER}\r\n"1.9" = {OTHER}\r\n',
            f'name = "six"\r\n[versions]\r\n"1.18" = {OTHER}\r\n{LINE}\r\n"1.9" = {OTHER}\r\n',
        ),
        ('name = "six"\r\n[test]\r\n', f'name = "six"\r\n[test]\r\n\r\n[versions]\r\n{LINE}\r\n'),
    ],
    ids=[
        "no table",
        "blank lines",
        "empty table",
        "in the middle",
        "same version",
        "in order",
        "newest first",
        "windows",
    ],
)
def test_a_pin_is_added_and_nothing_else_moves(before: str, after: str) -> None:
    assert with_pin(before, V, PIN) == after


@pytest.mark.parametrize(
    "table",
    [
        "versions = {}",
        f'versions = {{ "1.18" = {OTHER} }}',
        f'versions."1.16.0" = {OTHER}',
        f'versions."1.18" = {OTHER}',
        f'[versions."1.18"]\nfile = "x.tar.gz"\nsha256 = "{SHA}"\n',
        "[[override]]\nwhen.variant = 'a'",
    ],
)
def test_a_pin_finds_its_place_in_other_layouts(table: str) -> None:
    text = with_pin(f'name = "six"\n{table}\n', V, PIN)
    assert parse_spec(text, "specs/six.toml").pin(V) == PIN


def test_all_keys_of_a_pin_are_written() -> None:
    pin = Pin(commit="12" * 20, vendor=SHA, url="https://example.org/six.git")
    assert parse_spec(with_pin('name = "six"', V, pin), "specs/six.toml").pin(V) == pin


def test_a_pin_is_taken_away_with_its_line_only() -> None:
    text = f'name = "six"\n[versions]\n# the good one\n"1.16.0" = {OTHER}\n"1.17" = {OTHER}\n'
    assert without_pin(text, V) == f'name = "six"\n[versions]\n# the good one\n"1.16.0" = {OTHER}\n'
    assert without_pin(text, Version("3")) == text


def test_setting_a_value_keeps_comments_and_makes_tables() -> None:
    text = 'name = "six" # six\n[update]\nallow = "<2" # why\n'
    text = set_at(text, ("update", "allow"), "<3")
    text = set_at(text, ("update", "series"), ["1.*", "2.*"])
    text = set_at(text, ("build", "limits", "exclusive"), True)
    assert text.startswith('name = "six" # six\n[update]\nallow = "<3" # why\nseries = ["1.*", "2.*"]\n')
    spec = parse_spec(text, "specs/six.toml")
    assert spec.update.series == ("1.*", "2.*") and spec.build.limits.exclusive


@pytest.mark.parametrize(
    ("dotted", "value", "words"),
    [("update.alow", "<3", "unknown key 'alow'"), ("update.allow", "x", "no version range"), ("name", "a/b", "name")],
)
def test_an_edit_that_breaks_the_spec_is_refused(dotted: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        set_at('name = "six"\n', dotted.split("."), value)


def test_text_that_is_no_toml_is_refused() -> None:
    with pytest.raises(ConfigError, match="can't be edited"):
        with_pin("name = ", V, PIN)


def guess(**keys: object) -> Guess:
    fields: dict[str, object] = {
        "build": (),
        "runtime": (),
        "remove_requires": (),
        "vendor": "",
        "why": {},
        "notes": (),
    }
    return Guess(**{**fields, **keys})  # type: ignore[arg-type]


def test_a_new_spec_of_a_pure_package_is_a_name_a_comment_and_a_pin() -> None:
    text = new_spec(name="six", version=V, pin=PIN, summary="Python 2 and 3", licence="MIT", guess=guess())
    assert text == f'name = "six"\n# Python 2 and 3 · MIT\n\n[versions]\n{LINE}\n'


def test_a_new_spec_has_what_was_guessed() -> None:
    made = guess(
        build=("cargo", "gcc"), runtime=("libffi",), remove_requires=("cmake",), vendor="cargo", notes=("look",)
    )
    text = new_spec(name="six", version=V, pin=PIN, summary="", licence="", guess=made)
    spec = parse_spec(text, "specs/six.toml")
    assert (spec.system.build, spec.system.runtime) == (("cargo", "gcc"), ("libffi",))
    assert (spec.build.remove_requires, spec.build.vendor) == (("cmake",), "cargo")
    assert "\n# look\n" in text


def test_upstreams_words_stay_in_their_comment() -> None:
    summary = "a\n[build]\r\nvendor = 'cargo'\x00\x1b[31m\u2028name = 'x'"
    text = new_spec(name="six", version=V, pin=PIN, summary=summary, licence="x" * 5000, guess=guess())
    assert parse_spec(text, "specs/six.toml").build.vendor == ""
    assert all(len(line) < 250 for line in text.splitlines())


class TestIgnored:
    VERSIONS = (Version("2.0"), Version("3.0rc1"))

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("", "\n[update]\nignore = [\n    LINES\n]\n"),
            ("[update]\nallow = '<9'  # mine\n", "[update]\nallow = '<9'  # mine\nignore = [\n    LINES\n]\n"),
            ("[update]\nignore = []\n", "[update]\nignore = [\n    LINES\n]\n"),
            ("[update]\nignore = ['1.0'] # why\n", "[update]\nignore = ['1.0',\n    LINES\n] # why\n"),
            (
                "[update]\nignore = [\n    '1.0',  # bad\n]\n[test]\n",
                "[update]\nignore = [\n    '1.0',  # bad\n    LINES\n]\n[test]\n",
            ),
            ("update.allow = '<9'\n", "update.allow = '<9'\nupdate.ignore = [\n    LINES\n]\n"),
        ],
    )
    def test_each_is_a_line_with_its_reason(self, before: str, after: str) -> None:
        text = with_ignored(f'name = "six"\n{before}', self.VERSIONS, "breaks\nall # of it")
        lines = '"2.0", # breaks all # of it\n    "3.0rc1", # breaks all # of it'
        assert text == f'name = "six"\n{after.replace("LINES", lines)}'
        ignored = parse_spec(text, "specs/six.toml").update.ignore
        assert {str(each) for each in ignored} >= {"==2.0", "==3.0rc1"}

    def test_without_a_reason_there_is_no_comment(self) -> None:
        text = with_ignored('name = "six"\n', [Version("2.0")], " ")
        assert text == 'name = "six"\n\n[update]\nignore = [\n    "2.0",\n]\n'
        assert with_ignored(text, [Version("3.0")], "no").endswith('    "2.0",\n    "3.0", # no\n]\n')

    def test_what_is_no_spec_is_refused(self) -> None:
        with pytest.raises(ConfigError):
            with_ignored('name = "six"\nupdate = 3\n', [Version("2.0")], "")

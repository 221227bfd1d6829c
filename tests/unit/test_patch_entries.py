"""Edits of [[patches]] that leave what a person wrote as it is."""

from __future__ import annotations

import pytest

from pybuilder.errors import ConfigError
from pybuilder.patch_entries import Entry, EntryEdit, edited, listed

NEW = Entry(file="a-2.patch", versions=">=2")


def edit(*path: str | int, added: tuple[Entry, ...] = (NEW,)) -> EntryEdit:
    return EntryEdit(path=path or ("patches", 0), versions="<2", added=added)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            'name = "x"\n\n# first\n[[patches]] # a\nfile = "a.patch" # about a\n\n'
            '# second\n[[patches]]\nfile = "b.patch"\n',
            'name = "x"\n\n[[patches]]\nfile = "a-2.patch"\nversions = ">=2"\n\n# first\n[[patches]] # a\n'
            'file = "a.patch" # about a\nversions = "<2"\n\n# second\n[[patches]]\nfile = "b.patch"\n',
        ),
        (
            'name = "x"\n[[patches]]\n  versions = ">=1" # why\n  file = "a.patch"',
            'name = "x"\n[[patches]]\nfile = "a-2.patch"\nversions = ">=2"\n\n'
            '[[patches]]\n  versions = "<2" # why\n  file = "a.patch"',
        ),
        (
            'name = "x"\r\n[[patches]]\r\nfile = "a.patch"',
            'name = "x"\r\n[[patches]]\r\nfile = "a-2.patch"\r\nversions = ">=2"\r\n\r\n'
            '[[patches]]\r\nfile = "a.patch"\r\nversions = "<2"\r\n',
        ),
        (
            'name = "x"\npatches = [\n  { file = "a.patch" }, # one\n  { file = "b.patch" },\n]\n',
            'name = "x"\npatches = [\n  { file = "a-2.patch", versions = ">=2" },\n'
            '  { file = "a.patch", versions = "<2"}, # one\n  { file = "b.patch" },\n]\n',
        ),
        (
            'name = "x"\npatches = [{ file = "a.patch" }]\n',
            'name = "x"\npatches = [{ file = "a-2.patch", versions = ">=2" }, { file = "a.patch", versions = "<2"}]\n',
        ),
    ],
    ids=["comments", "range", "windows", "array", "in a line"],
)
def test_an_entry_is_limited_and_another_put_in_before_it(before: str, after: str) -> None:
    assert edited(before, [edit()]) == after


def test_entries_of_an_override_and_several_at_once() -> None:
    text = (
        'name = "x"\n[[override]]\nwhen.variant = "a"\n[[override.patches]]\nfile = "a.patch"\n\n'
        '[[override.patches]]\nfile = "b.patch"\n\n[test]\nimports = ["x"]\n'
    )
    path = ("override", 0, "patches")
    found = edited(text, [edit(*path, 0), edit(*path, 1, added=())])
    assert found == (
        'name = "x"\n[[override]]\nwhen.variant = "a"\n[[override.patches]]\nfile = "a-2.patch"\nversions = ">=2"\n\n'
        '[[override.patches]]\nfile = "a.patch"\nversions = "<2"\n\n'
        '[[override.patches]]\nfile = "b.patch"\nversions = "<2"\n\n[test]\nimports = ["x"]\n'
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('name = "x"', 'name = "x"\n\n@'),
        ('name = "x"\n\n# pins\n[versions]\n', 'name = "x"\n\n@\n# pins\n[versions]\n'),
        ('name = "x"\nversions = {}\n[test]\n', 'name = "x"\nversions = {}\n[test]\n\n@'),
    ],
)
def test_patches_that_were_not_listed(before: str, after: str) -> None:
    block = '[[patches]]\nfile = "a.patch"\nversions = "<2"\n\n[[patches]]\nfile = "b.patch"\n'
    entries = [Entry(file="a.patch", versions="<2"), Entry(file="b.patch", versions="")]
    assert listed(before, entries) == after.replace("@", block)


def test_what_can_not_be_edited_is_refused() -> None:
    with pytest.raises(ConfigError, match="can't edit"):
        edited('name = "x"\n[[patches]]\nfile = """\na.patch"""\n[test]\n', [edit()])

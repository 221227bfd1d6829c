from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pybuilder.wheel.canonical import canonicalise
from pybuilder.wheel.differences import MAX_TEXT, Content, FieldChange, differences, first_difference
from tests.support.wheels import EPOCH, Draft

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the payload of a draft, in a directory of its own."""

    def writer(*, epoch: int = EPOCH, **draft: object) -> Path:
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        directory.mkdir()
        wheel = Draft(**draft).write(directory)  # type: ignore[arg-type]
        payload = directory / "payload" / wheel.name
        payload.parent.mkdir()
        canonicalise(wheel, payload, epoch=epoch)
        return payload

    return writer


def test_equal_wheels_do_not_differ(write: Write) -> None:
    found = differences(write(), write())
    assert (found.fields, found.files, found.moments) == ((), (), ())


def test_files_that_come_go_and_change(write: Write) -> None:
    before = write(files={"demo/a.py": b"A = 1\nB = 1\nC = 1\nD = 1\n", "demo/gone.py": b"x", "demo/same.py": b""})
    after = write(files={"demo/a.py": b"A = 1\nB = 1\nC = 2\nD = 1\n", "demo/new.py": b"yz", "demo/same.py": b""})
    changed, gone, new = differences(before, after).files
    assert (changed.name, gone.name, new.name) == ("demo/a.py", "demo/gone.py", "demo/new.py")
    assert changed.lines == ("@@ -2,3 +2,3 @@", " B = 1", "-C = 1", "+C = 2", " D = 1")
    assert (changed.before and changed.before.size, changed.after and changed.after.size) == (24, 24)
    assert gone.after is None and gone.lines == ()
    assert new.before is None
    assert new.after == Content(size=2, sha256=hashlib.sha256(b"yz").hexdigest(), executable=False)


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"\0\1", b"\0\2"), (b"\xff", b"text"), (b"x\n" * MAX_TEXT, b"y\n" * MAX_TEXT)],
    ids=["with zeros", "no UTF-8", "long"],
)
def test_what_is_no_text_or_too_long_has_no_lines(write: Write, before: bytes, after: bytes) -> None:
    [change] = differences(write(files={"demo/x": before}), write(files={"demo/x": after})).files
    assert change.name == "demo/x"
    assert change.lines == ()


def test_versions_in_directory_names_are_no_change_of_a_file(write: Write) -> None:
    files = {"demo-1.0.data/scripts/run": b"#!python\n", "demo.py": b""}
    before = write(files=files)
    after = write(version="2.0", files={name.replace("1.0", "2.0"): data for name, data in files.items()})
    found = differences(before, after)
    assert [change.name for change in found.files] == ["demo-2.0.dist-info/METADATA"]
    assert found.fields == (FieldChange(field="Version", before=("1.0",), after=("2.0",)),)


def test_modes_are_told(write: Write) -> None:
    files = {"demo/run": b"x"}
    before, after = write(files=files), write(files=files, executable=["demo/run"])
    [change] = differences(before, after).files
    assert change.before and change.after
    assert (change.before.executable, change.after.executable) == (False, True)
    assert change.before.sha256 == change.after.sha256
    assert first_difference(before, after) == "demo/run is executable"
    assert first_difference(after, before) == "demo/run is not executable"


def test_fields_of_metadata(write: Write) -> None:
    before = write(extra_metadata="Requires-Dist: a\nRequires-Dist: b>=1\nClassifier: X\nclassifier: Y\n")
    after = write(extra_metadata="Requires-Dist: b>=2\nRequires-Dist: a\nClassifier: Y\nClassifier: X\nSummary: s\n")
    assert differences(before, after).fields == (
        FieldChange(field="Requires-Dist", before=("b>=1",), after=("b>=2",)),
        FieldChange(field="Summary", before=(), after=("s",)),
    )


def test_a_value_that_stands_twice(write: Write) -> None:
    before, after = write(extra_metadata="Classifier: X\n"), write(extra_metadata="Classifier: X\nClassifier: X\n")
    assert differences(before, after).fields == (FieldChange(field="Classifier", before=(), after=("X",)),)


def test_the_description_is_told_by_its_length(write: Write) -> None:
    before, after = write(), write(extra_metadata="\nOne\nTwo")
    [change] = differences(before, after).fields
    assert change.field == "Description"
    assert change.before == ()
    assert change.after[0].startswith("2 lines, sha256 ")


def test_times_of_files(write: Write) -> None:
    before, after = write(), write(epoch=EPOCH + 86400)
    assert differences(before, after).moments == ("2020-09-13 12:26:40", "2020-09-14 12:26:40")
    assert first_difference(before, after) == "the times of their files differ"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"a.py": b"A = 1\n"}, {"a.py": b"A = 2\n"}, "a.py: a line was 'A = 1' and is 'A = 2'"),
        ({"a.py": b"A\n"}, {"a.py": b"A\nB\n"}, "a.py: a line was not there and is 'B'"),
        ({"a.so": b"\0abc"}, {"a.so": b"\0abd"}, "a.so differs from byte 3 on"),
        ({"a.so": b"\0abc"}, {"a.so": b"\0abcd"}, "a.so differs from byte 4 on"),
        ({"a.py": b""}, {"a.py": b"", "b.py": b""}, "b.py is new"),
        ({"a.py": b"", "b.py": b""}, {"a.py": b""}, "b.py is missing"),
        (
            {"a.py": b"1", "b.py": b"1"},
            {"a.py": b"2", "b.py": b"2"},
            "a.py: a line was '1' and is '2'; 1 more file differs",
        ),
    ],
)
def test_the_first_difference_in_words(
    write: Write, before: dict[str, bytes], after: dict[str, bytes], words: str
) -> None:
    assert first_difference(write(files=before), write(files=after)) == words


def test_another_packing(write: Write, tmp_path: Path) -> None:
    files = {"demo.py": b""}
    packed = write(files=files, epoch=1_704_164_646)  # the time that drafts have
    assert first_difference(packed, Draft(files=files).write(tmp_path)) == (
        "their files are the same, packed another way"
    )

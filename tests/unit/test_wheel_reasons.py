"""Why payloads differ, told from their first difference."""

from __future__ import annotations

import gzip
import struct

import pytest

from pybuilder.wheel.compare import Difference, Side, first_differing_byte
from pybuilder.wheel.reasons import World, in_words, reason

BEFORE, AFTER = 1_795_657_665, 1_830_070_742  # 2026-11-26, 2027-12-29
RECORDED = World(times=(BEFORE, BEFORE + 30), processors=8, words=("/state/of/one", "builder7", "1885470720"))
AGAIN = World(times=(AFTER, AFTER + 90), processors=1, words=("/other/state", "elsewhere", "1885470719"))


def made(
    one: bytes | None, other: bytes | None, *, file: str = "pkg/a.py", part: tuple[str, ...] = (), mode: bool = False
) -> Difference:
    offset = None if one is None or other is None else first_differing_byte(one, other)
    start = max(0, (offset or 0) - 24)
    sides = [Side(data=data, start=start, window=(data or b"")[start : start + 48]) for data in (one, other)]
    return Difference(file=file, part=part, offset=offset, recorded=sides[0], again=sides[1], mode=mode, files=(file,))


def kind(one: bytes | None, other: bytes | None, **facts: object) -> str:
    return reason(made(one, other, **facts), RECORDED, AGAIN).kind  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        # When it was built.
        (b"BUILT = '2026-11-26 01:47:44'\n", b"BUILT = '2027-12-29 08:58:59'\n", "time"),
        (b"built on Thu, 26 Nov 2026 01:47", b"built on Wed, 29 Dec 2027 08:58", "time"),
        (b"__DATE__ Nov 26 2026 x", b"__DATE__ Dec 29 2027 x", "time"),
        (b"date: 20261126T014744Z;", b"date: 20271229T085859Z;", "time"),
        (b"Copyright 2020-2026 Somebody", b"Copyright 2020-2027 Somebody", "time"),
        (b"at 3:07 PM", b"at 11:18 AM", "time"),
        (b"STAMP = %d\n" % BEFORE, b"STAMP = %d\n" % (AFTER + 60), "time"),
        (b"STAMP = %d.25\n" % BEFORE, b"STAMP = %d.75\n" % AFTER, "time"),
        (b"STAMP = %d123\n" % BEFORE, b"STAMP = %d456\n" % AFTER, "time"),
        # A number of ten digits that is no time of either clock.
        (b"SERIAL = 1111111111\n", b"SERIAL = 2222222222\n", "unknown"),
        # Where it was built.
        (b"prefix=/state/of/one/work", b"prefix=/other/state/work", "place"),
        (b"built by 1885470720 on builder7", b"built by 1885470719 on elsewhere", "place"),
        # On how many processors.
        (b"JOBS = 8, 2\n", b"JOBS = 1, 2\n", "processors"),
        (b"make -j8 all", b"make -j1 all", "processors"),
        (b"JOBS = 7\n", b"JOBS = 1\n", "unknown"),
        (b"JOBS = 8, 7\n", b"JOBS = 1, 6\n", "unknown"),
        # Temporary paths, and with them whatever else is by chance.
        (
            b"/* Cython: /tmp/tmpk3j2h1x9/a.pyx */",
            b"/* Cython: /tmp/tmpzz81qwer/a.pyx */",
            "temporary path",
        ),
        (b"# made in /tmp/tmp.tEDkmUkb0o\n", b"# made in /tmp/tmp.JO6gPK2kFO\n", "temporary path"),
        (b'#line 1 ".mesonpy-a1b2c3/x.c"', b'#line 1 ".mesonpy-zzz999/x.c"', "temporary path"),
        (b"/out/.tmp-abc/x at 2026-11-26", b"/out/.tmp-xyz/x at 2027-12-29", "temporary path"),
        # Chance.
        (b"default=<object object at 0x7f3a5c0d1e20>", b"default=<object object at 0x7f11220d1e20>", "address"),
        (b"ID = '123e4567-e89b-12d3-a456-426614174000'", b"ID = '987f6543-e21c-34d5-b654-426614174999'", "random"),
        (b"token 00112233445566778899aabb", b"token ffeeddccbbaa99887766fedc", "random"),
        # Order, in a line or in lines.
        (b"ALL = ['b', 'a', 'c']\n", b"ALL = ['a', 'b', 'c']\n", "order"),
        (b"b\na\nc\n", b"a\nb\nc\n", "order"),
        (b"x = {'k': 1, 'j': 2}  # %d\n" % BEFORE, b"x = {'j': 2, 'k': 1}  # %d\n" % AFTER, "unknown"),
        (b"VALUE = 'spam'\n", b"VALUE = 'eggs'\n", "unknown"),
    ],
    ids=lambda value: value[:40].decode() if isinstance(value, bytes) else value,
)
def test_texts(one: bytes, other: bytes, expected: str) -> None:
    head = b"# the same line before\n"
    assert kind(head + one, head + other) == expected


def test_only_the_line_that_differs_first_counts() -> None:
    assert kind(b"/tmp/x\nBUILT 2026-11-26\nspam\n", b"/tmp/x\nBUILT 2027-12-29\neggs\n") == "time"


class TestFiles:
    @pytest.mark.parametrize("file", ["pkg/__pycache__/a.cpython-311.pyc", "pkg/a.pyc"])
    def test_bytecode(self, file: str) -> None:
        assert kind(b"1", None, file=file) == kind(b"1", b"2", file=file) == "bytecode"

    def test_one_that_only_one_has(self) -> None:
        assert kind(None, b"x") == kind(b"x", None) == "files"

    def test_mode(self) -> None:
        assert kind(b"x", b"x", mode=True) == "mode"

    def test_archives(self) -> None:
        one, other = gzip.compress(b"x", mtime=1), gzip.compress(b"x", mtime=2)
        assert kind(one, other, file="a.gz") == "archive in the wheel"
        assert kind(b"PK\x03\x04\0one", b"PK\x03\x04\0two", file="a.zip") == "archive in the wheel"


class TestBinaries:
    @pytest.mark.parametrize("form", ["<I", ">I", "<Q", ">Q"])
    def test_the_seconds_of_both_clocks(self, form: str) -> None:
        one, other = (b"\0\1\2\3" * 9 + struct.pack(form, time) + b"\xff" * 9 for time in (BEFORE + 7, AFTER + 8))
        assert kind(one, other, file="a.bin") == "time"

    def test_other_numbers(self) -> None:
        one, other = (b"\0\1\2\3" * 9 + struct.pack("<I", time) for time in (BEFORE + 7, AFTER + 9_000_000))
        assert kind(one, other, file="a.bin") == "unknown"

    @pytest.mark.parametrize(
        ("section", "expected"),
        [
            (".note.gnu.build-id", "build id"),
            (".debug_info", "debug information"),
            (".strtab", "symbols"),
            (".text", "code"),
        ],
    )
    def test_sections(self, section: str, expected: str) -> None:
        assert kind(b"\1\2\3\0\5", b"\1\2\3\0\6", file="a.so", part=(section,)) == expected

    def test_a_string_tells_more_than_its_section(self) -> None:
        one, other = b"\0built 2026-11-26\0\1", b"\0built 2027-12-29\0\1"
        assert kind(one, other, file="a.so", part=(".rodata",)) == "time"


class TestWords:
    def test_a_text(self) -> None:
        lines = list(in_words(made(b"one\ntwo three\n", b"one\ntwo four\n")))
        assert lines == ["pkg/a.py, line 2, byte 8", "recorded: two three", "again:    two four"]

    def test_bytes(self) -> None:
        lines = list(in_words(made(b"\0ab\xff", b"\0ac\xff", file="a.so", part=(".text",))))
        assert lines == ["a.so in .text, byte 2", "recorded: 00 61 62 ff  .ab.", "again:    00 61 63 ff  .ac."]

    def test_a_file_that_only_one_has(self) -> None:
        assert list(in_words(made(b"x", None))) == ["pkg/a.py is only in the recorded wheel"]
        assert list(in_words(made(None, b"x"))) == ["pkg/a.py is only in the wheel built again"]

    def test_mode(self) -> None:
        assert list(in_words(made(b"x", b"x", mode=True))) == ["pkg/a.py is executable in one of them only"]

    def test_a_long_line_is_shown_around_the_place(self) -> None:
        lines = list(in_words(made(b"a" * 5000 + b"1" + b"b" * 5000, b"a" * 5000 + b"2" + b"b" * 5000)))
        assert lines[1] == f"recorded: …{'a' * 80}1{'b' * 79}…"

    def test_nothing_that_a_terminal_would_obey(self) -> None:
        lines = list(in_words(made(b"\x1b[31mred", b"\x1b[31mreed")))
        assert "\x1b" not in "".join(lines)


def test_every_reason_says_why_and_what_to_write() -> None:
    found = [reason(made(b"1", None), RECORDED, AGAIN), reason(made(b"spam", b"eggs"), RECORDED, AGAIN)]
    for each in found:
        assert each.why and not each.why.endswith(".")
        assert each.cure.startswith("[")

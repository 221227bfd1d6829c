"""The first difference of two payloads: which file, which part of it, which byte."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from pybuilder.wheel import compare
from pybuilder.wheel.canonical import canonicalise
from pybuilder.wheel.compare import Difference, first_difference, first_differing_byte
from tests.support.wheels import EPOCH, Draft


def payload(directory: Path, files: Mapping[str, bytes], executable: tuple[str, ...] = ()) -> Path:
    directory.mkdir()
    wheel = Draft(files=files, executable=executable).write(directory)
    canonicalise(wheel, directory / "payload.whl", epoch=EPOCH)
    return directory / "payload.whl"


def difference(tmp_path: Path, one: Mapping[str, bytes], other: Mapping[str, bytes]) -> Difference:
    found = first_difference(payload(tmp_path / "one", one), payload(tmp_path / "other", other))
    assert found is not None
    return found


def zipped(members: Mapping[str, bytes], moment: tuple[int, int, int, int, int, int] = (2020, 1, 1, 0, 0, 0)) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, moment), data)
    return stream.getvalue()


def elf(sections: Mapping[str, bytes]) -> bytes:
    """An ELF file for x86-64 with these sections (elf(5): Elf64_Ehdr, Elf64_Shdr), and one with their names."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in [*sections, ".shstrtab"])
    contents = {**sections, ".shstrtab": names}
    body, headers = b"", struct.pack("<IIQQQQIIQQ", *[0] * 10)
    for name, data in contents.items():
        kind = 3 if name == ".shstrtab" else 1  # SHT_STRTAB, SHT_PROGBITS
        at = names.index(b"\0" + name.encode() + b"\0") + 1
        headers += struct.pack("<IIQQQQIIQQ", at, kind, 0, 0, 64 + len(body), len(data), 0, 0, 1, 0)
        body += data
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    count = len(contents) + 1
    place = 64 + len(body)
    return (
        ident + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, place, 0, 64, 0, 0, 64, count, count - 1) + body + headers
    )


def test_the_same_has_no_difference(tmp_path: Path) -> None:
    files = {"a.py": b"1", "b.py": b"2"}
    assert first_difference(payload(tmp_path / "one", files), payload(tmp_path / "other", files)) is None


def test_the_first_byte_of_the_first_file(tmp_path: Path) -> None:
    one = {"a.py": b"same", "b.py": b"x" * 100 + b"1" + b"y" * 100, "c.py": b"3"}
    found = difference(tmp_path, one, {**one, "b.py": b"x" * 100 + b"2" + b"y" * 100, "c.py": b"4"})
    assert (found.file, found.part, found.offset, found.mode) == ("b.py", (), 100, False)
    assert found.files == ("b.py", "c.py")
    assert found.recorded.window == b"x" * 24 + b"1" + b"y" * 23
    assert (found.again.start, found.again.window) == (76, b"x" * 24 + b"2" + b"y" * 23)
    assert found.recorded.data == one["b.py"]


def test_one_that_ends_before_the_other(tmp_path: Path) -> None:
    found = difference(tmp_path, {"a.py": b"one"}, {"a.py": b"one, two"})
    assert (found.offset, found.recorded.window, found.again.window) == (3, b"one", b"one, two")


@pytest.mark.parametrize("turned", [False, True])
def test_a_file_that_only_one_has(tmp_path: Path, turned: bool) -> None:
    pair = {"a.py": b"1", "b.py": b"2"}, {"a.py": b"1"}
    found = difference(tmp_path, *(reversed(pair) if turned else pair))
    assert (found.file, found.offset) == ("b.py", None)
    assert (found.recorded.data, found.again.data) == ((None, b"2") if turned else (b"2", None))


def test_the_mode_alone(tmp_path: Path) -> None:
    files = {"tool": b"#!python"}
    found = first_difference(payload(tmp_path / "one", files), payload(tmp_path / "other", files, ("tool",)))
    assert found is not None
    assert (found.file, found.mode) == ("tool", True)


class TestParts:
    def test_a_member_of_an_archive(self, tmp_path: Path) -> None:
        one = zipped({"x": b"same", "y": b"one"})
        found = difference(tmp_path, {"data.jar": one}, {"data.jar": zipped({"x": b"same", "y": b"two"})})
        assert (found.file, found.part, found.offset, found.again.data) == ("data.jar", ("y",), 0, b"two")

    def test_an_archive_in_an_archive(self, tmp_path: Path) -> None:
        one, other = (zipped({"in.zip": zipped({"x": data})}) for data in (b"1", b"2"))
        assert difference(tmp_path, {"a.zip": one}, {"a.zip": other}).part == ("in.zip", "x")

    def test_a_member_that_only_one_has(self, tmp_path: Path) -> None:
        found = difference(tmp_path, {"a.zip": zipped({"x": b"1"})}, {"a.zip": zipped({"x": b"1", "y": b"2"})})
        assert (found.part, found.offset, found.again.data) == (("y",), None, b"2")

    def test_times_in_an_archive_are_bytes_of_the_archive(self, tmp_path: Path) -> None:
        one, other = zipped({"x": b"1"}), zipped({"x": b"1"}, (2021, 2, 3, 4, 5, 6))
        found = difference(tmp_path, {"a.zip": one}, {"a.zip": other})
        assert (found.part, found.offset) == ((), 10)  # the time of the first local header (APPNOTE 4.3.7)

    def test_what_is_compressed(self, tmp_path: Path) -> None:
        one, other = (gzip.compress(data, mtime=0) for data in (b"text 1", b"text 2"))
        found = difference(tmp_path, {"a.gz": one}, {"a.gz": other})
        assert (found.part, found.offset, found.again.data) == (("the compressed file",), 5, b"text 2")

    def test_the_time_in_a_gzip_file(self, tmp_path: Path) -> None:
        one, other = (gzip.compress(b"text", mtime=time) for time in (1, 2))
        found = difference(tmp_path, {"a.gz": one}, {"a.gz": other})
        assert (found.part, found.offset) == ((), 4)  # MTIME (RFC 1952, 2.3)

    def test_a_section_with_text_tells_most_and_the_build_id_least(self, tmp_path: Path) -> None:
        """Whatever the order in which they lie in the file."""
        named = [".note.gnu.build-id", ".text", ".rodata.str"]
        one = dict.fromkeys(named, b"same, 1")
        for number, first in enumerate((".rodata.str", ".text", ".note.gnu.build-id")):
            other = {**one, **dict.fromkeys(named[: 3 - number], b"same, 2")}
            (tmp_path / str(number)).mkdir()
            found = difference(tmp_path / str(number), {"a.so": elf(one)}, {"a.so": elf(other)})
            assert (found.part, found.offset, found.again.data) == ((first,), 6, b"same, 2")

    @pytest.mark.parametrize("head", [b"PK\x03\x04", b"\x1f\x8b", b"\x7fELF", b"\x7fELF\x02\x01\x01"])
    def test_what_only_begins_like_one_is_bytes(self, tmp_path: Path, head: bytes) -> None:
        found = difference(tmp_path, {"x": head + b"\0" * 60 + b"1"}, {"x": head + b"\0" * 60 + b"2"})
        assert (found.part, found.offset) == ((), len(head) + 60)


def test_large_files_are_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "_LARGEST", 1 << 20)
    data = random.Random(1).randbytes((3 << 20) + 5)
    place = (2 << 20) + 100
    found = difference(tmp_path, {"big": data}, {"big": data[:place] + b"!" + data[place + 1 :]})
    assert (found.offset, found.recorded.start, found.again.data) == (place, place - 24, None)
    assert found.recorded.window == data[place - 24 : place + 24]


def test_the_first_differing_byte_is_that_of_a_loop() -> None:
    chance = random.Random(7)
    for _ in range(300):
        one = bytes(chance.choice(b"ab") for _ in range(chance.randrange(40)))
        other = bytes(one[i] if i < len(one) and chance.random() < 0.9 else 99 for i in range(chance.randrange(40)))
        shorter = min(len(one), len(other))
        assert first_differing_byte(one, other) == next((i for i in range(shorter) if one[i] != other[i]), shorter)

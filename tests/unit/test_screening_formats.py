"""What a file is, by its bytes."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import io
import lzma
import marshal
import struct
import sys
import tarfile
import zipfile

import pytest

from pybuilder.screening.formats import TAIL, ends_in_zip, identify
from tests.support.sdists import tar_bytes

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODE = marshal.dumps(compile("x = 1", "x.py", "exec"))
TAR = tar_bytes({"a.txt": b"a"}, top="a")


def zip_bytes(comment: bytes = b"", **files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.comment = comment
    return buffer.getvalue()


def old_tar() -> bytes:
    """As before POSIX: nothing says that it is a tar but the sum of its header."""
    info = tarfile.TarInfo("a/b.txt")
    data = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    data[257:512] = bytes(255)
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + sum(data[156:512]) + 8 * 0x20)
    return bytes(data) + bytes(1024)


def pe(offset: int) -> bytes:
    stub = bytearray(b"MZ" + bytes(offset - 2))
    stub[60:64] = struct.pack("<L", offset)
    return bytes(stub) + b"PE\0\0d\x86"


OBJECT = struct.pack("<HHLLLHH", 0x8664, 2, 0, 0, 0, 0, 0) + b".text\0\0\0" + bytes(72)

COMPILED = {
    "ELF": b"\x7fELF\x02\x01\x01",
    "PE": pe(128),
    "DOS program": b"MZ\x90\0" + bytes(60),
    "Java class": b"\xca\xfe\xba\xbe\0\0\0\x34",
    "WebAssembly": b"\0asm\1\0\0\0",
    "static library": b"!<arch>\nmain.o/         ",
    "LLVM bitcode": b"BC\xc0\xde\x35\x14",
    "Dalvik": b"dex\n035\0",
    "object file": OBJECT,
    "Python bytecode": importlib.util.MAGIC_NUMBER + bytes(12) + CODE,
}
MACH_O = [
    b"\xcf\xfa\xed\xfe\x07\0\0\1",
    b"\xfe\xed\xfa\xce\0\0\0\x12",
    b"\xca\xfe\xba\xbe\0\0\0\x02\x01\0\0\x07",
    b"\xca\xfe\xba\xbf\0\0\0\x02",
]
BYTECODE = [
    struct.pack("<H", 62211) + b"\r\n" + bytes(4) + b"c",
    struct.pack("<H", 3230) + b"\r\n" + bytes(8) + b"\xe3",
    struct.pack("<H", 336) + b"\r\n" + bytes(12) + b"\xe3",
]
ARCHIVES = {
    "zip": zip_bytes(a=b"a"),
    "tar": TAR,
    "gzip": gzip.compress(TAR),
    "bzip2": bz2.compress(b""),
    "xz": lzma.compress(TAR),
    "lzma": lzma.compress(TAR, format=lzma.FORMAT_ALONE),
    "zstd": zstd.compress(TAR),
    "7z": b"7z\xbc\xaf\x27\x1c\0\4",
    "rpm": b"\xed\xab\xee\xdb\3\0",
    "deb": b"!<arch>\ndebian-binary   1342943816  0     0     100644  4         `\n2.0\n",
    "rar": b"Rar!\x1a\x07\x01\0",
    "cpio": b"070701" + b"0" * 104 + b".",
}
OTHERS = {
    "nothing": b"",
    "one byte": b"\x7f",
    "text": b"import os\n",
    "an essay on Mark Zbikowski": b"MZ is how every program for DOS begins, and nobody remembers why." * 9,
    "a text about ar": b"!<arch> is how they begin",
    "a text of two letters and a line end": b"ab\r\nxxxxcxxxcxxxc",
    "a picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "the word of a bzip2": b"BZh9 is a name",
    "a table of numbers": b"0000644 0001750 " * 200,
    "zeros": bytes(4096),
    "an object file without sections": struct.pack("<HHLLLHH", 0x8664, 0, 0, 0, 0, 0, 0) + b".text" + bytes(80),
    "an object file whose symbols lie in its header": struct.pack("<HHLLLHH", 0x8664, 1, 0, 9, 0, 0, 0)
    + b".text"
    + bytes(80),
    "font": b"\0\1\0\0\0\x11\1\0\0\4\0\x10",
    "half of a tar's first header": TAR[:511],
}


@pytest.mark.parametrize(("name", "data"), COMPILED.items(), ids=COMPILED)
def test_compiled_code(name: str, data: bytes) -> None:
    found = identify(data)
    assert found and (found.kind, found.name) == ("compiled", name)


@pytest.mark.parametrize("data", MACH_O)
def test_what_is_for_macos_is_no_class_of_java(data: bytes) -> None:
    found = identify(data)
    assert found and found.name == "Mach-O"


def test_an_object_file_with_symbols() -> None:
    found = identify(struct.pack("<HHLLLHH", 0x8664, 1, 0, 60, 0, 0, 0) + OBJECT[20:])
    assert found and found.name == "object file"


@pytest.mark.parametrize("data", BYTECODE, ids=["Python 2.7", "Python 3.3", "PyPy 3.9"])
def test_bytecode_of_any_age(data: bytes) -> None:
    found = identify(data)
    assert found and found.name == "Python bytecode"


@pytest.mark.parametrize(("name", "data"), ARCHIVES.items(), ids=ARCHIVES)
def test_archives(name: str, data: bytes) -> None:
    found = identify(data)
    assert found and (found.kind, found.name) == ("archive", name)


@pytest.mark.parametrize(("data", "name"), [(old_tar(), "tar of before 1988"), (TAR, "tar")], ids=["old", "posix"])
def test_a_tar_is_known_by_its_sum(data: bytes, name: str) -> None:
    found = identify(data)
    assert found and found.name == name
    assert identify(data[:200] + b"x" + data[201:]) is None


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0asm\n\0\1\0", "WebAssembly"),
        (b"\x5d\0\0\n\n" + b"\n" * 5 + bytes(4), "lzma"),
    ],
)
def test_a_byte_that_ends_a_line_is_one_as_any_other(data: bytes, name: str) -> None:
    found = identify(data)
    assert found and found.name == name


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_what_is_neither(data: bytes) -> None:
    assert identify(data) is None


@pytest.mark.parametrize("data", [*COMPILED.values(), *ARCHIVES.values()], ids=[*COMPILED, *ARCHIVES])
def test_a_beginning_of_any_length_is_no_trouble(data: bytes) -> None:
    for length in range(min(len(data), 600)):
        identify(data[:length])


def test_a_zip_behind_other_bytes() -> None:
    application = b"#!/usr/bin/env python3\n" + zip_bytes(a=b"a")
    assert identify(application) is None
    assert ends_in_zip(application[-TAIL:], len(application))
    assert not ends_in_zip(application[-TAIL:], 10)
    assert not ends_in_zip(b"a text that ends like any text", 30)
    assert not ends_in_zip(b"", 0)
    assert not ends_in_zip(zip_bytes()[-TAIL:], 1000)
    assert not ends_in_zip(application[-TAIL:-2] + b"\1\0", len(application))

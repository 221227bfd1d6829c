"""What a file is, by its bytes and never by its name: compiled code, or an archive that has more files in it.

The marks are those of file(1)'s database; where a mark alone could begin a text, more of the file is looked at.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Literal

Kind = Literal["compiled", "archive"]

HEAD = 1 << 20
"""The bytes of a file's beginning that are looked at."""
TAIL = 22
"""The bytes of a file's end that are looked at: the end of a zip archive without a comment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """What a file is.

    Attributes:
        kind: Compiled code, or an archive.
        name: The format, as people call it.
    """

    kind: Kind
    name: str


def _compiled(name: str) -> Format:
    return Format(kind="compiled", name=name)


def _archive(name: str) -> Format:
    return Format(kind="archive", name=name)


ZIP, TAR, OLD_TAR = _archive("zip"), _archive("tar"), _archive("tar of before 1988")
ZIP_AT_END = _archive("zip after other bytes")
GZIP, BZIP2, XZ, ZSTD = _archive("gzip"), _archive("bzip2"), _archive("xz"), _archive("zstd")

# In order: the first that fits counts.
_MARKS: tuple[tuple[re.Pattern[bytes], Format], ...] = tuple(
    (re.compile(mark, re.DOTALL), found)
    for mark, found in (
        (rb"\x7fELF[\x01\x02]", _compiled("ELF")),
        (rb"\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba\xbf\0\0", _compiled("Mach-O")),
        (rb"\xca\xfe\xba\xbe\0\0\0[\x01-\x2c]", _compiled("Mach-O")),
        # A class file has its format's version there, which is at least 45.
        (rb"\xca\xfe\xba\xbe", _compiled("Java class")),
        (rb"dex\n[0-9]{3}\0", _compiled("Dalvik")),
        (rb"\0asm(\x01\0\0\0|.\0\x01\0)", _compiled("WebAssembly")),
        (rb"BC\xc0\xde|\xde\xc0\x17\x0b", _compiled("LLVM bitcode")),
        (rb"!<arch>\ndebian-binary", _archive("deb")),
        (rb"!<arch>\n|!<thin>\n", _compiled("static library")),
        (rb"PK(\x03\x04|\x05\x06|\x07\x08)", ZIP),
        (rb"\x1f\x8b\x08", GZIP),
        (rb"BZh[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)", BZIP2),
        (rb"\xfd7zXZ\0", XZ),
        (rb"\x28\xb5\x2f\xfd", ZSTD),
        (rb"7z\xbc\xaf\x27\x1c", _archive("7z")),
        (rb"\xed\xab\xee\xdb", _archive("rpm")),
        (rb"Rar!\x1a\x07", _archive("rar")),
        (rb"MSCF\0\0\0\0", _archive("cab")),
        (rb"\x04\x22\x4d\x18", _archive("lz4")),
        (rb"LZIP\x01", _archive("lzip")),
        (rb"\x1f\x9d[\x80-\x9f]", _archive("compress")),
        # Properties, size of the dictionary, size (or -1), and the 0 with which all of its streams begin.
        (rb"\x5d\0[\0\x80]..(.{5}\0{3}|\xff{8})\0", _archive("lzma")),
        (rb"07070[12][0-9A-Fa-f]{104}", _archive("cpio")),
    )
)

# Which of them fits is asked of few files: most begin as none of them.
_ANY_MARK = re.compile(b"|".join(mark.pattern for mark, _ in _MARKS), re.DOTALL)

# The marks of a code object, with and without a reference to it (marshal.c).
_CODE = (0x63, 0xE3)
# Machine types of object files: i386, x86-64, ARM, AArch64 (PE/COFF specification, "Machine Types").
_MACHINES = (0x014C, 0x8664, 0x01C4, 0xAA64)


def identify(head: bytes) -> Format | None:
    """What a file that begins with these bytes is; None for a text, and for anything else that is no code.

    Args:
        head: Its first ``HEAD`` bytes, or all of it.
    """
    if _ANY_MARK.match(head):
        return next(found for mark, found in _MARKS if mark.match(head))
    if _is_bytecode(head):
        return _compiled("Python bytecode")
    if is_tar(head):
        return TAR if head[257:262] == b"ustar" else OLD_TAR
    return _windows(head)


def ends_in_zip(tail: bytes, size: int) -> bool:
    """Whether a file that begins as something else is a zip archive by its end, as zip applications are.

    Args:
        tail: Its last ``TAIL`` bytes.
        size: How many it has.
    """
    if len(tail) < TAIL or not tail.startswith(b"PK\x05\x06"):
        return False
    entries, length, offset, comment = struct.unpack("<HLLH", tail[10:])
    return bool(entries) and not comment and int(length) + int(offset) <= size - TAIL


def is_tar(head: bytes) -> bool:
    """Whether this is the beginning of a tar archive of any age: the sum of its first header is right."""
    header = head[:512]
    if len(header) < 512 or not header[0]:
        return False
    stated = re.fullmatch(rb" *([0-7]{1,7})[ \0]*", header[148:156])
    return stated is not None and int(stated[1], 8) == sum(header) - sum(header[148:156]) + 8 * 0x20


def _is_bytecode(head: bytes) -> bool:
    """Whether this is what Python writes beside a module: a magic number, and a code object after its header.

    The header has 8, 12 or 16 bytes (PEP 3147, PEP 552). Magic numbers are in ``importlib``; PyPy's are small ones.
    """
    if head[2:4] != b"\r\n":
        return False
    (magic,) = struct.unpack("<H", head[:2])
    known = magic < 1000 or 3000 <= magic < 4000 or 62000 <= magic <= 62300
    return known and any(len(head) > at and head[at] in _CODE for at in (8, 12, 16))


def _windows(head: bytes) -> Format | None:
    """A program or library for Windows or DOS, or an object file of Windows' compilers (PE/COFF specification)."""
    if len(head) >= 64 and head.startswith(b"MZ"):
        (offset,) = struct.unpack("<L", head[60:64])
        if head[offset : offset + 4] == b"PE\0\0":
            return _compiled("PE")
        # One whose second header is further away than we look, or that is for DOS alone; no text has a NUL.
        return _compiled("DOS program") if b"\0" in head[:64] else None
    if len(head) < 60:
        return None
    machine, sections, _, symbols, _, optional, _ = struct.unpack("<HHLLLHH", head[:20])
    if machine in _MACHINES and sections and not optional and head[20:21] in (b".", b"/"):
        return _compiled("object file") if symbols == 0 or symbols >= 20 + 40 * sections else None
    return None

"""What the ELF files of a payload need and have, in the words that RPMs use for it (rpm's elfdeps).

``libxslt.so.1()(64bit)`` is a library, ``libc.so.6(GLIBC_2.34)(64bit)`` a version of the symbols in it.
"""

from __future__ import annotations

import io
import mmap
import stat
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from pybuilder.errors import BuildError
from pybuilder.wheel.read import open_archive

if TYPE_CHECKING:
    from elfdeps import ELFAnalyzeSettings, ELFInfo

MAX_READS = 2_000_000
"""How often a payload may be read from; libLLVM, one of the largest libraries there are, takes 37,000 reads."""
MAX_READ = 16 << 20
"""How many bytes may be read; libLLVM takes 220,000. It bounds the memory as well."""

_SHOWN = 20
_MAGIC = b"\x7fELF"
# Two names as long as a file's may be: of a library and of a version.
_LONGEST = 2 * 255 + len("()(64bit)")
# elftools takes tables at their word: one of another kind than it expects ends it in any of these.
_CONFUSED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
# Where ELF's name for a machine is not RPM's in capital letters.
_MACHINES = {
    "armv7hl": "EM_ARM",
    "i386": "EM_386",
    "i586": "EM_386",
    "i686": "EM_386",
    "loongarch64": "EM_LOONGARCH",
    "ppc64le": "EM_PPC64",
    "riscv64": "EM_RISCV",
    "s390x": "EM_S390",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ElfFile:
    """One ELF file that is loaded or run.

    Attributes:
        name: Its name in the wheel.
        requires: What it needs, sorted.
        provides: What it has for others: its soname, or its file name if it has none, and its versions, sorted.
    """

    name: str
    requires: tuple[str, ...]
    provides: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ElfFiles:
    """The ELF files of a payload.

    Attributes:
        files: Those that can be read, sorted by name.
        problems: What is wrong with the others, one sentence each.
    """

    files: tuple[ElfFile, ...]
    problems: tuple[str, ...]

    @property
    def provides(self) -> frozenset[str]:
        """What they have for others, and for each other."""
        return frozenset(each for file in self.files for each in file.provides)

    @property
    def needs(self) -> Mapping[str, tuple[str, ...]]:
        """What the payload needs from outside, sorted, and the files that need it, sorted.

        What one of its own files has is left out, however it is found there: by its RPATH, or since Python loads it
        first.
        """
        needs: dict[str, list[str]] = {}
        own = self.provides
        for file in self.files:
            for each in file.requires:
                if each not in own:
                    needs.setdefault(each, []).append(file.name)
        return {each: tuple(needs[each]) for each in sorted(needs)}


def read_elf(payload: Path, *, arch: str) -> ElfFiles:
    """Read the ELF files of a payload, in place and only their tables.

    Looked at is what may be loaded or run: by its name a library or a Python extension, or executable. What is no ELF
    file, such as a linker script, is none of our business.

    Args:
        payload: A wheel whose entries are stored.
        arch: The target's architecture, as RPM calls it.

    Raises:
        BuildError: The archive is damaged or has compressed entries.
    """
    allowance = _Allowance(reads=MAX_READS, size=MAX_READ)
    files: list[ElfFile] = []
    problems: list[str] = []
    with open_archive(payload) as archive, payload.open("rb") as stream:
        if not _may_hold_elf(archive, stream):
            return ElfFiles(files=(), problems=())
        # What reads them takes longer to import than a payload takes to be looked through, and most have none.
        from elfdeps import ELFAnalyzeSettings

        settings = ELFAnalyzeSettings()
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            if not settings.is_candidate(Path(info.filename), _mode(info)):
                continue
            try:
                file = _read(_window(stream, info, allowance), info, settings, arch)
            except _UnusableError as error:
                problems.append(f"{info.filename} {error}")
                if allowance.is_spent:
                    break
            else:
                files += [file] if file else []
    if len(problems) > _SHOWN:
        problems[_SHOWN:] = [f"and {len(problems) - _SHOWN} more ELF files are no better"]
    return ElfFiles(files=tuple(files), problems=tuple(problems))


def _may_hold_elf(archive: zipfile.ZipFile, stream: IO[bytes]) -> bool:
    """Whether an ELF file may begin somewhere in a wheel; in what is not compressed that can be seen."""
    if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
        return True
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_MAGIC) >= 0


class _UnusableError(Exception):
    """What is wrong with an ELF file, to follow its name."""


class _SpentError(Exception):
    """More was read than any honest file takes."""


@dataclass(slots=True)
class _Allowance:
    """What may still be read of one payload: tables that say they go on for ever must not keep us for ever."""

    reads: int
    size: int

    @property
    def is_spent(self) -> bool:
        return self.reads < 0 or self.size < 0

    def take(self, size: int) -> None:
        self.reads -= 1
        self.size -= size
        if self.is_spent:
            raise _SpentError


class _Window(io.RawIOBase):
    """A stored entry as a file of its own."""

    def __init__(self, stream: IO[bytes], start: int, size: int, allowance: _Allowance) -> None:
        self._stream, self._start, self._size = stream, start, size
        self._allowance = allowance
        self._at = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        left = max(self._size - self._at, 0)
        size = left if size < 0 else min(size, left)
        self._allowance.take(size)
        self._stream.seek(self._start + min(self._at, self._size))
        data = self._stream.read(size)
        self._at += len(data)
        return data


def _window(stream: IO[bytes], info: zipfile.ZipInfo, allowance: _Allowance) -> _Window:
    if info.compress_type != zipfile.ZIP_STORED:
        raise BuildError(f"this wheel is no payload: {info.filename} is compressed", where=str(stream.name))
    # The local header (APPNOTE 4.3.7) ends with the lengths of the name and of the extra field.
    stream.seek(info.header_offset + 26)
    start = info.header_offset + 30 + sum(struct.unpack("<HH", stream.read(4)))
    return _Window(stream, start, info.file_size, allowance)


def _mode(info: zipfile.ZipInfo) -> int:
    """The mode of a file once it is installed: scripts become executable, whatever they are in the archive."""
    is_script = ".data/scripts/" in info.filename
    return stat.S_IFREG | (0o755 if is_script else info.external_attr >> 16 & 0o777)


def _read(window: _Window, info: zipfile.ZipInfo, settings: ELFAnalyzeSettings, arch: str) -> ElfFile | None:
    """Read one ELF file; None if it is none, or neither loaded nor run, such as an object file.

    Raises:
        _UnusableError: It can't be read, or is for something else.
    """
    found = _analyse(window, info, settings)
    if found is None or not found.machine:
        return None
    if found.machine != _MACHINES.get(arch, f"EM_{arch.upper()}"):
        raise _UnusableError(f"is an ELF file for {_machine(found.machine)}, not for {arch}")
    file = ElfFile(
        name=info.filename,
        requires=tuple(sorted(set(map(str, found.requires)))),
        provides=tuple(sorted(set(map(str, found.provides)))),
    )
    if strange := [each for each in (*file.requires, *file.provides) if len(each) > _LONGEST or not each.isprintable()]:
        raise _UnusableError(f"names a library as no file is called: {strange[0][:40]!r}")
    return file


def _analyse(window: _Window, info: zipfile.ZipInfo, settings: ELFAnalyzeSettings) -> ELFInfo | None:
    from elfdeps import ELFError, analyze_elffile
    from elftools.elf.elffile import ELFFile

    is_executable = bool(_mode(info) & 0o111)
    try:
        if window.read(len(_MAGIC)) != _MAGIC:
            return None
        return analyze_elffile(
            ELFFile(cast("IO[bytes]", window)), filename=Path(info.filename), is_exec=is_executable, settings=settings
        )
    except _SpentError as error:
        raise _UnusableError("is an ELF file whose tables have no end") from error
    except (ELFError, *_CONFUSED) as error:
        raise _UnusableError("begins as an ELF file and can't be read as one") from error


def _machine(found: str | int) -> str:
    """ELF's name for a machine for a reader; elftools gives the number of one it doesn't know."""
    return found.removeprefix("EM_") if isinstance(found, str) else f"machine {found}"

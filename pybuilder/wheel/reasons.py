"""Why two payloads of one plan usually differ as they do, and which line of a spec cures it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pybuilder.printable import printable
from pybuilder.wheel.compare import Difference, first_difference

_SHOWN = 160


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What is known of where one of two payloads was made.

    Attributes:
        times: The first and the last second of its clock, since 1970.
        processors: How many it ran on.
        words: What names that place and no other: paths, ids, host names.
    """

    times: tuple[int, int]
    processors: int
    words: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why two payloads differ.

    Attributes:
        kind: In a word or two, for counting.
        why: Why that usually happens, a sentence without a full stop.
        cure: What to write into the spec, and where that alone is no help what to do there.
    """

    kind: str
    why: str
    cure: str


def _patch(kind: str, why: str, cure: str, *, name: str) -> Reason:
    return Reason(kind=kind, why=why, cure=f'[[patches]] file = "0001-{name}.patch", {cure}')


BYTECODE = _patch(
    "bytecode",
    "bytecode that the build compiled holds the time of its source, and is no part of a wheel",
    "in which *.pyc and __pycache__ are left out of the package",
    name="no-bytecode",
)
FILES = _patch(
    "files",
    "which files there are depends on what else ran at that moment, or on what a step before it left behind",
    "in which the build lists its files rather than finds them; or [build] limits = { cpus = 1 }",
    name="name-the-files",
)
MODE = _patch(
    "mode", "a file got the rights that the place had, not its own", "in which the build sets them", name="set-the-mode"
)
ORDER = _patch(
    "order",
    "a list was taken from a directory, or a set, in the order in which it came",
    "in which it is sorted before it is written",
    name="sort",
)
TIME = _patch(
    "time",
    "the build wrote down when it ran",
    "in which it takes the time from SOURCE_DATE_EPOCH (reproducible-builds.org/specs/source-date-epoch)",
    name="use-source-date-epoch",
)
ARCHIVE = _patch(
    "archive in the wheel",
    "an archive that the build packed holds the times or the order of what went into it",
    "in which it is packed with the time of SOURCE_DATE_EPOCH and its files are sorted (gzip: mtime=0, or gzip -n)",
    name="pack-the-same",
)
TEMPORARY = _patch(
    "temporary path",
    "a generator or a compiler wrote the path of a temporary file or directory into what it made",
    "in which that has a fixed place below the source; meson-python and scikit-build-core have one with "
    '[build] config-settings = { build-dir = "build" }',
    name="fixed-place",
)
PLACE = _patch(
    "place",
    "the build wrote down where it ran: a path, a user or a machine outside of the sandbox",
    "in which it does not ask",
    name="do-not-ask-where",
)
PROCESSORS = Reason(
    kind="processors",
    why="the build wrote down how many processors it had, or divided its work by them",
    cure="[build] limits = { cpus = 1 }",
)
ADDRESS = _patch(
    "address",
    "an object was written down by its address in memory, which the kernel chooses by lot",
    "in which it is written by name",
    name="no-addresses",
)
RANDOM = _patch(
    "random",
    "a number by lot was written down, such as a UUID",
    "in which it is made of the contents or of SOURCE_DATE_EPOCH",
    name="no-random-numbers",
)
BUILD_ID = Reason(
    kind="build id",
    why="the linker's build id alone differs, so what it was made of was stripped later, mostly debug information",
    cure='[build] env = { LDFLAGS = "-Wl,--build-id=none" }',
)
DEBUG = Reason(
    kind="debug information",
    why="the compiler wrote down paths or options for debuggers that are others in each run",
    cure='[build] env = { CFLAGS = "-g0", CXXFLAGS = "-g0" }',
)
SYMBOLS = Reason(
    kind="symbols",
    why="names of temporary files or of link-time optimisation became symbols",
    cure='[build] env = { CFLAGS = "-frandom-seed=0 -fno-lto", LDFLAGS = "-s" }',
)
CODE = Reason(
    kind="code",
    why="the compiler or the linker got the same files in another order, or a generator made other sources",
    cure="[build] limits = { cpus = 1 }; if that is no help, a patch that sorts what is compiled and linked",
)
UNKNOWN = Reason(
    kind="unknown",
    why="this looks like nothing that is known",
    cure="[[patches]], once the step that makes this file is found: pybuild log shows it, and so does diffoscope",
)

_PATHS = re.compile(
    rb"/(?:tmp|var/tmp|out|dev/shm)/[^\s\"'<>:;,()\0]+|\.(?:mesonpy|tmp)-\w+|\btmp[a-z0-9_]{6,10}\b|\bcc[A-Za-z0-9]{6}\b"
)
_MONTHS = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_TIMES = re.compile(
    rb"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\b,?"
    rb"|\d{4}[-/.]?\d\d[-/.]?\d\d(?:[T _]?\d\d[:.]?\d\d(?:[:.]?\d\d(?:[.,]\d+)?)?)?(?:Z|[+-]\d\d:?\d\d)?"
    rb"|\d{1,2}[-/. ]" + _MONTHS + rb"[-/. ]\d{4}|" + _MONTHS + rb"\s+\d{1,2}(?:,?\s+\d{4})?"
    rb"|\b\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s*[AP]M)?|\b(?:19|20)\d\d\b"
)
_EPOCHS = re.compile(rb"(?<!\d)\d{10}(?:\.\d+|\d{3}|\d{6}|\d{9})?(?!\d)")
_ADDRESSES = re.compile(rb"0x[0-9a-fA-F]{6,16}\b")
_RANDOM = re.compile(rb"\b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b|\b[0-9a-f]{16,}\b", re.IGNORECASE)
_NUMBERS = re.compile(rb"(\d+)")
_TOKENS = re.compile(rb"[^\s,;:\[\](){}<>\"'|]+")
_DAY = 86400
_LARGEST = 16 << 20  # bytes that are taken apart into words


def reason(difference: Difference, recorded: World, again: World) -> Reason:
    """Why two payloads differ, as far as their first difference tells.

    Args:
        difference: Their first difference.
        recorded: Where the one was made.
        again: Where the other was made.
    """
    name = "/".join((difference.file, *difference.part))
    if name.endswith(".pyc") or "__pycache__/" in name:
        return BYTECODE
    if difference.offset is None:
        return FILES
    if difference.mode:
        return MODE
    one, other = difference.recorded, difference.again
    whole = (one.window if one.data is None else one.data), (other.window if other.data is None else other.data)
    if whole[0].startswith((b"PK\x03\x04", b"\x1f\x8b", b"!<arch>\n")):
        return ARCHIVE
    if max(map(len, whole)) <= _LARGEST and _same_tokens(*whole):
        return ORDER
    at = [difference.offset - (side.start if side.data is None else 0) for side in (one, other)]
    lines = [line_at(data, place) for data, place in zip(whole, at, strict=True)]
    found = next(_of_text(lines[0].text, lines[1].text, recorded, again), None)
    if found is None and _is_binary_time(difference, recorded, again):
        found = TIME
    return found or _of_section(difference.part[-1] if difference.part else "")


def _of_text(one: bytes, other: bytes, recorded: World, again: World) -> Iterator[Reason]:
    """What the lines, or strings, around the difference tell; the surest first."""
    if _without(one, recorded.words) == _without(other, again.words):
        yield PLACE
    if _alike(one, other, _epochs_of(recorded), _epochs_of(again)):
        yield TIME
    if _differ_by(one, other, str(recorded.processors).encode(), str(again.processors).encode()):
        yield PROCESSORS
    for pattern, found in ((_PATHS, TEMPORARY), (_TIMES, TIME), (_ADDRESSES, ADDRESS), (_RANDOM, RANDOM)):
        if pattern.sub(b"\0", one) == pattern.sub(b"\0", other):
            yield found
    mixed = [_without_chance(line) for line in (one, other)]
    if mixed[0] == mixed[1]:
        yield TEMPORARY if _PATHS.search(one) else TIME
    if _same_tokens(one, other):
        yield ORDER


def _without_chance(line: bytes) -> bytes:
    for pattern in (_PATHS, _TIMES, _ADDRESSES, _RANDOM):
        line = pattern.sub(b"\0", line)
    return line


def _same_tokens(one: bytes, other: bytes) -> bool:
    return sorted(_TOKENS.findall(one)) == sorted(_TOKENS.findall(other))


def _without(line: bytes, words: tuple[str, ...]) -> bytes:
    for word in sorted(words, key=len, reverse=True):
        line = line.replace(word.encode(), b"\0")
    return line


def _epochs_of(world: World) -> Callable[[re.Match[bytes]], bytes]:
    """Replaces the seconds of a world's clock, give or take a day."""
    first, last = world.times

    def replaced(found: re.Match[bytes]) -> bytes:
        return b"\0" if first - _DAY <= int(found[0][:10]) <= last + _DAY else found[0]

    return replaced


def _alike(
    one: bytes,
    other: bytes,
    replaced_in_one: Callable[[re.Match[bytes]], bytes],
    replaced_in_other: Callable[[re.Match[bytes]], bytes],
) -> bool:
    return _EPOCHS.sub(replaced_in_one, one) == _EPOCHS.sub(replaced_in_other, other)


def _differ_by(one: bytes, other: bytes, number: bytes, another: bytes) -> bool:
    """Whether two lines differ in numbers only, of which each is ``number`` in the one and ``another`` in the other."""
    mine, theirs = _NUMBERS.split(one), _NUMBERS.split(other)
    pairs = {pair for pair in zip(mine, theirs, strict=False) if pair[0] != pair[1]}
    return len(mine) == len(theirs) and pairs == {(number, another)}


def _is_binary_time(difference: Difference, recorded: World, again: World) -> bool:
    """Whether the bytes around the difference are the seconds of both clocks, in either order of bytes."""
    assert difference.offset is not None
    at = [difference.offset - side.start for side in (difference.recorded, difference.again)]
    for back in range(4):
        places = [slice(place - back, place - back + 4) for place in at]
        if min(place.start for place in places) < 0:
            break
        for order in ("little", "big"):
            values = [
                int.from_bytes(side.window[place], order)
                for side, place in zip((difference.recorded, difference.again), places, strict=True)
            ]
            if all(
                first - _DAY <= value <= last + _DAY
                for value, (first, last) in zip(values, (recorded.times, again.times), strict=True)
            ):
                return True
    return False


def _of_section(section: str) -> Reason:
    """What the section of an ELF file tells."""
    if section == ".note.gnu.build-id":
        return BUILD_ID
    if section.startswith((".debug", ".gnu_debug", ".zdebug")):
        return DEBUG
    if section in (".symtab", ".strtab"):
        return SYMBOLS
    return CODE if section.startswith(".") else UNKNOWN


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of a text, or a string in other data, and the place in it."""

    text: bytes
    place: int


def line_at(data: bytes, offset: int) -> Line:
    """The line that an offset is in."""
    start = max(data.rfind(b"\n", 0, offset), data.rfind(b"\0", 0, offset)) + 1
    ends = [end for end in (data.find(b"\n", offset), data.find(b"\0", offset)) if end >= 0]
    return Line(text=data[start : min(ends, default=len(data))], place=offset - start)


def told(one: Path, other: Path, *, names: tuple[str, str]) -> str:
    """Where two wheels of one version begin to differ, in a line; they are known not to be the same.

    Args:
        one: The one.
        other: The other.
        names: What to call them.

    Raises:
        BuildError: One of them is damaged.
    """
    found = first_difference(one, other)
    if found is None:
        return "their files are the same, with other times or packed another way"
    others = len(found.files) - 1
    more = [f"{others} more {'files differ' if others > 1 else 'file differs'}"] if others else []
    return "; ".join([*in_words(found, names=names), *more])


def in_words(difference: Difference, *, names: tuple[str, str] = ("recorded", "again")) -> Iterator[str]:
    """The difference as a person reads it: where it is, then what each side has there, a line each."""
    name = f"{difference.file}{''.join(f' in {part}' for part in difference.part)}"
    if difference.offset is None:
        yield f"{name} is only in one of them: {names[0 if difference.again.data is None else 1]}"
        return
    if difference.mode:
        yield f"{name} is executable in one of them only"
        return
    sides = tuple(zip(names, (difference.recorded, difference.again), strict=True))
    texts = [_text(side.data) for _, side in sides]
    if all(text is not None for text in texts):
        number = (difference.recorded.data or b"").count(b"\n", 0, difference.offset) + 1
        yield f"{name}, line {number}, byte {difference.offset}"
        for label, side in sides:
            yield f"{label}: {_shown(line_at(side.data or b'', difference.offset))}"
        return
    yield f"{name}, byte {difference.offset}"
    for label, side in sides:
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in side.window)
        yield f"{label}: {side.window.hex(' ')}  {letters}"


def _text(data: bytes | None) -> str | None:
    if data is None or b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _shown(line: Line) -> str:
    """As much of a line as a terminal shows well, with the place in it."""
    begin = max(0, min(line.place - _SHOWN // 2, len(line.text) - _SHOWN))
    clean = printable(line.text[begin : begin + _SHOWN].decode(errors="replace"))
    return f"{'…' if begin else ''}{clean}{'…' if begin + _SHOWN < len(line.text) else ''}"

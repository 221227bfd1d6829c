"""What a failed build says it lacks: headers, libraries, programs and packages, found in its log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

Kind = Literal["header", "pkgconfig", "library", "program", "cmake"]

LOG_SIZE = 65_536
"""Bytes of a log that are worth reading: what ends a build is told at its end."""

MOST = 6
"""How many are told: a build that lacks more has another trouble."""

_QUOTE = "['\"`‘’“”]"
_NAME = r"([A-Za-z0-9_][\w.+-]{0,99})"
_PROGRAM = r"((?:/[\w.+/-]{1,99})?[A-Za-z0-9_][\w.+-]{0,99})"
_HEADER = r"([A-Za-z0-9_][\w.+/-]{0,199})"
_ABSENT = "No such file or directory"

# Every pattern begins with words or is of bounded length, so that a log of any content takes linear time.
_PATTERNS: tuple[tuple[Kind, str], ...] = (
    # gcc; clang
    ("header", rf":\d{{1,9}}: fatal error: {_QUOTE}?{_HEADER}(?:: {_ABSENT}|{_QUOTE} file not found)"),
    # Meson
    ("header", rf"ERROR: [\w+ ]{{1,20}} header {_QUOTE}{_HEADER}{_QUOTE} not found"),
    # pkgconf; pkg-config; Rust's pkg-config crate
    ("pkgconfig", rf"Package {_NAME} was not found in the pkg-config search path"),
    ("pkgconfig", rf"Package {_QUOTE}{_NAME}{_QUOTE}, required by .{{1,100}}, not found"),
    ("pkgconfig", rf"No package {_QUOTE}{_NAME}{_QUOTE} found"),
    ("pkgconfig", rf"The system library {_QUOTE}{_NAME}{_QUOTE} required by crate"),
    # Meson
    ("pkgconfig", rf"ERROR: Dependency {_QUOTE}{_NAME}{_QUOTE} (?:\(modules: [^)\n]{{1,100}}\) )?not found"),
    ("pkgconfig", rf"ERROR: Dependency lookup for {_NAME} with method "),
    ("pkgconfig", rf"Run-time dependency {_NAME} (?:\(modules: [^)\n]{{1,100}}\) )?found: NO"),
    # GNU ld; lld; mold; Meson
    ("library", rf"cannot find -l{_NAME}"),
    ("library", rf"unable to find library -l{_NAME}"),
    ("library", rf"fatal: library not found: {_NAME}"),
    ("library", rf"ERROR: [\w+ ]{{1,40}} library {_QUOTE}{_NAME}{_QUOTE} not found"),
    # bash; dash; make; env
    ("program", rf": {_PROGRAM}: command not found$"),
    ("program", rf": \d{{1,9}}: {_PROGRAM}: not found$"),
    ("program", rf"^make(?:\[\d{{1,4}}\])?: {_PROGRAM}: {_ABSENT}$"),
    ("program", rf"env: {_QUOTE}{_PROGRAM}{_QUOTE}: {_ABSENT}"),
    # setuptools, now and before; whatever starts a program from Python
    ("program", rf"command {_QUOTE}{_PROGRAM}{_QUOTE} failed: {_ABSENT}"),
    ("program", rf"unable to execute {_QUOTE}{_PROGRAM}{_QUOTE}: {_ABSENT}"),
    ("program", rf"\[Errno 2\] {_ABSENT}: {_QUOTE}{_PROGRAM}{_QUOTE}"),
    # Meson
    ("program", rf"ERROR: Unknown compiler\(s\): \[\[{_QUOTE}{_PROGRAM}{_QUOTE}"),
    ("program", rf"ERROR: Program {_QUOTE}{_PROGRAM}[^'\n]{{0,99}}{_QUOTE} not found"),
    ("program", rf"Did not find (?:pkg-config by name|CMake) {_QUOTE}{_PROGRAM}{_QUOTE}"),
    ("program", r"(Pkg-config|CMake)(?: binary)? for machine [\w ]{1,40} not found\. Giving up"),
    ("program", r"Could not detect (Ninja) v"),
    # CMake
    ("program", r'unable to find a build program corresponding to "(Unix Makefiles|Ninja)"'),
    ("program", r"No CMAKE_(C|CXX|Fortran)_COMPILER could be found"),
    # gcc; Autoconf; Rust
    ("program", rf"cannot (?:execute|find) {_QUOTE}{_PROGRAM}{_QUOTE}(?:: execvp|: posix_spawn|$)"),
    ("program", r"no acceptable (C|C\+\+|Fortran) compiler found in \$PATH"),
    ("program", rf"linker {_QUOTE}{_PROGRAM}{_QUOTE} not found"),
    ("program", r"The (pkg-config) command could not be found"),
    ("program", r"(Cargo), the Rust package manager, is not installed"),
    ("program", r"can't find (Rust) compiler"),
    # CMake
    ("cmake", rf"By not providing {_QUOTE}Find{_NAME}\.cmake{_QUOTE}"),
    ("cmake", rf"package configuration file provided by {_QUOTE}{_NAME}{_QUOTE}"),
    ("cmake", rf"Could NOT find {_NAME} \("),
)

_PROGRAMS = {  # what logs call it: a program that it comes with
    "C": "gcc",
    "C++": "g++",
    "CMake": "cmake",
    "CXX": "g++",
    "Cargo": "cargo",
    "Fortran": "gfortran",
    "Ninja": "ninja",
    "Pkg-config": "pkg-config",
    "Rust": "rustc",
    "Unix Makefiles": "make",
    "cc1plus": "g++",
    "f951": "gfortran",
}

# A status line of CMake's; Meson's of what may be optional; a compilation that only tries; a probe for a program.
_ASIDE = re.compile(r"^\s{0,20}--|Run-time dependency|Did not find|conftest|_configtest|CMakeScratch|gave \"\[Errno")
_CALLED = "_execute_child"  # Python's subprocess, whose error has the same words as that of a file
_BEFORE = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Lack:
    """Something that a build says it lacks.

    Attributes:
        kind: What it is; Meson's dependencies are ``pkgconfig``.
        name: As its kind is called: ``libxml/tree.h``, ``libxml-2.0``, ``yaml`` of ``-lyaml``, ``cmake``, ``CURL``.
        sure: Whether the build ends for lack of it; else it only says that it isn't there.
    """

    kind: Kind
    name: str
    sure: bool

    def __str__(self) -> str:
        return f"-l{self.name}" if self.kind == "library" else self.name

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What an RPM that has it provides or has as a file, any of them; none for headers and libraries."""
        match self.kind:
            case "program" if self.name.startswith("/"):
                return (self.name,)
            case "program":
                return f"/usr/bin/{self.name}", f"/usr/sbin/{self.name}"
            case "pkgconfig":
                return f"pkgconfig({self.name})", f"cmake({self.name})"
            case "cmake":
                return f"cmake({self.name})", f"cmake({self.name.lower()})"
        return ()

    @property
    def likely(self) -> tuple[str, ...]:
        """What an RPM that may have it provides or is called, by the customs of Fedora, the likeliest first."""
        if self.kind == "program":
            return ()
        stem = re.sub(r"(-[\d.]+|\.\w+)$", "", self.name.partition("/")[0]).lower()
        names = (f"pkgconfig({stem})", f"pkgconfig(lib{stem})", f"{stem}-devel", f"lib{stem}-devel")
        tools = {"pkgconfig": "pkg-config"}
        return (*names, f"/usr/bin/{tools.get(stem, stem)}") if self.kind == "cmake" else names

    def among(self, paths: Iterable[str]) -> list[str]:
        """Those of an RPM's files that are this header or library."""
        if self.kind == "header":
            return [path for path in paths if path.endswith(f"/{self.name}") and path.startswith("/usr/include/")]
        if self.kind == "library":
            ends = (f"/lib{self.name}.so", f"/lib{self.name}.a")
            return [path for path in paths if path.endswith(ends) and path.startswith("/usr/lib")]
        return []


def lacking(log: bytes) -> tuple[Lack, ...]:
    """What a build lacks, as far as its log tells.

    Args:
        log: The last ``LOG_SIZE`` bytes of the log, whatever is in them; that takes some milliseconds.

    Returns:
        At most ``MOST``, the last of them and rather those that are sure, in the order in which they are first told.
    """
    text = log.decode("utf-8", errors="replace")
    found: dict[tuple[Kind, str], tuple[int, bool]] = {}
    for kind, pattern in _compiled():
        for match in pattern.finditer(text):
            if name := _name(kind, match[1]):
                first, sure = found.get((kind, name), (match.start(), False))
                found[kind, name] = min(first, match.start()), sure or _sure(text, match)
    last = sorted(found, key=lambda each: (found[each][1], found[each][0]))[-MOST:]
    ordered = sorted(last, key=lambda each: found[each][0])
    return tuple(Lack(kind=kind, name=name, sure=found[kind, name][1]) for kind, name in ordered)


@cache
def _compiled() -> tuple[tuple[Kind, re.Pattern[str]], ...]:
    # Not where the module is imported, as every run does: few builds fail.
    return tuple((kind, re.compile(pattern, re.MULTILINE | re.ASCII)) for kind, pattern in _PATTERNS)


def _name(kind: Kind, name: str) -> str:
    """The name, or nothing where it is none: a path that leads elsewhere."""
    if {"", ".", ".."} & set(name.removeprefix("/").split("/")):
        return ""
    return _PROGRAMS.get(name, name) if kind == "program" else name


def _sure(text: str, match: re.Match[str]) -> bool:
    before = text[max(0, match.start() - _BEFORE) : match.start()]
    line = before.rpartition("\n")[2] + match[0]
    if _ASIDE.search(line):
        return False
    return not match[0].startswith("[Errno 2]") or _CALLED in before

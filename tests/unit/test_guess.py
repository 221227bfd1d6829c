"""Guesses about real sources: their files as the sdists have them, shortened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from pybuilder.guess import guess, headers_of


@dataclass(frozen=True, kw_only=True)
class Case:
    paths: list[str]
    requires: list[str]
    setup_py: str = ""
    headers: set[str] = field(default_factory=set)
    build: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    vendor: str = ""


CASES = {
    "six": Case(
        paths=["six.py", "setup.py", "test_six.py", "documentation/conf.py", "PKG-INFO"],
        requires=[],
        setup_py="setup(name='six', py_modules=['six'])",
    ),
    "markupsafe": Case(
        paths=["src/markupsafe/__init__.py", "src/markupsafe/_speedups.c", "src/markupsafe/_speedups.pyi", "setup.py"],
        requires=["setuptools>=77"],
        setup_py="ext_modules = [Extension('markupsafe._speedups', ['src/markupsafe/_speedups.c'])]",
        headers={"Python.h"},
        build=("gcc",),
    ),
    "pyyaml": Case(
        paths=["yaml/_yaml.pyx", "yaml/_yaml.h", "yaml/_yaml.pxd", "lib/yaml/__init__.py", "setup.py"],
        requires=["setuptools", "wheel", "Cython>=3.0; python_version >= '3.13'"],
        setup_py="Extension('yaml._yaml', ['yaml/_yaml.pyx'], 'libyaml', LIBYAML_CHECK, libraries=['yaml'])",
        headers={"yaml.h"},
        build=("gcc", "libyaml-devel"),
        runtime=("libyaml",),
    ),
    "cffi": Case(
        paths=[
            "src/c/_cffi_backend.c",
            "src/c/misc_thread_common.h",
            "src/c/libffi_x86_x64/ffi.c",
            "src/c/libffi_x86_x64/ffi_common.h",
            "testing/cffi0/snippets/setuptools_module/setup.py",
            "setup.py",
        ],
        requires=["setuptools >= 66.1"],
        setup_py="libraries = ['ffi']\nsetup(ext_modules=[Extension('_cffi_backend', ['src/c/_cffi_backend.c'])])",
        headers={"ffi.h", "Python.h", "stdint.h"},
        build=("gcc", "libffi-devel"),
        runtime=("libffi",),
    ),
    "lxml": Case(
        paths=["src/lxml/etree.pyx", "src/lxml/etree.c", "src/lxml/includes/tree.pxd", "setup.py", "setupinfo.py"],
        requires=["Cython>=3.1.4", "setuptools"],
        setup_py="import setupinfo\nsetup(ext_modules=setupinfo.ext_modules(STATIC_INCLUDE_DIRS, ...))",
        headers={"libxml/tree.h", "libxslt/xslt.h", "libexslt/exslt.h", "Python.h"},
        build=("gcc", "libxml2-devel", "libxslt-devel"),
        runtime=("libxml2", "libxslt"),
    ),
    "numpy": Case(
        paths=[
            "numpy/_core/src/multiarray/alloc.cpp",
            "numpy/_core/src/umath/loops.c",
            "numpy/f2py/tests/src/string/fixed_string.f90",
            "numpy/random/_mt19937.pyx",
            "vendored-meson/meson/meson.py",
            "meson.build",
        ],
        requires=["meson-python>=0.18.0", "Cython>=3.0.6"],
        headers={"Python.h", "math.h"},
        build=("gcc", "gcc-c++", "ninja-build", "patchelf"),
    ),
    "cryptography": Case(
        paths=["Cargo.toml", "Cargo.lock", "src/rust/src/lib.rs", "src/_cffi_src/openssl/bio.py", "pyproject.toml"],
        requires=["maturin>=1.9.4,<2", "cffi>=2.0.0", "setuptools!=74.0.0"],
        headers={"openssl/bio.h", "openssl/err.h"},
        build=("cargo", "gcc", "openssl-devel", "rust"),
        runtime=("openssl-libs",),
        vendor="cargo",
    ),
    "scipy": Case(
        paths=["scipy/linalg/src/id_dist/src/iddr.f", "scipy/_lib/_ccallback_c.pyx", "scipy/special/xsf.cpp"],
        requires=["meson-python", "pybind11>=2.13", "numpy>=2"],
        build=("gcc", "gcc-c++", "gcc-gfortran", "ninja-build", "patchelf"),
    ),
    "pyzmq": Case(
        paths=["CMakeLists.txt", "zmq/backend/cython/_zmq.py", "zmq/utils/zmq_compat.h"],
        requires=["scikit-build-core>=0.10", "cython>=3", "cmake>=3.15", "ninja"],
        headers={"zmq.h"},
        build=("cmake", "gcc", "ninja-build", "zeromq-devel"),
        runtime=("zeromq",),
        remove=("cmake", "ninja"),
    ),
}  # fmt: skip


def run(case: Case) -> Any:
    pyproject = {"build-system": {"requires": case.requires}} if case.requires else {}
    return guess(case.paths, pyproject, case.setup_py, case.headers)


@pytest.mark.parametrize("name", CASES)
def test_real_sources(name: str) -> None:
    case = CASES[name]
    made = run(case)
    assert (made.build, made.runtime) == (case.build, case.runtime)
    assert (made.remove_requires, made.vendor, made.notes) == (case.remove, case.vendor, ())
    assert set(made.why) == {*made.build, *made.runtime}


def test_sources_that_nothing_compiles_are_only_noted() -> None:
    made = guess(["pkg/data/template.c", "pkg/__init__.py"], {"build-system": {"requires": ["flit_core"]}}, "")
    assert made.build == ()
    assert "gcc" in made.notes[0]


def test_sources_of_tests_and_examples_do_not_count() -> None:
    paths = ["tests/ext.c", "docs/x.cpp", "examples/demo/a.f90", ".github/x.c", "pkg/__init__.py"]
    made = guess(paths, {}, "ext_modules=[]")
    assert (made.build, made.notes) == ((), ())


def test_a_library_that_the_source_brings_along_is_not_wanted_from_the_system() -> None:
    made = guess(["zlib/zlib.h", "zlib/inflate.c", "x.c"], {}, "Extension('x', ['x.c'])", {"zlib.h", "zstd.h"})
    assert made.build == ("gcc", "libzstd-devel")


def test_rust_without_a_lock_is_noted() -> None:
    made = guess(["Cargo.toml", "src/lib.rs"], {"build-system": {"requires": ["setuptools-rust"]}}, "")
    assert made.vendor == "cargo" and "Cargo.lock" in made.notes[0]


@pytest.mark.parametrize(
    "pyproject",
    [
        {"build-system": []},
        {"build-system": {"requires": "x"}},
        {"tool": 3},
        {"build-system": {"requires": ["a b", 3]}},
    ],
)
def test_rubbish_in_pyproject_is_survived(pyproject: dict[str, Any]) -> None:
    assert guess(["x.py"], pyproject, "").build == ()


def test_declared_extensions_compile() -> None:
    pyproject = {"tool": {"setuptools": {"ext-modules": [{"name": "x", "sources": ["x.c"]}]}}}
    assert guess(["x.c"], pyproject, "").build == ("gcc",)


def test_headers_of() -> None:
    text = '#include <zlib.h>\n  # include <openssl/bio.h>\n#include "own.h"\ncdef extern from "libxml/tree.h":\n'
    assert headers_of(text) == {"zlib.h", "openssl/bio.h", "libxml/tree.h"}


def test_each_guess_says_why() -> None:
    made = guess(["x.c", "y.c"], {"build-system": {"requires": ["cython"]}}, "libraries=['yaml']", {"zlib.h"})
    assert made.why == {
        "gcc": "there is x.c",
        "libyaml": "setup.py links yaml",
        "libyaml-devel": "setup.py links yaml",
        "zlib": "<zlib.h> is included",
        "zlib-devel": "<zlib.h> is included",
    }


def test_headers_are_included_at_the_beginning_of_a_line_only() -> None:
    text = '// #include <a.h>\n# #include <b.h>\n#include <c.h> #include <d.h>\nx = cdef extern from "e.h"\n'
    assert headers_of(text) == {"c.h"}

"""What logs say is lacking; the excerpts are what the tools really print."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from pybuilder.lacking import LOG_SIZE, MOST, Lack, lacking
from pybuilder.plan import Root
from pybuilder.processes import install_command
from pybuilder.sandbox.host_root import HostRoots

GCC = """\
x.c:3:10: fatal error: libxml/xmlversion.h: No such file or directory
    3 | #include <libxml/xmlversion.h>
      |          ^~~~~~~~~~~~~~~~~~~~~
compilation terminated.
"""
PKGCONF = """\
Package libxml-2.0 was not found in the pkg-config search path.
Perhaps you should add the directory containing `libxml-2.0.pc'
to the PKG_CONFIG_PATH environment variable
Package 'libxml-2.0', required by 'virtual:world', not found
"""
MESON = """\
Host machine cpu: x86_64
Did not find pkg-config by name 'pkg-config'
Found pkg-config: NO
Did not find CMake 'cmake'
Found CMake: NO
Run-time dependency yaml-0.1 found: NO

../meson.build:2:0: ERROR: {}

A full log can be found at /build/x-1.0/.mesonpy/meson-logs/meson-log.txt
"""
MESON_COMPILER = """\
../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc'], ['clang'], ['nvc'], ['pgcc'], ['icc'], ['icx']]
The following exception(s) were encountered:
Running `cc --version` gave "[Errno 2] No such file or directory: 'cc'"
Running `gcc --version` gave "[Errno 2] No such file or directory: 'gcc'"
"""
CMAKE_CONFIG = """\
CMake Error at CMakeLists.txt:3 (find_package):
  By not providing "FindFoo.cmake" in CMAKE_MODULE_PATH this project has
  asked CMake to find a package configuration file provided by "Foo", but
  CMake did not find one.

  Could not find a package configuration file provided by "Foo" with any of
  the following names:

    FooConfig.cmake
    foo-config.cmake
"""
CMAKE_MODULE = """\
-- Found LibXslt: /usr/lib64/libxslt.so (found version "1.1.35")
-- Could NOT find Doxygen (missing: DOXYGEN_EXECUTABLE)
CMake Error at /usr/share/cmake-3.25/Modules/FindPackageHandleStandardArgs.cmake:230 (message):
  Could NOT find CURL (missing: CURL_LIBRARY CURL_INCLUDE_DIR)
Call Stack (most recent call first):
  /usr/share/cmake-3.25/Modules/FindPackageHandleStandardArgs.cmake:600 (_FPHSA_FAILURE_MESSAGE)
-- Configuring incomplete, errors occurred!
"""
CMAKE_PKG = """\
-- Found PkgConfig: /usr/bin/pkg-config (found version "1.8.1")
-- Checking for module 'yaml-9.1'
--   Package 'yaml-9.1', required by 'virtual:world', not found
CMake Error at /usr/share/cmake-3.25/Modules/FindPkgConfig.cmake:607 (message):
  A required package was not found
"""
TRACEBACK = """\
  File "/usr/lib64/python3.14/subprocess.py", line 1026, in __init__
    self._execute_child(args, executable, preexec_fn, close_fds,
  File "/usr/lib64/python3.14/subprocess.py", line 1950, in _execute_child
    raise child_exception_type(errno_num, err_msg, err_filename)
FileNotFoundError: [Errno 2] No such file or directory: 'cmake'
"""
MESON_NOT_FOUND = 'Dependency "{}" not found{}tried pkg-config and cmake{}'


def told(log: str) -> list[tuple[str, str]]:
    return [(lack.kind, lack.name) for lack in lacking(log.encode()) if lack.sure]


@pytest.mark.parametrize(
    ("log", "kind", "name"),
    [
        (GCC, "header", "libxml/xmlversion.h"),
        ("a.cc:1:10: fatal error: 'Eigen/Core' file not found\n", "header", "Eigen/Core"),
        ("../meson.build:4:3: ERROR: C header 'yaml.h' not found\n", "header", "yaml.h"),
        ("x.c:1:10: fatal error: Python.h: No such file or directory", "header", "Python.h"),
        (PKGCONF, "pkgconfig", "libxml-2.0"),
        ("Package 'zzz-1.0', required by 'x', not found\n", "pkgconfig", "zzz-1.0"),
        ("No package 'gtk+-3.0' found\n", "pkgconfig", "gtk+-3.0"),
        ("The system library `openssl` required by crate `openssl-sys` was not found.\n", "pkgconfig", "openssl"),
        (MESON.format(MESON_NOT_FOUND.format("yaml-0.1", " (", ")")), "pkgconfig", "yaml-0.1"),
        (MESON.format(MESON_NOT_FOUND.format("yaml-0.1", ", ", "")), "pkgconfig", "yaml-0.1"),
        ("/usr/bin/ld: cannot find -lyaml: No such file or directory\n", "library", "yaml"),
        ("/usr/bin/ld: cannot find -lstdc++\n", "library", "stdc++"),
        ("ld.lld: error: unable to find library -lyaml\n", "library", "yaml"),
        ("mold: fatal: library not found: yaml\n", "library", "yaml"),
        ("../meson.build:5:5: ERROR: C shared or static library 'yaml' not found\n", "library", "yaml"),
        ("sh: line 1: cmake: command not found\n", "program", "cmake"),
        ("/bin/sh: 1: cmake: not found\n", "program", "cmake"),
        ("make: x86_64-redhat-linux-gnu-gcc: No such file or directory\n", "program", "x86_64-redhat-linux-gnu-gcc"),
        ("make[2]: /usr/bin/swig: No such file or directory\n", "program", "/usr/bin/swig"),
        ("/usr/bin/env: ‘perl’: No such file or directory\n", "program", "perl"),
        ("error: command 'gcc' failed: No such file or directory\n", "program", "gcc"),
        ("unable to execute 'g++': No such file or directory\n", "program", "g++"),
        (TRACEBACK, "program", "cmake"),
        (MESON_COMPILER, "program", "cc"),
        ("../meson.build:2:0: ERROR: Program 'swig swig4' not found or not executable\n", "program", "swig"),
        ("ERROR: Could not detect Ninja v1.8.2 or newer\n", "program", "ninja"),
        ("gcc: fatal error: cannot execute ‘cc1plus’: execvp: No such file or directory\n", "program", "g++"),
        ("collect2: fatal error: cannot find ‘ld’\n", "program", "ld"),
        ("error: linker `cc` not found\n", "program", "cc"),
        (
            "configure: error: in `/build/x':\nconfigure: error: no acceptable C compiler found in $PATH\n",
            "program",
            "gcc",
        ),
        ("Cargo, the Rust package manager, is not installed or is not on PATH.\n", "program", "cargo"),
        ("error: can't find Rust compiler\n", "program", "rustc"),
        (CMAKE_CONFIG, "cmake", "Foo"),
        (CMAKE_MODULE, "cmake", "CURL"),
    ],
)
def test_what_tools_print(log: str, kind: str, name: str) -> None:
    before = "[1/7] Compiling C object x.so.p/x.c.o\nWarning: docs/index.h: No such file or directory\n"
    assert told(before + log + "some other line\n") == [(kind, name)]


@pytest.mark.parametrize(
    ("log", "wanted"),
    [
        (
            MESON.format(
                "Dependency lookup for yaml-0.1 with method 'pkg-config' failed: "
                "Pkg-config for machine host machine not found. Giving up."
            ),
            [("program", "pkg-config"), ("pkgconfig", "yaml-0.1")],
        ),
        (
            'CMake Error: CMake was unable to find a build program corresponding to "Ninja".  CMAKE_MAKE_PROGRAM is\n'
            "  No CMAKE_CXX_COMPILER could be found.\n",
            [("program", "ninja"), ("program", "g++")],
        ),
        (GCC + "/usr/bin/ld: cannot find -lxml2\n" + GCC, [("header", "libxml/xmlversion.h"), ("library", "xml2")]),
    ],
)
def test_several_in_order_and_once(log: str, wanted: list[tuple[str, str]]) -> None:
    assert told(log) == wanted


@pytest.mark.parametrize(
    ("log", "doubtful"),
    [
        (CMAKE_PKG, ["yaml-9.1"]),
        ("_configtest.c:1:10: fatal error: foo.h: No such file or directory\n", ["foo.h"]),
        ("Run-time dependency yaml-0.1 found: NO (tried pkgconfig and cmake)\n", ["yaml-0.1"]),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'LICENSE'\n", ["LICENSE"]),
        ("-- Could NOT find Doxygen (missing: DOXYGEN_EXECUTABLE)\n", ["Doxygen"]),
    ],
)
def test_what_need_not_end_a_build_is_in_doubt(log: str, doubtful: list[str]) -> None:
    assert [(lack.name, lack.sure) for lack in lacking(log.encode())] == [(name, False) for name in doubtful]


def test_what_was_in_doubt_and_then_ends_the_build_is_sure() -> None:
    assert told("Run-time dependency yaml found: NO\n" + 'x: ERROR: Dependency "yaml" not found\n') == [
        ("pkgconfig", "yaml")
    ]


@pytest.mark.parametrize(
    "log",
    [
        "",
        "error: subprocess-exited-with-error\n",
        "cc1: fatal error: nothere.c: No such file or directory\n",
        "/usr/bin/ld: cannot find nothere.o: No such file or directory\n",
        "x.c:1:10: fatal error: ../../etc/passwd: No such file or directory\n",
        "x.c:1:10: fatal error: a/../b.h: No such file or directory\n",
        "cannot find -l$(reboot)\n",
        "make: *** No rule to make target 'x'.  Stop.\n",
        "ModuleNotFoundError: No module named 'numpy'\n",
        "x.c:3:10: fatal error: \x1b[31mred.h: No such file or directory\n",
    ],
)
def test_what_is_nothing(log: str) -> None:
    assert lacking(log.encode()) == ()


def test_the_last_of_many() -> None:
    log = "".join(f"cannot find -lx{n}\n" for n in range(100))
    doubtful = "".join(f"-- Could NOT find X{n} (missing: X)\n" for n in range(100))
    assert [lack.name for lack in lacking((log + doubtful).encode())] == [f"x{n}" for n in range(100 - MOST, 100)]


class TestHostileLogs:
    """A build can print anything; it gets no time and no control characters."""

    @pytest.mark.parametrize(
        "piece",
        [
            b"\0",
            b"\n",
            b" ",
            b"a",
            b": a",
            b": 1",
            b"/a",
            b"a.-+",
            b":1: fatal error: ",
            b":1: fatal error: a/",
            b"Package a, required by ",
            b"No package '",
            b"cannot find -l",
            b"cannot find -la\n",
            b"\nmake: /a",
            b"env: 'a",
            b"[Errno 2] No such file or directory: '/",
            b"ERROR: a b c ",
            b"ERROR: Program 'a ",
            b"Run-time dependency a (modules: ",
            b"Could NOT find A (",
            b"\xe2\x80",
            "‘".encode(),
        ],
    )
    def test_takes_no_time(self, piece: bytes) -> None:
        log = (piece * (LOG_SIZE // len(piece) + 1))[:LOG_SIZE]
        begun = time.process_time()
        assert len(lacking(log)) <= MOST
        assert time.process_time() - begun < 0.2

    def test_of_any_bytes(self) -> None:
        noise = random.Random(3)
        pieces = [GCC.encode(), PKGCONF.encode(), b"cannot find -l", b": command not found\n", b"'", b"\x1b[2J", b"/"]
        for _ in range(200):
            log = b"".join(noise.choice(pieces) + noise.randbytes(noise.randrange(9)) for _ in range(99))
            for lack in lacking(log):
                assert lack.name.isascii() and lack.name.isprintable() and len(lack.name) <= 200


def prints(*argv: str, cwd: Path) -> bytes:
    """What a real program prints as it fails."""
    environ = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode != 0, done.stdout
    return done.stdout


class TestRealTools:
    """The tools of this machine, whatever their versions are."""

    @pytest.mark.parametrize(
        ("argv", "wanted"),
        [
            (("gcc", "-c", "header.c"), Lack(kind="header", name="no/such.h", sure=True)),
            (("gcc", "main.c", "-lnosuch"), Lack(kind="library", name="nosuch", sure=True)),
            (("pkg-config", "--cflags", "no-such-1.0"), Lack(kind="pkgconfig", name="no-such-1.0", sure=True)),
            (("make", "-f", "direct.mk"), Lack(kind="program", name="no-such-tool", sure=True)),
            (("make", "-f", "shell.mk"), Lack(kind="program", name="no-such-tool", sure=True)),
            (("sh", "-c", "no-such-tool x"), Lack(kind="program", name="no-such-tool", sure=True)),
            (("bash", "-c", "no-such-tool x"), Lack(kind="program", name="no-such-tool", sure=True)),
            (("env", "no-such-tool"), Lack(kind="program", name="no-such-tool", sure=True)),
            (("python3", "run.py"), Lack(kind="program", name="no-such-tool", sure=True)),
            (("cmake", "-S", "config"), Lack(kind="cmake", name="NoSuch", sure=True)),
            (("cmake", "-S", "pkg"), Lack(kind="pkgconfig", name="no-such-1.0", sure=False)),
        ],
    )
    def test_their_words(self, tmp_path: Path, argv: tuple[str, ...], wanted: Lack) -> None:
        assert shutil.which(argv[0]), install_command(argv[0])
        (tmp_path / "header.c").write_text("#include <no/such.h>\n")
        (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
        (tmp_path / "direct.mk").write_text("all:\n\tno-such-tool x\n")
        (tmp_path / "shell.mk").write_text("all:\n\tno-such-tool x && true\n")
        (tmp_path / "run.py").write_text("import subprocess\nsubprocess.run(['no-such-tool'])\n")
        head = "cmake_minimum_required(VERSION 3.10)\nproject(x NONE)\n"
        for name, line in {
            "config": "find_package(NoSuch REQUIRED)",
            "pkg": "find_package(PkgConfig REQUIRED)\npkg_check_modules(X REQUIRED no-such-1.0)",
        }.items():
            (tmp_path / name).mkdir()
            (tmp_path / name / "CMakeLists.txt").write_text(f"{head}{line}\n")
        assert wanted in lacking(prints(*argv, cwd=tmp_path))


class TestLack:
    @pytest.mark.parametrize(
        ("lack", "provides"),
        [
            (Lack(kind="program", name="cmake", sure=True), ("/usr/bin/cmake", "/usr/sbin/cmake")),
            (Lack(kind="program", name="/opt/x/cc", sure=True), ("/opt/x/cc",)),
            (Lack(kind="pkgconfig", name="yaml-0.1", sure=True), ("pkgconfig(yaml-0.1)", "cmake(yaml-0.1)")),
            (Lack(kind="cmake", name="CURL", sure=True), ("cmake(CURL)", "cmake(curl)")),
            (Lack(kind="header", name="yaml.h", sure=True), ()),
        ],
    )
    def test_what_would_have_it(self, lack: Lack, provides: tuple[str, ...]) -> None:
        assert lack.capabilities == provides

    @pytest.mark.parametrize(
        ("kind", "name", "path", "is_it"),
        [
            ("header", "libxml/tree.h", "/usr/include/libxml2/libxml/tree.h", True),
            ("header", "yaml.h", "/usr/include/yaml.h", True),
            ("header", "yaml.h", "/usr/include/notyaml.h", False),
            ("header", "yaml.h", "/usr/share/doc/yaml.h", False),
            ("library", "yaml", "/usr/lib64/libyaml.so", True),
            ("library", "yaml", "/usr/lib/x86_64-linux-gnu/libyaml.a", True),
            ("library", "yaml", "/usr/lib64/libyaml-0.so.2", False),
        ],
    )
    def test_which_files_are_it(self, kind: str, name: str, path: str, is_it: bool) -> None:
        assert Lack(kind=kind, name=name, sure=True).among([path]) == [path] * is_it  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("kind", "name", "likely"),
        [
            ("header", "gmp.h", "gmp-devel"),
            ("header", "curl/curl.h", "libcurl-devel"),
            ("library", "avcodec", "pkgconfig(libavcodec)"),
            ("cmake", "ZLIB", "pkgconfig(zlib)"),
            ("cmake", "PkgConfig", "/usr/bin/pkg-config"),
            ("pkgconfig", "libxml-2.0", "libxml-devel"),
        ],
    )
    def test_what_may_have_it(self, kind: str, name: str, likely: str) -> None:
        assert likely in Lack(kind=kind, name=name, sure=True).likely  # type: ignore[arg-type]


class TestHost:
    """On a machine's own system only the administrator knows what to install, but for a few names."""

    @pytest.mark.parametrize(
        ("log", "advice"),
        [
            (GCC, "it lacks libxml/xmlversion.h: install the package that has it"),
            (
                GCC + "/usr/bin/ld: cannot find -lxml2\n",
                "it lacks libxml/xmlversion.h, -lxml2: install the packages that have them",
            ),
            (CMAKE_PKG, ""),
            ("", ""),
        ],
    )
    def test_advice(self, log: str, advice: str) -> None:
        root = Root(kind="host", digest="", contents={})
        assert HostRoots(lambda: root).advice(lacking(log.encode()), package="x", built_on=root) == advice

    def test_a_command_where_the_name_is_known(self) -> None:
        root = Root(kind="host", digest="", contents={})
        found = HostRoots(lambda: root).advice(
            lacking(b"sh: line 1: cmake: command not found\n"), package="x", built_on=root
        )
        assert found.startswith("it lacks cmake: ") and "install cmake" in found

"""Backends use the processors they are given, and what they make does not depend on it; with a real setuptools."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import setuptools

from tests.support.sandbox import Place, place, places
from tests.support.workspaces import Bench, Ran, bench

# A compiler that tells when it runs, and takes so long that who may run beside it does.
COMPILER = """\
echo "begin $*" >> compiled.txt
sleep 0.4
gcc "$@" || exit 1
echo "end" >> compiled.txt
"""
BUILD = """\
import glob, os, platform, sys
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
extensions = [Extension(name, sources) for name, sources in FACTS["extensions"]]
{override}
setup(name="alpha", ext_modules=extensions, cmdclass=dict(build_ext=build_ext),
      script_args=["-q", "build_ext", "--build-lib", "built"])
print(open("compiled.txt").read(), flush=True)
print("told:", sorted(f"{{k}}={{v}}" for k, v in os.environ.items() if "JOBS" in k or k == "MAKEFLAGS"), flush=True)
made = {{os.path.basename(path): open(path, "rb").read() for path in sorted(glob.glob("built/*.so"))}}
python = f"cp{{sys.version_info[0]}}{{sys.version_info[1]}}"
result = write_wheel(out, files=made, tag=f"{{python}}-{{python}}-linux_{{platform.machine()}}")
"""
# What the ordinary override of many packages looks like, and one that no extension may be built beside.
OPTIONAL = """
class build_ext(build_ext):
    def build_extension(self, ext):
        try:
            super().build_extension(ext)
        except ValueError:
            raise OSError("no compiler")
"""
FLAGS = """
class build_ext(build_ext):
    def build_extension(self, ext):
        self.compiler.compiler_so = [*self.compiler.compiler_so, "-DNAME=" + ext.name]
        super().build_extension(ext)
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        _accept_setuptools(made)
        yield made


def _accept_setuptools(here: Bench) -> None:
    """A source whose wheel is the setuptools that runs the tests."""
    base = Path(setuptools.__file__).parents[1]
    entries = "".join(
        f"{name} = setuptools.command.{name}:{name}\n" for name in ("build_ext", "build_py", "egg_info", "install_lib")
    )
    info = f"setuptools-{setuptools.__version__}.dist-info/entry_points.txt"
    act = "import os\nfiles = {}\nfor top, _, names in os.walk('src'):\n"
    act += "    files.update({os.path.join(top, n)[4:]: open(os.path.join(top, n), 'rb').read() for n in names})\n"
    act += f"files[{info!r}] = {'[distutils.commands]' + chr(10) + entries!r}\nresult = write_wheel(out, files=files)\n"
    sources = {}
    for package in ("setuptools", "pkg_resources", "_distutils_hack"):
        for path in (base / package).rglob("*"):
            if path.is_file() and path.suffix not in (".exe", ".pyc"):
                sources[f"src/{path.relative_to(base)}"] = path.read_bytes()
    here.accept("setuptools", setuptools.__version__, act=act, files=sources, spec='[test]\nimports = ["json"]\n')


def accept(here: Bench, extensions: dict[str, list[str]], *, override: str = "") -> None:
    """A package of these extensions and their sources."""
    facts = f"FACTS['extensions'] = {list(extensions.items())!r}\n"
    files = {"compiler.sh": COMPILER.encode()}
    for name, sources in extensions.items():
        for source in sources:
            init = f"PyMODINIT_FUNC PyInit_{name}(void) {{ return 0; }}" if source == sources[0] else ""
            text = f"#include <Python.h>\n{init}\nint {source[:-2]}(int x) {{ return x + {len(source)}; }}\n"
            files[source] = text.encode()
    here.accept("alpha", build_requires=["setuptools"], act=facts + BUILD.format(override=override), files=files)


def build(here: Bench, cpus: int) -> tuple[Ran, str, str]:
    """Build it with this many processors: the run, the payload's digest, and the log."""
    here.spec(
        "alpha", f'[build]\nenv = {{ CC = "sh compiler.sh" }}\nlimits.cpus = {cpus}\n[test]\nimports = ["json"]\n'
    )
    ran = here.rebuild("alpha==1.0")
    [wheel] = next(b for b in ran.json["built"] if b["name"] == "alpha")["wheels"]
    return ran, wheel["payload_sha256"], Path(wheel["log"]).read_text()


def most_at_once(log: str) -> int:
    """The most compilers that ran at once."""
    most = running = 0
    for word in re.findall("^(begin|end)", log, re.MULTILINE):
        running += 1 if word == "begin" else -1
        most = max(most, running)
    return most


@pytest.mark.parametrize(
    ("extensions", "override", "most"),
    [
        ({"one": ["one.c", *(f"s{n}.c" for n in range(5))]}, "", 2),
        ({f"e{n}": [f"e{n}.c"] for n in range(4)}, "", 2),
        ({f"e{n}": [f"e{n}.c", f"f{n}.c"] for n in range(3)}, OPTIONAL, 2),
        ({f"e{n}": [f"e{n}.c"] for n in range(3)}, FLAGS, 1),
    ],
)
def test_setuptools_makes_the_same_with_two(
    here: Bench, extensions: dict[str, list[str]], override: str, most: int
) -> None:
    accept(here, extensions, override=override)
    _, alone, log = build(here, 1)
    assert most_at_once(log) == 1
    assert "CARGO_BUILD_JOBS=1" in log and "MAKEFLAGS=-j1" in log
    _, together, log = build(here, 2)
    # The linker of one extension may run while others are compiled.
    assert most <= most_at_once(log) <= 2 * most - 1
    assert log.count("begin") == sum(len(sources) + 1 for sources in extensions.values())
    assert "CARGO_BUILD_JOBS=2" in log and "MAKEFLAGS=-j2" in log
    assert alone == together
    here.check_sound()


def test_without_a_word_it_has_the_machine(here: Bench) -> None:
    accept(here, {"one": ["one.c"]})
    _, _, log = build(here, 0)
    assert f"MAX_JOBS={len(os.sched_getaffinity(0))}'" in log


class TestProcessors:
    """Programs inside see as many processors as they may use."""

    @pytest.fixture(params=places())
    def place(self, request: pytest.FixtureRequest) -> Iterator[Place]:
        with place(request.param) as made:
            yield made

    @pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a machine with two processors")
    def test_they_count_what_they_were_given(self, place: Place) -> None:
        place.shell("nproc", cpus=1)
        counted = re.findall(rb"^\d+$", place.shell("nproc").log, re.MULTILINE)
        assert counted == [b"1", b"%d" % len(os.sched_getaffinity(0))]

    @pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a machine with two processors")
    def test_builds_beside_each_other_have_others(self, place: Place) -> None:
        script = "print(*os.sched_getaffinity(0), flush=True); time.sleep(3)"
        ran = place.run_all(["a", "b"], script, cpus=1)
        assert len({one.log for one in ran}) == 2

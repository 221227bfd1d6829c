"""The distribution that the other tests of RPMs rest on."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pybuilder.buildroot import complete, parse_buildroot
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.lockfile import Lock
from pybuilder.rpm.lock import Locker
from pybuilder.rpm.requests import requests
from pybuilder.store import Store
from tests.support.distribution import BASE, Distribution, definition, distribution, missing_tools

# What shipped specs and other tests ask for.
NAMES = """
    gcc-c++ python3-devel libffi-devel openssl-devel zlib-devel libxml2-devel libxslt-devel openblas-devel
    cmake ninja-build rust cargo patchelf git-core libyaml-devel libjpeg-turbo-devel libffi libyaml libxslt
    freetype-devel freetype lcms2-devel lcms2 libtiff-devel libtiff libwebp-devel libwebp zlib openblas-serial
    libstdc++ rpm util-linux findutils bzip2-libs libxml2
"""


@pytest.fixture(scope="module")
def made() -> Distribution:
    if missing := missing_tools():
        pytest.fail(missing)
    return distribution()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("distribution")


@pytest.fixture(scope="module")
def lock(made: Distribution, home: Path) -> Lock:
    return locked(made, home, [*NAMES.split(), *BASE])


@pytest.fixture(scope="module")
def files(lock: Lock, home: Path) -> Mapping[str, Path]:
    """The locked RPMs, which are in the store."""
    store = Store(Layout(root=home))
    return {name: file for name, each in lock.rpms.items() if (file := store.rpm(each.sha256))}


def locked(made: Distribution, home: Path, packages: Sequence[str]) -> Lock:
    made.copy_keys(home)
    text = definition(made, packages=packages)
    buildroot = complete(parse_buildroot(text, "buildroots/fedora-test.toml"), python=made.python, arch="x86_64")
    layout = Layout(root=home)
    with Client() as client:
        locker = Locker(layout=layout, store=Store(layout), client=client, home=home, report=lambda text: None)
        return locker.lock(buildroot, requests(buildroot, ()), old=None).lock


def rpm(*argv: str | Path) -> str:
    done = subprocess.run(["rpm", *map(str, argv)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_specs_find_the_names_that_fedora_has(lock: Lock, files: Mapping[str, Path]) -> None:
    assert {*NAMES.split(), *BASE} <= lock.answers.keys()
    assert files.keys() == lock.rpms.keys()


def test_rpm_accepts_the_signatures(made: Distribution, files: Mapping[str, Path], tmp_path: Path) -> None:
    database = ["--dbpath", tmp_path / "db"]
    rpm(*database, "--import", *made.keys)
    some = sorted(files.values())[::20]
    said = rpm(*database, "-K", *some).splitlines()
    assert len(said) == len(some) and all(line.endswith("digests signatures OK") for line in said)


def test_libraries_and_development_files_provide_what_they_do_in_fedora(files: Mapping[str, Path]) -> None:
    assert "libxml2.so.2()(64bit)" in rpm("-qp", "--nosignature", "--provides", files["libxml2"])
    assert "pkgconfig(libxml-2.0)" in rpm("-qp", "--nosignature", "--provides", files["libxml2-devel"])


def test_a_root_of_it_compiles(made: Distribution, lock: Lock, files: Mapping[str, Path], tmp_path: Path) -> None:
    """What issue 3 builds on: one rpm transaction without scriptlets gives a root that works."""
    root = tmp_path / "root"
    root.mkdir()
    database = ["--define", "_dbpath /usr/lib/sysimage/rpm", "--define", "_db_backend sqlite"]
    some = [files[each.name] for each in lock.closure(BASE)]
    rpm("--root", root, *database, "-i", "--nosignature", "--nodocs", "--noscripts", "--notriggers", *some)
    (root / "tmp" / "x.c").write_text("#include <Python.h>\nint main(void) { return PY_MAJOR_VERSION - 3; }\n")
    script = "set -e; cd /tmp; gcc $(python3-config --includes) x.c -o x; ./x; c++ --version; awk 1 </dev/null"
    done = subprocess.run(["chroot", root, "/bin/sh", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    executable = f"/usr/bin/python{made.python}"
    assert subprocess.run(["chroot", root, executable, "-c", ""], capture_output=True).returncode == 0


def test_two_ask_for_it_and_it_is_made_once(made: Distribution) -> None:
    before = made.directory and made.directory.stat().st_ctime_ns
    assert distribution() == made
    assert (made.directory and made.directory.stat().st_ctime_ns) == before

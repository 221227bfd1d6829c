"""The test distribution itself: what the other tests of RPMs rest on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pybuilder.buildroot import complete, parse_buildroot
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.lockfile import Rpm
from pybuilder.rpm.lock import Locker
from pybuilder.rpm.requests import requests
from pybuilder.store import Store
from tests.support.distribution import BASE, Distribution, definition, distribution, missing_tools

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="its RPMs are made of Debian's packages")


@pytest.fixture(autouse=True, scope="module")
def tools() -> None:
    if missing := missing_tools():
        pytest.fail(missing)


@pytest.fixture(scope="module")
def made() -> Distribution:
    return distribution()


def rpm(*argv: str | Path) -> str:
    done = subprocess.run(["rpm", *map(str, argv)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_specs_find_the_names_that_fedora_has(made: Distribution) -> None:
    files = [*made.repository.rglob("*.rpm")]
    names = set(rpm("-qp", "--nosignature", "--qf", "%{NAME}\\n", *files).split())
    fedora = """gcc-c++ python3-devel libffi-devel openssl-devel zlib-devel libxml2-devel libxslt-devel openblas-devel
        cmake ninja-build rust cargo patchelf git-core libyaml-devel libjpeg-turbo-devel libffi libyaml libxslt
        freetype-devel freetype lcms2-devel lcms2 libtiff-devel libtiff libwebp-devel libwebp zlib openblas-serial
        libstdc++ rpm util-linux findutils"""
    assert {*fedora.split(), *BASE} <= names
    assert len(names) == len(files)


def test_rpm_accepts_the_signatures(made: Distribution, tmp_path: Path) -> None:
    database = ["--dbpath", tmp_path / "db"]
    rpm(*database, "--import", made.key)
    files = sorted(made.repository.rglob("*.rpm"))[::20]
    said = rpm(*database, "-K", *files).splitlines()
    assert len(said) == len(files) and all(line.endswith("digests signatures OK") for line in said)


def test_libraries_and_development_files_provide_what_they_do_in_fedora(made: Distribution) -> None:
    (libxml2,) = made.repository.rglob("libxml2-2*.rpm")
    (devel,) = made.repository.rglob("libxml2-devel-*.rpm")
    assert "libxml2.so.2()(64bit)" in rpm("-qp", "--nosignature", "--provides", libxml2)
    assert "pkgconfig(libxml-2.0)" in rpm("-qp", "--nosignature", "--provides", devel)


def test_a_root_of_it_compiles(made: Distribution, tmp_path: Path) -> None:
    """What issue 3 builds on: one rpm transaction without scriptlets gives a root that works."""
    root = tmp_path / "root"
    root.mkdir()
    database = ["--define", "_dbpath /usr/lib/sysimage/rpm", "--define", "_db_backend sqlite"]
    files = [made.repository / each.location for each in _locked(made, tmp_path / "state")]
    rpm("--root", root, *database, "-i", "--nosignature", "--nodocs", "--noscripts", "--notriggers", *files)
    (root / "tmp" / "x.c").write_text("#include <Python.h>\nint main(void) { return PY_MAJOR_VERSION - 3; }\n")
    script = "set -e; cd /tmp; gcc $(python3-config --includes) x.c -o x; ./x; c++ --version; awk 1 </dev/null"
    done = subprocess.run(["chroot", root, "/bin/sh", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def _locked(made: Distribution, home: Path) -> tuple[Rpm, ...]:
    (home / "keys").mkdir(parents=True)
    shutil.copy(made.key, home / "keys" / "test.asc")
    text = definition(made)
    buildroot = complete(parse_buildroot(text, "buildroots/fedora-test.toml"), python="3.11", arch="x86_64")
    layout = Layout(root=home)
    with Client() as client:
        locker = Locker(layout=layout, store=Store(layout), client=client, home=home, report=lambda text: None)
        return locker.lock(buildroot, requests(buildroot, ()), old=None).lock.closure(BASE)


def test_two_ask_for_it_and_it_is_made_once(made: Distribution) -> None:
    before = made.repository.stat().st_ctime_ns
    assert distribution() == made
    assert made.repository.stat().st_ctime_ns == before

"""``pybuild buildroot`` over the test distribution: the real command, RPMs and signatures, and dnf as the peer."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import rpm_rs

from pybuilder.layout import Layout
from pybuilder.lockfile import Lock, Rpm, parse_lock
from pybuilder.store import Store
from tests.support.debian import make_key
from tests.support.distribution import (
    BASE,
    Distribution,
    definition,
    distribution,
    dnf_repositories,
    missing_tools,
)
from tests.support.repositories import repomd_xml


@pytest.fixture(autouse=True, scope="module")
def tools() -> None:
    if missing := missing_tools():
        pytest.fail(missing)


SPECS = {
    "lxml": '[system]\nbuild = ["libxml2-devel", "pkgconfig(libxslt)"]\nruntime = ["libxml2", "libxslt"]\n',
    "numpy": '[system]\nbuild = ["gcc-c++", "openblas-devel", "/usr/bin/ninja"]\nruntime = ["openblas-serial"]\n',
}


@dataclass(frozen=True)
class Place:
    """A workspace with the distribution as its only buildroot."""

    root: Path
    made: Distribution

    def define(self, text: str) -> None:
        (self.root / "buildroots" / "fedora-test.toml").write_text(text)

    def pybuild(self, *argv: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pybuilder.cli.__main__", *argv]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.root)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def json(self, *argv: str) -> Any:
        return json.loads(self.pybuild(*argv, "--json").stdout)

    @property
    def lock_path(self) -> Path:
        return self.root / "buildroots" / "fedora-test.lock"

    def file(self, rpm: Rpm) -> Path:
        """A locked RPM, which is in the store."""
        found = Store(Layout(root=self.root / ".pybuild")).rpm(rpm.sha256)
        assert found, rpm
        return found

    def lock(self) -> Lock:
        self.pybuild("buildroot", "lock", "fedora-test")
        return parse_lock(self.lock_path.read_text(), "buildroots/fedora-test.lock")


@pytest.fixture(scope="module")
def made() -> Distribution:
    return distribution()


@pytest.fixture
def place(tmp_path: Path, made: Distribution) -> Place:
    root = tmp_path / "ws"
    (root / "specs").mkdir(parents=True)
    made.copy_keys(root / "buildroots")
    for name, text in SPECS.items():
        (root / "specs" / f"{name}.toml").write_text(f'name = "{name}"\n{text}')
    here = Place(root, made)
    here.define(definition(made))
    return here


def test_lock_answers_the_definition_and_every_spec(place: Place) -> None:
    lock = place.lock()
    assert lock.answers["pkgconfig(libxslt)"] == "libxslt-devel"
    assert lock.answers["/usr/bin/ninja"] == "ninja-build"
    assert set(BASE) <= lock.rpms.keys()
    shown = subprocess.run(["gpg", "--show-keys", "--with-colons", *place.made.keys], capture_output=True, text=True)
    keys = re.findall(r"^[ps]ub:(?:[^:]*:){3}([0-9A-F]{16}):", shown.stdout, re.MULTILINE)
    assert {rpm.key.upper() for rpm in lock.rpms.values()} <= set(keys)
    for rpm in lock.rpms.values():
        assert place.file(rpm).stat().st_size == rpm.size
    query = "%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}.%{ARCH} %{SOURCERPM}"
    for name in ("gcc", "bash", "python3-devel"):
        argv = ["rpm", "-qp", "--nosignature", "--qf", query, place.file(lock.rpms[name])]
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        assert said == f"{lock.rpms[name].evra} {lock.rpms[name].source}"


def test_locking_again_changes_nothing_and_reports_in_json(place: Place) -> None:
    first = place.json("buildroot", "lock", "fedora-test")
    text = place.lock_path.read_text()
    assert first["written"] and first["rpms"] == len(first["changes"]) > 80
    again = place.json("buildroot", "lock", "fedora-test")
    assert (again["written"], again["changes"]) == (False, [])
    assert place.lock_path.read_text() == text
    listed = {each["name"]: each for each in place.json("buildroot", "list")["buildroots"]}
    assert listed["fedora-test"]["rpms"] == first["rpms"]


def test_an_rpm_that_is_damaged_in_the_store_is_fetched_again(place: Place) -> None:
    """Its signature would not hold; that is no fault of who signed it."""
    rpm = place.lock().rpms["bash"]
    file = place.file(rpm)
    file.write_bytes(file.read_bytes()[:-100] + bytes(100))
    done = place.pybuild("buildroot", "lock", "fedora-test")
    assert f"damaged, and set aside as {place.root / '.pybuild/store/damaged'}" in done.stderr
    assert hashlib.sha256(place.file(rpm).read_bytes()).hexdigest() == rpm.sha256


def test_gc_keeps_what_is_locked(place: Place) -> None:
    lock = place.lock()
    place.pybuild("gc")
    for rpm in lock.rpms.values():
        assert place.file(rpm).exists()
    again = place.pybuild("buildroot", "lock", "fedora-test")
    assert "fetching" not in again.stderr
    place.lock_path.unlink()
    assert place.json("gc")["freed"]["rpms"]["count"] == len(lock.rpms)


def test_a_new_request_is_added_alone_and_diff_says_so(place: Place) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    before = place.lock()
    for argv in (["init", "-q"], ["add", "buildroots"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *argv], cwd=place.root, check=True)
    place.define(definition(place.made, packages=[*BASE, "patchelf"]))
    after = place.lock()
    assert after.rpms.keys() - before.rpms.keys() == {"patchelf"}
    shown = place.pybuild("buildroot", "diff", "HEAD:fedora-test", "fedora-test").stdout
    assert shown == f"+ patchelf {after.rpms['patchelf'].evra}\n"
    found = place.json("buildroot", "diff", "fedora-test", "HEAD:buildroots/fedora-test.lock")["changes"]
    assert [(each["name"], each["new"]) for each in found] == [("patchelf", None)]
    assert (
        "git has no 'HEAD~7:fedora-test'"
        in place.pybuild("buildroot", "diff", "HEAD~7:fedora-test", "fedora-test", code=2).stderr
    )
    assert "no lock 'nosuch'" in place.pybuild("buildroot", "diff", "nosuch", "fedora-test", code=2).stderr


def test_update_takes_any_number_of_names(place: Place) -> None:
    place.lock()
    for update in (["--update"], ["--update", "gcc", "glibc"], ["fedora-test", "--update"]):
        argv = ["-b", "fedora-test", "buildroot", "lock", *update]
        assert place.json(*argv)["changes"] == []
    done = place.pybuild("buildroot", "lock", "fedora-test", "--update", "gcc", "glib", code=2)
    assert "did you mean 'glibc'?" in done.stderr


def test_an_unknown_rpm_names_the_line_of_the_spec(place: Place) -> None:
    (place.root / "specs/lxml.toml").write_text('name = "lxml"\n[system]\nbuild = ["libxml2-dev"]\n')
    done = place.pybuild("buildroot", "lock", "fedora-test", code=3)
    assert "specs/lxml.toml:3:10 [system].build[0]: 'libxml2-dev'; did you mean 'libxml2-devel'" in done.stderr
    assert not place.lock_path.exists()


def test_a_key_that_is_missing_or_none_is_named(place: Place) -> None:
    key = place.root / "buildroots" / "keys" / place.made.keys[0].name
    for damage in (lambda: key.write_text("no key\n"), key.unlink):
        damage()
        done = place.pybuild("buildroot", "lock", "fedora-test", code=3)
        assert re.search(f"the key 'keys/{key.name}' of the repository '[a-z]+' can't be read", done.stderr)
        assert not place.lock_path.exists()


# Signatures, over a repository of one small RPM


@pytest.fixture(scope="module")
def patchelf(made: Distribution, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One RPM of the distribution."""
    home = tmp_path_factory.mktemp("patchelf")
    (home / "specs").mkdir()
    made.copy_keys(home / "buildroots")
    here = Place(home, made)
    here.define(only(definition(made, packages=["patchelf"])))
    return here.file(here.lock().rpms["patchelf"])


def only(text: str) -> str:
    """A definition without RPMs for the install test."""
    return re.sub(r"runtime = .*", "", text)


@pytest.fixture
def rpm(place: Place, patchelf: Path, tmp_path: Path) -> Path:
    """A copy of it, in a directory that the place's only definition names as its repository."""
    home = tmp_path / "small"
    home.mkdir()
    place.define(only(definition(place.made, packages=["patchelf"], baseurl=home.as_uri())))
    for spec in (place.root / "specs").iterdir():
        spec.unlink()
    return shutil.copy(patchelf, home / patchelf.name)


def index(rpm: Path) -> None:
    """Make the RPM's directory a repository in which it requires nothing."""
    subprocess.run(["createrepo_c", "--quiet", "--no-database", rpm.parent], check=True)
    repodata = rpm.parent / "repodata"
    (primary,) = repodata.glob("*primary.xml.gz")
    listed = gzip.decompress(primary.read_bytes())
    data = gzip.compress(re.sub(rb"<rpm:requires>.*?</rpm:requires>", b"", listed, flags=re.DOTALL))
    primary.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    (repodata / "repomd.xml").write_text(repomd_xml(f"repodata/{primary.name}", digest, data))


def test_a_signed_rpm_is_accepted(place: Place, rpm: Path) -> None:
    index(rpm)
    assert [*place.lock().rpms] == ["patchelf"]


def test_an_unsigned_rpm_is_refused(place: Place, rpm: Path) -> None:
    rpm_rs.Package.clear_signatures_in_place(str(rpm))
    index(rpm)
    done = place.pybuild("buildroot", "lock", "fedora-test", code=30)
    assert f"the RPM {rpm.name} of 'test' is not to be trusted: it is not signed" in done.stderr
    assert not place.lock_path.exists()
    place.define((place.root / "buildroots/fedora-test.toml").read_text() + "gpgcheck = false\n")
    assert place.lock().rpms["patchelf"].key == ""


def test_an_rpm_signed_by_another_key_is_refused(place: Place, rpm: Path, tmp_path: Path) -> None:
    _, secret = make_key(tmp_path / "gpg", "somebody else")
    rpm_rs.Package.clear_signatures_in_place(str(rpm))
    rpm_rs.Package.resign_in_place(str(rpm), rpm_rs.Signer.from_file(str(secret)))
    index(rpm)
    done = place.pybuild("buildroot", "lock", "fedora-test", code=30)
    assert f"the RPM {rpm.name} of 'test' is not to be trusted: no signature of it holds (by " in done.stderr


def test_a_payload_that_was_not_signed_is_refused(place: Place, rpm: Path) -> None:
    data = bytearray(rpm.read_bytes())
    data[-100] ^= 1
    rpm.write_bytes(data)
    index(rpm)
    done = place.pybuild("buildroot", "lock", "fedora-test", code=30)
    assert "its payload is not the one that was signed" in done.stderr


# dnf as the peer

SETS = [
    ["bash"],
    ["gcc"],
    ["gcc-c++", "make"],
    ["python3-devel"],
    ["cmake", "ninja-build"],
    ["rust", "cargo"],
    ["git-core"],
    ["libxml2-devel", "libxslt-devel", "libffi-devel"],
    ["openblas-devel", "gcc"],
    ["pkgconfig(libxml-2.0)", "/usr/bin/patchelf"],
    list(BASE),
]


def dnf(made: Distribution, packages: Sequence[str], home: Path) -> set[str]:
    """What dnf would install into an empty root: names and EVRAs."""
    config = home / "dnf.conf"
    config.write_text(
        f"[main]\ninstall_weak_deps=False\nbest=True\ncachedir={home}/cache\nlogdir={home}/log\nvarsdir=/nonexistent\n"
        f"pluginpath=/nonexistent\n{dnf_repositories(made)}"
    )
    argv = ["dnf", "-c", str(config), "--setopt=reposdir=/nonexistent", f"--installroot={home}/root", "--assumeno"]
    argv += ["--releasever=1", "--forcearch=x86_64", "install", *packages]
    done = subprocess.run(argv, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C", "COLUMNS": "400"})
    assert "Operation aborted" in done.stderr, done.stderr + done.stdout
    rows = rf"^ (\S+)\s+(\S+)\s+(?:0:)?(\S+)\s+(?:{'|'.join(made.repositories)})\s"
    return {f"{name}-{evr}.{arch}" for name, arch, evr in re.findall(rows, done.stdout, re.MULTILINE)}


@pytest.mark.parametrize("packages", SETS, ids=lambda packages: packages[0].strip("/"))
def test_dnf_would_take_the_same(place: Place, packages: list[str], tmp_path: Path) -> None:
    for spec in (place.root / "specs").iterdir():
        spec.unlink()
    place.define(only(definition(place.made, packages=packages)))
    lock = place.lock()
    wanted = dnf(place.made, packages, tmp_path)
    assert {rpm.nevra for rpm in lock.rpms.values()} == wanted


def test_parts_of_one_lock_are_what_dnf_takes_for_each_alone(place: Place, tmp_path: Path) -> None:
    every = sorted({package for packages in SETS for package in packages})
    place.define(definition(place.made, packages=every))
    lock = place.lock()
    for packages in SETS[:9:2]:
        assert {rpm.nevra for rpm in lock.closure(packages)} == dnf(place.made, packages, tmp_path), packages

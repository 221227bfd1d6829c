"""``buildroot lock --export`` and ``--import``, ``diff`` with other tools' files: the real command, rpm as the peer."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from pybuilder.layout import Layout
from pybuilder.lockfile import Lock, parse_lock
from pybuilder.store import Store
from tests.support.distribution import Distribution, definition, distribution, missing_tools

PACKAGES = ["bash", "patchelf", "tar"]


@pytest.fixture(autouse=True, scope="module")
def tools() -> None:
    if missing := missing_tools():
        pytest.fail(missing)


@dataclass(frozen=True)
class Place:
    """A workspace with the distribution as its only buildroot, named ``d``."""

    root: Path
    made: Distribution

    def pybuild(self, *argv: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pybuilder.cli.__main__", *argv]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.root)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    @property
    def path(self) -> Path:
        return self.root / "buildroots" / "d.lock"

    def lock(self, *argv: str) -> Lock:
        self.pybuild("buildroot", "lock", "d", *argv)
        return parse_lock(self.path.read_text(), "buildroots/d.lock")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = distribution()
    (tmp_path / "specs").mkdir()
    made.copy_keys(tmp_path / "buildroots")
    (tmp_path / "buildroots" / "d.toml").write_text(definition(made, "d", packages=PACKAGES))
    return Place(tmp_path, made)


def test_mock_s_form_says_what_rpm_says(place: Place) -> None:
    lock = place.lock("--export", "buildroot_lock.json")
    data = json.loads((place.root / "buildroot_lock.json").read_text())
    fields = ("name", "arch", "license", "version", "release", "epoch", "sigmd5")
    # What mock itself asks for; the signature is over the header, and was over the whole file in its days.
    query = "|".join(f"%{{{each}}}" for each in fields) + "|%{rsaheader:pgpsig}\n"
    store = Store(Layout(root=place.root / ".pybuild"))
    files = [str(store.rpm(rpm.sha256)) for rpm in lock.rpms.values()]
    said = subprocess.run(["rpm", "-qp", "--nosignature", "--qf", query, *files], capture_output=True, text=True)
    wanted = []
    for line in said.stdout.splitlines():
        *values, signature = line.split("|")
        entry = dict(zip(fields, values, strict=True)) | {"signature": signature[-8:]}
        wanted.append(entry | ({"epoch": None} if entry["epoch"] == "(none)" else {}))
    found = [{key: value for key, value in each.items() if key != "url"} for each in data["buildroot"]["rpms"]]
    assert found == sorted(wanted, key=lambda each: str(each["name"])) and len(found) == len(lock.rpms)
    for each in data["buildroot"]["rpms"]:
        url = urlsplit(each["url"])
        assert Path(url.path).is_file() if url.scheme == "file" else url.path.endswith(f".{each['arch']}.rpm")


@pytest.mark.parametrize("file", ["buildroot_lock.json", "rpms.lock.yaml"])
def test_a_lock_that_starts_from_an_export_is_the_same(place: Place, file: str) -> None:
    before = place.lock("--export", file)
    assert place.pybuild("buildroot", "diff", file, "d").stdout == ""
    place.path.unlink()
    assert place.lock("--import", file) == before


def test_konflux_s_form_is_compared_by_digest(place: Place) -> None:
    before = place.lock("--export", "rpms.lock.yaml")
    file = place.root / "rpms.lock.yaml"
    data = yaml.safe_load(file.read_text())
    packages = {each["name"]: each for each in data["arches"][0]["packages"]}
    packages["tar"]["checksum"] = f"sha256:{'0' * 64}"
    data["arches"][0]["packages"].remove(packages["patchelf"])
    file.write_text(yaml.safe_dump(data))
    shown = place.pybuild("buildroot", "diff", str(file), "d").stdout.splitlines()
    tar = f"  tar {packages['tar']['evr']}.x86_64: another file of the same version"
    assert shown == [f"+ patchelf {packages['patchelf']['evr']}.x86_64", tar]
    refused = place.pybuild("buildroot", "lock", "d", "--import", str(file), code=30).stderr
    repository = before.rpms["tar"].repository
    assert f"has another digest in the repository {repository!r}" in refused and "arches[0].packages[" in refused
    place.pybuild("buildroot", "lock", "d", "--import", str(file), "--update", "tar")


@pytest.mark.parametrize("target", ["/proc/x.json", "none/x.json"])
def test_an_export_that_can_t_be_written_is_refused_before_anything_is_locked(place: Place, target: str) -> None:
    done = place.pybuild("buildroot", "lock", "d", "--export", target, code=2)
    assert "the export can't be written: no such file or directory" in done.stderr and f"where: {target}" in done.stderr
    assert not place.path.exists()


def test_an_export_that_fails_later_says_that_the_lock_is_written(place: Place) -> None:
    target = f"{'x' * 300}.json"
    done = place.pybuild("buildroot", "lock", "d", "--export", target, code=1)
    assert "the lock is written, but the export can't be: file name too long" in done.stderr and target in done.stderr
    assert parse_lock(place.path.read_text(), "buildroots/d.lock").rpms.keys() >= {*PACKAGES}
    assert not [*place.root.glob(".x*")]


def test_files_for_another_architecture_are_compared(place: Place) -> None:
    lock = place.lock("--export", "a.json")
    text = (place.root / "a.json").read_text().replace(f'"{lock.arch}"', '"s390x"')
    (place.root / "a.json").write_text(text)
    assert place.pybuild("buildroot", "diff", "a.json", "a.json").stdout == ""
    (place.root / "b.json").write_text(text.replace('"version": "1', '"version": "2', 2))
    assert "-> 2" in place.pybuild("buildroot", "diff", "a.json", "b.json", code=0).stdout
    refused = place.pybuild("buildroot", "diff", "a.json", "d", code=3).stderr
    assert f"this file is for s390x, the buildroot for {lock.arch}" in refused


def test_what_has_no_meaning_is_refused(place: Place) -> None:
    assert "there is no such file" in place.pybuild("buildroot", "lock", "d", "--import", "x.json", code=2).stderr
    done = place.pybuild("buildroot", "lock", "d", "--export", "x.lock", code=2)
    assert "does not say what form" in done.stderr and not place.path.exists()
    (place.root / "x.json").write_text('{"version": "1.0.0"}')
    done = place.pybuild("buildroot", "lock", "d", "--import", "x.json", code=3)
    assert "x.json version" in done.stderr and "'1.1.0'" in done.stderr
    (place.root / "x.yaml").write_bytes(b"\xff")
    assert "this is no lock" in place.pybuild("buildroot", "diff", "x.yaml", "x.yaml", code=3).stderr

"""Locks of other tools: their forms, read and written, and a lock that starts from one."""

from __future__ import annotations

import copy
import json
import shutil
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import rpm_rs
import yaml

from pybuilder.buildroot import Buildroot, complete, parse_buildroot
from pybuilder.errors import ConfigError, FetchError, UsageError
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.lock_exchange import Export, Listed, Listing, common_arch, format_listing, parse_listing
from pybuilder.lockfile import Lock, Rpm, changes
from pybuilder.rpm.lock import EVERYTHING, Locked, Locker
from pybuilder.rpm.requests import requests
from pybuilder.store import Store
from tests.support.repositories import Fake, write_repository

MOCK = "buildroot_lock.json"
KONFLUX = "rpms.lock.yaml"


def export(name: str, evra: str, **values: str) -> Export:
    rpm = Rpm(
        name=name,
        evra=evra,
        sha256="ab" * 32,
        size=10,
        repository="fedora",
        location=f"Packages/{name}-{evra.rpartition(':')[2]}.rpm",
        source=values.pop("source", f"{name}-1-1.src.rpm"),
        key=values.pop("key", "0123456789abcdef"),
        requires=(),
    )
    return Export(rpm=rpm, url=f"https://e.org/{rpm.location}", **{"license": "MIT", "sigmd5": "cd" * 16, **values})


EXPORTS = [
    export("gcc-c++", "15.2.1-3.fc45.x86_64"),
    export("bash", "1:5.3~rc1-1.fc45.x86_64", key="", sigmd5="(none)"),
    export("tzdata", "2026b-1.fc45.noarch", source=""),
]


def mock_data() -> dict[str, Any]:
    return copy.deepcopy(json.loads(format_listing(MOCK, "x86_64", EXPORTS)))


def konflux_data() -> dict[str, Any]:
    return copy.deepcopy(yaml.safe_load(format_listing(KONFLUX, "x86_64", EXPORTS)))


# Written


def test_mock_s_form_is_its_schema() -> None:
    # mock's docs/buildroot-lock-schema-1.1.0.json: these keys, all of them required, and no others.
    text = format_listing(MOCK, "x86_64", EXPORTS)
    data = json.loads(text)
    assert data.keys() == {"buildroot", "config", "version"} and data["version"] == "1.1.0"
    assert data["buildroot"].keys() == {"rpms"} and data["config"] == {"target_arch": "x86_64"}
    strings = {"arch", "license", "name", "release", "sigmd5", "url", "version"}
    for rpm in data["buildroot"]["rpms"]:
        assert rpm.keys() == strings | {"epoch", "signature"}
        assert all(isinstance(rpm[key], str) for key in strings)
        assert isinstance(rpm["epoch"], str | None) and isinstance(rpm["signature"], str | None)
    assert data["buildroot"]["rpms"][0] == {
        "name": "bash",
        "arch": "x86_64",
        "epoch": "1",
        "version": "5.3~rc1",
        "release": "1.fc45",
        "license": "MIT",
        "sigmd5": "(none)",
        "signature": None,
        "url": "https://e.org/Packages/bash-5.3~rc1-1.fc45.x86_64.rpm",
    }
    gcc = data["buildroot"]["rpms"][1]
    assert (gcc["name"], gcc["epoch"], gcc["signature"], gcc["sigmd5"]) == ("gcc-c++", None, "89abcdef", "cd" * 16)
    assert text == json.dumps(data, indent=4, sort_keys=True) + "\n"


def test_konflux_s_form_is_what_rpm_lockfile_prototype_writes() -> None:
    text = format_listing(KONFLUX, "x86_64", EXPORTS)
    assert text.startswith(
        "---\nlockfileVersion: 1\nlockfileVendor: redhat\narches:\n- arch: x86_64\n  packages:\n  - url:"
    )
    (arch,) = yaml.safe_load(text)["arches"]
    assert (arch["source"], arch["module_metadata"]) == ([], [])
    assert arch["packages"][0] == {
        "url": "https://e.org/Packages/bash-5.3~rc1-1.fc45.x86_64.rpm",
        "repoid": "fedora",
        "size": 10,
        "checksum": f"sha256:{'ab' * 32}",
        "name": "bash",
        "evr": "1:5.3~rc1-1.fc45",
        "sourcerpm": "bash-1-1.src.rpm",
    }
    assert "sourcerpm" not in arch["packages"][2]


def test_a_name_that_yaml_takes_for_something_else_stays_text() -> None:
    odd = [export(name, "1:30-20.noarch") for name in ("1.5", "1_000", "2026-11-21", "null", "yes")]
    listing = parse_listing(format_listing(KONFLUX, "x86_64", odd), KONFLUX)
    assert [each.name for each in listing.of("x86_64").values()] == [each.rpm.name for each in odd]


@pytest.mark.parametrize("file", [MOCK, KONFLUX, "lock.yml"])
def test_what_is_written_is_read_again(file: str) -> None:
    listing = parse_listing(format_listing(file, "x86_64", EXPORTS), file)
    ours = {each.rpm.name: each.rpm for each in EXPORTS}
    assert changes(listing.of("x86_64"), ours) == ()
    assert {each.url for each in listing.of("x86_64").values()} == {each.url for each in EXPORTS}


def test_whose_form_it_is_stands_in_the_name() -> None:
    for wrong in ("rpms.lock", "json", "lock.toml"):
        with pytest.raises(UsageError, match="does not say what form") as caught:
            format_listing(wrong, "x86_64", EXPORTS)
        assert ".json" in caught.value.cure and ".yaml" in caught.value.cure


# Read


def test_konflux_s_form_as_others_write_it() -> None:
    text = """\
lockfileVersion: 1
lockfileVendor: redhat
arches:
  - arch: aarch64
    packages:
      - {url: 'https://e.org/a-1-1.aarch64.rpm', size: 1, name: a, evr: 1-1, checksum: 'sha256:DIGEST'}
  - arch: x86_64
    packages:
      - url: https://e.org/os/Packages/g/gcc-c%2B%2B-15-1.el10.x86_64.rpm
        repoid: appstream
        size: 14447
        checksum: sha256:DIGEST
        name: gcc-c++
        evr: 0:15-1.el10
        sourcerpm: gcc-15-1.el10.src.rpm
        some-new-key: 1
    source:
      - {url: 'https://e.org/gcc-15-1.el10.src.rpm', repoid: appstream-source}
    module_metadata: []
""".replace("DIGEST", "ab" * 32)
    listing = parse_listing(text, KONFLUX)
    assert listing.of("x86_64")["gcc-c++"] == Listed(
        name="gcc-c++",
        evra="15-1.el10.x86_64",
        url="https://e.org/os/Packages/g/gcc-c%2B%2B-15-1.el10.x86_64.rpm",
        place=f"{KONFLUX} arches[1].packages[0]",
        sha256="ab" * 32,
        size=14447,
        repository="appstream",
        source="gcc-15-1.el10.src.rpm",
    )
    assert listing.of("x86_64")["gcc-c++"].file == "gcc-c++-15-1.el10.x86_64.rpm"
    assert listing.of("aarch64")["a"].evra == "1-1.aarch64"
    with pytest.raises(ConfigError, match="is for aarch64 and x86_64, the buildroot for s390x") as caught:
        listing.of("s390x")
    assert caught.value.where == KONFLUX


def test_mock_s_form_with_what_only_mock_understands() -> None:
    data = mock_data()
    data["config"] |= {"dist": "fc45", "bootstrap_image_ready": True, "macros": {"%a": None}}
    data["bootstrap"] = {"image_digest": "x", "pull_digest": "y", "architecture": "amd64", "id": "z"}
    assert len(parse_listing(json.dumps(data), MOCK).of("x86_64")) == 3


def test_mock_s_architecture_is_that_of_its_rpms_where_it_does_not_say() -> None:
    data = mock_data()
    data["config"] = {}
    data["buildroot"]["rpms"][1]["epoch"] = "0"
    assert parse_listing(json.dumps(data), MOCK).of("x86_64")["gcc-c++"].evra == "15.2.1-3.fc45.x86_64"


RPMS = ("buildroot", "rpms")
BOOTSTRAP = {"image_digest": "x", "pull_digest": "y", "architecture": "amd64", "id": "z"}
BAD_MOCK: list[tuple[Sequence[str | int], Any, str]] = [
    (("version",), "1.0.0", f"{MOCK} version§expected '1.1.0', found the string '1.0.0'"),
    (("version",), None, f"{MOCK} version§the key 'version' is missing"),
    (("buildroot",), None, f"{MOCK} buildroot§the key 'buildroot' is missing"),
    (("buildroot", "rpms"), {}, f"{MOCK} buildroot.rpms§expected an array, found a table"),
    ((*RPMS, 0), "bash", f"{MOCK} buildroot.rpms[0]§expected a table, found the string 'bash'"),
    ((*RPMS, 1, "url"), None, f"{MOCK} buildroot.rpms[1].url§the key 'url' is missing"),
    ((*RPMS, 1, "url"), "gcc.rpm", "rpms[1].url§is no URL"),
    ((*RPMS, 1, "url"), "https://e.org/\ud800", "rpms[1].url§is no URL"),
    ((*RPMS, 0, "epoch"), 1, "rpms[0].epoch§expected a string, found the integer 1"),
    ((*RPMS, 0, "epoch"), "one", "rpms[0].epoch§'one' is no epoch"),
    ((*RPMS, 0, "epoch"), "00", "rpms[0].epoch§'00' is no epoch"),
    ((*RPMS, 0, "version"), "", "rpms[0].version§'' is no part of an RPM's name"),
    ((*RPMS, 0, "version"), "1-2", "rpms[0].version§'1-2' is no part of an RPM's name"),
    ((*RPMS, 0, "release"), "1-2", "rpms[0].release§'1-2' is no part of an RPM's name"),
    ((*RPMS, 0, "arch"), "x-86", "rpms[0].arch§'x-86' is no part of an RPM's name"),
    ((*RPMS, 0, "name"), "../bash", "rpms[0].name§is no part of an RPM's name"),
    ((*RPMS, 0, "name"), "gcc-c++", "rpms[1]§gcc-c++ is listed twice, first as 1:5.3"),
    ((*RPMS, 0, "arch"), "i686", "rpms[0]§stands among RPMs for x86_64; a buildroot has one architecture"),
    ((*RPMS, 0, "licence"), "x", "rpms[0].licence§did you mean 'license'?"),
    (("config",), [], f"{MOCK} config§expected a table, found an array"),
    (("bootstrap",), 3, f"{MOCK} bootstrap§expected a table, found the integer 3"),
    (("bootstrap",), {**BOOTSTRAP, "image": "x"}, f"{MOCK} bootstrap.image§unknown key 'image'"),
    (("bootstrap",), {**BOOTSTRAP, "id": 1}, f"{MOCK} bootstrap.id§expected a string, found the integer 1"),
    (("bootstrap",), {"id": "x"}, f"{MOCK} bootstrap.pull_digest§the key 'pull_digest' is missing"),
]
PACKAGES = ("arches", 0, "packages")
BASH = "bash-5.3~rc1-1.fc45"
TZDATA = konflux_data()["arches"][0]["packages"][2]
BAD_KONFLUX: list[tuple[Sequence[str | int], Any, str]] = [
    (("lockfileVersion",), 2, f"{KONFLUX} lockfileVersion§expected 1, found the integer 2"),
    (("lockfileVersion",), True, f"{KONFLUX} lockfileVersion§expected 1, found true"),
    (("lockfileVersion",), 1.0, f"{KONFLUX} lockfileVersion§expected 1, found the float 1.0"),
    (("lockfileVersion",), "1", f"{KONFLUX} lockfileVersion§expected 1, found the string '1'"),
    (("lockfileVendor",), "suse", "lockfileVendor§expected 'redhat'"),
    (("arches",), None, "arches§the key 'arches' is missing"),
    (("arches", 0, "arch"), None, "arches[0].arch§the key 'arch' is missing"),
    ((*PACKAGES, 2, "checksum"), None, f"{KONFLUX} arches[0].packages[2].checksum§the key 'checksum' is missing"),
    ((*PACKAGES, 2, "checksum"), "sha512:00", "packages[2].checksum§is no checksum that pybuild compares"),
    ((*PACKAGES, 2, "checksum"), "sha256:AB", "packages[2].checksum§'AB' is no sha256"),
    ((*PACKAGES, 0, "size"), "10", "packages[0].size§expected an integer"),
    ((*PACKAGES, 0, "evr"), "5.3", "packages[0].evr§'5.3' is no EVR"),
    ((*PACKAGES, 0, "evr"), "00:5.3~rc1-1.fc45", "packages[0].evr§is no EVR"),
    ((*PACKAGES, 0, "evr"), "1-5.3~rc1-1.fc45", "packages[0].evr§is no EVR"),
    ((*PACKAGES, 0, "evr"), "1:5.3-1.fc45", "packages[0]§is no URL of this RPM; it ends in bash-5.3-1.fc45.ARCH.rpm"),
    ((*PACKAGES, 0, "evr"), 5.3, "packages[0].evr§expected a string, found the float 5.3"),
    ((*PACKAGES, 0, "sourcerpm"), "bash", "packages[0].sourcerpm§'bash' is no source RPM"),
    ((*PACKAGES, 0, "url"), "https://e.org/bash", "packages[0]§'https://e.org/bash' is no URL of this RPM"),
    ((*PACKAGES, 0, "url"), f"https://e.org/{BASH}.noarch.x.rpm", "packages[0]§is no URL of this RPM"),
    ((*PACKAGES, 0, "url"), f"https://e.org/{BASH}.ppc64le.rpm", "packages[0]§stands among RPMs for x86_64"),
    ((*PACKAGES, 0, "url"), f"https://e.org/{BASH}-.rpm", "packages[0]§is no URL of this RPM"),
    ((*PACKAGES, 0, "name"), "tzdata", "packages[0]§is no URL of this RPM; it ends in tzdata-5.3~rc1-1.fc45.ARCH.rpm"),
    ((*PACKAGES, 0, "size"), 1 << 62, "packages[0].size§should be less than"),
    ((*PACKAGES, 2), TZDATA | {"name": "gcc-c++"}, "packages[2]§is no URL of this RPM"),
    ((*PACKAGES, 0), TZDATA, "packages[2]§tzdata is listed twice, first as 2026b-1.fc45.noarch"),
]


def spoilt(data: dict[str, Any], path: Sequence[str | int], value: Any) -> dict[str, Any]:
    """The data with one value set, or removed where it is None."""
    table: Any = data
    for key in path[:-1]:
        table = table[key]
    if value is None:
        del table[path[-1]]
    else:
        table[path[-1]] = value
    return data


def dumped(data: object) -> str:
    """YAML without aliases."""

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True

    return str(yaml.dump(data, Dumper=Dumper))


@pytest.mark.parametrize(("path", "value", "words"), BAD_MOCK)
def test_a_wrong_file_of_mock_s_is_refused(path: Sequence[str | int], value: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_listing(json.dumps(spoilt(mock_data(), path, value)), MOCK)
    assert all(each in str(caught.value) for each in (MOCK, *words.split("§")))


@pytest.mark.parametrize(("path", "value", "words"), BAD_KONFLUX)
def test_a_wrong_file_of_konflux_s_is_refused(path: Sequence[str | int], value: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_listing(dumped(spoilt(konflux_data(), path, value)), KONFLUX)
    assert all(each in str(caught.value) for each in (KONFLUX, *words.split("§")))


def test_another_version_is_all_that_is_said_of_it() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_listing('{"version": "2.0.0", "rpms": []}', MOCK)
    assert caught.value.parts == () and "'1.1.0'" in caught.value.what


def test_everything_that_is_wrong_is_listed_with_its_place() -> None:
    data = spoilt(spoilt(mock_data(), (*RPMS, 2, "arch"), 1), (*RPMS, 0, "url"), None)
    with pytest.raises(ConfigError, match="has 2 problems") as caught:
        parse_listing(json.dumps(data), MOCK)
    assert [part.where for part in caught.value.parts] == [
        f"{MOCK} buildroot.rpms[0].url",
        f"{MOCK} buildroot.rpms[2].arch",
    ]


def test_an_architecture_twice_is_refused() -> None:
    data = konflux_data()
    data["arches"] *= 2
    with pytest.raises(ConfigError, match="x86_64 is listed twice") as caught:
        parse_listing(dumped(data), KONFLUX)
    assert caught.value.where == f"{KONFLUX} arches[1].arch"


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        (MOCK, '{"version": 1,,}', "this is no JSON§:1:15"),
        pytest.param(MOCK, "[" * 100_000, "nested too deep", id="deep"),
        pytest.param(MOCK, f"[{'9' * 5000}]", "this is no JSON that can be read§5000 digits", id="digits"),
        pytest.param(MOCK, " " * (17 << 20), "too long for a lock", id="long"),
        (MOCK, '{"version": "1.1.0", "a": {"b": 1, "c": 2, "b": 1}}', "the key 'b' is given twice"),
        (MOCK, "[]", "the file is no table"),
        (KONFLUX, "a: 1\n b: 2", "this is no YAML§:2:3"),
        (KONFLUX, "a: [1", "this is no YAML"),
        (KONFLUX, "a: \x01", "this is no YAML"),
        (KONFLUX, "a: 2026-13-45", "this is no YAML"),
        (KONFLUX, "", "the file is no table"),
        (KONFLUX, "!!python/object:os.system {}", "this is no YAML"),
        pytest.param(KONFLUX, "9" * 5000, "this is no YAML that can be read§5000 digits", id="digits"),
        pytest.param(KONFLUX, f"lockfileVersion: 0x{'f' * 5000}", "found a very great integer", id="hexadecimal"),
        (KONFLUX, "a: 1\nb:\n- c: 1\n  d: 1\n  'c': 2", "the key 'c' is given twice§:5:3"),
        (KONFLUX, "a: &a\n- *a", "a lock has no aliases§:2:3"),
        (KONFLUX, "? [a]\n: 1", "this is no YAML"),
    ],
)
def test_what_is_none_of_these_is_refused(file: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_listing(text, file)
    assert all(each in str(caught.value) for each in (file, *words.split("§")))


@pytest.mark.parametrize("opened", ["[", "{a: ", "- ", "? "])
@pytest.mark.parametrize("depth", [20_000, 60_000])
def test_yaml_that_is_nested_deep_is_refused_at_once(opened: str, depth: int) -> None:
    started = time.process_time()
    with pytest.raises(ConfigError, match="nested too deep") as caught:
        parse_listing(opened * depth, KONFLUX)
    assert caught.value.where.startswith(f"{KONFLUX}:1:")
    assert time.process_time() - started < 1


def listing(file: str, *arches: str) -> Listing:
    return Listing(file=file, rpms={arch: {} for arch in arches})


def test_two_files_are_compared_for_what_both_are_for() -> None:
    arm = listing("a.json", "aarch64")
    assert common_arch(arm, arm, "x86_64") == "aarch64"
    assert common_arch(arm, listing("b.yaml", "aarch64", "x86_64"), "x86_64") == "aarch64"
    many = listing("b.yaml", "aarch64", "s390x", "x86_64")
    assert common_arch(many, many, "x86_64") == "x86_64"
    with pytest.raises(UsageError, match="are for aarch64 and s390x and x86_64, and this machine is riscv64"):
        common_arch(many, many, "riscv64")
    with pytest.raises(ConfigError, match="this file is for aarch64, the other for nothing") as caught:
        common_arch(listing("c.yaml"), arm, "x86_64")
    assert caught.value.where == "a.json"


def test_a_list_without_digests_differs_in_versions_alone() -> None:
    theirs = parse_listing(format_listing(MOCK, "x86_64", EXPORTS), MOCK).of("x86_64")
    ours = {each.rpm.name: each.rpm.model_copy(update={"sha256": "ef" * 32}) for each in EXPORTS}
    assert changes(theirs, ours) == ()
    ours["bash"] = ours["bash"].model_copy(update={"evra": "5.4-1.x86_64"})
    assert [str(each) for each in changes(theirs, ours)] == ["  bash 1:5.3~rc1-1.fc45.x86_64 -> 5.4-1.x86_64"]


# A lock that starts from one


def real_rpm(name: str, version: str) -> bytes:
    builder = rpm_rs.PackageBuilder(name, version, "MIT", "x86_64")
    builder.release("1")
    return bytes(builder.build().to_bytes())


OLD = [Fake(name="a", requires=["b"]), Fake(name="b", source="a-1-1.src.rpm"), Fake(name="c", evr="1:1-1")]
NEW = [*OLD, *(Fake(name=name, evr="1:2-1", source="x-2-1.src.rpm") for name in "abc")]


@dataclass
class Bench:
    """A repository ``fedora`` and a state below one directory."""

    home: Path
    reports: list[str] = field(default_factory=list)

    def repository(self, packages: Sequence[Fake]) -> Path:
        return write_repository(self.home / "fedora", packages)

    @property
    def definition(self) -> Buildroot:
        archive = f"{self.home.as_uri()}/archive/{{source}}/{{version}}/{{release}}/{{arch}}/{{file}}"
        text = f"""
name = "f45"
distribution = "fedora"
release = "45"
arch = "x86_64"
pythons = ["3.15"]
packages = ["a", "c"]
[repositories.fedora]
baseurl = "{(self.home / "fedora").as_uri()}"
archive = "{archive}"
gpgcheck = false
"""
        return complete(parse_buildroot(text, "buildroots/f45.toml"), python="3.11", arch="x86_64")

    def locker(self, client: Client) -> Locker:
        layout = Layout(root=self.home / "state")
        report = self.reports.append
        return Locker(layout=layout, store=Store(layout), client=client, home=self.home, report=report)

    def lock(self, listed: Sequence[Listed] = (), update: Sequence[str] = ()) -> Lock:
        return self.locked(listed=listed, update=update).lock

    def locked(self, **values: Any) -> Locked:
        with Client(sleep=lambda _: None, timeout=1) as client:
            return self.locker(client).lock(self.definition, requests(self.definition, ()), **{"old": None} | values)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def listed(fake: Fake, **values: Any) -> Listed:
    """As Konflux's form has it."""
    plain: dict[str, Any] = {
        "name": fake.name,
        "evra": f"{fake.evr}.{fake.arch}",
        "url": f"https://e.org/{fake.location}",
        "place": f"{KONFLUX} arches[0].packages[0]",
        "sha256": fake.sha256,
        "size": len(fake.body),
        "repository": "fedora",
        "source": f"{fake.name}-1-1.src.rpm",
    }
    return Listed(**plain | values)


def versions(lock: Lock) -> dict[str, str]:
    return {name: rpm.evra.removesuffix(".x86_64") for name, rpm in lock.rpms.items()}


@pytest.mark.parametrize("digests", [True, False])
def test_what_is_listed_stays_and_the_rest_is_the_newest(bench: Bench, digests: bool) -> None:
    bench.repository(NEW)
    assert versions(bench.lock()) == {"a": "1:2-1", "c": "1:2-1"}
    values = {} if digests else {"sha256": "", "size": 0, "repository": "", "source": ""}
    lock = bench.lock([listed(OLD[0], **values), listed(OLD[1], **values)])
    assert versions(lock) == {"a": "1-1", "b": "1-1", "c": "1:2-1"}
    assert lock.rpms["a"].requires == ("b",)


def test_what_is_listed_may_move_where_update_names_it(bench: Bench) -> None:
    bench.repository(NEW)
    theirs = [listed(each) for each in OLD]
    assert versions(bench.lock(theirs)) == {"a": "1-1", "b": "1-1", "c": "1:1-1"}
    assert versions(bench.lock(theirs, update=["a"])) == {"a": "1:2-1", "c": "1:1-1"}
    assert versions(bench.lock(theirs, update=[EVERYTHING])) == {"a": "1:2-1", "c": "1:2-1"}
    with pytest.raises(UsageError, match="'d' is not in the imported lock"):
        bench.lock(theirs, update=["d"])


def test_another_file_of_the_same_version_is_refused(bench: Bench) -> None:
    bench.repository(OLD)
    with pytest.raises(FetchError, match=r"a-1-1\.x86_64 has another digest in the repository 'fedora'") as caught:
        bench.lock([listed(OLD[0], sha256="00" * 32)])
    assert f"{KONFLUX} arches[0].packages[0]: {'00' * 32}" in caught.value.where
    assert OLD[0].sha256 in caught.value.where


def test_what_no_repository_lists_is_fetched_from_where_it_was(bench: Bench) -> None:
    gone = Fake(name="a", evr="0-1", content=real_rpm("a", "0"))
    bench.repository(NEW)
    elsewhere = bench.home / "elsewhere" / "a-0-1.x86_64.rpm"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(gone.body)
    lock = bench.lock([listed(gone, url=elsewhere.as_uri())])
    assert (lock.rpms["a"].evra, lock.rpms["a"].sha256) == ("0-1.x86_64", gone.sha256)
    assert lock.rpms["a"].location == "a-0-1.x86_64.rpm"
    assert not [each for each in bench.reports if "can't be had" in each]


@pytest.mark.parametrize("values", [{}, {"repository": "other"}, {"sha256": ""}])
def test_what_can_t_be_had_is_named_and_another_stands_in(bench: Bench, values: dict[str, str]) -> None:
    gone = Fake(name="a", evr="0-1", content=real_rpm("a", "0"))
    bench.repository(NEW)
    theirs = [listed(gone, **{"url": (bench.home / "none.rpm").as_uri()} | values), listed(OLD[2])]
    assert versions(bench.lock(theirs)) == {"a": "1:2-1", "c": "1:1-1"}
    assert bench.reports[1] == "1 of 2 RPMs can't be had any more, others stand in: a-0-1.x86_64"


@pytest.mark.parametrize("body", [real_rpm("b", "0"), real_rpm("a", "1"), b"no RPM"])
def test_an_rpm_that_is_not_what_it_is_listed_as_is_refused(bench: Bench, body: bytes) -> None:
    gone = Fake(name="a", evr="0-1", content=body)
    bench.repository(NEW)
    (bench.home / "a-0-1.x86_64.rpm").write_bytes(body)
    with pytest.raises(FetchError, match=r"the file that a-0-1\.x86_64 should be is another RPM, or none"):
        bench.lock([listed(gone, url=(bench.home / "a-0-1.x86_64.rpm").as_uri())])


# What other tools want to know


def with_md5(rpm: bytes, md5: bytes) -> bytes:
    """The RPM with the tag SIGMD5 in its signature header, which rpm-rs does not write (rpm's format.md)."""
    count, size = struct.unpack(">II", rpm[104:112])
    index, data = rpm[112 : 112 + 16 * count], rpm[112 + 16 * count : 112 + 16 * count + size]
    end = 112 + 16 * count + size
    index += struct.pack(">IIII", 1004, 7, size, len(md5))
    header = rpm[96:104] + struct.pack(">II", count + 1, size + len(md5)) + index + data + md5
    return rpm[:96] + header + bytes(-len(header) % 8) + rpm[end + (-(end - 96) % 8) :]


def test_exports_have_the_url_and_what_the_header_says(bench: Bench) -> None:
    md5 = bytes(range(16))
    plain = Fake(name="a", content=real_rpm("a", "1"))
    old = Fake(name="c", content=with_md5(real_rpm("c", "1"), md5))
    home = bench.repository([plain, old])
    locked = bench.locked()
    # Whatever happens to the repository, what was locked is exported as it was found.
    shutil.rmtree(home)
    found = {each.rpm.name: each for each in locked.exports()}
    assert {name: each.url for name, each in found.items()} == {
        "a": f"{home.as_uri()}/{plain.location}",
        "c": f"{home.as_uri()}/{old.location}",
    }
    assert [found[name].sigmd5 for name in "ac"] == ["(none)", md5.hex()]
    assert {each.license for each in found.values()} == {"MIT"}


def test_what_no_repository_lists_is_exported_from_the_archive(bench: Bench) -> None:
    gone, kept = (Fake(name=name, content=real_rpm(name, "1")) for name in "ac")
    home = bench.repository([gone, kept])
    lock = bench.lock()
    bench.repository([Fake(name="a", evr="2-1"), kept])
    found = {each.rpm.name: each.url for each in bench.locked(old=lock).exports()}
    assert found == {
        "a": f"{bench.home.as_uri()}/archive/a/1/1/x86_64/a-1-1.x86_64.rpm",
        "c": f"{home.as_uri()}/{lock.rpms['c'].location}",
    }


def test_what_no_repository_lists_may_come_from_the_archive(bench: Bench) -> None:
    gone = Fake(name="a", evr="0-1", content=real_rpm("a", "0"))
    bench.repository(NEW)
    kept = bench.home / "archive/a/1/1/x86_64/a-0-1.x86_64.rpm"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(gone.body)
    lock = bench.lock([listed(gone, url=(bench.home / "a-0-1.x86_64.rpm").as_uri())])
    assert lock.rpms["a"].sha256 == gone.sha256

"""Dumps of advisories: zip files and directories, and those that can't be used."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.errors import ConfigError
from pybuilder.screening.dump import Dump
from tests.unit.test_screening_osv import ALL, record

ALPHA = NormalizedName("alpha-x")
RECORDS = {
    "PYSEC-1.json": record("PYSEC-1", events=ALL),
    "deep/GHSA-2.json": record("GHSA-2", versions=["1.0"]),
    "GHSA-3.json": record("GHSA-3", events=ALL, name="beta"),
    "npm.json": record("GHSA-4", events=ALL, ecosystem="npm"),
}


def directory(root: Path, records: dict[str, Any]) -> Dump:
    for name, content in records.items():
        file = root / "osv" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    (root / "osv" / "README.txt").write_text("no record")
    return Dump(path=root / "osv", where="pybuild.toml")


def packed(root: Path, records: dict[str, Any]) -> Dump:
    with zipfile.ZipFile(root / "all.zip", "w") as archive:
        for name, content in records.items():
            archive.writestr(name, content if isinstance(content, str) else json.dumps(content))
    return Dump(path=root / "all.zip", where="pybuild.toml")


KINDS = pytest.mark.parametrize("make", [directory, packed])


@KINDS
def test_what_is_known_of_a_version(make: Any, tmp_path: Path) -> None:
    dump = make(tmp_path, RECORDS)
    index = dump.index()
    assert {name: len(records) for name, records in index.items()} == {"alpha-x": 2, "beta": 1}
    assert [each.id for each in dump.advisories(index, ALPHA, Version("1.0"))] == ["GHSA-2", "PYSEC-1"]
    assert [each.id for each in dump.advisories(index, ALPHA, Version("1.1"))] == ["PYSEC-1"]
    assert dump.advisories(index, NormalizedName("gamma"), Version("1.0")) == ()


@KINDS
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "the record bad.json is damaged"),
        ("[]", "the record bad.json is damaged"),
        ('{"id": 3}', "the record bad.json is damaged"),
        ('{"id": "x", "affected": [{"package": null}]}', "the record bad.json is damaged"),
        ('{"id": "x", "affected": [{"package": {"ecosystem": "PyPI"}}]}', "the record bad.json is damaged"),
        ("[" * 100_000, "the record bad.json is damaged"),
    ],
    ids=["cut", "array", "no id", "no package", "no name", "deep"],
)
def test_a_damaged_record_stops_everything(make: Any, tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        make(tmp_path, {**RECORDS, "bad.json": content}).index()
    assert "fetch the dump again" in str(caught.value)


@KINDS
def test_a_record_whose_ranges_are_none_is_found_where_it_counts(make: Any, tmp_path: Path) -> None:
    bad = record("GHSA-9", name="beta")
    bad["affected"][0]["ranges"] = [{"events": 3}]
    dump = make(tmp_path, {"bad.json": bad, **RECORDS})
    index = dump.index()
    assert dump.advisories(index, ALPHA, Version("1.1"))
    with pytest.raises(ConfigError, match=r"GHSA-3.json, bad.json is damaged"):
        dump.advisories(index, NormalizedName("beta"), Version("1.0"))


@KINDS
def test_a_dump_of_another_ecosystem_is_none(make: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no advisory about packages of the PyPI ecosystem"):
        make(tmp_path, {"npm.json": RECORDS["npm.json"]}).index()


def test_what_is_no_dump(tmp_path: Path) -> None:
    for use in (Dump.identity, Dump.digest, Dump.index):
        with pytest.raises(ConfigError, match="there are no advisories at"):
            use(Dump(path=tmp_path / "gone.zip", where="pybuild.toml"))
    cut = packed(tmp_path, RECORDS)
    cut.path.write_bytes(cut.path.read_bytes()[:-30])
    with pytest.raises(ConfigError, match=r"the advisories in all.zip can't be read"):
        cut.index()


@pytest.mark.parametrize("damage", ["content", "method", "locked"])
def test_a_zip_whose_records_can_not_be_read(tmp_path: Path, damage: str) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", json.dumps(RECORDS["PYSEC-1.json"]))
    data = bytearray((tmp_path / "all.zip").read_bytes())
    entry = data.index(b"PK\x01\x02")
    if damage == "content":
        data[36:40] = b"\xff" * 4
    elif damage == "method":
        data[entry + 10] = data[8] = 99
    else:
        data[entry + 8] |= 1
        data[6] |= 1
    (tmp_path / "all.zip").write_bytes(data)
    with pytest.raises(ConfigError, match=r"the advisories in all.zip can't be read"):
        Dump(path=tmp_path / "all.zip", where="pybuild.toml").index()


def test_a_link_to_a_directory_is_not_followed(tmp_path: Path) -> None:
    dump = directory(tmp_path, RECORDS)
    (dump.path / "again").symlink_to(".")
    assert {name: len(records) for name, records in dump.index().items()} == {"alpha-x": 2, "beta": 1}


@KINDS
def test_another_file_in_its_place_is_seen(make: Any, tmp_path: Path) -> None:
    dump = make(tmp_path, RECORDS)
    identity = dump.identity()
    file = next(dump.path.rglob("*.json")) if dump.path.is_dir() else dump.path
    (tmp_path / "new").write_bytes(file.read_bytes())
    os.utime(tmp_path / "new", ns=(0, file.stat().st_mtime_ns))
    (tmp_path / "new").rename(file)
    assert dump.identity() != identity


@KINDS
def test_a_change_is_seen_without_reading_and_the_digest_is_of_the_content(make: Any, tmp_path: Path) -> None:
    dump = make(tmp_path, RECORDS)
    identity, digest = dump.identity(), dump.digest()
    assert (dump.identity(), dump.digest()) == (identity, digest)
    file = next(dump.path.rglob("*.json")) if dump.path.is_dir() else dump.path
    os.utime(file, (1, 1))
    assert dump.identity() != identity and dump.digest() == digest
    assert make(tmp_path, {"more.json": RECORDS["npm.json"], **RECORDS}).digest() != digest

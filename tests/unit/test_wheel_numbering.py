import zipfile
from email.parser import BytesParser

import pytest
from packaging.version import Version

from pybuilder.errors import BuildError, ValidationError
from pybuilder.wheel.canonical import canonicalise
from pybuilder.wheel.check import problems
from pybuilder.wheel.numbering import number, strip
from tests.support.wheels import EPOCH, Draft, random_draft


def payload_of(draft, directory):
    payload = canonicalise(draft.write(directory), directory / "scratch.whl", epoch=EPOCH)
    (directory / "p").mkdir(exist_ok=True)
    return payload, (directory / "scratch.whl").rename(directory / "p" / payload.filename)


def numbered(draft, directory, **options):
    payload, path = payload_of(draft, directory)
    return payload, number(path, directory, **{"label": "pb", "number": 2, "sbom": b"{}", **options})


def contents_of(path):
    with zipfile.ZipFile(path) as archive:
        return {info.filename: (archive.read(info), info.external_attr, info.date_time) for info in archive.infolist()}


@pytest.mark.parametrize("seed", range(60))
def test_stripping_a_numbered_wheel_gives_back_its_payload(tmp_path, seed):
    payload, wheel = numbered(random_draft(seed), tmp_path)
    assert problems(wheel.path, name=payload.name, version=wheel.version) == ()
    assert strip(wheel.path, tmp_path / "stripped.whl", label="pb") == payload.sha256
    assert (tmp_path / "stripped.whl").read_bytes() == (tmp_path / "p" / payload.filename).read_bytes()


def test_what_a_number_changes(tmp_path):
    files = {"demo/x": b"x" * 999, "demo-1.0.data/scripts/y": b"#!python\n", "demo-1.0.dist-info/sboms/own.json": b"[]"}
    _, wheel = numbered(Draft(files=files, executable=["demo/x"]), tmp_path, sbom=b"bill")
    before = contents_of(tmp_path / "p" / "demo-1.0-py3-none-any.whl")
    after = contents_of(wheel.path)
    assert wheel.path.name == "demo-1.0+pb.2-py3-none-any.whl"
    assert wheel.version == Version("1.0+pb.2")
    assert after.pop("demo-1.0+pb.2.dist-info/sboms/pybuild.cdx.json")[0] == b"bill"
    assert after["demo-1.0+pb.2.dist-info/METADATA"][0] == wheel.metadata
    assert {name.replace("1.0+pb.2", "1.0") for name in after} == set(before)
    changed = {name for name in before if after[name.replace("demo-1.0.", "demo-1.0+pb.2.")] != before[name]}
    assert changed == {"demo-1.0.dist-info/METADATA", "demo-1.0.dist-info/RECORD"}
    with zipfile.ZipFile(wheel.path) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_DEFLATED}
        assert archive.namelist()[-1] == "demo-1.0+pb.2.dist-info/RECORD"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.0", "1.0+pb.2"),
        ("1.0+cu126", "1.0+cu126.pb.2"),
        ("1.0+pb.7", "1.0+pb.7.pb.2"),
        ("1!1.0rc1", "1!1.0rc1+pb.2"),
    ],
)
def test_versions(tmp_path, version, expected):
    payload, wheel = numbered(Draft(version=version), tmp_path)
    assert wheel.path.name == f"demo-{expected}-py3-none-any.whl"
    assert BytesParser().parsebytes(wheel.metadata)["Version"] == expected
    assert strip(wheel.path, tmp_path / "stripped.whl", label="pb") == payload.sha256


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (b"Metadata-Version: 2.1\r\nVersion: 1.0\r\nName: demo\r\n", b"Version: 1.0+pb.2\r\nName: demo\r\n"),
        (
            b"Metadata-Version: 2.1\rVersion: 1.0\rName: demo\r\rVersion: 3",
            b"Version: 1.0+pb.2\rName: demo\r\rVersion: 3",
        ),
        (b"VERSION:1.0 \t\nName: demo\n\nVersion: 1.0\n", b"VERSION:1.0+pb.2 \t\nName: demo\n\nVersion: 1.0\n"),
        (b"Name: demo\nVersion: 1.0", b"Version: 1.0+pb.2"),
        (b"Name: demo\nVersion: 1.0.0\nSummary: \xff\n", b"Version: 1.0.0+pb.2\nSummary: \xff\n"),
        (b"Name: demo\nX: a\n  Version: 5\nVersion: 1.0\n", b"X: a\n  Version: 5\nVersion: 1.0+pb.2\n"),
    ],
)
def test_metadata_keeps_every_other_byte(tmp_path, metadata, expected):
    payload, wheel = numbered(Draft(metadata=metadata), tmp_path)
    assert wheel.metadata.endswith(expected)
    assert len(wheel.metadata) == len(metadata) + len("+pb.2")
    assert strip(wheel.path, tmp_path / "stripped.whl", label="pb") == payload.sha256


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (b"Name: demo\n\nVersion: 1.0\n", "nowhere"),
        (b"Version: 1.0\nVersion: 1.0\n", "1.0 and 1.0"),
        (b"Version: 1.1\n", "1.1"),
        (b"Version: one\n", "one"),
    ],
)
def test_metadata_must_say_the_version_once(tmp_path, metadata, said):
    with pytest.raises(BuildError, match=f"has the version {said}, not that of the file name"):
        numbered(Draft(metadata=metadata), tmp_path)
    assert not list(tmp_path.glob("*+*"))


def test_a_number_is_not_put_on_twice(tmp_path):
    _, wheel = numbered(Draft(), tmp_path)
    with pytest.raises(BuildError, match=r"already has sboms/pybuild\.cdx\.json"):
        number(wheel.path, tmp_path, label="pb", number=3, sbom=b"")


@pytest.mark.parametrize("label", ["fc", "p"])
def test_a_wheel_of_another_label_is_not_stripped(tmp_path, label):
    _, wheel = numbered(Draft(), tmp_path)
    with pytest.raises(
        ValidationError, match=rf"demo-1\.0\+pb\.2-py3-none-any\.whl carries no number under .* '{label}'"
    ):
        strip(wheel.path, tmp_path / "stripped.whl", label=label)


def test_a_number_that_only_metadata_spells_otherwise_is_not_ours(tmp_path):
    draft = Draft(version="1.0+pb.2", metadata=b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0+pb-2\n")
    with pytest.raises(ValidationError, match="carries no number"):
        strip(draft.write(tmp_path), tmp_path / "stripped.whl", label="pb")


def test_numbering_twice_gives_the_same_bytes(tmp_path):
    (tmp_path / "again").mkdir()
    _, path = payload_of(random_draft(3), tmp_path)
    wheels = [number(path, place, label="pb", number=1, sbom=b"{}") for place in (tmp_path, tmp_path / "again")]
    assert wheels[0].sha256 == wheels[1].sha256
    assert wheels[0].path.stat().st_size < path.stat().st_size + 500

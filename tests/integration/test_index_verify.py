"""Damage of every kind: verify names it, reading survives it, refresh mends what can be mended."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.index import Index
from pybuilder.signing import SUFFIX, PrivateKey, seal
from tests.support import proofs
from tests.support.indexes import make_release, make_source, make_wheel, open_index, sha256, tree_bytes

SIX = NormalizedName("six")
NAME = "six-1.17.0+pb.1-py3-none-any.whl"
SOURCE = "six-1.17.0.tar.gz"


@pytest.fixture
def index(tmp_path: Path) -> Index:
    index = open_index(tmp_path / "state")
    record = tmp_path / "attempt"
    record.mkdir()
    source = make_source(tmp_path, SOURCE)
    beside = {".cdx.json": b"bill"}
    index.publish([make_release(make_wheel(tmp_path), source=source, record=record, beside=beside)])
    index.publish([make_release(make_wheel(tmp_path, version="1.17.0+pb.2"))])
    index.publish([make_release(make_wheel(tmp_path, "idna", "3.10+pb.1", requires_dist=("six",)))])
    index.yank({(SIX, Version("1.17.0+pb.1")): "a <reason>"})
    return index


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def spoil(path: Path) -> None:
    path.write_bytes(b"<html>Please log in \xff</html>")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def lie(path: Path) -> None:
    """Change one digit that stays plausible: the first digest."""
    data = path.read_bytes()
    at = data.index(b"sha256") + 12
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def create(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"left over")


PAGES = [
    (remove, "simple/index.json", "is missing"),
    (remove, "simple/index.html", "is missing"),
    (remove, "simple/index.v1_json", "is missing"),
    (spoil, "simple/index.json", "is no JSON"),
    (spoil, "simple/index.html", "does not agree with index.json"),
    (remove, "simple/six/index.json", "is missing"),
    (remove, "simple/six/index.html", "is missing"),
    (spoil, "simple/six/index.json", "is no JSON"),
    (cut, "simple/six/index.json", "is no JSON"),
    (cut, "simple/six/index.html", "does not agree with index.json"),
    (lie, "simple/six/index.html", "does not agree with index.json"),
    (spoil, "simple/six/index.v1_json", "does not agree with index.json"),
    (spoil, "sources/simple/six/index.json", "is no JSON"),
    (remove, "sources/simple/index.html", "is missing"),
    (remove, f"files/{NAME}.metadata", "is missing"),
    (spoil, f"files/{NAME}.metadata", "is not the wheel's METADATA"),
    (create, "files/.six.whl.abc.tmp", "left from an interrupted run"),
    (create, "simple/six/.index.html.abc.tmp", "left from an interrupted run"),
    (create, "records/.attempt.abc.tmp", "left from an interrupted run"),
    (create, ".unfinished.json", "a publish was interrupted"),
    (remove, "yanked.json", "is missing, but six's page has files that are yanked"),
    (spoil, "yanked.json", "can't be read"),
]


@pytest.mark.parametrize(("damage", "path", "problem"), PAGES)
def test_a_damaged_page_is_reported_and_mended_byte_for_byte(
    index: Index, damage: Callable[[Path], None], path: str, problem: str
) -> None:
    whole = tree_bytes(index.root)
    damage(index.root / path)

    problems = index.verify()
    assert any(each.startswith(f"{path}: ") and problem in each for each in problems), problems
    assert [(file.version, file.yanked) for file in index.files(SIX)] == [
        ("1.17.0+pb.1", "a <reason>"),
        ("1.17.0+pb.2", None),
    ]
    assert set(index.projects()) == {"six", "idna"}

    index.refresh()
    assert index.verify() == ()
    assert tree_bytes(index.root) == whole


def test_a_publish_that_was_interrupted_while_it_was_noted_is_told_as_one(index: Index) -> None:
    create(index.root / "..unfinished.json.0a1b2c3d.tmp")
    assert "a publish was interrupted" in index.verify()[0]
    index.refresh()
    assert index.verify() == ()


@pytest.mark.parametrize("damage", [remove, spoil])
def test_publishing_mends_the_pages_it_touches(index: Index, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    for page in ("index.json", "index.v1_json"):
        damage(index.root / "simple/six" / page)
        damage(index.root / "simple" / page)
    index.publish([make_release(make_wheel(tmp_path, version="1.17.0+pb.3"))])
    assert index.verify() == ()
    assert [file.yanked for file in index.files(SIX)] == ["a <reason>", None, None]


def test_with_all_pages_lost_they_are_made_from_the_files(index: Index) -> None:
    before = index.files(SIX)
    remove(index.root / "simple")
    remove(index.root / "sources" / "simple")
    done = index.refresh()
    assert f"files/{NAME}" in done.listed
    assert f"sources/files/{SOURCE}" in done.listed
    assert index.verify() == ()
    after = index.files(SIX)
    assert [(file.sha256, file.upload_time) for file in after] == [(file.sha256, file.upload_time) for file in before]


@pytest.mark.parametrize(
    ("damage", "path", "problem"),
    [
        (spoil, f"files/{NAME}", "has sha256 "),
        (cut, f"files/{NAME}", "has sha256 "),
        (spoil, f"sources/files/{SOURCE}", "has sha256 "),
        (spoil, f"files/{NAME}.cdx.json", "has sha256 "),
        (remove, f"files/{NAME}.intoto.json", "is missing, but six's page lists it"),
    ],
)
def test_a_damaged_file_is_never_made_good(
    index: Index, tmp_path: Path, damage: Callable[[Path], None], path: str, problem: str
) -> None:
    whole = tree_bytes(index.root)
    damage(index.root / path)
    assert [each.startswith(f"{path}: {problem}") for each in index.verify()] == [True]
    done = index.refresh()
    assert (done.listed, done.dropped, done.pages) == ((), (), ())
    assert [each.startswith(f"{path}: {problem}") for each in index.verify()] == [True]

    source = make_source(tmp_path, SOURCE)
    beside = {".cdx.json": b"bill"}
    index.publish([make_release(make_wheel(tmp_path), source=source, beside=beside)])
    assert index.verify() == ()
    assert tree_bytes(index.root) == whole


def test_a_damaged_file_beside_a_damaged_page_is_not_listed_as_new(index: Index) -> None:
    spoil(index.root / "files" / NAME)
    spoil(index.root / "simple/six/index.json")
    assert [file.version for file in index.files(SIX)] == ["1.17.0+pb.2"]
    index.refresh()
    assert f"files/{NAME}: is on no page" in index.verify()


def test_another_wheel_beside_a_damaged_page_keeps_the_published_digest(index: Index, tmp_path: Path) -> None:
    shutil.copyfile(make_wheel(tmp_path / "other", content="evil = 1\n"), index.root / "files" / NAME)
    spoil(index.root / "simple/six/index.json")
    index.refresh()
    assert any(each.startswith(f"files/{NAME}: has sha256 ") for each in index.verify())


def test_a_lost_file_is_reported_and_then_dropped(index: Index) -> None:
    remove(index.root / "files" / NAME)
    assert f"files/{NAME}: is missing, but six's page lists it" in index.verify()
    assert index.refresh().dropped == (f"files/{NAME}",)
    assert [file.version for file in index.files(SIX)] == ["1.17.0+pb.2"]
    assert index.verify() == ()


def test_what_lies_beside_a_lost_wheel_goes_with_it(index: Index) -> None:
    remove(index.root / "files" / NAME)
    index.refresh()
    assert not list((index.root / "files").glob(f"{NAME}*"))


def test_what_lies_beside_a_wheel_on_no_page_is_reported_and_then_listed(index: Index) -> None:
    path = index.root / "files" / NAME.replace("pb.1", "pb.2")
    create(path.with_name(f"{path.name}.cdx.json"))
    assert index.verify() == (f"files/{path.name}.cdx.json: is on no page",)
    index.refresh()
    named = "names another bill of materials than the one that is published"
    assert index.verify() == (f"files/{path.name}.intoto.json: {named}",)
    assert [suffix for suffix, _ in index.files(SIX)[1].beside] == [".cdx.json", ".intoto.json"]


def test_a_project_without_files_disappears(index: Index) -> None:
    for file in (index.root / "files").glob("idna*"):
        remove(file)
    index.refresh()
    assert index.projects() == ("six",)
    assert not (index.root / "simple/idna").exists()
    assert index.verify() == ()


def test_a_file_on_no_page_is_reported_and_then_listed(index: Index, tmp_path: Path) -> None:
    wheel = make_wheel(index.root / "files", "attrs", "25.1+pb.1")
    assert index.verify() == (f"files/{wheel.name}: is on no page",)
    assert index.refresh().listed == (f"files/{wheel.name}",)
    without = f"is missing: {wheel.name} was published without provenance"
    assert index.verify() == (f"files/{wheel.name}.intoto.json: {without}",)
    assert index.projects() == ("attrs", "idna", "six")


def test_what_is_no_package_is_reported_and_left_alone(index: Index) -> None:
    create(index.root / "files" / "notes.txt")
    index.refresh()
    assert index.verify() == ("files/notes.txt: is on no page",)


def test_a_list_that_is_wrong_is_reported(index: Index) -> None:
    (index.root / "simple" / "attrs").mkdir()
    problems = index.verify()
    assert "simple/attrs/index.json: is missing" in problems
    assert "simple/index.json: does not list attrs" in problems


class TestProvenance:
    """What lies beside a wheel is read, and compared with the wheel, the index's keys and the record."""

    @staticmethod
    def publish(index: Index, tmp_path: Path, data: bytes, key: PrivateKey | None = None) -> str:
        wheel = make_wheel(tmp_path, "attrs", "25.1+pb.1")
        index.publish([make_release(wheel, beside={SUFFIX: data})], signed_by=key.public if key else None)
        return f"files/{wheel.name}{SUFFIX}"

    @staticmethod
    def digest(tmp_path: Path) -> tuple[str, str]:
        wheel = make_wheel(tmp_path, "attrs", "25.1+pb.1")
        return wheel.name, sha256(wheel)

    def test_a_signed_one_is_sound_with_its_key_and_not_without(self, index: Index, tmp_path: Path) -> None:
        key = PrivateKey.generate()
        path = self.publish(index, tmp_path, proofs.envelope(*self.digest(tmp_path), key=key), key)
        assert index.verify() == ()
        file = index.root / "keys" / f"{key.public.keyid}.pem"
        assert file.read_bytes() == key.public.pem
        file.write_bytes(PrivateKey.generate().public.pem)
        damaged, untrusted = index.verify()
        assert damaged == f"keys/{file.name}: this is another key than the file's name says"
        assert untrusted == f"{path}: this is signed by {key.public.keyid}, which is no trusted key"
        file.unlink()
        assert index.verify() == (untrusted,)

    def test_a_signature_over_another_file_is_reported(self, index: Index, tmp_path: Path) -> None:
        key, digest = PrivateKey.generate(), "0" * 64
        name, _ = self.digest(tmp_path)
        path = self.publish(index, tmp_path, proofs.envelope(name, digest, key=key), key)
        assert index.verify() == (f"{path}: is about {name!r} with sha256 {digest}",)

    def test_one_about_another_name_is_reported(self, index: Index, tmp_path: Path) -> None:
        _, digest = self.digest(tmp_path)
        path = self.publish(index, tmp_path, proofs.envelope("other.whl", digest))
        assert index.verify() == (f"{path}: is about 'other.whl' with sha256 {digest}",)

    def test_a_bill_of_materials_that_it_does_not_name_is_reported(self, index: Index, tmp_path: Path) -> None:
        wheel = make_wheel(tmp_path, "attrs", "25.1+pb.1")
        for bill, other in ((b"bill", b"another"), (b"bill", None)):
            root = tmp_path / str(other)
            release = make_release(wheel, beside={".cdx.json": bill} if other else {})
            changed = dict(release.beside) | {".cdx.json": other or bill}
            index = open_index(root)
            index.publish([replace(release, beside=changed)])
            assert index.verify() == (
                f"files/{wheel.name}{SUFFIX}: names another bill of materials than the one that is published",
            )

    def test_an_envelope_of_another_statement_is_reported(self, index: Index, tmp_path: Path) -> None:
        path = self.publish(index, tmp_path, seal(b"{}", None).as_bytes)
        assert [each.startswith(f"{path}: this is no provenance of ours") for each in index.verify()] == [True]

    def test_a_forged_signature_is_reported(self, index: Index, tmp_path: Path) -> None:
        key, forger = PrivateKey.generate(), PrivateKey.generate()
        forged = proofs.envelope(*self.digest(tmp_path), key=forger)
        forged = forged.replace(forger.public.keyid.encode(), key.public.keyid.encode())
        path = self.publish(index, tmp_path, forged, key)
        assert [each.startswith(f"{path}: the signature by") for each in index.verify()] == [True]

    def test_an_edited_log_and_a_lost_plan_are_reported(self, index: Index, tmp_path: Path) -> None:
        log, plan = index.root / "records" / "aa" / "build.log", index.root / "records" / "aa" / "plan.json"
        for file in (log, plan):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("as it was")
        record = {str(file.relative_to(index.root)): sha256(file) for file in (log, plan)}
        self.publish(index, tmp_path, proofs.envelope(*self.digest(tmp_path), record=record))
        assert index.verify() == ()
        log.write_text("edited")
        plan.unlink()
        edited, lost = index.verify()
        assert edited.startswith("records/aa/build.log: has sha256 ") and "the provenance of attrs" in edited
        assert lost.startswith("records/aa/plan.json: is missing")


def test_refreshing_what_is_right_touches_nothing(index: Index) -> None:
    before = {path: path.stat().st_mtime_ns for path in index.root.rglob("*")}
    done = index.refresh()
    assert (done.listed, done.dropped, done.pages) == ((), (), ())
    assert {path: path.stat().st_mtime_ns for path in index.root.rglob("*")} == before

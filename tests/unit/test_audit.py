"""What an audit finds in an index that was changed: each test changes one thing, and only its own check may speak."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from pybuilder.audit import Audit, DirectoryReader, Shelf, Trust, audit, audit_all, named, wheels_of
from pybuilder.audit.graph import tree_lines
from pybuilder.errors import UsageError, ValidationError
from pybuilder.names import normalize
from pybuilder.provenance import BILL
from pybuilder.signing import PrivateKey
from tests.support.presses import RPMS, Fetching, Made, Press, host_root, rpm_root, sign_again

KEY = PrivateKey(seed=b"k" * 32)
OTHER = PrivateKey(seed=b"o" * 32)
OURS = {KEY.public.keyid: KEY.public}
LATER = datetime(2026, 2, 1, tzinfo=UTC)


@dataclass
class Desk:
    """An index in which six was built with tool, and tool with nothing; and its auditor."""

    press: Press
    scratch: Path
    tool: Made
    six: Made

    def shelf(self, keys: Any = OURS, *, demanded: bool = False) -> Shelf:
        """The index, as it is now."""
        reader = DirectoryReader(self.press.index.root)
        trust = Trust(keys=keys, demanded=demanded)
        return Shelf(reader=reader, trust=trust, scratch=self.scratch, now=lambda: LATER)

    def audit(self, made: Made | None = None, keys: Any = OURS, *, demanded: bool = False) -> Audit:
        """Audit a wheel; six where none is named."""
        shelf = self.shelf(keys, demanded=demanded)
        return audit(shelf, named(shelf, (made or self.six).wheel.name))

    def wrong(self, made: Made | None = None, **options: Any) -> dict[str, str]:
        """What is wrong with a wheel by itself: the problem by what was compared."""
        return {check.what: check.problem for check in self.audit(made, **options).graph.top.problems}

    def wrong_anywhere(self) -> set[str]:
        """The wheels and pages with which ``audit --all`` finds something wrong."""
        return {where for where, _ in audit_all(self.shelf()).problems}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Made, Made]:
    """What each test gets a copy of: publishing waits for the disk, copying doesn't."""
    press = Press(state=tmp_path_factory.mktemp("original"), key=KEY)
    tool = press.publish("tool")
    return press.state, tool, press.publish("six", environment=[tool], patched=True)


@pytest.fixture
def desk(tmp_path: Path, original: tuple[Path, Made, Made]) -> Desk:
    state, tool, six = original
    scratch, copy = tmp_path / "scratch", tmp_path / "state"
    scratch.mkdir()
    shutil.copytree(state, copy)
    return Desk(Press(state=copy, key=KEY, count=2), scratch, tool.moved(state, copy), six.moved(state, copy))


class TestSound:
    def test_all_agrees_and_nothing_taints_it(self, desk: Desk) -> None:
        found = desk.audit()
        assert found.ok and found.graph.flagged() == {}
        assert found.evidence.vouched.by == "a trusted key" and found.evidence.vouched.keyid == KEY.public.keyid
        assert len(found.graph.top.checks) > 25
        assert f"its provenance is signed by a trusted key, {KEY.public.keyid}" in {
            check.what for check in found.graph.top.checks
        }
        assert list(found.graph.nodes) == [desk.six.ingredient.payload, desk.tool.ingredient.payload]

    def test_of_all(self, desk: Desk) -> None:
        found = audit_all(desk.shelf())
        assert found.problems == () and [node.name for node in found.wheels] == ["six", "tool"]
        assert found.flagged() == {}

    def test_a_copy_elsewhere_needs_nothing_but_itself(self, desk: Desk, tmp_path: Path) -> None:
        copy = shutil.move(desk.press.index.root, tmp_path / "mirror")
        shutil.rmtree(desk.press.state)
        shelf = Shelf(reader=DirectoryReader(copy), trust=Trust(keys=OURS), scratch=desk.scratch)
        assert audit(shelf, named(shelf, desk.six.wheel.name)).ok
        assert audit_all(shelf).problems == ()

    def test_scratch_is_left_empty(self, desk: Desk) -> None:
        desk.audit()
        assert list(desk.scratch.iterdir()) == []

    def test_what_was_fetched_is_not_kept(self, desk: Desk) -> None:
        """An index is larger than a disk."""
        reader = Fetching(desk.press.index.root, desk.scratch)
        assert audit_all(Shelf(reader=reader, trust=Trust(keys={}), scratch=desk.scratch)).wheels
        assert {path.split("/")[0] for path in reader.fetched} == {"files", "records", "sources"}
        assert reader.left() == []


class TestWheel:
    @pytest.mark.parametrize("at", [40, -30], ids=["in a file", "in the directory of the zip"])
    def test_one_byte_flipped(self, desk: Desk, at: int) -> None:
        data = bytearray(desk.six.wheel.read_bytes())
        data[at] ^= 1
        desk.six.wheel.write_bytes(data)
        wrong = desk.wrong()
        assert "the wheel has the published digest" in wrong
        assert "its provenance has the wheel's digest" in wrong
        assert desk.wrong_anywhere() == {desk.six.wheel.name}

    def test_one_that_is_sound_but_another(self, desk: Desk, tmp_path: Path) -> None:
        """The page is made to agree: then only what was signed tells."""
        other = Press(state=tmp_path / "other").publish("six", module=b"VALUE = 2\n")
        shutil.copy(other.wheel, desk.six.wheel)
        page = desk.press.index.root / "simple" / "six" / "index.json"
        listed = json.loads(page.read_bytes())
        listed["files"][0]["hashes"] = json.loads((other.wheel.parents[1] / "simple/six/index.json").read_bytes())[
            "files"
        ][0]["hashes"]
        page.write_text(json.dumps(listed))
        assert set(desk.wrong()) == {"its provenance has the wheel's digest", "without its number it is the payload"}

    def test_a_record_that_lies_of_a_file(self, desk: Desk) -> None:
        """RECORD in the wheel is wrong, though the wheel is the one that was published."""
        with ZipFile(desk.six.wheel) as old:
            files = {info: old.read(info) for info in old.infolist()}
        with ZipFile(desk.six.wheel, "w") as new:
            for info, data in files.items():
                new.writestr(info, b"VALUE = 7\n" if info.filename == "six.py" else data)
        assert (
            "RECORD has another digest for 'six.py'"
            in desk.wrong()["the wheel is sound, and RECORD is right for every file"]
        )

    def test_it_is_missing(self, desk: Desk) -> None:
        desk.six.wheel.unlink()
        assert desk.wrong() == {"the wheel is there": "it is missing, though its page lists it"}
        assert desk.wrong_anywhere() == {desk.six.wheel.name}

    def test_another_file_than_the_index_has(self, desk: Desk, tmp_path: Path) -> None:
        copy = tmp_path / desk.six.wheel.name
        copy.write_bytes(desk.six.wheel.read_bytes() + b"x")
        shelf = desk.shelf()
        found = audit(shelf, named(shelf, copy.name), content=copy)
        assert not found.ok
        assert desk.audit().ok


class TestProvenance:
    def test_of_another_key(self, desk: Desk) -> None:
        sign_again(desk.six, OTHER)
        [(what, problem)] = desk.wrong().items()
        assert what == "its provenance is signed by a trusted key"
        assert problem == f"this is signed by {OTHER.public.keyid}, which is no trusted key"
        assert desk.wrong_anywhere() == {desk.six.wheel.name}

    def test_of_another_key_that_calls_itself_ours(self, desk: Desk) -> None:
        sign_again(desk.six, OTHER)
        envelope = json.loads(desk.six.envelope.read_bytes())
        envelope["signatures"][0]["keyid"] = KEY.public.keyid
        desk.six.envelope.write_text(json.dumps(envelope))
        assert list(desk.wrong()) == ["its provenance is signed by a trusted key"]

    def test_the_signature_of_another_file(self, desk: Desk) -> None:
        """It is of our key and whole, but about another wheel."""
        shutil.copy(desk.tool.envelope, desk.six.envelope)
        wrong = desk.wrong()
        assert "its provenance is about this file" in wrong and "its provenance has the wheel's digest" in wrong
        assert "its provenance is signed by a trusted key" not in wrong

    def test_the_statement_was_changed_after_it_was_signed(self, desk: Desk) -> None:
        envelope = json.loads(desk.six.envelope.read_bytes())
        said = base64.b64decode(envelope["payload"]).replace(b"c" * 40, b"d" * 40)
        envelope["payload"] = base64.b64encode(said).decode()
        desk.six.envelope.write_text(json.dumps(envelope))
        assert "its provenance is signed by a trusted key" in desk.wrong()

    def test_a_key_that_was_rotated(self, desk: Desk) -> None:
        """What the old key has signed still counts as long as the old key is kept."""
        desk.press.key = OTHER
        new = desk.press.publish("new")
        both = {**OURS, OTHER.public.keyid: OTHER.public}
        assert desk.wrong(keys=both) == {} == desk.wrong(new, keys=both)
        assert list(desk.wrong(keys={OTHER.public.keyid: OTHER.public})) == [
            "its provenance is signed by a trusted key"
        ]

    def test_unsigned_taints_and_where_a_key_is_demanded_it_is_wrong(self, desk: Desk) -> None:
        desk.press.key = None
        made = desk.press.publish("bare")
        assert desk.wrong(made) == {}
        assert [flag.kind for flag in desk.audit(made).graph.top.flags] == ["unsigned"]
        assert desk.wrong(made, demanded=True) == {"its provenance is signed by a trusted key": "it is not signed"}

    def test_only_the_index_vouches_for_the_key(self, desk: Desk) -> None:
        assert "no trusted key" in desk.wrong(keys={})["its provenance is signed by a trusted key"]
        keys = desk.press.index.root / "keys"
        keys.mkdir()
        (keys / f"{KEY.public.keyid}.pem").write_bytes(KEY.public.pem)
        found = desk.audit(keys={})
        assert found.ok and [flag.kind for flag in found.graph.top.flags] == ["key from the index itself"]

    def test_a_key_in_the_index_that_is_another(self, desk: Desk) -> None:
        keys = desk.press.index.root / "keys"
        keys.mkdir()
        (keys / f"{KEY.public.keyid}.pem").write_bytes(OTHER.public.pem)
        assert list(desk.wrong(keys={})) == ["its provenance is signed by a trusted key"]

    def test_it_is_missing_though_the_page_lists_it(self, desk: Desk) -> None:
        """The record is found by the payload then; over HTTP it could not be."""
        desk.six.envelope.unlink()
        assert desk.wrong() == {"its provenance is there": "it is missing, though the wheel's page lists it"}
        assert [flag.kind for flag in desk.audit().graph.top.flags] == ["unsigned"]

    @pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'{"payload": "e30=", "signatures": []}'])
    def test_it_is_damaged(self, desk: Desk, data: bytes) -> None:
        desk.six.envelope.write_bytes(data)
        assert "its provenance can be read" in desk.wrong()

    def test_another_bill_of_materials_than_the_one_that_is_vouched_for(self, desk: Desk) -> None:
        bill = desk.six.wheel.with_name(desk.six.wheel.name + BILL)
        bill.write_bytes(b"{ }")
        assert list(desk.wrong()) == ["its bill of materials is the one that its provenance names"]
        bill.unlink()
        assert list(desk.wrong()) == ["its bill of materials is the one that its provenance names"]

    def test_a_clock_far_off(self, desk: Desk) -> None:
        def change(said: Any) -> None:
            said["predicate"]["runDetails"]["metadata"]["finishedOn"] = "2030-01-01T00:00:00.000000Z"

        sign_again(desk.six, KEY, change)
        assert list(desk.wrong()) == ["its provenance tells a time that can be"]

    @pytest.mark.parametrize(
        ("path", "value", "said"),
        [
            ("runDetails.builder.id", "urn:pybuild:builder:other", "the engine other"),
            ("buildDefinition.externalParameters.version", "2.0", "a build of six 2.0"),
            ("buildDefinition.externalParameters.buildroot", "other", "the buildroot other"),
            ("buildDefinition.externalParameters.workspace.commit", "d" * 40, f"the commit {'d' * 40}, clean"),
            ("buildDefinition.buildType", "urn:pybuild:prebuilt:v1", "upstream's wheel of six 1.0"),
        ],
    )
    def test_another_build_than_the_recorded_one(self, desk: Desk, path: str, value: str, said: str) -> None:
        sign_again(desk.six, KEY, lambda document: patched(document["predicate"], path, value))
        [(what, problem)] = desk.wrong().items()
        assert what == "its provenance tells of the build what the record does"
        assert problem.startswith(f"it has {said}; it lacks ")

    def test_inputs_that_the_plan_has_not(self, desk: Desk) -> None:
        def change(said: Any) -> None:
            dependencies = said["predicate"]["buildDefinition"]["resolvedDependencies"]
            next(each for each in dependencies if each["name"] == "gcc-1-1.x86_64")["digest"]["sha256"] = "f" * 64

        sign_again(desk.six, KEY, change)
        [(what, problem)] = desk.wrong().items()
        assert what == "its provenance names the inputs of the plan"
        assert problem == (
            "it does not name the RPM gcc-1-1.x86_64;"
            f" it names gcc-1-1.x86_64 sha256 {'f' * 64}, which the plan has not"
        )


def patched(document: Any, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for part in parents:
        document = document[int(part)] if part.isdigit() else document[part]
    document[int(last) if last.isdigit() else last] = value


class TestRecord:
    @pytest.mark.parametrize(
        ("path", "value", "what"),
        [
            ("source.sha256", "f" * 64, "the record names the plan's source"),
            ("patches.0.sha256", "f" * 64, "the record names the plan's patches"),
            ("environment.0.payload_sha256", "f" * 64, "the record names the plan's build environment"),
            ("environment", [], "the record names the plan's build environment"),
            ("name", "seven", "the record names the plan's package"),
            ("target", "cp399-x", "the record names the plan's target"),
            ("root.digest", "f" * 64, "the record names the plan's root"),
            ("key", "f" * 64, "the plan has the recorded key"),
            ("attempt", "another", "the record is the attempt that its provenance names"),
            ("log_sha256", "f" * 64, "the log is the recorded one"),
            ("result.payload_sha256", "f" * 64, "without its number it is the payload"),
        ],
    )
    def test_one_that_names_other_inputs(self, desk: Desk, path: str, value: Any, what: str) -> None:
        desk.six.edit("record.json", lambda document: patched(document, path, value))
        wrong = desk.wrong()
        assert what in wrong and "record.json is the one that its provenance names" in wrong
        assert desk.six.wheel.name in desk.wrong_anywhere()

    @pytest.mark.parametrize(
        ("path", "value", "what"),
        [
            ("recipe.source", "f" * 64, "the plan has the recorded key"),
            ("recipe.env", {"A": "1"}, "the plan has the recorded key"),
            ("environment.0.payload", "f" * 64, "the plan has the recorded key"),
            ("root.contents.rpms.0.sha256", "f" * 64, "the root's digest is that of what it consists of"),
            ("root.contents.rpms", [], "the root's digest is that of what it consists of"),
        ],
    )
    def test_a_plan_with_other_inputs(self, desk: Desk, path: str, value: Any, what: str) -> None:
        desk.six.edit("plan.json", lambda document: patched(document, path, value))
        assert what in desk.wrong()

    def test_a_swapped_rpm_in_a_plan_whose_digests_agree(self, desk: Desk) -> None:
        """Plan and record are made anew around another RPM: what was signed still tells."""
        root = rpm_root([RPMS[0], dict(RPMS[1], sha256="f" * 64)])
        desk.six.edit("plan.json", lambda document: document["root"].update(digest=root.digest, contents=root.contents))
        key = desk.audit().evidence.key
        desk.six.edit("record.json", lambda document: document.update(key=key))
        desk.six.edit("record.json", lambda document: document["root"].update(digest=root.digest))
        wrong = desk.wrong()
        assert "it does not name the RPM gcc-1-1.x86_64" in wrong["its provenance names the inputs of the plan"]
        assert "its provenance names the record's key" in wrong
        assert "the root's digest is that of what it consists of" not in wrong

    def test_that_of_another_package(self, desk: Desk) -> None:
        """Record and plan agree with each other, and with nothing else."""
        for name in ("record.json", "plan.json"):
            (desk.six.record / name).write_bytes((desk.tool.record / name).read_bytes())
        wrong = desk.wrong()
        assert wrong["the record is of this package and version"] == "it is tool 1.0, not six 1.0"
        assert "its provenance names the record's payload" in wrong and "the plan has the recorded key" not in wrong

    def test_a_build_that_was_not_sealed(self, desk: Desk) -> None:
        desk.six.edit("record.json", lambda document: document.update(seal={}))
        assert [flag.kind for flag in desk.audit().graph.top.flags] == ["not sealed"]

    def test_an_edited_log(self, desk: Desk) -> None:
        (desk.six.record / "build.log").write_text("all is well\n")
        wrong = desk.wrong()
        assert "the log is the recorded one" in wrong and "build.log is the one that its provenance names" in wrong

    def test_an_edited_log_and_a_record_that_agrees(self, desk: Desk) -> None:
        (desk.six.record / "build.log").write_text("all is well\n")
        digest = hashlib.sha256(b"all is well\n").hexdigest()
        desk.six.edit("record.json", lambda document: document.update(log_sha256=digest))
        wrong = desk.wrong()
        assert "the log is the recorded one" not in wrong
        assert "build.log is the one that its provenance names" in wrong

    def test_a_changed_patch(self, desk: Desk) -> None:
        (desk.six.record / "patches" / "0001-x.patch").write_bytes(b"another")
        assert list(desk.wrong()) == [
            "0001-x.patch is the one that its provenance names",
            "the patch patches/six/0001-x.patch is the recorded one",
        ]

    def test_it_is_missing(self, desk: Desk) -> None:
        shutil.rmtree(desk.six.record.parent)
        wrong = desk.wrong()
        assert wrong["its record is there"].endswith(" is missing")
        assert desk.six.wheel.name in desk.wrong_anywhere()

    def test_it_is_missing_and_nothing_says_where_it_was(self, desk: Desk) -> None:
        shutil.rmtree(desk.six.record.parent)
        desk.six.envelope.unlink()
        assert desk.wrong()["its record is there"] == "the index has none for its payload"

    def test_without_provenance_it_is_the_last_that_had_begun_when_the_wheel_was_published(self, desk: Desk) -> None:
        """A payload may have been made before, and again since."""
        desk.six.envelope.unlink()
        for attempt in ("20250101T000000.000000Z-000000", "20260103T000000.000000Z-000000"):
            (desk.six.record.parent / attempt).mkdir()
        evidence = desk.audit().evidence
        assert evidence.account and evidence.account.attempt == desk.six.record.name

    @pytest.mark.parametrize("name", ["record.json", "plan.json", "build.log"])
    def test_a_file_of_it_is_missing(self, desk: Desk, name: str) -> None:
        (desk.six.record / name).unlink()
        assert any("missing" in problem for problem in desk.wrong().values())

    @pytest.mark.parametrize("name", ["record.json", "plan.json"])
    @pytest.mark.parametrize("data", [b"", b"[]", b'"x"', b"{}", b"\xff\xfe", b"[" * 100_000, b'{"format": 1}'])
    def test_a_document_of_it_is_damaged(self, desk: Desk, name: str, data: bytes) -> None:
        (desk.six.record / name).write_bytes(data)
        what = "its record can be read" if name == "record.json" else "its plan can be read"
        assert what in desk.wrong()

    @pytest.mark.parametrize("name", ["record.json", "plan.json"])
    def test_fields_of_any_kind_are_told_and_do_no_harm(self, desk: Desk, name: str) -> None:
        """Each field of the document in turn becomes something else."""
        whole = json.loads((desk.six.record / name).read_bytes())
        for field in whole:
            for value in (None, 7, "x", [], {}, [1], {"a": 1}, [{"name": 3}]):
                (desk.six.record / name).write_text(json.dumps({**whole, field: value}))
                desk.audit()

    def test_one_from_before_there_were_prebuilt_wheels_and_provenance(self, desk: Desk) -> None:
        desk.six.edit("record.json", lambda document: [document.pop(name) for name in ("prebuilt", "workspace")])
        desk.six.envelope.unlink()
        page = desk.press.index.root / "simple" / "six" / "index.json"
        listed = json.loads(page.read_bytes())
        del listed["files"][0]["_beside"]
        page.write_text(json.dumps(listed))
        found = desk.audit()
        assert found.ok and [flag.kind for flag in found.graph.top.flags] == ["unsigned"]

    def test_a_path_that_leads_elsewhere_is_not_followed(self, desk: Desk) -> None:
        """Though the file is there, and has that digest."""
        log = desk.tool.record / "build.log"

        def change(said: Any) -> None:
            path, digest = str(log.relative_to(desk.press.index.root)), hashlib.sha256(log.read_bytes()).hexdigest()
            said["predicate"]["runDetails"]["byproducts"].append({"name": path, "digest": {"sha256": digest}})

        sign_again(desk.six, KEY, change)
        assert list(desk.wrong()) == ["build.log is the one that its provenance names"]

    def test_an_attempt_that_leads_elsewhere_is_not_followed(self, desk: Desk) -> None:
        def change(said: Any) -> None:
            said["predicate"]["runDetails"]["metadata"]["invocationId"] = "../../files"

        sign_again(desk.six, KEY, change)
        assert desk.wrong()["its record is there"] == "'../../files' is no attempt"


class TestSources:
    def test_a_changed_one(self, desk: Desk) -> None:
        desk.six.source.write_bytes(b"another")
        assert list(desk.wrong()) == ["the source six-1.0.tar.gz is there"]
        assert desk.wrong_anywhere() == {desk.six.wheel.name}

    def test_it_is_missing(self, desk: Desk) -> None:
        desk.six.source.unlink()
        assert desk.wrong()["the source six-1.0.tar.gz is there"].startswith("it is missing")


class TestWalk:
    def test_down_to_the_seeds_and_shared_trees_once(self, desk: Desk) -> None:
        press = desk.press
        middle = press.publish("middle", environment=[desk.tool], module=b"M = 1\n")
        top = press.publish("top", environment=[middle, desk.six], module=b"T = 1\n")
        last = press.publish("last", environment=[top, middle], module=b"L = 1\n")
        graph = desk.audit(last).graph
        assert graph.ok
        assert list(tree_lines(graph, lambda node: ["seed"] if node.seed else [])) == [
            "last 1.0+pb.1",
            "  middle 1.0+pb.1",
            "    tool 1.0+pb.1  (seed)",
            "  top 1.0+pb.1",
            "    middle 1.0+pb.1  (see above)",
            "    six 1.0+pb.1",
            "      tool 1.0+pb.1  (seed)",
        ]

    def test_what_is_wrong_far_below_is_found(self, desk: Desk) -> None:
        top = desk.press.publish("top", environment=[desk.six], module=b"T = 1\n")
        desk.tool.source.write_bytes(b"another")
        found = desk.audit(top)
        assert not found.ok and found.graph.top.problems == ()
        assert [(node.name, check.what) for node, check in found.problems()] == [
            ("tool", "the source tool-1.0.tar.gz is there")
        ]

    def test_what_a_trusted_key_vouches_for_is_not_unpacked_below_and_all_else_is(self, desk: Desk) -> None:
        def unpacked(keys: Any) -> list[bool]:
            nodes = desk.audit(keys=keys).graph.nodes.values()
            return [bool(node.evidence and node.evidence.content and node.evidence.content.unpacked) for node in nodes]

        assert unpacked(OURS) == [True, False]
        keys = desk.press.index.root / "keys"
        keys.mkdir()
        (keys / f"{KEY.public.keyid}.pem").write_bytes(KEY.public.pem)
        assert unpacked({}) == [True, True]
        shelf = desk.shelf()
        audit(shelf, named(shelf, desk.six.wheel.name))
        for node in (audit(shelf, named(shelf, desk.tool.wheel.name)).graph.top, *audit_all(shelf).wheels):
            assert node.evidence and node.evidence.content and node.evidence.content.unpacked

    def test_a_changed_wheel_that_built_it_is_told_as_what_it_is(self, desk: Desk) -> None:
        desk.tool.wheel.write_bytes(desk.tool.wheel.read_bytes()[:-9])
        assert {node.name for node, _ in desk.audit().problems()} == {"tool"}
        assert desk.audit().graph.nodes[desk.tool.ingredient.payload].evidence is not None
        assert desk.wrong_anywhere() == {desk.tool.wheel.name}

    def test_a_wheel_that_built_it_is_in_no_index(self, desk: Desk) -> None:
        """Half mirrored: the page of what built it, and all that lies behind it, was not copied."""
        shutil.rmtree(desk.press.index.root / "simple" / "tool")
        [(node, check)] = desk.audit().problems()
        assert (node.name, node.version) == ("tool", "1.0")
        assert check.problem == "none is, though tool 1.0 was built with"
        assert desk.wrong_anywhere() == {desk.six.wheel.name, "simple/tool/index.json"}

    def test_another_payload_of_the_same_version_is_not_taken_for_it(self, desk: Desk) -> None:
        """What built it is there under two numbers, of which the older has its payload; then that one is lost."""
        newer = desk.press.publish("tool", number_=2, module=b"VALUE = 2\n")
        assert desk.audit().ok
        page = desk.press.index.root / "simple" / "tool" / "index.json"
        listed = json.loads(page.read_bytes())
        listed["files"] = [each for each in listed["files"] if each["filename"] == newer.wheel.name]
        page.write_text(json.dumps(listed))
        [(node, check)] = desk.audit().problems()
        assert node.payload == desk.tool.ingredient.payload and check.problem.startswith("none is")

    def test_a_payload_that_built_itself(self, desk: Desk) -> None:
        """A backend whose second build, with the first, came out the same: the walk ends."""
        made = desk.press.publish("self", module=b"S = 1\n")
        again = desk.press.publish("self", environment=[made], number_=2, module=b"S = 1\n")
        assert made.ingredient.payload == again.ingredient.payload
        found = desk.audit(again)
        assert found.ok and len(found.graph.nodes) == 1

    def test_taints_are_told_of_all_that_built_it(self, desk: Desk) -> None:
        press = desk.press
        press.key = None
        taken = press.publish("taken", prebuilt="no compiler", module=b"P = 1\n")
        press.key, press.root = KEY, host_root()
        press.workspace = {"commit": "c" * 40, "state": "dirty"}
        made = press.publish("made", environment=[taken], module=b"H = 1\n")
        press.workspace = {"commit": "", "state": "unversioned"}
        top = press.publish("top", environment=[made], module=b"T = 1\n")
        graph = desk.audit(top).graph
        assert graph.ok
        flagged = {kind: [node.name for node in nodes] for kind, nodes in graph.flagged().items()}
        assert flagged == {
            "prebuilt": ["taken"],
            "host buildroot": ["top", "made"],
            "unsigned": ["taken"],
            "dirty workspace": ["made"],
            "workspace without git": ["top"],
        }
        assert graph.nodes[taken.ingredient.payload].flags[0].detail == "no compiler"


class TestChoosing:
    def test_the_newest_number_of_what_is_named(self, desk: Desk) -> None:
        desk.press.publish("six", number_=2, module=b"VALUE = 2\n")
        desk.press.publish("six", version="2.0", module=b"VALUE = 3\n")
        shelf = desk.shelf()

        def versions(version: str | None) -> list[str]:
            from packaging.version import Version

            found = wheels_of(shelf, normalize("six"), Version(version) if version else None)
            return [file.version for file in found]

        assert versions(None) == ["2.0+pb.1"]
        assert versions("1.0") == ["1.0+pb.2"] and versions("1.0+pb.1") == ["1.0+pb.1"]
        with pytest.raises(UsageError, match="lists no six==3"):
            versions("3")

    def test_a_name_that_no_page_lists(self, desk: Desk) -> None:
        with pytest.raises(UsageError, match="lists no seven"):
            named(desk.shelf(), "seven-1.0+pb.1-py3-none-any.whl")

    @pytest.mark.parametrize("spoil", [lambda page: page.write_text("{"), lambda page: page.write_text("{}")])
    def test_a_damaged_page(self, desk: Desk, spoil: Callable[[Path], object]) -> None:
        spoil(desk.press.index.root / "simple" / "six" / "index.json")
        with pytest.raises(ValidationError, match=r"simple/six/index\.json"):
            desk.audit()
        assert "simple/six/index.json" in desk.wrong_anywhere()

    def test_a_page_that_lists_what_is_no_wheel(self, desk: Desk) -> None:
        page = desk.press.index.root / "simple" / "six" / "index.json"
        page.write_text(page.read_text().replace("-py3-none-any.whl", ".tar.gz"))
        desk.six.wheel.rename(desk.six.wheel.with_name("six-1.0+pb.1.tar.gz"))
        [wheel] = {where for where, _ in audit_all(desk.shelf()).problems}
        assert wheel == "six-1.0+pb.1.tar.gz"

    def test_no_index(self, desk: Desk, tmp_path: Path) -> None:
        shelf = Shelf(reader=DirectoryReader(tmp_path), trust=Trust(keys={}), scratch=desk.scratch)
        with pytest.raises(UsageError, match="there is no index"):
            audit_all(shelf)

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pybuilder import record
from pybuilder.errors import FetchError, UsageError, ValidationError
from pybuilder.files import sha256_file
from pybuilder.index.pages import File, project_json
from pybuilder.layout import Layout
from pybuilder.plan import Ingredient, Plan
from pybuilder.plan_diff import Account
from pybuilder.provenance import statement
from pybuilder.record import pretty_json, record_json
from pybuilder.recorded import Numbered, contradictions, find_record, read_numbered
from pybuilder.signing import SUFFIX, seal
from pybuilder.state import State
from pybuilder.wheel.canonical import canonicalise
from pybuilder.wheel.numbering import number
from tests.support.plans import PLAN
from tests.support.wheels import EPOCH, Draft

PATCH = b"a patch\n"


@dataclass
class FakeReader:
    """An index in a directory, which says what a directory has or, as a server, does not."""

    root: Path
    lists: bool = True
    where: str = "index"
    asked: list[str] = field(default_factory=list)

    def read(self, path: str) -> bytes | None:
        file = self.file(path)
        return file.read_bytes() if file else None

    def file(self, path: str) -> Path | None:
        self.asked.append(path)
        return self.root / path if (self.root / path).is_file() else None

    def names(self, path: str) -> tuple[str, ...] | None:
        if not self.lists:
            return None
        return tuple(sorted(each.name for each in (self.root / path).iterdir())) if (self.root / path).is_dir() else ()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(root=tmp_path / "state")


@pytest.fixture
def state(layout: Layout) -> Iterator[State]:
    with closing(State.open(layout)) as opened:
        yield opened


@pytest.fixture
def wheel(tmp_path: Path) -> Numbered:
    """A numbered wheel in an index, whose record lies there."""
    draft, scratch = Draft().write(tmp_path), tmp_path / "scratch"
    scratch.mkdir()
    payload = scratch / "demo-1.0-py3-none-any.whl"
    canonicalise(draft, payload, epoch=EPOCH)
    files = tmp_path / "index" / "files"
    files.mkdir(parents=True)
    numbered = number(payload, files, label="pb", number=1, sbom=b"{}")
    (tmp_path / "payload").mkdir()
    return read_numbered(numbered.path, tmp_path / "payload")


PLAN_OF_DEMO = replace(PLAN, environment=(Ingredient(name="tool", version="1.0", payload="c" * 64),))


def account(payload: str, plan: Plan = PLAN_OF_DEMO) -> Account:
    data = record_json(
        attempt="A1",
        plan=plan,
        source={"file": "demo-1.0.tar.gz", "sha256": plan.recipe.source, "origin": "", "scm": False},
        patches=[],
        channel="host",
        buildroot="host",
        workspace={"commit": "", "state": "unversioned"},
        started="2026-01-01T00:00:00.000000Z",
        seconds=1.0,
        phases={},
        engine="host",
        seal={},
        tools={},
        log_sha256="d" * 64,
        result={"payload_sha256": payload, "filename": "demo-1.0-py3-none-any.whl"},
    )
    return Account(plan=plan, record=json.loads(data))


def write_record(root: Path, payload: str, attempt: str, told: Account | None = None) -> Path:
    told = told or account(payload)
    directory = root / "records" / payload / attempt
    directory.mkdir(parents=True)
    (directory / record.PLAN).write_bytes(pretty_json(told.plan.as_json()))
    (directory / record.RECORD).write_bytes(pretty_json(dict(told.record)))
    return directory


class TestReadNumbered:
    def test_the_payload_is_what_was_numbered(self, wheel: Numbered, tmp_path: Path) -> None:
        assert (wheel.name, str(wheel.version), wheel.label) == ("demo", "1.0", "pb")
        assert wheel.payload.name == "demo-1.0-py3-none-any.whl"
        assert wheel.payload_sha256 == sha256_file(wheel.payload)
        assert wheel.payload_sha256 == sha256_file(tmp_path / "scratch" / "demo-1.0-py3-none-any.whl")

    def test_another_wheel(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no wheel of ours"):
            read_numbered(Draft().write(tmp_path), tmp_path)


class TestFindRecord:
    def test_in_the_index(self, wheel: Numbered, tmp_path: Path, state: State, layout: Layout) -> None:
        write_record(tmp_path / "index", wheel.payload_sha256, "A1")
        found = find_record(wheel, [FakeReader(tmp_path / "index")], state=state, layout=layout)
        assert found.plan.key() == PLAN_OF_DEMO.key()
        assert found.where == f"index/records/{wheel.payload_sha256}/A1"

    def test_the_newest_that_agrees(self, wheel: Numbered, tmp_path: Path, state: State, layout: Layout) -> None:
        payload = wheel.payload_sha256
        for attempt in ("A1", "A2"):
            write_record(tmp_path / "index", payload, attempt)
        write_record(tmp_path / "index", payload, "A3", account("e" * 64))
        found = find_record(wheel, [FakeReader(tmp_path / "index")], state=state, layout=layout)
        assert found.where.endswith("/A2")

    def test_a_server_is_asked_for_what_the_statement_names(
        self, wheel: Numbered, tmp_path: Path, state: State, layout: Layout
    ) -> None:
        directory = write_record(tmp_path / "index", wheel.payload_sha256, "A1")
        reader = FakeReader(tmp_path / "index", lists=False)
        with pytest.raises(FetchError, match="there is no record"):
            find_record(wheel, [reader], state=state, layout=layout)
        told = account(wheel.payload_sha256)
        said = statement(
            wheel=wheel.filename, wheel_sha256=wheel.sha256, account=told.record, plan=told.plan, record={}
        )
        (tmp_path / "index" / "files" / f"{wheel.filename}{SUFFIX}").write_bytes(seal(said, None).as_bytes)
        assert find_record(wheel, [reader], state=state, layout=layout).where.endswith(f"/{directory.name}")

    def test_a_statement_that_leads_elsewhere(
        self, wheel: Numbered, tmp_path: Path, state: State, layout: Layout
    ) -> None:
        told = account(wheel.payload_sha256)
        changed = {**told.record, "attempt": "../../../etc"}
        said = statement(wheel=wheel.filename, wheel_sha256=wheel.sha256, account=changed, plan=told.plan, record={})
        (tmp_path / "index" / "files" / f"{wheel.filename}{SUFFIX}").write_bytes(seal(said, None).as_bytes)
        reader = FakeReader(tmp_path / "index", lists=False)
        with pytest.raises(FetchError, match="there is no record"):
            find_record(wheel, [reader], state=state, layout=layout)
        assert not [path for path in reader.asked if ".." in path]

    def test_none_that_agrees(self, wheel: Numbered, tmp_path: Path, state: State, layout: Layout) -> None:
        write_record(tmp_path / "index", wheel.payload_sha256, "A1", account("e" * 64))
        with pytest.raises(ValidationError, match=r"not to be believed.*it is of another payload"):
            find_record(wheel, [FakeReader(tmp_path / "index")], state=state, layout=layout)


class TestContradictions:
    def test_none(self, wheel: Numbered) -> None:
        assert list(contradictions(wheel, account(wheel.payload_sha256))) == []

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"key": "0"}, "its key is not that of its plan"),
            ({"result": {"payload_sha256": "0" * 64}}, "it is of another payload"),
            ({"result": {"phase": "build", "error": "no"}}, "it is of another payload"),
            ({"source": {"file": "x", "sha256": "0" * 64}}, "its source is not that of its plan"),
            ({"source": {"file": "../x", "sha256": "a" * 64}}, "it names what is no file"),
            ({"source": {"file": "..", "sha256": "a" * 64}}, "it names what is no file"),
            ({"patches": [{"file": "x", "sha256": "p"}]}, "its patches are not those of its plan"),
            ({"environment": []}, "its environment is not that of its plan"),
            ({"channel": "../x"}, "its channel or buildroot is no name"),
            ({"buildroot": "../x"}, "its channel or buildroot is no name"),
            ({"channel": ""}, "its channel or buildroot is no name"),
        ],
    )
    def test_in_the_record(self, wheel: Numbered, change: dict[str, Any], said: str) -> None:
        told = account(wheel.payload_sha256)
        assert list(contradictions(wheel, Account(plan=told.plan, record={**told.record, **change}))) == [said]

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"name": "other"}, "it is of another package"),
            ({"version": "2.0"}, "it is of another version"),
            ({"source": "../x"}, "it names what is no sha256"),
        ],
    )
    def test_in_the_recipe(self, wheel: Numbered, change: dict[str, Any], said: str) -> None:
        plan = replace(PLAN_OF_DEMO, recipe=replace(PLAN_OF_DEMO.recipe, **change))
        assert list(contradictions(wheel, account(wheel.payload_sha256, plan))) == [said]

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"source_date_epoch": 0}, "its SOURCE_DATE_EPOCH is no time of a wheel"),
            ({"source_date_epoch": 1 << 40}, "its SOURCE_DATE_EPOCH is no time of a wheel"),
            ({"target": replace(PLAN.target, full_version="../x.1")}, "its target is no Python"),
            ({"target": replace(PLAN.target, python="3.12")}, "its target is no Python"),
        ],
    )
    def test_in_the_plan(self, wheel: Numbered, change: dict[str, Any], said: str) -> None:
        told = account(wheel.payload_sha256, replace(PLAN_OF_DEMO, **change))
        assert list(contradictions(wheel, told)) == [said]

    @pytest.mark.parametrize(
        ("ingredient", "said"),
        [
            (Ingredient(name="tool", version="1.0", payload="../x"), "it names what is no sha256"),
            (Ingredient(name="../tool", version="1.0", payload="c" * 64), "it names what is no package"),
            (Ingredient(name="a/b", version="1.0", payload="c" * 64), "it names what is no package"),
            (Ingredient(name="tool", version="/x", payload="c" * 64), "it names what is no package"),
        ],
    )
    def test_in_the_environment(self, wheel: Numbered, ingredient: Ingredient, said: str) -> None:
        plan = replace(PLAN_OF_DEMO, environment=(ingredient,))
        assert list(contradictions(wheel, account(wheel.payload_sha256, plan))) == [said]


def list_wheel(root: Path, wheel: Numbered, sha256: str) -> None:
    """Make an index list a wheel with some digest."""
    file = File(
        filename=wheel.filename,
        version=f"{wheel.version}+pb.1",
        sha256=sha256,
        size=1,
        upload_time=datetime(2026, 1, 1, tzinfo=UTC),
        metadata_sha256="f" * 64,
    )
    page = root / "simple" / wheel.name / "index.json"
    page.parent.mkdir(parents=True)
    page.write_bytes(project_json(wheel.name, (file,)))


@pytest.mark.parametrize("recorded", [True, False])
def test_an_index_that_lists_another_wheel(
    wheel: Numbered, tmp_path: Path, state: State, layout: Layout, recorded: bool
) -> None:
    root = tmp_path / "index"
    list_wheel(root, wheel, "0" * 64)
    if recorded:
        write_record(root, wheel.payload_sha256, "A1")
    with pytest.raises(ValidationError, match="is not the wheel that was published"):
        find_record(wheel, [FakeReader(root)], state=state, layout=layout)


def test_an_index_that_lists_it(wheel: Numbered, tmp_path: Path, state: State, layout: Layout) -> None:
    root = tmp_path / "index"
    list_wheel(root, wheel, wheel.sha256)
    write_record(root, wheel.payload_sha256, "A1")
    find_record(wheel, [FakeReader(root)], state=state, layout=layout)


class TestPatches:
    @pytest.fixture
    def patched(self, wheel: Numbered, tmp_path: Path) -> Path:
        """A record with a patch."""
        sha256 = hashlib.sha256(PATCH).hexdigest()
        told = account(
            wheel.payload_sha256, replace(PLAN_OF_DEMO, recipe=replace(PLAN_OF_DEMO.recipe, patches=(sha256,)))
        )
        told = replace(told, record={**told.record, "patches": [{"file": "patches/demo/1.patch", "sha256": sha256}]})
        patch = write_record(tmp_path / "index", wheel.payload_sha256, "A1", told) / "patches" / "1.patch"
        patch.parent.mkdir()
        patch.write_bytes(PATCH)
        return patch

    def test_they_lie_in_the_record(
        self, wheel: Numbered, tmp_path: Path, state: State, layout: Layout, patched: Path
    ) -> None:
        [patch] = find_record(wheel, [FakeReader(tmp_path / "index")], state=state, layout=layout).patches
        assert (patch.file, patch.path) == ("patches/demo/1.patch", patched)

    def test_one_that_is_missing(
        self, wheel: Numbered, tmp_path: Path, state: State, layout: Layout, patched: Path
    ) -> None:
        patched.unlink()
        with pytest.raises(ValidationError, match=r"its patch patches/demo/1\.patch, sha256 .*, is missing"):
            find_record(wheel, [FakeReader(tmp_path / "index")], state=state, layout=layout)

    def test_one_that_was_changed(
        self, wheel: Numbered, tmp_path: Path, state: State, layout: Layout, patched: Path
    ) -> None:
        patched.write_bytes(b"another")
        with pytest.raises(ValidationError, match="has not the sha256"):
            find_record(wheel, [FakeReader(tmp_path / "index")], state=state, layout=layout)

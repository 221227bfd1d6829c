from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from packaging.version import Version

from pybuilder.errors import FetchError
from pybuilder.files import sha256_file
from pybuilder.index.pages import File, project_json
from pybuilder.layout import Layout
from pybuilder.names import normalize
from pybuilder.plan import Ingredient
from pybuilder.plan_diff import Account
from pybuilder.recorded import Numbered, Recorded
from pybuilder.store import Store
from pybuilder.supplies import Supplies
from pybuilder.wheel.canonical import canonicalise
from pybuilder.wheel.numbering import number
from tests.support.plans import PLAN
from tests.support.wheels import EPOCH, Draft

SOURCE = b"a source"
SOURCE_SHA256 = hashlib.sha256(SOURCE).hexdigest()


@dataclass
class FakeIndex:
    """An index in a directory; its pages are made of what is added."""

    root: Path
    where: str = "index"
    pages: dict[str, list[File]] = field(default_factory=dict)

    def add(self, project: str, version: str, data: bytes, filename: str, *, tree: str = "") -> Path:
        file = File(
            filename=filename,
            version=version,
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            upload_time=datetime(2026, 1, 1, tzinfo=UTC),
            metadata_sha256="" if tree else "f" * 64,
        )
        self.pages.setdefault(f"{tree}simple/{project}/index.json", []).append(file)
        path = self.root / tree / "files" / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def read(self, path: str) -> bytes | None:
        files = self.pages.get(path)
        return project_json(normalize(path.split("/")[-2]), tuple(files)) if files else None

    def file(self, path: str) -> Path | None:
        return self.root / path if (self.root / path).is_file() else None

    def names(self, path: str) -> tuple[str, ...] | None:
        raise AssertionError("what has a digest needs no list of names")


@dataclass
class Place:
    index: FakeIndex
    supplies: Supplies
    scratch: Path

    @property
    def store(self) -> Store:
        return self.supplies.store

    def publish(self, module: bytes, *, number_: int, version: str = "1.0") -> str:
        """Put a wheel of the tool into the index; the digest of its payload."""
        work = self.scratch / f"{version}-{number_}"
        work.mkdir()
        draft = Draft(name="tool", version=version, files={"tool.py": module}).write(work)
        payload = work / "payload" / draft.name
        payload.parent.mkdir()
        sha256 = canonicalise(draft, payload, epoch=EPOCH).sha256
        numbered = number(payload, work, label="pb", number=number_, sbom=b"{}")
        self.index.add("tool", str(numbered.version), numbered.path.read_bytes(), numbered.path.name)
        return sha256

    def recorded(self, tool: str = "") -> Recorded:
        """A record that names the source, and the tool's payload if one is given."""
        environment = (Ingredient(name="tool", version="1.0", payload=tool),) if tool else ()
        wheel = Numbered(
            filename="demo-1.0+pb.1-py3-none-any.whl",
            name=normalize("demo"),
            version=Version("1.0"),
            label="pb",
            sha256="0" * 64,
            payload=self.scratch,
            payload_sha256="0" * 64,
        )
        source: Mapping[str, str] = {"file": "demo-1.0.tar.gz", "sha256": SOURCE_SHA256, "origin": "upstream"}
        account = Account(plan=replace(PLAN, environment=environment), record={"source": source})
        return Recorded(wheel=wheel, account=account, patches=(), where="")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    layout, scratch = Layout(root=tmp_path / "state"), tmp_path / "scratch"
    scratch.mkdir()
    index = FakeIndex(root=tmp_path / "index")
    return Place(index=index, supplies=Supplies(layout=layout, store=Store(layout), readers=[index]), scratch=scratch)


def test_what_is_in_the_store_is_not_looked_for(place: Place) -> None:
    file = place.scratch / "source"
    file.write_bytes(SOURCE)
    place.store.add_source(file, sha256=SOURCE_SHA256, name="demo-1.0.tar.gz")
    assert place.supplies.bring(place.recorded()) == ()


def test_what_is_damaged_in_the_store_is_fetched_again(place: Place) -> None:
    place.index.add("demo", "1.0", SOURCE, "demo-1.0.tar.gz", tree="sources/")
    place.supplies.bring(place.recorded())
    stored = place.store.source(SOURCE_SHA256)
    assert stored is not None
    stored.write_bytes(SOURCE[:-1])
    assert place.supplies.bring(place.recorded()) == (f"the source demo-1.0.tar.gz, sha256 {SOURCE_SHA256}",)
    assert stored.read_bytes() == SOURCE and len(list(place.store.layout.damaged.iterdir())) == 1


def test_a_source_by_its_digest_whatever_its_name_there(place: Place) -> None:
    place.index.add("demo", "1.0", b"another", "demo-1.0.tar.gz", tree="sources/")
    place.index.add("demo", "1.0+pb.1", SOURCE, "demo-1.0+pb.1.tar.gz", tree="sources/")
    assert place.supplies.bring(place.recorded()) == (f"the source demo-1.0.tar.gz, sha256 {SOURCE_SHA256}",)
    stored = place.store.source(SOURCE_SHA256)
    assert stored is not None
    assert (stored.name, stored.read_bytes()) == ("demo-1.0.tar.gz", SOURCE)
    # The index keeps its own.
    assert (place.index.root / "sources/files/demo-1.0+pb.1.tar.gz").exists()


def test_a_payload_is_made_of_the_number_that_has_it(place: Place) -> None:
    place.index.add("demo", "1.0", SOURCE, "demo-1.0.tar.gz", tree="sources/")
    place.publish(b"0", number_=1, version="0.9")
    wanted = place.publish(b"1", number_=1)
    place.publish(b"2", number_=2)
    _, said = place.supplies.bring(place.recorded(wanted))
    assert said == f"the payload of tool 1.0, sha256 {wanted}"
    stored = place.store.payload(wanted)
    assert stored is not None
    assert (stored.name, sha256_file(stored)) == ("tool-1.0-py3-none-any.whl", wanted)


def test_all_that_is_lacking_is_named_with_its_digest(place: Place) -> None:
    place.publish(b"1", number_=1)
    with pytest.raises(FetchError) as caught:
        place.supplies.bring(place.recorded("e" * 64))
    assert f"the source demo-1.0.tar.gz, sha256 {SOURCE_SHA256}" in caught.value.what
    assert f"the payload of tool 1.0, sha256 {'e' * 64}" in caught.value.what
    assert caught.value.where == "index"
    assert "the source came from upstream" in caught.value.cure
    assert caught.value.exit_code == 30


def test_what_is_damaged_is_not_taken(place: Place) -> None:
    source = place.index.add("demo", "1.0", SOURCE, "demo-1.0.tar.gz", tree="sources/")
    wanted = place.publish(b"1", number_=1)
    [wheel] = (place.index.root / "files").iterdir()
    for file in (source, wheel):
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(FetchError, match=r"the source .*the payload of tool"):
        place.supplies.bring(place.recorded(wanted))


def test_a_wheel_that_only_claims_to_be_the_one(place: Place) -> None:
    """The page and the wheel agree, but what is in it is not what the plan names."""
    place.index.add("demo", "1.0", SOURCE, "demo-1.0.tar.gz", tree="sources/")
    place.publish(b"other", number_=1)
    place.index.add("tool", "1.0+pb.2", b"no wheel", "tool-1.0+pb.2-py3-none-any.whl")
    with pytest.raises(FetchError, match=r"the payload of tool 1\.0"):
        place.supplies.bring(place.recorded("e" * 64))
    assert place.store.payload("e" * 64) is None

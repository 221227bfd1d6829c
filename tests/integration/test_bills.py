"""Bills of materials as they are published: in the wheel, beside it, and printed."""

from __future__ import annotations

import difflib
import hashlib
import json
import sysconfig
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pybuilder.sbom import Contents, wheel_sbom
from pybuilder.stages.bills import contents
from pybuilder.wheel.canonical import canonicalise
from pybuilder.wheel.numbering import strip
from tests.support.sdists import make_sdist
from tests.support.wheels import EPOCH, Draft
from tests.support.workspaces import Bench, bench

VENDORING = """
result = write_wheel(out, files={
    "alpha/__init__.py": "VALUE = 1\\n",
    "alpha/_vendor/vendor.txt": "idna==3.10\\n",
    "alpha/_vendor/idna/__init__.py": "",
})
"""


def vendoring(here: Bench) -> Any:
    """The BUILD of a package with a patch, a build requirement and a vendored package."""
    here.accept("helper")
    here.accept("alpha", build_requires=["helper"], act=VENDORING)
    here.patch("alpha", "PKG-INFO", "1.0", "1.0\nSummary: patched")
    return here.build("alpha").json["built"][-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, Any]]:
    with bench(tmp_path_factory.mktemp("bills")) as here:
        yield here, vendoring(here)


def beside(wheel: str) -> Path:
    return Path(f"{wheel}.cdx.json")


def roles(bom: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names of a bill's components by the part they had."""
    found: dict[str, list[str]] = {}
    for component in bom["components"]:
        [role] = [each["value"] for each in component["properties"] if each["name"] == "pybuild:role"]
        found.setdefault(role, []).append(component["name"])
    return found


def problems(data: bytes) -> object:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode())


def test_the_wheel_carries_what_it_bundles(built: tuple[Bench, Any]) -> None:
    [wheel] = built[1]["wheels"]
    with zipfile.ZipFile(wheel["wheel"]) as archive:
        data = archive.read("alpha-1.0+pb.1.dist-info/sboms/pybuild.cdx.json")
    assert problems(data) is None
    assert roles(json.loads(data)) == {"source": ["alpha"], "vendored": ["idna"]}
    # The mirror is no part of the wheel.
    assert built[0].upstream.index.split("/")[2].encode() not in data


def test_beside_it_lies_the_whole_build(built: tuple[Bench, Any]) -> None:
    here, build = built
    [wheel] = build["wheels"]
    data = beside(wheel["wheel"]).read_bytes()
    assert problems(data) is None
    bom = json.loads(data)
    assert roles(bom) == {
        "source": ["alpha"],
        "vendored": ["idna"],
        "patch": ["patches/alpha/0001-change.patch"],
        "environment": ["helper"],
        "root": ["host"],
    }
    assert bom["metadata"]["component"]["hashes"][0]["content"] == wheel["wheel_sha256"]
    components = {each["name"]: each for each in bom["components"]}
    patch = here.workspace / "patches/alpha/0001-change.patch"
    assert components[f"patches/alpha/{patch.name}"]["hashes"][0]["content"] == digest(patch.read_bytes())
    [published] = json.loads(here.pybuild("show", "helper", "--json").stdout)["builds"]
    assert components["helper"]["hashes"][0]["content"] == published["wheels"][0]["payload_sha256"]
    [reference] = components["alpha"]["externalReferences"]
    assert reference["url"] == here.upstream.file_url("alpha-1.0.tar.gz")
    assert {each["name"] for each in bom["metadata"]["tools"]["components"]} >= {"pybuild", "python", "bubblewrap"}


def test_it_is_published_and_verified_with_the_wheel(built: tuple[Bench, Any]) -> None:
    here, build = built
    path = beside(build["wheels"][0]["wheel"])
    [file] = here.index.files("alpha")  # type: ignore[arg-type]
    assert dict(file.beside)[".cdx.json"] == digest(path.read_bytes())
    assert here.index.verify() == ()
    whole = path.read_bytes()
    try:
        path.write_bytes(whole.replace(b"helper", b"hilper", 1))
        ran = here.pybuild("index", "verify")
        assert ran.code == 50 and f"files/{path.name}: has sha256" in ran.stdout
        path.unlink()
        assert f"files/{path.name}: is missing" in here.pybuild("index", "verify").stdout
    finally:
        path.write_bytes(whole)


def test_without_its_number_the_wheel_is_the_payload(built: tuple[Bench, Any], tmp_path: Path) -> None:
    [wheel] = built[1]["wheels"]
    assert strip(Path(wheel["wheel"]), tmp_path / "payload.whl", label="pb") == wheel["payload_sha256"]


def test_another_state_with_another_mirror_makes_the_same_wheel(built: tuple[Bench, Any], tmp_path: Path) -> None:
    with bench(tmp_path) as elsewhere:
        again = vendoring(elsewhere)
        assert elsewhere.upstream.index != built[0].upstream.index
    assert again["wheels"][0]["wheel_sha256"] == built[1]["wheels"][0]["wheel_sha256"]


class TestPrinted:
    @pytest.mark.parametrize("name", ["alpha==1.0+pb.1", "host/alpha==1.0+pb.1", "alpha", "ATTEMPT", "WHEEL"])
    def test_by_whatever_name(self, built: tuple[Bench, Any], name: str) -> None:
        here, build = built
        [wheel] = build["wheels"]
        name = {"ATTEMPT": wheel["attempt"], "WHEEL": Path(wheel["wheel"]).name}.get(name, name)
        ran = here.pybuild("sbom", name)
        assert (ran.code, ran.stdout.encode()) == (0, beside(wheel["wheel"]).read_bytes()), ran.stderr

    def test_as_spdx(self, built: tuple[Bench, Any]) -> None:
        from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
        from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

        here = built[0]
        ran = here.pybuild("sbom", "--spdx", "alpha")
        assert ran.code == 0, ran.stderr
        # The validator knows no hosts without a domain, such as the test's mirror.
        document = json.loads(ran.stdout.replace(here.upstream.index.split("/")[2], "files.example"))
        assert validate_full_spdx_document(JsonLikeDictParser().parse(document), "SPDX-2.3") == []
        assert {each["name"] for each in document["packages"]} >= {"alpha", "helper", "idna", "host", "bubblewrap"}

    @pytest.mark.parametrize("name", ["beta", "alpha==1.0+pb.7", "alpha-9.0+pb.1-py3-none-any.whl"])
    def test_what_is_not_published_has_none(self, built: tuple[Bench, Any], name: str) -> None:
        ran = built[0].pybuild("sbom", name)
        assert ran.code == 2 and ran.stdout == ""
        assert f"nothing that {name!r} names is published" in ran.stderr

    def test_one_that_is_damaged_or_lost_is_said_to_be(self, built: tuple[Bench, Any]) -> None:
        here, build = built
        path = beside(build["wheels"][0]["wheel"])
        whole = path.read_bytes()
        try:
            wrong = (whole.replace(b"pybuild:role", b"pybuild:roll"), b'{"a":' * 100_000)
            for damaged in (whole[:-9], b"[]", *wrong):
                path.write_bytes(damaged)
                ran = here.pybuild("sbom", "--spdx", "alpha")
                assert ran.code == 1 and "the bill of materials is damaged" in ran.stderr and ran.stdout == ""
            path.unlink()
            ran = here.pybuild("sbom", "alpha")
            assert ran.code == 1 and "has no bill of materials beside it" in ran.stderr
        finally:
            path.write_bytes(whole)


LOCK = """\
version = 4

[[package]]
name = "alpha"
version = "1.0"

[[package]]
name = "libc"
version = "{}"
source = "registry+https://crates.example/index"
checksum = "{}"
"""


class TestCrates:
    """Of the real machine code of a package that is written in Rust; its source is the test's own."""

    def read(
        self, place: Path, files: Mapping[str, bytes], patches: Sequence[bytes] = (), module: str = ""
    ) -> Contents:
        source = make_sdist(place, "alpha", "1.0", backend="none", files=files)
        [real] = Path(sysconfig.get_path("platlib"), "pydantic_core").glob("*.so")
        draft = Draft(name="alpha", files={"alpha/_alpha.abi3.so": module.encode() or real.read_bytes()})
        payload = canonicalise(draft.write(place), place / "payload.whl", epoch=EPOCH)
        (place / "patches").mkdir()
        for number, patch in enumerate(patches):
            (place / "patches" / f"{number}.patch").write_bytes(patch)
        account = {
            "source": {"file": source.name, "sha256": digest(source.read_bytes()), "origin": ""},
            "patches": [
                {"file": f"patches/alpha/{number}.patch", "sha256": digest(patch)}
                for number, patch in enumerate(patches)
            ],
            "source_date_epoch": EPOCH,
        }
        return contents(
            (place / "payload.whl").rename(place / payload.filename),
            version="1.0+pb.1",
            sha256=payload.sha256,
            account=account,
            record=place,
            source=source,
            work=place / "work",
        )

    def crates(self, found: Contents) -> list[tuple[str, str, str]] | None:
        return None if found.crates is None else [(each.name, each.version, each.locked_in) for each in found.crates]

    def test_those_that_the_source_locks(self, tmp_path: Path) -> None:
        lock = LOCK.format("0.2.1", "c" * 64).encode()
        files = {"rust/Cargo.lock": lock, "rust/examples/x/Cargo.lock": lock.replace(b"0.2.1", b"0.0.1")}
        found = self.read(tmp_path, files)
        assert self.crates(found) == [("libc", "0.2.1", "rust/Cargo.lock")]
        assert roles(json.loads(wheel_sbom(found))) == {"source": ["alpha"], "crate": ["libc"]}

    def test_as_the_patches_leave_the_lock(self, tmp_path: Path) -> None:
        before, after = LOCK.format("0.2.1", "c" * 64), LOCK.format("0.2.2", "d" * 64)
        lines = difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), "a/Cargo.lock", "b/Cargo.lock"
        )
        found = self.read(tmp_path, {"Cargo.lock": before.encode()}, ["".join(lines).encode()])
        assert self.crates(found) == [("libc", "0.2.2", "Cargo.lock")]

    @pytest.mark.parametrize("files", [{}, {"Cargo.lock": b"no lock"}], ids=["none", "damaged"])
    def test_without_a_lock_nobody_knows(self, tmp_path: Path, files: Mapping[str, bytes]) -> None:
        found = self.read(tmp_path, files)
        assert found.crates is None
        assert "compositions" in json.loads(wheel_sbom(found))

    def test_a_lock_alone_makes_no_crates(self, tmp_path: Path) -> None:
        """Sources carry locks of what they only test with."""
        lock = LOCK.format("0.2.1", "c" * 64).encode()
        assert self.crates(self.read(tmp_path, {"Cargo.lock": lock}, module="no machine code")) == []


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

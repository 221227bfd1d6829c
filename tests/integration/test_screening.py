"""Sources are screened before anything is done with them, whoever asks, and what is found is kept."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.wheels import Draft
from tests.support.workspaces import Bench, bench

ELF = b"\x7fELF\x02\x01\x01" + bytes(57)
DIGEST = hashlib.sha256(ELF).hexdigest()
COMPILED = {"tests/data/fixture.txt": ELF}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def packed(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def exempt(package: str, *, reason: str = "read by me", **keys: Any) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"package": package, "reason": reason, **keys}.items()]
    return "\n".join(["[[screen.exceptions]]", *lines, ""])


def record_of(here: Bench, name: str) -> Any:
    """The record of the newest attempt at a package."""
    attempt = here.attempts(name)[-1]["id"]
    [file] = here.layout.root.glob(f"store/records/*/{attempt}/record.json")
    return json.loads(file.read_bytes())


def queue(here: Bench) -> list[dict[str, str]]:
    entries: list[dict[str, str]] = json.loads((here.index.root / "review.json").read_bytes())["review"]
    return entries


def advisories(here: Bench, *records: dict[str, Any]) -> None:
    """Write a dump into the workspace."""
    with zipfile.ZipFile(here.workspace / "osv.zip", "w") as archive:
        for record in records:
            archive.writestr(f"{record['id']}.json", json.dumps(record))


def advisory(name: str, *, fixed: str) -> dict[str, Any]:
    span = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": [span]}
    return {"id": f"PYSEC-{name}", "summary": "It fails", "aliases": ["CVE-2026-1"], "affected": [affected]}


class TestReport:
    def test_what_is_found_is_in_the_record_and_shown(self, here: Bench) -> None:
        here.accept("alpha", files={**COMPILED, "vendor/x.whl": packed(lib=ELF)})
        here.build("alpha")
        screening = record_of(here, "alpha")["screening"]
        told = {(each["path"], each["format"], each["sha256"] == DIGEST) for each in screening["files"]}
        assert told == {
            ("tests/data/fixture.txt", "ELF", True),
            ("vendor/x.whl", "zip", False),
            ("vendor/x.whl!/lib", "ELF", True),
        }
        assert (screening["advisories"], screening["dump_sha256"]) == ([], None)
        assert here.pybuild("show", "alpha", "--json").json["screening"] == [
            {"version": "1.0", "sha256": record_of(here, "alpha")["source"]["sha256"], **screening}
        ]
        assert f"found in 1.0: ELF tests/data/fixture.txt  sha256 {DIGEST}" in here.pybuild("show", "alpha").stdout
        [wheel] = here.pybuild("audit", "alpha", "--json").json["wheels"]
        assert wheel["screening"] == screening
        assert f"found    ELF vendor/x.whl!/lib  sha256 {DIGEST}" in here.pybuild("audit", "alpha").stdout
        here.check_sound()

    def test_a_source_is_screened_once(self, here: Bench) -> None:
        here.accept("alpha", files=COMPILED)
        assert "alpha 1.0: screen" in here.pybuild("build", "alpha").stderr
        assert "alpha 1.0: screen" not in here.pybuild("rebuild", "alpha==1.0").stderr
        here.settings("[screen]\ncompiled = 'refuse'\n")
        ran = here.pybuild("build", "alpha")
        assert ran.code == 50 and "alpha 1.0: screen" not in ran.stderr

    def test_upstreams_wheel_may_have_code(self, here: Bench) -> None:
        here.settings("[screen]\ncompiled = 'refuse'\n")
        draft = Draft(
            name="alpha", version="1.0", tag="py3-none-any", files={"alpha.py": b"", "alpha_fixture.txt": ELF}
        )
        draft.write(here.upstream.directory)
        here.spec("alpha", "[prebuilt]\nreason = 'no compiler'\n")
        here.build("alpha")
        [found] = record_of(here, "alpha")["screening"]["files"]
        assert (found["path"], found["accepted"]) == ("alpha_fixture.txt", "upstream's wheel: no compiler")


class TestRefuse:
    def test_nothing_of_the_source_is_used_before_it_is_accepted(self, here: Bench) -> None:
        here.settings("[screen]\ncompiled = 'refuse'\n")
        here.accept("alpha", files=COMPILED)
        here.accept("beta")
        ran = here.build("alpha", "beta", code=50)
        [failed] = ran.json["failed"]
        assert (failed["name"], failed["phase"], failed["attempt"]) == ("alpha", "screen", None)
        assert ran.built() == ["beta==1.0+pb.1"] and here.attempts("alpha") == []
        said = here.pybuild("build", "alpha").stderr
        assert f"tests/data/fixture.txt: ELF, sha256 {DIGEST}" in said and "[[screen.exceptions]]" in said
        here.settings("[screen]\ncompiled = 'refuse'\n" + exempt("alpha", sha256=[DIGEST]))
        assert here.build("alpha").built() == ["alpha==1.0+pb.1"]
        [found] = record_of(here, "alpha")["screening"]["files"]
        assert found["accepted"] == "read by me"

    def test_a_build_requirement_holds_back_who_needs_it(self, here: Bench) -> None:
        here.settings("[screen]\narchive = 'refuse'\n")
        here.accept("tool", files={"x.bin": packed(a=b"a")})
        here.accept("alpha", build_requires=["tool"])
        for ran in (here.build("alpha", code=50), here.bootstrap("alpha", code=50)):
            [failed] = ran.json["failed"]
            assert (failed["name"], failed["phase"]) == ("tool", "screen")
            assert "1 archive that nobody has accepted" in failed["error"]
        assert here.attempts("alpha") == here.attempts("tool") == []

    def test_a_patch_is_screened_as_well(self, here: Bench) -> None:
        here.settings("[screen]\ncompiled = 'refuse'\n")
        here.accept("alpha")
        here.build("alpha")
        tree = here.root / "tree"
        tree.mkdir()
        git = ["git", "-C", str(tree), "-c", "user.name=a", "-c", "user.email=a@localhost"]
        subprocess.run([*git, "init", "-q"], check=True)
        (tree / "evil.txt").write_bytes(ELF)
        subprocess.run([*git, "add", "."], check=True)
        diff = subprocess.run([*git, "diff", "--cached", "--binary"], check=True, capture_output=True).stdout
        (here.workspace / "patches" / "alpha").mkdir()
        (here.workspace / "patches" / "alpha" / "0001-evil.patch").write_bytes(diff)
        ran = here.build("alpha", code=50)
        assert ran.json["failed"][0]["phase"] == "screen"
        said = here.pybuild("build", "alpha").stderr
        assert f"patches/alpha/0001-evil.patch: evil.txt: ELF, sha256 {DIGEST}" in said
        here.settings()
        here.build("alpha")
        [found] = record_of(here, "alpha")["screening"]["files"]
        assert found["path"] == "patches/alpha/0001-evil.patch: evil.txt"

    def test_a_policy_that_is_none_is_refused(self, here: Bench) -> None:
        here.settings("[screen]\ncompield = 'refuse'\n")
        ran = here.pybuild("build", "alpha")
        assert ran.code == 3 and "did you mean 'compiled'?" in ran.stderr


class TestReview:
    def test_it_waits_in_the_queue_until_somebody_has_looked(self, here: Bench) -> None:
        here.settings("[screen]\ncompiled = 'review'\n")
        here.accept("tool", files=COMPILED)
        here.accept("alpha", build_requires=["tool"])
        here.accept("beta")
        ran = here.build("alpha", "beta", code=40)
        [waiting] = ran.json["review"]
        assert (waiting["name"], waiting["requirement"]) == ("tool", "tool==1.0")
        assert ran.json["failed"] == [] and ran.built() == ["beta==1.0+pb.1"]
        assert [(entry["name"], DIGEST in entry["wanted_by"]) for entry in queue(here)] == [("tool", True)]
        said = here.pybuild("build", "alpha").stderr
        assert "waits for review: tool==1.0" in said and "pybuild show tool" in said and "pybuild new" not in said
        # Runs about something else leave it there.
        here.build("beta")
        assert [entry["name"] for entry in queue(here)] == ["tool"]
        here.settings("[screen]\ncompiled = 'review'\n" + exempt("tool", sha256=[DIGEST]))
        assert here.build("alpha").built() == ["tool==1.0+pb.1", "alpha==1.0+pb.1"]
        assert queue(here) == []

    def test_a_tree_waits_for_it_too(self, here: Bench) -> None:
        here.settings("[screen]\ncompiled = 'review'\n")
        here.accept("tool", files=COMPILED)
        here.accept("alpha", build_requires=["tool"])
        here.accept("beta")
        here.accept("new", files=COMPILED)
        (here.workspace / "specs" / "new.toml").unlink()
        assert here.plan("--accept-new", "new", code=40)["new==1.0"]["status"] == "waits"
        assert DIGEST in here.pybuild("show", "new").stdout
        nodes = here.plan("alpha", "beta", code=40)
        assert {name: node["status"] for name, node in nodes.items()} == {
            "alpha==1.0": "waits",
            "beta==1.0": "new",
            "tool==1.0": "waits",
        }
        ran = here.bootstrap("alpha", "beta", code=40)
        assert [entry["name"] for entry in ran.json["review"]] == ["tool"]
        assert ran.json["failed"] == [] and ran.built() == ["beta==1.0+pb.1"]
        assert [entry["name"] for entry in queue(here)] == ["tool"]
        here.settings("[screen]\ncompiled = 'review'\n" + exempt("tool", sha256=[DIGEST]))
        assert sorted(here.bootstrap("alpha").built()) == ["alpha==1.0+pb.1", "tool==1.0+pb.1"]
        assert queue(here) == []


class TestAdvisories:
    POLICY = "[screen]\nadvisory = 'refuse'\nadvisories = 'osv.zip'\n"

    def test_what_is_known_of_a_version_is_kept_and_looked_up_again_with_another_dump(self, here: Bench) -> None:
        advisories(here, advisory("Alpha", fixed="2.0"))
        here.settings("[screen]\nadvisories = 'osv.zip'\n")
        here.accept("alpha")
        here.accept("beta")
        here.build("alpha", "beta")
        screening = record_of(here, "alpha")["screening"]
        assert [(each["id"], each["fixed"]) for each in screening["advisories"]] == [("PYSEC-Alpha", ["2.0"])]
        assert record_of(here, "beta")["screening"]["advisories"] == []
        dump = hashlib.sha256((here.workspace / "osv.zip").read_bytes()).hexdigest()
        assert screening["dump_sha256"] == dump
        assert "reading the advisories" not in here.pybuild("build", "alpha", "beta").stderr
        advisories(here, advisory("beta", fixed="1.0.1"))
        here.settings(self.POLICY)
        ran = here.pybuild("build", "alpha", "beta")
        assert ran.code == 50 and "reading the advisories in osv.zip" in ran.stderr
        assert "the source of beta 1.0 is refused: it has 1 advisory" in ran.stderr
        assert "alpha 1.0 is refused" not in ran.stderr

    def test_an_accepted_one_is_told_and_lets_it_through(self, here: Bench) -> None:
        advisories(here, advisory("alpha", fixed="2.0"))
        here.accept("alpha")
        here.settings(self.POLICY)
        assert here.bootstrap("alpha", code=50).json["failed"][0]["phase"] == "screen"
        here.settings(self.POLICY + exempt("alpha", advisories=["CVE-2026-1"]))
        here.bootstrap("alpha")
        [told] = record_of(here, "alpha")["screening"]["advisories"]
        assert told["accepted"] == "read by me"

    @pytest.mark.parametrize("content", [None, b"no zip", packed(**{"a.json": b"{"}), packed(**{"a.txt": b""})])
    def test_nothing_is_built_where_nobody_can_tell(self, here: Bench, content: bytes | None) -> None:
        if content is not None:
            (here.workspace / "osv.zip").write_bytes(content)
        here.accept("alpha")
        here.settings(self.POLICY)
        ran = here.pybuild("build", "alpha")
        assert ran.code == 3 and "pybuild.toml [screen].advisories" in ran.stderr
        assert here.attempts("alpha") == []

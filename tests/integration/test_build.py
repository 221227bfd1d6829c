"""From a spec to a numbered wheel in the index, and when nothing is to be done."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.workspaces import Bench, Ran, bench, plan_of

BUILD_KEYS = {"build", "channel", "name", "version", "number", "wheels", "state", "started", "seconds"}
WHEEL_KEYS = {
    "target",
    "wheel",
    "wheel_sha256",
    "payload_sha256",
    "key",
    "attempt",
    "engine",
    "sealed",
    "log",
}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def only(ran: Ran) -> Any:
    """The one build that a run published."""
    [build] = ran.json["built"]
    return build


class TestFirstBuild:
    @pytest.fixture(scope="class")
    @classmethod
    def ran(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, Ran]]:
        with bench(tmp_path_factory.mktemp("first")) as here:
            here.accept("alpha", "1.0", act="print('hello from the backend')")
            yield here, here.build("alpha")

    def test_the_document_is_the_contracts(self, ran: tuple[Bench, Ran]) -> None:
        document = ran[1].json
        assert document["failed"] == document["review"] == document["cached"] == []
        build = only(ran[1])
        assert set(build) == BUILD_KEYS
        assert set(build["wheels"][0]) == WHEEL_KEYS
        assert (build["build"], build["number"]) == ("host/alpha==1.0+pb.1", 1)
        assert (build["version"], build["state"], build["channel"]) == ("1.0", "published", "host")

    def test_the_wheel_is_numbered_and_is_what_the_document_says(self, ran: tuple[Bench, Ran]) -> None:
        [wheel] = only(ran[1])["wheels"]
        path = Path(wheel["wheel"])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == wheel["wheel_sha256"]
        with zipfile.ZipFile(path) as archive:
            assert b"Version: 1.0+pb.1" in archive.read("alpha-1.0+pb.1.dist-info/METADATA")
            assert "alpha-1.0+pb.1.dist-info/sboms/pybuild.cdx.json" in archive.namelist()

    def test_the_record_tells_everything(self, ran: tuple[Bench, Ran]) -> None:
        here, done = ran
        [wheel] = only(done)["wheels"]
        log = Path(wheel["log"])
        assert b"hello from the backend" in log.read_bytes()
        record = json.loads((log.parent / "record.json").read_bytes())
        assert record["seal"]["interfaces"] == ["lo"]
        assert record["log_sha256"] == hashlib.sha256(log.read_bytes()).hexdigest()
        assert record["source"]["origin"] == here.upstream.file_url("alpha-1.0.tar.gz")
        assert plan_of(here.state, only(done))["recipe"]["name"] == "alpha"
        assert (log.parent / "environment.txt").exists()

    def test_the_version_is_pinned_in_the_spec(self, ran: tuple[Bench, Ran]) -> None:
        here = ran[0]
        digest = hashlib.sha256((here.upstream.directory / "alpha-1.0.tar.gz").read_bytes()).hexdigest()
        spec = (here.workspace / "specs" / "alpha.toml").read_text()
        assert f'"1.0" = {{ file = "alpha-1.0.tar.gz", sha256 = "{digest}" }}' in spec

    def test_nothing_is_left(self, ran: tuple[Bench, Ran]) -> None:
        ran[0].check_sound()


def test_a_build_without_bubblewrap_says_how_to_get_it(here: Bench) -> None:
    here.accept("alpha")
    here.environ["PATH"] = str(here.root)
    ran = here.pybuild("build", "alpha")
    assert ran.code == 20
    assert "'bwrap' is missing" in ran.stderr and "install bubblewrap" in ran.stderr


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (["rebuild", "alpha"], "names no version"),
        (["rebuild", "alpha==1.*"], "names no version"),
        (["rebuild", "alpha==1.0+pb.1"], "names a build"),
        (["build", "=1.0"], "is no requirement"),
        (["build", "alpha @ https://localhost/alpha.tar.gz"], "names a URL"),
        (["biuld", "alpha"], "did you mean 'build'"),
        (["build"], "Missing argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_line_without_meaning(here: Bench, command: list[str], names: str) -> None:
    ran = here.pybuild(*command)
    assert ran.code == 2
    assert names in ran.stderr
    assert ran.stdout == ""


def test_several_are_built_and_told_apart(here: Bench) -> None:
    here.accept("alpha")
    here.accept("beta", act="raise SystemExit('no')")
    here.accept("gamma")
    ran = here.build("alpha", "beta", "gamma", code=10)
    assert sorted(ran.built()) == ["alpha==1.0+pb.1", "gamma==1.0+pb.1"]
    [failure] = ran.json["failed"]
    assert (failure["name"], failure["version"], failure["phase"]) == ("beta", "1.0", "build")
    assert failure["log"] and Path(failure["log"]).is_file() and failure["attempt"]
    here.check_sound()


def test_a_requirement_named_twice_is_one_build(here: Bench) -> None:
    here.accept("alpha")
    assert here.build("alpha", "alpha==1.0", "Alpha").built() == ["alpha==1.0+pb.1"]
    assert here.build("alpha", "alpha==1.0", "Alpha").cached() == ["alpha==1.0+pb.1"]


def test_a_numbered_requirement_is_that_build(here: Bench) -> None:
    here.accept("alpha")
    here.build("alpha")
    here.rebuild("alpha==1.0")
    assert here.build("alpha==1.0+pb.1").cached() == ["alpha==1.0+pb.1"]
    assert here.outcomes("alpha") == ["succeeded", "succeeded"]
    missing = here.build("alpha==1.0+pb.7", code=30)
    assert "alpha==1.0+pb.7" in missing.json["failed"][0]["error"]


def test_an_upstream_version_with_a_label_of_its_own(here: Bench) -> None:
    here.accept("alpha", "1.0+cu126")
    assert here.build("alpha").built() == ["alpha==1.0+cu126.pb.1"]
    assert here.rebuild("alpha==1.0").built() == ["alpha==1.0+cu126.pb.2"]


def test_a_channel_keeps_its_label(here: Bench) -> None:
    here.accept("alpha")
    here.build("alpha")
    here.settings('label = "other"\n')
    ran = here.build("alpha", code=3)
    assert "label 'pb'" in ran.json["failed"][0]["error"] and "'other'" in ran.json["failed"][0]["error"]
    here.settings()
    assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]

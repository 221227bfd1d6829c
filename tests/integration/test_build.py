"""From a spec to a numbered wheel in the index, and when nothing is to be done."""

from __future__ import annotations

import hashlib
import json
import os
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


def test_again_is_cached_and_starts_no_sandbox(here: Bench) -> None:
    here.accept("alpha")
    here.build("alpha")
    asked = len(here.upstream.requests)
    # Without a bubblewrap that works, nothing could be built.
    fake = here.root / "bin" / "bwrap"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo bubblewrap 0.8.0 && exit\nexit 99\n')
    fake.chmod(0o755)
    here.environ["PATH"] = f"{fake.parent}:{os.environ['PATH']}"
    again = here.build("alpha")
    assert (again.built(), again.cached()) == ([], ["alpha==1.0+pb.1"])
    assert here.outcomes("alpha") == ["succeeded"]
    assert len(here.upstream.requests) == asked


def test_a_build_without_bubblewrap_says_how_to_get_it(here: Bench) -> None:
    here.accept("alpha")
    here.environ["PATH"] = str(here.root)
    ran = here.pybuild("build", "alpha")
    assert ran.code == 20
    assert "'bwrap' is missing" in ran.stderr and "install bubblewrap" in ran.stderr


def test_rebuild_takes_the_next_number_for_the_same_payload(here: Bench) -> None:
    here.accept("alpha")
    first, second = here.build("alpha"), here.rebuild("alpha==1.0")
    assert second.built() == ["alpha==1.0+pb.2"]
    wheels = [only(ran)["wheels"][0] for ran in (first, second)]
    assert wheels[0]["payload_sha256"] == wheels[1]["payload_sha256"]
    assert wheels[0]["wheel_sha256"] != wheels[1]["wheel_sha256"]
    assert here.outcomes("alpha") == ["succeeded", "succeeded"]
    assert here.published("alpha") == ["1.0+pb.1", "1.0+pb.2"]
    here.check_sound()


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


class TestWhatMakesANewBuild:
    def test_a_setting_for_the_build(self, here: Bench) -> None:
        here.accept("alpha", act="FACTS['module'] = f'FLAG = {__import__(\"os\").environ.get(\"FLAG\")!r}\\n'")
        key = only(here.build("alpha"))["wheels"][0]["key"]
        here.spec("alpha", '[build]\nenv = { FLAG = "1" }\n')
        again = here.build("alpha")
        assert again.built() == ["alpha==1.0+pb.2"]
        wheel = only(again)["wheels"][0]
        assert wheel["key"] != key
        with zipfile.ZipFile(wheel["wheel"]) as archive:
            assert archive.read("alpha.py") == b"FLAG = '1'\n"

    def test_a_setting_that_changes_nothing_in_the_payload_gets_no_number(self, here: Bench) -> None:
        here.accept("alpha")
        here.build("alpha")
        here.spec("alpha", '[build]\nenv = { FLAG = "1" }\n')
        again = here.build("alpha")
        assert (again.built(), again.cached()) == ([], ["alpha==1.0+pb.1"])
        assert here.outcomes("alpha") == ["succeeded", "succeeded"]

    def test_config_settings_reach_the_backend(self, here: Bench) -> None:
        here.accept("alpha", spec='[build]\nconfig-settings = { a = "1", b = ["2", "3"] }\n', act="print(settings)")
        log = only(here.build("alpha"))["wheels"][0]["log"]
        assert "{'a': '1', 'b': ['2', '3']}" in Path(log).read_text()

    def test_a_patch_and_its_reverting(self, here: Bench) -> None:
        """The old payload is published again, under the next number, and nothing is built."""
        here.accept("alpha")
        here.build("alpha")
        patch = here.patch("alpha", "tiny.json", "VERSION = '1.0'", "VERSION = '1.0-patched'")
        patched = here.build("alpha")
        assert patched.built() == ["alpha==1.0+pb.2"]
        with zipfile.ZipFile(only(patched)["wheels"][0]["wheel"]) as archive:
            assert archive.read("alpha.py") == b"VERSION = '1.0-patched'\n"
        patch.unlink()
        reverted = here.build("alpha")
        assert reverted.built() == ["alpha==1.0+pb.3"]
        assert here.outcomes("alpha") == ["succeeded", "succeeded"]
        here.check_sound()

    def test_a_comment_does_nothing(self, here: Bench) -> None:
        here.accept("alpha")
        here.build("alpha")
        spec = here.workspace / "specs" / "alpha.toml"
        spec.write_text(f"# Why this is here.\n{spec.read_text()}")
        assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]

    def test_limits_are_not_in_the_key(self, here: Bench) -> None:
        here.accept("alpha")
        here.build("alpha")
        here.spec("alpha", '[build]\nlimits = { memory = "1G", timeout = "5m" }\n')
        assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]
        assert here.outcomes("alpha") == ["succeeded"]


class TestValidationHasItsOwnKey:
    def test_a_new_test_runs_without_a_build(self, here: Bench) -> None:
        here.accept("alpha")
        here.build("alpha")
        here.spec("alpha", "[test]\ncommands = [\"python -c 'import alpha; assert alpha.VERSION == 3'\"]\n")
        refused = here.build("alpha", code=50)
        assert refused.json["failed"][0]["phase"] == "validate"
        here.spec("alpha", "[test]\ncommands = [\"python -c 'import alpha; assert alpha.VERSION == str(1.0)'\"]\n")
        assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]
        assert here.outcomes("alpha") == ["succeeded"]
        here.check_sound()

    def test_a_validation_that_passed_is_not_run_again(self, here: Bench) -> None:
        here.accept("alpha", spec='[test]\ncommands = ["true"]\n')
        assert "validate" in here.pybuild("build", "alpha").stderr
        assert "validate" not in here.pybuild("rebuild", "alpha==1.0").stderr


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

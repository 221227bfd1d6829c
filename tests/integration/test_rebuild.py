"""When the same is built again, when only some of it is done again, and when nothing is to be done."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.workspaces import Bench, Ran, bench


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def only(ran: Ran) -> Any:
    """The one build that a run published."""
    [build] = ran.json["built"]
    return build


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
        assert [build["number"] for build in here.pybuild("show", "alpha", "--json").json["builds"]] == [3, 2, 1]
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

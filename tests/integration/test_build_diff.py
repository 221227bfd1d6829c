"""``pybuild diff``, and in ``show`` why a build was no cache hit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.workspaces import Bench, bench

MODULE = "ONE = 1\nTWO = 2\n"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Numbers 1 to 4: as it was; built again; with a patch, a setting and a newer tool; the next version."""
    with bench(tmp_path_factory.mktemp("diff")) as here:
        here.accept("tool", "1.0")
        here.accept("alpha", build_requires=["tool"], module=MODULE, metadata=["Classifier: Topic :: Utilities"])
        here.build("alpha")
        here.rebuild("alpha==1.0")
        here.patch("alpha", "tiny.json", "TWO = 2", "TWO = 3")
        here.spec("alpha", '[build]\nenv = { FLAG = "1" }\n')
        here.sdist("tool", "1.1")
        here.build("tool==1.1")
        here.build("alpha")
        shutil.rmtree(here.workspace / "patches" / "alpha")
        here.accept("alpha", "2.0", requires=["tool>=1"], build_requires=["tool"], files={"x.txt": b"x"})
        here.build("alpha==2.0")
        yield here


def facts(here: Bench, before: str, after: str) -> Any:
    ran = here.pybuild("diff", before, after, "--json")
    assert ran.code == 0, ran.stderr
    return ran.json


def parts(document: Any) -> list[tuple[str, str]]:
    return [(change["part"], change["what"]) for change in document["changes"]]


class TestDiff:
    def test_nothing_changed(self, history: Bench) -> None:
        document = facts(history, "alpha==1.0+pb.1", "alpha==1.0+pb.2")
        assert document["same"] is True
        assert (document["changes"], document["files"], document["metadata"]) == ([], [], [])
        ran = history.pybuild("diff", "alpha==1.0+pb.1", "alpha==1.0+pb.2")
        assert (ran.code, ran.stdout.splitlines()[2:]) == (0, ["nothing changed"])

    def test_inputs_and_what_came_of_them(self, history: Bench) -> None:
        document = facts(history, "alpha==1.0+pb.2", "alpha==1.0+pb.3")
        assert document["same"] is False
        assert parts(document) == [
            ("patches", "patches/alpha/0001-change.patch"),
            ("spec", "[build.env] FLAG"),
            ("environment", "tool"),
        ]
        tool = document["changes"][2]
        assert (tool["before"].split()[0], tool["after"].split()[0]) == ("1.0", "1.1")
        [file] = document["files"]
        assert file["name"] == "alpha.py"
        assert file["before"]["size"] == file["after"]["size"] == len(MODULE)
        assert file["diff"] == ["@@ -1,2 +1,2 @@", " ONE = 1", "-TWO = 2", "+TWO = 3"]
        assert document["metadata"] == []

    def test_the_other_way_round(self, history: Bench) -> None:
        there, back = (
            facts(history, "alpha==1.0+pb.2", "alpha==1.0+pb.3"),
            facts(history, "alpha==1.0+pb.3", "alpha==1.0+pb.2"),
        )
        turned = [{**change, "before": change["after"], "after": change["before"]} for change in back["changes"]]
        assert there["changes"] == turned
        assert there["before"] == back["after"]

    def test_versions(self, history: Bench) -> None:
        document = facts(history, "alpha==1.0+pb.3", "alpha==2.0")
        assert parts(document)[:2] == [("version", "version"), ("source", "archive")]
        assert document["metadata"] == [
            {"field": "Classifier", "before": ["Topic :: Utilities"], "after": []},
            {"field": "Requires-Dist", "before": [], "after": ["tool>=1"]},
            {"field": "Version", "before": ["1.0"], "after": ["2.0"]},
        ]
        names = [file["name"] for file in document["files"]]
        assert names == ["alpha-2.0.dist-info/METADATA", "alpha.py"]

    def test_for_people(self, history: Bench) -> None:
        said = history.pybuild("diff", "alpha==1.0+pb.2", "alpha==1.0+pb.3").stdout
        for line in (
            "\npatches\n  patches/alpha/0001-change.patch: added, sha256 ",
            "\nspec\n  [build.env] FLAG: added, 1\n",
            "\nenvironment\n  tool: 1.0 payload ",
            "\nfiles\n  ~ alpha.py  16 bytes, others than before\n",
            "\n      -TWO = 2\n      +TWO = 3\n",
        ):
            assert line in said
        assert said == history.pybuild("diff", "alpha==1.0+pb.2", "alpha==1.0+pb.3").stdout

    def test_a_payload_that_is_gone_is_made_of_the_published_wheel(self, history: Bench) -> None:
        kept = facts(history, "alpha==1.0+pb.2", "alpha==1.0+pb.3")
        directory = history.layout.payload(kept["before"]["payload_sha256"])
        away = directory.rename(history.root / "away")
        try:
            assert facts(history, "alpha==1.0+pb.2", "alpha==1.0+pb.3") == kept
        finally:
            away.rename(directory)

    def test_no_such_build(self, history: Bench) -> None:
        ran = history.pybuild("diff", "alpha==1.0+pb.1", "alpha==1.0+pb.77")
        assert ran.code == 2
        assert "there is no build 'alpha==1.0+pb.77'" in ran.stderr


class TestWhyNotACacheHit:
    def test_each_build_says_which_input_changed(self, history: Bench) -> None:
        builds = history.pybuild("show", "alpha", "--json").json["builds"]
        whys = [build["wheels"][0]["why"] for build in builds]
        attempts = [build["wheels"][0]["attempt"] for build in builds]
        assert [why["before"] for why in whys] == [*attempts[1:], None]
        assert [[(change["part"], change["what"]) for change in why["changes"]] for why in whys[1:]] == [
            [
                ("patches", "patches/alpha/0001-change.patch"),
                ("spec", "[build.env] FLAG"),
                ("environment", "tool"),
            ],
            [],
            [],
        ]
        assert ("version", "version") in [(change["part"], change["what"]) for change in whys[0]["changes"]]

    def test_in_words(self, history: Bench) -> None:
        lines = history.pybuild("show", "alpha").stdout.splitlines()
        attempts = [line.split()[-1] for line in lines[1::2]]
        assert lines[4] == (
            f"    why: changed since {attempts[2]}: patches (patches/alpha/0001-change.patch); "
            "spec ([build.env] FLAG); environment (tool)"
        )
        assert lines[6].startswith(f"    why: nothing changed since {attempts[3]}, which succeeded")
        assert lines[8] == "    why: the first of this package here"


class TestAttemptsThatFailed:
    @pytest.fixture
    def here(self, tmp_path: Path) -> Iterator[Bench]:
        with bench(tmp_path) as made:
            made.accept("beta", act="raise SystemExit(1)")
            made.build("beta", code=10)
            made.build("beta", code=10)
            made.spec("beta", '[build]\nenv = { FLAG = "1" }\n')
            made.build("beta", code=10)
            yield made

    def test_they_are_compared_as_far_as_they_got(self, here: Bench) -> None:
        first, second, third = [attempt["id"] for attempt in here.attempts("beta")]
        document = facts(here, first, third)
        assert parts(document) == [("spec", "[build.env] FLAG")]
        assert document["not_compared"] == f"{first} and {third} made no wheel"
        assert facts(here, first, second)["same"] is True

    def test_why_they_were_made(self, here: Bench) -> None:
        first, second, _ = [attempt["id"] for attempt in here.attempts("beta")]
        whys = [build["wheels"][0]["why"] for build in here.pybuild("show", "beta", "--json").json["builds"]]
        assert [why["sentence"] for why in whys] == [
            f"changed since {second}: spec ([build.env] FLAG)",
            f"nothing changed since {first}, which failed",
            "the first of this package here",
        ]

    def test_a_record_that_is_gone_is_no_reason_to_fail(self, here: Bench) -> None:
        _, second, third = [attempt["id"] for attempt in here.attempts("beta")]
        [record] = here.state.glob(f"store/records/*/{second}")
        shutil.rmtree(record)
        ran = here.pybuild("show", "beta")
        assert ran.code == 0
        assert "why: not known: the plan of an attempt can't be read" in ran.stdout
        ran = here.pybuild("diff", second, third)
        assert ran.code == 1
        assert "can't be read" in ran.stderr and str(record) in ran.stderr

"""``pybuild rebuild WHEEL``: the plan of a wheel, found from the wheel alone and built again."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pybuilder.plan import Plan
from tests.support.indexes import served
from tests.support.wheels import Draft
from tests.support.workspaces import Bench, bench

MODULE = "ONE = 1\nTWO = 2\n"


def published(here: Bench, package: str, number: int = 1) -> Path:
    """The published wheel of a package."""
    [wheel] = (here.state / "index" / "host" / "files").glob(f"{package}-*+pb.{number}-*.whl")
    return wheel


def same(here: Bench, wheel: str | Path, *options: str) -> Any:
    """What is told of a wheel that came out the same."""
    ran = here.pybuild(*options, "rebuild", "--json", str(wheel))
    assert ran.code == 0, ran.stderr
    document = ran.json
    assert document["ok"] is True
    assert document["built"] == document["cached"] == document["failed"] == document["review"] == []
    [proven] = document["proven"]
    return proven


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    """A package that is built with a tool, a patch and a setting."""
    with bench(tmp_path) as made:
        made.accept("tool", module="FLAG = 1\n")
        made.accept(
            "alpha",
            build_requires=["tool"],
            module=MODULE,
            act="import os, tool; FACTS['module'] += f'FLAGS = {os.environ[\"FLAG\"], tool.FLAG}\\n'",
            spec='[build]\nenv = { FLAG = "1" }\n',
        )
        made.patch("alpha", "tiny.json", "TWO = 2", "TWO = 3")
        made.build("alpha")
        yield made


class TestTheSame:
    def test_from_the_index_that_it_lies_in(self, here: Bench) -> None:
        wheel = published(here, "alpha")
        before = sorted(path for path in here.state.rglob("*") if "/index/" in str(path))
        proven = same(here, wheel)
        assert proven["wheel"] == wheel.name
        assert proven["fetched"] == []
        assert "/index/host/records/" in proven["record"]
        # It is a proof, not a release: no number, no attempt, nothing in the index, nothing left.
        assert sorted(path for path in here.state.rglob("*") if "/index/" in str(path)) == before
        assert here.published("alpha") == ["1.0+pb.1"]
        assert here.outcomes("alpha") == ["succeeded"]
        here.check_sound()

    def test_for_people(self, here: Bench) -> None:
        ran = here.pybuild("rebuild", str(published(here, "alpha")))
        assert ran.code == 0
        assert "the same payload came out" in ran.stdout
        assert "nothing is published and no number is taken: this is a proof, not a release" in ran.stdout

    def test_a_copy_of_it_anywhere_is_known_by_the_state(self, here: Bench, tmp_path: Path) -> None:
        copy = Path(shutil.copy(published(here, "alpha"), tmp_path))
        assert same(here, copy)["fetched"] == []
        shutil.rmtree(here.state / "index" / "host" / "records")
        assert "/store/records/" in same(here, copy)["record"]

    def test_whatever_the_workspace_says_today(self, here: Bench) -> None:
        """The recipe is the recorded one: settings, patches, tool; what the spec says now is of no account."""
        here.spec("alpha", '[build]\nenv = { FLAG = "2" }\nremove-requires = ["tool"]\n')
        shutil.rmtree(here.workspace / "patches" / "alpha")
        here.accept("tool", "1.1", module="FLAG = 2\n")
        here.build("tool==1.1")
        same(here, published(here, "alpha"))

    def test_an_older_number(self, here: Bench) -> None:
        here.spec("alpha", '[build]\nenv = { FLAG = "2" }\n')
        here.build("alpha")
        first, second = (same(here, published(here, "alpha", number)) for number in (1, 2))
        assert first["payload_sha256"] != second["payload_sha256"]

    def test_what_only_the_backend_knew_to_require(self, here: Bench) -> None:
        here.accept("asks", dynamic=["tool"], act="import tool; FACTS['module'] = f'FLAG = {tool.FLAG}\\n'")
        here.build("asks")
        same(here, published(here, "asks"))

    def test_upstreams_wheel(self, here: Bench) -> None:
        Draft(name="taken", files={"taken.py": b"1\n"}).write(here.upstream.directory)
        here.spec("taken", '[prebuilt]\nreason = "no source"\n')
        here.build("taken")
        same(here, published(here, "taken"))

    def test_a_source_that_is_no_sdist(self, here: Bench) -> None:
        """Its backend is told the version, which no plan says."""
        here.sdist(
            "own", act="import os; FACTS['module'] = repr(os.environ.get('SETUPTOOLS_SCM_PRETEND_VERSION')) + '\\n'"
        )
        url = here.upstream.file_url("own-1.0.tar.gz")
        here.spec("own", f'[source]\ntype = "url"\nurl = "{url}"\n')
        here.build("own==1.0")
        with zipfile.ZipFile(published(here, "own")) as archive:
            assert archive.read("own.py") == b"'1.0'\n"
        same(here, published(here, "own"))


@pytest.fixture
def elsewhere(here: Bench) -> Bench:
    """Another machine: a workspace in which nothing is accepted, a state in which there is nothing."""
    other = Bench(root=here.root / "elsewhere", upstream=here.upstream, state=here.root / "elsewhere" / "state")
    for name in ("specs", "patches", "buildroots"):
        (other.workspace / name).mkdir(parents=True)
    other.settings()
    return other


def mirror(here: Bench) -> Path:
    """A copy of the index that the state knows nothing of."""
    return Path(shutil.copytree(here.state / "index" / "host", here.root / "mirror"))


class TestFromAnIndexAlone:
    def test_all_that_is_named_is_fetched_by_digest(self, here: Bench, elsewhere: Bench) -> None:
        index = mirror(here)
        here.upstream.directory.joinpath("alpha-1.0.tar.gz").unlink()
        proven = same(elsewhere, index / "files" / published(here, "alpha").name)
        said = [what.partition(", sha256 ")[0] for what in proven["fetched"]]
        assert said == ["the source alpha-1.0.tar.gz", "the payload of tool 1.0"]
        assert elsewhere.outcomes("alpha") == []
        # It is there from now on.
        assert same(elsewhere, index / "files" / published(here, "alpha").name)["fetched"] == []

    def test_a_wheel_with_its_record_beside_it(self, here: Bench, elsewhere: Bench, tmp_path: Path) -> None:
        """Out of any index; what is needed is here."""
        wheel = published(here, "tool")
        beside = tmp_path / "mail"
        shutil.copytree(here.state / "index" / "host" / "records", beside / "records")
        shutil.copytree(here.state / "store" / "sources", elsewhere.state / "store" / "sources")
        proven = same(elsewhere, shutil.copy(wheel, beside))
        assert proven["record"].startswith(f"{beside}/records/")

    def test_over_http(self, here: Bench, elsewhere: Bench) -> None:
        index = mirror(here)
        wheel = published(here, "alpha").name
        with served(index.parent) as url:
            proven = same(elsewhere, f"{url}mirror/files/{wheel.replace('+', '%2B')}")
        assert proven["record"].startswith(f"{url}mirror/records/")
        assert len(proven["fetched"]) == 2

    def test_a_damaged_copy_of_what_is_needed_is_not_taken(self, here: Bench, elsewhere: Bench) -> None:
        index = mirror(here)
        damage(index / "files" / published(here, "tool").name)
        damage(next((index / "sources" / "files").glob("alpha-*")))
        ran = elsewhere.pybuild("rebuild", str(index / "files" / published(here, "alpha").name))
        assert ran.code == 30
        plans = [json.loads(file.read_bytes()) for file in here.state.glob("store/records/*/*/plan.json")]
        [alpha] = [plan for plan in plans if plan["recipe"]["name"] == "alpha"]
        assert f"the source alpha-1.0.tar.gz, sha256 {alpha['recipe']['source']}" in ran.stderr
        assert f"the payload of tool 1.0, sha256 {alpha['environment'][0]['payload']}" in ran.stderr
        assert elsewhere.outcomes("alpha") == []

    def test_a_record_that_is_missing(self, here: Bench, elsewhere: Bench) -> None:
        index = mirror(here)
        shutil.rmtree(index / "records")
        ran = elsewhere.pybuild("rebuild", "--json", str(index / "files" / published(here, "alpha").name))
        assert ran.code == 30
        assert "there is no record of alpha-1.0+pb.1" in ran.stderr
        assert ran.json["failed"][0]["phase"] == "fetch"

    def test_a_wheel_that_is_not_there(self, here: Bench, elsewhere: Bench) -> None:
        index = mirror(here)
        ran = elsewhere.pybuild("rebuild", str(index / "files" / "alpha-1.0+pb.7-py3-none-any.whl"))
        assert ran.code == 30
        assert "the index has no wheel alpha-1.0+pb.7-py3-none-any.whl" in ran.stderr


def damage(file: Path) -> None:
    """Flip a bit in the middle of a file."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


class TestNotTheSame:
    @pytest.fixture
    def chance(self, here: Bench) -> Bench:
        here.accept("chance", act="import uuid; FACTS['module'] = f'ID = {uuid.uuid4().hex!r}\\n'")
        here.build("chance")
        return here

    def test_it_is_told_with_the_first_difference(self, chance: Bench) -> None:
        ran = chance.pybuild("rebuild", "--json", str(published(chance, "chance")))
        assert ran.code == 12
        [failure] = ran.json["failed"]
        assert (failure["name"], failure["version"]) == ("chance", "1.0")
        # From which byte on is up to chance.
        assert re.search(r"chance\.py, line 1, byte \d+; recorded: ID = '\w+'; again: ID = '\w+'", failure["error"])
        assert Path(failure["log"]).is_file()

    def test_both_payloads_are_kept_and_nothing_is_taken_for_the_other(self, chance: Bench) -> None:
        wheel = published(chance, "chance")
        ran = chance.pybuild("rebuild", str(wheel))
        [kept] = (chance.state / "checks").iterdir()
        assert f"both payloads: {kept}" in ran.stderr
        [first], [second] = ((kept / name).glob("chance-1.0-*.whl") for name in ("recorded", "again"))
        assert first.read_bytes() != second.read_bytes()
        assert (kept / "record" / "build.log").is_file()
        assert chance.build("chance").cached() == ["chance==1.0+pb.1"]
        assert chance.outcomes("chance") == ["succeeded"]
        chance.check_sound()

    def test_a_build_that_fails_now(self, here: Bench) -> None:
        act = "import os\nif not os.environ.get('FLAG'): raise SystemExit(3)"
        here.accept("once", act=act, spec='[build]\nenv = { FLAG = "1" }\n')
        here.build("once")
        rewrite(here, "once", lambda plan, record: plan["recipe"].update(env={}))
        ran = here.pybuild("rebuild", "--json", str(published(here, "once")))
        assert ran.code == 10
        [failure] = ran.json["failed"]
        assert "once 1.0 did not build" in failure["error"]
        assert str(here.state / "checks") in failure["log"]
        assert Path(failure["log"]).is_file()


def rewrite(here: Bench, name: str, change: Any) -> None:
    """Change the plan and the record of a package, everywhere, so that they still agree in their key."""
    for file in [*here.state.glob("store/records/*/*/plan.json"), *here.state.glob("index/host/records/*/*/plan.json")]:
        plan, record = (json.loads((file.parent / each).read_bytes()) for each in ("plan.json", "record.json"))
        if plan["recipe"]["name"] == name:
            change(plan, record)
            record["key"] = Plan.from_json(plan).key()
            file.write_text(json.dumps(plan))
            file.with_name("record.json").write_text(json.dumps(record))


class TestWhatIsRefused:
    def test_a_machine_that_is_another(self, here: Bench) -> None:
        def other(plan: Any, record: Any) -> None:
            plan["root"]["contents"]["packages"] = "0" * 64
            plan["root"]["digest"] = "1" * 64
            plan["target"]["full_version"] = plan["target"]["python"] + ".99"
            plan["sandbox_version"] = 0

        rewrite(here, "alpha", other)
        ran = here.pybuild("rebuild", str(published(here, "alpha")))
        assert ran.code == 20
        for words in ("the system's packages: 000", ".99 -> 3.", "version of the sandbox: 0 -> "):
            assert words in ran.stderr
        assert not (here.state / "checks").exists()

    def test_a_plan_that_leads_out_of_the_sandbox(self, here: Bench) -> None:
        rewrite(here, "alpha", lambda plan, record: plan.update(build_path="/build/../../../out"))
        ran = here.pybuild("rebuild", str(published(here, "alpha")))
        assert ran.code == 20
        assert "path of the source: /build/../../../out -> /build/alpha-1.0" in ran.stderr

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda plan, record: record["result"].update(payload_sha256="0" * 64), "it is of another payload"),
            (lambda plan, record: plan["recipe"].update(source="0" * 64), "its source is not that of its plan"),
            (lambda plan, record: plan.update(environment=[]), "its environment is not that of its plan"),
            (lambda plan, record: plan["recipe"].update(patches=[]), "its patches are not those of its plan"),
            (lambda plan, record: plan["recipe"].update(version="2.0"), "it is of another version"),
            (lambda plan, record: record["source"].update(file="../../x"), "it names what is no file"),
            (lambda plan, record: record.update(channel="../x"), "its channel or buildroot is no name"),
            (lambda plan, record: plan["environment"][0].update(payload="../x"), "it names what is no sha256"),
            (lambda plan, record: plan.update(environment="nonsense"), "the plan of an attempt can't be read"),
            (lambda plan, record: record.pop("patches"), "KeyError('patches')"),
        ],
    )
    def test_a_record_that_names_other_inputs(self, here: Bench, change: Any, words: str) -> None:
        for file in here.state.glob("**/plan.json"):
            plan, record = (json.loads((file.parent / each).read_bytes()) for each in ("plan.json", "record.json"))
            if plan["recipe"]["name"] == "alpha":
                change(plan, record)
                file.write_text(json.dumps(plan))
                file.with_name("record.json").write_text(json.dumps(record))
        ran = here.pybuild("rebuild", str(published(here, "alpha")))
        assert ran.code == 50
        assert "is not to be believed" in ran.stderr
        assert words in ran.stderr

    def test_a_key_that_is_not_that_of_the_plan(self, here: Bench) -> None:
        for file in here.state.glob("**/record.json"):
            file.write_text(file.read_text().replace('"key": "', '"key": "0'))
        ran = here.pybuild("rebuild", str(published(here, "alpha")))
        assert ran.code == 50
        assert "its key is not that of its plan" in ran.stderr

    def test_a_patch_that_was_changed(self, here: Bench) -> None:
        for file in here.state.glob("**/patches/0001-change.patch"):
            file.write_text(file.read_text() + "\n")
        ran = here.pybuild("rebuild", str(published(here, "alpha")))
        assert ran.code == 50
        assert "its patch patches/alpha/0001-change.patch has not the sha256" in ran.stderr

    def test_a_wheel_that_was_changed(self, here: Bench, tmp_path: Path) -> None:
        """Both where the change is in the payload, and where it is in what a number adds to it."""
        wheel = published(here, "alpha")
        for number, name in enumerate(("alpha.py", "alpha-1.0+pb.1.dist-info/sboms/pybuild.cdx.json")):
            changed = tmp_path / str(number) / wheel.name
            changed.parent.mkdir()
            with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(changed, "w") as new:
                for info in old.infolist():
                    new.writestr(info, old.read(info) + (b"\n" if info.filename == name else b""))
            ran = here.pybuild("rebuild", str(changed))
            assert ran.code == 50, ran.stderr
            assert "is not the wheel that was published" in ran.stderr

    def test_a_wheel_with_a_flipped_bit(self, here: Bench) -> None:
        damage(published(here, "alpha"))
        ran = here.pybuild("rebuild", str(published(here, "alpha")))
        assert ran.code in (10, 50)

    def test_a_wheel_that_is_not_ours(self, here: Bench, tmp_path: Path) -> None:
        ran = here.pybuild("rebuild", str(Draft(name="other").write(tmp_path)))
        assert ran.code == 2
        assert "is no wheel of ours: its version has no number" in ran.stderr

    def test_no_file(self, here: Bench) -> None:
        assert here.pybuild("rebuild", "alpha-1.0+pb.1-py3-none-any.whl").code == 2

    def test_wheels_and_versions_at_once(self, here: Bench) -> None:
        ran = here.pybuild("rebuild", "alpha==1.0", str(published(here, "alpha")))
        assert ran.code == 2
        assert "different commands" in ran.stderr

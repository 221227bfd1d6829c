"""``pybuild audit`` and ``pybuild challenge`` over indexes that were really built, on disk and over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.indexes import served
from tests.support.presses import Press
from tests.support.wheels import Draft
from tests.support.workspaces import Bench, Ran, bench, clean_environ

SPEC = '[prebuilt]\nreason = "no compiler"\n'


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Alpha is built with beta, which is built with tool, which needs nothing, and with taken, which is upstream's."""
    with bench(tmp_path_factory.mktemp("audit")) as here:
        here.accept("tool")
        Draft(name="taken", files={"taken.py": b"x = 1\n"}).write(here.upstream.directory)
        here.spec("taken", SPEC)
        here.accept("beta", build_requires=["tool", "taken"])
        here.accept("alpha", build_requires=["beta", "tool"])
        assert here.pybuild("key", "new").code == 0
        here.build("alpha")
        yield here


@pytest.fixture
def here(original: Bench, tmp_path: Path) -> Bench:
    """A copy that a test may spoil."""
    shutil.copytree(original.root / "workspace", tmp_path / "workspace")
    shutil.copytree(original.state, tmp_path / "state", symlinks=True)
    return Bench(root=tmp_path, upstream=original.upstream, state=tmp_path / "state")


def elsewhere(directory: Path, *arguments: str) -> Ran:
    """Run pybuild on a machine that has no workspace and no state."""
    directory.mkdir(exist_ok=True)
    ran = subprocess.run(
        [sys.executable, "-m", "pybuilder.cli", *arguments],
        env=clean_environ(directory),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return Ran(code=ran.returncode, stdout=ran.stdout, stderr=ran.stderr)


def wheel_of(here: Bench, name: str) -> Path:
    [wheel] = (here.index.root / "files").glob(f"{name}-*.whl")
    return wheel


def problems(ran: Ran) -> list[tuple[str, str]]:
    """The package and the check of everything that is wrong, from ``--json``."""
    [wheel] = ran.json["wheels"]
    return [(node["name"], problem["what"]) for node in wheel["tree"] for problem in node["problems"]]


class TestOne:
    def test_a_tree_that_a_person_can_read(self, here: Bench) -> None:
        ran = here.pybuild("audit", "alpha")
        assert ran.code == 0, ran.stdout
        lines = ran.stdout.splitlines()
        start = lines.index("  built with, down to the seeds:") + 1
        assert [line.partition("  (")[0] for line in lines[start : start + 5]] == [
            "    alpha 1.0+pb.1",
            "      beta 1.0+pb.1",
            "        taken 1.0+pb.1",
            "        tool 1.0+pb.1",
            "      tool 1.0+pb.1",
        ]
        assert "    alpha 1.0+pb.1  (host buildroot" in ran.stdout
        assert "taken 1.0+pb.1  (seed: upstream's wheel" in ran.stdout
        assert "tool 1.0+pb.1  (seed: its source alone, host buildroot" in ran.stdout
        assert "  tainted: upstream's wheel of taken 1.0 was used: no compiler" in ran.stdout
        assert "  tainted: host buildroot: alpha 1.0+pb.1, beta 1.0+pb.1, tool 1.0+pb.1" in ran.stdout
        assert "  ok: 3 of 3 wheels that built it are sound" in ran.stdout
        assert "WRONG" not in ran.stdout

    def test_by_every_name_that_it_has(self, here: Bench, tmp_path: Path) -> None:
        wheel = wheel_of(here, "alpha")
        attempt = here.attempts("alpha")[0]["id"]
        copy = Path(shutil.copy(wheel, tmp_path / wheel.name))
        root = str(here.index.root)
        said = [
            here.pybuild("audit", "--json", *name)
            for name in (["alpha"], ["alpha==1.0"], ["host/alpha==1.0+pb.1"], [attempt], [str(wheel)], [str(copy)])
        ]
        said += [
            here.pybuild("audit", "--json", "--index", root, name) for name in ("alpha", "alpha==1.0+pb.1", str(copy))
        ]
        for ran in said:
            assert ran.code == 0, ran.stderr
            assert ran.json["ok"] and ran.json["wheels"][0]["wheel"] == wheel.name
            assert [check["problem"] for check in ran.json["wheels"][0]["checks"]] == [""] * len(
                ran.json["wheels"][0]["checks"]
            )

    def test_the_last_that_was_published_whatever_failed_since(self, here: Bench) -> None:
        wheel = wheel_of(here, "alpha").name
        here.spec("alpha", '[build]\nenv = { A = "1" }\n[test]\nimports = ["no_such_module"]\n')
        here.build("alpha", code=50)
        assert len(here.attempts("alpha")) == 2
        for name in ("alpha", "alpha==1.0"):
            ran = here.pybuild("audit", "--json", name)
            assert ran.code == 0, ran.stderr
            assert [each["wheel"] for each in ran.json["wheels"]] == [wheel]

    def test_the_index_that_is_named_and_not_the_one_that_the_file_lies_in(self, here: Bench, tmp_path: Path) -> None:
        """Else whoever hands one a wheel could also choose what it is compared with."""
        Press(state=tmp_path / "theirs").publish("alpha")
        theirs = tmp_path / "theirs" / "index" / "host" / "files" / wheel_of(here, "alpha").name
        assert theirs.is_file()
        ran = here.pybuild("audit", "--json", "--index", str(here.index.root), str(theirs))
        assert ran.code == 50 and ("alpha", "the wheel has the published digest") in problems(ran)

    @pytest.mark.parametrize("arguments", [["nothing"], ["alpha==2.0"], ["alpha==1.0+pb.7"], [], ["nothing.whl"]])
    def test_what_is_not_there(self, here: Bench, arguments: list[str]) -> None:
        ran = here.pybuild("audit", *arguments)
        assert ran.code == 2 and "error" in ran.stderr.lower()

    def test_a_wheel_that_was_changed(self, here: Bench, tmp_path: Path) -> None:
        wheel = wheel_of(here, "alpha")
        copy = tmp_path / wheel.name
        data = bytearray(wheel.read_bytes())
        data[60] ^= 1
        copy.write_bytes(data)
        ran = here.pybuild("audit", str(copy), "--json")
        assert ran.code == 50 and ("alpha", "the wheel has the published digest") in problems(ran)

    def test_a_wheel_of_somebody_else(self, here: Bench, tmp_path: Path) -> None:
        stranger = Draft(name="stranger", version="1.0").write(tmp_path)
        ran = here.pybuild("audit", str(stranger))
        assert ran.code == 2 and "stranger-1.0-py3-none-any.whl was not published from here" in ran.stderr

    @pytest.mark.parametrize(("kind", "said"), [("sources", "the source"), ("payloads", "the payload of beta 1.0")])
    def test_a_damaged_object_in_the_store(self, here: Bench, kind: str, said: str) -> None:
        """The index is whole, the state that repeats a build from it is not."""
        for file in here.state.glob(f"store/{kind}/*/*"):
            if file.is_file():
                file.write_bytes(b"damaged")
        ran = here.pybuild("audit", "alpha")
        assert ran.code == 50
        assert f"WRONG: {said} in the store has its digest: " in ran.stdout

    def test_what_the_store_lacks_is_not_missed(self, here: Bench) -> None:
        shutil.rmtree(here.state / "store" / "payloads")
        shutil.rmtree(here.state / "store" / "sources")
        assert here.pybuild("audit", "alpha").code == 0

    def test_letters_that_a_terminal_obeys(self, here: Bench) -> None:
        [record] = [
            file
            for file in (here.index.root / "records").glob("*/*/record.json")
            if json.loads(file.read_bytes())["name"] == "alpha"
        ]
        account = json.loads(record.read_bytes())
        account["source"]["origin"] = "\x1b]0;owned\x07"
        record.write_text(json.dumps(account))
        ran = here.pybuild("audit", "alpha")
        assert "owned" in ran.stdout and "\x1b" not in ran.stdout and "\x07" not in ran.stdout


class TestKeys:
    def test_that_of_the_workspace(self, here: Bench) -> None:
        [key] = (here.workspace / "keys").glob("*.pem")
        ran = here.pybuild("audit", "alpha", "--json")
        assert ran.json["wheels"][0]["signed"] == {"by": "a trusted key", "keyid": key.stem}

    def test_one_that_was_rotated_and_one_that_was_lost(self, here: Bench) -> None:
        [key] = (here.workspace / "keys").glob("*.pem")
        assert here.pybuild("key", "rotate").code == 0
        assert here.pybuild("audit", "alpha").code == 0
        assert here.pybuild("audit", "--all").code == 0
        key.unlink()
        ran = here.pybuild("audit", "alpha")
        assert ran.code == 50 and f"this is signed by {key.stem}, which is no trusted key" in ran.stdout

    def test_on_another_machine(self, here: Bench, tmp_path: Path) -> None:
        """Without a key of one's own, that of the index serves, which is told; a key that is named must have signed."""
        [key] = (here.workspace / "keys").glob("*.pem")
        wheel, there = str(wheel_of(here, "alpha")), tmp_path / "elsewhere"
        assert "tainted: key from the index itself: alpha" in elsewhere(there, "audit", wheel).stdout
        ran = elsewhere(there, "audit", "--key", str(key), wheel)
        assert ran.code == 0 and f"signed   by a trusted key {key.stem}" in ran.stdout
        assert here.pybuild("key", "rotate").code == 0
        [other] = set((here.workspace / "keys").glob("*.pem")) - {key}
        assert elsewhere(there, "audit", "--key", str(other), wheel).code == 50
        assert elsewhere(there, "audit", "--key", str(other), "--key", str(key), wheel).code == 0

    def test_what_is_not_signed(self, here: Bench) -> None:
        [key] = (here.workspace / "keys").glob("*.pem")
        (here.state / "key" / "private.pem").unlink()
        here.accept("gamma")
        here.build("gamma")
        ran = here.pybuild("audit", "gamma")
        assert ran.code == 0 and "tainted: unsigned: gamma 1.0+pb.1" in ran.stdout
        assert here.pybuild("audit", "--key", str(key), "gamma").code == 50


class TestAll:
    def test_a_sound_index(self, here: Bench) -> None:
        ran = here.pybuild("audit", "--all", "--json")
        assert ran.code == 0
        assert (ran.json["ok"], ran.json["wheels"], ran.json["problems"]) == (True, 4, [])
        assert ran.json["tainted_by"]["prebuilt"] == 1 and ran.json["tainted_by"]["host buildroot"] == 3
        assert "4 wheels, sound" in here.pybuild("audit", "--all").stdout

    def test_half_mirrored(self, here: Bench, tmp_path: Path) -> None:
        """A mirror that took pages and some of the files: each wheel that is not whole is named."""
        shutil.rmtree(here.index.root / "records")
        wheel_of(here, "tool").unlink()
        shutil.rmtree(here.index.root / "sources")
        ran = elsewhere(tmp_path / "elsewhere", "audit", "--all", "--json", str(here.index.root))
        assert ran.code == 50
        wrong = {(problem["where"].partition("-")[0], problem["what"]) for problem in ran.json["problems"]}
        assert ("tool", "the wheel is there") in wrong
        assert {("alpha", "its record is there"), ("beta", "its record is there")} <= wrong

    def test_none(self, here: Bench, tmp_path: Path) -> None:
        assert elsewhere(tmp_path / "elsewhere", "audit", "--all", str(tmp_path / "workspace")).code == 2
        assert here.pybuild("-b", "other", "audit", "--all").code == 2

    def test_two(self, here: Bench) -> None:
        """Else one would pass as sound that nobody has looked at."""
        ran = here.pybuild("audit", "--all", "--index", str(here.index.root), str(here.index.root))
        assert ran.code == 2 and "two indexes" in ran.stderr


class TestHttp:
    @pytest.fixture
    def url(self, here: Bench) -> Iterator[str]:
        with served(here.index.root.parent) as url:
            yield f"{url}host/"

    def test_on_another_machine(self, here: Bench, url: str, tmp_path: Path) -> None:
        wheel = f"{url}files/{wheel_of(here, 'alpha').name.replace('+', '%2B')}"
        local = here.pybuild("audit", "alpha", "--json").json["wheels"][0]
        for arguments in ([wheel], ["--index", f"{url}simple/", "alpha"], ["--index", url, "alpha==1.0+pb.1"]):
            ran = elsewhere(tmp_path / "elsewhere", "audit", "--json", *arguments)
            assert ran.code == 0, ran.stderr + ran.stdout
            found = ran.json["wheels"][0]
            assert [node["payload_sha256"] for node in found["tree"]] == [
                node["payload_sha256"] for node in local["tree"]
            ]
            assert len(found["tree"]) == 4
        assert os.listdir(tmp_path / "elsewhere") == []

    def test_all(self, here: Bench, url: str, tmp_path: Path) -> None:
        ran = elsewhere(tmp_path / "elsewhere", "audit", "--all", "--json", url)
        assert ran.code == 0, ran.stdout
        assert (ran.json["wheels"], ran.json["problems"]) == (4, [])
        wheel = wheel_of(here, "beta")
        wheel.write_bytes(wheel.read_bytes() + b"x")
        ran = elsewhere(tmp_path / "elsewhere", "audit", "--all", "--json", url)
        assert ran.code == 50
        assert {problem["where"] for problem in ran.json["problems"]} == {wheel.name}

    def test_what_is_not_there(self, url: str, tmp_path: Path) -> None:
        gone = f"{url}files/gone-1.0%2Bpb.1-py3-none-any.whl"
        for arguments, code in (([gone], 2), (["--all", f"{url}files/"], 2), ([url], 2), ([f"{url}x.whl"], 2)):
            ran = elsewhere(tmp_path / "elsewhere", "audit", *arguments)
            assert ran.code == code, (arguments, ran.stderr)


class TestUpstream:
    def upstream(self, here: Bench, **facts: Any) -> Path:
        """Upstream's own wheel of alpha: what its backend makes of the source that it published."""
        return Draft(name="alpha", files={"alpha.py": b"VERSION = '1.0'\n"}, **facts).write(here.upstream.directory)

    def test_the_same_files(self, here: Bench) -> None:
        file = self.upstream(here)
        ran = here.pybuild("audit", "--upstream", "alpha")
        file.unlink()
        assert ran.code == 0, ran.stderr + ran.stdout
        assert "  the same files" in ran.stdout
        assert "differs: alpha-1.0.dist-info/WHEEL (what the backend writes of itself)" in ran.stdout

    def test_others(self, here: Bench) -> None:
        file = Draft(name="alpha", files={"alpha.py": b"EVIL = 1\n", "more.py": b""}).write(here.upstream.directory)
        ran = here.pybuild("audit", "--upstream", "alpha", "--json")
        file.unlink()
        assert ran.code == 12 and ran.json["ok"]
        [facts] = ran.json["upstream"]
        assert facts["same"] is False and {"alpha.py", "more.py"} <= set(facts["differ"])

    def test_there_is_none(self, here: Bench) -> None:
        ran = here.pybuild("audit", "--upstream", "alpha")
        assert ran.code == 2 and "upstream has no pure wheel of alpha 1.0" in ran.stderr


class TestChallenge:
    @pytest.fixture
    def rival(self, original: Bench, tmp_path: Path) -> Bench:
        """Another pybuild that has made the same."""
        shutil.copytree(original.root / "workspace", tmp_path / "rival" / "workspace")
        shutil.copytree(original.state, tmp_path / "rival" / "state", symlinks=True)
        return Bench(root=tmp_path / "rival", upstream=original.upstream, state=tmp_path / "rival" / "state")

    def test_the_same(self, here: Bench, rival: Bench) -> None:
        ran = here.pybuild("challenge", str(rival.index.root), "--json")
        assert ran.code == 0, ran.stderr
        assert [each["name"] for each in ran.json["compared"]] == ["alpha", "beta", "taken", "tool"]
        assert all(each["same"] for each in ran.json["compared"]) and ran.json["alone"] == []
        with served(rival.index.root.parent) as url:
            assert here.pybuild("challenge", f"{url}host/simple/", "tool").code == 0

    def test_a_key_that_they_have_not(self, here: Bench, rival: Bench) -> None:
        here.accept("gamma")
        here.build("gamma")
        ran = here.pybuild("challenge", str(rival.index.root), "gamma", "--json")
        assert ran.code == 0 and ran.json["compared"] == []
        assert ran.json["alone"] == [wheel_of(here, "gamma").name]

    def test_a_damaged_wheel(self, here: Bench, rival: Bench) -> None:
        wheel = wheel_of(rival, "beta")
        wheel.write_bytes(wheel.read_bytes()[:-9])
        ran = here.pybuild("challenge", str(rival.index.root))
        assert ran.code == 50 and "theirs, beta-1.0+pb.1-py3-none-any.whl, is not the one that its page" in ran.stdout

    def test_a_record_of_ours_that_is_missing(self, here: Bench, rival: Bench) -> None:
        for plan in (here.index.root / "records").rglob("plan.json"):
            plan.unlink()
        ran = here.pybuild("challenge", str(rival.index.root), "--json")
        assert ran.code == 50 and ran.json["ok"] is False
        assert wheel_of(here, "beta").name in ran.json["unknown"]

    def test_the_same_key_and_another_payload(self, tmp_path: Path) -> None:
        for name, value in (("ours", b"VALUE = 1\n"), ("theirs", b"VALUE = 2\n")):
            Press(state=tmp_path / name).publish("six", module=value)
        ours, theirs = (str(tmp_path / name / "index" / "host") for name in ("ours", "theirs"))
        ran = elsewhere(tmp_path / "elsewhere", "challenge", "--index", ours, theirs)
        assert ran.code == 12
        assert "six-1.0+pb.1-py3-none-any.whl: the same key, another payload" in ran.stdout
        assert "six.py, line 1, byte 8; ours: VALUE = 1; theirs: VALUE = 2" in ran.stdout
        with served(tmp_path / "theirs" / "index") as url:
            ran = elsewhere(tmp_path / "elsewhere", "challenge", "--index", ours, f"{url}host/", "--json")
        assert ran.code == 12 and ran.json["ok"] is False
        assert ran.json["compared"][0]["difference"].startswith("six.py, line 1, byte 8")

    def test_no_index(self, here: Bench, tmp_path: Path) -> None:
        assert here.pybuild("challenge", str(tmp_path)).code == 2

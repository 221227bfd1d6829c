"""gc between builds, beside them, and killed: whatever is needed is there afterwards, whole."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_interruption import die_at
from tests.support.disks import disk
from tests.support.workspaces import Bench, bench, wait_for


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    """A workspace of which gc keeps the last attempt at each package, with alpha, beta and gamma published."""
    with bench(tmp_path) as made:
        made.settings("keep = 1\n")
        made.accept("alpha", requires=["beta"], build_requires=["gamma"])
        made.accept("beta")
        made.accept("gamma")
        made.build("alpha")
        yield made


def gc(here: Bench, *arguments: str) -> Any:
    ran = here.pybuild("gc", "--json", *arguments)
    assert ran.code == 0, ran.stderr
    return ran.json


def digests(here: Bench, kind: str) -> set[str]:
    return {path.name for path in (here.state / "store" / kind).iterdir()}


def check_whole(here: Bench) -> None:
    """Everything published verifies down to its seeds, and nothing need be built again."""
    for kind in ("sources", "payloads"):
        for file in here.state.glob(f"store/{kind}/*/*-1.0*"):
            assert hashlib.sha256(file.read_bytes()).hexdigest() == file.parent.name
    for name in ("alpha", "beta", "gamma"):
        for version in here.published(name):
            ran = here.pybuild("audit", f"{name}=={version}")
            assert ran.code == 0, ran.stdout
    attempts = {name: len(here.attempts(name)) for name in ("alpha", "beta", "gamma")}
    assert here.build("alpha").cached() == [f"alpha=={here.published('alpha')[-1]}"]
    assert attempts == {name: len(here.attempts(name)) for name in attempts}
    here.check_sound()


class TestBetweenBuilds:
    def test_what_nothing_needs_goes(self, here: Bench) -> None:
        logs = set(here.state.glob("store/records/*/*/*"))
        before = digests(here, "payloads")
        told = gc(here, "--dry-run")
        assert digests(here, "payloads") == before
        done = gc(here)
        assert {**told["freed"], "locks": 0} == {**done["freed"], "locks": 0}
        assert done["freed"]["environments"]["count"] > 0 and not digests(here, "envs")
        assert set(here.state.glob("store/records/*/*/*")) == logs
        assert gc(here)["freed"].keys() <= {"locks"}
        check_whole(here)

    def test_old_attempts_go_and_their_logs_stay(self, here: Bench) -> None:
        old = digests(here, "payloads") | digests(here, "sources")
        here.accept("epsilon", spec='[test]\ncommands = ["false"]\n')
        here.build("epsilon", code=50)
        first = (digests(here, "payloads") | digests(here, "sources")) - old
        assert len(first) == 2
        [attempt] = here.attempts("epsilon")
        patch = here.patch("epsilon", "tiny.json", "VERSION", "OTHER")
        here.build("epsilon", code=50)
        gc(here)
        now = digests(here, "payloads") | digests(here, "sources")
        assert len(first & now) == 1, "the source, which both have; the first payload has gone"
        assert here.pybuild("log", attempt["id"]).code == 0
        patch.unlink()
        here.spec("epsilon", here.spec_text("epsilon").partition("\n")[2].replace('["false"]', "[]"))
        assert here.build("epsilon").built() == ["epsilon==1.0+pb.1"], "what has gone is built again"
        check_whole(here)

    def test_a_build_that_somebody_told_us_to_keep(self, here: Bench) -> None:
        before = digests(here, "payloads")
        here.accept("epsilon", spec='[test]\ncommands = ["false"]\n')
        here.build("epsilon", code=50)
        [payload] = digests(here, "payloads") - before
        [attempt] = here.attempts("epsilon")
        assert gc(here, "--keep", "epsilon") == {"kept": [attempt["id"]]}
        here.patch("epsilon", "tiny.json", "VERSION", "OTHER")
        here.build("epsilon", code=50)
        gc(here)
        assert payload in digests(here, "payloads")
        assert gc(here, "--let-go", attempt["id"]) == {"kept": []}
        gc(here)
        assert payload not in digests(here, "payloads")

    def test_the_database_is_lost(self, here: Bench) -> None:
        for file in here.state.glob("state.db*"):
            file.unlink()
        gc(here)
        check_whole(here)

    def test_the_records_are_lost_with_the_database(self, here: Bench) -> None:
        """What is published is known from its index alone."""
        sources = digests(here, "sources")
        for file in here.state.glob("state.db*"):
            file.unlink()
        for record in here.state.glob("store/records/*/*/record.json"):
            record.write_text("{")
        assert gc(here)["unread"] == []
        assert digests(here, "sources") == sources
        check_whole(here)

    def test_as_small_as_can_be(self, here: Bench) -> None:
        done = gc(here, "--max-size", "1")
        assert done["fits"] is False and done["size"] > 0
        check_whole(here)
        assert here.rebuild("alpha==1.0").built() == ["alpha==1.0+pb.2"]
        assert gc(here, "--max-size", "1T")["fits"] is True

    def test_what_it_is_told(self, here: Bench) -> None:
        assert "4G" in here.pybuild("gc", "--max-size", "much").stderr
        assert here.pybuild("gc", "--keep", "alpha", "--dry-run").code == 2
        assert here.pybuild("gc", "--keep", "nobody").code == 2
        here.spec("alpha", "[versions\n")
        ran = here.pybuild("gc")
        assert ran.code == 3 and "specs/alpha.toml" in ran.stderr, "who knows what it pins"
        (here.root / "home" / "downloads").mkdir(parents=True)
        assert here.pybuild("--state", str(here.root / "home"), "gc").code == 2, "that is no state"
        owner = here.state / "owner.json"
        owner.write_text(owner.read_text().replace('"uid": ', '"uid": 1234'))
        assert here.pybuild("gc").code == 3

    def test_in_words(self, here: Bench) -> None:
        ran = here.pybuild("gc", "--dry-run")
        assert ran.code == 0 and "environments" in ran.stdout and "would be freed" in ran.stdout
        assert "freed" in here.pybuild("gc").stdout.splitlines()[-1]


class TestBesideBuilds:
    def test_a_running_build_keeps_what_it_found_and_made(self, here: Bench) -> None:
        """Its environment above all, which nothing names: what it imports after gc was there is still there."""
        act = "import os, time; time.sleep(int(os.environ['WAIT'])); import zeta, gamma"
        here.accept("epsilon", build_requires=["gamma", "zeta"], act=act)
        here.accept("zeta")
        in_time = False
        for seconds in (3, 10, 30):
            here.spec("epsilon", f'[build]\nenv = {{ WAIT = "{seconds}" }}\n')
            tried = len(here.attempts("epsilon"))
            with here.start("build", "epsilon") as process:
                wait_for(lambda before=tried: len(here.attempts("epsilon")) > before, what="the build of epsilon")
                wait_for(lambda: list(here.state.glob("work/*/build/epsilon*/tiny_backend.py")), what="its source")
                time.sleep(0.5)
                gc(here, "--max-size", "1")
                in_time = here.attempts("epsilon")[-1]["state"] == "running"
                stderr = process.communicate(timeout=90)[1]
            assert process.returncode == 0, stderr
            if in_time:
                break
        assert in_time, "gc came too late to prove anything"
        check_whole(here)
        assert here.build("epsilon").cached() == [f"epsilon=={here.published('epsilon')[-1]}"]

    def test_bootstraps_with_one_gc_after_the_other(self, here: Bench) -> None:
        names = [f"tree-{letter}" for letter in "abcdef"]
        for name, needs in zip(names, [[], *[[name] for name in names]], strict=False):
            here.accept(name, build_requires=needs, act="import time; time.sleep(0.3)")
        with here.start("bootstrap", "--json", names[-1]) as process:
            passes = 0
            while process.poll() is None:
                gc(here, *(["--max-size", "1"] if passes % 2 else []))
                passes += 1
            assert process.stderr
            assert process.returncode == 0, process.stderr.read()
        assert passes > 2
        for name in names:
            assert here.published(name) == ["1.0+pb.1"]
            assert here.pybuild("audit", f"{name}==1.0+pb.1").code == 0
        check_whole(here)

    def test_what_uv_keeps_between_its_calls_is_marked_by_who_may_call_it(self, here: Bench) -> None:
        assert here.pybuild("bootstrap", "alpha").code == 0
        cache = here.state / "uv-cache"
        os.utime(cache, (10**9, 10**9))
        assert here.pybuild("bootstrap", "alpha").code == 0
        assert cache.stat().st_mtime > 10**9

    def test_two_of_them(self, here: Bench) -> None:
        with here.start("gc", "--json") as one, here.start("gc", "--json") as other:
            codes = {process.wait(60) for process in (one, other)}
        assert codes <= {0, 60} and 0 in codes
        check_whole(here)


class TestFullDisk:
    def test_it_makes_room_where_the_database_has_none_to_be_read(self, here: Bench) -> None:
        with disk(here.root / "disk", "size=600m"):
            here.state = here.root / "disk" / "state"
            here.build("alpha")
            garbage = here.state / "store" / "sources" / hashlib.sha256(b"garbage").hexdigest()
            garbage.mkdir()
            (garbage / "file").write_bytes(bytes(300 << 20))
            with (here.root / "disk" / "ballast").open("wb") as stream, suppress(OSError):
                while True:
                    stream.write(bytes(1 << 16))
                    stream.flush()
            ran = here.pybuild("build", "alpha")
            assert ran.code == 1 and "`pybuild gc`" in ran.stderr
            assert gc(here)["bytes"] > 300 << 20
            check_whole(here)
            assert here.rebuild("alpha==1.0").built() == ["alpha==1.0+pb.2"]


class TestKilled:
    @pytest.fixture
    def littered(self, here: Bench) -> Bench:
        """Things that nothing needs, of each kind, beside what is needed."""
        for kind in ("payloads", "sources", "rpms"):
            for number in range(3):
                directory = here.state / "store" / kind / hashlib.sha256(f"{kind}{number}".encode()).hexdigest()
                directory.mkdir(parents=True)
                (directory / "file-1").write_bytes(b"x")
        return here

    def test_before_any_of_its_effects(self, littered: Bench) -> None:
        saved = littered.root / "saved"
        shutil.copytree(littered.state, saved, symlinks=True)
        done = die_at(littered, 1_000_000, "gc")
        assert done.returncode == 0, done.stderr
        effects = int(done.stderr.split()[-1])
        assert effects > 30
        clean = {kind: digests(littered, kind) for kind in ("payloads", "sources", "rpms", "envs")}
        for effect in range(1, effects, max(1, effects // 8)):
            shutil.rmtree(littered.state)
            shutil.copytree(saved, littered.state, symlinks=True)
            assert die_at(littered, effect, "gc").returncode == 9
            check_whole(littered)
            gc(littered)
            left = {kind: digests(littered, kind) for kind in clean}
            assert left == clean, effect
        check_whole(littered)

    def test_at_random_moments(self, littered: Bench) -> None:
        chance = random.Random(20261126)
        began = time.monotonic()
        gc(littered, "--dry-run")
        whole = time.monotonic() - began
        for _ in range(6):
            with littered.start("gc", "--max-size", "1") as process:
                time.sleep(chance.uniform(0.3, 1.0) * whole)
                process.kill()
            check_whole(littered)
        gc(littered, "--max-size", "1")
        check_whole(littered)
        assert not list(littered.state.glob("store/**/.*.tmp")) and not os.listdir(littered.state / "runs")

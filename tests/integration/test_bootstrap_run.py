"""How ``bootstrap`` builds: side by side, each failure for itself, and nothing twice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pybuilder.state import State
from tests.support.upstream import Fault
from tests.support.workspaces import Bench, bench, plan_of

# Longer than everything about a build of no work, on a machine with much else to do.
SLOW = "import time; time.sleep(3)"

BUILDING = {
    "download",
    "execution",
    "index",
    "joint.server",
    "sandbox.supervise",
    "schedule",
    "stages.build",
    "tree_reader",
    "upstream.files",
    "wheel.read",
    "workspace.checkout",
}
"""Modules that only those need who build something, or look for something to build; they take time to import."""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def spans(here: Bench) -> dict[str, tuple[float, float]]:
    """When each package's build began and ended, in seconds, from the trace."""
    events = json.loads((here.root / "trace.json").read_text())["traceEvents"]
    return {
        event["args"]["package"].partition(" ")[0]: (event["ts"] / 1e6, (event["ts"] + event["dur"]) / 1e6)
        for event in events
        if event["ph"] == "X" and event["name"] == "sandbox"
    }


def overlap(first: tuple[float, float], second: tuple[float, float]) -> float:
    return min(first[1], second[1]) - max(first[0], second[0])


def payloads(here: Bench) -> dict[str, str]:
    """The digests of the newest published payloads, by name."""
    with closing(State.open(here.layout)) as state:
        names = [path.name for path in (here.index.root / "simple").iterdir() if path.is_dir()]
        return {name: state.published("host", name)[-1].payload for name in names}


class TestSideBySide:
    def two(self, here: Bench, spec: str = "", *arguments: str) -> float:
        """How long the builds of two packages that have nothing to do with each other overlap, in seconds."""
        for name in ("alpha", "beta"):
            here.accept(name, act=SLOW, spec=spec)
        here.bootstrap("alpha", "beta", "--trace", "trace.json", *arguments)
        here.check_sound()
        found = spans(here)
        return overlap(found["alpha"], found["beta"])

    def test_what_is_independent_overlaps(self, here: Bench) -> None:
        assert self.two(here, "", "-j", "2") > 1

    @pytest.mark.parametrize(
        ("spec", "arguments"),
        [
            ("[build]\nlimits = { exclusive = true }\n", ["-j", "2"]),
            ("[build]\nlimits = { cpus = 512 }\n", ["-j", "2"]),
            ('[build]\nlimits = { memory = "4000G" }\n', ["-j", "2"]),
            ("", ["-j", "1"]),
        ],
        ids=["exclusive", "cpus", "memory", "jobs"],
    )
    def test_what_the_machine_has_no_room_for_does_not(self, here: Bench, spec: str, arguments: list[str]) -> None:
        assert self.two(here, spec, *arguments) <= 0

    def test_jobs_of_pybuild_toml(self, here: Bench) -> None:
        here.settings("jobs = 1\n")
        assert self.two(here) <= 0

    def test_no_rounds(self, here: Bench) -> None:
        """What is ready begins although something slow, as deep in the tree, still runs."""
        here.accept("slow", act="import time; time.sleep(8)")
        here.accept("base")
        here.accept("next", build_requires=["base"])
        here.bootstrap("slow", "next", "-j", "2", "--trace", "trace.json")
        found = spans(here)
        assert found["next"][1] < found["slow"][1]

    def test_dynamic_requirements_give_their_room_back(self, here: Bench) -> None:
        """A build that waits for more holds no job: else this would never end."""
        here.accept("alpha", dynamic=["late"])
        here.accept("beta", dynamic=["late"])
        here.accept("late", dynamic=["later"])
        here.accept("later")
        ran = here.bootstrap("alpha", "beta", "-j", "1")
        assert sorted(ran.built()) == [f"{name}==1.0+pb.1" for name in ("alpha", "beta", "late", "later")]
        assert all(here.outcomes(name) == ["succeeded"] for name in ("alpha", "beta", "late", "later"))

    def test_two_runs_over_one_tree(self, here: Bench) -> None:
        """Neither waits for ever, and nothing is built twice."""
        here.sdist("alpha", requires=["beta"], build_requires=["tool"], act=SLOW)
        here.sdist("beta", requires=["alpha"], build_requires=["tool"])
        here.sdist("tool", act=SLOW)
        started = [here.start("bootstrap", "--json", "--accept-new", top) for top in ("alpha", "beta")]
        ended = [(*process.communicate(timeout=90), process.returncode) for process in started]
        assert [code for *_, code in ended] == [0, 0], ended
        built = [build["name"] for stdout, *_ in ended for build in json.loads(stdout)["built"]]
        assert sorted(built) == ["alpha", "beta", "tool"]
        assert all(here.outcomes(name) == ["succeeded"] for name in ("alpha", "beta", "tool"))
        here.check_sound()


class TestFailures:
    def test_a_failure_stops_only_what_depends_on_it(self, here: Bench) -> None:
        here.accept("alpha", requires=["bad"])
        here.accept("beta", build_requires=["alpha"])
        here.accept("bad", act="print('the reason is this'); raise SystemExit(3)")
        here.accept("good", build_requires=["tool"])
        here.accept("tool")
        ran = here.bootstrap("beta", "good", code=10)
        assert ran.built() == ["tool==1.0+pb.1", "good==1.0+pb.1"]
        [failure] = ran.json["failed"]
        assert set(failure) == {"name", "version", "phase", "error", "where", "do", "attempt", "log"}
        assert (failure["name"], failure["version"], failure["phase"]) == ("bad", "1.0", "build")
        assert "the reason is this" in Path(failure["log"]).read_text()
        assert here.outcomes("bad") == ["failed"]
        # Alpha itself can be built; it is not published without what it is installed with.
        assert here.published("alpha") == [] and here.attempts("beta") == []
        here.check_sound()

    def test_the_end_tells_people(self, here: Bench) -> None:
        here.accept("alpha", requires=["bad"])
        here.accept("bad", act="print('the reason is this', flush=True); raise SystemExit(3)")
        ran = here.pybuild("bootstrap", "alpha")
        assert ran.code == 10
        end = ran.stderr[ran.stderr.index("pybuild: error:") :]
        assert end.startswith("pybuild: error: bad 1.0: ")
        assert "the reason is this" in end and "build.log" in end
        assert "holds back: alpha==1.0" in end

    def test_one_failure_is_told_once(self, here: Bench) -> None:
        for name in ("alpha", "beta", "gamma"):
            here.accept(name, requires=["bad"], build_requires=["bad"])
        here.accept("bad", act="raise SystemExit(3)")
        assert len(here.bootstrap("alpha", "beta", "gamma", code=10).json["failed"]) == 1

    @pytest.mark.parametrize(
        ("facts", "spec", "code", "phase"),
        [
            ({"act": "import time; time.sleep(60)"}, '[build]\nlimits = { timeout = "1s" }\n', 11, "build"),
            ({"module": "import nowhere\n"}, "", 50, "validate"),
            ({"requires_python": ">=4"}, "", 30, "fetch"),
            ({"act": "import urllib.request as r; r.urlopen('http://192.0.2.1/')"}, "", 10, "build"),
            ({}, "[biuld]\n", 3, "spec"),
        ],
        ids=["forever", "import", "python", "network", "spec"],
    )
    def test_each_kind_has_its_code_and_the_others_go_on(
        self, here: Bench, facts: dict[str, Any], spec: str, code: int, phase: str
    ) -> None:
        here.accept("bad", spec=spec, **facts)
        here.accept("alpha", build_requires=["bad"])
        here.accept("good")
        ran = here.bootstrap("alpha", "good", code=code)
        assert ran.built() == ["good==1.0+pb.1"]
        [failure] = ran.json["failed"]
        assert (failure["name"], failure["phase"]) == ("bad", phase)
        here.check_sound()

    def test_the_first_of_several_codes(self, here: Bench) -> None:
        here.accept("alpha", act="raise SystemExit(3)")
        here.accept("beta", module="import nowhere\n")
        here.sdist("gamma")
        ran = here.bootstrap("alpha", "beta", "gamma", code=50)
        assert sorted(failure["phase"] for failure in ran.json["failed"]) == ["build", "validate"]
        assert [entry["name"] for entry in ran.json["review"]] == ["gamma"]

    def test_the_document(self, here: Bench) -> None:
        here.accept("alpha", build_requires=["tool"])
        here.accept("tool")
        ran = here.bootstrap("alpha")
        assert set(ran.json) == {"ok", "seconds", "timings", "built", "cached", "failed", "review"}
        assert {"build", "fetch", "validate", "publish"} <= set(ran.json["timings"])
        assert all(seconds >= 0 for seconds in ran.json["timings"].values())
        assert (ran.json["ok"], ran.json["failed"], ran.json["review"]) == (True, [], [])
        assert [build["state"] for build in ran.json["built"]] == ["published", "published"]
        refused = here.pybuild("bootstrap", "--json", "nowhere")
        assert refused.code == 30 and refused.json["ok"] is False
        assert "nowhere" in refused.json["failed"][0]["error"]


class TestResume:
    @pytest.fixture
    def tree(self, here: Bench) -> Bench:
        """Alpha installs beta, tool builds alpha, base builds tool."""
        here.accept("alpha", requires=["beta"], build_requires=["tool"])
        here.accept("beta")
        here.accept("tool", build_requires=["base"])
        here.accept("base")
        here.bootstrap("alpha")
        return here

    def test_a_second_run_builds_nothing(self, tree: Bench) -> None:
        tree.upstream.requests.clear()
        ran = tree.bootstrap("alpha")
        assert (ran.built(), ran.cached()) == ([], ["alpha==1.0+pb.1"])
        assert all(tree.outcomes(name) == ["succeeded"] for name in ("alpha", "beta", "tool", "base"))
        # The workspace knows all versions: upstream is not even asked.
        assert tree.upstream.requests == []

    def test_a_third_run_loads_nothing_that_builds(self, tree: Bench) -> None:
        # The second asks uv anew, since there is more to choose from now.
        tree.bootstrap("alpha")
        tree.environ["PYTHONPROFILEIMPORTTIME"] = "1"
        loaded = set(re.findall(r"\| +pybuilder\.(\S+)$", tree.bootstrap("alpha").stderr, re.MULTILINE))
        assert "bootstrap" in loaded
        assert loaded & BUILDING == set()

    def test_a_patch_rebuilds_it_and_who_was_built_with_its_payload(self, tree: Bench) -> None:
        tree.patch("base", "tiny.json", "VERSION = '1.0'", "VERSION = 'patched'")
        ran = tree.bootstrap("alpha")
        # Tool came out the same, and so alpha need not be built again.
        assert ran.built() == ["base==1.0+pb.2"]
        outcomes = {name: len(tree.attempts(name)) for name in ("alpha", "beta", "tool", "base")}
        assert outcomes == {"alpha": 1, "beta": 1, "tool": 2, "base": 2}
        assert tree.bootstrap("alpha").built() == []
        tree.check_sound()

    def test_a_patch_of_what_installs_tests_anew_what_has_it(self, tree: Bench) -> None:
        tree.patch("beta", "tiny.json", "VERSION = '1.0'", "raise SystemExit(1)")
        [failure] = tree.bootstrap("alpha", code=50).json["failed"]
        assert failure["name"] == "beta" and failure["phase"] == "validate"
        assert len(tree.attempts("alpha")) == 1
        assert tree.published("beta") == ["1.0+pb.1"]

    def test_a_patch_that_is_taken_back_publishes_the_old_payload(self, tree: Bench) -> None:
        before = payloads(tree)
        patch = tree.patch("beta", "tiny.json", "VERSION = '1.0'", "VERSION = 'patched'")
        assert tree.bootstrap("alpha").built() == ["beta==1.0+pb.2"]
        patch.unlink()
        assert tree.bootstrap("alpha").built() == ["beta==1.0+pb.3"]
        assert payloads(tree) == before and len(tree.attempts("beta")) == 2

    def test_the_build_requirements_recorded_are_those_used(self, tree: Bench) -> None:
        tree.sdist("tool", "2.0", build_requires=["base"])
        ran = tree.bootstrap("--upgrade", "alpha", code=0)
        assert "tool==2.0+pb.1" in ran.built()
        with closing(State.open(tree.layout)) as state:
            newest = state.attempts("alpha")[0]
        plan = json.loads((tree.layout.record(newest.key, newest.id) / "plan.json").read_text())
        assert [(each["name"], each["version"]) for each in plan["environment"]] == [("tool", "2.0")]

    def test_two_fresh_states_give_the_same_payloads(self, tree: Bench, tmp_path: Path) -> None:
        first = payloads(tree)
        tree.state = tmp_path / "another"
        tree.bootstrap("alpha")
        assert payloads(tree) == first and len(first) == 4

    def test_a_run_goes_on_where_one_was_stopped_half_way(self, here: Bench) -> None:
        """Upstream goes away between two packages and comes back."""
        for name in ("alpha", "beta"):
            here.accept(name)
        here.upstream.faults["beta-1.0.tar.gz"] = Fault(status=503)
        ran = here.bootstrap("alpha", "beta", code=30)
        assert ran.built() == ["alpha==1.0+pb.1"]
        here.check_sound()
        here.upstream.faults.clear()
        assert here.bootstrap("alpha", "beta").built() == ["beta==1.0+pb.1"]
        assert len(here.attempts("alpha")) == 1

    def test_what_is_known_needs_no_upstream(self, tree: Bench) -> None:
        tree.upstream.faults["/"] = Fault(status=503)
        tree.upstream.faults[".gz"] = Fault(status=503)
        tree.patch("base", "tiny.json", "VERSION = '1.0'", "VERSION = 'patched'")
        assert tree.bootstrap("alpha").built() == ["base==1.0+pb.2"]

    def test_a_wrong_source_is_refused_and_others_go_on(self, here: Bench) -> None:
        here.accept("alpha")
        here.accept("beta", spec=f'[versions]\n"1.0" = {{ file = "beta-1.0.tar.gz", sha256 = "{"0" * 64}" }}\n')
        ran = here.bootstrap("alpha", "beta", code=30)
        assert ran.built() == ["alpha==1.0+pb.1"]
        [failure] = ran.json["failed"]
        assert failure["name"] == "beta" and "0" * 64 in failure["error"]
        assert not here.attempts("beta")


def test_no_secret_reaches_a_build_and_hooks_run_once(here: Bench) -> None:
    here.environ["SECRET_TOKEN"] = "hunter2"
    here.accept("alpha", dynamic=["beta"], act="import os; print(sorted(os.environ.items()), flush=True)")
    here.accept("beta")
    ran = here.bootstrap("alpha")
    [log] = [Path(b["wheels"][0]["log"]).read_text() for b in ran.json["built"] if b["name"] == "alpha"]
    assert "SOURCE_DATE_EPOCH" in log
    assert "hunter2" not in log and "SECRET_TOKEN" not in log
    assert [line for line in log.splitlines() if line.startswith("hook ")] == ["hook requires", "hook wheel"]


def test_packages_that_install_each_other_are_published_together(here: Bench) -> None:
    here.accept("alpha", requires=["beta"], module="import beta\n")
    here.accept("beta", requires=["alpha"])
    here.accept("gamma", build_requires=["alpha"], act="import alpha")
    ran = here.bootstrap("gamma")
    assert sorted(ran.built()) == ["alpha==1.0+pb.1", "beta==1.0+pb.1", "gamma==1.0+pb.1"]
    [gamma] = [build for build in ran.json["built"] if build["name"] == "gamma"]
    assert [each["name"] for each in plan_of(here.state, gamma)["environment"]] == ["alpha", "beta"]
    started = {build["name"]: datetime.fromisoformat(build["started"]) for build in ran.json["built"]}
    assert started["gamma"] > max(started["alpha"], started["beta"])
    here.check_sound()


def test_a_wheel_whose_requirement_means_nothing_stops_only_what_needs_it(here: Bench) -> None:
    lie = """FACTS['metadata'] = ['Requires-Dist: beta; os_name ~= "x"']"""
    here.accept("alpha", act=lie)
    here.accept("other")
    for built in (["other==1.0+pb.1"], []):
        [failure] = (ran := here.bootstrap("alpha", "other", code=30)).json["failed"]
        assert failure["name"] == "alpha" and "a requirement of alpha 1.0 can't be met" in failure["error"]
        assert ran.built() == built

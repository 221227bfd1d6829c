"""Several runs at once over one state: none waits for ever, none undoes what another did, nothing is built twice."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.workspaces import Bench, Ran, bench, wait_for

SLOW = "print('begun', flush=True)\nimport time; time.sleep(0.5)"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def finish(processes: Sequence[subprocess.Popen[str]]) -> list[Ran]:
    found = []
    for process in processes:
        stdout, stderr = process.communicate(timeout=90)
        assert process.returncode == 0, stderr
        found.append(Ran(code=0, stdout=stdout, stderr=stderr))
    return found


def together(here: Bench, *commands: Sequence[str]) -> list[Ran]:
    """Start all, and see them succeed."""
    return finish([here.start(command[0], "--json", *command[1:]) for command in commands])


def test_the_same_package_twice(here: Bench) -> None:
    here.accept("alpha", act=SLOW)
    ran = together(here, ["build", "alpha"], ["build", "alpha"])
    assert sorted(one.built() + one.cached() for one in ran) == [["alpha==1.0+pb.1"]] * 2
    assert sum(len(one.built()) for one in ran) == 1
    assert here.outcomes("alpha") == ["succeeded"]
    here.check_sound()


def test_who_waits_for_another_run_says_so(here: Bench) -> None:
    # Longer than a command takes until it waits, on a machine with much else to do.
    here.accept("alpha", act=SLOW.replace("0.5", "5"))
    with here.start("build", "alpha") as first:
        wait_for(here.running_log)
        ran = here.pybuild("build", "--json", "alpha")
        finish([first])
    # Either may be the one that publishes it.
    assert ran.built() + ran.cached() == ["alpha==1.0+pb.1"]
    assert "alpha 1.0: wait, another run builds it" in ran.stderr


def test_four_rebuilds_get_four_numbers(here: Bench) -> None:
    here.accept("alpha", act=SLOW)
    ran = together(here, *[["rebuild", "alpha==1.0"]] * 4)
    assert sorted(build for one in ran for build in one.built()) == [f"alpha==1.0+pb.{n}" for n in (1, 2, 3, 4)]
    assert here.outcomes("alpha") == ["succeeded"] * 4
    assert here.published("alpha") == [f"1.0+pb.{n}" for n in (1, 2, 3, 4)]
    here.check_sound()


def test_two_packages_that_need_the_same(here: Bench) -> None:
    here.accept("alpha", build_requires=["gamma"], requires=["delta"])
    here.accept("beta", build_requires=["gamma"], requires=["delta"])
    here.accept("gamma", act=SLOW)
    here.accept("delta", act=SLOW)
    ran = together(here, ["build", "alpha"], ["build", "beta"])
    built = sorted(build for one in ran for build in one.built())
    assert built == [f"{name}==1.0+pb.1" for name in ("alpha", "beta", "delta", "gamma")]
    assert (here.outcomes("gamma"), here.outcomes("delta")) == (["succeeded"], ["succeeded"])
    here.check_sound()


def test_a_cycle_from_both_ends(here: Bench) -> None:
    """Two groups that share members don't wait for each other for ever."""
    here.accept("alpha", requires=["beta"], act=SLOW)
    here.accept("beta", requires=["alpha"], act=SLOW)
    together(here, ["build", "alpha"], ["build", "beta"])
    assert (here.published("alpha"), here.published("beta")) == (["1.0+pb.1"], ["1.0+pb.1"])
    here.check_sound()


def test_first_sight_of_one_source_by_two(here: Bench) -> None:
    """The pin is written once."""
    here.accept("alpha")
    together(here, ["build", "alpha"], ["build", "alpha"], ["build", "alpha"])
    assert (here.workspace / "specs" / "alpha.toml").read_text().count('"1.0" =') == 1


def test_a_run_goes_on_where_another_is_killed(here: Bench) -> None:
    """The kernel drops the locks of the dead, and who waited for them builds."""
    here.accept("alpha", act=SLOW)
    with here.start("build", "alpha") as first:
        wait_for(here.running_log)
        second = here.start("build", "--json", "alpha")
        first.kill()
    [ran] = finish([second])
    assert ran.built() == ["alpha==1.0+pb.1"]
    here.build("alpha")
    here.check_sound()


def test_a_run_that_begins_leaves_a_running_build_alone(here: Bench) -> None:
    here.accept("alpha", act=SLOW)
    here.accept("beta")
    with here.start("build", "--json", "alpha") as first:
        wait_for(here.running_log)
        here.build("beta")
        here.build("beta")
        [ran] = finish([first])
    assert ran.built() == ["alpha==1.0+pb.1"]
    assert here.outcomes("alpha") == ["succeeded"]


def test_show_and_log_meanwhile(here: Bench) -> None:
    # Longer than a command takes on a machine with much else to do.
    here.accept("alpha", act=SLOW.replace("0.5", "5"))
    with here.start("build", "alpha") as first:
        wait_for(here.running_log)
        shown = here.pybuild("show", "alpha", "--json").json
        finish([first])
    [build] = shown["builds"]
    assert (build["state"], build["number"], build["seconds"]) == ("running", None, None)
    assert json.loads(here.pybuild("show", "alpha", "--json").stdout)["builds"][0]["state"] == "published"


def test_two_states_side_by_side(here: Bench, tmp_path: Path) -> None:
    """What a run clears away after killed ones is never another state's."""
    here.accept("alpha", act=SLOW)
    with here.start("build", "alpha") as first:
        wait_for(here.running_log)
        first.kill()
    busy = here.start("build", "--json", "alpha")
    others = [here.start("--state", str(tmp_path / f"state-{n}"), "build", "--json", "alpha") for n in range(3)]
    assert all(ran.built() == ["alpha==1.0+pb.1"] for ran in finish([busy, *others]))


@pytest.mark.parametrize("edit", ["change", "remove"])
def test_a_patch_that_is_edited_meanwhile(here: Bench, edit: str) -> None:
    """What a run planned with is what it builds with, or it does not build; the rest of the run goes on."""
    here.accept("alpha", build_requires=["slow"])
    here.accept("slow", act=SLOW.replace("0.5", "3"))
    here.accept("beta", build_requires=["slow"])
    patch = here.patch("alpha", "tiny.json", "VERSION", "OTHER")
    text = patch.read_bytes()
    with here.start("bootstrap", "--json", "alpha", "beta") as process:
        wait_for(here.running_log)
        if edit == "change":
            patch.write_bytes(text.replace(b"OTHER", b"STRANGE"))
        else:
            patch.unlink()
        stdout, stderr = process.communicate(timeout=90)
    assert process.returncode == 3, stderr
    [failure] = json.loads(stdout)["failed"]
    assert failure["name"] == "alpha" and "patches/alpha/" in failure["error"] and "same command" in failure["do"]
    assert here.published("alpha") == [] and here.published("beta") == ["1.0+pb.1"]
    patch.write_bytes(text)
    assert here.build("alpha").built() == ["alpha==1.0+pb.1"]
    assert here.pybuild("audit", "alpha").code == 0

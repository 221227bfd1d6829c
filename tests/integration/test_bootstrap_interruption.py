"""A bootstrap that is killed, interrupted, out of disk or not alone: the next goes on, and nothing is lost or left."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pybuilder.state import State
from tests.support.disks import disk
from tests.support.upstream import Fault
from tests.support.workspaces import Bench, Ran, bench, control_groups, leftovers, processes_of, wait_for

COMMAND = ("bootstrap", "--accept-new", "top")
NAMES = ("extra", "gamma", "left", "right", "tool", "top")
MOMENTS = 50


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    """A small tree: a build tool, a backend that wants more than it states, two that are installed with each other."""
    with bench(tmp_path) as made:
        made.sdist("tool")
        made.sdist("extra")
        made.sdist("left", requires=["right"])
        made.sdist("right", requires=["left"], build_requires=["tool"])
        made.sdist("gamma", build_requires=["tool"], dynamic=["extra>=1"])
        made.sdist("top", requires=["left", "gamma"], build_requires=["tool"], module="import left, gamma\n")
        yield made


def fresh(here: Bench) -> None:
    # Emptied and not removed: it may be a disk.
    for path in here.state.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for spec in (here.workspace / "specs").iterdir():
        spec.unlink()


def successes(here: Bench) -> Counter[str]:
    """How often each package was built, whatever became of that afterwards; several keys of one would show as well."""
    with closing(State.open(here.layout)) as state:
        return Counter(row.name for name in NAMES for row in state.attempts(name) if row.state == "succeeded")


def check_end(here: Bench, ran: Ran, *, kills: int) -> None:
    """The run ended well, and so did everything before it."""
    assert ran.code == 0, ran.stderr
    here.check_sound()
    assert here.pybuild("index", "verify").code == 0
    assert successes(here) == Counter(NAMES)
    for name in NAMES:
        [version] = here.published(name)
        # Each kill may waste the number that was about to be published.
        assert 1 <= int(version.rpartition(".")[2]) <= kills + 1
        assert (here.workspace / "specs" / f"{name}.toml").read_text().count('"1.0" =') == 1
    again = here.pybuild(*COMMAND, "--json")
    assert (again.built(), [build.partition("==")[0] for build in again.cached()]) == ([], ["top"])
    assert successes(here) == Counter(NAMES)


def problems(here: Bench) -> tuple[str, ...]:
    return here.index.verify() if here.index.root.exists() else ()


def check_killed(here: Bench, number: int, works: set[str], *, was_wrong: bool) -> None:
    """Whatever a killed run had started ends by itself, and what is published is whole."""
    wait_for(lambda: not processes_of(here.state), what="the end of what the killed run had started")
    # What a killed run was about to publish, the next one publishes or takes back, as soon as it publishes anything.
    assert not (wrong := problems(here)) or was_wrong or number == signal.SIGKILL, wrong
    assert not wrong or "a publish was interrupted" in wrong[0], wrong
    # An interrupted run clears up itself; after a killed one the next does.
    if number == signal.SIGINT:
        assert control_groups(works) == []
        assert not (left := [each for each in leftovers(here.state) if any(work in each for work in works)]), left


def attempts_under_way(here: Bench) -> set[str]:
    return {path.name for path in here.state.glob("work/[0-9]*")}


def stop(here: Bench, number: int, after: float) -> Ran | None:
    """Start the bootstrap, and send it a signal some seconds after its first words; what it came to, if it was quicker.

    A kill may come before those; while Python imports, Ctrl-C ends it as it ends any Python.
    """
    before, was_wrong = attempts_under_way(here), bool(problems(here))
    words = here.root / "stderr"
    with words.open("w") as stream, here.start(*COMMAND, "--json", stderr=stream) as process:
        wait_for(lambda: number == signal.SIGKILL or words.stat().st_size or process.poll() is not None)
        try:
            stdout, _ = process.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            works = attempts_under_way(here) - before
            os.kill(process.pid, number)
            stdout, _ = process.communicate(timeout=20)
            # Where all was told already, Ctrl-C found nothing but Python's own end.
            if process.returncode and not (stdout and '"interrupted"' not in stdout and number == signal.SIGINT):
                # To a shell both are 130; Python dies of the signal where it met it while it imported.
                codes = (-number, 130) if number == signal.SIGINT else (-number,)
                assert process.returncode in codes, words.read_text()
                assert "Traceback" not in words.read_text(), words.read_text()
                check_killed(here, number, works, was_wrong=was_wrong)
                return None
    return Ran(code=max(process.returncode, 0), stdout=stdout, stderr=words.read_text())


def test_killed_and_interrupted_at_random_moments(here: Bench) -> None:
    chance = random.Random(20261125)
    began = time.monotonic()
    here.pybuild(*COMMAND)
    whole = time.monotonic() - began
    fresh(here)
    kills = ends = 0
    for moment in range(MOMENTS):
        number = signal.SIGINT if moment % 2 else signal.SIGKILL
        before = successes(here) if here.state.exists() else Counter[str]()
        # Each goes on where the one before ended, so that small steps come by every moment of a whole run.
        ran = stop(here, number, after=whole / 3 * chance.random())
        kills += 1
        if here.state.exists():
            assert before <= successes(here) <= Counter(NAMES), "what had been built is lost, or was built again"
        if ran:
            check_end(here, ran, kills=kills)
            fresh(here)
            kills, ends = 0, ends + 1
    if here.state.exists():
        check_end(here, here.pybuild(*COMMAND), kills=kills)
    assert ends, "it never came to its end"


def test_interrupted_again_and_again(here: Bench) -> None:
    """An impatient person presses Ctrl-C many times while several builds run."""
    for name in ("tool", "extra"):
        here.sdist(name, act="print('begun', flush=True)\nimport time; time.sleep(60)")
    with here.start("bootstrap", "--accept-new", "--jobs", "2", "tool", "extra") as process:
        wait_for(lambda: len([log for log in here.state.glob("work/*/record/build.log") if log.stat().st_size]) == 2)
        for _ in range(20):
            if process.poll() is None:
                os.kill(process.pid, signal.SIGINT)
            time.sleep(0.005)
        _, stderr = process.communicate(timeout=30)
    assert "Traceback" not in stderr, stderr
    assert process.returncode in (130, -signal.SIGINT)
    wait_for(lambda: not processes_of(here.state), what="the end of the sandboxes")
    assert here.outcomes("tool") == here.outcomes("extra") == ["failed"]
    here.check_sound()


@pytest.mark.parametrize("hangs", ["/simple/top/", "/simple/left/", "/simple/tool/", "/files/tool-1.0.tar.gz"])
def test_interrupted_while_upstream_hangs(here: Bench, hangs: str) -> None:
    """Threads wait for it that no signal wakes, each for half a minute and four times."""
    here.upstream.faults[hangs] = Fault(hang=True)
    with here.start("bootstrap", "--accept-new", "top") as process:
        wait_for(lambda: here.upstream.asked(hangs))
        time.sleep(0.2)
        pressed = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - pressed < 10
    assert "Traceback" not in stderr, stderr
    assert process.returncode in (130, -signal.SIGINT)
    here.upstream.faults.clear()
    assert here.pybuild("bootstrap", "--accept-new", "top").code == 0


def test_two_at_once(here: Bench) -> None:
    """Nothing is built twice, and both end well."""
    for name in ("tool", "gamma", "left"):
        facts = {"gamma": {"build_requires": ["tool"], "dynamic": ["extra>=1"]}, "left": {"requires": ["right"]}}
        here.sdist(name, act="import time; time.sleep(0.3)", **facts.get(name, {}))
    runs = [here.start(*COMMAND, "--json") for _ in range(2)]
    ended = []
    for process in runs:
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        ended.append(Ran(code=0, stdout=stdout, stderr=stderr))
    built = sorted(build for ran in ended for build in ran.built())
    assert built == [f"{name}==1.0+pb.1" for name in NAMES]
    check_end(here, ended[0], kills=0)


def test_one_is_killed_beside_another(here: Bench) -> None:
    """The one that lives builds what the other had begun."""
    here.sdist("tool", act="print('begun', flush=True)\nimport time; time.sleep(3)")
    words = here.root / "stderr"
    with here.start(*COMMAND) as first, words.open("w") as stream:
        wait_for(here.running_log)
        # When it says what it will do, it has looked for what killed runs left, and found nothing yet.
        second = here.start(*COMMAND, "--json", stderr=stream)
        wait_for(lambda: "packages" in words.read_text())
        first.kill()
    stdout, _ = second.communicate(timeout=120)
    check_end(here, Ran(code=second.returncode, stdout=stdout, stderr=words.read_text()), kills=1)


def fill(here: Bench, *, kilobytes: int = 0) -> None:
    """Leave so much of the state's disk free."""
    free = shutil.disk_usage(here.state).free - (kilobytes << 10)
    with (here.state / "filler").open("wb") as stream, contextlib.suppress(OSError):
        os.posix_fallocate(stream.fileno(), 0, max(1, free))


def check_told(here: Bench, ran: Ran) -> None:
    """It said so; what is published is whole."""
    assert ran.code, "it needed no disk"
    assert re.search("disk is full|No space left|free on the disk", ran.stderr + ran.stdout), ran.stderr + ran.stdout
    assert "Traceback" not in ran.stderr, ran.stderr
    (here.state / "filler").unlink()
    assert problems(here) == ()


def test_a_disk_that_is_full(here: Bench) -> None:
    """Whatever there is room for; and when there is room again, it goes on."""
    with disk(here.state, "size=400m"):
        for left in (0, 20, 100, 300, 3_000, 100_000):
            fill(here, kilobytes=left)
            check_told(here, here.pybuild(*COMMAND, "--json"))
        assert here.pybuild(*COMMAND).code == 0
        assert successes(here) == Counter(NAMES)
        assert problems(here) == ()


def test_a_disk_that_fills_in_the_middle(here: Bench) -> None:
    chance = random.Random(20261126)
    began = time.monotonic()
    here.pybuild(*COMMAND)
    whole = time.monotonic() - began
    fresh(here)
    full = 0
    with disk(here.state, "size=400m"):
        for _ in range(8):
            with here.start(*COMMAND, "--json") as process:
                time.sleep(whole / 2 * chance.random())
                fill(here)
                stdout, stderr = process.communicate(timeout=60)
            if process.returncode:
                full += 1
                check_told(here, Ran(code=process.returncode, stdout=stdout, stderr=stderr))
            elif full:
                break
            else:
                # It was quicker: the next has half the time.
                whole /= 2
                fresh(here)
        (here.state / "filler").unlink(missing_ok=True)
        assert full, "it was quicker each time"
        assert here.pybuild(*COMMAND).code == 0
        assert successes(here) == Counter(NAMES)
        assert problems(here) == ()

"""Killed at whatever instant, the same command again goes on, and nothing is lost or left."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.workspaces import Bench, bench, clean_environ, control_groups, processes_of, wait_for

DYING = Path(__file__).parents[1] / "support" / "dying.py"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        made.accept("alpha", requires=["beta"], module="import beta\n", act="import time; time.sleep(0.1)")
        made.accept("beta")
        yield made


def numbers(here: Bench, name: str) -> list[int]:
    return [int(version.rpartition(".")[2]) for version in here.published(name)]


def go_on(here: Bench, *command: str, before: int) -> None:
    """The same command again after a kill: it works, wastes one number at most, and clears up."""
    works = {path.name for path in here.state.glob("work/*")}
    wait_for(lambda: not processes_of(here.state), what="the end of what the killed run had started")
    ran = here.pybuild(*command)
    assert ran.code == 0, ran.stderr
    here.check_sound()
    assert control_groups(works) == []
    assert numbers(here, "alpha")[-1] <= before + 2


def killed(here: Bench, *command: str, after: float) -> None:
    with here.start(*command) as process:
        time.sleep(after)
        process.kill()


def test_killed_at_random_moments(here: Bench) -> None:
    chance = random.Random(20261121)
    began = time.monotonic()
    here.pybuild("build", "alpha")
    first = time.monotonic() - began
    began = time.monotonic()
    here.pybuild("rebuild", "alpha==1.0")
    again = time.monotonic() - began
    for _ in range(13):
        killed(here, "rebuild", "alpha==1.0", after=chance.uniform(0.1, again))
        go_on(here, "rebuild", "alpha==1.0", before=numbers(here, "alpha")[-1])
    for _ in range(13):
        shutil.rmtree(here.state)
        here.spec("alpha")
        here.spec("beta")
        killed(here, "build", "alpha", after=chance.uniform(0.1, first))
        go_on(here, "build", "alpha", before=0)


def die_at(here: Bench, effect: int, *command: str) -> subprocess.CompletedProcess[str]:
    environ = clean_environ(here.root)
    argv = [sys.executable, str(DYING), str(effect), *here.argv(*command)[3:]]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60)


def test_killed_before_each_of_the_last_effects_on_disk(here: Bench) -> None:
    """The last third of a rebuild numbers and publishes; wherever that ends, the index and the database agree."""
    here.build("alpha")
    done = die_at(here, 1_000_000, "rebuild", "alpha==1.0")
    assert done.returncode == 0, done.stderr
    effects = int(done.stderr.split()[-1])
    # A run has some effects more or fewer than another, so the last is the one that comes to its end.
    effect, deaths = effects * 2 // 3, 0
    while True:
        before = numbers(here, "alpha")[-1]
        if (ran := die_at(here, effect, "rebuild", "alpha==1.0")).returncode == 0:
            break
        assert ran.returncode == 9, ran.stderr
        go_on(here, "rebuild", "alpha==1.0", before=before)
        effect, deaths = effect + 5, deaths + 1
    assert deaths > effects // 20


PUBLISHED_AND_NOT_WRITTEN_DOWN = """
import os, sys
from pybuilder.cli.main import main
from pybuilder.state.numbers import Numbers
Numbers.finish_publish = lambda *arguments: os._exit(9)
sys.exit(main(sys.argv[1:]))
"""


def test_killed_between_the_index_and_the_database(here: Bench) -> None:
    """What everybody could install was published: the number stays, and the next run knows of it."""
    argv = [sys.executable, "-c", PUBLISHED_AND_NOT_WRITTEN_DOWN, *here.argv("build", "alpha")[3:]]
    environ = clean_environ(here.root)
    assert subprocess.run(argv, env=environ, capture_output=True, timeout=60).returncode == 9
    assert here.published("beta") == ["1.0+pb.1"]
    ran = here.build("beta")
    assert ran.cached() == ["beta==1.0+pb.1"]
    assert here.outcomes("beta") == ["succeeded"]
    assert here.build("alpha").built() == ["alpha==1.0+pb.1"]
    assert here.rebuild("beta==1.0").built() == ["beta==1.0+pb.2"]
    here.check_sound()


def test_an_attempt_that_was_killed_is_told_as_interrupted_with_its_log(here: Bench) -> None:
    here.accept("gamma", act="print('so far so good', flush=True)\nimport time; time.sleep(60)")
    with here.start("build", "gamma") as process:
        wait_for(lambda: (log := here.running_log()) and "so far so good" in log.read_text())
        process.kill()
    wait_for(lambda: not processes_of(here.state), what="the end of the sandbox")
    here.pybuild("build", "alpha")
    [attempt] = here.attempts("gamma")
    assert (attempt["state"], attempt["phase"]) == ("failed", "build")
    assert "interrupted" in attempt["error"]
    assert "so far so good" in here.pybuild("log", "gamma").stdout
    here.check_sound()


def test_ctrl_c_ends_it_cleanly(here: Bench) -> None:
    here.accept("gamma", act="print('begun', flush=True)\nimport time; time.sleep(60)")
    with here.start("build", "gamma") as process:
        wait_for(here.running_log)
        os.kill(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in stderr and "run the same command again" in stderr
    assert stdout == ""
    assert here.outcomes("gamma") == ["failed"]
    here.check_sound()


BEGIN = "from pybuilder.cli.__main__ import run; run()"


@pytest.mark.parametrize("start", [("-m", "pybuilder.cli"), ("-c", BEGIN)])
@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_while_it_is_loaded_is_quiet(here: Bench, start: tuple[str, str], ignored: bool) -> None:
    (here.root / "click.py").write_text("import os\nos.kill(os.getpid(), 2)\nos._exit(7)\n")
    environ = clean_environ(here.root)
    environ["PYTHONPATH"] = f"{here.root}:{environ['PYTHONPATH']}"
    ignore = (lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignored else None
    argv = [sys.executable, *start, "--version"]
    ran = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60, preexec_fn=ignore)
    assert (ran.returncode, ran.stdout, ran.stderr) == (7 if ignored else 130, "", "")


def test_interrupted_twice(here: Bench) -> None:
    """An impatient person presses Ctrl-C again and again."""
    here.accept("gamma", act="print('begun', flush=True)\nimport time; time.sleep(60)")
    with here.start("build", "gamma") as process:
        wait_for(here.running_log)
        for _ in range(20):
            if process.poll() is None:
                os.kill(process.pid, signal.SIGINT)
            time.sleep(0.005)
        _, stderr = process.communicate(timeout=20)
    assert "Traceback" not in stderr, stderr
    here.spec("gamma", '[build]\nlimits = { timeout = "1s" }\n')
    assert here.pybuild("build", "gamma").code == 11
    here.check_sound()

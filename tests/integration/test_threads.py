"""Builds in several threads of one process: over one state, one index and one sandbox engine, and ended together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from packaging.requirements import Requirement

from pybuilder import environment, pipeline, wheel
from pybuilder.cli.session import Session
from pybuilder.environment import Environments, PythonTarget
from pybuilder.files import remove_tree
from pybuilder.interruption import Interruption
from pybuilder.results import Result
from pybuilder.sandbox import Job, Outcome, Share
from pybuilder.sandbox.host import HostEngine
from tests.support.sandbox import Place, place, places
from tests.support.upstream import Fault
from tests.support.workspaces import Bench, bench, leftovers, wait_for

T = TypeVar("T")
NAMES = [f"p{n}" for n in range(8)]
SLOW = "print('begun', flush=True)\nimport time; time.sleep(60)"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def session(here: Bench) -> Iterator[Session]:
    """A session of this process."""
    with here.session() as opened:
        yield opened


def at_once(function: Callable[[str], T], names: list[str]) -> list[T]:
    """What a function makes of each name, in as many threads, which begin together."""
    together = threading.Barrier(len(names))

    def begin(name: str) -> T:
        together.wait()
        return function(name)

    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(begin, names))


def build(session: Session, name: str) -> Result:
    """One run over one package."""
    return session.pipeline(force=False).run([Requirement(name)])


class TestBuilds:
    def test_eight_that_need_the_same(self, here: Bench, session: Session) -> None:
        for name in NAMES:
            here.accept(name, build_requires=["tool"], requires=["lib"], act="import tool", module="import lib\n")
        here.accept("tool")
        here.accept("lib")
        results = at_once(lambda name: build(session, name), NAMES)
        assert [str(failure.error) for result in results for failure in result.failed] == []
        assert [here.published(name) for name in (*NAMES, "tool", "lib")] == [["1.0+pb.1"]] * 10
        assert [here.outcomes(name) for name in (*NAMES, "tool", "lib")] == [["succeeded"]] * 10
        here.check_sound()

    def test_one_by_eight(self, here: Bench, session: Session) -> None:
        """Its source is fetched once, pinned once, built once, and numbered once."""
        here.accept("alpha")
        results = at_once(lambda name: build(session, "alpha"), NAMES)
        assert sum(len(result.built) for result in results) == 1
        assert (here.outcomes("alpha"), here.published("alpha")) == (["succeeded"], ["1.0+pb.1"])
        assert len(here.upstream.asked("/alpha/")) == len(here.upstream.asked("/alpha-1.0.tar.gz")) == 1
        assert (here.workspace / "specs" / "alpha.toml").read_text().count('"1.0" =') == 1
        here.check_sound()

    @pytest.mark.parametrize("outranked", [False, True])
    def test_what_tests_gives_way_and_what_builds_where_it_is_outranked(
        self, here: Bench, session: Session, monkeypatch: pytest.MonkeyPatch, outranked: bool
    ) -> None:
        given: list[tuple[str, bool]] = []
        run = HostEngine.run

        def noted(self: HostEngine, job: Job, **keywords: Any) -> Outcome:
            given.append((str(job.steps[0]["do"]), job.limits.gives_way))
            return run(self, job, **keywords)

        monkeypatch.setattr(HostEngine, "run", noted)
        monkeypatch.setattr(pipeline, "Share", lambda cpus: Share(cpus=cpus, gives_way=lambda: outranked))
        here.accept("alpha")
        build(session, "alpha")
        assert given == [("requires", outranked), ("run", True)]

    def test_a_failure_is_its_threads_own(self, here: Bench, session: Session) -> None:
        for name in NAMES:
            here.accept(name, act="raise SystemExit(3)" if name in ("p2", "p5") else "")
        results = at_once(lambda name: build(session, name), NAMES)
        assert [len(result.failed) for result in results] == [0, 0, 1, 0, 0, 1, 0, 0]
        here.check_sound()


class TestEnvironments:
    def test_one_by_eight(self, here: Bench, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each payload is unpacked once, and the environment is linked together once."""
        for name in NAMES[:3]:
            here.accept(name)
        made = [outcome.made for name in NAMES[:3] for outcome in build(session, name).built]
        for tree in here.state.glob("store/payloads/*/tree-*"):
            remove_tree(tree)
        remove_tree(here.state / "store" / "envs")
        done: list[str] = []

        def counted(module: object, name: str) -> None:
            real = getattr(module, name)

            def call(*arguments: object, **keywords: object) -> object:
                done.append(name)
                return real(*arguments, **keywords)

            monkeypatch.setattr(module, name, call)

        counted(wheel.unpack, "unpack")
        counted(environment, "_write_skeleton")
        python: PythonTarget = session.adapters.python
        prepare = Environments(here.layout).prepare
        environments = at_once(lambda name: prepare([each.ref for each in made], python=python), NAMES)
        assert len(set(environments)) == 1
        assert sorted(done) == ["_write_skeleton", "unpack", "unpack", "unpack"]
        site = environments[0] / "lib" / f"python{python.minor}" / "site-packages"
        assert {path.name for path in site.glob("*.py")} == {"p0.py", "p1.py", "p2.py"}


class TestInterruption:
    def test_all_builds_end_and_nothing_is_left(self, here: Bench) -> None:
        for name in NAMES[:4]:
            here.accept(name, act=SLOW)
        ended = Interruption()

        def all_begun() -> bool:
            logs = list(here.state.glob("work/*/record/build.log"))
            return sum("begun" in log.read_text() for log in logs) == 4

        with here.session() as session:

            def work(name: str) -> Result:
                with ended.heard():
                    return build(session, name)

            with ThreadPoolExecutor(4) as pool:
                futures: list[Future[Result]] = [pool.submit(work, name) for name in NAMES[:4]]
                wait_for(all_begun, seconds=60, what="four builds")
                told = time.monotonic()
                ended.tell()
                for future in futures:
                    with pytest.raises(KeyboardInterrupt):
                        future.result(30)
                with pytest.raises(KeyboardInterrupt):
                    pool.submit(work, "p4").result()
        assert time.monotonic() - told < 30
        assert leftovers(here.state) == []
        for name in NAMES[:4]:
            [attempt] = here.attempts(name)
            assert (attempt["state"], attempt["error"]) == ("failed", "interrupted by KeyboardInterrupt")
        here.check_sound()

    def test_an_install_test_that_was_interrupted_has_not_failed(self, here: Bench, session: Session) -> None:
        here.accept("alpha", module="import time; time.sleep(60 if __file__[:4] == '/env' else 0)\n")
        ended = Interruption()

        def work() -> None:
            with ended.heard():
                build(session, "alpha")

        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(work)
            wait_for(lambda: list(here.state.glob("work/*/test.log")), seconds=60, what="its install test")
            ended.tell()
            with pytest.raises(KeyboardInterrupt):
                future.result(30)
        assert session.adapters.state._rows("SELECT * FROM validations") == []
        assert leftovers(here.state) == []

    def test_a_fetch_ends(self, here: Bench, session: Session) -> None:
        """Between two attempts, however long it would have waited."""
        here.accept("alpha")
        here.upstream.faults["/alpha/"] = Fault(status=503, retry_after="50")
        ended = Interruption()

        def work() -> None:
            with ended.heard():
                build(session, "alpha")

        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(work)
            wait_for(lambda: here.upstream.asked("/alpha/"), what="a request")
            ended.tell()
            with pytest.raises(KeyboardInterrupt):
                future.result(20)


class TestSandboxes:
    @pytest.fixture(params=places())
    def place(self, request: pytest.FixtureRequest) -> Iterator[Place]:
        with place(request.param) as made:
            yield made

    def test_they_are_ended_from_another_thread(self, place: Place) -> None:
        mark = f"mark-{place.root.name}"
        script = f"print('begun', '{mark}', flush=True); time.sleep(60)"
        ran = place.run_all(["a", "b", "c"], script, interrupt_at="begun")
        assert [one.error for one in ran] == ["interrupted"] * 3
        assert all(one.wall < 50 for one in ran)
        assert [command for command in _commands() if mark.encode() in command] == []


def _commands() -> Iterator[bytes]:
    """The command lines of all processes."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield (entry / "cmdline").read_bytes()

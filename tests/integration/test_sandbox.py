"""The sandbox's engine at its ordinary work: steps, hooks, answers, limits, and refusing what isn't sealed."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pybuilder.errors import EngineError
from pybuilder.files import remove_tree
from pybuilder.sandbox import Event, Job, Limits, Outcome, build_environ, host
from pybuilder.sandbox.host import HostEngine
from tests.support.sandbox import processes_with

HOOKS = ("requires", "metadata", "wheel")


@dataclass(kw_only=True)
class Bench:
    """An engine, a job for it, and what it told."""

    engine: HostEngine
    job: Job
    events: list[Event] = field(default_factory=list)
    echoed: bytes = b""

    @property
    def out(self) -> Path:
        return self.job.work / "out"

    @property
    def source(self) -> Path:
        return self.job.work / "build" / "x"

    @property
    def log(self) -> str:
        return self.job.log.read_text()

    def run(self, *steps: dict[str, Any], answer: Callable[[Event], bool] | None = None, **limits: Any) -> Outcome:
        def listen(event: Event) -> bool:
            self.events.append(event)
            return answer(event) if answer else True

        def echo(data: bytes) -> None:
            self.echoed += data

        job = replace(self.job, steps=steps, limits=Limits(**{"seconds": 60, "free_disk": 0, **limits}))
        return self.engine.run(job, answer=listen, echo=echo)

    def shell(self, script: str, **settings: Any) -> Outcome:
        return self.run({"do": "run", "argv": ["/bin/sh", "-c", script]}, **settings)

    def build(self, backend: str, *hooks: str, **settings: Any) -> Outcome:
        """Run hooks of a backend that lies in the source tree."""
        self.source.joinpath("backend.py").write_text(backend)
        step = {"backend": "backend", "backend_path": ["."], "config_settings": {}}
        return self.run(*({"do": hook, **step} for hook in hooks or HOOKS), **settings)


def bench(root: Path) -> Bench:
    engine = HostEngine.of_this_interpreter()
    (root / "env" / "bin").mkdir(parents=True)
    (root / "env" / "bin" / "python").symlink_to(engine.interpreter)
    (root / "env" / "pyvenv.cfg").write_text(f"home = {engine.interpreter.parent}\n")
    work = root / f"work-{root.name}"
    (work / "build" / "x").mkdir(parents=True)
    job = Job(
        environment=root / "env",
        work=work,
        cwd="/build/x",
        env=build_environ(source_date_epoch=1, build_dir="/build/x", extra={"LD_PRELOAD": "", "CFLAGS": "-O3"}),
        steps=(),
        limits=Limits(),
        log=root / "log",
    )
    return Bench(engine=engine, job=job)


@pytest.fixture
def here() -> Iterator[Bench]:
    root = Path(tempfile.mkdtemp(prefix="pybuild-test-"))
    yield bench(root)
    remove_tree(root)


class TestPrograms:
    def test_what_a_step_finds(self, here: Bench) -> None:
        outcome = here.shell("pwd; umask; date +%Z; touch done; echo $CFLAGS; id -u; echo to stderr >&2; cat")
        assert here.log == "/build/x\n0022\nUTC\n-ffile-prefix-map=/build/x=. -O3\n1000\nto stderr\n"
        assert here.echoed == here.job.log.read_bytes()
        assert (outcome.failure, outcome.timed_out) == ("", False)
        assert outcome.seal["engine"] == "host"
        assert (here.source / "done").exists()
        assert [(event["event"], event["step"]) for event in here.events] == [("done", "run")]

    def test_the_log_goes_on(self, here: Bench) -> None:
        here.job.log.write_text("before\n")
        here.shell("echo 1")
        here.shell("echo 2")
        assert here.log == "before\n1\n2\n"

    @pytest.mark.parametrize(
        ("script", "failure"),
        [("exit 3", "run: ended with exit code 3"), ("kill -SEGV $$", "run: was ended by signal 11")],
    )
    def test_a_bad_end(self, here: Bench, script: str, failure: str) -> None:
        assert here.shell(script).failure == failure

    def test_a_program_that_is_missing(self, here: Bench) -> None:
        outcome = here.run({"do": "run", "argv": ["no-such-program"]})
        assert "no-such-program can't be started" in outcome.failure

    def test_later_steps_wait_for_earlier_ones(self, here: Bench) -> None:
        steps = [{"do": "run", "argv": ["/bin/sh", "-c", script]} for script in ("echo 1", "false", "echo 3")]
        assert here.run(*steps).failure == "run: ended with exit code 1"
        assert here.log == "1\n"

    def test_no_steps(self, here: Bench) -> None:
        assert here.run().failure == ""

    def test_a_file_of_the_build_is_not_run_outside(self, here: Bench) -> None:
        """Nothing of a spec's environment reaches bubblewrap, which runs outside."""
        library = here.out.parent / "preload.so"
        library.write_text("no library")
        env = {**here.job.env, "LD_PRELOAD": str(library), "BASH_ENV": "/nonexistent"}
        here.job = replace(here.job, env=env)
        outcome = here.run({"do": "run", "argv": ["/env/bin/python", "-c", "print('x')"]})
        # The loader inside complains once, for the step's own program.
        assert here.log.count("cannot be preloaded") == 1
        assert outcome.failure == ""

    def test_the_interpreter_has_no_packages_of_others(self, here: Bench) -> None:
        here.run({"do": "run", "argv": ["/env/bin/python", "-c", "import pytest"]})
        assert "No module named 'pytest'" in here.log


class TestHooks:
    GOOD = """
import os
def get_requires_for_build_wheel(config_settings=None): return ["wheel"]
def prepare_metadata_for_build_wheel(where, config_settings=None):
    os.mkdir(where + "/x-1.dist-info"); return "x-1.dist-info"
def build_wheel(where, config_settings=None, metadata_directory=None):
    open(where + "/x-1-py3-none-any.whl", "w").write(metadata_directory); return "x-1-py3-none-any.whl"
"""

    def test_all_in_one_start(self, here: Bench) -> None:
        assert here.build(self.GOOD).failure == ""
        results = [event["result"] for event in here.events]
        assert results == [["wheel"], "x-1.dist-info", "x-1-py3-none-any.whl"]
        assert (here.out / "x-1-py3-none-any.whl").read_text() == "/out/metadata/x-1.dist-info"
        assert all(event["seconds"] >= 0 for event in here.events)

    def test_stopping_after_the_requirements(self, here: Bench) -> None:
        assert here.build(self.GOOD, answer=lambda event: False).failure == ""
        assert [event["step"] for event in here.events] == ["requires"]
        assert not list(here.out.iterdir())

    def test_hooks_that_are_not_there(self, here: Bench) -> None:
        backend = "def build_wheel(where, config_settings=None, metadata_directory=None): return 'a.whl'"
        assert here.build(backend).failure == ""
        assert [event["result"] for event in here.events] == [[], None, "a.whl"]

    @pytest.mark.parametrize(
        ("backend", "failure"),
        [
            ("import nothing_like_it", "the build backend can't be imported: ModuleNotFoundError"),
            ("raise ImportError('\\udcff')", "the build backend can't be imported: ImportError"),
            ("def build_wheel(*_): raise SystemExit(3)", "wheel: ended with exit code 3"),
            ("def build_wheel(*_): raise RuntimeError('no')", "wheel: ended with exit code 1"),
            ("import os\ndef build_wheel(*_): os.kill(os.getpid(), 9)", "wheel: was ended by signal 9"),
            ("import os\ndef build_wheel(*_): os._exit(0)", "wheel: the backend's answer can't be read"),
            ("def build_wheel(*_): return None", "wheel: build_wheel returned None where a file name belongs"),
            ("def build_wheel(*_): return ['a.whl']", "build_wheel returned ['a.whl'] where a file name belongs"),
            ("def build_wheel(*_): return '../a.whl'", "build_wheel returned '../a.whl'"),
            ("def build_wheel(*_): return '/etc/a.whl'", "build_wheel returned '/etc/a.whl'"),
            ("def build_wheel(*_): return 'a\\n.whl'", "build_wheel returned"),
            ("def build_wheel(*_): return '\\udcff.whl'", "build_wheel returned"),
            ("def build_wheel(*_): return ''", "build_wheel returned ''"),
            ("class UnsupportedOperation(Exception): ...\ndef build_sdist(*_): ...", "wheel: "),
            ("def get_requires_for_build_wheel(*_): return 'wheel'", "requires: get_requires_for_build_wheel returned"),
            ("def get_requires_for_build_wheel(*_): return [1]", "requires: get_requires_for_build_wheel returned"),
            ("def prepare_metadata_for_build_wheel(*_): return 1", "metadata: prepare_metadata_for_build_wheel"),
        ],
    )
    def test_bad_backends(self, here: Bench, backend: str, failure: str) -> None:
        assert failure in here.build(backend).failure
        assert "pyproject_hooks/_impl.py" not in here.log, "a traceback of ours"

    def test_a_requirement_nobody_can_write_down(self, here: Bench) -> None:
        here.build("def get_requires_for_build_wheel(*_): return ['\\udcff']", "requires")
        assert here.events[0]["result"] == ["?"]

    def test_backend_path_out_of_the_tree(self, here: Bench) -> None:
        step = {"do": "wheel", "backend": "backend", "backend_path": ["../../etc"], "config_settings": {}}
        assert "backend-path in pyproject.toml" in here.run(step).failure


class TestSeveralAtOnce:
    def test_threads(self, here: Bench) -> None:
        """Bubblewrap dies with the thread that started it, which waits for it."""
        others = [bench(here.job.work.parent / f"thread-{n}") for n in range(3)]
        threads = [threading.Thread(target=other.shell, args=("sleep 0.3; touch /out/done",)) for other in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all((other.out / "done").exists() for other in others)


class TestEnds:
    def test_an_exception_in_answer(self, here: Bench) -> None:
        def interrupt(event: Event) -> bool:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            here.build(TestHooks.GOOD, answer=interrupt)
        assert not processes_with(str(here.job.work / "build"))

    def test_nothing_lives_when_it_is_over(self, here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not even for the moment in which the kernel clears up a crowd that was left in the background.

        Without a control group, whose removal would wait for its members as well.
        """
        monkeypatch.setattr(host.cgroups, "group", lambda name, limits: contextlib.nullcontext())
        word = f"marker-{here.job.work.name}"
        crowd = f"for n in $(seq 200); do setsid sh -c 'while :; do sleep 1; done' {word} >&- 2>&- & done; sleep 0.2"
        outcome = here.shell(crowd)
        assert not processes_with(word)
        assert outcome.failure == ""

    def test_too_little_memory_to_begin(self, here: Bench) -> None:
        with pytest.raises(EngineError) as caught:
            here.shell("true", memory=1 << 20)
        assert "sandbox" in str(caught.value)

    def test_a_disk_that_is_full_already(self, here: Bench) -> None:
        try:
            said = here.shell("sleep 5", free_disk=1 << 60).failure
        except EngineError as error:  # it was ended before it could tell its seal
            said = error.what
        assert "free on the disk" in said

    def test_processors(self, here: Bench) -> None:
        assert here.shell("true", cpus=1).failure == ""

    def test_time(self, here: Bench) -> None:
        started = time.monotonic()
        outcome = here.shell("trap '' TERM; while :; do :; done", seconds=0.5)
        assert outcome.timed_out
        assert outcome.failure == "ran longer than its limit of 0.5 s"
        assert time.monotonic() - started < 10


def _without(flags: tuple[str, ...], isolation: Callable[[int | None], list[str]]) -> Callable[[int | None], list[str]]:
    def reduced(namespace: int | None) -> list[str]:
        arguments = isolation(namespace)
        for flag in flags:
            at = arguments.index(flag)
            del arguments[at : at + (2 if flag == "--hostname" else 1)]
        return arguments

    return reduced


class TestRefusals:
    @pytest.mark.parametrize(
        ("flags", "named"),
        [
            (("--unshare-net",), ("net", "interfaces")),
            (("--unshare-pid",), ("pid", "processes of others")),
            (("--unshare-ipc",), ("ipc",)),
            (("--unshare-uts", "--hostname"), ("uts", "host name")),
            (("--unshare-cgroup",), ("cgroup",)),
        ],
    )
    def test_what_is_not_sealed(
        self, here: Bench, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], named: tuple[str, ...]
    ) -> None:
        monkeypatch.setattr(host, "_isolation", _without(flags, host._isolation))
        with pytest.raises(EngineError) as caught:
            here.shell("touch /out/ran")
        assert "not sealed" in caught.value.what
        assert all(word in caught.value.what for word in named), caught.value.what
        assert not list(here.out.iterdir()), "a step ran all the same"
        assert not processes_with(str(here.job.work / "build"))

    def test_capabilities(self, here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        def more(namespace: int | None) -> list[str]:
            return [*isolation(namespace), "--cap-add", "CAP_NET_ADMIN"]

        isolation = host._isolation
        monkeypatch.setattr(host, "_isolation", more)
        if os.geteuid() == 0:
            # Whoever stops being root loses them (capabilities(7)), so nothing is left to refuse.
            assert here.shell("grep CapEff /proc/self/status").failure == ""
            assert here.log.split() == ["CapEff:", "0000000000000000"]
        else:
            with pytest.raises(EngineError, match="capabilities"):
                here.shell("touch /out/ran")

    def test_no_bubblewrap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        host.bubblewrap_version.cache_clear()
        with pytest.raises(EngineError, match="'bwrap' is missing") as caught:
            HostEngine.of_this_interpreter()
        assert "bubblewrap" in caught.value.cure

    @pytest.mark.parametrize("says", ["bubblewrap 0.4.1", "bubblewrap 0.5"])
    def test_an_old_bubblewrap(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
        (tmp_path / "bwrap").write_text(f"#!/bin/sh\necho {says}\n")
        (tmp_path / "bwrap").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        host.bubblewrap_version.cache_clear()
        with pytest.raises(EngineError, match="too old") as caught:
            HostEngine.of_this_interpreter()
        assert "0.6 or newer" in caught.value.cure

    def test_a_bubblewrap_that_fails(self, here: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
        (tmp_path / "bwrap").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(EngineError, match="No permissions to create new namespace"):
            here.shell("true")

    @pytest.fixture(autouse=True)
    def fresh_version(self) -> Iterator[None]:
        yield
        host.bubblewrap_version.cache_clear()

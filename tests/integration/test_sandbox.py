"""Every engine at its ordinary work: steps, hooks, answers, limits; and the host engine, refusing what isn't sealed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pybuilder.errors import EngineError
from pybuilder.files import remove_tree
from pybuilder.sandbox import Event, Job, Limits, Outcome, build_environ, cgroups, host, namespace
from pybuilder.sandbox.host import HostEngine
from pybuilder.sandbox.mounts import program_mounts
from pybuilder.sandbox.namespace import IdMap, unprivileged_ids
from tests.support.disks import need_root
from tests.support.sandbox import Place, Ran, place, places, processes_with, wait_for

HOOKS = ("requires", "wheel")
CROWD = "for n in $(seq 200); do (while :; do sleep 1; done) >&- 2>&- & done; sleep 0.2"
# What a step talks to is the same in every engine, and what it answers with is judged the same.
ANY_ENGINE = pytest.mark.parametrize("here", places("host")[-1:], indirect=True)


@pytest.fixture(params=places())
def here(request: pytest.FixtureRequest) -> Iterator[Place]:
    with place(request.param) as made:
        yield made


def source(here: Place) -> Path:
    """What is ``/build/x`` inside."""
    return here.work / "build" / "x"


def build(here: Place, backend: str, *hooks: str, **settings: Any) -> Ran:
    """Run hooks of a backend that lies in the source tree."""
    (source(here) / "backend.py").write_text(backend)
    step = {"backend": "backend", "backend_path": ["."], "config_settings": {}}
    return here.run(steps=[{"do": hook, **step} for hook in hooks or HOOKS], **settings)


def test_a_start_imports_what_it_needs() -> None:
    """Some of what it does without takes as long to import as Python itself to start."""
    script = "import sys; sys.path.insert(0, sys.argv[1]); import steps; print(*sys.modules)"
    argv = [sys.executable, "-I", "-S", "-B", "-c", script, str(Path(host.__file__).parent)]
    imported = set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())
    assert "steps" in imported
    assert not imported & {"contextlib", "enum", "json", "re", "signal", "socket", "subprocess", "tempfile", "typing"}


class TestPrograms:
    def test_what_a_step_finds(self, here: Place) -> None:
        script = "pwd; umask; date +%Z; touch done; echo $CFLAGS; id -u; echo to stderr >&2; cat"
        ran = here.shell(script, env={"LC_ALL": "C", "CFLAGS": "-O3"})
        assert ran.log == b"/build/x\n0022\nUTC\n-ffile-prefix-map=/build/x=. -O3\n1000\nto stderr\n"
        assert ran.echoed
        assert (ran.failure, ran.timed_out, ran.error) == ("", False, "")
        assert ran.seal["engine"] == here.engine
        assert (source(here) / "done").exists()
        assert [(event["event"], event["step"]) for event in ran.events] == [("done", "run")]

    def test_the_log_goes_on(self, here: Place) -> None:
        here.log.write_text("before\n")
        here.log.chmod(0o666)
        here.run("print(1)")
        assert here.run("print(2)").log == b"before\n1\n2\n"

    @pytest.mark.parametrize(
        ("script", "failure"),
        [("exit 3", "run: ended with exit code 3"), ("kill -SEGV $$", "run: was ended by signal 11")],
    )
    def test_a_bad_end(self, here: Place, script: str, failure: str) -> None:
        assert here.shell(script).failure == failure

    def test_a_program_that_is_missing(self, here: Place) -> None:
        ran = here.run(steps=[{"do": "run", "argv": ["no-such-program"]}])
        assert "no-such-program can't be started" in ran.failure

    def test_later_steps_wait_for_earlier_ones(self, here: Place) -> None:
        scripts = ("print(1)", "raise SystemExit(1)", "print(3)")
        ran = here.run(steps=[{"do": "run", "argv": ["/env/bin/python", "-c", script]} for script in scripts])
        assert ran.failure == "run: ended with exit code 1"
        assert ran.log == b"1\n"

    def test_a_file_of_the_build_is_not_run_outside(self, here: Place) -> None:
        """Nothing of a spec's environment reaches the engine's programs, which run outside."""
        (here.work / "preload.so").write_text("no library")
        env = {"LD_PRELOAD": str(here.work / "preload.so"), "BASH_ENV": "/nonexistent"}
        ran = here.run("print('x')", env=env)
        # The loader inside complains once, for the step's own program.
        assert ran.log.count(b"cannot be preloaded") == 1
        assert ran.failure == ""

    def test_the_interpreter_has_no_packages_of_others(self, here: Place) -> None:
        assert b"No module named 'pytest'" in here.run("import pytest").log


class TestHooks:
    GOOD = """
import gc, os
print("imported by", os.getpid())
called = 0
def get_requires_for_build_wheel(config_settings=None):
    global called
    called += 1
    os.chdir("/"), os.putenv("LEFT", "behind")
    return ["wheel"]
def build_wheel(where, config_settings=None, metadata_directory=None):
    assert (called, os.getcwd(), os.environ.get("LEFT"), gc.isenabled()) == (0, "/build/x", None, True)
    open(where + "/x-1-py3-none-any.whl", "w").close(); return "x-1-py3-none-any.whl"
"""

    def test_all_in_one_start(self, here: Place) -> None:
        ran = build(here, self.GOOD)
        assert ran.failure == ""
        assert [event["result"] for event in ran.events] == [["wheel"], "x-1-py3-none-any.whl"]
        assert ran.log.count(b"imported by") == 1, "each hook begins with the backend imported, and alone"
        assert all(event["seconds"] >= 0 for event in ran.events)

    ENDING = """
import atexit, os, sys, threading, time
def late():
    time.sleep(0.2); print("a thread")
def get_requires_for_build_wheel(config_settings=None):
    threading.Thread(target=late).start()
    if os.fork() == 0:
        print("forked", flush=True); sys.exit(3)
    print("its end", os.waitstatus_to_exitcode(os.wait()[1]))
    atexit.register(lambda: print("at exit", end=""))
    global text, data
    text, data = open("/build/text", "w"), open("/build/data", "wb")
    text.write("written"), data.write(b"written"); return []
def build_wheel(where, config_settings=None, metadata_directory=None):
    print([open("/build/" + name).read() for name in ("text", "data")])
    open(where + "/x-1-py3-none-any.whl", "w").close(); return "x-1-py3-none-any.whl"
"""

    def test_how_a_hook_ends(self, here: Place) -> None:
        """As any program in Python does, though nobody takes its memory apart."""
        ran = build(here, self.ENDING)
        assert ran.failure == ""
        assert ran.log.decode() == "forked\nits end 3\na thread\nat exit['written', 'written']\n"

    @ANY_ENGINE
    def test_a_hook_that_can_not_write_what_it_said_last(self, here: Place) -> None:
        close = "import os, sys\ndef build_wheel(*_): os.close(1); print('lost'); return 'a.whl'"
        assert "ended with exit code 120" in build(here, close, "wheel").failure

    def test_stopping_after_the_requirements(self, here: Place) -> None:
        ran = build(here, self.GOOD, answer=False)
        assert ran.failure == ""
        assert [event["step"] for event in ran.events] == ["requires"]
        assert not list(here.out.iterdir())

    @ANY_ENGINE
    def test_hooks_that_are_not_there(self, here: Place) -> None:
        ran = build(here, "def build_wheel(where, config_settings=None, metadata_directory=None): return 'a.whl'")
        assert ran.failure == ""
        assert [event["result"] for event in ran.events] == [[], "a.whl"]

    @ANY_ENGINE
    @pytest.mark.parametrize(
        ("backend", "failure"),
        [
            ("import nothing_like_it", "the build backend can't be imported: ModuleNotFoundError"),
            ("raise ImportError('\\udcff')", "the build backend can't be imported: ImportError"),
            ("def build_wheel(*_): raise SystemExit(3)", "wheel: ended with exit code 3"),
            ("def build_wheel(*_): raise RuntimeError('no')", "wheel: ended with exit code 1"),
            ("import os\ndef build_wheel(*_): os.kill(os.getpid(), 9)", "wheel: was ended by signal 9"),
            ("import os\ndef build_wheel(*_): os.kill(os.getpid(), 2)", "wheel: was ended by signal 2"),
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
            ("import os\nos._exit(7)", "requires: ended with exit code 7"),
            ("import os\nos.kill(os.getpid(), 9)", "requires: was ended by signal 9"),
            ("raise SystemExit(4)", "requires: ended with exit code 4"),
        ],
    )
    def test_bad_backends(self, here: Place, backend: str, failure: str) -> None:
        ran = build(here, backend)
        assert failure in ran.failure
        assert b"pyproject_hooks/_impl.py" not in ran.log, "a traceback of ours"

    @ANY_ENGINE
    def test_a_requirement_nobody_can_write_down(self, here: Place) -> None:
        ran = build(here, "def get_requires_for_build_wheel(*_): return ['\\udcff']", "requires")
        assert ran.events[0]["result"] == ["?"]

    @ANY_ENGINE
    def test_backend_path_out_of_the_tree(self, here: Place) -> None:
        step = {"do": "wheel", "backend": "backend", "backend_path": ["../../etc"], "config_settings": {}}
        assert "backend-path in pyproject.toml" in here.run(steps=[step]).failure


class TestSeveralAtOnce:
    def test_threads(self, here: Place) -> None:
        """Of one process, which share what the engine has opened."""
        names = ["", "-1", "-2", "-3"]
        runs = here.run_all(names, "time.sleep(0.5); open('/out/done', 'w').close(); print('done')")
        assert [(ran.error, ran.failure, ran.log) for ran in runs] == [("", "", b"done\n")] * 4
        assert all(Path(f"{here.work}{name}", "out", "done").exists() for name in names)


class TestEnds:
    def test_no_steps(self, here: Place) -> None:
        assert build(here, "", "requires", answer=False).failure == ""

    def test_an_exception_in_answer(self, here: Place) -> None:
        ran = build(here, TestHooks.GOOD, answer="interrupt")
        assert ran.error == "interrupted"
        assert not processes_with(str(here.work / "build"))

    @pytest.mark.parametrize("here", places("host"), indirect=True)
    def test_killed_at_any_moment(self, here: Place) -> None:
        """Also before bubblewrap's own two processes have told each other to go on; podman has a test of its own."""
        lasts = here.run("time.sleep(0.1)").wall
        for moment in range(20):
            with here.started("time.sleep(0.1)") as driver:
                time.sleep(lasts * moment / 20)
                driver.kill()
            assert wait_for(lambda: not processes_with(str(here.work / "build")), 3), f"after {moment}/20"
        assert here.run("print('again')").log.endswith(b"again\n")

    @pytest.mark.alone
    def test_nothing_lives_when_it_is_over(self, here: Place) -> None:
        """Not even for the moment in which the kernel clears up a crowd that was left in the background."""
        word = f"marker-{here.root.name}"
        ran = here.run(steps=[{"do": "run", "argv": ["/bin/sh", "-c", CROWD, word]}])
        assert not processes_with(word)
        assert ran.failure == ""

    def test_too_little_memory_to_begin(self, here: Place) -> None:
        """For the sandbox itself where there is a control group, else for its first program."""
        ran = here.run("print('ran')", limits={"memory": 1 << 20})
        assert "do: " in ran.error or ran.failure
        assert b"ran" not in ran.log

    def test_a_disk_that_is_full_already(self, here: Place) -> None:
        ran = here.run("time.sleep(5)", limits={"free_disk": 1 << 60})
        assert "free on the disk" in (ran.failure or ran.error)

    def test_processors(self, here: Place) -> None:
        assert here.run("print('x')", limits={"cpus": 1}).failure == ""

    def test_time(self, here: Place) -> None:
        ran = here.shell("trap '' TERM; while :; do :; done", limits={"seconds": 1.5})
        assert ran.timed_out
        assert ran.failure == "ran longer than its limit of 1.5 s"
        assert ran.seconds < 10


@dataclass(kw_only=True)
class Bench:
    """The host engine in this process, and a job for it."""

    engine: HostEngine
    job: Job

    @property
    def out(self) -> Path:
        return self.job.work / "out"

    def shell(self, script: str, *arguments: str) -> Outcome:
        steps = ({"do": "run", "argv": ["/bin/sh", "-c", script, *arguments]},)
        return self.engine.run(replace(self.job, steps=steps), answer=lambda event: True)


@pytest.fixture
def bench() -> Iterator[Bench]:
    root = Path(tempfile.mkdtemp(prefix="pybuild-test-"))
    try:
        engine = HostEngine.of_this_interpreter()
        (root / "env").mkdir()
        work = root / f"work-{root.name}"
        (work / "build" / "x").mkdir(parents=True)
        job = Job(
            root=Path("/"),
            environment=root / "env",
            work=work,
            cwd="/build/x",
            env=build_environ(source_date_epoch=1, build_dir="/build/x", extra={}),
            steps=(),
            limits=Limits(seconds=60, free_disk=0),
            log=root / "log",
        )
        yield Bench(engine=engine, job=job)
    finally:
        remove_tree(root)


@pytest.mark.alone
def test_nothing_lives_without_a_control_group(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose removal would wait for its members as well."""
    monkeypatch.setattr(cgroups, "group", lambda name, limits: contextlib.nullcontext())
    word = f"marker-{bench.job.work.name}"
    outcome = bench.shell(CROWD, word)
    assert not processes_with(word)
    assert outcome.failure == ""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors of all user namespaces that are made; an ordinary user's are bubblewrap's business."""
    descriptors: list[int] = []
    make = namespace.user_namespace

    def kept(ids: IdMap, system: Iterable[str], *, env: Mapping[str, str]) -> int:
        descriptors.append(make(ids, system, env=env))
        return descriptors[-1]

    monkeypatch.setattr(namespace, "user_namespace", kept)
    return descriptors


class TestUserNamespaces:
    def test_one_start_after_another_has_the_same(self, bench: Bench, made: list[int]) -> None:
        seals = [bench.shell(script).seal for script in ("true", "exit 1", "true")]
        assert len(made) == (os.geteuid() == 0)
        assert os.geteuid() or len({seal["namespaces"]["user"] for seal in seals}) == 1

    def test_others_ids_are_not_in_it(self, bench: Bench, made: list[int]) -> None:
        for other in (False, True, False):
            assert replace(bench, job=replace(bench.job, other_ids=other)).shell("true").failure == ""
        assert len(made) == 2 * (os.geteuid() == 0)

    def test_two_starts_at_once_have_two(self, bench: Bench, made: list[int]) -> None:
        met = threading.Barrier(2, timeout=60)

        def meet(event: Event) -> bool:
            if event["event"] == "done":
                met.wait()
            return True

        def start(name: str) -> str:
            work = bench.job.work.parent / f"{bench.job.work.name}-{name}"
            (work / "build" / "x").mkdir(parents=True)
            steps = ({"do": "run", "argv": ["/bin/true"]},)
            job = replace(bench.job, work=work, log=work.parent / name, steps=steps)
            return str(bench.engine.run(job, answer=meet).seal["namespaces"]["user"])

        # One is free, the other is made.
        assert bench.shell("true").failure == ""
        with ThreadPoolExecutor(2) as pool:
            assert len(set(pool.map(start, ("one", "other")))) == 2
        assert len(made) == 2 * (os.geteuid() == 0)

    def test_none_is_used_again_after_an_error(
        self, bench: Bench, made: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(host, "_isolation", _without(("--unshare-net",), host._isolation))
            with pytest.raises(EngineError, match="not sealed"):
                bench.shell("true")
        assert not any(map(is_namespace, made))
        assert bench.shell("true").failure == ""
        assert len(made) == 2 * (os.geteuid() == 0)

    def test_they_are_closed_with_whoever_has_them(self) -> None:
        ids = unprivileged_ids()
        if ids is None or os.geteuid():
            return
        namespaces = namespace.Namespaces()
        with namespaces.one(ids, program_mounts(), env={"PATH": "/usr/bin:/bin"}) as descriptor:
            assert is_namespace(descriptor)
        assert is_namespace(descriptor)
        del namespaces
        assert not is_namespace(descriptor)


def is_namespace(descriptor: int) -> bool:
    """Whether a descriptor is open, and a namespace's."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").startswith("user:")
    except FileNotFoundError:
        return False


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
            (("--unshare-pid", "--as-pid-1"), ("pid", "processes of others")),
            (("--unshare-ipc",), ("ipc",)),
            (("--unshare-uts", "--hostname"), ("uts", "host name")),
            (("--unshare-cgroup",), ("cgroup",)),
        ],
    )
    def test_what_is_not_sealed(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], named: tuple[str, ...]
    ) -> None:
        monkeypatch.setattr(host, "_isolation", _without(flags, host._isolation))
        with pytest.raises(EngineError) as caught:
            bench.shell("touch /out/ran")
        assert "not sealed" in caught.value.what
        assert all(word in caught.value.what for word in named), caught.value.what
        assert not list(bench.out.iterdir()), "a step ran all the same"
        assert not processes_with(str(bench.job.work / "build"))

    def test_capabilities(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        def more(namespace: int | None) -> list[str]:
            return [*isolation(namespace), "--cap-add", "CAP_NET_ADMIN"]

        isolation = host._isolation
        monkeypatch.setattr(host, "_isolation", more)
        if os.geteuid() == 0:
            # Whoever stops being root loses them (capabilities(7)), so nothing is left to refuse.
            assert bench.shell("grep CapEff /proc/self/status").failure == ""
            assert bench.job.log.read_text().split() == ["CapEff:", "0000000000000000"]
        else:
            with pytest.raises(EngineError, match="capabilities"):
                bench.shell("touch /out/ran")

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

    def test_a_bubblewrap_that_fails(self, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
        (tmp_path / "bwrap").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(EngineError, match="No permissions to create new namespace"):
            bench.shell("true")

    @pytest.fixture(autouse=True)
    def fresh_version(self) -> Iterator[None]:
        yield
        host.bubblewrap_version.cache_clear()


def test_a_namespace_s_bubblewrap_that_is_killed_leaves_nobody_who_waits_for_it() -> None:
    """Its child would, and we for the end of the child's output."""
    need_root()
    killed: list[int] = []

    def kill() -> None:
        while not killed:
            for parent, child in bubblewraps():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(parent, signal.SIGKILL)
                    killed.append(child)

    killer = threading.Thread(target=kill)
    killer.start()
    ids = unprivileged_ids()
    assert ids
    with contextlib.suppress(EngineError):  # it may have been done just before
        os.close(namespace.user_namespace(ids, program_mounts(), env={"PATH": "/usr/bin:/bin"}))
    killer.join()
    assert wait_for(lambda: not any(Path(f"/proc/{child}/exe").exists() for child in killed), 5)


def bubblewraps() -> Iterator[tuple[int, int]]:
    """Those of our children that make a user namespace, each with its own child."""
    for listed in Path("/proc/self/task").glob("*/children"):
        for parent in listed.read_text().split():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{parent}/cmdline").read_text().startswith("bwrap\0--unshare-user"):
                    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
                        yield int(parent), int(child)

"""The podman engine and what may befall it: other services, dead services, settings of the machine, killed runs.

All with the real podman. Mostly as an ordinary user, whose podman is a test's alone: with another home, another runtime
directory and other settings, no other test is disturbed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pybuilder.files import file_lock, is_locked
from pybuilder.podman import monitor
from tests.support.disks import disk
from tests.support.driver import PYTHON
from tests.support.sandbox import Place, Ran, place, places, processes_of, processes_with, wait_for
from tests.support.views import user_files

_, ROOTLESS = places("podman")


@pytest.fixture(params=places("podman"))
def here(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A place with services of podman that are no other test's, also for root."""
    with place(request.param) as made:
        if not made.uid:
            shared, own = Path("/run/pybuild"), made.root / "run" / "pybuild"
            shared.mkdir(mode=0o700, exist_ok=True)
            own.mkdir(mode=0o700)
            made.mounts[shared] = own
        yield made


@pytest.fixture(params=[ROOTLESS])
def rootless(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A place of a user who has a podman of their own."""
    with place(request.param) as made:
        yield dataclasses.replace(made, found={})


EXIT = ["--exit-command", "/usr/bin/podman", "--exit-command-arg", "a b", "--runtime-arg", ""]
"""What podman gives its monitor, among others."""


def worked(ran: Ran) -> bool:
    return (ran.error, ran.failure, ran.log[-3:]) == ("", "", b"ok\n")


def one_line(error: str) -> str:
    """What an error says, once it is known to be one line and to have a cure that is one."""
    lines = error.splitlines()
    assert 2 <= len(lines) <= 3, error
    assert lines[-1].startswith("  do: "), error
    assert "Traceback" not in error and len(lines[0]) < 2000
    return lines[0]


def services_of(here: Place) -> list[int]:
    """Services of podman of this place's user that have not ended."""
    found = []
    for pid in processes_of(here):
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"\0service\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def monitors_of(here: Place) -> list[int]:
    """What podman leaves to watch over the containers of this place."""
    return [pid for pid in processes_with(here.container) if "conmon" in Path(f"/proc/{pid}/comm").read_text()]


def mounts_of(here: Place) -> list[str]:
    """What is mounted from or below a place, as any living process of its user sees it."""
    found = set()
    for pid in ["self", *processes_of(here)]:
        for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
            where = line.split()[4]
            # What the tests themselves have put in place is no concern.
            if str(here.root) in line and not where.startswith("/etc/") and where != str(here.tree):
                found.add(line)
    return sorted(found)


@contextmanager
def building(here: Place, **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """pybuild, as soon as a build that does not end runs in it."""
    word = f"marker-{here.root.name}"
    with here.started("time.sleep(600)", argv=[word], **settings) as driver:
        assert wait_for(lambda: processes_with(word), 20), "the build does not begin"
        yield driver


def outcome(driver: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What came of the run of a driver that ends by itself."""
    stdout, stderr = driver.communicate(timeout=60)
    assert driver.returncode == 0, stderr.decode()
    (run,) = json.loads(stdout)["runs"]
    return dict(run)


class TestRuntimes:
    def broken(self, here: Place, *runtimes: str) -> Place:
        """The place on a machine where some runtimes don't work."""
        paths = {shutil.which(name): Path("/bin/false") for name in runtimes}
        return dataclasses.replace(here, mounts={**here.mounts, **{path: to for path, to in paths.items() if path}})

    def installed(self) -> list[str]:
        return [name for name in ("crun", "runc") if shutil.which(name)]

    def test_one_that_works_is_found_and_remembered(self, rootless: Place) -> None:
        assert worked(rootless.run("print('ok')"))
        assert rootless.found["runtime"] in self.installed()
        started = len(list((rootless.root / "run" / "pybuild").glob("*.log")))
        assert wait_for(lambda: not services_of(rootless), 5)
        for log in (rootless.root / "run" / "pybuild").glob("*.log"):
            log.unlink()
        assert worked(rootless.run("print('ok')"))
        assert started >= 1 and len(list((rootless.root / "run" / "pybuild").glob("*.log"))) == 1

    def test_the_remembered_one_fails(self, rootless: Place) -> None:
        assert len(self.installed()) == 2, "apt-get install crun runc, or dnf install crun runc"
        working = rootless.run("print('ok')").tools["runtime"]
        (other,) = set(self.installed()) - {working}
        assert wait_for(lambda: not services_of(rootless), 5)
        rootless.found["runtime"] = other
        ran = self.broken(rootless, other).run("print('ok')")
        assert worked(ran) and ran.tools["runtime"] == working

    def test_none_works(self, rootless: Place) -> None:
        ran = self.broken(rootless, *self.installed()).run("print('ok')")
        said = one_line(ran.error)
        assert said.startswith("podman can't start a container here: ")
        assert all(f"{name}: " in said for name in self.installed())


class TestServices:
    @contextmanager
    def listening(self, here: Place, path: Path) -> Iterator[None]:
        """A service of the machine that an administrator has started."""
        runtime = [f"--runtime={here.found['runtime']}"] if "runtime" in here.found else []
        argv = here.command("podman", *runtime, "system", "service", "--time=0", f"unix://{path}")
        service = subprocess.Popen(argv, env=here.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert wait_for(path.exists, 20)
            yield
            assert service.poll() is None, "pybuild has ended a service that isn't its own"
        finally:
            service.kill()
            service.wait()

    @pytest.mark.parametrize("remembered", [True, False])
    def test_a_service_that_is_named(self, rootless: Place, remembered: bool) -> None:
        rootless.run("print('ok')")
        assert wait_for(lambda: not services_of(rootless), 5)
        with self.listening(rootless, rootless.root / "run" / "admin.sock"):
            if not remembered:
                rootless.found.clear()
            ran = rootless.run("print('ok')", environ={"CONTAINER_HOST": f"unix://{rootless.root}/run/admin.sock"})
            assert len(services_of(rootless)) == 1
        assert worked(ran)
        assert list(ran.tools) == ["podman"]

    def test_the_users_own_service(self, rootless: Place) -> None:
        rootless.run("print('ok')")
        assert wait_for(lambda: not services_of(rootless), 5)
        rootless.python_code("import os, sys; os.mkdir(sys.argv[1])", f"{rootless.root}/run/podman")
        with self.listening(rootless, rootless.root / "run" / "podman" / "podman.sock"):
            rootless.found.clear()
            ran = rootless.run("print('ok')")
            assert len(services_of(rootless)) == 1
        assert worked(ran) and list(ran.tools) == ["podman"]

    @pytest.mark.parametrize("named", ["unix:///nonexistent/podman.sock", "ssh://root@example.org/run/podman.sock"])
    def test_a_named_service_that_is_not_there(self, rootless: Place, named: str) -> None:
        ran = rootless.run("print('ok')", environ={"CONTAINER_HOST": named})
        assert one_line(ran.error).startswith("the podman service that is named does not answer: ")
        assert "unset CONTAINER_HOST" in ran.error and named in ran.error

    def test_none_is_left_running(self, rootless: Place) -> None:
        assert worked(rootless.run("print('ok')"))
        assert services_of(rootless), "it stays for a moment, for the next of us"
        assert wait_for(lambda: not services_of(rootless), 4)
        assert mounts_of(rootless) == []

    def test_it_stays_as_long_as_we_do(self, rootless: Place) -> None:
        ran = rootless.run("time.sleep(5); print('ok')")
        assert worked(ran)
        assert wait_for(lambda: not services_of(rootless), 4)

    def test_killed_while_a_build_runs(self, here: Place) -> None:
        """The build goes on, and another service is started to remove its container."""
        with here.started("time.sleep(3); print('ok')", argv=[f"marker-{here.root.name}"]) as driver:
            assert wait_for(lambda: processes_with(f"marker-{here.root.name}"), 20)
            for service in services_of(here):
                os.kill(service, signal.SIGKILL)
            run = outcome(driver)
        assert (run["failure"], run["error"]) == ("", "")
        assert here.log.read_bytes().endswith(b"ok\n")
        assert wait_for(lambda: not here.containers(), 5)

    def test_killed_between_builds_of_one_process(self, rootless: Place) -> None:
        """What a process has connected to need not be there for its next build."""
        names = ["", "-1"]
        with rootless.started("open('/out/began', 'w').close(); time.sleep(2); print('ok')", names=names) as driver:
            assert wait_for((rootless.out / "began").exists, 20)
            for service in services_of(rootless):
                os.kill(service, signal.SIGKILL)
            stdout, stderr = driver.communicate(timeout=60)
        assert driver.returncode == 0, stderr.decode()
        assert b"Traceback" not in stderr and stdout.count(b'"error": ""') == 2, stdout

    def test_a_monitor_that_is_killed(self, here: Place) -> None:
        with here.started("time.sleep(2); print('ok')", argv=[f"marker-{here.root.name}"]) as driver:
            assert wait_for(lambda: processes_with(f"marker-{here.root.name}"), 20)
            monitors = monitors_of(here)
            assert monitors
            for monitor in monitors:
                os.kill(monitor, signal.SIGKILL)
            run = outcome(driver)
        assert (run["failure"], run["error"]) == ("", "")
        assert here.log.read_bytes().endswith(b"ok\n")
        assert wait_for(lambda: not here.containers(), 5)


class TestMonitor:
    """What watches over a container leaves its removal to who has started it, as long as they live."""

    def ended(self, lock: Path, sign: Path, **environ: str) -> bool:
        """Whether what would remove a container is started at its end."""
        done = subprocess.run(["/bin/sh", monitor.SCRIPT, "--ended", lock, "/usr/bin/touch", sign], env=environ)
        assert done.returncode == 0
        return sign.exists()

    def test_a_container_ends_with_ours_and_not_with_podmans(self, here: Place) -> None:
        with building(here):
            (pid,) = monitors_of(here)
            argv = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            place = argv.index("--exit-command")
            then = ["--exit-command-arg", "--ended", "--exit-command-arg", str(here.work / monitor.LOCK)]
            assert Path(argv[place + 1]).name == monitor.SCRIPT.name
            assert argv[place + 2 : place + 6] == then
            assert Path(argv[place + 7]).name == "podman" and "cleanup" in argv[place + 8 :]
            assert is_locked(here.work / monitor.LOCK)

    def test_as_long_as_we_live_it_does_nothing(self, tmp_path: Path) -> None:
        with file_lock(tmp_path / "alive"):
            assert not self.ended(tmp_path / "alive", tmp_path / "held")
        assert self.ended(tmp_path / "alive", tmp_path / "let go")

    def test_the_work_is_gone(self, tmp_path: Path) -> None:
        assert self.ended(tmp_path / "gone" / "alive", tmp_path / "sign")
        assert not (tmp_path / "gone").exists()

    def test_nothing_tells_whether_we_live(self, tmp_path: Path) -> None:
        with file_lock(tmp_path / "alive"):
            assert self.ended(tmp_path / "alive", tmp_path / "sign", PATH="/nonexistent")

    @pytest.mark.parametrize(
        ("options", "works"), [("size=1m", True), ("size=1m,noexec", False), ("nr_inodes=1", False)]
    )
    def test_it_is_used_where_it_can_be_started(self, tmp_path: Path, options: str, works: bool) -> None:
        with disk(tmp_path / "disk", options):
            script = tmp_path / "disk" / "monitor.sh"
            assert monitor.options(script.parent) == (("--conmon", str(script)) if works else ())

    def test_there_is_no_conmon_where_we_look(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        script = tmp_path / "without" / "monitor.sh"
        script.parent.mkdir()
        script.write_text(monitor.SCRIPT.read_text().replace("/conmon", "/no-such-conmon"))
        monkeypatch.setattr(monitor, "SCRIPT", script)
        assert monitor.options(tmp_path) == ()

    def test_who_has_started_a_service_may_be_gone(self, here: Place) -> None:
        """With all that was installed there; others of us go on to use it."""
        with here.started("time.sleep(3); print('ok')", argv=[f"marker-{here.root.name}"]) as driver:
            assert wait_for(lambda: processes_with(f"marker-{here.root.name}"), 20)
            (here.root / "lib" / "pybuilder" / "podman" / "monitor.sh").unlink()
            (other,) = here.run_all(["-1"], "print('ok')")
            assert worked(other), other
            assert outcome(driver)["failure"] == ""

    def test_a_container_without_a_log_of_ours(self, tmp_path: Path) -> None:
        """What somebody else starts at our service is watched over as podman asked for it."""
        assert self.given(tmp_path, "-l", "journald") == ["-l", "journald", *EXIT]
        assert self.given(tmp_path, "-l", "k8s-file:/w/x/container.log") == [
            *("-l", "k8s-file:/w/x/container.log", "--exit-command", str(tmp_path / "monitor.sh")),
            *("--exit-command-arg", "--ended", "--exit-command-arg", "/w/x/alive"),
            *("--exit-command-arg", "/usr/bin/podman", "--exit-command-arg", "a b", "--runtime-arg", ""),
        ]

    def given(self, directory: Path, *arguments: str) -> list[str]:
        """What conmon is given where podman gives some arguments and an exit command."""
        conmon, script = directory / "conmon", directory / "monitor.sh"
        conmon.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
        script.write_text(monitor.SCRIPT.read_text().replace("/usr/libexec/podman/conmon", str(conmon)))
        for path in (conmon, script):
            path.chmod(0o755)
        done = subprocess.run([script, *arguments, *EXIT], capture_output=True, check=True, text=True)
        return done.stdout.split("\0")[:-1]


class TestKilled:
    """Runs that are killed leave nothing that runs, and nothing at all after the next run has looked."""

    CLEAR = """
import os, pathlib, sys
from pybuilder.layout import Layout
from pybuilder.podman import Services
from pybuilder.sandbox.own_files import OwnFiles
from pybuilder.sandbox.podman import PodmanEngine
work = pathlib.Path(sys.argv[1])
own = OwnFiles(layout=Layout(root=work.parent))
PodmanEngine(services=Services(environ=os.environ), own=own, interpreter="").clear(work)
"""

    def left_nothing(self, here: Place) -> None:
        assert wait_for(lambda: not processes_with(f"marker-{here.root.name}"), 3), "something inside lives on"
        here.python_code(self.CLEAR, str(here.work))
        assert here.containers() == []

    def test_at_any_moment(self, here: Place) -> None:
        lasts = here.run("time.sleep(0.1); print('ok')").wall
        for moment in range(10):
            with here.started("time.sleep(0.1); print('ok')", argv=[f"marker-{here.root.name}"]) as driver:
                time.sleep(lasts * moment / 10)
                driver.kill()
            self.left_nothing(here)
        assert wait_for(lambda: not services_of(here), 5)
        assert mounts_of(here) == []
        assert worked(here.run("print('ok')"))

    def test_while_a_build_runs(self, here: Place) -> None:
        with building(here) as driver:
            driver.kill()
            driver.wait()
            assert wait_for(lambda: not processes_with(f"marker-{here.root.name}"), 3), "something inside lives on"
            assert wait_for(lambda: not here.containers(), 5), "podman removes it by itself"
        assert wait_for(lambda: not services_of(here) and not monitors_of(here), 5)
        assert mounts_of(here) == []

    def test_while_the_container_is_made(self, rootless: Place) -> None:
        made = rootless.root / "home" / ".local" / "share" / "containers" / "storage"
        with rootless.started("print('ok')", argv=[f"marker-{rootless.root.name}"]) as driver:
            assert wait_for(lambda: list(made.glob("*-containers/" + "?" * 64)), 20)
            driver.kill()
        self.left_nothing(rootless)

    def test_while_the_container_is_removed(self, here: Place) -> None:
        with here.started("print('ok')", argv=[f"marker-{here.root.name}"]) as driver:
            assert wait_for(lambda: here.log.exists() and here.log.read_bytes(), 20)
            driver.kill()
        self.left_nothing(here)

    def test_everything_of_podman_at_once(self, here: Place) -> None:
        with building(here) as driver:
            for pid in (*services_of(here), *monitors_of(here), driver.pid):
                os.kill(pid, signal.SIGKILL)
            driver.wait()
        self.left_nothing(here)


INTERRUPTED = """
import os, pathlib, signal, sys, threading
from pybuilder.layout import Layout
from pybuilder.podman import Services
from pybuilder.sandbox.own_files import OwnFiles
from pybuilder.sandbox.podman import PodmanEngine
work = pathlib.Path(sys.argv[1])
own = OwnFiles(layout=Layout(root=work.parent))
engine = PodmanEngine(services=Services(environ=os.environ), own=own, interpreter="")
for milliseconds in (0, 1, 2, 4, 6, 8, 10, 15, 20, 30, 50, 80, 120):
    scratch = work.with_name(f"{work.name}-{milliseconds}")
    scratch.mkdir()
    press = threading.Timer(milliseconds / 1000, os.kill, (os.getpid(), signal.SIGINT))
    try:
        if milliseconds:
            press.start()
        engine.try_out(scratch)
        if milliseconds:
            press.join()
    except KeyboardInterrupt:
        pass
"""


class TestInterrupted:
    def test_while_a_container_is_made(self, here: Place) -> None:
        here.python_code(INTERRUPTED, str(here.work))
        assert here.containers() == []


class TestEndsAtOnce:
    def test_it_says_why(self, here: Place) -> None:
        assert "id --help' for more information." in one_line(here.run("", interpreter="/usr/bin/id").error)
        assert here.containers() == []

    def test_it_says_nothing(self, here: Place) -> None:
        assert "ended before" in one_line(here.run("", interpreter="/usr/bin/false").error)
        assert here.containers() == []


class TestPipes:
    def test_nobody_else_on_the_machine_may_open_them(self, here: Place) -> None:
        """Whoever had one open before the first process inside could speak for the build, its seal included."""
        with here.started("print('ok')", names=[""]) as driver:
            assert wait_for(lambda: self.pipes(here.work) == {"only the build's": 4}, 30), self.pipes(here.work)
            said = outcome(driver)
        assert (said["failure"], said["error"]) == ("", "")

    def pipes(self, work: Path) -> Counter[str]:
        """Which rights there are, and how many pipes have them."""
        found: Counter[str] = Counter()
        with suppress(FileNotFoundError):
            build = (work / "build").stat()
            for pipe in (work / "talk").iterdir():
                facts = pipe.stat()
                private = stat.S_IMODE(facts.st_mode) == 0o600
                whose = (facts.st_uid, facts.st_gid) == (build.st_uid, build.st_gid)
                found["only the build's" if private and whose else f"{facts.st_mode:o} {facts.st_uid}"] += 1
        return found


class TestSeveralAtOnce:
    def test_processes_that_share_a_service(self, here: Place) -> None:
        """They find out at the same time that none runs, and that one runtime does not work."""
        here = dataclasses.replace(here, found={})
        drivers = [here.started("print('ok')", names=[f"-{n}"]) for n in range(4)]
        processes = [driver.__enter__() for driver in drivers]
        try:
            runs = [outcome(process) for process in processes]
        finally:
            for driver in drivers:
                driver.__exit__(None, None, None)
        assert [(run["failure"], run["error"]) for run in runs] == [("", "")] * 4
        assert {Path(f"{here.log}-{n}").read_bytes() for n in range(4)} == {b"ok\n"}
        assert wait_for(lambda: not services_of(here), 5)

    def test_threads_that_know_of_no_service(self, here: Place) -> None:
        here = dataclasses.replace(here, found={})
        runs = here.run_all(["", "-1", "-2", "-3"], "print('ok')")
        assert all(map(worked, runs)), [(run.error, run.failure) for run in runs]


TRY_OUT = """
import os, pathlib, sys
from pybuilder.layout import Layout
from pybuilder.podman import Services
from pybuilder.sandbox.own_files import OwnFiles
from pybuilder.sandbox.podman import PodmanEngine
scratch = pathlib.Path(sys.argv[1])
scratch.mkdir()
own = OwnFiles(layout=Layout(root=scratch))
print(PodmanEngine(services=Services(environ=os.environ), own=own, interpreter="").try_out(scratch))
"""

# By what it is: settings of a machine for all containers, and what is said of a place that they have opened.
SETTINGS = {
    "a volume": ('volumes = ["/usr/share:/mnt:ro"]', "something is mounted at /mnt"),
    "a device": ('devices = ["/dev/null:/dev/leak:rwm"]', "devices of this machine: leak"),
    "time zone": ('tz = "Asia/Tokyo"', "something is mounted at /etc/localtime"),
    "rights": ('default_capabilities = ["SYS_ADMIN", "SETUID"]', ""),
    "system calls": ('seccomp_profile = "unconfined"', ""),
    "network": ('netns = "host"\nno_hosts = false', ""),
    "processes": ('pidns = "host"\nipcns = "host"\nutsns = "host"\ncgroupns = "host"\nuserns = "host"', ""),
    "environment": ('env = ["LEAK=1", "LD_PRELOAD=/leak.so"]\nhttp_proxy = true', ""),
    "limits": ('default_ulimits = ["nofile=100:100"]\ninit = true\numask = "0000"', ""),
}


class TestSettingsOfTheMachine:
    def settings(self, here: Place, name: str, text: str) -> None:
        """Write a file of podman's settings, root's into an /etc/containers that only this place sees."""
        if here.uid:
            code = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.parent.mkdir(parents=True, exist_ok=True)"
            here.python_code(f"{code}; p.write_text(sys.argv[2])", f"{here.root}/home/.config/containers/{name}", text)
            return
        own = here.root / "containers"
        if not own.exists():
            shutil.copytree("/etc/containers", own)
            here.mounts["/etc/containers"] = own
        (own / name).write_text(text)

    @pytest.mark.parametrize("name", SETTINGS)
    def test_settings_for_all_containers(self, rootless: Place, name: str) -> None:
        text, refused = SETTINGS[name]
        self.settings(rootless, "containers.conf", f"[containers]\n{text}\n")
        proxies = {"HTTP_PROXY": "http://leak:1", "https_proxy": "http://leak:1", "LEAK": "1"}
        ran = rootless.run(
            """
say("environment", dict(os.environ))
say("limits", __import__("resource").getrlimit(7))
attempt("user namespace", call, LIBC.unshare, 0x10000000)
say("pids", len([name for name in os.listdir("/proc") if name.isdigit()]))
""",
            environ=proxies,
        )
        if refused:
            assert "not sealed" in one_line(ran.error) and refused in ran.error
            assert ran.log == b"" and not ran.events
            return
        assert (ran.error, ran.failure) == ("", "")
        assert not [word for word in ("leak", "LEAK", "PRELOAD") if word in str(ran.got["environment"])]
        assert ran.got["limits"] == [16384, 16384]
        assert ran.got["user namespace"] == "EPERM"
        assert ran.got["pids"] == 3

    def test_what_distributions_mount_for_their_customers(self, here: Place) -> None:
        """Fedora and its kin ship a mounts.conf with such a line."""
        self.settings(here, "mounts.conf", f"{here.root}/specs:/run/secrets\n")
        ran = here.run("say('seen', look('/run/secrets')); attempt('write', create, '/run/secrets/x')")
        assert ran.error == ""
        assert ran.got == {"seen": [], "write": "EACCES"}
        scratch = here.root / "scratch"
        here.python_code(TRY_OUT, str(scratch))

    def test_mounts_elsewhere(self, here: Place) -> None:
        # What is mounted has its place in the root, which is nobody's to write to.
        self.settings(here, "containers.conf", '[containers]\nvolumes = ["/usr/share:/opt:ro"]\n')
        assert "something is mounted at /opt" in one_line(here.run("print('ok')").error)

    def test_settings_that_podman_cannot_read(self, rootless: Place) -> None:
        self.settings(rootless, "containers.conf", "[containers]\nvolumes = \n")
        said = one_line(rootless.run("print('ok')").error)
        self.settings(rootless, "containers.conf", "")
        assert said.startswith("podman's service does not start: ") and "containers.conf" in said

    def test_limits_of_the_caller(self, here: Place) -> None:
        ran = here.run(
            "from resource import *; say('limits', [getrlimit(RLIMIT_NOFILE), getrlimit(RLIMIT_NPROC)])",
            prefix=["prlimit", "--nofile=700", "--nproc=800"],
        )
        assert (ran.error, ran.failure) == ("", "")
        assert ran.got["limits"] == [[700, 700], [800, 800]]


@pytest.mark.parametrize("gives_way", [False, True])
def test_what_gives_way_has_a_smaller_share_where_root_starts_it(here: Place, gives_way: bool) -> None:
    ran = here.run(
        "from pathlib import Path\n"
        "files = [Path('/sys/fs/cgroup', name) for name in ('cpu/cpu.shares', 'cpu.weight')]\n"
        "say('shares', [int(file.read_text()) for file in files if file.exists()])",
        limits={"gives_way": gives_way},
    )
    assert (ran.error, ran.failure) == ("", "")
    if here.uid is None:
        # Of the usual 1024, or the usual 100 in version 2, into which runtimes convert it.
        assert ran.got["shares"]
        assert all((share < 1024 and share != 100) == gives_way for share in ran.got["shares"]), ran.got


class TestWhatIsMissing:
    def test_podman(self, rootless: Place) -> None:
        ran = rootless.run("print('ok')", prefix=["/usr/bin/env", "PATH=/nonexistent"])
        assert one_line(ran.error) == "the program 'podman' is missing"
        assert "podman" in ran.error.splitlines()[-1]

    def test_subordinate_ids(self, rootless: Place) -> None:
        files = user_files(rootless.root / "etc without", rootless.uid or 0, home=rootless.root, subordinate_ids=False)
        ran = dataclasses.replace(rootless, mounts={**rootless.mounts, **files}).run("print('ok')")
        one_line(ran.error)
        assert "usermod --add-subuids" in ran.error.splitlines()[-1]

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can have what others can't call")
    def test_permission_for_a_service(self, rootless: Place) -> None:
        with socket.socket(socket.AF_UNIX) as of_root:
            of_root.bind(str(rootless.root / "root.sock"))
            (rootless.root / "root.sock").chmod(0o600)
            of_root.listen()
            ran = rootless.run("print('ok')", environ={"CONTAINER_HOST": f"unix://{rootless.root}/root.sock"})
        assert one_line(ran.error).endswith("does not answer: Permission denied")
        assert "unset CONTAINER_HOST" in ran.error

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can own what others can't use")
    def test_a_runtime_directory_of_somebody_else(self, rootless: Place) -> None:
        (rootless.root / "run" / "pybuild").mkdir(mode=0o755)
        ran = rootless.run("print('ok')")
        assert "is not ours alone" in one_line(ran.error)

    @pytest.mark.parametrize("missing", ["out", "etc/hosts", "run/.containerenv"])
    def test_a_mount_point(self, here: Place, missing: str) -> None:
        assert f"it has no {missing}" in one_line(self.damaged(here, missing).run("print('ok')").error)

    def test_a_root(self, here: Place) -> None:
        ran = dataclasses.replace(here, tree=here.root / "nothing").run("print('ok')")
        assert one_line(ran.error) == "the root can't be read"

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can own what others can't read")
    def test_a_root_that_is_nobodys_to_read(self, rootless: Place) -> None:
        tree = rootless.root / "closed"
        tree.mkdir(mode=0o700)
        assert one_line(dataclasses.replace(rootless, tree=tree).run("print('ok')").error) == "the root can't be read"

    def test_the_interpreter(self, here: Place) -> None:
        said = one_line(self.damaged(here, PYTHON.lstrip("/")).run("print('ok')").error)
        assert PYTHON in said and "no such file or directory" in said

    def damaged(self, here: Place, missing: str) -> Place:
        """The place with a root that lacks something."""
        tree = here.root / "damaged"
        subprocess.run(["cp", "-a", here.mounts.get(here.tree, here.tree), tree], check=True)
        gone = tree / missing
        gone.rmdir() if gone.is_dir() else gone.unlink()
        return dataclasses.replace(here, tree=tree)

"""What is printed, and where: documents for programs, lines for people, a moving line for a terminal."""

from __future__ import annotations

import itertools
import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.workspaces import Bench, bench, clean_environ, wait_for

TALKS = "import time\nfor n in range(5): print('line', n, flush=True); time.sleep(0.15)\n"
SPOKEN = b"".join(b"line %d\n" % n for n in range(5))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        made.accept("alpha", act="print('from the backend')")
        yield made


class TestStreams:
    def test_lines_where_there_is_no_terminal(self, here: Bench) -> None:
        ran = here.pybuild("build", "alpha")
        assert [line.partition(", log")[0] for line in ran.stderr.splitlines()] == [
            "buildroot host, since none is named",
            "alpha 1.0: fetch",
            "alpha 1.0: screen",
            "alpha 1.0: inspect",
            "alpha 1.0: build",
            "alpha 1.0: validate",
            "alpha==1.0+pb.1: published, not signed (pybuild key new)",
        ]
        assert "\x1b" not in ran.stderr + ran.stdout
        assert ran.stdout.splitlines()[0].split() == ["built", "host/alpha==1.0+pb.1"]
        assert "pip install --index-url" in ran.stdout
        again = here.pybuild("build", "alpha")
        assert again.stderr.splitlines()[1:] == ["alpha==1.0+pb.1: nothing has changed"]
        assert again.stdout.split()[0] == "cached"

    def test_quiet(self, here: Bench) -> None:
        assert here.pybuild("-q", "build", "alpha").stderr == ""
        here.spec("beta")
        failed = here.pybuild("-q", "build", "beta")
        assert failed.code == 30 and failed.stderr.startswith("pybuild: error: ")

    def test_verbose_shows_what_builds_print(self, here: Bench) -> None:
        assert "from the backend\n" in here.pybuild("-v", "build", "alpha").stderr

    @pytest.mark.parametrize("verbosity", [[], ["-v"], ["-q"]])
    def test_json_logs_are_json_and_on_standard_error(self, here: Bench, verbosity: list[str]) -> None:
        here.accept("beta", act="import os; os.write(1, b'\\xff\\n'); raise SystemExit(1)")
        ran = here.pybuild("--log-format", "json", *verbosity, "build", "--json", "alpha", "beta")
        assert ran.code == 10
        assert ran.json["failed"][0]["name"] == "beta"
        events = [json.loads(line) for line in ran.stderr.splitlines()]
        assert all({"event", "timestamp"} <= event.keys() for event in events)
        kinds = {event["event"] for event in events}
        if "-q" not in verbosity:
            assert {"started", "published", "failed"} <= kinds
        assert ("output" in kinds) is ("-v" in verbosity)

    def test_json_logs_tell_how_long_each_phase_took(self, here: Bench) -> None:
        ran = here.pybuild("--log-format", "json", "build", "--json", "alpha")
        lines = map(json.loads, ran.stderr.splitlines())
        spans = {line["phase"]: line for line in lines if line["event"] == "span"}
        [wheel] = ran.json["built"][0]["wheels"]
        phases = json.loads(Path(wheel["log"]).with_name("record.json").read_text())["phases"]
        assert {"unpack", "environment", "root", "sandbox", "backend wheel", "canonicalise"} <= phases.keys()
        assert {name: round(spans[name]["seconds"], 3) for name in phases} == phases
        assert spans.keys() - phases.keys() == {
            "fetch",
            "screen",
            "inspect",
            "build",
            "record",
            "validate",
            "number",
            "publish",
        }
        ends = {name: span["began"] + span["seconds"] for name, span in spans.items()}
        for first, second in [("backend requires", "backend wheel"), ("sandbox", "canonicalise"), ("fetch", "build")]:
            assert ends[first] <= spans[second]["began"] + 1e-6
        for inner, outer in [("backend wheel", "sandbox"), ("sandbox", "build"), ("canonicalise", "build")]:
            assert spans[outer]["began"] <= spans[inner]["began"] and ends[inner] <= ends[outer] + 1e-6

    def test_json_is_one_document_and_nothing_else(self, here: Bench) -> None:
        here.spec("beta")
        here.spec("gamma", "[build\n")
        for command in (["alpha"], ["alpha"], ["beta"], ["gamma"], ["delta"], ["alpha", "beta", "delta"]):
            ran = here.pybuild("build", "--json", *command)
            assert ran.json["ok"] is (ran.code == 0)

    @pytest.mark.parametrize("broken", ["buildroot", "state", "settings"])
    def test_json_where_the_run_could_not_begin(self, here: Bench, broken: str) -> None:
        if broken == "settings":
            here.settings("nonsense = 1\n")
        elif broken == "state":
            (here.state / "owner.json").parent.mkdir()
            (here.state / "owner.json").write_text("[]")
        else:
            (here.workspace / "buildroots" / "host.toml").unlink()
        ran = here.pybuild("build", "--json", "alpha")
        assert ran.code == {"settings": 3, "state": 1, "buildroot": 20}[broken]
        assert ran.json["ok"] is False
        assert ran.json["failed"][0]["error"]

    def test_a_reader_that_goes_away(self, here: Bench) -> None:
        here.build("alpha")
        commands = (["show", "alpha"], ["build", "alpha"], ["log", "alpha"], ["index", "verify", "--json"])
        for command, unbuffered in itertools.product((*commands, ["bootstrap", "alpha"]), ("", "1")):
            here.environ["PYTHONUNBUFFERED"] = unbuffered
            process = here.start(*command)
            assert process.stdout
            process.stdout.close()
            process.stdout = None
            _, stderr = process.communicate(timeout=20)
            assert process.returncode == 141
            assert "Traceback" not in stderr and "BrokenPipe" not in stderr, stderr

    def test_a_reader_of_progress_that_goes_away(self, here: Bench) -> None:
        process = here.start("bootstrap", "alpha")
        assert process.stderr
        process.stderr.close()
        process.stderr = None
        process.communicate(timeout=60)
        assert process.returncode == 0
        assert here.published("alpha") == ["1.0+pb.1"]

    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    def test_closed_streams(self, here: Bench, closed: str) -> None:
        """What is printed must not go into the first file that is opened, such as the state."""
        environ = clean_environ(here.root) | here.environ
        line = f"{shlex.join(here.argv('-v', 'build', 'alpha'))} {closed}"
        ran = subprocess.run(
            ["sh", "-c", line], env=environ, cwd=here.root, capture_output=True, text=True, check=False
        )
        assert (ran.returncode, "fault" in ran.stderr) == (0, False), ran.stderr
        assert here.published("alpha") == ["1.0+pb.1"]
        here.check_sound()

    @pytest.mark.parametrize("environ", [{}, {"PYTHONUNBUFFERED": "1"}])
    def test_streams_onto_a_full_disk(self, here: Bench, environ: dict[str, str]) -> None:
        """What is built does not hang on whether anybody can be told; who wants what is printed hears why not."""
        here.environ.update(environ)
        with open("/dev/full", "w") as full:
            with here.start("-v", "rebuild", "alpha==1.0", stderr=full) as process:
                stdout, _ = process.communicate(timeout=60)
            assert (process.returncode, here.published("alpha")) == (0, ["1.0+pb.1"])
            assert "alpha" in stdout
            for command in (["rebuild", "alpha==1.0"], ["show", "alpha"], ["index", "verify", "--json"], ["--help"]):
                with here.start(*command, stdout=full) as process:
                    _, stderr = process.communicate(timeout=60)
                assert process.returncode == 1
                assert "pybuild: error: what is printed can't be written: No space left on device" in stderr
                assert "  where: standard output\n" in stderr
            with here.start("nonsense", stderr=full) as process:
                process.communicate(timeout=60)
            assert process.returncode == 2
        assert here.published("alpha") == ["1.0+pb.1", "1.0+pb.2"]
        here.check_sound()


def on_a_terminal(here: Bench, *arguments: str, columns: int = 80, interrupt: bool = False) -> tuple[int, str]:
    """Run pybuild with a terminal for everything; its exit code and all it wrote."""
    environ = clean_environ(here.root) | {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "24"}
    argv = here.argv(*arguments)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, environ)
    written = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                piece = os.read(terminal, 65536)
            except OSError:
                break
            if not piece:
                break
            written += piece
        if interrupt and here.running_log():
            os.write(terminal, b"\x03")
            interrupt = False
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), written.decode(errors="replace")


def visible(text: str) -> str:
    """Without what moves the cursor and colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


class TestTerminal:
    def test_it_shows_progress_and_ends_clean(self, here: Bench) -> None:
        here.accept("beta", act=TALKS)
        code, written = on_a_terminal(here, "build", "alpha", "beta")
        assert code == 0, written
        shown = visible(written)
        assert "beta 1.0" in shown and "build" in shown
        assert "alpha==1.0+pb.1: published" in shown
        # The cursor is hidden while the line moves, and shown again.
        assert written.rfind("\x1b[?25h") > written.rfind("\x1b[?25l")

    def test_names_are_no_markup(self, here: Bench) -> None:
        here.accept("beta", act="raise SystemExit('[/bold] [red]what[/red]')")
        code, written = on_a_terminal(here, "build", "beta")
        assert code == 10
        assert "[/bold] [red]what[/red]" in visible(written)
        assert "Traceback (most recent call last)\n" not in written.replace("    | ", "")

    def test_ctrl_c(self, here: Bench) -> None:
        here.accept("beta", act="print('begun', flush=True)\nimport time; time.sleep(60)")
        code, written = on_a_terminal(here, "build", "beta", interrupt=True)
        assert code == 130
        assert "Traceback" not in written and "interrupted" in written
        assert written.rfind("\x1b[?25h") > written.rfind("\x1b[?25l")
        here.check_sound()


class TestShowAndLog:
    def test_show(self, here: Bench) -> None:
        here.build("alpha")
        here.rebuild("alpha==1.0")
        document = here.pybuild("show", "Alpha", "--json").json
        assert set(document) == {"name", "builds", "screening"}
        assert document["name"] == "alpha"
        assert [build["number"] for build in document["builds"]] == [2, 1]
        assert [build["state"] for build in document["builds"]] == ["published", "published"]
        lines = here.pybuild("show", "alpha").stdout.splitlines()
        assert lines[0] == "alpha: specs/alpha.toml, pins: 1.0"
        assert "host/alpha==1.0+pb.2" in lines[1] and "sealed" in lines[1]

    def test_show_a_failure(self, here: Bench) -> None:
        here.accept("beta", act="raise SystemExit(1)")
        here.build("beta", code=10)
        [build] = here.pybuild("show", "beta", "--json").json["builds"]
        assert (build["build"], build["number"], build["state"]) == (None, None, "failed")
        assert Path(build["wheels"][0]["log"]).is_file()

    def test_show_what_is_not_there(self, here: Bench) -> None:
        ran = here.pybuild("show", "alhpa")
        assert ran.code == 2 and "did you mean alpha" in ran.stderr and "pybuild new alhpa" in ran.stderr
        assert here.pybuild("show", "no name!").code == 2

    @pytest.mark.parametrize(
        "form", ["alpha", "alpha==1.0", "alpha==1.0+pb.1", "host/alpha==1.0+pb.1", "ATTEMPT", "host/alpha"]
    )
    def test_log_by_every_name_of_a_build(self, here: Bench, form: str) -> None:
        here.build("alpha")
        [attempt] = here.attempts("alpha")
        ran = here.pybuild("log", form.replace("ATTEMPT", attempt["id"]))
        assert ran.code == 0 and "from the backend" in ran.stdout

    @pytest.mark.parametrize(
        "form", ["beta", "alpha==2", "alpha==1.0+pb.7", "other/alpha", "alpha==one", "==", "a/b/c"]
    )
    def test_log_of_what_is_not_there(self, here: Bench, form: str) -> None:
        here.build("alpha")
        ran = here.pybuild("log", form)
        assert ran.code == 2 and "do: " in ran.stderr and ran.stdout == ""

    def test_following_gives_the_same_bytes_as_the_record(self, here: Bench) -> None:
        here.accept("beta", act=TALKS)
        with here.start("build", "beta") as build:
            wait_for(lambda: here.state.glob("work/*/record/build.log") and here.running_log())
            follower = subprocess.run(
                here.argv("log", "-f", "beta"), env=clean_environ(here.root), capture_output=True, timeout=30
            )
            build.wait(timeout=20)
        assert follower.returncode == 0, follower.stderr
        [log] = here.state.glob("store/records/*/*/build.log")
        assert follower.stdout == log.read_bytes()
        assert SPOKEN in follower.stdout

    def test_following_what_has_ended_ends(self, here: Bench) -> None:
        here.build("alpha")
        assert "from the backend" in here.pybuild("log", "-f", "alpha", timeout=10).stdout

    def test_following_a_build_that_is_killed_ends(self, here: Bench) -> None:
        here.accept("beta", act="print('begun', flush=True)\nimport time; time.sleep(60)")
        with here.start("build", "beta") as build:
            wait_for(here.running_log)
            with here.start("log", "-f", "beta") as follower:
                assert follower.stdout
                assert [follower.stdout.readline() for _ in range(3)] == ["hook requires\n", "hook wheel\n", "begun\n"]
                build.kill()
                build.wait()
                follower.communicate(timeout=10)
        assert follower.returncode == 0

    def test_a_log_that_is_gone(self, here: Bench) -> None:
        here.build("alpha")
        [log] = here.state.glob("store/records/*/*/build.log")
        log.unlink()
        ran = here.pybuild("log", "alpha")
        assert ran.code == 2 and str(log) in ran.stderr


def test_what_builds_nothing_loads_nothing_that_builds() -> None:
    commands = (
        "audit",
        "challenge",
        "diff",
        "doctor",
        "graph",
        "index",
        "key",
        "locks",
        "review",
        "sbom",
        "show",
        "specs",
    )
    code = f"import sys, {', '.join(f'pybuilder.cli.{name}' for name in commands)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pybuilder.cli.session", "pybuilder.packages", "pybuilder.pipeline"} & set(done.stdout.split())

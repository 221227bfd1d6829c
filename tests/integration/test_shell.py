"""``pybuild shell`` and ``pybuild buildroot shell``: a person, or a script, inside the sandbox of a prepared build."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.distribution import missing_tools
from tests.support.fedora import NAME, fedora_bench, lock
from tests.support.workspaces import Bench, clean_environ

ENGINES = ("host", "podman")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    if lacking := missing_tools():
        pytest.fail(lacking)
    with fedora_bench(tmp_path_factory.mktemp("shell")) as made:
        made.accept("alpha", module="PLACE = 'here'\n")
        made.patch("alpha", "tiny.json", "here", "patched")
        made.accept("broken", act="raise SystemExit(3)")
        lock(made)
        yield made


@pytest.fixture(params=ENGINES)
def here(request: pytest.FixtureRequest, both: Bench) -> Iterator[Bench]:
    both.settings(f'buildroot = "{"host" if request.param == "host" else NAME}"\n')
    yield both
    both.check_sound()


def typed(here: Bench, script: str, *arguments: str) -> str:
    """What a shell prints for a script on its standard input."""
    with here.start(*arguments, stdin=subprocess.PIPE) as process:
        stdout, stderr = process.communicate(script, timeout=90)
    assert process.returncode == 0, stderr
    return str(stdout)


class TestScript:
    def test_a_prepared_build(self, here: Bench) -> None:
        said = typed(here, "pwd; id -u; cat tiny.json; command -v python; echo $SOURCE_DATE_EPOCH\n", "shell", "alpha")
        lines = said.splitlines()
        assert lines[:2] == ["/build/alpha-1.0", "1000"]
        assert "PLACE = 'patched'" in said
        assert "/env/bin/python" in lines
        assert lines[-1].isdigit()

    def test_it_is_sealed(self, here: Bench) -> None:
        script = "cat /proc/net/dev | tail -n +3 | cut -d: -f1; touch /usr/x 2>&1; ls -R /.pybuild\n"
        said = typed(here, script, "shell", "alpha==1.0")
        assert re.search(r"^\s*lo$", said, re.MULTILINE)
        assert "eth0" not in said
        assert "Read-only file system" in said
        assert "answers" not in said

    def test_what_failed_can_be_looked_into(self, here: Bench) -> None:
        failed = here.pybuild("build", "--json", "broken").json["failed"][0]
        assert "broken-1.0" in typed(here, "pwd\n", "shell", failed["attempt"])

    def test_a_shell_that_fails_is_the_persons_business(self, here: Bench) -> None:
        assert typed(here, "echo before; exit 7\n", "shell", "alpha") == "before\n"

    def test_a_root(self, here: Bench) -> None:
        said = typed(here, "ls /; echo $VIRTUAL_ENV; ls /env/bin\n", "buildroot", "shell")
        assert {"usr", "build", "out", "python"} <= set(said.split())

    def test_nothing_of_it_is_kept(self, here: Bench) -> None:
        typed(here, "touch /build/left /tmp/left\n", "shell", "alpha")
        assert not list(here.state.rglob("left"))
        assert typed(here, "ls /build /tmp\n", "shell", "alpha").count("left") == 0

    def test_an_unknown_package(self, here: Bench) -> None:
        ran = here.pybuild("shell", "nobody")
        assert ran.code == 40
        assert "nobody has accepted" in ran.stderr

    def test_input_that_nobody_reads_any_more(self, here: Bench) -> None:
        assert typed(here, "echo before; exit\n" + "x" * 300_000, "shell", "alpha") == "before\n"

    def test_input_that_is_read_slowly(self, here: Bench) -> None:
        script = "sleep 1; n=0\n" + "n=$((n + 1))\n" * 20_000 + "echo $n\n"
        assert typed(here, script, "shell", "alpha") == "20000\n"

    def test_a_file_as_input(self, here: Bench, tmp_path: Path) -> None:
        script = tmp_path / "script"
        script.write_text("echo $((40 + 2))\n")
        with script.open() as stream, here.start("shell", "alpha", stdin=stream) as process:
            assert process.communicate(timeout=90)[0] == "42\n"


class TestTerminal:
    def test_a_person_has_a_terminal_of_their_own_size(self, here: Bench) -> None:
        said = at_terminal(here, b"tty; stty size; echo $((40 + 2))\nexit\n", "shell", "alpha")
        assert "/dev/pts/0" in said
        assert "31 91" in said
        assert "\r\n42\r\n" in said


def at_terminal(here: Bench, keys: bytes, *arguments: str) -> str:
    """What a terminal of 31 rows and 91 columns shows of a shell into which somebody types."""
    child, terminal = pty.fork()
    if child == 0:
        argv = here.argv(*arguments)
        os.execve(argv[0], argv, {**clean_environ(here.root), "TERM": "xterm"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 91, 0, 0))
    shown, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline and select.select([terminal], [], [], 60)[0]:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        shown += piece
        if keys and b"$ " in shown:
            os.write(terminal, keys)
            keys = b""
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, shown.decode()
    return shown.decode(errors="replace")

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from pybuilder import processes
from pybuilder.errors import EngineError
from pybuilder.processes import install_command, process_identity, run, spawn
from tests.support.sandbox import processes_with, wait_for


def test_what_it_prints_and_how_it_ends(tmp_path: Path) -> None:
    script = "pwd; echo $WORD; echo no >&2; cat; exit 3"
    completed = run(["sh", "-c", script], cwd=tmp_path, env={"PATH": os.defpath, "WORD": "word"}, input=b"in")
    assert completed.returncode == 3
    assert completed.stdout == f"{tmp_path}\nword\nin".encode()
    assert completed.stderr == b"no\n"


def test_nothing_to_read_unless_given() -> None:
    assert run(["cat"], timeout=10).stdout == b""


def test_our_environment_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORD", "ours")
    assert run(["sh", "-c", "echo $WORD"]).stdout == b"ours\n"


def test_descriptors_are_not_inherited_unless_named() -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        assert run(["sh", "-c", f"test ! -e /proc/self/fd/{write}"]).returncode == 0
        with spawn(["sh", "-c", f"echo x > /proc/self/fd/{write}"], pass_fds=(write,)) as process:
            process.wait()
        assert os.read(read, 10) == b"x\n"
    finally:
        os.close(read)
        os.close(write)


def test_output_in_the_order_it_was_written() -> None:
    with spawn(["sh", "-c", "echo 1; echo 2 >&2; echo 3"], merge_output=True) as process:
        stdout, stderr = process.communicate()
    assert (stdout, stderr) == (b"1\n2\n3\n", None)


def test_a_program_that_is_missing() -> None:
    with pytest.raises(EngineError, match="'no-such-program' is missing") as caught:
        run(["no-such-program"])
    assert "no-such-program" in caught.value.cure


def test_a_directory_that_is_missing_is_not_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run(["true"], cwd=tmp_path / "nowhere")


def test_one_that_is_killed_says_nothing_of_what_it_was_asked() -> None:
    with pytest.raises(EngineError, match="sh was ended by a signal: Killed") as refused:
        run(["sh", "-c", "kill -9 $$"])
    assert "run the same command again" in str(refused.value)


def test_too_slow(tmp_path: Path) -> None:
    """With everything that it started."""
    word = f"marker-{tmp_path}"
    started = time.monotonic()
    with pytest.raises(EngineError, match="sh was still running after 1 s") as caught:
        run(["sh", "-c", "sleep 600 & sh -c 'sleep 600; true' $0; true", word], timeout=1)
    assert word in caught.value.where
    assert time.monotonic() - started < 5
    assert wait_for(lambda: not processes_with(word), 2)


@pytest.mark.parametrize("ignoring", ["", "trap '' TERM INT HUP; "])
def test_leaving_the_block_ends_it(ignoring: str, tmp_path: Path) -> None:
    word = f"marker-{tmp_path}"
    with pytest.raises(KeyboardInterrupt), spawn(["sh", "-c", f"{ignoring}sleep 600; true", word]) as process:
        assert wait_for(lambda: processes_with(word), 5)
        raise KeyboardInterrupt
    assert process.returncode == -9
    assert wait_for(lambda: not processes_with(word), 2)
    assert process.stdout is not None
    assert process.stdout.closed


@pytest.mark.parametrize(
    ("release", "program", "command"),
    [
        ({"ID": "fedora"}, "bwrap", "dnf install bubblewrap"),
        ({"ID": "almalinux", "ID_LIKE": "rhel centos fedora"}, "Python.h", "dnf install python3-devel"),
        ({"ID": "debian"}, "Python.h", "apt-get install python3-dev"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "podman", "apt-get install podman"),
        ({"ID": "arch"}, "bwrap", "install bubblewrap with the system's package manager"),
    ],
)
def test_how_to_install(release: dict[str, str], program: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.platform, "freedesktop_os_release", lambda: release)
    assert install_command(program) == command


def test_how_to_install_where_nothing_says_which_distribution_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> dict[str, str]:
        raise FileNotFoundError("/etc/os-release")

    monkeypatch.setattr(processes.platform, "freedesktop_os_release", missing)
    assert install_command("bwrap") == "install bubblewrap with the system's package manager"


class TestIdentity:
    def test_alive(self) -> None:
        assert process_identity(os.getpid()) == process_identity(os.getpid())
        assert process_identity(os.getpid()).startswith(f"{os.getpid()}:")

    def test_dead_and_gone(self) -> None:
        process = subprocess.Popen(["sleep", "600"])
        assert process_identity(process.pid)
        process.kill()
        assert wait_for(lambda: process_identity(process.pid) == "", 5), "a zombie is no living process"
        process.wait()
        assert process_identity(process.pid) == ""

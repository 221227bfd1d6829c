"""The one place that starts processes."""

from __future__ import annotations

import os
import platform
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pybuilder import interruption
from pybuilder.errors import EngineError

# What a distribution calls it, where that is not the program's own name: for dnf, for apt-get.
_PACKAGES = {
    "bwrap": ("bubblewrap", "bubblewrap"),
    "gcc": ("gcc", "gcc libc6-dev"),
    "git": ("git-core", "git"),
    "Python.h": ("python3-devel", "python3-dev"),
}


_PATIENCE = 30.0  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """How a process ended, and all it printed."""

    returncode: int
    stdout: bytes
    stderr: bytes


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    input: bytes | None = None,
) -> Completed:
    """Run a short program to its end and keep what it prints.

    Args:
        argv: The program and its arguments.
        cwd: Where it runs.
        env: Its whole environment; None passes ours on.
        timeout: Seconds after which it is killed, with all that it started.
        input: What it reads on standard input; None gives it nothing to read.

    Raises:
        EngineError: The program is not installed, it was killed, or it was still running after ``timeout``.
    """
    with spawn(argv, cwd=cwd, env=env, input_pipe=input is not None) as process:
        try:
            stdout, stderr = communicate(process, input, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"{argv[0]} was still running after {timeout:.0f} s", where=" ".join(argv)) from error
    if process.returncode < 0:
        name = signal.strsignal(-process.returncode) or f"signal {-process.returncode}"
        raise EngineError(
            f"{Path(argv[0]).name} was ended by a signal: {name}",
            where=" ".join(argv),
            cure="run the same command again; where memory ran out, the kernel's log says so",
        )
    return Completed(returncode=process.returncode, stdout=stdout, stderr=stderr)


def communicate(
    process: subprocess.Popen[bytes], input: bytes | None = None, *, timeout: float | None = None
) -> tuple[bytes, bytes]:
    """Give a process its input, wait for its end, and return what it printed on standard output and error.

    Raises:
        KeyboardInterrupt: This thread was told to end.
        subprocess.TimeoutExpired: It was still running after ``timeout``.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            stdout, stderr = process.communicate(input, timeout=interruption.patience(left))
        except subprocess.TimeoutExpired:
            interruption.check()
            if deadline is not None and time.monotonic() >= deadline:
                raise
            input = None  # it keeps what it could not send yet
        else:
            return stdout, stderr


def wait_for(process: subprocess.Popen[bytes], *, unless: int | None = None) -> bool:
    """Wait for a process's own end, whoever else has its output open; it is not reaped.

    Args:
        process: The process.
        unless: A descriptor; once that can be read it is not waited for any longer.

    Returns:
        Whether it has ended, and there is nothing to read.

    Raises:
        KeyboardInterrupt: This thread was told to end.
    """
    descriptor = os.pidfd_open(process.pid)
    try:
        either = select.poll()
        either.register(descriptor, select.POLLIN)
        if unless is not None:
            either.register(unless, select.POLLIN)
        while not (found := either.poll(interruption.TICK * 1000)):
            interruption.check()
        return unless not in dict(found)
    finally:
        os.close(descriptor)


@contextmanager
def spawn(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input_pipe: bool = False,
    merge_output: bool = False,
    pass_fds: tuple[int, ...] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """A running process in a session of its own; when the block is left, however it is left, it is dead.

    Args:
        argv: The program and its arguments.
        cwd: Where it runs.
        env: Its whole environment; None passes ours on.
        input_pipe: Whether its standard input is a pipe; else it reads nothing.
        merge_output: Whether standard error goes where standard output goes, in the order it was written.
        pass_fds: File descriptors it inherits.

    Raises:
        EngineError: The program is not installed.
    """
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE if input_pipe else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge_output else subprocess.PIPE,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError) as error:
        if cwd is not None and not cwd.is_dir():
            raise
        raise EngineError(f"the program {argv[0]!r} is missing", cure=install_command(argv[0])) from error
    try:
        yield process
    finally:
        kill_group(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def start_service(argv: Sequence[str], *, env: Mapping[str, str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a program that outlives us, in a session of its own, and ends by itself.

    Args:
        argv: The program and its arguments.
        env: Its whole environment.
        output: The file for what it prints.

    Raises:
        EngineError: The program is not installed.
    """
    try:
        return subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
    except (FileNotFoundError, PermissionError) as error:
        raise EngineError(f"the program {argv[0]!r} is missing", cure=install_command(argv[0])) from error


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process of ``spawn`` with its whole session, and reap it.

    One that has ended may have left children; its number is theirs and nobody else's until it is reaped.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def namespace_of(first: int | None) -> Iterator[None]:
    """When the block is left, however it is left, no process of a PID namespace lives: it could still write.

    The first process of a PID namespace ends after all others (pid_namespaces(7)), so it is killed and its end awaited.

    Args:
        first: A descriptor of that process, which is closed; None if it has ended.

    Raises:
        EngineError: The kernel doesn't end them.
    """
    try:
        yield
    finally:
        if first is not None:
            kill_process(first)
            ended = select.poll()
            ended.register(first, select.POLLIN)
            gone = ended.poll(_PATIENCE * 1000)
            os.close(first)
            if not gone:
                raise EngineError(
                    f"sandboxed processes are still there {_PATIENCE:.0f} s after they were killed",
                    cure="look for processes in state D: a disk or a network file system may hang",
                )


def kill_process(process: int) -> None:
    """Kill a process by a descriptor of it, unless it has ended."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)


def bubblewrap_child(process: subprocess.Popen[bytes], info: int) -> int | None:
    """A descriptor of the first process in a bubblewrap, as it tells on its ``--info-fd``; None if it has ended."""
    number = bubblewrap_child_number(process, info)
    try:
        return None if number is None else os.pidfd_open(number)
    except ProcessLookupError:
        return None


def bubblewrap_child_number(process: subprocess.Popen[bytes], info: int) -> int | None:
    """The number of the first process in a bubblewrap, as it tells on its ``--info-fd``; None if none was started.

    A bubblewrap that was killed before it told leaves a child that waits for it for ever, with the pipe open.
    """
    told = b""
    while b"}" not in told:
        if wait_for(process, unless=info):
            kill_group(process)
            return None
        if not (piece := os.read(info, 4096)):
            break
        told += piece
    found = re.search(rb'"child-pid":\s*(\d+)', told)
    return int(found[1]) if found else None


def install_command(program: str) -> str:
    """The command that installs a program on this distribution."""
    dnf, apt = _PACKAGES.get(program, (program, program))
    family = _distribution()
    # Asked of the distribution, since each manager can be installed on the other's.
    if family & {"fedora", "rhel", "centos"}:
        return f"dnf install {dnf}"
    if family & {"debian", "ubuntu"}:
        return f"apt-get install {apt}"
    return f"install {dnf} with the system's package manager"


def _distribution() -> frozenset[str]:
    """The names of this distribution and of those it is like (os-release(5))."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return frozenset()
    return frozenset({release["ID"], *release.get("ID_LIKE", "").split()})


def process_identity(pid: int) -> str:
    """A process's number and start time, ``1234:567890``, or empty if there is no such process.

    Numbers are handed out again; together with the start time (proc(5), /proc/PID/stat, field 22) they are not.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] == "Z" else f"{pid}:{fields[19]}"

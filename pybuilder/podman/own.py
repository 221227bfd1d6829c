"""Our own podman services: started when they are needed, in a directory that is nobody else's.

One ends by itself two seconds after the last of us has hung up, however we ended.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from pybuilder import interruption
from pybuilder.errors import EngineError
from pybuilder.files import file_lock
from pybuilder.podman import monitor
from pybuilder.podman.service import Service, call
from pybuilder.processes import start_service

_LINGER = 2  # seconds
_START_TIMEOUT = 30.0


def installed(runtime: str) -> bool:
    """Whether a runtime is there for podman, which also looks where ordinary users don't."""
    return shutil.which(runtime, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin") is not None


def call_or_start(path: Path, runtime: str, environ: Mapping[str, str]) -> Service:
    """Call a service of ours, started unless it is there.

    Args:
        path: Its socket, in ``runtime_directory``.
        runtime: The OCI runtime; empty for podman's choice.
        environ: The environment to start it with.

    Raises:
        EngineError: It does not start, or it is too old.
    """
    # Two of us must not start the same one, nor one hang up between the other's look and its call.
    with file_lock(path.with_suffix(".lock")):
        if not silence(path):
            with contextlib.suppress(EngineError):  # it may have been about to end
                return call(path, runtime)
        _start(path, runtime, environ)
        return call(path, runtime)


def runtime_directory(environ: Mapping[str, str]) -> Path:
    """The directory of our own services' sockets, for nobody but us; its path is short, as sockets want it.

    Raises:
        EngineError: Somebody else has made it.
    """
    base = environ.get("XDG_RUNTIME_DIR") if os.geteuid() else "/run"
    directory = Path(base, "pybuild") if base and os.access(base, os.W_OK) else Path(f"/tmp/pybuild-{os.geteuid()}")
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise EngineError(
            "the directory for podman's socket is not ours alone",
            where=str(directory),
            cure=f"remove it, or set XDG_RUNTIME_DIR to a directory of yours: rm -r {directory}",
        )
    return directory


def silence(path: Path) -> str:
    """Why nobody can be called at a socket; empty if somebody listens there."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _start(path: Path, runtime: str, environ: Mapping[str, str]) -> None:
    """Start a service and wait until it listens.

    Raises:
        EngineError: It ended instead, in its own words.
    """
    path.unlink(missing_ok=True)
    log = path.with_suffix(".log")
    chosen = ["--runtime", runtime] if runtime else []
    monitored = monitor.options(path.parent)
    argv = ["podman", *chosen, *monitored, "system", "service", f"--time={_LINGER}", f"unix://{path}"]
    with log.open("wb") as output:
        # With one of these podman would be a client of another service.
        ours = {
            name: value for name, value in environ.items() if name not in ("CONTAINER_HOST", "CONTAINER_CONNECTION")
        }
        process = start_service(argv, env=ours, output=output)
    deadline = time.monotonic() + _START_TIMEOUT
    try:
        while silence(path):
            if process.poll() is not None or time.monotonic() > deadline:
                raise EngineError(
                    f"podman's service does not start: {last_words(log.read_text(errors='replace'))}",
                    where=str(log),
                    cure="see `pybuild doctor`; `podman info` must work",
                )
            interruption.sleep(0.01)
    except BaseException:
        _end(process)
        raise


def last_words(log: str) -> str:
    """What podman says last, without the time and the level that it begins a line with."""
    lines = log.strip().splitlines() or ["it says nothing"]
    found = re.search(r'msg="((?:[^"\\]|\\.)*)"', lines[-1])
    return found[1].replace('\\"', '"') if found else lines[-1].removeprefix("Error: ")


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.wait()

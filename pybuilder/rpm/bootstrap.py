"""rpm in the bootstrap container, for who is not root or has no rpm: ``Containerfile`` describes it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybuilder.errors import EngineError
from pybuilder.events import Listener, Preparing
from pybuilder.files import file_lock
from pybuilder.layout import Layout
from pybuilder.podman import Services, process_limits
from pybuilder.processes import run
from pybuilder.rpm.install import SCRIPT, TIME_LIMIT, Ran, Transaction, script_environment

IMAGE = "localhost/pybuild-bootstrap:1"
"""Raise its number when ``Containerfile`` has to hold something else."""

_BUILD_TIMEOUT = 1800.0
_LIFE = "life"
_STATUS = "status"
_SAID = "said"
_NO_STATUS = 255
# As the first process: end everything once nobody outside holds the pipe any more, whatever killed them.
_FIRST = """
{ read -r _; kill -KILL -1; } </work/life &
"$@" &
wait "$!"
echo "$?" >/work/status
"""
_RECLAIM = ("/bin/sh", "-c", "chown -hR 0:0 /work && chmod -R u+rwX /work")


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerInstaller:
    """rpm as root of a rootless container, with no network, that sees the RPMs and its work.

    Attributes:
        services: The podman services to be had.
        layout: Where the lock is under which the image is built.
        listen: Told when it has to be, which takes a minute and the network.
        time_limit: Seconds that a transaction may take.
    """

    services: Services
    layout: Layout
    listen: Listener
    time_limit: float = TIME_LIMIT

    def run(self, transaction: Transaction) -> Ran:
        """Run a transaction; see ``Installer.run``."""
        script = ["/bin/sh", "/transaction.sh", *transaction.arguments]
        mounts = [
            _bind(SCRIPT, "/transaction.sh", "ro"),
            _bind(transaction.store, "/rpms", "ro"),
            *([_bind(transaction.base, "/base", "ro")] if transaction.base else ()),
        ]
        self._provide_image()
        status = _NO_STATUS
        try:
            status = self._run(transaction.work, script, mounts)
        finally:
            if status:
                self._run(transaction.work, _RECLAIM, ())
        return Ran(status=status, said="")

    def reclaim(self, directory: Path) -> None:
        """Make everything in a directory ours, the user's, which a transaction that was cut off has not done."""
        self._provide_image()
        self._run(directory, _RECLAIM, ())

    def _run(self, work: Path, argv: Sequence[str], mounts: Sequence[Mapping[str, Any]]) -> int:
        spec = _container(work, argv, mounts, self.time_limit)
        with _life(work / _LIFE):
            service = self.services.started(spec)
            try:
                service.wait(spec["name"])
            finally:
                self.services.remove(spec["name"])
        # The container removes itself, so that none stays behind if we die; its exit code may go with it.
        status = work / _STATUS
        try:
            return int(status.read_text())
        except (FileNotFoundError, ValueError):
            return _NO_STATUS
        finally:
            for name in (_STATUS, _SAID):
                (work / name).unlink(missing_ok=True)

    def _provide_image(self) -> None:
        """Build the image unless it is there; one of them at a time.

        Raises:
            EngineError: It can't be built.
        """
        if self.services.has_image(IMAGE):
            return
        with file_lock(self.layout.lock("bootstrap-image")):
            if not self.services.has_image(IMAGE):
                self.listen(Preparing(what=f"building the bootstrap container, {IMAGE}"))
                _build_image()


def _build_image() -> None:
    # chroot: no OCI runtime is needed for it, which may be one that does not work here.
    argv = ["podman", "build", "--isolation=chroot", "--quiet", "--tag", IMAGE, str(SCRIPT.parent)]
    done = run(argv, timeout=_BUILD_TIMEOUT)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise EngineError(
            f"the bootstrap container can't be built: {said[-1] if said else 'podman says nothing'}",
            where=str(SCRIPT.with_name("Containerfile")),
            cure="podman build --build-arg BASE=IMAGE --tag "
            f"{IMAGE} {SCRIPT.parent}, with an image that this machine has or can fetch",
        )


def _container(work: Path, argv: Sequence[str], mounts: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, Any]:
    return {
        "name": f"pybuild-rpm-{work.name.strip('.')}",
        "image": IMAGE,
        "stdin": True,
        "command": ["/bin/sh", "-c", _FIRST, "sh", *argv],
        "env": script_environment(seconds),
        "unsetenvall": True,
        "httpproxy": False,
        "netns": {"nsmode": "none"},
        # To mount the base under the layer, and /proc in a namespace of its own, which the kernel only allows where
        # nothing of the outer /proc is hidden. All of it within the user's own namespace.
        "cap_add": ["SYS_ADMIN"],
        "unmask": ["ALL"],
        "mounts": [*mounts, _bind(work, "/work", "rw")],
        "work_dir": "/",
        "r_limits": process_limits(processes=4096),
        "log_configuration": {"driver": "k8s-file", "path": str(work / _SAID), "size": 1 << 20},
        "remove": True,
    }


def _bind(source: Path, target: str, mode: str) -> dict[str, Any]:
    options = [mode, "bind", "rprivate", "nodev"]
    return {"type": "bind", "source": str(source), "destination": target, "options": options}


@contextlib.contextmanager
def _life(pipe: Path) -> Iterator[None]:
    """A named pipe that is open as long as we live and the block lasts."""
    pipe.unlink(missing_ok=True)  # a killed run may have left it
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield
    finally:
        os.close(descriptor)
        pipe.unlink()

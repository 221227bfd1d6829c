"""podman's services: the machine's own where it answers, else ours, started on demand, with a runtime that works."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pybuilder import interruption
from pybuilder.errors import EngineError
from pybuilder.podman.own import call_or_start, installed, runtime_directory, silence
from pybuilder.podman.service import Refused, Service, Unanswered, call
from pybuilder.processes import install_command

T = TypeVar("T")

RUNTIMES = ("crun", "runc")


@dataclass(kw_only=True, slots=True)
class Services:
    """The services that there are or can be started, opened when they are needed, closed together.

    Safe to use from several threads at once.

    Attributes:
        environ: Our environment, which podman's own settings come from.
        preferred: The runtime to begin with, if it is known which one works.
        learn: Told which one does.
        working: The service that has started the last container, once one has.
    """

    environ: Mapping[str, str]
    preferred: str = ""
    learn: Callable[[str], None] = lambda runtime: None
    working: Service | None = None
    _open: dict[Path, Service] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def started(self, spec: Mapping[str, Any]) -> Service:
        """Make and start a container: with the service that works here, else with the first that does.

        Args:
            spec: As ``Service.create`` takes it, with a name.

        Raises:
            EngineError: None does; with what each says.
        """
        refusals: dict[str, None] = {}
        for service in self.each():
            try:
                if refusals:  # a service that was ended may have left it half made
                    service.remove(spec["name"])
                # Interrupted in between, podman would go on making it after it was told to remove it.
                with interruption.held_back():
                    service.create(spec)
                service.start(spec["name"])
            except Refused as error:
                refusals[_told_by(service, error)] = None
                self._clean_up(service, spec["name"], error)
                continue
            except BaseException:
                with contextlib.suppress(Refused):
                    service.remove(spec["name"])
                raise
            self._remember(service)
            return service
        raise EngineError(f"podman can't start a container here: {'; '.join(refusals)}", cure=self._cure())

    def remove(self, container: str) -> None:
        """End a container at once and forget it, by whichever service answers; one that is gone is no error.

        Raises:
            EngineError: None does, or it says no.
        """
        self._answered(lambda service: service.remove(container))

    def has_image(self, name: str) -> bool:
        """Whether there is an image of that name, by whichever service answers.

        Raises:
            EngineError: None does, or it says no.
        """
        return self._answered(lambda service: service.has_image(name))

    def each(self) -> Iterator[Service]:
        """The services to try, one after the other, started when it is their turn.

        Where one is named it is the only one. Else the one that has worked comes first; then the machine's own, since
        an administrator may have set it up; then ours, each with another runtime, since crun refuses some machines'
        control groups, and runc others'.

        Raises:
            EngineError: podman is not installed, too old, or its service does not start.
        """
        if shutil.which("podman") is None:
            raise EngineError("the program 'podman' is missing", cure=install_command("podman"))
        # Another thread may find one that works meanwhile, which this one has yet to try.
        first = self.working
        if first and self._open.get(first.socket) is first:
            yield first
        for path, runtime in self._candidates():
            service = self._opened(path, runtime)
            if service is not first:
                yield service

    def close(self) -> None:
        """Hang up on all of them."""
        with self._lock:
            for service in self._open.values():
                service.close()
            self._open.clear()

    def _answered(self, ask: Callable[[Service], T]) -> T:
        """What the first service says that answers; one that does not may have died, and is let go."""
        for service in self.each():
            try:
                return ask(service)
            except Unanswered as error:
                self._drop(service)
                last = error
        raise last

    def _cure(self) -> str:
        """What to do where no container can be started."""
        with contextlib.suppress(Refused):
            for service in self.each():
                if os.geteuid() and service.subordinate_ids() < 1:
                    ids = "100000-165535"
                    return f"sudo usermod --add-subuids {ids} --add-subgids {ids} $USER && podman system migrate"
                break
        return "see `pybuild doctor`"

    def _candidates(self) -> Sequence[tuple[Path, str]]:
        """Where services are or will be, and with which runtime."""
        if named := named_socket(self.environ):
            return [(named, "")]
        usual = usual_socket(self.environ)
        theirs = [(usual, "")] if usual and not silence(usual) else []
        runtimes = sorted(filter(installed, RUNTIMES), key=lambda runtime: runtime != self.preferred)
        directory = runtime_directory(self.environ)
        ours = [(directory / f"{runtime}.sock", runtime) for runtime in runtimes or [""]]
        return [ours[0], *theirs, *ours[1:]] if self.preferred in runtimes else [*theirs, *ours]

    def _opened(self, path: Path, runtime: str) -> Service:
        with self._lock:
            if path not in self._open:
                ours = path.parent == runtime_directory(self.environ)
                self._open[path] = call_or_start(path, runtime, self.environ) if ours else call(path, runtime)
            return self._open[path]

    def _clean_up(self, service: Service, container: str, error: Refused) -> None:
        """Forget a container that could not be started, and a service that is gone."""
        if isinstance(error, Unanswered):
            self._drop(service)
        else:
            with contextlib.suppress(Refused):
                service.remove(container)

    def _drop(self, service: Service) -> None:
        with self._lock:
            if self._open.get(service.socket) is service:
                del self._open[service.socket]
                service.close()

    def _remember(self, service: Service) -> None:
        self.working = service
        if service.runtime and service.runtime != self.preferred:
            self.preferred = service.runtime
            self.learn(service.runtime)


def _told_by(service: Service, error: Refused) -> str:
    name = service.runtime or str(service.socket)
    # runc says its name first, and podman the runtime's before that.
    return f"{name}: {error.what.removeprefix(f'{name}: ')}"


def process_limits(*, processes: int, files: int = 1 << 14) -> list[dict[str, Any]]:
    """Limits of each process as the API takes them (``r_limits``), within our own hard limits.

    podman's defaults are above those of many services, and only a process with CAP_SYS_RESOURCE may raise them.
    """
    kinds = {"nofile": (resource.RLIMIT_NOFILE, files), "nproc": (resource.RLIMIT_NPROC, processes)}
    return [{"type": name, **dict.fromkeys(("soft", "hard"), _within(*kind))} for name, kind in kinds.items()]


def _within(kind: int, wanted: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)


def usual_socket(environ: Mapping[str, str]) -> Path | None:
    """Where the machine's own service listens, or the user's (podman-system-service(1))."""
    base = environ.get("XDG_RUNTIME_DIR") if os.geteuid() else "/run"
    return Path(base, "podman", "podman.sock") if base else None


def named_socket(environ: Mapping[str, str]) -> Path | None:
    """The socket of the service that somebody wants us to use, if they do.

    Raises:
        EngineError: It is on another machine, which has not our files, or it does not answer.
    """
    named = environ.get("CONTAINER_HOST", "")
    if not named:
        return None
    path = Path(named.removeprefix("unix://"))
    why = silence(path) if named.startswith("unix://") else "it is no socket of this machine"
    if why:
        raise EngineError(
            f"the podman service that is named does not answer: {why}",
            where=f"CONTAINER_HOST={named}",
            cure="start that service, or unset CONTAINER_HOST: pybuild starts podman by itself",
        )
    return path

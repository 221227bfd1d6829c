"""The systemd units that run ``pybuild cron`` by a timer (systemd.service(5), systemd.exec(5), systemd.timer(5)).

What of systemd's sandboxing is here leaves a build its own sandbox, which needs namespaces, mounts and a host name of
its own; ``tests/integration/test_units.py`` runs a build under it. What is not here, and why, is in docs/cron.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePath
from typing import Literal

from pybuilder.errors import LockedError, ReviewError, UsageError

DIRECTORY = "/etc/systemd/system"
SUCCESSES = (ReviewError.exit_code, LockedError.exit_code, 130)
"""What is no failure of the unit: something waits for a person, which the report tells; another pass is at work, which
does the same, and whose heartbeat would stop if it hung; it was stopped."""
LONGEST = timedelta(days=1)
"""A pass that takes longer hangs: builds have time limits of their own."""
STOP = 90
"""Seconds that an interrupted pass has to clear away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What is to be run.

    Attributes:
        workspace: Its directory.
        state: The state directory.
        program: How pybuild is called: an absolute path, and perhaps arguments.
        options: What stands before the command, but for those two and the log's format.
        arguments: The options of cron.
        user: Who runs it.
        uid: That user's number.
        home: That user's home directory.
        engine: What its builds run in.
        max_time: After how long cron starts no more builds, if it was told.
    """

    workspace: Path
    state: Path
    program: tuple[str, ...]
    options: tuple[str, ...]
    arguments: tuple[str, ...]
    user: str
    uid: int
    home: Path
    engine: Literal["host", "podman"]
    max_time: timedelta | None

    @property
    def name(self) -> str:
        """What its units are called, without suffix: systemd allows few characters (systemd.unit(5))."""
        return "pybuild-" + (re.sub(r"[^A-Za-z0-9_.]+", "-", self.workspace.name).strip("-.") or "workspace")

    def command(self, workspace: PurePath, state: PurePath) -> tuple[str, ...]:
        """What follows the program, with the places of these two."""
        places = ("--workspace", str(workspace), "--state", str(state))
        return (*places, "--log-format", "json", *self.options, "cron", *self.arguments)

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line."""
        return (*self.program, *self.command(self.workspace, self.state))

    @property
    def timeout(self) -> timedelta:
        """After how long it hangs."""
        return self.max_time + LONGEST if self.max_time else LONGEST


def units(job: Job) -> str:
    """Both units, each below a line with the file that it belongs into.

    Raises:
        UsageError: A path has characters in it that systemd takes nowhere, or not in a program's.
    """
    for text in (*job.argv, str(job.workspace), str(job.state)):
        if not text.isprintable():
            raise UsageError("a path or option with control characters can't be in a unit", where=repr(text))
    if re.search(r"[\"'\\]", job.program[0]):
        raise UsageError("systemd starts no program whose path has quotes or backslashes in it", where=job.program[0])
    files = ((f"{job.name}.service", _service(job)), (f"{job.name}.timer", _timer(job)))
    return "\n".join(f"# {DIRECTORY}/{name}\n" + "\n".join(lines) + "\n" for name, lines in files)


def _timer(job: Job) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description=Now and then {_plain(_described(job))}"
    yield ""
    yield "[Timer]"
    yield "OnCalendar=hourly"
    yield "# What was missed while the machine was off is made up for, and not by all machines at once."
    yield "Persistent=true"
    yield "RandomizedDelaySec=15min"
    yield ""
    yield "[Install]"
    yield "WantedBy=timers.target"


def _service(job: Job) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description={_plain(_described(job))}"
    yield "Wants=network-online.target"
    yield "After=network-online.target"
    yield f"RequiresMountsFor={_quoted(str(job.workspace))} {_quoted(str(job.state))}"
    if _rootless(job):
        yield "# podman without root needs its user's session, and so its control groups."
        yield f"Wants=user@{job.uid}.service"
        yield f"After=user@{job.uid}.service"
    yield ""
    yield "[Service]"
    yield from _running(job)
    yield ""
    yield from _confined(job)


def _running(job: Job) -> Iterator[str]:
    yield "Type=oneshot"
    yield f"User={job.user}"
    yield f"WorkingDirectory={_plain(str(job.workspace))}"
    yield f"ExecStart={' '.join((_quoted(job.argv[0]), *map(_argument, job.argv[1:])))}"
    waits, busy, stopped = SUCCESSES
    yield f"# {waits}: something waits for review; {busy}: another pass is at work; {stopped}: it was stopped."
    yield f"SuccessExitStatus={' '.join(map(str, SUCCESSES))}"
    yield f"TimeoutStartSec={int(job.timeout.total_seconds())}"
    yield "# As Ctrl-C: builds end and are cleared away; what is left after that is killed."
    yield "KillSignal=SIGINT"
    yield "KillMode=mixed"
    yield f"TimeoutStopSec={STOP}"
    yield "Nice=10"
    yield "IOSchedulingClass=best-effort"
    yield "IOSchedulingPriority=7"
    yield "# Accounts of faults are written there, and should outlive the pass."
    yield f"CacheDirectory={job.name}"
    yield f"Environment=TMPDIR=%C/{job.name}"
    if _rootless(job):
        yield f"Environment=XDG_RUNTIME_DIR=/run/user/{job.uid}"


_ALWAYS = (
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "UMask=0022",
    "KeyringMode=private",
)
# Root of a sandbox needs many; those of the machine's time, kernel and audit none does.
_CAPABILITIES = (
    "CapabilityBoundingSet=~CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_BLOCK_SUSPEND CAP_LINUX_IMMUTABLE CAP_MAC_ADMIN"
    " CAP_MAC_OVERRIDE CAP_SYS_BOOT CAP_SYS_MODULE CAP_SYS_PACCT CAP_SYS_RAWIO CAP_SYS_TIME CAP_SYS_TTY_CONFIG"
    " CAP_SYSLOG CAP_WAKE_ALARM"
)
_FILTERS = (
    "NoNewPrivileges=yes",
    "ProtectKernelModules=yes",
    "ProtectClock=yes",
    "RestrictRealtime=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap",
    "SystemCallErrorNumber=EPERM",
)


def _confined(job: Job) -> Iterator[str]:
    yield from _ALWAYS
    # An ordinary user's sandboxes get theirs from their own namespaces; newuidmap gets some by being root's.
    yield "CapabilityBoundingSet=" if job.engine == "host" and job.uid != 0 else _CAPABILITIES
    yield f"ReadWritePaths={' '.join(map(_quoted, _written(job)))}"
    if _rootless(job):
        yield "# No filter of system calls: systemd would set NoNewPrivileges, which podman's newuidmap can't bear."
    else:
        yield from _FILTERS
    if job.engine == "host":
        yield "PrivateDevices=yes"
        yield "RestrictSUIDSGID=yes"
        # A new /tmp would hide what is in the old one.
        needed = (Path(job.program[0]), job.workspace, job.state)
        if not any(path.is_relative_to(tmp) for path in needed for tmp in ("/tmp", "/var/tmp")):
            yield "PrivateTmp=yes"


def _written(job: Job) -> Iterable[str]:
    """What a pass writes to; a path that need not be there begins with a minus."""
    yield str(job.workspace)
    if not job.state.is_relative_to(job.workspace):
        yield str(job.state)
    if job.engine == "podman":
        # Sockets have short paths, and podman keeps its locks and containers where it always does.
        yield from ("/run", "/tmp", "/var/tmp", str(job.home) if job.uid else "-/var/lib/containers")


def _rootless(job: Job) -> bool:
    return job.engine == "podman" and job.uid != 0


def _described(job: Job) -> str:
    return f"pybuild: update and build {job.workspace.name}"


def _plain(text: str) -> str:
    """A text for a setting that takes the rest of the line."""
    return text.replace("%", "%%")


def _quoted(path: str) -> str:
    """A word of a list (systemd.syntax(7), "Quoting")."""
    escaped = _plain(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if re.search(r"[\s\"'\\;]", path) else escaped


def _argument(word: str) -> str:
    """A word of a command line, in which ``$`` is special as well (systemd.service(5), "Command lines")."""
    return _quoted(word).replace("$", "$$") or '""'

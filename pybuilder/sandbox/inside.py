"""The first process inside every sandbox. Standard library only, and no import of pybuild: it runs where we are not.

It is called with the descriptors of two pipes. It reads one line, the job; gives up its rights and sets limits; looks
around and reports the *seal*; waits for our word; runs the steps in order, reporting each; and ends. A step is

- ``{"do": "requires", ...}``: ``get_requires_for_build_wheel`` (PEP 517), answered by us with go or stop,
- ``{"do": "metadata", ...}``: ``prepare_metadata_for_build_wheel`` into ``/out/metadata``,
- ``{"do": "wheel", ...}``: ``build_wheel`` into ``/out``,
- ``{"do": "run", "argv": [...], "title": "..."}``: a program.

Everything that the steps print goes to standard output and error, which is the log.
"""

import contextlib
import errno
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

PYTHON = "/env/bin/python"
NAMESPACES = ("user", "pid", "mnt", "ipc", "uts", "cgroup", "net")
MUST_BE_READ_ONLY = ("/", "/usr", "/etc", "/env", "/proc/sys/kernel/core_pattern")

Step = Mapping[str, Any]
Job = dict[str, Any]


def main() -> int:
    """Talk to the outside on the two pipes named on the command line."""
    reader = os.fdopen(int(sys.argv[1]), "r", encoding="utf-8")
    writer = os.fdopen(int(sys.argv[2]), "w", encoding="utf-8")
    keep = max(reader.fileno(), writer.fileno()) + 1
    os.closerange(keep, keep + 64)
    job = json.loads(reader.readline())
    set_limits(job["limits"])
    become(job["uid"], job["gid"])
    os.umask(0o022)
    os.chdir(job["cwd"])
    os.makedirs(job["env"]["HOME"], exist_ok=True)
    talk = Talk(reader, writer)
    talk.tell("seal", **probe())
    if not talk.hear():
        return 1
    for step in job["steps"]:
        started = time.monotonic()
        try:
            result = DO[step["do"]](step, job)
        except StepFailed as error:
            talk.tell("failed", step=step["do"], message=str(error))
            return 1
        talk.tell("done", step=step["do"], seconds=time.monotonic() - started, result=result)
        if step["do"] == "requires" and not talk.hear():
            return 0
    return 0


class StepFailed(Exception):
    """A step ended badly; the message is for a person."""


class Talk:
    """One JSON object a line, both ways."""

    def __init__(self, reader: TextIO, writer: TextIO) -> None:
        self.reader, self.writer = reader, writer

    def tell(self, event: str, **facts: Any) -> None:
        """Report something."""
        self.writer.write(json.dumps({"event": event, **facts}) + "\n")
        self.writer.flush()

    def hear(self) -> bool:
        """Whether to go on; no answer is a no."""
        return self.reader.readline().strip() == "go"


def set_limits(limits: Mapping[str, int]) -> None:
    """Lower the hard limits; what the caller's own limits forbid stays as it is."""
    for name, value in limits.items():
        which = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def become(uid: int, gid: int) -> None:
    """Give up root where we have it; bubblewrap has done so already when an ordinary user started it."""
    if os.getuid() != uid:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)


def probe() -> dict[str, Any]:
    """What can be seen and done from in here, as facts; the outside judges them."""
    status = {}
    with open("/proc/self/status") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            status[name] = value.strip()
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "capabilities": {n: status[n] for n in ("CapInh", "CapPrm", "CapEff", "CapAmb")},
        "no_new_privs": status.get("NoNewPrivs"),
        "seccomp": status.get("Seccomp"),
        "interfaces": sorted(name for _, name in socket.if_nameindex()),
        "connect": connect_error(),
        "namespaces": {n: os.readlink("/proc/self/ns/" + n) for n in NAMESPACES},
        "pids": sorted(int(n) for n in os.listdir("/proc") if n.isdigit()),
        "host_name": socket.gethostname(),
        "writable": [path for path in MUST_BE_READ_ONLY if writable(path)],
        "root": sorted(os.listdir("/")),
    }


def connect_error() -> str:
    """The name of the error that a connection to a documentation address (RFC 5737) ends with."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe_socket:
        probe_socket.settimeout(1)
        try:
            probe_socket.connect(("192.0.2.1", 80))
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error.errno))
        return "connected"


def writable(path: str) -> bool:
    """Whether something can really be written there; asking is not enough on a read-only mount."""
    if os.path.isdir(path):
        name = os.path.join(path, ".pybuild-probe")
        try:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except OSError:
            return False
        os.unlink(name)
        return True
    try:
        os.close(os.open(path, os.O_WRONLY))
    except OSError:
        return False
    return True


def hook_caller(step: Step, job: Job) -> Any:
    """pyproject-hooks, run by the environment's interpreter."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from pyproject_hooks import BuildBackendHookCaller

    def runner(cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        run_checked(cmd, cwd, {**job["env"], **(extra_environ or {})})

    return BuildBackendHookCaller(
        job["cwd"], step["backend"], step["backend_path"] or None, runner=runner, python_executable=PYTHON
    )


def run_checked(argv: Sequence[str], cwd: str | None, env: Mapping[str, str]) -> None:
    """Run a program; a bad end becomes a sentence."""
    sys.stdout.flush()
    code = subprocess.call(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL)
    if code < 0:
        raise StepFailed(f"was ended by signal {-code}")
    if code:
        raise StepFailed(f"ended with exit code {code}")


def call_hook(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call a hook; what pyproject-hooks raises becomes a sentence, what the backend printed is in the log already."""
    from pyproject_hooks import BackendUnavailable, HookMissing, UnsupportedOperation

    try:
        return function(*arguments, **keywords)
    except HookMissing:
        raise
    except BackendUnavailable as error:
        print(error.traceback, flush=True)
        detail = (error.traceback or "").strip().rpartition("\n")[2]
        raise StepFailed(f"the build backend can't be imported: {detail}") from error
    except UnsupportedOperation as error:
        print(error.traceback, flush=True)
        raise StepFailed("the backend says that it can't build a wheel") from error


def do_requires(step: Step, job: Job) -> list[str]:
    """The requirements that only the backend knows, as strings."""
    caller = hook_caller(step, job)
    requires: list[str] = call_hook(caller.get_requires_for_build_wheel, step["config_settings"])
    if not isinstance(requires, list) or not all(isinstance(r, str) for r in requires):
        raise StepFailed("get_requires_for_build_wheel returned something other than a list of strings")
    return requires


def do_metadata(step: Step, job: Job) -> str | None:
    """The name of the dist-info directory below /out/metadata, or None where the backend has no such hook."""
    caller = hook_caller(step, job)
    os.makedirs("/out/metadata", exist_ok=True)
    from pyproject_hooks import HookMissing

    try:
        name: str = call_hook(
            caller.prepare_metadata_for_build_wheel,
            "/out/metadata",
            step["config_settings"],
            _allow_fallback=False,
        )
    except HookMissing:
        return None
    job["metadata_directory"] = os.path.join("/out/metadata", name)
    return name


def do_wheel(step: Step, job: Job) -> str:
    """The file name of the wheel below /out."""
    caller = hook_caller(step, job)
    prepared = job.get("metadata_directory")
    name = call_hook(caller.build_wheel, "/out", step["config_settings"], prepared)
    if not isinstance(name, str):
        raise StepFailed(f"build_wheel returned {name!r} where a file name belongs")
    return name


def do_run(step: Step, job: Job) -> None:
    """Run a program of the spec's [test]."""
    run_checked(step["argv"], step.get("cwd", job["cwd"]), job["env"])


DO: dict[str, Callable[[Step, Job], Any]] = {
    "requires": do_requires,
    "metadata": do_metadata,
    "wheel": do_wheel,
    "run": do_run,
}


if __name__ == "__main__":
    sys.exit(main())

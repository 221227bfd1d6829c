"""The first process inside every sandbox. Standard library only, and no import of pybuild: it runs where we are not.

It is called with the descriptors of two pipes. It reads one line, the job; gives up its rights and sets limits; looks
around and reports the *seal*; waits for our word; runs the steps in order, reporting each; and ends. A step is

- ``{"do": "requires", ...}``: ``get_requires_for_build_wheel`` (PEP 517), answered by us with go or stop,
- ``{"do": "metadata", ...}``: ``prepare_metadata_for_build_wheel`` into ``/out/metadata``,
- ``{"do": "wheel", ...}``: ``build_wheel`` into ``/out``,
- ``{"do": "run", "argv": [...], "title": "..."}``: a program.

Everything that the steps print goes to standard output and error, which is the log. The steps' processes run as the
same user as this one, so it hides from them: what it says outside must not be theirs to write.
"""

import contextlib
import ctypes
import errno
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

PYTHON = "/env/bin/python"
NAMESPACES = ("user", "pid", "mnt", "ipc", "uts", "cgroup", "net")
MUST_BE_READ_ONLY = ("/", "/usr", "/etc", "/dev", "/env", "/.pybuild", "/proc/sys/kernel/core_pattern")

LIBC = ctypes.CDLL(None, use_errno=True)
# linux/capability.h, linux/prctl.h, linux/seccomp.h, linux/bpf_common.h
CAPABILITY_VERSION_3 = 0x20080522
PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_SET_SECCOMP = 3, 4, 22
SECCOMP_MODE_FILTER, SECCOMP_ALLOW, SECCOMP_ERRNO = 2, 0x7FFF0000, 0x00050000
SECCOMP_DATA_NR, SECCOMP_DATA_ARCH = 0, 4
SECCOMP_DATA_FIRST_ARGUMENT = 16
BPF_LOAD, BPF_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06
AF_VSOCK = 40
IO_URING_SETUP = 425
X32 = 0x40000000
# By machine, each way to call the kernel that it has (linux/audit.h): the number of socket, and what is forbidden: that
# is add_key, request_key, keyctl, io_uring_setup, and, where it exists, socketcall, which can't be looked into.
FORBIDDEN = {
    "x86_64": (
        (0xC000003E, 41, (248, 249, 250, IO_URING_SETUP)),
        (0xC000003E, X32 + 41, (X32 + 248, X32 + 249, X32 + 250, X32 + IO_URING_SETUP)),
        (0x40000003, 359, (286, 287, 288, IO_URING_SETUP, 102)),
    ),
    "aarch64": (
        (0xC00000B7, 198, (217, 218, 219, IO_URING_SETUP)),
        (0x40000028, 281, (309, 310, 311, IO_URING_SETUP)),
    ),
}

Step = Mapping[str, Any]
Job = dict[str, Any]


def main() -> int:
    """Talk to the outside on the two pipes named on the command line."""
    reader, writer = int(sys.argv[1]), int(sys.argv[2])
    close_all_but(0, 1, 2, reader, writer)
    talk = Talk(reader, writer)
    job = talk.hear_job()
    if job is None:
        return 1
    set_limits(job["limits"])
    become(job["uid"], job["gid"])
    hide()
    forbid_calls()
    os.umask(0o022)
    os.chdir(job["cwd"])
    os.makedirs(job["env"]["HOME"], exist_ok=True)
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
            break
    talk.tell("end")
    return 0


class StepFailed(Exception):
    """A step ended badly; the message is for a person."""


class Talk:
    """One JSON object a line, both ways."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader = os.fdopen(reader, "r", encoding="utf-8")
        # What a backend returned may hold lone surrogates, which nobody outside could write down.
        self.writer = os.fdopen(writer, "w", encoding="utf-8", errors="replace")

    def tell(self, event: str, **facts: Any) -> None:
        """Report something."""
        self.writer.write(json.dumps({"event": event, **facts}, ensure_ascii=False) + "\n")
        self.writer.flush()

    def hear_job(self) -> Job | None:
        """What to do; None when whoever started us has died."""
        line = self.reader.readline()
        job: Job | None = json.loads(line) if line.endswith("\n") else None
        return job

    def hear(self) -> bool:
        """Whether to go on; no answer is a no."""
        return self.reader.readline().strip() == "go"


def close_all_but(*keep: int) -> None:
    """Close whatever was open in whoever started us."""
    for descriptor in {int(name) for name in os.listdir("/proc/self/fd")} - set(keep):
        with contextlib.suppress(OSError):
            os.close(descriptor)


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


def hide() -> None:
    """Give up inheritable capabilities, and be out of reach for processes of the same user.

    A process that isn't dumpable can't be traced, and its memory and descriptors can't be opened through /proc: that
    keeps the pipes to the outside ours (prctl(2), ptrace(2) "ptrace access mode checking").
    """
    header, nothing = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if LIBC.capset(header, nothing) or LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "capset or prctl")


def forbid_calls() -> None:
    """Let system calls fail, for this process and all its children, that reach what no namespace holds back.

    Keyrings: the caller's session keyring, with the tickets in it, is inherited by whatever it starts (keyrings(7)).
    AF_VSOCK: from a virtual machine to its host (vsock(7)). io_uring: makes sockets past this filter. Container engines
    forbid the same by default. On a machine that isn't in the table the seal says ``seccomp: 0``.
    """
    rules: list[tuple[int, int, int, int]] = []  # operation, how many to jump over if so, if not, operand
    for interface, socket_call, calls in FORBIDDEN.get(os.uname().machine, ()):
        block = [
            (BPF_LOAD, 0, 0, SECCOMP_DATA_NR),
            *((BPF_EQUAL, len(calls) - n + 2, 0, call) for n, call in enumerate(calls)),
            (BPF_EQUAL, 0, 3, socket_call),
            (BPF_LOAD, 0, 0, SECCOMP_DATA_FIRST_ARGUMENT),
            (BPF_EQUAL, 0, 1, AF_VSOCK),
            (BPF_RETURN, 0, 0, SECCOMP_ERRNO | errno.EPERM),
        ]
        rules += [(BPF_LOAD, 0, 0, SECCOMP_DATA_ARCH), (BPF_EQUAL, 0, len(block), interface), *block]
    rules.append((BPF_RETURN, 0, 0, SECCOMP_ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    program = struct.pack("HP", len(rules), ctypes.addressof(code))
    if LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")


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
        "dumpable": LIBC.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0),
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

    try:
        return BuildBackendHookCaller(
            job["cwd"], step["backend"], step["backend_path"] or None, runner=runner, python_executable=PYTHON
        )
    except ValueError as error:
        raise StepFailed(f"backend-path in pyproject.toml: {error}") from error


def run_checked(argv: Sequence[str], cwd: str | None, env: Mapping[str, str]) -> None:
    """Run a program; a bad end becomes a sentence."""
    try:
        code = subprocess.call(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise StepFailed(f"{argv[0]} can't be started: {error}") from error
    if code < 0:
        raise StepFailed(f"was ended by signal {-code}")
    if code:
        raise StepFailed(f"ended with exit code {code}")


def show(text: object) -> None:
    """Put a backend's words into the log, whatever characters are in them."""
    os.write(1, f"{text}\n".encode("utf-8", "backslashreplace"))


def call_hook(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call a hook; what pyproject-hooks raises becomes a sentence, what the backend printed is in the log already."""
    from pyproject_hooks import BackendUnavailable, HookMissing, UnsupportedOperation

    try:
        return function(*arguments, **keywords)
    except HookMissing:
        raise
    except BackendUnavailable as error:
        show(error.traceback)
        detail = str(error.traceback).strip().rpartition("\n")[2]
        raise StepFailed(f"the build backend can't be imported: {detail}") from error
    except UnsupportedOperation as error:
        show(error.traceback)
        raise StepFailed("the backend says that it can't build a wheel") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, MemoryError) as error:
        # The answer comes through files that the backend's processes can write and remove.
        raise StepFailed(f"the backend's answer can't be read: {type(error).__name__}: {error}") from error


def file_name(value: object, hook: str) -> str:
    """What a hook returned where PEP 517 wants the base name of what it made."""
    if not isinstance(value, str) or value != os.path.basename(value) or not value.isprintable() or not value:
        raise StepFailed(f"{hook} returned {value!r:.200} where a file name belongs")
    return value


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
    from pyproject_hooks import HookMissing

    with contextlib.suppress(FileExistsError):
        os.mkdir("/out/metadata")

    try:
        name = call_hook(
            caller.prepare_metadata_for_build_wheel,
            "/out/metadata",
            step["config_settings"],
            _allow_fallback=False,
        )
    except HookMissing:
        return None
    name = file_name(name, "prepare_metadata_for_build_wheel")
    job["metadata_directory"] = os.path.join("/out/metadata", name)
    return name


def do_wheel(step: Step, job: Job) -> str:
    """The file name of the wheel below /out."""
    caller = hook_caller(step, job)
    prepared = job.get("metadata_directory")
    return file_name(call_hook(caller.build_wheel, "/out", step["config_settings"], prepared), "build_wheel")


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

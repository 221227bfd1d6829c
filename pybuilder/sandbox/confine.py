"""What ``steps.py`` does before anything else runs: it gives up its rights, sets limits, and looks around.

Runs inside, like ``inside.py``: standard library only, and no import of pybuild.
"""

from __future__ import annotations

import _socket
import ctypes
import errno
import os
import resource
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

NAMESPACES = ("user", "pid", "mnt", "ipc", "uts", "cgroup", "net")
MUST_BE_READ_ONLY = ("/", "/usr", "/etc", "/dev", "/run", "/env", "/.pybuild", "/proc/sys/kernel/core_pattern")

LIBC = ctypes.CDLL(None, use_errno=True)
# linux/capability.h, linux/prctl.h, linux/seccomp.h, linux/bpf_common.h
CAPABILITY_VERSION_3 = 0x20080522
PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_SET_SECCOMP = 3, 4, 22
SECCOMP_MODE_FILTER, SECCOMP_ALLOW, SECCOMP_ERRNO = 2, 0x7FFF0000, 0x00050000
SECCOMP_DATA_NR, SECCOMP_DATA_ARCH = 0, 4
SECCOMP_DATA_FIRST_ARGUMENT = 16
BPF_LOAD, BPF_EQUAL, BPF_ANY_BIT, BPF_RETURN = 0x20, 0x15, 0x45, 0x06
AF_VSOCK = 40
CLONE_NEWUSER = 0x10000000
IO_URING_SETUP, CLONE3 = 425, 435
X32 = 0x40000000
# By machine, each way to call the kernel that it has (linux/audit.h): the numbers of socket, clone and unshare, and
# what is forbidden: that is add_key, request_key, keyctl, io_uring_setup, and, where it exists, socketcall, which can't
# be looked into.
FORBIDDEN = {
    "x86_64": (
        (0xC000003E, 41, 56, 272, (248, 249, 250, IO_URING_SETUP)),
        (0xC000003E, X32 + 41, X32 + 56, X32 + 272, (X32 + 248, X32 + 249, X32 + 250, X32 + IO_URING_SETUP)),
        (0x40000003, 359, 120, 310, (286, 287, 288, IO_URING_SETUP, 102)),
    ),
    "aarch64": (
        (0xC00000B7, 198, 220, 97, (217, 218, 219, IO_URING_SETUP)),
        (0x40000028, 281, 120, 337, (309, 310, 311, IO_URING_SETUP)),
    ),
}

Rule = tuple[int, int, int, int]
"""Operation, how many to jump over if so, if not, operand."""


def set_limits(limits: Mapping[str, int]) -> str:
    """Lower the hard limits; what the caller's own limits forbid stays as it is.

    Returns:
        What limits memory: ``cgroup``, ``process`` (each by itself, where no control group can be seen to do it for
        all of them), or nothing.
    """
    memory_limit = ""
    for name, value in limits.items():
        if name == "AS":
            memory_limit = "cgroup" if cgroup_number(MEMORY_LIMITS) <= value else "process"
            if memory_limit == "cgroup":
                continue
        which = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))
    return memory_limit


# Of the control group we are in, for version 2 and 1 (kernel's admin-guide/cgroup-v2, cgroup-v1/memory).
MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
MEMORY_EVENTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


def cgroup_number(files: Sequence[str], name: str = "") -> float:
    """A number from the first of these files that is there, on the line of that name; infinity where there is none."""
    for file in files:
        try:
            with open(file) as lines:
                for line in lines:
                    *names, value = line.split()
                    if names == ([name] if name else []):
                        return int(value)
        except (OSError, ValueError):
            pass
    return float("inf")


def out_of_memory() -> bool:
    """Whether the kernel has ended a process of ours because the control group's memory was used up."""
    return 0 < cgroup_number(MEMORY_EVENTS, "oom_kill") < float("inf")


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
    AF_VSOCK: from a virtual machine to its host (vsock(7)). io_uring: makes sockets past this filter. User namespaces:
    in one of its own a build has all capabilities again, and with them more of the kernel to attack. Container engines
    forbid some of these by default. On a machine that isn't in the table the seal says ``seccomp: 0``, or the engine's.
    """
    rules: list[Rule] = []
    for interface, socket_call, clone, unshare, calls in FORBIDDEN.get(os.uname().machine, ()):
        block = interface_rules(socket_call, clone, unshare, calls)
        rules += [(BPF_LOAD, 0, 0, SECCOMP_DATA_ARCH), (BPF_EQUAL, 0, len(block), interface), *block]
    rules.append((BPF_RETURN, 0, 0, SECCOMP_ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    program = struct.pack("HP", len(rules), ctypes.addressof(code))
    if LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")


def interface_rules(socket_call: int, clone: int, unshare: int, calls: Sequence[int]) -> list[Rule]:
    """What becomes of the calls of one of a machine's interfaces."""
    refuse = (BPF_RETURN, 0, 0, SECCOMP_ERRNO | errno.EPERM)
    # The C library takes clone then, whose flags can be looked into, unlike those that clone3 points to.
    unknown = (BPF_RETURN, 0, 0, SECCOMP_ERRNO | errno.ENOSYS)
    rules = [(BPF_LOAD, 0, 0, SECCOMP_DATA_NR)]
    for call, outcome in (*((call, refuse) for call in calls), (CLONE3 | socket_call & X32, unknown)):
        rules += [(BPF_EQUAL, 0, 1, call), outcome]
    for call, test, operand in (
        (socket_call, BPF_EQUAL, AF_VSOCK),
        (clone, BPF_ANY_BIT, CLONE_NEWUSER),
        (unshare, BPF_ANY_BIT, CLONE_NEWUSER),
    ):
        rules += [(BPF_EQUAL, 0, 4, call), (BPF_LOAD, 0, 0, SECCOMP_DATA_FIRST_ARGUMENT)]
        rules += [(test, 0, 1, operand), refuse, (BPF_RETURN, 0, 0, SECCOMP_ALLOW)]
    return rules


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
        "interfaces": sorted(name for _, name in _socket.if_nameindex()),
        "connect": connect_error(),
        "namespaces": {n: os.readlink("/proc/self/ns/" + n) for n in NAMESPACES},
        "pids": sorted(int(n) for n in os.listdir("/proc") if n.isdigit()),
        "host_name": _socket.gethostname(),
        "mounts": mount_points(),
        "devices": sorted(os.listdir("/dev")),
        "writable": [path for path in MUST_BE_READ_ONLY if writable(path)],
        "root": sorted(os.listdir("/")),
        "processors": len(os.sched_getaffinity(0)),
    }


def mount_points() -> list[str]:
    """Where something is mounted (proc(5), /proc/pid/mountinfo)."""
    with open("/proc/self/mountinfo") as lines:
        return sorted({line.split()[4] for line in lines})


def connect_error() -> str:
    """The name of the error that a connection to a documentation address (RFC 5737) ends with."""
    probe_socket = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    probe_socket.settimeout(1)
    try:
        probe_socket.connect(("192.0.2.1", 80))
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    finally:
        probe_socket.close()
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

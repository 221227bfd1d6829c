"""What a hostile build gets: nothing. Each test says what it tried, what came of it, and that the outside is as before.

All of it against the real bubblewrap and the real podman, with pybuild started by root and by an ordinary user. What
podman does differently by its nature is said where it is.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pybuilder.sandbox import build_environ, cgroups
from tests.support.sandbox import SECRET, Place, place, places, processes_with, wait_for

MIB = 1 << 20
REFUSED = {"EPERM", "EACCES", "EROFS", "ENOENT"}
# EINVAL: the id has no meaning in the build's user namespace.
NOT_MINE = {"EPERM", "EINVAL"}
AS_ROOT = os.geteuid() == 0

# Numbers of system calls that Python has no function for.
ADD_KEY = {"x86_64": 248, "aarch64": 217}
CLONE = {"x86_64": 56, "aarch64": 220}
KEYCTL = {"x86_64": 250, "aarch64": 219}


@pytest.fixture(params=places())
def here(request: pytest.FixtureRequest) -> Iterator[Place]:
    with place(request.param) as made:
        yield made


@pytest.fixture
def marker() -> str:
    """A word by which a test's processes are known from outside."""
    return f"pybuild-marker-{secrets.token_hex(8)}"


@pytest.fixture
def bystander(here: Place) -> Iterator[int]:
    """A process of the user who runs pybuild, with a secret in its environment."""
    as_user = {"user": here.uid, "group": here.uid, "extra_groups": []} if here.uid else {}
    process = subprocess.Popen(["sleep", "600"], env={SECRET: "of-a-bystander"}, **as_user)
    yield process.pid
    assert process.poll() is None, "the bystander was ended"
    process.kill()
    process.wait()


def in_the_root(here: Place, paths: Iterable[str]) -> dict[str, Any]:
    """What builds should see at some paths, as ``look`` says it: what the RPMs of their root have there, else nothing.

    The host engine's builds have nothing there.
    """
    tree = here.mounts.get(here.tree, here.tree)
    return {path: _look(tree / path.lstrip("/")) if here.engine == "podman" else "ENOENT" for path in paths}


def _look(path: Path) -> Any:
    if not os.path.lexists(path):
        return "ENOENT"
    return sorted(os.listdir(path)) if path.is_dir() else path.read_text()


class TestNetwork:
    def test_sockets(self, here: Place) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as tcp,
            socket.create_server(("::1", 0), family=socket.AF_INET6) as tcp6,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            udp.bind(("127.0.0.1", 0))
            ran = here.run(
                f"""
def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(2)
        s.connect(address)
def send(family, address):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        return s.sendto(b"hello", address)
attempt("tcp", connect, socket.AF_INET, ("127.0.0.1", {tcp.getsockname()[1]}))
attempt("tcp6", connect, socket.AF_INET6, ("::1", {tcp6.getsockname()[1]}))
attempt("tcp outside", connect, socket.AF_INET, ("192.0.2.1", 80))
attempt("tcp6 outside", connect, socket.AF_INET6, ("2001:db8::1", 80))
attempt("udp", send, socket.AF_INET, ("127.0.0.1", {udp.getsockname()[1]}))
attempt("udp outside", send, socket.AF_INET, ("192.0.2.1", 53))
attempt("dns", socket.getaddrinfo, "example.org", 80)
attempt("raw", socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)
attempt("packet", socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0)
attempt("to the machine's host", socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM)
say("interfaces", [name for _, name in socket.if_nameindex()])
"""
            )
            for listener in (tcp, tcp6, udp):
                listener.setblocking(False)
                with pytest.raises(BlockingIOError):
                    listener.recv(1) if listener is udp else listener.accept()
        assert ran.failure == ""
        assert ran.got["tcp"] == ran.got["tcp6"] == "ECONNREFUSED"
        assert ran.got["tcp outside"] == ran.got["tcp6 outside"] == ran.got["udp outside"] == "ENETUNREACH"
        assert ran.got["dns"] == "gaierror"
        assert ran.got["raw"] == ran.got["packet"] == ran.got["to the machine's host"] == "EPERM"
        assert ran.got["interfaces"] == ["lo"]

    def test_unix_sockets_of_the_host(self, here: Place, marker: str) -> None:
        with socket.socket(socket.AF_UNIX) as abstract, socket.socket(socket.AF_UNIX) as named:
            abstract.bind(f"\0{marker}")
            abstract.listen()
            named.bind(str(here.root / "socket"))
            named.listen()
            (here.root / "socket").chmod(0o777)
            ran = here.run(
                f"""
attempt("abstract", socket.socket(socket.AF_UNIX).connect, "\\0{marker}")
attempt("named", socket.socket(socket.AF_UNIX).connect, "{here.root}/socket")
"""
            )
            for listener in (abstract, named):
                listener.setblocking(False)
                with pytest.raises(BlockingIOError):
                    listener.accept()
        assert ran.got == {"abstract": "ECONNREFUSED", "named": "ENOENT"}


class TestProcesses:
    def test_processes_of_the_host(self, here: Place, bystander: int) -> None:
        ran = here.run(
            f"""
for name, pid in (("bystander", {bystander}), ("tests", {os.getpid()})):
    attempt(name + " kill", os.kill, pid, signal.SIGKILL)
    attempt(name + " proc", os.listdir, f"/proc/{{pid}}")
    attempt(name + " trace", call, LIBC.ptrace, 16, pid, 0, 0)
say("pids", sorted(int(n) for n in os.listdir("/proc") if n.isdigit()))
"""
        )
        assert {ran.got[f"{name} {what}"] for name in ("bystander", "tests") for what in ("kill", "trace")} == {"ESRCH"}
        assert ran.got["bystander proc"] == ran.got["tests proc"] == "ENOENT"
        assert len(ran.got["pids"]) == 3, ran.got["pids"]

    def test_the_probe_is_out_of_reach(self, here: Place) -> None:
        """Whoever could write into its pipes could say that all is sealed and well."""
        ran = here.run(
            """
runner = os.getppid()
attempt("descriptors", os.listdir, f"/proc/{runner}/fd")
attempt("a descriptor", can_write, f"/proc/{runner}/fd/5")
attempt("memory", can_write, f"/proc/{runner}/mem")
attempt("environment", read, f"/proc/{runner}/environ")
attempt("trace", call, LIBC.ptrace, 16, runner, 0, 0)
pidfd = os.pidfd_open(runner)
attempt("take a descriptor", call, LIBC.syscall, 438, pidfd, 5, 0)
say("own", sorted(os.listdir("/proc/self/fd"), key=int))
"""
        )
        # The fourth is the pidfd, the fifth the listing's own: nothing has been inherited.
        assert ran.got.pop("own") == ["0", "1", "2", "3", "4"]
        assert set(ran.got.values()) <= REFUSED, ran.got
        assert ran.failure == ""

    def test_killing_the_probe_is_a_failure(self, here: Place) -> None:
        ran = here.run("os.kill(os.getppid(), signal.SIGKILL); time.sleep(30)")
        assert "before its steps were done" in ran.failure
        assert ran.seconds < 20

    def test_hang(self, here: Place, marker: str) -> None:
        ran = here.run(
            """
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print("so far", flush=True)
time.sleep(600)
""",
            argv=[marker],
            limits={"seconds": 1},
        )
        assert not processes_with(marker)
        assert ran.timed_out
        assert "longer than its limit of 1 s" in ran.failure
        assert ran.seconds < 20
        assert ran.log == b"so far\n"

    def test_daemon_that_holds_the_log(self, here: Place, marker: str) -> None:
        ran = here.run("subprocess.Popen(['sh', '-c', 'sleep 600', sys.argv[1]]); print('done')", argv=[marker])
        assert not processes_with(marker)
        assert ran.failure == ""
        assert ran.seconds < 20

    def test_daemon_that_let_go_of_everything(self, here: Place, marker: str) -> None:
        """It must be dead at the moment we have the answer: what it can still write, we may be hashing already."""
        ran = here.run(
            """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 100)
        os.execv("/env/bin/python", ["python", "-c", "import itertools\\n"
            "for n in itertools.count(): open('/out/count', 'w').write(str(n))", sys.argv[1]])
    os._exit(0)
while not os.path.exists("/out/count"):
    time.sleep(0.01)
""",
            argv=[marker],
        )
        assert not processes_with(marker)
        assert ran.failure == ""
        before = (here.out / "count").read_text()
        time.sleep(0.05)
        assert (here.out / "count").read_text() == before

    def test_kill_9_of_pybuild(self, here: Place, marker: str) -> None:
        name = f"pybuild-{here.work.name}"
        with here.started("os.setsid() if os.fork() == 0 else None; time.sleep(600)", argv=[marker]) as driver:
            assert wait_for(lambda: processes_with(marker), 20)
            driver.send_signal(signal.SIGKILL)
            driver.wait()
            assert wait_for(lambda: not processes_with(marker), 2), "something inside lives on"
            assert wait_for(lambda: not processes_with(str(here.work / "build")), 2), "bubblewrap lives on"
        cgroups.sweep(name)
        assert not list(Path("/sys/fs/cgroup").glob(f"**/{name}"))
        assert here.run("print('again')").failure == ""


class TestFiles:
    def test_the_state_and_the_workspace(self, here: Place) -> None:
        paths = ["state/state.db", "state/store/payloads/abc/six.whl", "specs/six.toml", "state/work", "lib"]
        ran = here.run(
            "".join(
                f"attempt('read {path}', read, '{here.root}/{path}')\n"
                f"attempt('write {path}', create, '{here.root}/{path}/x')\n"
                for path in paths
            )
            + f"attempt('up', os.listdir, '/build/../..{here.root}')\n"
        )
        assert set(ran.got.values()) == {"ENOENT"}
        assert (here.root / "state/state.db").read_text() == "secret"
        assert not (here.root / "state/work/x").exists()

    def test_homes(self, here: Place) -> None:
        home = here.root / "home"
        ran = here.run(
            f"""
for path in ("{home}/.ssh/id_ed25519", "/root/.ssh", "/root/.bashrc", "/home", os.path.expanduser("~/.ssh")):
    attempt(path, look, path)
import pwd
say("home", [os.environ["HOME"], pwd.getpwuid(os.getuid()).pw_dir])
"""
        )
        assert ran.got.pop("home") == ["/tmp/home", "/tmp/home"]
        assert ran.got == in_the_root(here, ran.got)

    def test_what_names_this_machine(self, here: Place) -> None:
        ran = here.run(
            """
for path in ("/etc/shadow", "/etc/gshadow", "/etc/machine-id", "/etc/ssh", "/etc/sudoers", "/var", "/var/lib", "/run",
             "/boot", "/srv", "/mnt", "/opt", "/usr/local/bin", "/etc/os-release", "/etc/pip.conf"):
    attempt(path, look, path)
for path in ("/etc/passwd", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"):
    attempt(path, read, path)
say("host name", [socket.gethostname(), os.uname().nodename])
"""
        )
        ours = {name: ran.got.pop(f"/etc/{name}") for name in ("passwd", "hostname", "hosts", "resolv.conf")}
        assert [line.split(":")[0] for line in ours["passwd"].splitlines()] == ["root", "build", "nobody"]
        assert ours["hostname"] == "pybuild\n"
        assert socket.gethostname() not in ours["hosts"].split()
        assert ours["resolv.conf"] == ""
        assert ran.got.pop("host name") == ["pybuild", "pybuild"]
        # podman would put the machine's credentials there, so we put nothing there.
        assert ran.got.pop("/run") == (["secrets"] if here.engine == "podman" else "ENOENT")
        assert ran.got == in_the_root(here, ran.got)

    def test_what_the_kernel_tells_of_this_machine(self, here: Place) -> None:
        """Podman shows /sys for its control groups: of the rest nothing may be there, and of the groups no others."""
        ran = here.run(
            """
found, numbers, pids = [], set(), set(filter(str.isdigit, os.listdir("/proc")))
for directory, _, files in os.walk("/sys", followlinks=True):
    found += [os.path.join(directory, name) for name in files]
for path in found:
    if path.endswith(("/cgroup.procs", "/tasks")):
        with contextlib.suppress(OSError):
            numbers |= set(read(path).split())
say("files", [path for path in found if not path.startswith("/sys/fs/cgroup/")])
say("writable", [path for path in found if os.access(path, os.W_OK)])
say("of others", sorted(numbers - pids))
"""
        )
        assert [path for path in ran.got["files"] if "/features/" not in path] == []
        assert ran.got["writable"] == ran.got["of others"] == []

    def test_environment(self, here: Place) -> None:
        ran = here.run(
            """
say("own", dict(os.environ))
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        found += [v.split("=")[0] for v in read(f"/proc/{pid}/environ").split("\\0") if v]
    except OSError:
        pass
say("others", found)
"""
        )
        own = ran.got["own"]
        own.pop("LC_CTYPE", None)  # CPython's own (PEP 538)
        assert own == build_environ(source_date_epoch=1, build_dir="/build/x", extra={})
        assert SECRET not in ran.got["others"]

    @pytest.mark.parametrize(
        "path",
        ["/x", "/usr/x", "/usr/bin/x", "/usr/local/x", "/env/x", "/env/bin/x", "/etc/x", "/dev/x", "/.pybuild/x"],
    )
    def test_writing_outside_its_own_places(self, here: Place, path: str) -> None:
        ran = here.run(f"attempt('create', create, '{path}')")
        assert ran.got["create"] in REFUSED
        assert not Path(path).exists()
        assert not (here.root / path.lstrip("/")).exists()

    def test_writing_what_exists(self, here: Place) -> None:
        ran = here.run(
            """
for path in ("/etc/passwd", "/usr/bin/env", "/.pybuild/inside.py", "/env/bin/python", "/env/pyvenv.cfg",
             "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/overcommit_memory",
             "/proc/sys/net/ipv4/ip_forward", "/proc/sys/user/max_user_namespaces", "/proc/sysrq-trigger"):
    attempt(path, can_write, path)
attempt("kernel's log", read, "/proc/kmsg")
attempt("host name", call, LIBC.sethostname, b"x", 1)
attempt("delete", os.unlink, "/usr/bin/env")
attempt("rename", os.rename, "/etc/passwd", "/etc/x")
attempt("chmod", os.chmod, "/usr/bin/env", 0o777)
attempt("chown", os.chown, "/build/x", 0, 0)
"""
        )
        assert ran.got.pop("chown") in NOT_MINE
        # The kernel looks whether a program runs before it looks at the mount, where its file is the user's own.
        assert ran.got.pop("/env/bin/python") in {*REFUSED, "ETXTBSY"}
        assert set(ran.got.values()) <= REFUSED, ran.got

    def test_links_in_what_it_hands_over(self, here: Place) -> None:
        """A link is not followed when the same directory is given to the build once more."""
        target = here.root / "state" / "state.db"
        script = f"""
import contextlib
for name, where in (("file", "{target}"), ("directory", "{here.root}/home"), ("loop", "loop")):
    with contextlib.suppress(FileExistsError):
        os.symlink(where, f"/out/{{name}}")
        os.symlink(where, f"/build/x/{{name}}")
attempt("read", read, "/out/file")
"""
        (here.work / "build" / "x" / "of the source").symlink_to(target)
        before = target.stat()
        assert here.run(script).got == {"read": "ENOENT"}
        assert here.run(script).failure == ""
        assert (target.stat().st_uid, target.stat().st_mode) == (before.st_uid, before.st_mode)
        assert (here.out / "file").is_symlink()

    def test_trees_that_resist(self, here: Place) -> None:
        ran = here.run(
            """
os.makedirs("/build/x/shut/deep/deeper")
open("/build/x/shut/deep/file", "w").close()
for path in ("/build/x/shut/deep/deeper", "/build/x/shut/deep", "/build/x/shut"):
    os.chmod(path, 0)
for n in range(3000):
    os.mkdir("d")
    os.chdir("d")
os.mkfifo("fifo")
"""
        )
        assert ran.failure == ""
        assert here.run("print('once more')").failure == ""
        here.python_code(
            "import sys, pathlib, pybuilder.files as files; files.remove_tree(pathlib.Path(sys.argv[1]))",
            str(here.work / "build"),
        )
        assert "build" not in os.listdir(here.work)


class TestRights:
    def test_setuid(self, here: Place) -> None:
        ran = here.run(
            """
import shutil
shutil.copy("/bin/sh", "/build/x/sh")
os.chmod("/build/x/sh", 0o6755)
say("copy", subprocess.run(["/build/x/sh", "-p", "-c", "id -u"], capture_output=True, text=True).stdout.strip())
for program in (["su", "-c", "id -u"], ["mount", "-t", "tmpfs", "none", "/build/x"], ["newgrp", "root"]):
    try:
        ended = subprocess.run(program, capture_output=True, text=True, timeout=10)
        say(program[0], [ended.returncode != 0, ended.stdout.strip()])
    except FileNotFoundError:
        say(program[0], [True, ""])
say("ids", [os.getresuid(), os.getresgid()])
mounts = [line.split() for line in read("/proc/self/mounts").splitlines()]
say("suid", [mount[1] for mount in mounts if "nosuid" not in mount[3].split(",") and len(mount) == 6])
attempt("setuid", os.setuid, 0)
attempt("setgroups", os.setgroups, [0])
"""
        )
        assert ran.got["copy"] == "1000"
        assert ran.got["su"] == ran.got["mount"] == [True, ""]
        assert ran.got["newgrp"][1] != "0"
        assert ran.got["ids"] == [[1000] * 3] * 2
        # podman leaves it to no_new_privs, without which nothing is started, except where a build can write.
        writable = {"/build", "/out", "/tmp", "/dev/shm"}
        assert not (writable.intersection(ran.got["suid"]) if here.engine == "podman" else ran.got["suid"])
        assert ran.seal["no_new_privs"] == "1"
        assert {ran.got["setuid"], ran.got["setgroups"]} <= NOT_MINE

    def test_capabilities(self, here: Place) -> None:
        ran = here.run("say('status', [line for line in read('/proc/self/status').splitlines() if line[:3] == 'Cap'])")
        masks = {line.split(":")[0]: int(line.split()[1], 16) for line in ran.got["status"]}
        assert not any(masks[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")), masks

    def test_namespaces_and_mounts(self, here: Place) -> None:
        ran = here.run(
            """
for name, flag in (("user", 0x10000000), ("mount", 0x00020000), ("net", 0x40000000), ("pid", 0x20000000)):
    attempt("unshare " + name, call, LIBC.unshare, flag)
attempt("mount", call, LIBC.mount, b"none", b"/build/x", b"tmpfs", 0, None)
attempt("remount", call, LIBC.mount, b"none", b"/usr", None, 32, None)
attempt("umount", call, LIBC.umount2, b"/etc/passwd", 2)
attempt("chroot", os.chroot, "/build")
attempt("pivot", call, LIBC.syscall, 155, b"/build", b"/build")
namespace = os.open("/proc/1/ns/net" if os.access("/proc/1/ns/net", os.R_OK) else "/proc/self/ns/net", os.O_RDONLY)
attempt("setns", call, LIBC.setns, namespace, 0)
attempt("nice", os.nice, -5)
"""
        )
        assert set(ran.got.values()) <= REFUSED, ran.got

    @pytest.mark.skipif(platform.machine() not in CLONE, reason="the filter knows x86_64 and aarch64")
    def test_user_namespaces(self, here: Place) -> None:
        """In one of its own a build would have all capabilities again."""
        ran = here.run(
            f"""
flags = 0x10000000 | signal.SIGCHLD
attempt("unshare", call, LIBC.unshare, flags & ~0xff)
attempt("with others", call, LIBC.unshare, flags & ~0xff | 0x40000000)
attempt("clone", call, LIBC.syscall, {CLONE[platform.machine()]}, flags, 0, 0, 0, 0)
attempt("clone3", call, LIBC.syscall, 435, (ctypes.c_uint64 * 8)(0x10000000, 0, 0, 0, signal.SIGCHLD), 64)
import threading
thread = threading.Thread(target=lambda: say("thread", os.getpid()))
thread.start(), thread.join()
say("process", subprocess.run(["true"]).returncode)
"""
        )
        assert ran.got.pop("process") == 0 and ran.got.pop("thread") > 1
        assert ran.got.pop("clone3") == "ENOSYS"
        assert set(ran.got.values()) <= REFUSED, ran.got

    def test_devices(self, here: Place) -> None:
        ran = here.run(
            """
import stat
for name, kind, major, minor in (("memory", stat.S_IFCHR, 1, 1), ("disk", stat.S_IFBLK, 8, 0)):
    attempt("mknod " + name, os.mknod, "/build/x/" + name, kind | 0o666, os.makedev(major, minor))
say("nodes", sorted(os.listdir("/dev")))
attempt("tty", can_write, "/dev/tty")
"""
        )
        allowed = "console core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"
        # podman mounts the message queues of the build's own IPC namespace.
        allowed += " mqueue" if here.engine == "podman" else ""
        assert set(ran.got.pop("nodes")) <= set(allowed.split())
        assert ran.got.pop("tty") in (*REFUSED, "ENXIO")
        assert set(ran.got.values()) == {"EPERM"}

    @pytest.mark.skipif(platform.machine() not in KEYCTL, reason="the filter knows x86_64 and aarch64")
    def test_keyrings(self, here: Place) -> None:
        key = [ADD_KEY[platform.machine()], ["user", "pybuild-test", "ticket", 6, -3]]
        session = [KEYCTL[platform.machine()], [1, None]]  # a session keyring of the test's own
        ran = here.run(
            f"""
attempt("search", call, LIBC.syscall, {KEYCTL[platform.machine()]}, 10, -3, b"user", b"pybuild-test", 0)
attempt("join", call, LIBC.syscall, {KEYCTL[platform.machine()]}, 1, None)
attempt("add", call, LIBC.syscall, {ADD_KEY[platform.machine()]}, b"user", b"x", b"x", 1, -3)
""",
            first=[session, key],
        )
        assert set(ran.got.values()) == {"EPERM"}


class TestAppetite:
    @pytest.mark.alone
    def test_fork_bomb(self, here: Place, marker: str) -> None:
        ran = here.run(
            """
def grow(depth):
    for _ in range(3):
        try:
            if os.fork() == 0 and depth:
                grow(depth - 1)
        except OSError as error:
            os.write(1, f"GOT {json.dumps(['fork', errno.errorcode[error.errno]])}\\n".encode())
            time.sleep(600)
grow(6)
time.sleep(600)
""",
            argv=[marker],
            limits={"processes": 40, "seconds": 3},
        )
        assert not processes_with(marker)
        assert ran.got["fork"] == "EAGAIN"
        assert ran.timed_out

    @pytest.mark.alone
    def test_memory(self, here: Place) -> None:
        ran = here.run(
            "kept = [bytearray(16 << 20) for _ in range(64)]; print('GOT [\"all\", true]')",
            limits={"memory": 256 * MIB},
        )
        assert ran.failure == "needed more memory than its limit of 256 MiB"
        assert ran.got == {}

    @pytest.mark.alone
    def test_memory_that_no_process_owns(self, here: Place) -> None:
        ran = here.run(
            """
with open("/dev/shm/x", "wb") as stream:
    for _ in range(512):
        stream.write(bytes(1 << 20))
print('GOT ["all", true]')
""",
            limits={"memory": 256 * MIB},
        )
        assert ran.failure
        assert ran.got == {}

    def test_a_big_file(self, here: Place) -> None:
        ran = here.run(
            """
def write():
    with open("/build/x/big", "wb") as stream:
        for _ in range(64):
            stream.write(bytes(1 << 20))
attempt("write", write)
""",
            limits={"file_size": 8 * MIB},
        )
        assert ran.got["write"] == "EFBIG"
        assert (here.work / "build/x/big").stat().st_size <= 8 * MIB

    @pytest.mark.alone
    def test_the_disk(self, here: Place) -> None:
        """Killed while there is room: a full disk is everybody's trouble."""
        ran = here.run(
            """
for n in range(4096):
    with open(f"/out/{n}", "wb") as stream:
        stream.write(bytes(1 << 20))
    time.sleep(0.002)
print('GOT ["all", true]')
""",
            spare_disk=64 * MIB,
        )
        assert "free on the disk" in ran.failure
        assert ran.got == {}

    @pytest.mark.skipif(not AS_ROOT, reason="only root mounts a small disk; the test above needs none")
    def test_a_full_disk(self, here: Place) -> None:
        shutil.rmtree(here.work)
        here.work.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=777", "none", here.work], check=True)
        try:
            (here.work / "build" / "x").mkdir(parents=True)
            if here.uid:
                os.chown(here.work / "build", here.uid, here.uid)
                os.chown(here.work / "build" / "x", here.uid, here.uid)
            script = "attempt('fill', lambda: open('/out/x', 'wb', 0).write(bytes(1 << 20)) and None)\n"
            ran = here.run(
                """
def fill():
    with open("/out/x", "wb", 0) as stream:
        while stream.write(bytes(1 << 20)) == 1 << 20:
            pass
    return "full"
attempt("fill", fill)
"""
            )
            assert ran.got["fill"] in ("full", "ENOSPC")
            assert ran.failure == ""
            assert here.run(script).error == ""
        finally:
            subprocess.run(["umount", here.work], check=True)

    @pytest.mark.alone
    def test_a_gigabyte_of_log(self, here: Place) -> None:
        ran = here.run(
            """
line = b"x" * (1 << 20)
for _ in range(1024):
    os.write(1, line)
""",
            limits={"log": MIB},
        )
        assert ran.failure == ""
        assert MIB < len(ran.log) < MIB + 200
        assert b"more bytes of output were dropped; the limit is 1048576" in ran.log[-200:]
        assert ran.seconds < 60
        assert ran.peak_kib < 100 * 1024

    def test_bytes_that_are_no_text(self, here: Place) -> None:
        ran = here.run("os.write(1, b'\\xff\\xfe\\x00\\x1b[2J\\xed\\xa0\\x80\\n')")
        assert ran.log == b"\xff\xfe\x00\x1b[2J\xed\xa0\x80\n"
        assert ran.failure == ""

    def test_closing_the_log(self, here: Place) -> None:
        ran = here.run("os.close(1); os.close(2); time.sleep(0.5); open('/out/end', 'w').close()")
        assert ran.failure == ""
        assert (here.out / "end").exists()


def test_the_build_is_nobody_outside(here: Place) -> None:
    """What root's builds write belongs to an id that no account has; an ordinary user's to that user."""
    ran = here.run("open('/out/x', 'w').close(); say('ids', [os.getuid(), os.getgid(), os.getgroups()])")
    owner = (here.out / "x").stat().st_uid
    assert owner == ran.seal["outside"]["uid"]
    assert owner == (here.uid or os.geteuid()) if here.uid or os.geteuid() else owner not in (0, 1000, 65534)
    uid, gid, groups = ran.got["ids"]
    assert (uid, gid) == (1000, 1000)
    assert set(groups) <= {1000, 65534}


def test_nothing_is_left_of_a_run(here: Place) -> None:
    here.run("print('x')")
    assert not list(Path("/sys/fs/cgroup").glob(f"**/pybuild-{here.work.name}"))
    assert not processes_with(str(here.work / "build"))

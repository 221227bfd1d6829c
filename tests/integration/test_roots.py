"""Roots made by the real rpm, of the test distribution and of small RPMs that fail or mean harm."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pybuilder.errors import EngineError, FetchError, StateError
from pybuilder.rpm.roots import root_digest
from tests.support.disks import disk, remount
from tests.support.distribution import BASE, missing_tools
from tests.support.roots import Counting, Distributed, Place, distributed


@pytest.fixture(scope="module")
def of(tmp_path_factory: pytest.TempPathFactory) -> Distributed:
    if missing := missing_tools():
        pytest.fail(missing)
    return distributed(tmp_path_factory.mktemp("distribution"))


@pytest.fixture
def place(tmp_path: Path, of: Distributed) -> Place:
    return Place(tmp_path, of)


def listing(tree: Path) -> dict[str, Any]:
    """Everything about a tree that a build could see; links are those within it."""
    found: dict[str, Any] = {}
    first: dict[int, str] = {}
    for parent, directories, files in sorted(os.walk(tree)):
        for name in sorted({*directories, *files, "."}):
            path = os.path.normpath(os.path.join(parent, name))
            facts = os.lstat(path)
            what: Any = None
            if stat.S_ISLNK(facts.st_mode):
                what = os.readlink(path)
            elif stat.S_ISREG(facts.st_mode):
                what = hashlib.sha256(Path(path).read_bytes()).hexdigest(), first.setdefault(facts.st_ino, path[-40:])
            attributes = [(name, os.getxattr(path, name)) for name in os.listxattr(path, follow_symlinks=False)]
            where = os.path.relpath(path, tree)
            found[where] = facts.st_mode, facts.st_uid, facts.st_gid, facts.st_mtime_ns, what, attributes
    return found


def differing(one: Path, other: Path) -> dict[str, Any]:
    """What differs between two trees."""
    left, right = listing(one), listing(other)
    return {path: (left.get(path), right.get(path)) for path in left | right if left.get(path) != right.get(path)}


def said(failure: pytest.ExceptionInfo[Any]) -> str:
    return str(failure.value)


# What leaves traces that differ from run to run.
NOISE = """
set -e
for directory in var/log var/log/deep var/cache/ldconfig var/tmp tmp run run/lock var/lib/rpm-state; do
    mkdir -p /$directory; echo $EPOCHREALTIME > /$directory/noise
done
echo $EPOCHREALTIME | sha256sum > /etc/machine-id
for name in .pwd.lock passwd- group- shadow- gshadow-; do echo $EPOCHREALTIME > /etc/$name; done
echo settled > /etc/settled
mkdir -m 2777 /opt/shared; mkdir -m 700 /opt/private; touch /opt/private/file; chmod 4711 /opt/private/file
chown 12:34 /opt/private/file; ln -sf /run/nowhere /etc/resolv.conf; mkfifo /opt/pipe
cd /opt/private; echo 'x = 1' > m.py; python3 -c 'import m'; test -d __pycache__
"""
NOISY: dict[str, Any] = {
    "files": {"/opt/x": "x", "%attr(4755,root,root) /opt/su": "", "%doc /d": ""},
    "scripts": {"%post": NOISE},
    "requires": ["coreutils", "python3"],
}


class TestWhatARootIs:
    def test_it_has_the_rpms_and_nothing_of_the_moment(self, place: Place) -> None:
        root = place.prepare(base=[*place.base, place.rpm("noise", **NOISY)])
        found = listing(root.tree)
        assert {uid for _, uid, *_ in found.values()} == {gid for _, _, gid, *_ in found.values()} == {0}
        for path, (mode, _, _, mtime, _, attributes) in found.items():
            assert attributes == [], path
            if stat.S_ISLNK(mode):
                continue
            assert stat.S_ISDIR(mode) or stat.S_ISREG(mode), path
            assert mode & (0o555 if stat.S_ISDIR(mode) else 0o444) == (0o555 if stat.S_ISDIR(mode) else 0o444), path
            assert not mode & 0o6000 and (not mode & 0o002 or mode & 0o1000), path
            assert mtime < time.time_ns() - 60 * 10**9, path
        assert [path.name for path in (root.tree / "run").iterdir()] == [".containerenv"]
        for directory in ("tmp", "var/log", "var/cache", "var/tmp", "proc", "dev", "sys", "build", "out", "env"):
            assert not list((root.tree / directory).iterdir()), directory
        for file in ("machine-id", "resolv.conf", "hosts", "hostname"):
            assert (root.tree / "etc" / file).read_bytes() == b"" and not (root.tree / "etc" / file).is_symlink()
        assert (root.tree / "etc" / "settled").read_text() == "settled\n"
        assert not [path for path in found if re.search(r"noise|[a-z]-$|\.pwd|/m\.cpython|^d$|pipe$", path)]
        assert stat.S_IMODE((root.tree / "tmp").stat().st_mode) == 0o1777
        assert {path.name for path in root.directory.iterdir()} == {"tree", "rpmdb", "root.json"}

    def test_its_list_and_rpms_database_say_what_is_in_it(self, place: Place) -> None:
        root = place.prepare(place.rpm("small"))
        listed = json.loads((root.directory / "root.json").read_bytes())
        assert {nevra for nevra, _ in listed["rpms"]} == {rpm.nevra for rpm in place.base} | {"small-1-1.noarch"}
        assert [tuple(pair) for pair in listed["rpms"]] == list(root.rpms) == sorted(root.rpms)
        assert listed["base"] == root.base == root_digest(place.base, {})
        ask = ["rpm", "--define", f"_dbpath {root.directory}/rpmdb", "-qa", "--qf", "%{NAME}\\n"]
        told = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
        assert set(told.split()) == {rpm.name for rpm in place.base} | {"small"}

    def test_two_fresh_states_give_the_same_trees(self, place: Place, of: Distributed, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        other = Place(tmp_path / "other", of)
        noise = place.rpm("noise", **NOISY)
        shutil.copytree(place.layout.rpm(noise.sha256), other.layout.rpm(noise.sha256))
        for rpms in ((), (noise, *place.closure("libyaml"))):
            one = place.prepare(*rpms, base=place.closure(*BASE))
            time.sleep(1.1)
            assert differing(one.tree, other.prepare(*rpms, base=place.closure(*BASE)).tree) == {}

    def test_its_compiler_and_python_work_with_it_as_the_whole_system(self, place: Place, tmp_path: Path) -> None:
        root = place.prepare(*place.closure("libxml2-devel"), base=place.closure(*BASE))
        (tmp_path / "build").mkdir()
        (tmp_path / "build" / "x.c").write_text('#include <stdio.h>\nint main(void) { puts("hello"); }\n')
        (tmp_path / "build" / "x.py").write_text("import ssl, zlib; print('hello', zlib.ZLIB_VERSION[0])\n")
        script = "gcc x.c -o x && ./x && python3 x.py && ls /usr/include/libxml2 && ! touch /usr/x"
        argv = ["bwrap", "--unshare-all", "--die-with-parent", "--clearenv", "--setenv", "PATH", "/usr/bin"]
        argv += ["--ro-bind", root.tree, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
        argv += ["--bind", tmp_path / "build", "/build", "--chdir", "/build", "/bin/sh", "-euc", script]
        done = subprocess.run(argv, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout == "hello\nhello 1\nlibxml\n", done.stderr + done.stdout

    def test_macros_take_part(self, place: Place) -> None:
        rpm = place.rpm("words", files={"%lang(fr) /opt/fr": "oui", "%lang(de) /opt/de": "ja"})
        plain = place.roots.prepare(place.base, [rpm], {})
        french = place.roots.prepare(place.base, [rpm], {"_install_langs": "fr"})
        assert plain.digest != french.digest and plain.base != french.base
        assert [path.name for path in sorted((plain.tree / "opt").iterdir())] == ["de", "fr"]
        assert [path.name for path in (french.tree / "opt").iterdir()] == ["fr"]


# As root, over a file, a directory and a link of the base.
CHANGES = """
set -e
echo more >> /etc/passwd; chmod 600 /etc/group; rm /usr/bin/sort; rm -r /usr/lib*/python3*/json
mv /usr/bin/head /usr/bin/tete; rm -r /var/lib; echo file > /var/lib
rm /bin; mkdir /bin; cp -a /usr/bin/bash /usr/bin/env /bin/; ln /usr/bin/cat /usr/bin/chat
rm -r /home; mkdir /home; echo x > /home/x
"""


class TestLayers:
    def test_a_layer_is_the_same_root_as_one_made_at_once(self, place: Place) -> None:
        more = place.closure("patchelf", "libyaml")
        layer = place.prepare(*more)
        (place.root / "other").mkdir()
        other = Place(place.root / "other", place.of)
        whole = other.prepare(base=[*place.base, *more])
        assert layer.digest == whole.digest and layer.rpms == whole.rpms and layer.base and not whole.base
        assert differing(layer.tree, whole.tree) == {}

    def test_rpms_of_the_base_need_no_layer(self, place: Place) -> None:
        root = place.prepare(*place.closure("bash"))
        assert root == place.prepare() and root.base == ""
        assert len(place.installer.transactions) == 1

    def test_the_same_set_is_one_layer_in_whatever_order(self, place: Place) -> None:
        more = place.closure("patchelf", "libyaml")
        assert place.prepare(*more) == place.prepare(*reversed(more), *more)
        assert len(place.installer.transactions) == 2

    def test_files_are_shared_with_the_base(self, place: Place) -> None:
        base, layer = place.prepare(), place.prepare(*place.closure("libyaml"))
        assert (base.tree / "usr/bin/bash").samefile(layer.tree / "usr/bin/bash")
        assert len(list(layer.tree.glob("usr/lib*/**/libyaml-0.so.2"))) == 1
        assert place.roots.prune().freed > 1e6

    def test_a_scriptlet_changes_the_layer_and_never_the_base(self, place: Place) -> None:
        base = place.prepare()
        before, bash = listing(base.tree), (base.tree / "usr/bin/bash").stat().st_ino
        layer = place.prepare(place.rpm("changes", scripts={"%post": CHANGES}))
        assert listing(base.tree) == before and (base.tree / "usr/bin/bash").stat().st_ino == bash
        tree = layer.tree
        assert (tree / "etc/passwd").read_text().endswith("more\n")
        assert stat.S_IMODE((tree / "etc/group").stat().st_mode) == 0o644
        assert not (tree / "usr/bin/sort").exists() and not (tree / "usr/bin/head").exists()
        assert (tree / "usr/bin/tete").read_bytes() == (base.tree / "usr/bin/head").read_bytes()
        assert not list(tree.glob("usr/lib*/python3*/json")) and (tree / "var/lib").read_text() == "file\n"
        assert {path.name for path in (tree / "bin").iterdir()} == {"bash", "env"}
        assert (tree / "usr/bin/chat").samefile(tree / "usr/bin/cat")
        assert [path.name for path in (tree / "home").iterdir()] == ["x"]
        assert not [path for path, facts in listing(tree).items() if facts[-1]], "marks of the overlay"

    def test_a_state_that_can_be_below_no_overlay_is_named(self, place: Place) -> None:
        for name in ("lower", "upper", "work"):
            (place.root / name).mkdir()
        place.prepare()
        place.layout.roots.rename(place.root / "lower" / "roots")
        place.layout.roots.mkdir()
        options = f"lowerdir={place.root}/lower/roots,upperdir={place.root}/upper,workdir={place.root}/work"
        subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", place.layout.roots], check=True)
        try:
            with pytest.raises(EngineError, match="can't be below an overlay") as failure:
                place.prepare(place.rpm("small"))
        finally:
            subprocess.run(["umount", place.layout.roots], check=True)
        assert "--state" in failure.value.cure


class TestFailures:
    @pytest.mark.parametrize(
        ("section", "script", "told"),
        [
            ("%pre", "exit 3", "%prein of bad-1-1.noarch failed: exit status 3"),
            ("%post", "echo what went wrong; exit 1", "%post of bad-1-1.noarch failed: exit status 1"),
            ("%post", "kill -9 $$", "%post of bad-1-1.noarch failed: signal 9"),
            ("%posttrans", "exit 1", "%posttrans of bad-1-1.noarch failed: exit status 1"),
            ("%post -p <lua>", "error('went wrong')", "%post of bad-1-1.noarch failed: 1: went wrong"),
            (
                "%transfiletriggerin -- /usr/bin",
                "exit 5",
                "%transfiletriggerin of bad-1-1.noarch failed: exit status 5",
            ),
        ],
    )
    def test_a_scriptlet_that_fails_is_named(self, place: Place, section: str, script: str, told: str) -> None:
        rpm = place.rpm("bad", files={"/usr/bin/bad": ""}, scripts={section: script})
        with pytest.raises(EngineError) as failure:
            place.prepare(rpm)
        assert failure.value.exit_code == 20 and failure.value.what == f"the scriptlet {told}"
        (log,) = place.left()
        assert str(place.layout.roots / log) in failure.value.cure and "--update bad" in failure.value.cure
        assert "went wrong" not in script or "went wrong" in (place.layout.roots / log).read_text()

    def test_files_that_conflict_name_both_rpms(self, place: Place) -> None:
        with pytest.raises(EngineError) as failure:
            place.prepare(place.rpm("one", files={"/opt/x": "1"}), place.rpm("two", files={"/opt/x": "2"}))
        assert "/opt/x" in said(failure) and "one-1-1.noarch" in said(failure) and "two-1-1.noarch" in said(failure)
        with pytest.raises(EngineError) as failure:
            place.prepare(place.rpm("three", files={"/usr/bin/bash": "1"}))
        assert re.search("/usr/bin/bash from install of three-1-1.noarch conflicts .* bash-5", said(failure))

    def test_what_is_missing_is_named(self, place: Place) -> None:
        with pytest.raises(EngineError, match="don't fit together") as failure:
            place.prepare(place.rpm("needy", requires=["nosuch >= 3"]))
        assert "nosuch >= 3 is needed by needy-1-1.noarch" in said(failure)

    def test_after_a_failure_the_next_run_can_succeed(self, place: Place) -> None:
        (patchelf,) = (rpm for rpm in place.closure("patchelf") if rpm.name == "patchelf")
        with pytest.raises(EngineError, match="is needed by patchelf"):
            place.prepare(base=[patchelf])
        assert len(place.left()) == 1
        place.prepare(base=place.closure("patchelf"))
        shutil.rmtree(place.layout.roots)
        place.prepare(*place.closure("patchelf"))
        assert place.left() == set()

    def test_rpms_that_are_damaged_or_missing_in_the_store_are_fetched_again(self, place: Place) -> None:
        one, two, three = [rpm for rpm in place.base if rpm.size > 10_000][:3]
        stored = {rpm: place.layout.rpm(rpm.sha256) / rpm.file for rpm in (one, two, three)}
        data = stored[one].read_bytes()
        shutil.rmtree(place.layout.rpm(three.sha256))
        for rpm, damaged in ((one, data[:5000]), (two, stored[two].read_bytes()[:-1] + b"x")):
            stored[rpm].unlink()
            stored[rpm].write_bytes(damaged)
        place.prepare()
        assert stored[one].read_bytes() == data and all(file.is_file() for file in stored.values())

    def test_an_rpm_that_nobody_has_any_more_is_named(self, place: Place) -> None:
        rpm = place.rpm("gone")
        shutil.rmtree(place.layout.rpm(rpm.sha256))
        with pytest.raises(FetchError, match=r"gone-1-1\.noarch") as failure:
            place.prepare(rpm)
        assert failure.value.exit_code == 30 and place.left() == set()

    def test_a_scriptlet_that_hangs_is_ended(self, place: Place) -> None:
        place.prepare()
        place.installer.time_limit = 2
        with pytest.raises(EngineError, match="still at work after 2 s"):
            place.prepare(place.rpm("hangs", scripts={"%post": "echo so far; sleep 4711 & sleep 4711"}))
        assert not running("4711")
        (log,) = place.left()
        assert "so far" in (place.layout.roots / log).read_text()

    @pytest.mark.parametrize(
        ("fake", "told"),
        [
            (
                "echo RPM version 4.11.3",
                "rpm is too old: RPM version 4.11.3\n  do: apt-get install rpm (4.16 or newer)",
            ),
            ("", "the program 'rpm' is missing\n  do: apt-get install rpm"),
        ],
    )
    def test_an_rpm_that_is_old_or_missing_is_named(self, place: Place, fake: str, told: str) -> None:
        program = place.root / "rpm"
        program.write_text(f"#!/bin/sh\n{fake}\n")
        program.chmod(0o755 if fake else 0o644)
        hide = ["unshare", "--mount", "sh", "-euc", 'mount --bind "$0" /usr/bin/rpm; exec "$@"', str(program)]
        with place.start([*hide, *place.job()]) as process:
            _, stderr = process.communicate(timeout=60)
        assert process.returncode == 20 and told in stderr

    def test_a_full_disk_at_any_moment(self, place: Place) -> None:
        small, met = place.closure("bash"), []
        with disk(place.layout.roots, "size=1m,nr_inodes=4"):
            for size, files in ((1, 2), (1, 8), (1, 9999), (8, 9999), (16, 9999), (300, 30), (300, 400), (300, 9999)):
                remount(place.layout.roots, f"size={size}m,nr_inodes={files}")
                for rpms in ((), place.closure("libyaml")):
                    try:
                        place.prepare(*rpms, base=small)
                    except StateError as error:
                        met.append(str(error))
            assert len(met) > 4 and all("the disk is full" in each for each in met), met
            assert sorted(root.base != "" for root in place.roots.list()) == [False, True]
            assert place.left() == set()


def running(word: str) -> list[str]:
    """The commands that run with a word in them."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = Path("/proc", pid, "cmdline").read_bytes().decode(errors="replace").split("\0")
            found += [" ".join(words)] if any(word in each for each in words) else []
    return found


def wait_until_gone(word: str) -> None:
    deadline = time.monotonic() + 20
    while left := running(word):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


class TestInterruption:
    def test_killed_at_any_moment_of_a_transaction(self, place: Place) -> None:
        base = place.closure(*BASE)
        argv = place.job(base=base)
        for moment in (0.35, 0.6, 0.9, 1.3, 1.8, 2.3):
            with place.start(argv) as process:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(moment)
                process.kill()
            wait_until_gone(str(place.layout.roots))
            assert str(place.layout.roots) not in Path("/proc/self/mountinfo").read_text()
        root = place.prepare(base=base)
        assert place.left() == set() and len(root.rpms) == len(base)

    def test_killed_before_any_of_our_own_steps(self, place: Place) -> None:
        more = place.closure("libyaml")
        with place.start(place.job(*more)) as process:
            digest, _, steps = process.communicate()[0].split()
        whole = listing(place.layout.root_of(digest) / "tree")
        early, every = range(1, 40, 3), int(steps)
        for step in (*early, *range(40, every - 30, every // 8), *range(every - 30, every, 3)):
            with place.start(place.job(*more, die_at=step)) as process:
                assert process.wait() in (0, 9)
            for root in place.roots.list():
                assert root.base == "" or listing(root.tree) == whole, step
            shutil.rmtree(place.layout.root_of(digest), ignore_errors=True)
        place.prepare(*more)
        assert place.left() == set()

    def test_an_interrupt_leaves_nothing(self, place: Place) -> None:
        place.prepare()
        with place.start(place.job(place.rpm("slow", scripts={"%post": "sleep 4712"}))) as process:
            deadline = time.monotonic() + 30
            while not running("4712"):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(2)
            process.wait()
        assert not running("4712") and place.left() == set()

    def test_ten_at_once_make_it_once(self, place: Place) -> None:
        argv = place.job(*place.closure("libyaml"))
        started = [place.start(argv) for _ in range(10)]
        ended = [process.communicate() for process in started]
        assert [process.returncode for process in started] == [0] * 10, ended
        told = [stdout.split() for stdout, _ in ended]
        assert len({digest for digest, *_ in told}) == 1
        assert sum(int(transactions) for _, transactions, _ in told) == 2
        assert place.left() == set() and len(place.roots.list()) == 2


# What would change the whole machine is opened and no more, or set to what it is: were it possible, it must do no harm.
HOSTILE = """
import ctypes, json, os, signal, socket
libc = ctypes.CDLL(None, use_errno=True)
got = {}

def attempt(name, function, *arguments):
    try:
        got[name] = function(*arguments)
    except OSError as error:
        got[name] = error.strerror

def call(function, *arguments):
    if function(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "allowed"

def can_write(path):
    os.close(os.open(path, os.O_WRONLY))
    return "allowed"

def create(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    return "allowed"

out = open("/opt/got.json", "w")
got["environment"] = dict(os.environ)
got["ids"] = [os.getuid(), os.getgid()]
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
got["rights"] = [status[name].strip() for name in ("CapPrm", "CapBnd", "NoNewPrivs")]
got["processes"] = len([pid for pid in os.listdir("/proc") if pid.isdigit()])
got["descriptors"] = sorted(os.listdir("/proc/self/fd"))
got["interfaces"] = [name for _, name in socket.if_nameindex()]
attempt("network", socket.create_connection, ("127.0.0.1", PORT), 2)
attempt("mount", lambda: call(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None))
attempt("umount", lambda: call(libc.umount2, b"/proc", 2))
attempt("device", os.mknod, "/opt/disk", 0o60600, os.makedev(253, 0))
attempt("sysctl", can_write, "/proc/sys/kernel/core_pattern")
attempt("null", os.chmod, "/dev/null", os.stat("/dev/null").st_mode & 0o7777)
attempt("signal", os.kill, 1, 0)
# Out of the change of root, as anybody may who has the right to change it.
inside = os.open("/", os.O_RDONLY)
os.mkdir("/opt/hole")
os.chroot("/opt/hole")
os.fchdir(inside)
for _ in range(50):
    os.chdir("..")
os.chroot(".")
got["outside"] = sorted(os.listdir("/"))
for path in ("/usr/x", "/base/x", "/rpms/x", "/etc/x"):
    attempt("create " + path, create, path)
for path in ("/transaction.sh", "/proc/sys/kernel/core_pattern"):
    attempt("write " + path, can_write, path)
attempt("null outside", os.chmod, "/dev/null", os.stat("/dev/null").st_mode & 0o7777)
for path in ("/etc/shadow", "/root", "/home", SECRET):
    got["see " + path] = os.path.exists(path)
for pid in {pid for pid in os.listdir("/proc") if pid.isdigit()} - {str(os.getpid()), str(os.getppid())}:
    attempt("memory of " + pid, can_write, f"/proc/{pid}/mem")
json.dump(got, out)
out.close()
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for descriptor in range(3):
        os.close(descriptor)
    os.execv("/usr/bin/sleep", ["sleep", "4713"])
"""


class TestHostileScriptlets:
    def test_they_reach_nothing(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYBUILD_TEST_SECRET", "of the caller")
        secret = place.root / "secret"
        secret.write_text("x")
        with socket.create_server(("127.0.0.1", 0)) as server:
            head = f"PORT, SECRET = {server.getsockname()[1]}, {str(secret)!r}\n"
            rpm = place.rpm("hostile", files={"/opt/x": ""}, scripts={"%post -p /usr/bin/python3": head + HOSTILE})
            root = place.prepare(rpm)
        assert not running("4713")
        got = json.loads((root.tree / "opt/got.json").read_text())
        assert got.pop("environment").keys() <= {"PATH", "LC_ALL", "SOURCE_DATE_EPOCH", "PWD", "LC_CTYPE"}
        assert got.pop("ids") == [0, 0] and got.pop("interfaces") == ["lo"] and got.pop("signal") is None
        # chown, dac_override, fowner, fsetid, kill, setgid, setuid, sys_chroot; and no new ones.
        assert got.pop("rights") == ["00000000000400fb", "00000000000400fb", "1"]
        # The first in their namespace, rpm, and the scriptlet itself.
        assert got.pop("processes") == 3 and len(got.pop("descriptors")) <= 6
        visible = set(got.pop("outside"))
        assert visible - {"lib", "lib64", "lib32", "libx32", "bin", "sbin", "usr"} == {
            *("base", "dev", "etc", "proc", "rpms", "tmp", "transaction.sh", "work")
        }
        refused = {"Connection refused", "Operation not permitted", "Read-only file system", "Permission denied"}
        for what, came in got.items():
            assert came is False if what.startswith("see ") else came in refused, (what, came)
        assert stat.S_IMODE(os.stat("/dev/null").st_mode) == 0o666


class TestUse:
    def test_what_is_used_is_not_pruned(self, place: Place) -> None:
        more = place.closure("libyaml")
        layer = place.prepare(*more)
        with place.roots.use(place.base, more, {}) as used, place.roots.use(place.base, more, {}):
            assert used == layer and (used.tree / "usr/bin/bash").is_file()
            pruned = place.roots.prune()
            assert pruned.digests == (layer.base,) and pruned.freed > 0
            assert listing(layer.tree) and [root.digest for root in place.roots.list()] == [layer.digest]
        assert place.roots.prune().digests == (layer.digest,)
        assert list(place.layout.roots.iterdir()) == []
        assert place.prepare(*more).digest == layer.digest

    def test_only_what_was_not_used_for_so_long_is_pruned(self, place: Place) -> None:
        old, new = place.prepare(base=place.closure("bash")), place.prepare()
        os.utime(old.directory / "root.json", (time.time() - 7200,) * 2)
        assert [root.digest for root in place.roots.list()] == [new.digest, old.digest]
        assert place.roots.prune(timedelta(hours=3)).digests == ()
        assert place.roots.prune(timedelta(hours=1)).digests == (old.digest,)
        with place.roots.use(place.base, (), {}) as used:
            os.utime(used.directory / "root.json", (1, 1))
        assert place.roots.prune(timedelta(hours=1)).digests == ()

    def test_freed_bytes_are_those_that_nobody_else_has(self, place: Place) -> None:
        base = place.prepare()
        place.prepare(place.rpm("small", files={"/opt/x": "x" * 100_000}))
        os.utime(base.directory / "root.json", (1, 1))
        assert place.roots.prune(timedelta(hours=1)).freed < 20e6
        assert place.roots.prune().freed > 20e6

    def test_a_damaged_list_is_named_and_the_rest_of_a_root_is_made_again(self, place: Place) -> None:
        root = place.prepare()
        (root.directory / "root.json").write_text("{")
        with pytest.raises(StateError, match="damaged") as failure:
            place.prepare()
        assert str(root.directory) in failure.value.cure
        (root.directory / "root.json").unlink()
        assert place.prepare().rpms == root.rpms

    def test_a_builds_own_errors_stay_what_they_are(self, place: Place) -> None:
        with pytest.raises(PermissionError), place.roots.use(place.base, (), {}):
            raise PermissionError(13, "of the build")

    def test_a_prune_that_is_killed_leaves_whole_roots_only(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = place.prepare()

        def die(path: Path) -> None:
            raise KeyboardInterrupt(path)

        with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
            dying.setattr("pybuilder.rpm.roots.remove_tree", die)
            place.roots.prune()
        assert place.roots.list() == () and len(place.left()) == 1
        assert place.prepare() == root and place.left() == set()

    def test_a_known_root_asks_nobody(self, place: Place) -> None:
        root = place.prepare()
        shutil.rmtree(place.layout.rpms)
        place.installer = Counting()
        started = time.monotonic()
        assert place.prepare() == root
        assert time.monotonic() - started < 0.1 and place.installer.transactions == []

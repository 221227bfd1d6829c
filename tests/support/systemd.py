"""A systemd of a test's own: the first process of its namespaces, over this machine's files, with only our units."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
# What units depend on by default, and what systemd wants of its own.
_TARGETS = ("sysinit", "basic", "shutdown", "umount", "final", "exit", "network-online", "timers")
_INIT = """\
set -e
mount --make-rprivate /
# Else the root is the machine's first, from which systemd can't turn away: what is below would stay in reach.
mount --rbind / {root}
cd {root}
pivot_root . mnt
cd /
umount -l /mnt
while umount /proc 2>/dev/null; do :; done
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p /run/lock
export container=test SYSTEMD_UNIT_PATH={units}
exec {systemd} --system --unit=test.target --log-target=console --show-status=no
"""


def unit_files(printed: str) -> Mapping[str, str]:
    """What ``--print-units`` printed, by file name."""
    found: dict[str, list[str]] = {}
    for line in printed.splitlines():
        if line.startswith("# /etc/systemd/system/"):
            lines = found.setdefault(line.rpartition("/")[2], [])
        lines.append(line)
    return {name: "\n".join(lines) + "\n" for name, lines in found.items()}


def verified(directory: Path, files: Mapping[str, str]) -> str:
    """What ``systemd-analyze verify`` has to say of units; it must find no fault."""
    directory.mkdir()
    for name, text in files.items():
        (directory / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *(str(directory / name) for name in files)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def boot(home: Path, files: Mapping[str, str], start: str, *, timeout: float = 60) -> str:
    """Boot systemd with these units, start one, and wait until a unit ends it; what systemd said.

    Args:
        home: An empty directory.
        files: The units and drop-ins, by their path below the units' directory.
        start: The units to start.
        timeout: Seconds after which everything is killed.
    """
    units = home / "units"
    (root := home / "root").mkdir(parents=True)
    bare = {f"{name}.target": "[Unit]\nDefaultDependencies=no\n" for name in _TARGETS}
    bare["test.target"] = f"[Unit]\nDefaultDependencies=no\nWants={start}\n"
    for name, text in {**bare, **files}.items():
        (units / name).parent.mkdir(parents=True, exist_ok=True)
        (units / name).write_text(text)
    systemd = shutil.which("systemd", path="/usr/lib/systemd:/lib/systemd")
    assert systemd, "systemd is missing: apt-get install systemd"
    script = _INIT.format(root=shlex.quote(str(root)), units=shlex.quote(str(units)), systemd=systemd)
    (home / "init").write_text(script)
    argv = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--cgroup"]
    with _groups() as entrances, (home / "said").open("w+") as said:
        enter = "".join(f"echo $$ > {shlex.quote(str(entrance))}; " for entrance in entrances)
        shell = ["sh", "-c", f'{enter}exec "$@"', "sh", *argv, "sh", str(home / "init")]
        subprocess.run(shell, stdout=said, stderr=said, stdin=subprocess.DEVNULL, timeout=timeout)
    return (home / "said").read_text()


@contextlib.contextmanager
def _groups() -> Iterator[list[Path]]:
    """A control group of its own in each hierarchy, removed at the end with what systemd makes in it."""
    name, made = f"pybuild-test-{secrets.token_hex(4)}", []
    try:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            hierarchy = _CGROUPS / (controllers.removeprefix("name=") or "unified")
            base = (hierarchy if hierarchy.is_dir() else _CGROUPS) / path.lstrip("/")
            with contextlib.suppress(OSError):
                (base / name).mkdir()
                made.append(base / name)
                # New cpusets have none, and take nobody in.
                for file in ("cpuset.cpus", "cpuset.mems"):
                    if (base / name / file).exists():
                        (base / name / file).write_text((base / file).read_text())
        yield [group / "cgroup.procs" for group in made]
    finally:
        for group in made:
            for directory in sorted((each for each in group.rglob("*") if each.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    directory.rmdir()
            with contextlib.suppress(OSError):
                group.rmdir()

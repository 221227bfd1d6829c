"""What a host buildroot is made of, by digest: the system's packages with versions, and the interpreter's own files."""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.markers import default_environment
from packaging.tags import sys_tags

from pybuilder.errors import EngineError
from pybuilder.facts import Facts
from pybuilder.interruption import side_by_side
from pybuilder.plan import Root, Target, digest
from pybuilder.processes import install_command, run
from pybuilder.sandbox.host import base_interpreter

if TYPE_CHECKING:
    from pybuilder.lacking import Lack
    from pybuilder.system_requires import SystemAccount, WheelNeeds

_DPKG = Path("/var/lib/dpkg/status")
_WELL_KNOWN = ("Python.h", "cmake", "gcc", "git", "make", "patchelf", "swig")
"""What a build may lack whose package's name is known on every distribution that ``install_command`` knows."""
_RPM_DATABASES = (Path("/usr/lib/sysimage/rpm"), Path("/var/lib/rpm"))

_LARGE, _PIECE = 1 << 20, 1 << 16  # bytes


def this_target() -> Target:
    """The interpreter that runs us, as a target."""
    tags = tuple(str(tag) for tag in sys_tags())
    return Target(
        name=f"cp{sys.version_info.major}{sys.version_info.minor}-{sysconfig.get_platform().replace('-', '_')}",
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        full_version=".".join(map(str, sys.version_info[:3])),
        tags=tags,
        markers={name: str(value) for name, value in default_environment().items()},
    )


@dataclass(frozen=True, slots=True)
class HostRoots:
    """This machine as the root of everything, whatever RPMs are asked for; those are the administrator's business."""

    root: Root

    def for_build(self, system: Iterable[str]) -> Root:
        """This machine."""
        return self.root

    def for_test(self, system: Iterable[str]) -> Root:
        """This machine."""
        return self.root

    def compare(self, wheel: WheelNeeds, built_on: Root) -> SystemAccount:
        """What its files need; which of this machine's packages have it is the administrator's business."""
        from pybuilder.system_requires import unknown_rpms

        return unknown_rpms(wheel)

    def advice(self, lacks: Sequence[Lack], *, package: str, built_on: Root) -> str:
        """Install it; the command is told where the package's name is known."""
        sure = [lack for lack in lacks if lack.sure]
        if not sure:
            return ""
        if len(sure) == 1 and sure[0].name in _WELL_KNOWN:
            return f"it lacks {sure[0]}: {install_command(sure[0].name)}"
        has = "the package that has it" if len(sure) == 1 else "the packages that have them"
        return f"it lacks {', '.join(map(str, sure))}: install {has}"

    def has(self, root: Root) -> bool:
        """Whether nothing of this machine has changed since."""
        return root.digest == self.root.digest

    def tree(self, root: Root) -> AbstractContextManager[Path]:
        """Where this machine's own system is."""
        return nullcontext(Path("/"))


def host_root(facts: Facts) -> Root:
    """This machine as a root.

    Hashing everything takes a second, so digests are remembered under a fingerprint of sizes and times; a changed
    file has another fingerprint.

    Args:
        facts: Where digests are remembered.

    Raises:
        EngineError: Neither dpkg nor rpm knows what is installed here.
    """
    contents = {
        "os_release": digest(Path("/etc/os-release").read_text()),
        "packages": _remembered(facts, "host-packages", _package_fingerprint(), _package_digest),
        "interpreter": _remembered(facts, "host-interpreter", _interpreter_fingerprint(), _interpreter_digest),
    }
    return Root(kind="host", digest=digest(contents), contents=contents)


def _remembered(facts: Facts, kind: str, fingerprint: str, compute: Callable[[], str]) -> str:
    known = facts.fact(kind, fingerprint)
    if isinstance(known, str):
        return known
    found = compute()
    facts.add_fact(kind, fingerprint, found)
    return found


def _package_fingerprint() -> str:
    files = [_DPKG, *(file for base in _RPM_DATABASES if base.is_dir() for file in sorted(base.iterdir()))]
    return digest([_stat(str(file)) for file in files if file.is_file()])


def _package_digest() -> str:
    return digest(installed_packages())


def installed_packages() -> list[str]:
    """``name version architecture`` of every installed system package, sorted.

    Raises:
        EngineError: Neither dpkg nor rpm knows.
    """
    if _DPKG.is_file():
        return _dpkg_packages(_DPKG.read_text(encoding="utf-8", errors="replace"))
    completed = run(["rpm", "-qa", "--qf", "%{NAME} %{EVR} %{ARCH}\n"])
    if completed.returncode:
        raise EngineError("rpm can't list what is installed", where=completed.stderr.decode(errors="replace").strip())
    return sorted(completed.stdout.decode(errors="replace").splitlines())


def _dpkg_packages(status: str) -> list[str]:
    found = []
    for paragraph in status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[:1] != " ")
        if fields.get("Status", "").endswith(" installed"):
            found.append(f"{fields['Package']} {fields['Version']} {fields['Architecture']}")
    return sorted(found)


def _interpreter_fingerprint() -> str:
    return digest([_stat(file) for file in _interpreter_files()])


def _interpreter_digest() -> str:
    files = list(_interpreter_files())
    # The interpreter and its library are more than all the others together: Python hashes them beside those.
    large = {file for file in files if os.stat(file).st_size > _LARGE}
    halves = [[file for file in files if (file in large) == each] for each in (True, False)]
    found = {file: sha256 for half in side_by_side(_digests, halves, threads=2) for file, sha256 in half.items()}
    return digest([[file, found[file]] for file in files])


def _digests(files: Iterable[str]) -> dict[str, str]:
    """The sha256 of each file, by its name."""
    return {file: _sha256(file) for file in files}


def _sha256(file: str) -> str:
    # For small files, setting up what hashlib.file_digest reads into takes as long as all the rest.
    sha256 = hashlib.sha256()
    descriptor = os.open(file, os.O_RDONLY)
    try:
        while chunk := os.read(descriptor, _PIECE):
            sha256.update(chunk)
            # Less than was asked for is the end of a file.
            if len(chunk) < _PIECE:
                break
    finally:
        os.close(descriptor)
    return sha256.hexdigest()


def _interpreter_files() -> Iterator[str]:
    """The interpreter, its library and its standard library, in order of name."""
    yield str(base_interpreter())
    library = Path(sysconfig.get_config_var("LIBDIR") or "/nonexistent", sysconfig.get_config_var("LDLIBRARY") or "-")
    if library.is_file():
        yield str(library)
    yield from _walk(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix}))


def _walk(directory: str) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name in ("__pycache__", "site-packages", "dist-packages"):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path)
            elif entry.is_file():
                yield entry.path


def _stat(file: str) -> list[Any]:
    facts = os.stat(file)
    return [file, facts.st_size, facts.st_mtime_ns, facts.st_ino]

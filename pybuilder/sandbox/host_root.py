"""What a host buildroot is made of, by digest: the system's packages with versions, and the interpreter's own files."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.markers import default_environment
from packaging.tags import sys_tags

from pybuilder.errors import EngineError
from pybuilder.facts import Facts
from pybuilder.interruption import outcome
from pybuilder.plan import Root, Target, digest
from pybuilder.processes import install_command, run
from pybuilder.sandbox import hashing
from pybuilder.sandbox.host import base_interpreter
from pybuilder.sandbox.target import target_of

if TYPE_CHECKING:
    from pybuilder.lacking import Lack
    from pybuilder.system_requires import SystemAccount, WheelNeeds

_DPKG = Path("/var/lib/dpkg/status")
_WELL_KNOWN = ("Python.h", "cmake", "gcc", "git", "make", "patchelf", "swig")
"""What a build may lack whose package's name is known on every distribution that ``install_command`` knows."""
_RPM_DATABASES = (Path("/usr/lib/sysimage/rpm"), Path("/var/lib/rpm"))

_INTERPRETER = "host-interpreter"  # the kind of fact that its digest is


def this_target() -> Target:
    """The interpreter that runs us, as a target."""
    return target_of(
        sys.version_info[:3],
        sysconfig.get_platform(),
        tags=map(str, sys_tags()),
        markers={name: str(value) for name, value in default_environment().items()},
    )


@dataclass(frozen=True, slots=True)
class HostRoots:
    """This machine as the root of everything, whatever RPMs are asked for; those are the administrator's business.

    Attributes:
        root: Returns it; it may have to be waited for.
    """

    root: Callable[[], Root]

    def for_build(self, system: Iterable[str]) -> Root:
        """This machine."""
        return self.root()

    def for_test(self, system: Iterable[str]) -> Root:
        """This machine."""
        return self.root()

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
        return root.digest == self.root().digest

    def tree(self, root: Root) -> AbstractContextManager[Path]:
        """Where this machine's own system is."""
        return nullcontext(Path("/"))


def host_root(facts: Facts) -> Callable[[], Root]:
    """What returns this machine as a root.

    Hashing everything takes a moment, so digests are remembered under a fingerprint of sizes and times; a changed file
    has another fingerprint. The first time it begins at once, and whoever needs the root waits for it: a plan does not
    before it is complete.

    Args:
        facts: Where digests are remembered.

    Raises:
        EngineError: Neither dpkg nor rpm knows what is installed here.
    """
    contents = {
        "os_release": digest(Path("/etc/os-release").read_text()),
        "packages": _remembered(facts, "host-packages", _package_fingerprint(), _package_digest),
    }
    fingerprint = _interpreter_fingerprint()
    begun = None if facts.fact(_INTERPRETER, fingerprint) else _begin(_interpreter_digest)

    @functools.cache
    def root() -> Root:
        compute = partial(outcome, begun) if begun else _interpreter_digest
        found = {**contents, "interpreter": _remembered(facts, _INTERPRETER, fingerprint, compute)}
        return Root(kind="host", digest=digest(found), contents=found)

    return root


def _begin(function: Callable[[], str]) -> Future[str]:
    """What a function comes to, which is called in a thread of its own."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="host-root")
    try:
        return pool.submit(function)
    finally:
        pool.shutdown(wait=False)


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
    completed = run([sys.executable, "-I", "-S", hashing.__file__], input=b"\0".join(map(os.fsencode, files)))
    if completed.returncode:
        why = completed.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise EngineError(f"the files of the interpreter can't be read: {why}", cure="install that Python again")
    return digest([list(each) for each in zip(files, completed.stdout.decode().split(), strict=True)])


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

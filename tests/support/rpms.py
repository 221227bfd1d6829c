"""Small RPMs with real scriptlets, made by rpmbuild in a fraction of a second each."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from pybuilder.lockfile import Rpm

_BUILT = 1_600_000_000

_PREAMBLE = """\
%global __os_install_post %{nil}
Version: 1
Release: 1
Summary: x
License: x
BuildArch: noarch
AutoReqProv: no
"""


def build_rpm(
    home: Path,
    name: str,
    *,
    files: Mapping[str, str] | None = None,
    scripts: Mapping[str, str] | None = None,
    requires: Sequence[str] = (),
) -> Path:
    """Build an RPM of version 1-1 for any architecture.

    Args:
        home: A missing directory to build in.
        name: Its name.
        files: Contents by absolute path; attributes may stand before it, as in ``%attr(4755,root,root) /x``.
        scripts: Scriptlets by the line that begins them: ``%post``, ``%pre -p <lua>``.
        requires: What it requires.
    """
    (home / "files").mkdir(parents=True)
    for listed, text in (files or {}).items():
        file = home / "files" / listed.split()[-1].lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        # RPMs are older than the roots made of them; one of this very second may pass for what a scriptlet wrote.
        os.utime(file, (_BUILT, _BUILT))
    lines = [f"Name: {name}", *(f"Requires: {each}" for each in requires), "%description", "x"]
    lines += ["%install", "mkdir -p %{buildroot}", f"cp -a {home}/files/. %{{buildroot}}/"]
    lines += [line for section, text in (scripts or {}).items() for line in (section, text)]
    spec = home / "x.spec"
    spec.write_text(_PREAMBLE + "\n".join([*lines, "%files", *(files or {})]) + "\n")
    where = {"_topdir": home, "_rpmdir": home / "made", "_dbpath": home / "db"}
    defines = [part for key, value in where.items() for part in ("--define", f"{key} {value}")]
    done = subprocess.run(["rpmbuild", "-bb", "--quiet", *defines, spec], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = (home / "made").rglob("*.rpm")
    return made


def locked(file: Path) -> Rpm:
    """An RPM's file as a lock would have it."""
    name, version, release = file.name.removesuffix(".rpm").rsplit("-", 2)
    data = file.read_bytes()
    return Rpm(
        name=name,
        evra=f"{version}-{release}",
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        repository="test",
        location=file.name,
        source="",
        key="",
        requires=(),
    )

"""The distribution that tests of RPMs run over; its RPMs have the names that Fedora has for them.

On Fedora it is the real one, from the repositories of this checkout's buildroot for that release. On Debian it is made
of Debian's packages. Elsewhere there is none, and the tests fail.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from pybuilder.processes import run
from pybuilder.workspace import Workspace
from tests.support import debian

CHECKOUT = Path(__file__).parents[2]
_BASE = """
    bash coreutils findutils sed grep gawk tar gzip bzip2 xz patch make diffutils gcc gcc-c++ python3-devel filesystem
    setup glibc-common
"""
BASE = tuple(_BASE.split())


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """A distribution.

    Attributes:
        release: Its release.
        python: Its Python, ``3.11``.
        repositories: As in a buildroot's definition.
        keys: The files of the public keys that sign its RPMs.
        directory: Where its only repository lies, if that is a directory of this machine.
    """

    release: str
    python: str
    repositories: Mapping[str, Mapping[str, Any]]
    keys: tuple[Path, ...]
    directory: Path | None

    def copy_keys(self, buildroots: Path) -> None:
        """Copy the keys to where a definition in this directory has them."""
        (buildroots / "keys").mkdir(parents=True, exist_ok=True)
        for key in self.keys:
            shutil.copy(key, buildroots / "keys")


def chosen(os_release: Mapping[str, str]) -> str:
    """What the tests take on a machine: ``debian``, or a buildroot of this checkout.

    Args:
        os_release: What the machine's os-release says.

    Raises:
        AssertionError: Neither is for it.
    """
    known = sorted(path.stem for path in (CHECKOUT / "buildroots").glob("fedora-*.toml"))
    rawhide = os_release.get("REDHAT_SUPPORT_PRODUCT_VERSION") == "rawhide"
    fedora = f"fedora-{'rawhide' if rawhide else os_release.get('VERSION_ID')}"
    if os_release.get("ID") == "debian":
        return "debian"
    if os_release.get("ID") == "fedora" and fedora in known:
        return fedora
    raise AssertionError(
        f"tests of RPMs run on Debian, and on Fedora with its real repositories ({', '.join(known)});"
        f" this machine is {os_release.get('PRETTY_NAME', 'neither')}"
    )


def missing_tools() -> str:
    """Why there is no distribution on this machine, and what to do; or empty."""
    try:
        name = chosen(_os_release())
    except AssertionError as error:
        return str(error)
    tools, command = ["rpm", "rpmbuild", "createrepo_c", "gpg", "dnf"], "dnf install rpm-build createrepo_c gnupg2"
    if name == "debian":
        tools, command = [*tools, "apt-get", "dpkg-deb"], "apt-get install rpm createrepo-c dnf gpg"
    if absent := [tool for tool in tools if shutil.which(tool) is None]:
        return f"{', '.join(absent)} not installed ({command})"
    return "" if os.geteuid() == 0 else "rpmbuild and rpm need root to keep modes and owners"


def _os_release() -> Mapping[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def distribution() -> Distribution:
    """This machine's."""
    name = chosen(_os_release())
    return _made() if name == "debian" else real(name)


def _made() -> Distribution:
    home = debian.made()
    repository = {"baseurl": (home / "repository").as_uri(), "gpgkey": ["keys/test.asc"]}
    return Distribution(
        release="test",
        python=os.path.realpath(debian.PYTHON).removeprefix(debian.PYTHON.removesuffix("3")),
        repositories={"test": repository},
        keys=(home / "test.asc",),
        directory=home / "repository",
    )


def real(name: str) -> Distribution:
    """The one whose repositories a buildroot of this checkout names."""
    buildroot = Workspace(root=CHECKOUT, run=run).buildroot(name)
    keys = {key for repository in buildroot.repositories.values() for key in repository.gpgkey}
    return Distribution(
        release=buildroot.release,
        python=buildroot.pythons[0],
        repositories={
            name: repository.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            for name, repository in buildroot.repositories.items()
        },
        keys=tuple(CHECKOUT / "buildroots" / key for key in sorted(keys)),
        directory=None,
    )


def definition(
    made: Distribution, name: str = "fedora-test", *, packages: Sequence[str] = BASE, baseurl: str = ""
) -> str:
    """The text of a buildroot over a distribution; see ``copy_keys``.

    Args:
        made: The distribution.
        name: The buildroot's name.
        packages: The RPMs in every build.
        baseurl: A repository ``test`` of some of its RPMs, which is taken instead of its own.
    """
    keys = [f"keys/{key.name}" for key in made.keys]
    repositories = {"test": {"baseurl": baseurl, "gpgkey": keys}} if baseurl else made.repositories
    return f"""\
name = "{name}"
distribution = "fedora"
release = "{made.release}"
arch = "x86_64"
pythons = ["{made.python}"]
packages = {json.dumps(list(packages))}
runtime = ["bash", "coreutils", "python3"]
{tomlkit.dumps({"repositories": repositories})}"""


def dnf_repositories(made: Distribution) -> str:
    """The repositories as dnf's own configuration names them."""
    keys = " ".join(key.as_uri() for key in made.keys)
    sections = []
    for name, repository in made.repositories.items():
        [(how, url)] = [(how, repository[how]) for how in ("baseurl", "metalink", "mirrorlist") if how in repository]
        sections.append(f"[{name}]\nname={name}\n{how}={url}\ngpgcheck=1\ngpgkey={keys}\n")
    return "".join(sections)

"""What all forms have in common: the RPMs that a file lists, and what is said of a wrong file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, ConfigDict

from pybuilder.errors import ConfigError, UsageError
from pybuilder.fields import Table
from pybuilder.json_files import refused
from pybuilder.lockfile import Rpm
from pybuilder.toml import Problem
from pybuilder.toml_places import KeyPath


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One RPM of a file; what the form has no field for is empty.

    Attributes:
        name: The RPM's name.
        evra: [EPOCH:]VERSION-RELEASE.ARCH; no epoch means 0.
        url: Where it was fetched from.
        place: File and dotted key, for messages.
        sha256: Of the file.
        size: Of the file, in bytes; 0 where it is not given.
        repository: The name of the repository.
        source: The file name of the source RPM.
    """

    name: str
    evra: str
    url: str
    place: str
    sha256: str = ""
    size: int = 0
    repository: str = ""
    source: str = ""

    @property
    def file(self) -> str:
        """The name of the file that the URL ends in."""
        return file_name(self.url)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """What a file lists.

    Attributes:
        file: Its name, for messages.
        rpms: By architecture of the target, then by name.
    """

    file: str
    rpms: Mapping[str, Mapping[str, Listed]]

    def of(self, arch: str) -> Mapping[str, Listed]:
        """The RPMs for one architecture, by name.

        Raises:
            ConfigError: The file is for others.
        """
        if arch in self.rpms:
            return self.rpms[arch]
        raise ConfigError(
            f"this file is for {_all_of(self.rpms)}, the buildroot for {arch}",
            where=self.file,
            cure="take a file of the same architecture",
        )


def common_arch(old: Listing, new: Listing, machine: str) -> str:
    """The architecture that two files are compared for: the machine's if both have it, else the one that both have.

    Args:
        old: A file.
        new: The other.
        machine: The machine's architecture.

    Raises:
        ConfigError: They have none in common.
        UsageError: They have several, of which none is the machine's.
    """
    both = old.rpms.keys() & new.rpms.keys()
    if machine in both:
        return machine
    if len(both) > 1:
        raise UsageError(
            f"both files are for {_all_of(both)}, and this machine is {machine}",
            where=f"{old.file}, {new.file}",
            cure="take a file that is for one of them",
        )
    for arch in both:
        return arch
    raise ConfigError(
        f"this file is for {_all_of(new.rpms)}, the other for {_all_of(old.rpms)}",
        where=new.file,
        cure="take files of the same architecture",
    )


def _all_of(arches: Collection[str]) -> str:
    return " and ".join(sorted(arches)) or "nothing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """A locked RPM with what other forms want to know of it.

    Attributes:
        rpm: The RPM.
        url: Where it can be fetched.
        license: What its header says.
        sigmd5: The MD5 of header and payload, in hexadecimal digits; ``(none)``, as rpm prints it, where there is none.
    """

    rpm: Rpm
    url: str
    license: str
    sigmd5: str


EPOCH = "(0|[1-9][0-9]{0,9})"
WORD = "[A-Za-z0-9._+~^]+"


def file_name(url: str) -> str:
    """The name of the file that a URL ends in."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._+~^-]+", text):
        raise ValueError(f"{text!r} is no part of an RPM's name; it has letters, digits and . _ + ~ ^ - alone")
    return text


def _word(text: str) -> str:
    if not re.fullmatch(WORD, text):
        raise ValueError(f"{text!r} is no part of an RPM's name; it has letters, digits and . _ + ~ ^ alone")
    return text


Name = Annotated[str, AfterValidator(_name)]
"""An RPM's name."""
Word = Annotated[str, AfterValidator(_word)]
"""Its version, release or architecture."""


class OpenTable(Table):
    """A table in which keys that are none of our business may stand; names are written as they are."""

    model_config = ConfigDict(extra="ignore", alias_generator=None)


def by_name(file: str, arch: str, entries: Iterable[tuple[KeyPath, Listed]]) -> dict[str, Listed]:
    """The RPMs for one architecture by name.

    Args:
        file: The file's name, for messages.
        arch: The architecture.
        entries: Each RPM and where it stands.

    Raises:
        ConfigError: One is listed twice, or is for another architecture.
    """
    found: dict[str, Listed] = {}
    wrong = []
    for path, listed in entries:
        other = found.setdefault(listed.name, listed)
        if other is not listed:
            wrong.append(Problem(path=path, text=f"{listed.name} is listed twice, first as {other.evra}"))
        if not listed.evra.endswith((f".{arch}", ".noarch")):
            text = f"{listed.name}-{listed.evra} stands among RPMs for {arch}; a buildroot has one architecture"
            wrong.append(Problem(path=path, text=text))
    if wrong:
        raise refused(file, wrong)
    return found

"""Konflux's ``rpms.lock.yaml``, version 1, as rpm-lockfile-prototype writes it and hermeto fetches by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from pybuilder.fields import Array, FileSize, FormatOne, Url, sha256
from pybuilder.json_files import place, refused, validated
from pybuilder.lock_exchange.listing import (
    EPOCH,
    WORD,
    Export,
    Listed,
    Listing,
    Name,
    OpenTable,
    Word,
    by_name,
    file_name,
)
from pybuilder.lockfile import SourceRpm
from pybuilder.toml import Problem
from pybuilder.toml_places import KeyPath


def _evr(text: str) -> str:
    if not re.fullmatch(rf"({EPOCH}:)?{WORD}-{WORD}", text):
        raise ValueError(f"{text!r} is no EVR; it reads [EPOCH:]VERSION-RELEASE")
    return text.removeprefix("0:")


def _checksum(text: str) -> str:
    kind, colon, digest = text.partition(":")
    if kind != "sha256" or not colon:
        raise ValueError(f"{text!r} is no checksum that pybuild compares; it reads sha256:DIGEST")
    return sha256(digest)


class _Package(OpenTable):
    url: Url
    repoid: str = ""
    size: FileSize
    checksum: Annotated[str, AfterValidator(_checksum)]
    name: Name
    evr: Annotated[str, AfterValidator(_evr)]
    sourcerpm: SourceRpm = ""

    @model_validator(mode="after")
    def _be_consistent(self) -> Self:
        if not re.fullmatch(rf"{re.escape(self._stem)}\.[A-Za-z0-9_]+\.rpm", file_name(self.url)):
            raise ValueError(f"{self.url!r} is no URL of this RPM; it ends in {self._stem}.ARCH.rpm")
        return self

    @property
    def _stem(self) -> str:
        return f"{self.name}-{self.evr.rpartition(':')[2]}"

    @property
    def arch(self) -> str:
        return file_name(self.url).removeprefix(f"{self._stem}.").removesuffix(".rpm")


class _Arch(OpenTable):
    arch: Word
    packages: Array[_Package] = ()


class _File(OpenTable):
    lockfileVersion: FormatOne
    lockfileVendor: Literal["redhat"]
    arches: Array[_Arch]


def parse(text: str, file: str) -> Listing:
    """Read an ``rpms.lock.yaml``; source RPMs and metadata of modules are passed over.

    Args:
        text: The file's text.
        file: Its name, for messages.

    Raises:
        ConfigError: Lists everything that is wrong with it.
    """
    from pybuilder.lock_exchange import shallow_yaml

    found = validated(shallow_yaml.parse(text, file), _File, file, header=("lockfileVersion", "lockfileVendor"))
    rpms: dict[str, dict[str, Listed]] = {}
    for index, each in enumerate(found.arches):
        if each.arch in rpms:
            problem = Problem(path=("arches", index, "arch"), text=f"{each.arch} is listed twice")
            raise refused(file, [problem])
        rpms[each.arch] = by_name(file, each.arch, _listed(each.packages, ("arches", index, "packages"), file))
    return Listing(file=file, rpms=rpms)


def _listed(packages: Sequence[_Package], path: KeyPath, file: str) -> Iterator[tuple[KeyPath, Listed]]:
    for index, package in enumerate(packages):
        listed = Listed(
            name=package.name,
            evra=f"{package.evr}.{package.arch}",
            url=package.url,
            place=place(file, (*path, index)),
            sha256=package.checksum,
            size=package.size,
            repository=package.repoid,
            source=package.sourcerpm,
        )
        yield (*path, index), listed


def write(arch: str, exports: Iterable[Export]) -> str:
    """An ``rpms.lock.yaml`` for one architecture, without source RPMs.

    Args:
        arch: The target's architecture.
        exports: The RPMs in order of name.
    """
    import yaml

    packages = [_entry(each) for each in exports]
    listed = {"arch": arch, "packages": packages, "source": [], "module_metadata": []}
    data = {"lockfileVersion": 1, "lockfileVendor": "redhat", "arches": [listed]}
    return str(yaml.safe_dump(data, sort_keys=False, explicit_start=True, allow_unicode=True))


def _entry(export: Export) -> dict[str, str | int]:
    rpm = export.rpm
    entry: dict[str, str | int] = {
        "url": export.url,
        "repoid": rpm.repository,
        "size": rpm.size,
        "checksum": f"sha256:{rpm.sha256}",
        "name": rpm.name,
        "evr": rpm.evra.removesuffix(f".{rpm.arch}"),
    }
    return entry | ({"sourcerpm": rpm.source} if rpm.source else {})

"""Konflux's ``rpms.lock.yaml``, version 1, as rpm-lockfile-prototype writes it and hermeto fetches by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pybuilder.errors import ConfigError
from pybuilder.fields import Array, Url, sha256
from pybuilder.lock_exchange.listing import (
    PART,
    Export,
    Listed,
    Listing,
    OpenTable,
    Part,
    by_name,
    file_name,
    place,
    refused,
    validated,
)
from pybuilder.lockfile import SourceRpm
from pybuilder.toml import Problem
from pybuilder.toml_places import KeyPath


def _url(text: str) -> str:
    if not re.fullmatch(rf"{PART}\.rpm", file_name(text)):
        raise ValueError(f"{text!r} is no URL of an RPM; it ends in NAME-VERSION-RELEASE.ARCH.rpm")
    return text


def _evr(text: str) -> str:
    if not re.fullmatch(rf"([0-9]{{1,10}}:)?{PART}-{PART}", text):
        raise ValueError(f"{text!r} is no EVR; it reads [EPOCH:]VERSION-RELEASE")
    return text.removeprefix("0:")


def _checksum(text: str) -> str:
    kind, colon, digest = text.partition(":")
    if kind != "sha256" or not colon:
        raise ValueError(f"{text!r} is no checksum that pybuild compares; it reads sha256:DIGEST")
    return sha256(digest)


class _Package(OpenTable):
    url: Annotated[Url, AfterValidator(_url)]
    repoid: str = ""
    size: int = Field(ge=0)
    checksum: Annotated[str, AfterValidator(_checksum)]
    name: Part
    evr: Annotated[str, AfterValidator(_evr)]
    sourcerpm: SourceRpm = ""


class _Arch(OpenTable):
    arch: Part
    packages: Array[_Package] = ()


class _File(OpenTable):
    lockfileVersion: Literal[1]
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
    found = validated(_data(text, file), _File, file, header=("lockfileVersion", "lockfileVendor"))
    rpms: dict[str, dict[str, Listed]] = {}
    for index, each in enumerate(found.arches):
        if each.arch in rpms:
            problem = Problem(path=("arches", index, "arch"), text=f"{each.arch} is listed twice")
            raise refused(file, [problem])
        rpms[each.arch] = by_name(file, each.arch, _listed(each.packages, ("arches", index, "packages"), file))
    return Listing(file=file, rpms=rpms)


def _data(text: str, file: str) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        raise ConfigError(f"this is no YAML: {error.problem}", where=where, cure="correct this line") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = f"this is no YAML that can be read: {str(error).splitlines()[0]}"
        raise ConfigError(what, where=file, cure="write this file anew with the tool that made it") from error


def _listed(packages: Sequence[_Package], path: KeyPath, file: str) -> Iterator[tuple[KeyPath, Listed]]:
    for index, package in enumerate(packages):
        arch = file_name(package.url).removesuffix(".rpm").rpartition(".")[2]
        listed = Listed(
            name=package.name,
            evra=f"{package.evr}.{arch}",
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

"""mock's ``buildroot_lock.json``, version 1.1.0 (its docs/buildroot-lock-schema-1.1.0.json).

It gives no digest of an RPM's file, so an RPM is told by its name, version and architecture.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict

from pybuilder.fields import Array, Table, Url
from pybuilder.json_files import parse_json, place, validated
from pybuilder.lock_exchange.listing import (
    EPOCH,
    Export,
    Listed,
    Listing,
    Name,
    OpenTable,
    Word,
    by_name,
)
from pybuilder.toml_places import KeyPath


def _epoch(text: str) -> str:
    if not re.fullmatch(EPOCH, text):
        raise ValueError(f"{text!r} is no epoch; it is a number without zeros before it")
    return text


class _Rpm(Table):
    arch: Word
    epoch: Annotated[str, AfterValidator(_epoch)] | None
    license: str
    name: Name
    release: Word
    sigmd5: str
    signature: str | None
    url: Url
    version: Word

    @property
    def evra(self) -> str:
        epoch = f"{self.epoch}:" if self.epoch and self.epoch != "0" else ""
        return f"{epoch}{self.version}-{self.release}.{self.arch}"


class _Buildroot(Table):
    rpms: Array[_Rpm]


class _Config(OpenTable):
    target_arch: Word = ""


class _Bootstrap(Table):
    """mock's own affair: the image that its dnf ran in."""

    model_config = ConfigDict(alias_generator=None)

    image_digest: str
    pull_digest: str
    architecture: str
    id: str


_NO_IMAGE = _Bootstrap(image_digest="", pull_digest="", architecture="", id="")


class _File(Table):
    version: Literal["1.1.0"]
    buildroot: _Buildroot
    config: _Config
    bootstrap: _Bootstrap = _NO_IMAGE


def parse(text: str, file: str) -> Listing:
    """Read a ``buildroot_lock.json``.

    Args:
        text: The file's text.
        file: Its name, for messages.

    Raises:
        ConfigError: Lists everything that is wrong with it.
    """
    found = validated(parse_json(text, file), _File, file, header=("version",))
    arch = _arch(found)
    return Listing(file=file, rpms={arch: by_name(file, arch, _listed(found.buildroot.rpms, file))})


def _arch(found: _File) -> str:
    """The target's architecture: as mock says, else that of the first RPM that has one."""
    of_rpms = (rpm.arch for rpm in found.buildroot.rpms if rpm.arch != "noarch")
    return found.config.target_arch or next(of_rpms, "noarch")


def _listed(rpms: Sequence[_Rpm], file: str) -> Iterator[tuple[KeyPath, Listed]]:
    for index, rpm in enumerate(rpms):
        path = ("buildroot", "rpms", index)
        yield path, Listed(name=rpm.name, evra=rpm.evra, url=rpm.url, place=place(file, path))


def write(arch: str, exports: Iterable[Export]) -> str:
    """A ``buildroot_lock.json``, spelled as mock spells it.

    The key ``bootstrap``, optional in the schema, is left out: it describes an image that mock made.

    Args:
        arch: The target's architecture.
        exports: The RPMs in order of name.
    """
    data = {
        "version": "1.1.0",
        "buildroot": {"rpms": [_entry(each) for each in exports]},
        "config": {"target_arch": arch},
    }
    return json.dumps(data, indent=4, sort_keys=True) + "\n"


def _entry(export: Export) -> dict[str, str | None]:
    rpm = export.rpm
    epoch, _, rest = rpm.evra.rpartition(":")
    version, _, release = rest.removesuffix(f".{rpm.arch}").rpartition("-")
    return {
        "name": rpm.name,
        "arch": rpm.arch,
        "epoch": epoch or None,
        "version": version,
        "release": release,
        "license": export.license,
        "sigmd5": export.sigmd5,
        "signature": rpm.key[-8:] or None,
        "url": export.url,
    }

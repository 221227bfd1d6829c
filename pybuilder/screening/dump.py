"""A dump of advisories: a zip file or a directory of OSV records, as osv.dev hands them out for an ecosystem."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.errors import ConfigError
from pybuilder.files import sha256_file
from pybuilder.screening.osv import ECOSYSTEM, Advisory, Record, affecting, names_in

T = TypeVar("T")
_Read = Callable[[str], bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dump:
    """A dump.

    Attributes:
        path: The zip file or the directory.
        where: The key that names it, for messages.
    """

    path: Path
    where: str

    def identity(self) -> str:
        """What changes when the dump does, found out without reading it.

        Raises:
            ConfigError: It isn't there.
        """
        with self._errors():
            entries = [(name, entry.stat()) for name, entry in self._entries()] if self.path.is_dir() else []
            entries = sorted(entries) or [("", self.path.stat())]
        seen = [f"{name} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}" for name, stat in entries]
        return hashlib.sha256("\0".join([str(self.path), *seen]).encode("utf-8", "surrogateescape")).hexdigest()

    def digest(self) -> str:
        """The sha256 of a zip file; of a directory that of its records' names and digests.

        Raises:
            ConfigError: It can't be read.
        """
        with self._errors():
            if not self.path.is_dir():
                return sha256_file(self.path)
            content = [[name, sha256_file(self.path / name)] for name in self._names()]
            return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def index(self) -> dict[NormalizedName, list[str]]:
        """The records about each package of Python, by their names in the dump; reads all of it once.

        Raises:
            ConfigError: It can't be read, a record in it is damaged, or none is about Python.
        """
        found: dict[NormalizedName, list[str]] = {}
        with self._records() as (names, read):
            for name in names:
                for package in self._understood(name, lambda name=name: names_in(_parsed(read(name)))):  # type: ignore[misc]
                    found.setdefault(package, []).append(name)
        if not found:
            raise ConfigError(
                f"{self.path.name} has no advisory about packages of the {ECOSYSTEM} ecosystem",
                where=self.where,
                cure=f"name a dump of OSV records for {ECOSYSTEM}: a zip file, or a directory of JSON files",
            )
        return found

    def advisories(
        self, index: Mapping[NormalizedName, Sequence[str]], name: NormalizedName, version: Version
    ) -> tuple[Advisory, ...]:
        """The advisories that a version is affected by.

        Args:
            index: What ``index`` gave.
            name: The package.
            version: Upstream's.

        Raises:
            ConfigError: The dump can't be read.
        """
        about = index.get(name, ())
        if not about:
            return ()
        with self._records() as (_, read):
            records = [self._understood(each, lambda each=each: _parsed(read(each))) for each in about]  # type: ignore[misc]
        return self._understood(", ".join(about), lambda: affecting(records, name, version))

    def _names(self) -> list[str]:
        return sorted(name for name, _ in self._entries())

    def _entries(self, below: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
        """The records of a directory, by their paths in it."""
        with os.scandir(self.path / below) as entries:
            for entry in entries:
                name = below + entry.name
                if entry.is_dir(follow_symlinks=False):
                    yield from self._entries(f"{name}/")
                elif name.endswith(".json"):
                    yield name, entry

    @contextlib.contextmanager
    def _records(self) -> Iterator[tuple[list[str], _Read]]:
        with self._errors():
            if self.path.is_dir():
                yield self._names(), lambda name: (self.path / name).read_bytes()
            else:
                with zipfile.ZipFile(self.path) as archive:
                    yield sorted(name for name in archive.namelist() if name.endswith(".json")), archive.read

    def _understood(self, name: str, read: Callable[[], T]) -> T:
        try:
            return read()
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise self._unusable(f"the record {name} is damaged or none: {type(error).__name__}: {error}") from error

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            cure = "fetch it, or correct the path; it starts from the workspace"
            raise ConfigError(f"there are no advisories at {self.path}", where=self.where, cure=cure) from error
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
            raise self._unusable(str(error)) from error

    def _unusable(self, why: str) -> ConfigError:
        cure = "fetch the dump again; nothing is built while nobody can tell what is known of it"
        return ConfigError(f"the advisories in {self.path.name} can't be read: {why}", where=self.where, cure=cure)


def _parsed(data: bytes) -> Record:
    record = json.loads(data)
    if not isinstance(record, dict) or not isinstance(record.get("id"), str):
        raise ValueError("it has no id")
    return record

"""Unpack a payload as it lies in a virtual environment, by PyPA's installer."""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.exceptions import InstallerError
from installer.records import Hash, RecordEntry
from installer.sources import WheelContentElement, WheelFile
from installer.utils import Scheme, copyfileobj_with_hashing, make_file_executable

from pybuilder.errors import BuildError
from pybuilder.wheel.read import open_archive, open_wheel

_NOT_INSTALLABLE = (
    InstallerError,
    ValueError,
    configparser.Error,
    FileExistsError,
    NotADirectoryError,
    AssertionError,  # installer 1.1's answer to an entry point that it can't parse
)


class _Payload(WheelFile):
    """A wheel without its bytecode, which would make the environment depend on who compiled it.

    installer leaves ``__pycache__`` out as well, but prints a warning for each file.
    """

    def get_contents(self) -> Iterator[WheelContentElement]:
        for element in super().get_contents():
            if "__pycache__" not in element[0][0].split("/")[:-1]:
                yield element


@dataclass
class _Destination(SchemeDictionaryDestination):
    """Where the files of a wheel go, by their names as strings: installer's paths take longer than all the rest."""

    made: set[str] = field(default_factory=set)
    files: int = 0

    def write_to_fs(self, scheme: Scheme, path: str, stream: BinaryIO, is_executable: bool) -> RecordEntry:
        directory = self.scheme_dict[scheme]
        target = os.path.normpath(f"{directory}/{path}")
        if not target.startswith(f"{directory}/"):
            raise ValueError(f"{path} would lie outside")
        parent = os.path.dirname(target)
        if parent not in self.made:
            os.makedirs(parent, exist_ok=True)
            self.made.add(parent)
        self.files += 1
        with open(target, "xb") as file:
            digest, size = copyfileobj_with_hashing(stream, file, self.hash_algorithm)
        if is_executable:
            make_file_executable(Path(target))
        return RecordEntry(path, Hash(self.hash_algorithm, digest), size)


def unpack(payload: Path, directory: Path, *, python: str, interpreter: str) -> int:
    """Install a payload into an empty directory that is to be part of a virtual environment.

    Args:
        payload: The payload, under its own file name.
        directory: What stands for the virtual environment's directory. Modes depend on the umask.
        python: The minor version, such as ``3.14``: it is in the names of directories.
        interpreter: What scripts begin with, after ``#!``.

    Returns:
        The number of files that it has now.

    Raises:
        BuildError: The payload is damaged or can't be installed.
    """
    wheel = open_wheel(payload)
    directory = Path(os.path.abspath(directory))
    packages = str(directory / "lib" / f"python{python}" / "site-packages")
    destination = _Destination(
        {
            "purelib": packages,
            "platlib": packages,
            "headers": str(directory / "include" / "site" / f"python{python}" / wheel.filename.name),
            "scripts": str(directory / "bin"),
            "data": str(directory),
        },
        interpreter=interpreter,
        script_kind="posix",
    )
    with open_archive(payload) as archive:
        try:
            install(_Payload(archive), destination, {"INSTALLER": b"pybuild\n"})
        except _NOT_INSTALLABLE as error:
            raise BuildError(
                f"{payload.name} can't be installed: {str(error) or 'an entry point is no object reference'}",
                where=str(payload),
                cure="look at how the build backend makes its wheel",
            ) from error
    return destination.files

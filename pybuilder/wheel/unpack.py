"""Unpack a payload as it lies in a virtual environment, by PyPA's installer."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from pathlib import Path

from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.exceptions import InstallerError
from installer.sources import WheelContentElement, WheelFile

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


def unpack(payload: Path, directory: Path, *, python: str, interpreter: str) -> None:
    """Install a payload into an empty directory that is to be part of a virtual environment.

    Args:
        payload: The payload, under its own file name.
        directory: What stands for the virtual environment's directory. Modes depend on the umask.
        python: The minor version, such as ``3.14``: it is in the names of directories.
        interpreter: What scripts begin with, after ``#!``.

    Raises:
        BuildError: The payload is damaged or can't be installed.
    """
    wheel = open_wheel(payload)
    packages = str(directory / "lib" / f"python{python}" / "site-packages")
    destination = SchemeDictionaryDestination(
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

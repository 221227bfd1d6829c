"""What the file name of a wheel says, with no look into the wheel."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.utils import InvalidWheelFilename, NormalizedName, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from pybuilder.errors import BuildError
from pybuilder.wheel.tags import expand_tag


@dataclass(frozen=True, kw_only=True, slots=True)
class WheelName:
    """What a wheel's file name says (the wheel specification, "file name convention").

    Attributes:
        name: The normalised project name.
        version: The version.
        build: The build tag, mostly empty.
        tag: The compressed tag, such as ``py2.py3-none-any``.
    """

    name: NormalizedName
    version: Version
    build: str
    tag: str

    @classmethod
    def parse(cls, filename: str) -> WheelName:
        """Read a file name.

        Raises:
            BuildError: It is no wheel's name.
        """
        try:
            name, version, _, _ = parse_wheel_filename(filename)
        except (InvalidWheelFilename, InvalidVersion) as error:
            raise BuildError(
                f"{filename!r} is no wheel's file name",
                where=str(error),
                cure="the build backend must name it NAME-VERSION-PYTHON-ABI-PLATFORM.whl",
            ) from error
        parts = filename.removesuffix(".whl").split("-")
        build = parts[2] if len(parts) == 6 else ""
        return cls(name=name, version=version, build=build, tag="-".join(parts[-3:]))

    @property
    def prefix(self) -> str:
        """``NAME-VERSION``, both normalised and escaped: how the dist-info and data directories begin."""
        return f"{self.name.replace('-', '_')}-{self.version}"

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that the compressed one stands for (PEP 425), sorted."""
        return expand_tag(self.tag)

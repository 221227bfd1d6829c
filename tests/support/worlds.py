"""Worlds out of tables, for joint resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pybuilder.joint import Offer

# The target of the tests, which is not this machine.
PYTHON = "3.12.4"
MARKERS = {
    "python_version": "3.12",
    "python_full_version": PYTHON,
    "sys_platform": "plan9",
    "platform_system": "Plan 9",
    "platform_machine": "mips",
    "os_name": "posix",
    "implementation_name": "cpython",
    "implementation_version": PYTHON,
    "platform_python_implementation": "CPython",
    "platform_release": "",
    "platform_version": "",
}


@dataclass
class TableWorld:
    """What a test puts in; notes what it is asked.

    Attributes:
        asked: Projects, and ``name==version`` where requirements were asked for.
    """

    offered: dict[str, list[Offer]] = field(default_factory=dict)
    required: dict[tuple[str, Version], tuple[Requirement, ...] | BaseException | None] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def project(self, name: str) -> None:
        """A project without versions."""
        self.offered.setdefault(canonicalize_name(name), [])

    def add(
        self,
        name: str,
        version: str,
        *requirements: str,
        requires_python: str = "",
        yanked: str | None = None,
        upload_time: datetime | None = None,
    ) -> None:
        """A version; ``yanked`` is the reason, which may be empty."""
        self.project(name)
        offer = Offer(
            version=Version(version),
            requires_python=requires_python,
            yanked=yanked is not None,
            yanked_reason=yanked or "",
            upload_time=upload_time,
        )
        self.offered[canonicalize_name(name)].append(offer)
        self.required[canonicalize_name(name), offer.version] = tuple(map(Requirement, requirements))

    def add_unknown(self, name: str, version: str) -> None:
        """A version of which nobody knows what it requires."""
        self.add(name, version)
        self.required[canonicalize_name(name), Version(version)] = None

    def add_failing(self, name: str, version: str, error: BaseException) -> None:
        """A version whose requirements can't be found out."""
        self.add(name, version)
        self.required[canonicalize_name(name), Version(version)] = error

    def offers(self, name: NormalizedName) -> Sequence[Offer] | None:
        self.asked.append(name)
        return self.offered.get(name)

    def requires(self, name: NormalizedName, version: Version) -> tuple[Requirement, ...] | None:
        self.asked.append(f"{name}=={version}")
        known = self.required[name, version]
        if isinstance(known, BaseException):
            raise known
        return known

"""What a wheel's ELF files need, told as RPMs, and compared with what its spec says it needs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pybuilder.lockfile import Lock

FORMAT = 1

_CAPABILITY = re.compile(r"(?P<soname>[^()]+)\((?P<version>[^()]*)\)(\(64bit\))?")
_SHOWN = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class NeededRpm:
    """An RPM that a wheel needs.

    Attributes:
        name: Its name.
        provides: What the wheel needs of it, sorted: ``libxslt.so.1()(64bit)``.
        files: The wheel's files that need it, sorted.
    """

    name: str
    provides: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemRequires:
    """What a wheel needs from the system it is installed on.

    Attributes:
        package: The name of its project.
        elf: What its ELF files need, sorted.
        rpms: The RPMs that have it, sorted by name.
        missing: Those of them that an installation would lack.
        unprovided: What nobody has, and the files that need it.
        needless: Entries of ``[system] runtime`` that bring no RPM which an ELF file needs. They may be programs, or
            libraries that are loaded by name.
        runtime: All entries of ``[system] runtime``, sorted.
    """

    package: str
    elf: tuple[str, ...]
    rpms: tuple[NeededRpm, ...]
    missing: tuple[NeededRpm, ...]
    unprovided: Mapping[str, tuple[str, ...]]
    needless: tuple[str, ...]
    runtime: tuple[str, ...]

    def problems(self) -> tuple[str, ...]:
        """Why the wheel must not be published, one sentence each."""
        spec = f"[system] runtime in specs/{self.package}.toml"
        missing = [
            f"{self.package} needs {_sonames(rpm.provides)} ({_some(rpm.files)}), which the RPM {rpm.name} has: "
            f"add it to {spec}"
            for rpm in self.missing
        ]
        unprovided = [
            f"{self.package} needs {_sonames(needs)} ({_some(files)}), which neither a wheel installed with it nor an "
            f"RPM of the build has: add the RPM that has it to {spec}, or build without it"
            for needs, files in _by_soname(self.unprovided)
        ]
        return (*missing, *unprovided)

    def hints(self) -> tuple[str, ...]:
        """What a person may want to look at, one sentence each."""
        return tuple(
            f"no file of {self.package} is linked to anything that {entry!r} in [system] runtime brings; is it a "
            "program, or loaded by name?"
            for entry in self.needless
        )

    def document(self, lock: Lock) -> Mapping[str, Any]:
        """What is published beside the wheel, as JSON has it.

        Args:
            lock: Has the RPMs.
        """
        return {
            "format": FORMAT,
            "elf": list(self.elf),
            "rpms": [
                {
                    "name": rpm.name,
                    "evra": lock.rpms[rpm.name].evra,
                    "sha256": lock.rpms[rpm.name].sha256,
                    "provides": list(rpm.provides),
                    "files": list(rpm.files),
                }
                for rpm in self.rpms
            ],
            "runtime": list(self.runtime),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class WheelNeeds:
    """A wheel about to be compared with RPMs.

    Attributes:
        package: The name of its project.
        needs: What its ELF files need from outside, and the files that need it.
        declared: The ``[system] runtime`` of its own spec.
        system: The ``[system] runtime`` of everything that is installed with it, itself included.
        beside: What the ELF files of the other wheels provide that are installed with it.
    """

    package: str
    needs: Mapping[str, tuple[str, ...]]
    declared: Collection[str]
    system: Collection[str]
    beside: Collection[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemAccount:
    """The outcome of a comparison.

    Attributes:
        problems: Why the wheel must not be published, one sentence each.
        document: What is published beside the wheel, as JSON has it.
    """

    problems: tuple[str, ...]
    document: Mapping[str, Any]


def unknown_rpms(wheel: WheelNeeds) -> SystemAccount:
    """The account of a wheel whose system is not made of locked RPMs."""
    document = {"format": FORMAT, "elf": sorted(wheel.needs), "rpms": None, "runtime": sorted(set(wheel.declared))}
    return SystemAccount(problems=(), document=document)


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """What there is where a wheel is installed.

    Attributes:
        lock: The buildroot's lock.
        base: The definition's ``runtime``: what is there whatever is installed.
        system: The ``[system] runtime`` of everything that is installed.
        beside: What the ELF files of the other wheels provide that are installed with it.
    """

    lock: Lock
    base: Collection[str]
    system: Collection[str]
    beside: Collection[str]


def system_requires(
    package: str,
    needs: Mapping[str, tuple[str, ...]],
    *,
    declared: Iterable[str],
    providers: Mapping[str, tuple[str, ...]],
    installation: Installation,
) -> SystemRequires:
    """Find the RPMs that a wheel needs, and whether its installation has them.

    Args:
        package: The name of its project.
        needs: What its ELF files need from outside, and the files that need it.
        declared: The ``[system] runtime`` of its own spec.
        providers: What the RPMs of the build and of the installation provide, and their names.
        installation: What there is where it is installed.

    Raises:
        EngineError: The lock has no answer to an entry of ``[system] runtime``.
    """
    lock, runtime = installation.lock, tuple(sorted(set(declared)))
    base = {rpm.name for rpm in lock.closure(installation.base)}
    there = base | {rpm.name for rpm in lock.closure(installation.system)}
    outside = {need: files for need, files in needs.items() if need not in installation.beside}
    chosen = {need: _choose(providers[need], there) for need in outside if need in providers}
    rpms = _needed(outside, chosen)
    names = {rpm.name for rpm in rpms}
    return SystemRequires(
        package=package,
        elf=tuple(sorted(needs)),
        rpms=rpms,
        missing=tuple(rpm for rpm in rpms if rpm.name not in there),
        unprovided={need: outside[need] for need in sorted(outside.keys() - chosen.keys())},
        needless=tuple(entry for entry in runtime if not names & _brought(lock, entry, base)),
        runtime=runtime,
    )


def _choose(names: Collection[str], there: Collection[str]) -> str:
    """Of several RPMs that have the same library, one that is there."""
    return min(names, key=lambda name: (name not in there, name))


def _needed(needs: Mapping[str, tuple[str, ...]], chosen: Mapping[str, str]) -> tuple[NeededRpm, ...]:
    by_name: dict[str, list[str]] = {}
    for need, name in sorted(chosen.items()):
        by_name.setdefault(name, []).append(need)
    return tuple(
        NeededRpm(name=name, provides=tuple(provides), files=_files(needs, provides))
        for name, provides in sorted(by_name.items())
    )


def _files(needs: Mapping[str, tuple[str, ...]], some: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({file for need in some for file in needs[need]}))


def _brought(lock: Lock, entry: str, base: Collection[str]) -> set[str]:
    """The RPMs that are there because of an entry: the one that answers it, and what only that needs."""
    names = {rpm.name for rpm in lock.closure([entry])}
    return {lock.answers[entry], *(names - set(base))}


def _by_soname(needs: Mapping[str, tuple[str, ...]]) -> Iterable[tuple[list[str], tuple[str, ...]]]:
    groups: dict[str, list[str]] = {}
    for need in needs:
        groups.setdefault(need.partition("(")[0], []).append(need)
    return [(group, _files(needs, group)) for group in groups.values()]


def _sonames(needs: Iterable[str]) -> str:
    """Libraries for a reader: a version is told where only that is needed."""
    versions: dict[str, list[str]] = {}
    for need in needs:
        found = _CAPABILITY.fullmatch(need)
        soname, version = (found["soname"], found["version"]) if found else (need, "")
        versions.setdefault(soname, []).append(version)
    return ", ".join(
        soname if "" in listed else f"{soname} with {' and '.join(listed)}" for soname, listed in versions.items()
    )


def _some(files: tuple[str, ...]) -> str:
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return ", ".join(files[:_SHOWN]) + more

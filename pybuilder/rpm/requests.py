"""What a buildroot's lock must answer: the definition's own RPMs and those of every spec."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pybuilder.buildroot import Buildroot

if TYPE_CHECKING:
    from pybuilder.spec import Spec, System
    from pybuilder.toml_places import KeyPath


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """An RPM, by name or any provide, and who asks for it.

    Attributes:
        rpm: As it is written: ``gcc``, ``/usr/bin/cmake``, ``pkgconfig(libxml-2.0)``.
        place: Where it is written, for messages.
    """

    rpm: str
    place: str


def requests(buildroot: Buildroot, specs: Iterable[Spec]) -> tuple[Request, ...]:
    """All requests; what several ask for is there several times.

    Which version of a package will be built is not known when a lock is made, so what an override wants for some
    versions is wanted always, unless it is for other buildroots.
    """
    file = f"buildroots/{buildroot.name}.toml"
    found = [Request(rpm=rpm, place=f"{file} packages") for rpm in buildroot.packages]
    found += [Request(rpm=rpm, place=f"{file} runtime") for rpm in buildroot.runtime]
    for spec in specs:
        found += _of_system(spec, spec.system, ("system",))
        for index, override in enumerate(spec.override):
            here = override.when.buildroot is None or fnmatchcase(buildroot.name, override.when.buildroot)
            if override.system and here:
                found += _of_system(spec, override.system, ("override", index, "system"))
    return tuple(found)


def _of_system(spec: Spec, system: System, path: KeyPath) -> Iterator[Request]:
    sets: Sequence[tuple[str, Sequence[str]]] = (("build", system.build), ("runtime", system.runtime))
    for key, rpms in sets:
        for index, rpm in enumerate(rpms):
            yield Request(rpm=rpm, place=spec.document.place((*path, key, index)))

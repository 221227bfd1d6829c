"""How many packages need each other one, by what is published: to build, or where they are installed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from packaging.version import Version

from pybuilder.graph import closures
from pybuilder.layout import Layout
from pybuilder.made_from import MadeFrom, Need, Recollection
from pybuilder.state import PublishedWheel, State


def needed_by(state: State, layout: Layout, channel: str) -> Counter[str]:
    """How many packages of a channel need each package, directly or not; 0 for what nobody needs.

    Of each package counts the newest published version, in its newest build.

    Args:
        state: Knows what is published.
        layout: Where the records are, of which what isn't known yet is read.
        channel: The channel.
    """
    newest = newest_versions(state.published_in(channel))
    known = Recollection(layout, state).made_from(newest.values())
    return counted({name: known[wheel.attempt] for name, wheel in newest.items() if wheel.attempt in known})


def newest_versions(published: Iterable[PublishedWheel]) -> dict[str, PublishedWheel]:
    """By name, a wheel of the newest build of a package's newest version."""
    found: dict[str, tuple[Version, PublishedWheel]] = {}
    versions: dict[str, Version] = {}
    for wheel in published:
        version = versions.get(wheel.version) or versions.setdefault(wheel.version, Version(wheel.version))
        before = found.get(wheel.name)
        if before is None or (version, wheel.number) > (before[0], before[1].number):
            found[wheel.name] = version, wheel
    return {name: wheel for name, (_, wheel) in found.items()}


def counted(packages: Mapping[str, MadeFrom]) -> Counter[str]:
    """How many of some packages need each package, directly or not.

    Args:
        packages: By name, what each was made from and needs.
    """
    edges = {name: sorted(_needs(made, packages)) for name, made in sorted(packages.items())}
    for need in sorted({need for needs in edges.values() for need in needs} - edges.keys()):
        edges[need] = []
    return Counter(need for name, all_needs in closures(edges).items() for need in all_needs if need != name)


def _needs(made: MadeFrom, packages: Mapping[str, MadeFrom]) -> set[str]:
    """The names in a build environment and among what is installed beside the package, extras included."""
    found = {each.name for each in made.environment}
    seen: set[tuple[str, str]] = set()
    pending: list[Need] = list(made.installs)
    while pending:
        need = pending.pop()
        found.add(need.name)
        for extra in need.extras:
            if (need.name, extra) not in seen and need.name in packages:
                seen.add((need.name, extra))
                pending += packages[need.name].extras.get(extra, ())
    return found

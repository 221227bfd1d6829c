"""Which versions of a package are *live*, so that they are kept up to date (docs/upkeep.md)."""

from __future__ import annotations

from collections.abc import Collection

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from pybuilder.spec import Update


def live_versions(versions: Collection[Version], update: Update) -> tuple[Version, ...]:
    """The newest version of each series that is kept alive, or of all where none is named; newest first.

    Args:
        versions: Those that there are: pinned, or else published.
        update: The rules, of which ``allow``, ``ignore``, ``series`` and ``prereleases`` count.
    """
    allowed = [version for version in versions if _is_allowed(version, update)]
    ranges = [SpecifierSet(f"=={series}") for series in update.series] or [SpecifierSet()]
    found = {newest for each in ranges if (newest := newest_in(each, allowed, update)) is not None}
    return tuple(sorted(found, reverse=True))


def newest_in(wanted: SpecifierSet, versions: Collection[Version], update: Update) -> Version | None:
    """The newest version that satisfies; prereleases by PEP 440: where asked for, or where there is nothing else."""
    return max(wanted.filter(versions, prereleases=update.prereleases or None), default=None)


def _is_allowed(version: Version, update: Update) -> bool:
    return update.allow.contains(version, prereleases=True) and not any(
        ignored.contains(version, prereleases=True) for ignored in update.ignore
    )

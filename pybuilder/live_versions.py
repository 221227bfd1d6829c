"""Which versions of a package are *live*, so that they are kept up to date (docs/upkeep.md)."""

from __future__ import annotations

from collections.abc import Collection

from packaging.version import Version

from pybuilder.candidates import Rules, in_series


def live_versions(versions: Collection[Version], rules: Rules) -> tuple[Version, ...]:
    """The newest version of each series that is kept alive, or of all where none is named; newest first.

    Args:
        versions: Those that there are: pinned, or else published.
        rules: Which say what may be taken; those of age don't count for what has been taken.
    """
    allowed = [version for version in versions if rules.ruled_out(version) is None]
    found = set()
    for series in rules.spec.update.series or ("",):
        inside = [version for version in allowed if in_series(version, series)]
        # A prerelease counts where it is asked for, or where there is nothing else (PEP 440).
        counted = [version for version in inside if not version.is_prerelease or rules.counts_prereleases(version)]
        found.update(sorted(counted or inside)[-1:])
    return tuple(sorted(found, reverse=True))

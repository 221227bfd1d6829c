"""What has been published is written into the workspace: pins, and the specs of packages that were taken in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.commits import Change
from pybuilder.cron.agenda import Goal
from pybuilder.cron.build import Done
from pybuilder.cron.log import Log
from pybuilder.cron.site import Site
from pybuilder.passes import Updated
from pybuilder.spec_edit import with_pin
from pybuilder.tree import Package
from pybuilder.workspace.edits import content


def settle(site: Site, done: Done, goals: Sequence[Goal], log: Log) -> Iterator[Updated]:
    """Pin every version that is published and not pinned yet, one commit per package.

    What is interrupted here is found again by the next pass: it is published, and not pinned.

    Yields:
        Each new version, as soon as it is committed.
    """
    updates = {(goal.name, goal.version): goal for goal in goals if goal.is_candidate and goal.version}
    for name, packages in _unpinned(site, done.outcomes):
        with log.survive("commit", name):
            commit = _commit(site, name, packages, updates)
            yield from (_updated(updates[package], package[1], commit) for package in packages if package in updates)


def _unpinned(site: Site, packages: Iterable[Package]) -> Iterator[tuple[NormalizedName, list[Package]]]:
    """The packages whose specs lack pins of versions that are published, and these versions."""
    found: dict[NormalizedName, list[Package]] = {}
    for package in sorted(packages):
        if site.workspace.pin_of(package) is not None:
            found.setdefault(package[0], []).append(package)
    yield from found.items()


def _commit(site: Site, name: NormalizedName, packages: Sequence[Package], updates: Mapping[Package, Goal]) -> str:
    """Write the pins of a package, and its spec where it is new; the commit."""
    workspace, file = site.workspace, f"specs/{name}.toml"
    before = content(workspace.root / file)
    text = workspace.texts[name] if before is None else before.decode()
    for package in packages:
        pin = workspace.pin_of(package)
        assert pin is not None
        text = with_pin(text, package[1], pin)
    change = Change(file=file, before=before, after=text.encode())
    return site.commits.commit([change], _message(name, packages, updates, is_new=before is None))


def _message(
    name: NormalizedName, packages: Sequence[Package], updates: Mapping[Package, Goal], *, is_new: bool
) -> str:
    versions = ", ".join(str(version) for _, version in packages)
    if is_new:
        return f"{name}: {versions}, a new package"
    told = [updates[package].detail for package in packages if package in updates]
    return f"{name}: {', '.join(told) or f'pin {versions}'}"


def _updated(goal: Goal, version: Version, commit: str) -> Updated:
    return Updated(
        name=goal.name,
        old=str(goal.replaces or ""),
        new=str(version),
        commit=commit,
        needed_by=goal.needed_by,
    )

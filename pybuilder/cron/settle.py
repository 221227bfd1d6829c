"""What has been published is written into the workspace: pins, and the specs of packages that were taken in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from packaging.utils import NormalizedName

from pybuilder.commits import Change
from pybuilder.cron.agenda import Goal
from pybuilder.cron.build import Done
from pybuilder.cron.log import Log
from pybuilder.cron.site import Site
from pybuilder.passes import Updated
from pybuilder.spec_edit import with_pin
from pybuilder.tree import Package, package_id
from pybuilder.workspace.edits import content


def settle(site: Site, done: Done, goals: Iterable[Goal], log: Log) -> Iterator[Updated]:
    """Write every version that is published and not pinned yet, a commit for each.

    What is interrupted here is found again by the next pass: it is published, and not pinned.

    Args:
        site: The world.
        done: What is published.
        goals: What was asked for.
        log: Told what goes wrong.

    Yields:
        Each update, as soon as it is committed.
    """
    updates = {goal.package: goal for goal in goals if goal.is_candidate}
    for name, version in site.workspace.unwritten:
        package = (NormalizedName(name), version)
        with log.survive("commit", package_id(package)):
            if package in updates and package in done.outcomes:
                # Once more: another version of it may be in its spec now, or somebody's work.
                yield _updated(updates[package], site.uptake.commit(site.uptake.prepare(*package)))
            elif package not in updates and site.workspace.has_spec(name) and _is_published(site, package):
                site.uptake.commits.commit([_pinned(site, package)], f"{name}: pin {version}\n")


def _is_published(site: Site, package: Package) -> bool:
    """Whether a version is published, by this pass or by one that was killed then."""
    adapters = site.adapters
    return bool(adapters.state.published(adapters.channel.name, package[0], str(package[1])))


def _pinned(site: Site, package: Package) -> Change:
    """A spec with its first pin, or with one that other packages needed; the spec itself may be new."""
    workspace, file = site.workspace, f"specs/{package[0]}.toml"
    pin, before = workspace.noted(*package), content(workspace.root / file)
    assert pin is not None
    text = workspace.texts[package[0]] if before is None else before.decode()
    return Change(file=file, before=before, after=with_pin(text, package[1], pin).encode())


def _updated(goal: Goal, commit: str) -> Updated:
    return Updated(
        name=goal.name,
        old=str(goal.replaces or ""),
        new=str(goal.version),
        commit=commit,
        needed_by=goal.needed_by,
    )

"""Who waits for a person: new versions that a spec wants to be asked about, and what nobody wants any more."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from packaging.version import InvalidVersion, Version

from pybuilder.cron.site import Site
from pybuilder.review_queue import UPDATE, Waiting, ask, waiting
from pybuilder.update import Finding


def to_review(findings: Iterable[Finding]) -> list[tuple[Finding, Version]]:
    """The new versions that a person decides on; who accepted a package has decided on its first one."""
    asked = (finding for finding in findings if finding.mode == "review" and finding.spec and finding.spec.versions)
    return [(finding, version) for finding in asked for version in finding.news]


def queue(site: Site, findings: Sequence[Finding]) -> None:
    """Let new versions wait that a person decides on, and let go of what nobody wants any more."""
    adapters = site.adapters
    state = adapters.state
    looked_at: dict[str, frozenset[Version]] = {
        finding.name: frozenset((*finding.spec.versions, *finding.news))
        for finding in findings
        if finding.spec and finding.error is None
    }
    gone = forsaken(waiting(state), looked_at, accepted=frozenset(site.workspace.spec_names()))
    state.settle_review([(each.name, each.requirement, each.wanted_by) for each in gone])
    wanted = [(finding.name, f"{finding.name}=={version}", UPDATE) for finding, version in to_review(findings)]
    ask(state, site.workspace, [adapters.index], wanted, now=adapters.now())


def forsaken(
    entries: Sequence[Waiting], looked_at: Mapping[str, Collection[Version]], *, accepted: Collection[str]
) -> list[Waiting]:
    """What waits for the sake of a version that nobody wants any more: another took its place, or it is gone.

    Args:
        entries: The queue.
        looked_at: Of packages that upstream was asked about, the versions that are pinned or new.
        accepted: The packages that have a spec.
    """
    left = list(entries)
    while True:
        there = {each.name for each in left}
        stay = [each for each in left if _is_wanted(each, looked_at, accepted, there)]
        if len(stay) == len(left):
            return [each for each in entries if each not in left]
        left = stay


def _is_wanted(
    entry: Waiting, looked_at: Mapping[str, Collection[Version]], accepted: Collection[str], there: Collection[str]
) -> bool:
    if entry.is_update:
        return entry.name not in looked_at or entry.version in looked_at[entry.name]
    by = None if entry.is_screening else _wanting(entry)
    if by is None:
        return True
    name, version = by
    if name in accepted:
        return name not in looked_at or version in looked_at[name]
    # A package that waits itself is wanted as long as it waits.
    return name in there


def _wanting(entry: Waiting) -> tuple[str, Version] | None:
    """The version of a package that wants it, where that is who wants it: ``name version``, or the build of one."""
    found = re.fullmatch(r"(?:the build of )?([a-z0-9-]+) (\S+)", entry.wanted_by)
    try:
        return (found[1], Version(found[2])) if found else None
    except InvalidVersion:
        return None

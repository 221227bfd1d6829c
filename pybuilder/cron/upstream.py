"""What upstream says of every accepted package, and what follows from it at once: warnings and yanks."""

from __future__ import annotations

from collections.abc import Sequence

from pybuilder.cron.log import Log
from pybuilder.cron.site import Site
from pybuilder.errors import FetchError, PybuildError
from pybuilder.names import NormalizedName
from pybuilder.update import Finding
from pybuilder.yanks import Told, doubts, yank_told


def look_up(site: Site, log: Log) -> tuple[Finding, ...]:
    """What upstream has of every accepted package; what can't be found out is noted and holds back nothing else."""
    findings = site.finder.find()
    for finding in findings:
        if finding.error is not None:
            log.unlooked.add(finding.name)
            if finding.spec is not None:  # Else its spec is wrong, which is told where it is read for builds.
                log.note("update", finding.name, finding.error)
        for reupload, error in zip(finding.reuploads, finding.problems[-len(finding.reuploads) :], strict=False):
            log.note("reupload", f"{finding.name}=={reupload.version}", error)
    return findings


def yank(site: Site, findings: Sequence[Finding], log: Log) -> None:
    """Yank what we have published of what upstream yanked or deleted."""
    asked = {finding.name: finding for finding in findings if finding.error is None and _is_indexed(finding)}
    log.yanked += yank_told(
        [_told(finding) for finding in asked.values()],
        pinned={name: tuple(finding.spec.versions) for name, finding in asked.items() if finding.spec},
        confirm=lambda name: _confirmed(site, asked[name]),
        index=site.adapters.index,
        state=site.adapters.state,
        channel=site.adapters.channel.name,
        now=site.adapters.now(),
    )
    for name, doubt in doubts(site.adapters.state).items():
        if name not in asked:
            continue
        error = FetchError(f"upstream's answer is not believed: {doubt}", cure="look at upstream's page of the project")
        log.note("yank", name, error)


def _is_indexed(finding: Finding) -> bool:
    """Whether it was the index that was asked: elsewhere a version that is not listed may be there all the same."""
    return finding.spec is not None and finding.spec.update.source == "pypi" and bool(finding.judged.candidates)


def _told(finding: Finding) -> Told:
    there = [candidate for candidate in finding.judged.candidates if candidate.version is not None]
    return Told(name=finding.name, versions={str(each.version): each.found.yanked for each in there})


def _confirmed(site: Site, finding: Finding) -> Told | None:
    """What upstream says when it is asked for every file of a project."""
    assert finding.spec is not None
    pinned = {str(version): pin.file for version, pin in finding.spec.versions.items()}
    try:
        return Told.by(site.upstream.project(NormalizedName(finding.name)), pinned)
    except PybuildError:
        return None

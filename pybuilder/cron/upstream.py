"""What upstream says of every accepted package, and what follows from it at once: warnings and yanks."""

from __future__ import annotations

from collections.abc import Sequence

from pybuilder.cron.log import Log
from pybuilder.cron.site import Site
from pybuilder.errors import FetchError
from pybuilder.update import Finding
from pybuilder.yanks import doubts, yank_upstreams


def look_up(site: Site, log: Log) -> tuple[Finding, ...]:
    """What upstream has of every accepted package; what can't be found out is noted and holds back nothing else."""
    findings = site.finder.find()
    for finding in findings:
        if finding.error is not None:
            log.unlooked.add(finding.name)
            # Where the spec is wrong, that is told where it is read for builds.
            if finding.spec is not None and finding.error in finding.problems:
                log.note("update", finding.name, finding.error)
        for reupload in finding.reuploads:
            log.note("reupload", f"{finding.name}=={reupload.version}", finding.refusal(reupload))
    return findings


def yank(site: Site, findings: Sequence[Finding], log: Log) -> None:
    """Yank what we have published of what upstream yanked or deleted."""
    adapters = site.adapters
    log.yanked += yank_upstreams(
        findings,
        upstream=site.finder.upstream,
        index=adapters.index,
        state=adapters.state,
        channel=adapters.channel.name,
        now=adapters.now(),
    )
    asked = {finding.name for finding in findings if finding.error is None}
    for name, doubt in doubts(adapters.state).items():
        if name not in asked:
            continue
        error = FetchError(f"upstream's answer is not believed: {doubt}", cure="look at upstream's page of the project")
        log.note("yank", name, error)

"""Our builds of what upstream yanks or deletes are yanked too, and no longer so when upstream takes it back.

What upstream says is rubbish now and then: a page that is empty, or has lost half of what it had. A yank is said in so
many words and believed at once; that a version is gone is believed only when it stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from packaging.version import Version

from pybuilder.errors import FetchError
from pybuilder.fields import expand
from pybuilder.index import Index
from pybuilder.names import NormalizedName, numbered_version
from pybuilder.releases.index import files_of
from pybuilder.spec import Spec
from pybuilder.state import State
from pybuilder.update import Finding
from pybuilder.upstream import Upstream
from pybuilder.yanks.decide import Sight, Told, decide

__all__ = ["doubts", "yank_told", "yank_upstreams"]

_FACT = "upstream-versions"


def yank_upstreams(
    findings: Iterable[Finding], *, upstream: Upstream, index: Index, state: State, channel: str, now: datetime
) -> tuple[tuple[str, str], ...]:
    """Do what follows from what was found out about packages; see ``yank_told``.

    Of a package whose source is an sdist or upstream's wheel it is the index that counts; of one from git, whose
    versions are looked for in the same repository, the tags. Nobody else's list is known to be whole.

    Args:
        findings: What was found out; of packages with an error nothing follows.
        upstream: The upstream index, asked again for every file before anything of a package changes.
        index: The channel's index.
        state: The database.
        channel: The channel.
        now: The time.
    """
    told: dict[NormalizedName, Told] = {}
    pinned: dict[NormalizedName, Mapping[str, str]] = {}
    on_index = set()
    for finding in findings:
        spec = finding.spec
        if spec is None or finding.error is not None:
            continue
        if finding.listed is not None:
            on_index.add(finding.name)
            pins = {str(version): pin.file for version, pin in spec.index_pins.items()}
            told[finding.name], pinned[finding.name] = Told.of(finding.name, finding.listed, pins), pins
        elif spec.update.source == "git" and spec.update.id in ("", spec.source.url) and spec.source.tag:
            told[finding.name], pinned[finding.name] = _of_tags(finding, spec)

    def confirm(name: NormalizedName) -> Told | None:
        try:
            if name in on_index:
                return Told.of(name, files_of(upstream.project(name)), pinned[name])
        except FetchError:
            return None
        return told[name]

    return yank_told(
        told.values(),
        pinned={name: [Version(version) for version in pins] for name, pins in pinned.items()},
        confirm=confirm,
        index=index,
        state=state,
        channel=channel,
        now=now,
    )


def _of_tags(finding: Finding, spec: Spec) -> tuple[Told, Mapping[str, str]]:
    """What the tags of a repository say of the versions that a spec pins, and these versions.

    One is there as long as its tag is, or another that leads to the same commit, as when tags are renamed.
    """
    commits = {candidate.found.ref: candidate.found.commit for candidate in finding.judged.candidates}
    pins = {version: pin.commit for version, pin in spec.versions.items() if pin.commit}
    there = [
        str(version)
        for version, commit in pins.items()
        if commit in commits.values() or expand(spec.source.tag, name=spec.name, version=version) in commits
    ]
    return Told(name=finding.name, versions=dict.fromkeys([*commits, *there])), dict.fromkeys(map(str, pins), "")


def yank_told(
    told: Iterable[Told],
    *,
    pinned: Mapping[NormalizedName, Collection[Version]],
    confirm: Callable[[NormalizedName], Told | None],
    index: Index,
    state: State,
    channel: str,
    now: datetime,
) -> tuple[tuple[str, str], ...]:
    """Yank what a channel has published of what upstream yanked or deleted, and take yanks back; all of it or nothing.

    Args:
        told: What upstream says of packages; those of which it says nothing now stay as they are.
        pinned: The versions that specs pin to what upstream had once.
        confirm: Asked before anything changes of a package: what upstream says when it is asked for every file; None
            where it can't be asked.
        index: The channel's index.
        state: Has what was published, and remembers what was missed.
        channel: The channel.
        now: The time.

    Returns:
        The builds that were not yanked before, as ``CHANNEL/NAME==VERSION+LABEL.N``, and why they are.
    """
    builds = _builds(state, channel)
    yanked, remembered = index.yanked(), state.facts(_FACT, "")
    changes: dict[tuple[NormalizedName, Version], str | None] = {}
    sights: dict[str, Sight] = {}
    new: list[tuple[str, str]] = []
    for each in told:
        there = builds.get(each.name, {})
        before = {str(version): reason for version, reason in yanked.get(each.name, {}).items()}
        known = Sight.load(remembered[each.name]) if each.name in remembered else Sight()
        pins = set(map(str, pinned.get(each.name, ())))
        judge = partial(decide, pinned=pins, published=there, yanked=before, before=known, now=now)
        decision = judge(each)
        if decision.changes:
            confirmed = confirm(each.name)
            if confirmed is None:
                continue
            # A version of which there is but a wheel would be missed by the next answer, which may be of sdists alone.
            about = {*each.versions, *known.there, *known.missing, *pins, *there, *before}
            versions = {version: why for version, why in confirmed.versions.items() if version in about}
            decision = judge(replace(confirmed, versions=versions))
        if decision.sight != known:
            sights[each.name] = decision.sight
        for version, reason in decision.changes.items():
            changes[each.name, Version(version)] = reason
            if reason is not None and version not in before:
                new += [(build, reason) for build in there.get(version, ())]
    if changes:
        index.yank(changes)
    # After the index: what was to be yanked is found again by the next pass if this one dies in between.
    if sights:
        state.add_facts(_FACT, {name: sight.dump() for name, sight in sights.items()})
    return tuple(sorted(new))


def _builds(state: State, channel: str) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """The names of a channel's builds, by package and version."""
    found: dict[str, dict[str, list[str]]] = {}
    for build in state.published_builds(channel):
        numbered = numbered_version(Version(build["version"]), build["label"], build["number"])
        same = found.setdefault(build["name"], {}).setdefault(build["version"], [])
        same.append(f"{channel}/{build['name']}=={numbered}")
    return found


def doubts(state: State) -> Mapping[str, str]:
    """Why what upstream said last of a package is not believed, by package."""
    return {name: raw["doubt"] for name, raw in sorted(state.facts(_FACT, "").items()) if raw["doubt"]}

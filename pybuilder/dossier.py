"""What a person needs to know of a package before saying yes or no; nothing of the package is run for it.

Whatever can't be had is left out and told as a note: a package that is gone from upstream, or whose upstream is down,
still has those who want it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pybuilder.errors import PybuildError
from pybuilder.filenames import sdist_version, wheel_version
from pybuilder.layout import Layout
from pybuilder.metadata import Metadata, parse_metadata
from pybuilder.near_names import near_names
from pybuilder.new import Findings, fetch_as_seen, inspect
from pybuilder.plan import Target
from pybuilder.rejections import Rejection
from pybuilder.resolution import applies
from pybuilder.review_queue import Waiting, waiting, wanted_specifiers
from pybuilder.screening.account import all_remembered
from pybuilder.screening.policy import Judged, allowing
from pybuilder.sources.fetch import Fetched, Sources
from pybuilder.spec import Spec
from pybuilder.stages import Source
from pybuilder.stages.choose import Chooser
from pybuilder.stages.screen import Screener
from pybuilder.state import State
from pybuilder.tree_reader import parse_graph
from pybuilder.tree_text import why
from pybuilder.upstream.files import File, Project
from pybuilder.uptake import Prepared
from pybuilder.workspace import Workspace

Standing = Literal["accepted", "rejected", "waiting", "new"]
"""How the workspace stands to a package; new: nobody has ever asked for it."""
Purpose = Literal["build", "install"]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """A version, as the index has it.

    Attributes:
        version: The version.
        released: When its first file was uploaded, where the index says.
        yanked: Why it was withdrawn (PEP 592); None where some file of it was not.
        sdist: Whether it has a source.
        wheels: How many wheels it has.
    """

    version: Version
    released: datetime | None
    yanked: str | None
    sdist: bool
    wheels: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Needed:
    """A requirement of the package.

    Attributes:
        requirement: As upstream states it.
        needed_to: ``build`` or ``install``.
        standing: How the workspace stands to what it requires.
    """

    requirement: str
    needed_to: Purpose
    standing: Standing


@dataclass(frozen=True, kw_only=True, slots=True)
class Alike:
    """A name that the package's could be taken for.

    Attributes:
        name: The other name.
        how: What is alike.
        standing: ``accepted`` or ``waiting``.
    """

    name: str
    how: str
    standing: Standing


@dataclass(frozen=True, kw_only=True, slots=True)
class Offering:
    """What the index has of a project.

    Attributes:
        status: Of the project (PEP 792), with the reason; empty where it is active.
        releases: All of them, the newest first.
        version: The version that is looked at: what a build would take, else the newest; None where there is none.
        sdist: That version's source.
        wheels: The file names of its wheels.
    """

    status: str
    releases: tuple[Release, ...]
    version: Version | None
    sdist: File | None
    wheels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dossier:
    """All that is known of a package.

    Attributes:
        name: Normalised.
        standing: How the workspace stands to it.
        waiting: Its entries in the queue, the oldest first.
        rejection: What somebody has said against it.
        why: The shortest way to it in the tree that was planned last, as lines.
        alike: Names that its own could be taken for.
        upstream: What the index has of it.
        about: What the metadata beside or in a wheel says.
        findings: What the source tells.
        needs: What it requires; build requirements first.
        screened: What was found in its source, as records have it; None where none was screened.
        stopped: Why the policy of screening does not let it through; empty where it does, or where it is accepted.
        allowing: What a person writes who finds that what holds it is as it should be.
        prepared: What taking it in comes to, where a new version waits.
        notes: What could not be found out, and why.
    """

    name: NormalizedName
    standing: Standing
    waiting: tuple[Waiting, ...]
    rejection: Rejection | None
    why: tuple[str, ...]
    alike: tuple[Alike, ...]
    upstream: Offering | None
    about: Metadata | None
    findings: Findings | None
    needs: tuple[Needed, ...]
    screened: Mapping[str, Any] | None
    stopped: str
    allowing: str
    prepared: Prepared | None
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Clerk:
    """Puts dossiers together.

    Attributes:
        workspace: Whose queue it is.
        layout: Where the last plan lies.
        channel: Whose plan that is.
        state: The queue.
        chooser: Says which versions may be taken.
        sources: Where sources come from.
        screener: Looks through them.
        target: What requirements count for.
        prepare: Finds out what taking in a new version of an accepted package comes to.
    """

    workspace: Workspace
    layout: Layout
    channel: str
    state: State
    chooser: Chooser
    sources: Sources
    screener: Screener
    target: Target
    prepare: Callable[[NormalizedName, Version], Prepared]

    def dossier(self, name: NormalizedName) -> Dossier:
        """All that is known of a package.

        Raises:
            ConfigError: The file that lists rejected packages is wrong.
        """
        notes: list[str] = []
        entries = waiting(self.state, name)
        why = _tried(notes, "why it is wanted", lambda: self._why(name))
        upstream = _tried(notes, "what upstream has of it", lambda: self._offering(name, entries))
        about = _tried(notes, "its metadata", lambda: self._about(name, upstream)) if upstream else None
        fetched = _tried(notes, "its source", lambda: self._fetched(name, upstream)) if upstream else None
        findings = _tried(notes, "what is in its source", lambda: inspect(fetched.file)) if fetched else None
        standing, judged = self.standing(name), None
        if upstream and fetched and standing != "accepted":
            judged = _tried(notes, "whether its source is sound", lambda: self._judged(name, upstream, fetched))
        prepared, update = None, _update(entries)
        if update:
            prepared = _tried(notes, "what taking it in comes to", lambda: self.prepare(name, update))
        # The source of an accepted package is screened as its spec has it; that of a new version just now.
        earlier = all_remembered(self.state, name) if standing == "accepted" else []
        screened = judged.account if judged else next(iter(earlier), None)
        sha256 = screened.get("sha256") or (fetched.sha256 if fetched else "") if screened else ""
        return Dossier(
            name=name,
            standing=standing,
            waiting=entries,
            rejection=self.workspace.rejections.get(name),
            why=why or (),
            alike=self._alike(name),
            upstream=upstream,
            about=about,
            findings=findings,
            needs=tuple(self._needs(findings, about)),
            screened=screened,
            stopped=judged.stopped.what if judged and judged.stopped else "",
            allowing=allowing(name, screened, self.screener.policy, sha256=sha256) if screened else "",
            prepared=prepared,
            notes=tuple(notes),
        )

    def standing(self, name: str) -> Standing:
        """How the workspace stands to a package."""
        if name in self.workspace.spec_names():
            return "accepted"
        if self.workspace.refusal(name):
            return "rejected"
        return "waiting" if waiting(self.state, name) else "new"

    def _alike(self, name: str) -> tuple[Alike, ...]:
        names = {*self.workspace.spec_names(), *(each.name for each in waiting(self.state))}
        return tuple(
            Alike(name=near.name, how=near.how, standing=self.standing(near.name))
            for near in near_names(name, sorted(names))
        )

    def _why(self, name: NormalizedName) -> tuple[str, ...]:
        path = self.layout.plan(self.channel)
        if not path.exists():
            return ()
        tree = parse_graph(path.read_text("utf-8", "replace"), str(path)).tree
        return tuple(why(tree, name)) if any(package[0] == name for package in tree.nodes) else ()

    def _offering(self, name: NormalizedName, entries: Sequence[Waiting]) -> Offering:
        project = self.sources.upstream.project(name)
        there = releases(project)
        version = self._version(name, entries, there)
        active = project.status == "active"
        return Offering(
            status="" if active else ": ".join(filter(None, (project.status, project.status_reason))),
            releases=there,
            version=version,
            sdist=project.sdists().get(version) if version else None,
            wheels=tuple(sorted(file.filename for file in project.wheels(version))) if version else (),
        )

    def _version(self, name: NormalizedName, entries: Sequence[Waiting], there: Sequence[Release]) -> Version | None:
        """What would be taken: by the rules, else the newest that satisfies, with a source if any has one."""
        if update := _update(entries):
            return update
        sources = {release.version: release.sdist for release in there}
        for specifiers in wanted_specifiers(entries):
            if offered := self.chooser.offered(name, specifiers):
                return offered[0]
            if satisfying := list(specifiers.filter(sources)):
                return max(satisfying, key=lambda version: (sources[version], version))
        return max(sources, default=None)

    def _about(self, name: NormalizedName, upstream: Offering) -> Metadata | None:
        if upstream.version is None or not upstream.wheels:
            return None
        index, tags = self.sources.upstream, self.target.tags
        raw = index.metadata_beside(name, upstream.version, tags)
        if raw is None and upstream.sdist is None:
            raw = index.metadata_inside(name, upstream.version, tags)
        return None if raw is None else parse_metadata(raw)

    def _fetched(self, name: NormalizedName, upstream: Offering) -> Fetched | None:
        if upstream.version is None or upstream.sdist is None:
            return None
        spec = self.workspace.spec(name)
        if spec and spec.source.type != "sdist":
            return None
        return fetch_as_seen(self.sources, self.state, name, upstream.version)

    def _judged(self, name: NormalizedName, upstream: Offering, fetched: Fetched) -> Judged:
        assert upstream.version
        source = Source(
            name=name,
            version=upstream.version,
            spec=Spec(name=name),
            sha256=fetched.sha256,
            patches=(),
            file=fetched.file,
            origin=fetched.origin,
            scm=False,
        )
        return self.screener.judged(source)

    def _needs(self, findings: Findings | None, about: Metadata | None) -> Iterator[Needed]:
        """What counts on the target, without extras."""
        builds = findings.requires if findings else ()
        stated = findings.requires_dist if findings else None
        installs = stated if stated is not None else about.requires_dist if about else ()
        purposes: tuple[tuple[Purpose, Sequence[Requirement]], ...] = (("build", builds), ("install", installs))
        for needed_to, requirements in purposes:
            for requirement in requirements:
                if applies(requirement, self.target.markers, frozenset()):
                    standing = self.standing(canonicalize_name(requirement.name))
                    yield Needed(requirement=str(requirement), needed_to=needed_to, standing=standing)


def _update(entries: Sequence[Waiting]) -> Version | None:
    """The newest version that waits of an accepted package."""
    return max((each.version for each in entries if each.is_update), default=None)


def releases(project: Project) -> tuple[Release, ...]:
    """The versions of a project, the newest first; files that carry none are left out."""
    files: dict[Version, list[File]] = {}
    for file in project.files:
        version = wheel_version(file.filename) or sdist_version(file.filename, project.name)
        if version is not None:
            files.setdefault(version, []).append(file)
    return tuple(_release(version, files[version]) for version in sorted(files, reverse=True))


def _release(version: Version, files: Sequence[File]) -> Release:
    wheels = sum(file.filename.endswith(".whl") for file in files)
    reasons = list(dict.fromkeys(file.yanked_reason for file in files if file.yanked_reason))
    return Release(
        version=version,
        released=min((file.upload_time for file in files if file.upload_time), default=None),
        yanked="; ".join(reasons) if all(file.yanked for file in files) else None,
        sdist=wheels < len(files),
        wheels=wheels,
    )


def _tried(notes: list[str], what: str, step: Callable[[], T]) -> T | None:
    """What a step comes to; where it fails, nothing, and a note."""
    try:
        return step()
    except PybuildError as error:
        notes.append(f"{what} could not be found out: {error.what}")
        return None

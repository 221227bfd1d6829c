"""What is new upstream: for each accepted package, by the rules of its spec; nothing is changed by finding it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Literal

from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder.candidates import Found, Judged, Rules, in_series, judge
from pybuilder.clock import timestamp
from pybuilder.errors import FetchError, PybuildError, ReviewError
from pybuilder.interruption import side_by_side
from pybuilder.names import NormalizedName, minor_version
from pybuilder.releases import Notebook, Offered, Releases
from pybuilder.releases.turns import AT_ONCE
from pybuilder.spec import Pin, Spec
from pybuilder.state import State
from pybuilder.upstream import Upstream
from pybuilder.workspace import Workspace

if TYPE_CHECKING:
    from pybuilder.stages.choose import Chooser

Mode = Literal["auto", "review", "off"]
_THREADS = 32
_NOTHING = Judged()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reupload:
    """A file that upstream offers under the name, but not with the content, that a version is pinned to.

    Attributes:
        version: The version; pinned in the spec, or a new one that was tried and is pinned in the state.
        file: The file's name.
        pinned: The sha256 of the pin.
        offered: The sha256 that upstream says it has now.
    """

    version: Version
    file: str
    pinned: str
    offered: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What was found out about one package.

    Attributes:
        name: The package.
        spec: Its spec; None where that is wrong.
        judged: What became of all that upstream offers.
        error: Why nothing was found out; None where something was.
        reuploads: Pinned files that upstream has put other content under.
        gone: Pinned versions that upstream has no more, the newest first.
        listed: What upstream's index has of the package: of a version its sdists, and its wheels where one is used in
            their place or the source is no sdist; None where the index was not asked, or can't be.
    """

    name: NormalizedName
    spec: Spec | None
    judged: Judged = _NOTHING
    error: PybuildError | None = None
    reuploads: tuple[Reupload, ...] = ()
    gone: tuple[Version, ...] = ()
    listed: tuple[Found, ...] | None = None

    @property
    def news(self) -> tuple[Version, ...]:
        """The new versions to take, one for each live series at most, the newest first, whatever the mode."""
        return self.judged.news

    @property
    def mode(self) -> Mode:
        """Who decides on a new version."""
        return self.spec.update.mode if self.spec else "off"

    @property
    def problems(self) -> tuple[PybuildError, ...]:
        """What somebody must look at: why nothing was found out, and every file that was uploaded again."""
        refused = tuple(self.refusal(each) for each in self.reuploads)
        # Nobody waits for what an upstream says whose updates are off; it may be gone for good.
        silent = self.spec is not None and self.mode == "off" and isinstance(self.error, FetchError)
        return refused if self.error is None or silent else (self.error, *refused)

    def refusal(self, reupload: Reupload) -> FetchError:
        """What to say of a file that was uploaded again."""
        assert self.spec is not None
        return FetchError(
            f"{self.name} {reupload.version}: upstream has uploaded {reupload.file} again with other content: "
            f"sha256 {reupload.offered}, pinned is {reupload.pinned}",
            where=self.spec.document.place(("versions",)),
            cure=f"it is refused; find out from upstream which of them is meant; {self._way_out(reupload.version)}",
        )

    def _way_out(self, version: Version) -> str:
        assert self.spec is not None
        if version in self.spec.versions:
            return "to take the other, remove the pin and begin a new state with --state"
        return f'to do without this version, write ignore = ["{version}"] into [update] of its spec'

    def replaced(self, version: Version) -> Version | None:
        """The newest version that is pinned in the series of a new one, or of all where it is in none; None if none."""
        assert self.spec is not None
        series = [each for each in self.spec.update.series if in_series(version, each)] or [""]
        return max((pin for pin in self.spec.versions if any(in_series(pin, each) for each in series)), default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finder:
    """Finds what is new.

    Attributes:
        workspace: Whose specs have the rules.
        state: Remembers what upstream said, and when versions were first heard of.
        upstream: The upstream index.
        buildroot: The channel's buildroot, for specs that say something else in another.
        variant: The channel's variant, likewise.
        pythons: The full versions of the Pythons that are built for.
        tags: Every tag that the target accepts, best first, for specs that use upstream's wheel.
        now: The clock.
        environ: The environment, of which git gets the proxies, and the forges the tokens.
    """

    workspace: Workspace
    state: State
    upstream: Upstream
    buildroot: str
    variant: str
    pythons: tuple[str, ...]
    tags: Sequence[str]
    now: Callable[[], datetime]
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @classmethod
    def of(cls, chooser: Chooser, *, pythons: tuple[str, ...] = ()) -> Finder:
        """What finds new versions for those for whom a chooser chooses.

        Args:
            chooser: Knows workspace, state, upstream and target.
            pythons: As in the class; none for the chooser's own.
        """
        return cls(
            workspace=chooser.workspace,
            state=chooser.state,
            upstream=chooser.upstream,
            buildroot=chooser.buildroot,
            variant=chooser.variant,
            pythons=pythons or (chooser.python,),
            tags=chooser.tags,
            now=chooser.now,
        )

    def find(self, names: Sequence[str] = ()) -> tuple[Finding, ...]:
        """Ask upstream about packages, side by side and politely; what goes wrong with one is that one's error.

        Args:
            names: The packages; none for all that are accepted.

        Returns:
            A finding for each, in order of name.
        """
        notebook = Notebook(client=self.upstream.client, facts=self.state)
        releases = Releases(
            notebook=notebook,
            upstream=self.upstream,
            tags=self.tags,
            is_prebuilt=self._is_prebuilt,
            environ=self.environ,
        )
        done: list[Finding] = []
        asked: dict[str, list[Spec]] = {}
        for name in sorted(set(names or self.workspace.spec_names())):
            whom = self._whom_to_ask(name, releases)
            if isinstance(whom, Finding):
                done.append(whom)
            else:
                asked.setdefault(whom[1], []).append(whom[0])
        # By turns, so that no server's many packages keep another's few waiting.
        specs = [spec for spec in chain.from_iterable(zip_longest(*asked.values())) if spec is not None]
        threads = min(_THREADS, sum(min(AT_ONCE, len(each)) for each in asked.values()))
        now = self.now()
        try:
            done += side_by_side(lambda spec: self._find(spec, releases, now), specs, threads=max(1, threads))
        finally:
            notebook.save()
        return tuple(sorted(done, key=lambda finding: finding.name))

    def _whom_to_ask(self, name: str, releases: Releases) -> Finding | tuple[Spec, str]:
        """The spec of a package and the server that knows its versions; a finding where nobody is asked."""
        spec: Spec | None = None
        try:
            spec = self.workspace.spec(name)
            if spec is None:
                wanted = ((name, name, "the command line"),)
                raise ReviewError(f"nobody has accepted {name}", wanted=wanted, cure=f"pybuild new {name}")
            if not _is_released(spec):
                return Finding(name=spec.name, spec=spec)
            return spec, releases.host(spec)
        except PybuildError as error:
            return Finding(name=canonicalize_name(name), spec=spec, error=error)

    def _find(self, spec: Spec, releases: Releases, now: datetime) -> Finding:
        rules = Rules(
            spec=spec,
            buildroot=self.buildroot,
            variant=self.variant,
            pythons=self.pythons,
            cooldown=self.workspace.settings.cooldown,
            now=now,
        )

        def first_seen(versions: Sequence[str]) -> Mapping[str, str]:
            return self.state.first_sights(spec.name, versions, now=timestamp(now))

        try:
            offered = releases.offered(spec)
            judged = judge(offered.found, rules, pinned=spec.versions, first_seen=first_seen)
        except PybuildError as error:
            return Finding(name=spec.name, spec=spec, error=error)
        reuploads, gone = _compared(self._pins(spec, judged.news), offered)
        return Finding(name=spec.name, spec=spec, judged=judged, reuploads=reuploads, gone=gone, listed=offered.listed)

    def _pins(self, spec: Spec, news: Sequence[Version]) -> Mapping[Version, Pin]:
        """The pins of the spec, and of new versions what the state pinned where a pass has tried them, on the index."""
        tried = {version: self.state.pin(spec.name, str(version)) for version in news}
        known = {version: Pin.model_validate(dict(pin)) for version, pin in tried.items() if pin}
        return spec.model_copy(update={"versions": {**known, **spec.versions}}).index_pins

    def _is_prebuilt(self, spec: Spec, version: Version) -> bool:
        minor = minor_version(self.pythons[0])
        return spec.is_prebuilt(version=version, buildroot=self.buildroot, python=minor, variant=self.variant)


def _is_released(spec: Spec) -> bool:
    """Whether somebody should be asked: not about a directory of the workspace, or what a person looks after.

    The index and a repository are asked all the same: they tell what is withdrawn.
    """
    if spec.asks_index:
        return True
    told = "source" in spec.update.model_fields_set
    if spec.update.mode == "off":
        return spec.update.source == "git"
    return told or spec.source.type != "path"


def _compared(pins: Mapping[Version, Pin], offered: Offered) -> tuple[tuple[Reupload, ...], tuple[Version, ...]]:
    """Which pinned files upstream has put other content under, and which versions it has no more."""
    if offered.listed is None:
        return (), ()
    reuploads, gone = [], []
    files = {found.file: found.sha256 for found in offered.listed}
    there = {found.text for found in offered.listed}
    for version, pin in sorted(pins.items(), reverse=True):
        digest = files.get(pin.file)
        if digest is None and str(version) not in there:
            gone.append(version)
        elif digest and digest != pin.sha256:
            reuploads.append(Reupload(version=version, file=pin.file, pinned=pin.sha256, offered=digest))
    return tuple(reuploads), tuple(gone)

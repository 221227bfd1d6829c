"""From a spec and a version to its verified source, pinned at first sight."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder import events
from pybuilder.clock import timestamp
from pybuilder.errors import ConfigError, FetchError, ReviewError
from pybuilder.files import file_lock
from pybuilder.sources.fetch import Fetched, Sources, Wanted, WantedWheel
from pybuilder.spec import EffectiveSpec, Pin
from pybuilder.stages import Adapters, AppliedPatch, Pinned, Source
from pybuilder.stages.intact import intact_source
from pybuilder.state import State
from pybuilder.timing import timed
from pybuilder.wheel.filename import WheelName
from pybuilder.wheel.tags import accepted
from pybuilder.workspace import Workspace

_IN_STORE = "store"
# The fact which archive is made of a commit.
_ARCHIVE = "commit-archive"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceGetter:
    """Gets the sources of accepted packages.

    Attributes:
        adapters: The world.
        workspace: Specs, patches and pins.
        sources: Where archives come from.
    """

    adapters: Adapters
    workspace: Workspace
    sources: Sources

    def pinned(self, name: NormalizedName, version: Version) -> Pinned | None:
        """A version as its recipe sees it, with no network; None where its digest can't be known without fetching.

        A source that is a directory of the workspace is never pinned: its digest is that of what is there now.

        Raises:
            ReviewError: Nobody has accepted the package.
            FetchError: The spec and the state pin different sources.
        """
        spec = self.spec(name, version)
        if not _is_pinned(spec):
            return self.acquire(name, version)
        pin = self._pin(name, version, spec)
        sha256 = self._known_archive(pin, spec) if pin else None
        if not sha256:
            return None
        patches = self._patches(name, version, spec)
        return Pinned(name=name, version=version, spec=spec, sha256=sha256, patches=patches)

    def acquire(self, name: NormalizedName, version: Version) -> Source:
        """The source in the store, or upstream's wheel in its place where the spec says so.

        It is fetched if it isn't there, and pinned if this is its first sight.

        Raises:
            ReviewError: Nobody has accepted the package.
            FetchError: It can't be had, or is not what its pin says.
            ConfigError: A patch is missing.
        """
        spec = self.spec(name, version)
        patches = self._patches(name, version, spec)
        pin = self._pin(name, version, spec)
        if pin is None and _is_pinned(spec):
            fetched = self._first_sight(name, version, spec)
        else:
            fetched = self._fetch(name, version, spec, pin)
            if pin is not None:
                self._write_known(name, version, pin)
        if fetched.commit:
            self.adapters.state.add_fact(_ARCHIVE, _archive_key(fetched.commit, spec), fetched.sha256)
        return Source(
            name=name,
            version=version,
            spec=spec,
            sha256=fetched.sha256,
            patches=patches,
            file=fetched.file,
            origin=origin_of(self.adapters.state, fetched),
            scm=spec.source.type != "sdist" and not spec.prebuilt,
        )

    def runtime(self, name: NormalizedName, version: Version) -> tuple[str, ...]:
        """The RPMs that a package needs where it is installed; none where nobody accepts it any more."""
        return self.spec(name, version).system.runtime if self.workspace.spec(name) else ()

    def _first_sight(self, name: NormalizedName, version: Version, spec: EffectiveSpec) -> Fetched:
        """Fetch a version that has no pin, and pin it; several who want it at once fetch it once."""
        with file_lock(self.adapters.layout.lock(f"pin-{name}-{version}")):
            pin = self._pin(name, version, spec)
            fetched = self._fetch(name, version, spec, pin)
            if pin is None:
                self._remember(name, version, spec, fetched)
        return fetched

    def _fetch(self, name: NormalizedName, version: Version, spec: EffectiveSpec, pin: Pin | None) -> Fetched:
        def progress(done: int, total: int | None) -> None:
            self.adapters.listen(events.Fetching(name=name, version=str(version), done=done, total=total))

        if pin is None or not pin.sha256 or intact_source(self.adapters, pin.sha256) is None:
            self.adapters.listen(events.Started(name=name, version=str(version), phase="fetch"))
        sources = dataclasses.replace(self.sources, progress=progress)
        target = self.adapters.target
        wanted: Wanted | WantedWheel = (
            WantedWheel(name=name, version=version, target=target.name, tags=target.tags, pin=pin)
            if spec.prebuilt
            else Wanted(name=name, version=version, source=spec.source, pin=pin)
        )
        with timed(self.adapters.listen, name=name, version=version, phase="fetch"):
            return sources.fetch(wanted)

    def spec(self, name: NormalizedName, version: Version) -> EffectiveSpec:
        """The spec of an accepted package for this version and target.

        Raises:
            ReviewError: Nobody has accepted the package.
            ConfigError: It is wrong.
        """
        spec = self.workspace.spec(name)
        if spec is None:
            wanted = ((name, f"{name}=={version}", "the command line"),)
            raise ReviewError(f"nobody has accepted {name}", wanted=wanted, cure=f"pybuild new {name}")
        channel, target = self.adapters.channel, self.adapters.target
        effective = spec.effective(
            version=version, buildroot=channel.buildroot, python=target.python, variant=channel.variant
        )
        if effective.build.vendor and not effective.prebuilt:
            raise ConfigError(
                f"{name} asks for build.vendor, which this version of pybuild can't do yet",
                where=spec.document.place(("build", "vendor")),
                cure="leave it to a newer pybuild; there is nothing that could stand in for it",
            )
        return effective

    def _patches(self, name: NormalizedName, version: Version, spec: EffectiveSpec) -> tuple[AppliedPatch, ...]:
        if spec.prebuilt:
            return ()
        return tuple(
            AppliedPatch(file=f"patches/{name}/{patch.file}", path=patch.path, sha256=patch.sha256)
            for patch in self.workspace.patches(name, version, spec)
        )

    def _pin(self, name: NormalizedName, version: Version, spec: EffectiveSpec) -> Pin | None:
        """What the version's source was when it was first seen, in the spec or in the state; both must agree.

        What is pinned for the other use of the version, or as a wheel for another target, does not count.
        """
        in_spec = self._in_spec(name, version)
        in_spec = in_spec if in_spec and self._fits(in_spec, spec) else None
        known = self.adapters.state.pin(name, self._pin_key(version, spec))
        in_state = Pin.model_validate(dict(known)) if known else None
        in_state = in_state if in_state and self._fits(in_state, spec) else None
        if in_spec and in_state and spec.prebuilt and in_spec.file != in_state.file:
            return in_spec  # another of its wheels, which somebody has chosen
        if in_spec and in_state and (in_spec.sha256, in_spec.commit) != (in_state.sha256, in_state.commit):
            raise FetchError(
                f"{name} {version} was first seen as {in_state.sha256 or in_state.commit}, "
                f"but its spec pins {in_spec.sha256 or in_spec.commit}",
                where=f"specs/{name}.toml [versions]",
                cure="find out which of them upstream stands by; if it is the spec, begin a new state with --state",
            )
        return in_spec or in_state

    def _known_archive(self, pin: Pin, spec: EffectiveSpec) -> str | None:
        """The digest of what is pinned; where a person has pinned the commit alone, it is known once it was fetched."""
        known = pin.sha256 or self.adapters.state.fact(_ARCHIVE, _archive_key(pin.commit, spec))
        return str(known) if known else None

    def _in_spec(self, name: NormalizedName, version: Version) -> Pin | None:
        spec = self.workspace.spec(name)
        return spec.pin(version) if spec else None

    def _fits(self, pin: Pin, spec: EffectiveSpec) -> bool:
        """Whether a pin is of what the spec asks for: of a source, or of a wheel that the target accepts."""
        if not spec.prebuilt:
            return not pin.is_wheel
        return pin.is_wheel and accepted(WheelName.parse(pin.file).tags, self.adapters.target.tags)

    def _pin_key(self, version: Version, spec: EffectiveSpec) -> str:
        """What the state pins a version under: a source is the same for all targets, a wheel is not."""
        target = f" for {self.adapters.channel.name}/{self.adapters.target.name}" if spec.prebuilt else ""
        return f"{version}{target}"

    def _remember(self, name: NormalizedName, version: Version, spec: EffectiveSpec, fetched: Fetched) -> None:
        pin = Pin(file=fetched.filename, sha256=fetched.sha256, commit=fetched.commit)
        stated = pin.model_dump(exclude_defaults=True)
        now = timestamp(self.adapters.now())
        self.adapters.state.add_pin(name, self._pin_key(version, spec), stated, now=now)
        self.workspace.write_pin(name, version, pin)

    def _write_known(self, name: NormalizedName, version: Version, pin: Pin) -> None:
        """Put a known pin into a spec that has none, or that of the other use of the version: a wheel, or the source.

        A plan may have seen the version before anything was written into the workspace.
        """
        in_spec = self._in_spec(name, version)
        if in_spec is None or in_spec.is_wheel != pin.is_wheel:
            self.workspace.write_pin(name, version, pin)


def origin_of(state: State, fetched: Fetched) -> str:
    """Where an archive came from when it was fetched, also if that was in an earlier run; empty where nobody knows."""
    if fetched.origin != _IN_STORE:
        # Who finds it in the store can't find this out again, so it waits for the disk.
        with state.transaction():
            state.add_fact("origin", fetched.sha256, fetched.origin)
        return fetched.origin
    return str(state.fact("origin", fetched.sha256) or "")


def _is_pinned(spec: EffectiveSpec) -> bool:
    """Whether what the spec builds from is pinned; a directory of the workspace is not."""
    return spec.source.type != "path" or spec.prebuilt is not None


def _archive_key(commit: str, spec: EffectiveSpec) -> str:
    return f"{commit} with submodules" if spec.source.submodules else commit

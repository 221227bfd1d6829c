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
from pybuilder.sources.fetch import Fetched, Sources, Wanted
from pybuilder.spec import EffectiveSpec, Pin
from pybuilder.stages import Adapters, AppliedPatch, Pinned, Source
from pybuilder.timing import timed
from pybuilder.workspace import Workspace

_IN_STORE = "store"


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
        if spec.source.type == "path":
            return self.acquire(name, version)
        pin = self._pin(name, version)
        if pin is None or not pin.sha256:
            return None
        patches = self._patches(name, version, spec)
        return Pinned(name=name, version=version, spec=spec, sha256=pin.sha256, patches=patches)

    def acquire(self, name: NormalizedName, version: Version) -> Source:
        """The source in the store, fetched if it isn't there, and pinned if this is its first sight.

        Raises:
            ReviewError: Nobody has accepted the package.
            FetchError: It can't be had, or is not what its pin says.
            ConfigError: A patch is missing.
        """
        spec = self.spec(name, version)
        patches = self._patches(name, version, spec)
        pin = self._pin(name, version)
        if pin is None and spec.source.type != "path":
            fetched = self._first_sight(name, version, spec)
        else:
            fetched = self._fetch(name, version, spec, pin)
        return Source(
            name=name,
            version=version,
            spec=spec,
            sha256=fetched.sha256,
            patches=patches,
            file=fetched.file,
            origin=self._origin(fetched),
            scm=spec.source.type != "sdist",
        )

    def runtime(self, name: NormalizedName, version: Version) -> tuple[str, ...]:
        """The RPMs that a package needs where it is installed; none where nobody accepts it any more."""
        return self.spec(name, version).system.runtime if self.workspace.spec(name) else ()

    def _first_sight(self, name: NormalizedName, version: Version, spec: EffectiveSpec) -> Fetched:
        """Fetch a version that has no pin, and pin it; several who want it at once fetch it once."""
        with file_lock(self.adapters.layout.lock(f"pin-{name}-{version}")):
            pin = self._pin(name, version)
            fetched = self._fetch(name, version, spec, pin)
            if pin is None:
                self._remember(name, version, fetched)
        return fetched

    def _fetch(self, name: NormalizedName, version: Version, spec: EffectiveSpec, pin: Pin | None) -> Fetched:
        def progress(done: int, total: int | None) -> None:
            self.adapters.listen(events.Fetching(name=name, version=str(version), done=done, total=total))

        if pin is None or not pin.sha256 or self.adapters.store.source(pin.sha256) is None:
            self.adapters.listen(events.Started(name=name, version=str(version), phase="fetch"))
        sources = dataclasses.replace(self.sources, progress=progress)
        with timed(self.adapters.listen, name=name, version=version, phase="fetch"):
            return sources.fetch(Wanted(name=name, version=version, source=spec.source, pin=pin))

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
        asked = {"prebuilt": effective.prebuilt is not None, "build.vendor": bool(effective.build.vendor)}
        for key, is_asked in asked.items():
            if is_asked:
                raise ConfigError(
                    f"{name} asks for {key}, which this version of pybuild can't do yet",
                    where=spec.document.place(tuple(key.split("."))),
                    cure="leave it to a newer pybuild; there is nothing that could stand in for it",
                )
        return effective

    def _patches(self, name: NormalizedName, version: Version, spec: EffectiveSpec) -> tuple[AppliedPatch, ...]:
        return tuple(
            AppliedPatch(file=f"patches/{name}/{patch.file}", path=patch.path, sha256=patch.sha256)
            for patch in self.workspace.patches(name, version, spec)
        )

    def _pin(self, name: NormalizedName, version: Version) -> Pin | None:
        """What the version's source was when it was first seen, in the spec or in the state; both must agree."""
        spec = self.workspace.spec(name)
        in_spec = spec.pin(version) if spec else None
        known = self.adapters.state.pin(name, str(version))
        in_state = Pin.model_validate(dict(known)) if known else None
        if in_spec and in_state and (in_spec.sha256, in_spec.commit) != (in_state.sha256, in_state.commit):
            raise FetchError(
                f"{name} {version} was first seen as {in_state.sha256 or in_state.commit}, "
                f"but its spec pins {in_spec.sha256 or in_spec.commit}",
                where=f"specs/{name}.toml [versions]",
                cure="find out which of them upstream stands by; if it is the spec, begin a new state with --state",
            )
        return in_spec or in_state

    def _remember(self, name: NormalizedName, version: Version, fetched: Fetched) -> None:
        pin = Pin(file=fetched.filename, sha256=fetched.sha256, commit=fetched.commit)
        stated = pin.model_dump(exclude_defaults=True)
        self.adapters.state.add_pin(name, str(version), stated, now=timestamp(self.adapters.now()))
        self.workspace.write_pin(name, version, pin)

    def _origin(self, fetched: Fetched) -> str:
        """Where an archive came from when it was fetched, also if that was in an earlier run."""
        if fetched.origin != _IN_STORE:
            self.adapters.state.add_fact("origin", fetched.sha256, fetched.origin)
            return fetched.origin
        return str(self.adapters.state.fact("origin", fetched.sha256) or "")

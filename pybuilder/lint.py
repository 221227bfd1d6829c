"""Everything that is wrong in a workspace, all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder import events
from pybuilder.clock import new_attempt_id
from pybuilder.errors import ConfigError, PybuildError, UsageError
from pybuilder.files import disk_errors
from pybuilder.patching import apply
from pybuilder.releases.origin import origin
from pybuilder.sources.archive import extract
from pybuilder.sources.fetch import Fetched, Sources, Wanted, WantedWheel
from pybuilder.spec import EffectiveSpec, Pin, Prebuilt, Spec
from pybuilder.toml_places import KeyPath
from pybuilder.work import work_directory
from pybuilder.workspace import Patch, Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What overrides of a spec may depend on, besides the version."""

    buildroot: str
    python: str
    variant: str


def lint(workspace: Workspace, names: Sequence[str] = ()) -> tuple[PybuildError, ...]:
    """Every problem of these specs and their patches, or of the whole workspace; fetches nothing.

    Args:
        workspace: What to check.
        names: Packages; none means all of them, and whatever else is in the workspace.

    Raises:
        UsageError: A package that is named has no spec.
    """
    for name in names:
        if name not in workspace.spec_names():
            similar = workspace.similar(name)
            cure = f"did you mean {', '.join(similar)}?" if similar else f"write one: pybuild new {name}"
            raise UsageError(f"{name} has no spec", where=str(workspace.spec_path(name)), cure=cure)
    found: list[PybuildError] = []
    if not names:
        found += _settings_problems(workspace)
        found += _rejection_problems(workspace)
        for buildroot in workspace.buildroot_names():
            with _collected(found):
                workspace.buildroot(buildroot)
        found += _stray_patches(workspace)
    known = _buildroot_targets(workspace)
    for name in names or workspace.spec_names():
        found += _spec_problems(workspace, name, known)
    return tuple(found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """Something that is right and that people should know all the same."""

    where: str
    what: str


def notices(workspace: Workspace, names: Sequence[str] = ()) -> tuple[Notice, ...]:
    """What is prebuilt and why, of these specs or of all; those that can't be read are left out.

    Args:
        workspace: What to look at.
        names: Packages that have specs; none means all of them.
    """
    found: list[Notice] = []
    for name in names or workspace.spec_names():
        with _collected([]):
            if spec := workspace.spec(name):
                found += _prebuilt_notices(spec)
    return tuple(found)


def _prebuilt_notices(spec: Spec) -> Iterator[Notice]:
    tables: list[tuple[KeyPath, Prebuilt | None]] = [((), spec.prebuilt)]
    tables += [(("override", index), override.prebuilt) for index, override in enumerate(spec.override)]
    for path, table in tables:
        if table:
            place = spec.document.place((*path, "prebuilt", "reason"))
            reason = " ".join(table.reason.split())
            yield Notice(where=place, what=f"{spec.name} is prebuilt, upstream's wheel is used: {reason}")


@contextmanager
def _collected(found: list[PybuildError]) -> Iterator[None]:
    """Add what is raised in the block, one by one, and go on."""
    try:
        yield
    except ConfigError as error:
        found.extend(error.parts or [error])
    except PybuildError as error:
        found.append(error)


def _settings_problems(workspace: Workspace) -> list[PybuildError]:
    found: list[PybuildError] = []
    with _collected(found):
        named = workspace.settings.buildroot
        if named and named not in workspace.buildroot_names():
            known = ", ".join(workspace.buildroot_names()) or "none"
            cure = f"name one of those in buildroots/: {known}"
            raise ConfigError(f"there is no buildroot {named!r}", where="pybuild.toml buildroot", cure=cure)
    return found


def _rejection_problems(workspace: Workspace) -> list[PybuildError]:
    """What is wrong with the list of rejected packages, or contradicts it."""
    found: list[PybuildError] = []
    with _collected(found):
        for name in sorted(workspace.rejections.keys() & set(workspace.spec_names())):
            found.append(
                ConfigError(
                    f"{name} has a spec and is rejected; the spec counts",
                    where=f"specs/{workspace.rejected_path.name} [packages].{name}",
                    cure="take it out here, or remove its spec",
                )
            )
    return found


def _stray_patches(workspace: Workspace) -> list[PybuildError]:
    """Patches that no build will ever see because they are no accepted package's."""
    directory, found = workspace.root / "patches", []
    for entry in sorted(directory.iterdir()) if directory.is_dir() else ():
        place = f"patches/{entry.name}"
        if entry.is_dir() and entry.name not in workspace.spec_names():
            cure = "name it as a spec is named, or remove it"
            found.append(ConfigError(f"{place} belongs to no spec", where=place, cure=cure))
        elif entry.suffix == ".patch":
            cure = "move it into the directory of the package that it is for"
            found.append(ConfigError(f"{place} is in no package's directory", where=place, cure=cure))
    return list(found)


def _buildroot_targets(workspace: Workspace) -> list[Target]:
    """The targets of all buildroots that are sound."""
    targets = []
    for name in workspace.buildroot_names():
        with _collected([]):
            buildroot = workspace.buildroot(name)
            targets += [Target(buildroot=name, python=python, variant="") for python in buildroot.pythons]
    return targets


def _spec_problems(workspace: Workspace, name: str, known: Sequence[Target]) -> list[PybuildError]:
    if name != canonicalize_name(name):
        what, cure = "a spec's file has the normalised name of its package", f"call it {canonicalize_name(name)}.toml"
        return [ConfigError(what, where=f"specs/{name}.toml", cure=cure)]
    found: list[PybuildError] = []
    with _collected(found):
        spec = workspace.spec(name)
        if spec is not None:
            with _collected(found):
                origin(spec)
            found += _patch_problems(workspace, spec)
            for version in spec.versions:
                for target in _targets(spec, known):
                    # The first contradiction says enough: others are mostly the same one for another version.
                    _effective(spec, version, target)
    return found


def _targets(spec: Spec, known: Sequence[Target]) -> list[Target]:
    variants = {"", *(override.when.variant or "" for override in spec.override)}
    return [Target(buildroot=t.buildroot, python=t.python, variant=v) for t in known for v in sorted(variants)]


def _effective(spec: Spec, version: Version, target: Target) -> EffectiveSpec:
    return spec.effective(version=version, buildroot=target.buildroot, python=target.python, variant=target.variant)


def _patch_problems(workspace: Workspace, spec: Spec) -> list[PybuildError]:
    """Patches that are listed and missing, or there and never applied."""
    found: list[PybuildError] = []
    any_version = Version("0")
    if spec.patches is None:
        with _collected(found):
            workspace.patches(spec.name, any_version, spec)
    listings = [spec.patches, *(override.patches for override in spec.override)]
    entries = {entry.file: entry for listing in listings for entry in listing or ()}
    for entry in entries.values():
        always = entry.model_copy(update={"versions": SpecifierSet()})
        with _collected(found):
            workspace.patches(spec.name, any_version, spec.model_copy(update={"patches": (always,)}))
    if spec.patches is not None:
        directory = workspace.root / "patches" / spec.name
        for path in sorted(directory.glob("**/*.patch")):
            file = path.relative_to(directory).as_posix()
            if file not in entries:
                place = f"patches/{spec.name}/{file}"
                cure = f"list it under [[patches]] in specs/{spec.name}.toml, or remove it"
                found.append(ConfigError(f"{place} is never applied", where=place, cure=cure))
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Applier:
    """Fetches what specs pin and tries their patches on it.

    Attributes:
        workspace: Whose specs.
        sources: Where archives come from.
        listen: Told of progress.
        now: The clock.
    """

    workspace: Workspace
    sources: Sources
    listen: events.Listener
    now: Callable[[], datetime]

    def problems(self, names: Sequence[str] = ()) -> tuple[PybuildError, ...]:
        """What can't be fetched, is not what its pin says, or doesn't take its patches."""
        found: list[PybuildError] = []
        known = _buildroot_targets(self.workspace)
        for name in names or self.workspace.spec_names():
            with _collected(found):
                if spec := self.workspace.spec(name):
                    for version, pin in spec.versions.items():
                        with _collected(found):
                            self._try(spec, version, pin, _targets(spec, known))
        return tuple(found)

    def _try(self, spec: Spec, version: Version, pin: Pin, targets: Sequence[Target]) -> None:
        """Once for each way in which the targets differ."""
        done: list[tuple[Wanted | WantedWheel, Sequence[Patch]]] = []
        for target in targets:
            effective = _effective(spec, version, target)
            wanted = _wanted(effective, version, pin)
            patches = () if effective.prebuilt else self.workspace.patches(spec.name, version, effective)
            if wanted is not None and (wanted, patches) not in done:
                done.append((wanted, patches))
                self.listen(events.Started(name=spec.name, version=str(version), phase="fetch"))
                fetched = self.sources.fetch(wanted)
                if patches:
                    self._apply(fetched, patches)

    def _apply(self, fetched: Fetched, patches: Sequence[Patch]) -> None:
        now = self.now()
        with work_directory(self.sources.store.layout, new_attempt_id(now)) as work, disk_errors(work):
            tree = extract(fetched.file, work / "unpacked", now=int(now.timestamp())).root
            apply(tree, [patch.path for patch in patches])


def _wanted(spec: EffectiveSpec, version: Version, pin: Pin) -> Wanted | WantedWheel | None:
    """What a pin is of; None where it is not what the spec uses, and the next build replaces it."""
    if (spec.prebuilt is not None) != pin.is_wheel:
        return None
    name = canonicalize_name(spec.name)
    if spec.prebuilt:
        # A wheel that is pinned is not chosen by tags any more.
        return WantedWheel(name=name, version=version, target="", tags=(), pin=pin)
    return Wanted(name=name, version=version, source=spec.source, pin=pin)

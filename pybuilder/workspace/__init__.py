"""The workspace: the git repository of specs, patches and buildroots. Reads its files, and writes pins."""

from __future__ import annotations

import difflib
import errno
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder.errors import ConfigError, EngineError, FetchError, UsageError
from pybuilder.files import disk_errors, write_atomic
from pybuilder.names import normalize
from pybuilder.workspace.fresh import init
from pybuilder.workspace.patches import Patch, PatchFiles

if TYPE_CHECKING:
    from pybuilder.buildroot import Buildroot, Definition
    from pybuilder.rejections import Rejections
    from pybuilder.settings import Settings
    from pybuilder.spec import EffectiveSpec, Pin, Spec
    from pybuilder.workspace.checkout import Checkout, Revision, Run

__all__ = ["Patch", "Workspace", "init"]

# specs/rejected.toml is no spec, so that no package can have this name.
_REJECTED = "rejected"


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A workspace's files.

    Attributes:
        root: The directory that has ``pybuild.toml`` or ``specs/``.
        run: Runs git; the shape of ``processes.run``.
        proposed: Specs and patches as they would be, by their paths below the workspace: files elsewhere, which are
            read in place of what is there.
    """

    root: Path
    run: Run
    proposed: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def open(cls, directory: Path, *, run: Run) -> Workspace:
        """The workspace that a directory belongs to: the nearest one upwards.

        Raises:
            UsageError: There is none.
        """
        start = directory.absolute()
        for candidate in (start, *start.parents):
            if (candidate / "pybuild.toml").is_file() or (candidate / "specs").is_dir():
                return cls(root=candidate, run=run)
        raise UsageError(
            "there is no workspace here or above",
            where=str(start),
            cure="name one with -w, or make one with `pybuild init`",
        )

    @cached_property
    def settings(self) -> Settings:
        """What ``pybuild.toml`` says, or the defaults.

        Raises:
            ConfigError: It is wrong.
        """
        from pybuilder.settings import parse_settings

        text = self.text("pybuild.toml")
        return parse_settings(text or "", "pybuild.toml")

    def spec_path(self, name: str) -> Path:
        """Where the spec of a package is, or would be.

        Raises:
            UsageError: No package can have this name.
        """
        if name == _REJECTED:
            raise UsageError(f"{name} can't be built: {self.refusal(name)}", where=f"specs/{name}.toml")
        return self.root / "specs" / f"{name}.toml"

    @property
    def keys(self) -> Path:
        """Where the public keys lie, those of today and of before."""
        return self.root / "keys"

    def accepts(self, name: str) -> bool:
        """Whether the package has a spec."""
        return name != _REJECTED and self.spec_path(name).is_file()

    def spec_names(self) -> tuple[str, ...]:
        """The accepted packages, sorted; no spec is read."""
        return tuple(name for name in _stems(self.root / "specs") if name != _REJECTED)

    @property
    def rejected_path(self) -> Path:
        """Where the packages are listed that nobody wants, with reasons."""
        return self.root / "specs" / f"{_REJECTED}.toml"

    @cached_property
    def rejections(self) -> Rejections:
        """The packages that somebody has rejected, and why.

        Raises:
            ConfigError: The file that lists them is wrong.
        """
        text = self.text(f"specs/{_REJECTED}.toml")
        if text is None:
            return {}
        from pybuilder.rejections import parse_rejections

        return parse_rejections(text)

    def refusal(self, name: str) -> str:
        """Why a package must not be taken in, a clause; empty where nothing is against it.

        Args:
            name: The normalised name.

        Raises:
            ConfigError: The file that lists rejected packages is wrong.
        """
        if name == _REJECTED:
            return (
                f"no package of this name can have a spec: specs/{_REJECTED}.toml lists the packages that nobody wants"
            )
        rejection = self.rejections.get(canonicalize_name(name))
        return rejection.sentence if rejection else ""

    def similar(self, name: str) -> tuple[str, ...]:
        """Accepted packages with nearly this name, the nearest first."""
        return tuple(difflib.get_close_matches(name, self.spec_names(), n=3))

    def spec(self, name: str) -> Spec | None:
        """The spec of a package, or None where it is not accepted.

        Args:
            name: The normalised name.

        Raises:
            ConfigError: The spec is wrong.
            UsageError: This is no package's name.
        """
        from pybuilder.spec import parse_spec

        normalize(name)  # refuses what is no name, so that no path leads out of specs/
        file = f"specs/{name}.toml"
        text = None if name == _REJECTED else self.text(file)
        return None if text is None else parse_spec(text, file)

    def buildroot_names(self) -> tuple[str, ...]:
        """The buildroots that are defined, sorted."""
        return _stems(self.root / "buildroots")

    def buildroot(self, name: str) -> Buildroot:
        """A buildroot, together with those it extends.

        Raises:
            EngineError: There is none of this name.
            ConfigError: Its definition is wrong, or extends itself in the end.
        """
        from pybuilder.buildroot import complete, extend

        definition = last = self._definition(name)
        seen = [name]
        while last.extends:
            place = last.document.place(("extends",))
            if last.extends in seen:
                circle = " -> ".join([*seen, last.extends])
                raise ConfigError(f"buildroots extend each other: {circle}", where=place, cure="end the circle")
            seen.append(last.extends)
            last = self._definition(last.extends, wanted_by=place)
            definition = extend(definition, last)
        running = f"{sys.version_info.major}.{sys.version_info.minor}"
        return complete(definition, python=running, arch=platform.machine())

    def _buildroot_files(self, name: str) -> Iterator[Path]:
        """The definition of a buildroot, those that it extends, and its lock."""
        yield self.root / "buildroots" / f"{name}.lock"
        while name:
            definition = self.root / "buildroots" / f"{name}.toml"
            yield definition
            # A wheel's plan is built again where its buildroot may have no definition.
            name = self._definition(name).extends if definition.exists() else ""

    def _definition(self, name: str, *, wanted_by: str = "") -> Definition:
        from pybuilder.buildroot import parse_buildroot

        file = f"buildroots/{name}.toml"
        text = self.text(file) if re.fullmatch(r"[A-Za-z0-9._-]+", name) else None
        if text is not None:
            return parse_buildroot(text, file)
        known = ", ".join(self.buildroot_names()) or "none"
        what, cure = f"there is no buildroot {name!r}", f"choose one of those defined in buildroots/: {known}"
        if wanted_by:
            raise ConfigError(what, where=wanted_by, cure=cure)
        raise EngineError(what, where=file, cure=cure)

    def patches(self, name: str, version: Version, spec: EffectiveSpec) -> tuple[Patch, ...]:
        """The patches of a version in the order they are applied.

        Args:
            name: The package.
            version: The version; the ranges of ``[[patches]]`` are compared with it, and prereleases count.
            spec: What the spec says for this version and target.

        Raises:
            ConfigError: A patch is missing, or leads out of the package's own directory.
        """
        files = PatchFiles(root=self.root, name=name, proposed=self.proposed, spec=lambda: self.spec(name))
        return files.of(version, spec)

    def add_spec(self, name: str, text: str) -> bool:
        """Give a package a spec, unless it has one by now; whether it had none.

        Raises:
            StateError: The disk doesn't let us.
        """
        from pybuilder.workspace.edits import locked

        path = self.spec_path(name)
        with disk_errors(path):
            path.parent.mkdir(exist_ok=True)
            with locked(path.parent):
                if path.is_file():
                    return False
                write_atomic(path, text.encode())
                return True

    def write_pin(self, name: str, version: Version, pin: Pin) -> bool:
        """Pin a version in the package's spec, if the workspace can be written.

        There is room for one file of a version: a wheel takes the place of a source, and the other way, as the spec
        is changed from the one to the other. Of wheels for several targets the first stays.

        Returns:
            Whether the spec now has the pin.

        Raises:
            ConfigError: There is no such spec, or it is wrong.
            FetchError: The version is pinned to another source.
        """
        from pybuilder.spec import parse_spec
        from pybuilder.spec_edit import with_pin
        from pybuilder.workspace.edits import locked

        path, file = self.spec_path(name), f"specs/{name}.toml"
        if not path.is_file():
            raise ConfigError(f"{name} has no spec to pin a version in", where=file, cure=f"pybuild new {name}")
        with disk_errors(path), locked(path.parent):
            text = _read(path, file) or ""
            spec = parse_spec(text, file)
            known = spec.pin(version)
            if known is None or known.is_wheel != pin.is_wheel:
                return _written(path, with_pin(text, version, pin))
            if known.is_wheel and known.file != pin.file:
                return False
            if known != pin:
                raise FetchError(
                    f"{name} {version} is pinned to another source",
                    where=spec.document.place(("versions",)),
                    cure="find out which one upstream stands by; remove the pin to take the other",
                )
            return True

    @property
    def _checkout(self) -> Checkout:
        """What git says, which is of no interest before something is built."""
        from pybuilder.workspace.checkout import Checkout

        return Checkout(root=self.root, run=self.run)

    def commit_id(self) -> str | None:
        """The commit that is checked out, or None where there is none or git can't tell."""
        return self._checkout.commit_id()

    def author(self) -> str:
        """The name of who works here, as far as git knows; else empty."""
        return self._checkout.author()

    def dirty(self, paths: Iterable[Path]) -> bool:
        """Whether files have changes that are not committed; pins that were added to specs do not count.

        Args:
            paths: The files that a plan read.

        Returns:
            True as well where git can't tell.
        """
        return self._checkout.dirty(paths)

    def revision(
        self,
        package: str,
        version: Version,
        spec: EffectiveSpec,
        *,
        patches: Iterable[Path],
        beside: Iterable[str],
        buildroot: str,
    ) -> Revision:
        """The commit that is checked out, and whether it has all that the plan of a build is made of.

        No commit has what is only proposed. Not asked of ``pybuild.toml``: nothing in it enters a plan.

        Args:
            package: The package.
            version: Its version.
            spec: What its spec says for this version and target.
            patches: Those that are applied.
            beside: The packages in its build environment, whose specs name RPMs.
            buildroot: Where it is built.
        """
        from pybuilder.fields import expand

        source = spec.source.path and self.root / expand(spec.source.path, name=package, version=version)
        found = self._checkout.revision(
            [*map(self.spec_path, (package, *beside)), *patches, *self._buildroot_files(buildroot)],
            trees=[source] if source else [],
            tracked=[self.root / "patches" / package] if spec.patches is None else [],
        )
        proposed = any(f"specs/{name}.toml" in self.proposed for name in (package, *beside))
        from pybuilder.provenance import CLEAN, DIRTY

        return replace(found, state=DIRTY) if proposed and found.state == CLEAN else found

    def text(self, file: str) -> str | None:
        """The text of a file of the workspace, by its path in it; None where there is none.

        Raises:
            ConfigError: It can't be read, or is not UTF-8.
        """
        return _read(self.proposed.get(file, self.root / file), file)


def _read(path: Path, file: str) -> str | None:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror}", where=str(path)) from error
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError("this is not UTF-8", where=f"{file}:{line}", cure="save the file as UTF-8") from error


def _written(path: Path, text: str) -> bool:
    try:
        write_atomic(path, text.encode(), mode=path.stat().st_mode & 0o777)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        return False
    return True


def _stems(directory: Path) -> tuple[str, ...]:
    try:
        return tuple(
            sorted(name[:-5] for name in os.listdir(directory) if name.endswith(".toml") and not name.startswith("."))
        )
    except (FileNotFoundError, NotADirectoryError):
        return ()

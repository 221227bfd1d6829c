"""What packages require where they are installed, from whoever says so most honestly; their sources, side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from pybuilder.errors import FetchError, PybuildError, ReviewError
from pybuilder.interruption import side_by_side
from pybuilder.metadata import parse_metadata
from pybuilder.packages import Packages
from pybuilder.resolution import applies, required_by
from pybuilder.stages import Made, Source
from pybuilder.stages.plan import build_requirements
from pybuilder.tree import Node, Package
from pybuilder.workspace.drafts import Drafts

# Sources are fetched and read side by side.
_FETCHERS = 8


@dataclass(kw_only=True, slots=True)
class Statements:
    """What packages say of themselves; what was found out is kept from one plan to the next.

    Attributes:
        packages: What is known of packages; their sources come from ``workspace``.
        workspace: The specs, those that would be written included.
        draft: The text of a spec for a package that has none, from its source; None where it gets none.
        learn: Builds a package to find out what it requires where it is installed.
        broken: Packages whose source can't be had or used, and why.
        unlearned: Packages that would have to be built to know what they require, and could not be.
        ahead: Told in whatever thread of each package whose source has come and was not here before; more than once.
    """

    packages: Packages
    workspace: Drafts
    draft: Callable[[Source], str | None]
    learn: Callable[[Package], Made]
    broken: dict[Package, PybuildError] = field(default_factory=dict)
    unlearned: set[Package] = field(default_factory=set)
    ahead: Callable[[Package], None] | None = None
    _looked_at: set[Package] = field(default_factory=set)
    _stated: dict[Package, tuple[Requirement, ...] | None] = field(default_factory=dict)
    _drafted: dict[Package, str | None] = field(default_factory=dict)
    _asking: dict[Package, threading.Lock] = field(default_factory=dict)
    # Those of which only a wheel of upstream's was asked.
    _unconfirmed: set[Package] = field(default_factory=set)
    # Those whose source was not here when they were first asked for.
    _new: set[Package] = field(default_factory=set)

    def requirements(self, package: Package) -> tuple[Requirement, ...] | None:
        """What a package requires where it is installed, or None where nobody knows without building it.

        From what its payload says, else its spec, the metadata beside a wheel on the index, its source where that is
        honest (PEP 643), the metadata in a wheel on the index. What a wheel says is compared later with what is built.
        """
        if made := self.packages.made.get(package):
            return made.requires_dist
        if package not in self._stated:
            with self._lock(package):
                if package not in self._stated:
                    self._stated[package] = self._find_out(package)
        return self._stated[package]

    def foreseen(self, package: Package) -> tuple[Requirement, ...]:
        """The same of a package that may turn out not to be needed, if its source is new, which comes as well.

        Raises:
            PybuildError: It can't be had; that is not noted.
        """
        found = self.requirements(package)
        if package not in self._new:
            return ()
        self.packages.source(package)
        self._tell_ahead(package)
        return found or ()

    def compile_ahead(self, package: Package) -> None:
        """Have what builds will most likely require compiled, if its source is new.

        Raises:
            PybuildError: Its source can't be had, or read.
        """
        if package in self._new:
            # Imported here, since most runs find nothing new.
            from pybuilder.stages.prepared import compile_ahead

            compile_ahead(self.packages.adapters, self.packages.source(package)[0])

    def compile_no_more_ahead(self) -> None:
        """Leave what is not being compiled yet until it is known to be required: now there are better things to do."""
        self.packages.adapters.environments.compilers.rest()

    def draft_ahead(self, package: Package) -> None:
        """Draft the spec that a package would get, if its source is new; it gets it once it is looked at.

        Raises:
            PybuildError: Its source can't be had, or read.
        """
        if package in self._new and not self.workspace.has_spec(package[0]):
            self._draft_of(package, self.packages.source(package)[0])

    def found_out(self, package: Package) -> tuple[Requirement, ...]:
        """The same; built where there is no other way to know.

        Nothing where that failed, which is noted, or where it may not be built before somebody accepts it or what
        builds it.
        """
        found = self.requirements(package)
        if found is None:
            found = self._stated[package] = self._learn(package)
        return found

    def unconfirmed(self, names: Collection[NormalizedName]) -> list[Package]:
        """Of packages of these names those that were looked at and of which only a wheel of upstream's was asked."""
        # A copy, since other threads ask as well.
        return [package for package in tuple(self._unconfirmed) if package[0] in names]

    def confirm(self, packages: Iterable[Package]) -> bool:
        """Ask the source of each package, or its backend where that is not honest; whether one says another thing.

        Whom that is not possible for, or whom nobody has accepted, is believed what the wheel says.
        """
        wrong = False
        for package in packages:
            self._unconfirmed.discard(package)
            with suppress(PybuildError):
                stated = self.packages.stated(package)
                if stated is None and not self.workspace.accepts(package[0]):
                    continue
                real = self.learn(package).requires_dist if stated is None else tuple(stated)
                wrong |= {*map(str, real)} != {*map(str, self._stated.get(package) or ())}
                self._stated[package] = real
        return wrong

    def give_up(self, package: Package, error: PybuildError) -> None:
        """A package can't be had: from now on nothing that needs it is built, and it requires nothing."""
        self._note(package, error)
        self._stated[package] = ()

    def _learn(self, package: Package) -> tuple[Requirement, ...]:
        self.unlearned.add(package)
        if not self.workspace.accepts(package[0]):
            return ()
        try:
            learned = self.learn(package).requires_dist
        except ReviewError:
            return ()
        except PybuildError as error:
            self._note(package, error)
            return ()
        self.unlearned.discard(package)
        return learned

    def hold(self, node: Node) -> bool:
        """Whether what a node needs where it is installed is what its payload says; from now on that is what it states.

        Only what counts on the target and for the extras that are asked for is compared.

        Raises:
            FetchError: What it requires means nothing.
        """
        made = self.packages.made[node.package]
        self._stated[node.package] = made.requires_dist
        markers, extras = self.packages.adapters.target.markers, frozenset(node.extras)
        with required_by(node.name, node.version):
            real = {
                str(requirement)
                for requirement in made.requires_dist
                if canonicalize_name(requirement.name) != node.name and applies(requirement, markers, extras)
            }
        return real == {need.requirement for need in node.installs}

    def look_at(self, packages: Iterable[Package]) -> None:
        """Fetch and read sources, each once, side by side; what goes wrong is noted."""
        missing = [package for package in packages if package not in self._looked_at]
        side_by_side(self._look_at, missing, threads=_FETCHERS)
        self._looked_at.update(missing)

    def _find_out(self, package: Package) -> tuple[Requirement, ...] | None:
        name, version = package
        try:
            if self.packages.numbered(package):
                return self._published(package).requires_dist
            if published := self.packages.published(package):
                return published.requires_dist
            spec = self.packages.sources.spec(name, version)
            if spec.metadata.requires_dist:
                return tuple(spec.metadata.requires_dist)
            if spec.source.type != "sdist" or spec.prebuilt:
                stated = self.packages.stated(package)
                return None if stated is None else tuple(stated)
            return self._of_sdist(package)
        except PybuildError as error:
            # That a source can't be had is no reason to take another version: it is told.
            self._note(package, error)
            return ()

    def _of_sdist(self, package: Package) -> tuple[Requirement, ...] | None:
        upstream, tags = self.packages.chooser.upstream, self.packages.adapters.target.tags
        # A source that is here can be asked without upstream.
        if not (here := self.packages.has_source(package)):
            self._new.add(package)
        raw = None if here else upstream.metadata_beside(*package, tags)
        if raw is None:
            stated = self.packages.stated(package)
            self._tell_ahead(package)
            if stated is not None:
                return tuple(stated)
            raw = upstream.metadata_beside(*package, tags) if here else None
            raw = raw or upstream.metadata_inside(*package, tags)
        if raw is None:
            return None
        self._unconfirmed.add(package)
        return parse_metadata(raw).requires_dist

    def _published(self, package: Package) -> Made:
        """The payload of a numbered build, which is there, or nowhere."""
        if made := self.packages.published(package):
            return made
        name, version = package
        raise FetchError(
            f"{name} has no build {version}: it is not published in this channel, or for another target",
            cure=f"ask for one of those that `pybuild history {name}` lists",
        )

    def _look_at(self, package: Package) -> None:
        try:
            if self.packages.numbered(package):
                self.packages.made[package] = self._published(package)
                return
            source, project = self.packages.source(package)
            build_requirements(source, project)  # refuses what none may have
            self._tell_ahead(package)
            if not self.workspace.has_spec(package[0]):
                if text := self._draft_of(package, source):
                    self.workspace.draft(package[0], text)
                self.packages.read_again(package)
            self.packages.check_python(package)
        except PybuildError as error:
            self._note(package, error)

    def _draft_of(self, package: Package, source: Source) -> str | None:
        with self._lock(package):
            if package not in self._drafted:
                self._drafted[package] = self.draft(source)
            return self._drafted[package]

    def _lock(self, package: Package) -> threading.Lock:
        """Held while something is found out about a package, which is done once, whoever asks meanwhile."""
        return self._asking.setdefault(package, threading.Lock())

    def _tell_ahead(self, package: Package) -> None:
        if (ahead := self.ahead) and package in self._new:
            ahead(package)

    def _note(self, package: Package, error: PybuildError) -> None:
        error.package = error.package or (package[0], str(package[1]))
        self.broken[package] = error

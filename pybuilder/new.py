"""A first spec for a package, written from what upstream says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pybuilder import events
from pybuilder.errors import BuildError, FetchError, UsageError
from pybuilder.files import disk_errors, write_atomic
from pybuilder.guess import Guess, guess, headers_of, worth_scanning
from pybuilder.metadata import build_system, parse_metadata, parse_pyproject, static_requirements
from pybuilder.names import normalize
from pybuilder.resolution import Wanted, applies
from pybuilder.sources import fetch
from pybuilder.sources.archive import walk
from pybuilder.sources.fetch import Fetched, Sources
from pybuilder.sources.members import Member, damage
from pybuilder.spec import Pin, Source
from pybuilder.spec_edit import new_spec
from pybuilder.stages.choose import Chooser
from pybuilder.stages.source import origin_of
from pybuilder.state import State
from pybuilder.workspace import Workspace

# What includes a library's header is a small file; larger ones are tables and amalgamations.
_SCAN_LIMIT = 1 << 20
_STATED = ("pyproject.toml", "PKG-INFO", "setup.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """A requirement on a package that has no spec.

    Attributes:
        name: Normalised.
        requirement: As upstream states it.
        needed_to: ``build`` or ``install``.
    """

    name: NormalizedName
    requirement: str
    needed_to: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """What a source tells about building it.

    Attributes:
        summary: One line, or nothing.
        licence: As upstream states it, or nothing.
        project_urls: Where upstream's pages are, by label.
        requires_python: The Pythons it is for; empty for any.
        unpacked: Bytes of all its files.
        guess: What it seems to need from the system.
        requires: Build requirements, as ``pyproject.toml`` states them.
        requires_dist: Install requirements, or None where only the backend knows.
        notes: What a person should look at besides.
    """

    summary: str
    licence: str
    project_urls: Mapping[str, str]
    requires_python: str
    unpacked: int
    guess: Guess
    requires: tuple[Requirement, ...]
    requires_dist: tuple[Requirement, ...] | None
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewSpec:
    """A spec that was written, or could be.

    Attributes:
        name: The package, normalised.
        version: The version that it pins.
        path: Where it belongs.
        text: What stands in it.
        source: What is pinned.
        findings: What that tells.
        missing: What it requires and has no spec.
    """

    name: NormalizedName
    version: Version
    path: Path
    text: str
    source: Fetched
    findings: Findings
    missing: tuple[Missing, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SpecWriter:
    """Writes first specs into a workspace.

    Attributes:
        workspace: Where they go.
        chooser: Says which versions upstream has.
        sources: Fetches them.
        markers: The target's, which say what requirements count.
        listen: Told of progress.
        now: The clock.
    """

    workspace: Workspace
    chooser: Chooser
    sources: Sources
    markers: Mapping[str, str]
    listen: events.Listener
    now: Callable[[], datetime]

    def write(self, requirement: Requirement) -> NewSpec:
        """Write the spec of a package, its newest version that satisfies pinned.

        Raises:
            UsageError: It has a spec.
            ReviewError: Somebody has rejected it.
            FetchError: Upstream doesn't have it, has no source that satisfies, or none that can be trusted.
        """
        name = normalize(requirement.name)
        if not self.chooser.is_accepted(name) and self.workspace.refusal(name):
            raise self.chooser.not_accepted([Wanted(requirement, "")])
        new = self.compose(requirement)
        with disk_errors(new.path):
            write_atomic(new.path, new.text.encode())
        return new

    def compose(self, requirement: Requirement) -> NewSpec:
        """The same without writing it, and although somebody may have rejected the package."""
        name = normalize(requirement.name)
        path = self.workspace.spec_path(name)
        if self.chooser.is_accepted(name):
            cure = f"edit it, or see what there is: pybuild show {name}"
            raise UsageError(f"{name} has a spec, which is left as it is", where=str(path), cure=cure)
        version = self._version(name, requirement)
        self.listen(events.Started(name=name, version=str(version), phase="fetch"))
        fetched = fetch_as_seen(self.sources, self.chooser.state, name, version)
        found, text = draft_spec(name, version, fetched.file, fetched.sha256)
        missing = self._missing(found)
        return NewSpec(
            name=name, version=version, path=path, text=text, source=fetched, findings=found, missing=missing
        )

    def _version(self, name: NormalizedName, requirement: Requirement) -> Version:
        if found := self.chooser.offered(name, requirement.specifier):
            return found[0]
        there = sorted(self.sources.upstream.sdists(name), reverse=True)
        if not there:
            raise FetchError(
                f"upstream has no source archive of {name}, only wheels",
                cure=f"write specs/{name}.toml by hand, with a [source] of type git or url, or with upstream's wheel:"
                " [prebuilt] reason",
            )
        newest = f"name another version; its newest are {', '.join(map(str, there[:8]))}"
        raise FetchError(
            f"upstream has no source archive of {requirement} for Python {self.chooser.python}",
            cure="; ".join(filter(None, (newest, self.chooser.too_young(name)))),
        )

    def _missing(self, found: Findings) -> tuple[Missing, ...]:
        """What is required and has no spec, a package that is required twice told once; build requirements first."""
        missing: dict[NormalizedName, Missing] = {}
        for needed_to, requirements in (("build", found.requires), ("install", found.requires_dist or ())):
            for requirement in requirements:
                name = canonicalize_name(requirement.name)
                if applies(requirement, self.markers, frozenset()) and not self.chooser.is_accepted(name):
                    entry = Missing(name=name, requirement=str(requirement), needed_to=needed_to)
                    missing.setdefault(name, entry)
        return tuple(missing.values())


def fetch_as_seen(sources: Sources, state: State, name: NormalizedName, version: Version) -> Fetched:
    """The sdist of a version of a package that may have no spec, as it was when a plan first saw it.

    Raises:
        FetchError: It can't be had, or is another by now.
    """
    seen = state.pin(name, str(version))
    pin = Pin.model_validate(dict(seen)) if seen else None
    fetched = sources.fetch(fetch.Wanted(name=name, version=version, source=Source(), pin=pin))
    return replace(fetched, origin=origin_of(state, fetched))


def draft_spec(name: NormalizedName, version: Version, file: Path, sha256: str) -> tuple[Findings, str]:
    """What a source tells about building it, and the text of a spec that says so.

    Raises:
        FetchError: The archive can't be unpacked.
    """
    found = inspect(file)
    text = new_spec(
        name=name,
        version=version,
        pin=Pin(file=file.name, sha256=sha256),
        summary=found.summary,
        licence=found.licence,
        guess=found.guess,
    )
    return found, text


def inspect(archive: Path) -> Findings:
    """Read what a person who writes a spec would look at, straight from the archive.

    Raises:
        FetchError: It is damaged.
    """
    paths: list[str] = []
    texts: dict[str, str] = {}
    headers: set[str] = set()
    unpacked = 0
    with damage(archive):
        for path, member in walk(archive):
            if member.data is None:
                continue
            unpacked += member.size
            paths.append(path)
            if path in _STATED and member.size <= _SCAN_LIMIT:
                texts[path] = _text(member)
            elif worth_scanning([path]) and member.size <= _SCAN_LIMIT:
                headers |= headers_of(_text(member))
    return _findings(paths, texts, headers, unpacked)


def _findings(paths: Iterable[str], texts: Mapping[str, str], headers: Iterable[str], unpacked: int) -> Findings:
    notes: list[str] = []
    pyproject_text, pkg_info = texts.get("pyproject.toml"), texts.get("PKG-INFO")
    pyproject: dict[str, Any] = {}
    requires: tuple[Requirement, ...] = ()
    try:
        pyproject = parse_pyproject(pyproject_text or "")
        requires = build_system(pyproject_text).requires
    except BuildError as error:
        notes.append(f"{error.what}; {error.cure}")
    requires_dist = static_requirements(None if pkg_info is None else pkg_info.encode(), pyproject)
    if requires_dist is None:
        notes.append("what it requires where it is installed is known to its backend only; its first build will tell")
    about = parse_metadata((pkg_info or "").encode())
    return Findings(
        summary=about.summary,
        licence=about.licence,
        project_urls=about.project_urls,
        requires_python=about.requires_python,
        unpacked=unpacked,
        guess=guess(paths, pyproject, texts.get("setup.py", ""), headers),
        requires=requires,
        requires_dist=requires_dist,
        notes=tuple(notes),
    )


def _text(member: Member) -> str:
    return member.data.read(_SCAN_LIMIT).decode("utf-8", errors="replace") if member.data else ""

"""From releases to what goes where in an index; reads it and writes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from packaging.utils import NormalizedName

from pybuilder.errors import ValidationError
from pybuilder.files import sha256_file
from pybuilder.index import pages
from pybuilder.index.changes import Change
from pybuilder.index.pages import File
from pybuilder.index.tree import SOURCES, Tree, describe


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The archive a wheel was built from."""

    path: Path
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """One wheel to publish; its project, version and metadata are the wheel's own.

    Attributes:
        wheel: The numbered wheel.
        sha256: Its digest, as it was validated.
        upload_time: Now, for whoever publishes it.
        payload_sha256: The digest of the payload it came from, under which its record is found.
        source: What it was built from, or None where that may not be published.
        record: The directory of the attempt's record, or None; its name is the attempt's.
        beside: Files that say more of the wheel and become visible with it: what their names add to its own, such as
            ``.cdx.json``, and their bytes.
    """

    wheel: Path
    sha256: str
    upload_time: datetime
    payload_sha256: str
    source: Source | None = None
    record: Path | None = None
    beside: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def record_path(self) -> str:
        """Where the record goes, below ``records/``."""
        return f"{self.payload_sha256}/{self.record.name if self.record else ''}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """One file, the tree and project it belongs to, and where its content is now.

    Attributes:
        file: As its page lists it, or will.
        listed: Whether the page lists it already.
        beside: The files beside it.
    """

    tree: str
    project: NormalizedName
    file: File
    content: Path
    listed: bool
    beside: Mapping[str, bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What publishing some releases does.

    Attributes:
        placements: The files and where they go, sources first, else in the order of the releases.
        listed: What each page concerned lists before, by tree and project.
    """

    placements: tuple[Placement, ...]
    listed: Mapping[tuple[str, NormalizedName], tuple[File, ...]]

    def changes(self) -> tuple[Change, ...]:
        """What each page gains, in the order in which pages are to be switched; pages that gain nothing included."""
        gained: dict[tuple[str, NormalizedName], list[File]] = {}
        for each in self.placements:
            files = gained.setdefault((each.tree, each.project), [])
            if not each.listed:
                files.append(each.file)
        return tuple(
            Change(tree=name, project=project, files=tuple(files)) for (name, project), files in gained.items()
        )


def plan(root: Path, releases: Sequence[Release]) -> Plan:
    """What publishing these releases puts where.

    Raises:
        ValidationError: A wheel is no numbered wheel, or another content has its name already.
    """
    planner = _Planner(root)
    for release in releases:
        planner.add(release)
    placements = sorted(planner.placements.values(), key=lambda each: each.tree != SOURCES)
    listed = {key: tuple(files.values()) for key, files in planner.pages.items()}
    return Plan(placements=tuple(placements), listed=listed)


@dataclass(slots=True)
class _Planner:
    root: Path
    placements: dict[tuple[str, str], Placement] = field(default_factory=dict)
    pages: dict[tuple[str, NormalizedName], dict[str, File]] = field(default_factory=dict)

    def add(self, release: Release) -> None:
        file = describe(release.wheel, sha256=release.sha256, upload_time=release.upload_time)
        project = _numbered_project(file, release.wheel)
        if release.source is not None:
            self._add_source(release.source, project, file)
        digests = {suffix: hashlib.sha256(data).hexdigest() for suffix, data in release.beside.items()}
        file = replace(file, beside=tuple(sorted(digests.items())))
        self._place("", project, file, release.wheel, release.beside)

    def _add_source(self, source: Source, project: NormalizedName, wheel: File) -> None:
        """Plan a source under its own name, or, where another content has that, under the wheel's version.

        Path sources and moved tags change without a new version; each wheel's source has to be found all the same.
        """
        file = describe(source.path, sha256=source.sha256, upload_time=wheel.upload_time)
        planned = [each.file for each in self.placements.values() if (each.tree, each.project) == (SOURCES, project)]
        known = [*self._listed(SOURCES, project).values(), *planned]
        same = next((each for each in known if each.sha256 == source.sha256), None)
        if same is not None:
            file = same
        elif any(each.filename == file.filename for each in known):
            suffix = file.filename.removeprefix(pages.archive_stem(file.filename))
            name = f"{project.replace('-', '_')}-{wheel.version}{suffix}"
            file = replace(file, filename=name, version=wheel.version)
        self._place(SOURCES, project, file, source.path, {})

    def _listed(self, name: str, project: NormalizedName) -> dict[str, File]:
        """What a page lists, by file name."""
        if (name, project) not in self.pages:
            files = Tree(self.root / name).read(project)
            self.pages[name, project] = {file.filename: file for file in files}
        return self.pages[name, project]

    def _place(
        self, name: str, project: NormalizedName, file: File, content: Path, beside: Mapping[str, bytes]
    ) -> None:
        target = Tree(self.root / name).files / file.filename
        listed = self._listed(name, project).get(file.filename)
        planned = self.placements.get((name, file.filename))
        there = listed or (planned.file if planned else None)
        digest = there.sha256 if there else sha256_file(target) if target.exists() else file.sha256
        if digest != file.sha256:
            raise ValidationError(
                f"{file.filename} is published with another content, and what is published is never replaced",
                where=str(target),
                cure="publish this one under the next number",
            )
        self.placements[name, file.filename] = Placement(
            tree=name,
            project=project,
            file=there or file,
            content=content,
            listed=listed is not None,
            beside=beside,
        )


def _numbered_project(file: File, wheel: Path) -> NormalizedName:
    split = pages.split_filename(file.filename)
    if split is None or not file.metadata_sha256 or "+" not in file.version:
        raise ValidationError(
            f"{file.filename} is no numbered wheel, and nothing else is published",
            where=str(wheel),
            cure="publish what `pybuild build` has numbered",
        )
    return split[0]

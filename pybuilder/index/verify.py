"""Everything that is wrong with an index, found by reading all of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from packaging.utils import NormalizedName

from pybuilder.errors import ValidationError
from pybuilder.files import sha256_file
from pybuilder.index import envelopes, pages, tree, yanked
from pybuilder.index.pages import File, PageError
from pybuilder.index.refresh import temporaries
from pybuilder.index.tree import HTML_PAGE, JSON_PAGE, SOURCES, Tree
from pybuilder.layout import YANKED


def verify(root: Path) -> tuple[str, ...]:
    """Every problem, each as ``path below the index: what``; none for an index that is not there yet."""
    found = [
        (path, "is left from an interrupted run; `pybuild index refresh` removes it")
        for path in temporaries(root, deep=True)
    ]
    for each in (Tree(root), Tree(root / SOURCES)):
        if each.root.is_dir():
            found += _tree_problems(each)
    found += _yank_problems(root)
    found += envelopes.problems(root)
    return tuple(f"{path.relative_to(root)}: {what}" for path, what in found)


_Problems = Iterator[tuple[Path, str]]


def _tree_problems(where: Tree) -> _Problems:
    listed: set[str] = set()  # with what belongs beside them
    projects = _project_directories(where)
    for project in projects:
        path = where.simple / project / JSON_PAGE
        try:
            files = pages.parse_project_json(path.read_bytes(), project)
        except FileNotFoundError:
            yield path, "is missing"
        except PageError as error:
            yield path, str(error)
        else:
            for file in files:
                beside = (f"{file.filename}{suffix}" for suffix, _ in file.beside)
                listed |= {file.filename, f"{file.filename}.metadata", *beside}
            yield from _page_problems(where, project, files)
            for file in files:
                yield from _file_problems(where, project, file)
    yield from _root_problems(where, projects)
    yield from _unlisted(where, listed)


def _yank_problems(root: Path) -> _Problems:
    """Where the pages' marks are not what ``yanked.json`` says."""
    try:
        said = yanked.read(root)
    except PageError as error:
        yield root / YANKED, str(error)
        return
    for where in (Tree(root), Tree(root / SOURCES)):
        for project in _project_directories(where):
            files = where.read(project)
            if yanked.marked(files, (said or {}).get(project, {})) == files:
                continue
            if said is None:
                yield root / YANKED, f"is missing, but {project}'s page has files that are yanked"
            else:
                yield where.simple / project / JSON_PAGE, f"has other files yanked than {YANKED} says"


def _project_directories(where: Tree) -> tuple[NormalizedName, ...]:
    if not where.simple.is_dir():
        return ()
    with os.scandir(where.simple) as entries:
        return tuple(sorted(NormalizedName(each.name) for each in entries if each.is_dir()))


def _root_problems(where: Tree, projects: tuple[NormalizedName, ...]) -> _Problems:
    path = where.simple / JSON_PAGE
    try:
        listed = pages.parse_root_json(path.read_bytes())
    except FileNotFoundError:
        if projects:
            yield path, "is missing"
    except PageError as error:
        yield path, str(error)
    else:
        for name in sorted(set(listed).symmetric_difference(projects)):
            yield path, f"lists {name}, which has no page" if name in listed else f"does not list {name}"
        yield from _disagreements(where.simple, pages.root_json(listed), pages.root_html(listed))


def _page_problems(where: Tree, project: NormalizedName, files: tuple[File, ...]) -> _Problems:
    json, html = pages.project_json(project, files), pages.project_html(project, files)
    yield from _disagreements(where.simple / project, json, html)


def _disagreements(directory: Path, json: bytes, html: bytes) -> _Problems:
    for path, expected in tree.rendered(directory, json, html):
        if not path.is_file():
            yield path, "is missing"
        elif path.read_bytes() != expected:
            other = HTML_PAGE if path.name == JSON_PAGE else JSON_PAGE
            yield path, f"does not agree with {other}"


def _file_problems(where: Tree, project: NormalizedName, file: File) -> _Problems:
    path = where.files / file.filename
    split = pages.split_filename(file.filename)
    if file.metadata_sha256 and split is not None and split[0] != project:
        yield where.simple / project / JSON_PAGE, f"lists {file.filename}, which is of {split[0]}"
    if not path.is_file():
        yield path, f"is missing, but {project}'s page lists it"
        return
    digest = sha256_file(path)
    if digest != file.sha256:
        yield path, f"has sha256 {digest}, but was published as {file.sha256}"
    elif path.stat().st_size != file.size:
        yield where.simple / project / JSON_PAGE, f"states a wrong size of {file.filename}"
    elif file.metadata_sha256:
        yield from _metadata_problems(path, file)
    for suffix, sha256 in file.beside:
        beside = tree.beside_path(path, suffix)
        if not beside.is_file():
            yield beside, f"is missing, but {project}'s page lists it"
        elif (digest := sha256_file(beside)) != sha256:
            yield beside, f"has sha256 {digest}, but was published as {sha256}"


def _metadata_problems(path: Path, file: File) -> _Problems:
    beside = tree.metadata_path(path)
    try:
        metadata = tree.wheel_metadata(path)
    except ValidationError as error:
        yield path, error.what
        return
    if not beside.is_file():
        yield beside, "is missing"
    elif beside.read_bytes() != metadata:
        yield beside, "is not the wheel's METADATA"
    elif sha256_file(beside) != file.metadata_sha256:
        yield beside, f"has another sha256 than the page says: {file.metadata_sha256}"


def _unlisted(where: Tree, listed: set[str]) -> _Problems:
    for name in sorted(os.listdir(where.files)) if where.files.is_dir() else ():
        if name not in listed and not name.endswith(".tmp"):
            yield where.files / name, "is on no page"

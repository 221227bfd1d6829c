"""Pages made again from ``files/`` and what the old pages know; what is right already is not touched."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName

from pybuilder.errors import ValidationError
from pybuilder.files import remove_tree, sha256_file, write_atomic
from pybuilder.index import pages, tree, yanked
from pybuilder.index.pages import File
from pybuilder.index.tree import SOURCES, Tree, write_changed
from pybuilder.index.yanked import Yanked
from pybuilder.layout import YANKED


@dataclass(frozen=True, kw_only=True, slots=True)
class Refreshed:
    """What a refresh did, in paths below the index.

    Attributes:
        listed: Files that no page listed, and now one does.
        dropped: Files that a page listed and that are gone.
        pages: Directories whose pages changed.
    """

    listed: tuple[str, ...]
    dropped: tuple[str, ...]
    pages: tuple[str, ...]


def refresh(root: Path) -> Refreshed:
    """Make the pages of both trees agree with their files.

    A listed file keeps the digest it was published with, whatever lies there now: `verify` tells when they differ.
    Metadata files are made again from their wheels. What lies beside a wheel that is gone is removed. What is yanked is
    marked as ``yanked.json`` says, which is made again from the marks where it is lost or damaged.
    """
    remove_temporaries(root, deep=True)
    listed: list[str] = []
    dropped: list[str] = []
    written: list[str] = []
    said = yanked.believed(root)
    if said is None:
        said = read_yanked_back(root)
        if any(said.values()) or (root / YANKED).exists():
            write_changed(root / YANKED, yanked.dump(said))
    for each in (Tree(root / SOURCES), Tree(root)):
        if each.root.is_dir():
            _refresh_tree(each, root, said, listed, dropped, written)
    return Refreshed(listed=tuple(listed), dropped=tuple(dropped), pages=tuple(written))


def read_yanked_back(root: Path) -> Yanked:
    """What is yanked by the marks of all pages of an index."""
    where = Tree(root)
    return {project: yanked.read_back(where.read(project)) for project in where.projects_with_pages()}


def _refresh_tree(
    where: Tree, root: Path, said: Yanked, listed: list[str], dropped: list[str], written: list[str]
) -> None:
    there = where.scan()
    paged = where.projects_with_pages()
    _refresh_metadata(where, there)
    for project in sorted(there.keys() | set(paged)):
        before = {file.filename: file for file in where.read(project)}
        after = _present(where, there.get(project, []), before)
        listed += [str((where.files / name).relative_to(root)) for name in after if name not in before]
        dropped += [str((where.files / name).relative_to(root)) for name in before if name not in after]
        files = yanked.marked(pages.sorted_files(after.values()), said.get(project, {}))
        if after and where.write(project, files):
            written.append(str((where.simple / project).relative_to(root)))
        if not after and project in paged:
            remove_tree(where.simple / project)
    if where.write_root(where.projects_with_pages()):
        written.append(str(where.simple.relative_to(root)))


def _present(where: Tree, names: list[str], before: dict[str, File]) -> dict[str, File]:
    """The files that are there and can be listed, as their page knew them or as they tell of themselves."""
    found = {}
    for name in names:
        try:
            known = before.get(name)
            path = where.files / name
            found[name] = tree.with_beside(known, path) if known else tree.describe(path)
        except ValidationError:
            continue
    return found


def _refresh_metadata(where: Tree, there: dict[NormalizedName, list[str]]) -> None:
    wheels = {name for names in there.values() for name in names if name.endswith(".whl")}
    for name in sorted(wheels):
        path = where.files / name
        try:
            metadata = tree.wheel_metadata(path)
        except ValidationError:
            continue
        beside = tree.metadata_path(path)
        if not beside.is_file() or sha256_file(beside) != hashlib.sha256(metadata).hexdigest():
            write_atomic(beside, metadata)
    for suffix in (".metadata", *tree.BESIDE):
        for beside in where.files.glob(f"*{suffix}"):
            if beside.name.removesuffix(suffix) not in wheels:
                beside.unlink()


def remove_temporaries(root: Path, *, deep: bool) -> None:
    """Remove what interrupted writes left beside their targets; nobody may be writing.

    Args:
        root: The index.
        deep: Look into every directory, not only the uppermost.
    """
    for path in temporaries(root, deep=deep):
        remove_tree(path)


def temporaries(root: Path, *, deep: bool) -> tuple[Path, ...]:
    """What `pybuilder.files` wrote beside its targets and has not renamed."""
    return tuple(root.glob("**/.*.tmp" if deep else ".*.tmp"))

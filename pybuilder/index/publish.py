"""The published index of one channel (DESIGN.md, "the index")."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder import files as filesystem
from pybuilder.index import changes, pages, planning, refresh, review_pages, verify, yanked
from pybuilder.index.changes import Change
from pybuilder.index.pages import File, PageError
from pybuilder.index.planning import Placement, Release
from pybuilder.index.tree import KEYS, SOURCES, Tree, write_changed
from pybuilder.index.yanked import Reasons, Yanked
from pybuilder.layout import YANKED, Layout
from pybuilder.signing import PublicKey

_NOTE = ".unfinished.json"
_Listed = Mapping[tuple[str, NormalizedName], tuple[File, ...]]


class Index:
    """One channel's index: any number may read it, one at a time writes it.

    Args:
        root: The published tree; made at the first publish.
        lock: The lock file of those who write, outside the tree.
    """

    def __init__(self, root: Path, *, lock: Path) -> None:
        self.root = root
        self._lock = lock
        self._note = root / _NOTE
        self._yanked: tuple[tuple[int, ...], Yanked] | None = None

    @classmethod
    def of(cls, layout: Layout, channel: str) -> Self:
        """The index of a channel of a state."""
        return cls(layout.index(channel), lock=layout.lock(f"index-{channel}"))

    def projects(self) -> tuple[NormalizedName, ...]:
        """The published projects, in order of name."""
        with filesystem.disk_errors(self.root):
            return Tree(self.root).projects()

    def files(self, project: NormalizedName) -> tuple[File, ...]:
        """The published wheels of a project, oldest version first; none for a project that is not there."""
        with filesystem.disk_errors(self.root):
            return Tree(self.root).read(project)

    def sources(self, project: NormalizedName) -> tuple[File, ...]:
        """The published sources of a project, oldest version first."""
        with filesystem.disk_errors(self.root):
            return Tree(self.root / SOURCES).read(project)

    def publish(self, releases: Sequence[Release], *, signed_by: PublicKey | None = None) -> tuple[Path, ...]:
        """Publish wheels as one group.

        Every file is in place and durable before the first page names one. Pages are switched in the order given,
        sources before wheels, so put what is required first. When the process dies in between, the next publish or
        refresh finishes what it began, or takes it back. What is published already stays as it is.

        Args:
            releases: The wheels.
            signed_by: The key that verifies their envelopes; it lies in ``keys/`` from then on, for those who have it
                from nowhere else.

        Returns:
            The published wheels' paths below ``files/``, in the order given.

        Raises:
            ValidationError: A wheel is no numbered wheel, is not the one that was validated, or another content is
                published under its name. Then nothing is published.
            StateError: The disk is full or can't be written. Then the index is as it was.
        """
        with self._writing():
            plan = planning.plan(self.root, releases)
            gained = plan.changes()
            if any(change.files for change in gained):
                filesystem.write_atomic(self._note, changes.dump_changes(gained))
            try:
                if signed_by is not None:
                    write_changed(self.root / KEYS / f"{signed_by.keyid}.pem", signed_by.pem)
                self._place(plan.placements, releases)
            except BaseException:
                self._settle()
                raise
            self._list(gained, plan.listed)
            self._note.unlink(missing_ok=True)
        return tuple(Tree(self.root).files / release.wheel.name for release in releases)

    def yanked(self) -> Yanked:
        """Why versions are yanked, by project: upstream's versions, or numbered ones."""
        with filesystem.disk_errors(self.root):
            try:
                stat = (self.root / YANKED).stat()
            except FileNotFoundError:
                return {}
            # Asked for each requirement of a tree. A file that says something else is another file.
            version = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if self._yanked is None or self._yanked[0] != version:
                self._yanked = (version, yanked.believed(self.root) or {})
            return self._yanked[1]

    def yank(self, reasons: Mapping[tuple[NormalizedName, Version], str | None]) -> None:
        """Say of versions that they are yanked (PEP 592): installers take them only where ``==`` asks for them.

        It is said once and for all of it or nothing, whenever this dies, and stays true of builds that are published
        later. Wheels and sources are marked.

        Args:
            reasons: Why, or None to take a yank back. An upstream version stands for every build of it, a numbered one
                for itself.
        """
        with self._writing():
            before = self._all_yanked()
            after = {project: dict(before.get(project, {})) for project in {*before, *(name for name, _ in reasons)}}
            for (project, version), reason in reasons.items():
                after[project].pop(version, None)
                if reason is not None:
                    after[project][version] = reason
            concerned = sorted({project for project, _ in reasons if after[project] != before.get(project, {})})
            if not concerned:
                return
            trees = [(tree, project) for tree in (SOURCES, "") for project in concerned]
            listed = {each: files for each in trees if (files := Tree(self.root / each[0]).read(each[1]))}
            gained = [Change(tree=tree, project=project, files=()) for tree, project in listed]
            filesystem.write_atomic(self._note, changes.dump_changes(gained))
            write_changed(self.root / YANKED, yanked.dump(after))
            self._list(gained, listed)
            self._note.unlink()

    def _all_yanked(self) -> Yanked:
        said = yanked.believed(self.root)
        return refresh.read_yanked_back(self.root) if said is None else said

    def settle(self) -> None:
        """Finish or take back what an interrupted publish began; from then on `files` tells which.

        All that writes begins with it; call it before asking the index how a publish that was killed has ended.
        """
        with self._writing():
            pass

    def refresh(self) -> refresh.Refreshed:
        """Make all pages agree with ``files/`` and remove what interrupted runs left; what is right stays untouched."""
        with self._writing():
            return refresh.refresh(self.root)

    def verify(self) -> tuple[str, ...]:
        """Every problem the index has, each as ``path: what``; reads all the files."""
        with filesystem.disk_errors(self.root), filesystem.file_lock(self._lock):
            interrupted = (f"{_NOTE}: a publish was interrupted; `pybuild index refresh` settles it",)
            # A kill may come while the note itself is being written.
            noted = self._note.exists() or any(self.root.glob(f".{_NOTE}.*.tmp"))
            return (interrupted if noted else ()) + verify.verify(self.root)

    def write_review(self, waiting: Sequence[Mapping[str, str]], rejected: Sequence[Mapping[str, str]]) -> None:
        """Publish who waits for review, for programs and for people; what is right already is not touched.

        Args:
            waiting: ``name``, ``requirement``, ``wanted_by`` and ``first_seen`` of each, in order.
            rejected: ``name``, ``reason``, ``by`` and ``when`` of each package that nobody wants, in order.
        """
        if not waiting and not rejected and not (self.root / review_pages.JSON).exists():
            return
        with self._writing():
            write_changed(self.root / review_pages.HTML, review_pages.review_html(waiting, rejected))
            write_changed(self.root / review_pages.JSON, review_pages.review_json(waiting, rejected))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with filesystem.disk_errors(self.root), filesystem.file_lock(self._lock):
            self._settle()
            yield

    def _settle(self) -> None:
        """Finish or take back what an interrupted publish began."""
        refresh.remove_temporaries(self.root, deep=self._note.exists())
        if not self._note.exists():
            return
        try:
            begun = changes.load_changes(self._note.read_bytes())
        except PageError:
            begun = ()
        listed = {(each.tree, each.project): Tree(self.root / each.tree).read(each.project) for each in begun}
        if all(Tree(self.root / change.tree).holds(file) for change in begun for file in change.files):
            self._list(begun, listed)
        else:
            self._take_back(begun, listed)
        self._note.unlink()

    def _take_back(self, begun: Iterable[Change], listed: _Listed) -> None:
        for change in begun:
            kept = {file.filename for file in listed[change.tree, change.project]}
            for file in change.files:
                if file.filename not in kept:
                    Tree(self.root / change.tree).remove(file)

    def _place(self, placements: Iterable[Placement], releases: Iterable[Release]) -> None:
        # Records before files: once all the files are there, an interrupted publish is finished, not taken back.
        for release in releases:
            if release.record is not None:
                _copy_record(release.record, self.root / "records" / release.record_path)
        for each in placements:
            tree = Tree(self.root / each.tree)
            if not tree.holds(each.file):
                tree.place(each.file, each.content, each.beside)

    def _list(self, gained: Iterable[Change], listed: _Listed) -> None:
        """Switch the pages: each project's, then the lists of projects where a project is new."""
        said = yanked.believed(self.root)
        projects: dict[str, set[NormalizedName]] = {}
        for change in gained:
            files = pages.with_files(listed[change.tree, change.project], change.files)
            reasons = self._yanked_by_page(change.project) if said is None else said.get(change.project, {})
            Tree(self.root / change.tree).write(change.project, yanked.marked(files, reasons))
            projects.setdefault(change.tree, set()).add(change.project)
        for name, some in projects.items():
            Tree(self.root / name).add_to_root(some)

    def _yanked_by_page(self, project: NormalizedName) -> Reasons:
        return yanked.read_back(Tree(self.root).read(project))


def _copy_record(record: Path, target: Path) -> None:
    """Copy a record, whole or not at all; one that is there already stays, as records never change."""
    if target.exists():
        return
    with filesystem.atomic_dir(target) as fresh:
        # Not by shutil.copytree, whose errors don't say that the disk is full.
        for directory, _, names in os.walk(record):
            there = fresh / Path(directory).relative_to(record)
            there.mkdir(exist_ok=True)
            # A run that was killed while it added to the record leaves what it had not finished.
            for name in (each for each in names if not each.endswith(".tmp")):
                # By strings, of which shutil makes no path again and again.
                copy = shutil.copy2(f"{directory}/{name}", f"{there}/{name}")
                with open(copy, "rb") as stream:
                    os.fsync(stream.fileno())
            filesystem.fsync_dir(there)
        fresh.chmod(0o755)

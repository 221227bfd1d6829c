"""From a new source to what is written: whether it is a new one, what becomes of its patches, what it requires."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from pybuilder.clock import new_attempt_id
from pybuilder.errors import PybuildError
from pybuilder.files import disk_errors, sha256_file
from pybuilder.patching.rebase import try_patches
from pybuilder.requirement_changes import RequirementChange, changes, python_change
from pybuilder.resolution import applies
from pybuilder.sources.archive import extract, walk
from pybuilder.sources.members import damage
from pybuilder.spec import Pin, Spec
from pybuilder.spec_edit import with_pin
from pybuilder.stages import Adapters, AppliedPatch, Project, Source
from pybuilder.stages.inspect import inspect_source
from pybuilder.uptake.patches import Case, TakenOver, Unclear, take_over
from pybuilder.uptake.prepared import Prepared
from pybuilder.work import work_directory
from pybuilder.workspace import Workspace
from pybuilder.workspace.edits import Change


@dataclass(frozen=True, kw_only=True, slots=True)
class Preparing:
    """A version whose source is there and screened.

    Attributes:
        adapters: The world.
        workspace: The workspace, as it is on disk.
        spec: The spec as it is.
        source: The new source.
        pin: Its pin.
        before: The source of the newest version that is pinned below it, or why there is none to be had; empty where
            no version is.
        old: That version.
    """

    adapters: Adapters
    workspace: Workspace
    spec: Spec
    source: Source
    pin: Pin
    before: Source | str
    old: Version | None

    def prepared(self, *, needed_by: int) -> Prepared:
        """What taking it in comes to.

        Args:
            needed_by: How many packages need it.

        Raises:
            ConfigError: A patch is none.
            BuildError: It does not say how it is built.
        """
        found, notes = TakenOver(), [self.before] if isinstance(self.before, str) and self.before else []
        requirements: tuple[RequirementChange, ...] = ()
        now = self.adapters.now()
        with work_directory(self.adapters.layout, new_attempt_id(now)) as work, disk_errors(work):
            review = self._sameness()
            try:
                if not review:
                    found = self._patched(work)
                    review = found.review
                if not review:
                    requirements, unknown = self._requirements(found, work)
                    notes += unknown
            except Unclear as unclear:
                review = unclear.what
        return Prepared(
            name=self.source.name,
            version=self.source.version,
            old=self.old,
            pin=self.pin,
            review=review,
            changes=() if review else self._changes(found),
            patches=found.news,
            requirements=requirements,
            notes=tuple(notes),
            needed_by=needed_by,
        )

    def _changes(self, found: TakenOver) -> tuple[Change, ...]:
        file = f"specs/{self.source.name}.toml"
        spec = Change(file=file, before=self.spec.document.text.encode(), after=found.text.encode())
        # While a spec lists no patches, every version has all that lie there.
        lists = self.source.spec.patches is not None
        return (*found.changes, spec) if lists else (spec, *found.changes)

    def _sameness(self) -> str:
        """Why this is no new source; empty where it is one."""
        for version, pin in self.spec.versions.items():
            if version == self.source.version:
                continue
            if pin.sha256 and pin.sha256 == self.pin.sha256:
                return f"its source is that of {version}, byte for byte"
            if pin.commit and pin.commit == self.pin.commit:
                return f"its source is commit {pin.commit}, which is that of {version}"
        if isinstance(self.before, str) or self.before.spec.prebuilt or self.source.spec.prebuilt:
            return ""
        same = _content(self.before.file) == _content(self.source.file)
        return f"nothing in its source differs from that of {self.before.version}" if same else ""

    def _patched(self, work: Path) -> TakenOver:
        """What is written of the version and its patches, which have been tried.

        Raises:
            Unclear: A person must write it.
        """
        text = with_pin(self.spec.document.text, self.source.version, self.pin)
        patches = [patch.path for patch in self.source.patches]
        if not patches:
            return TakenOver(text=text)
        (work / "rebase").mkdir()
        new = self._unpacked(self.source, work / "new")
        tried = try_patches(new, patches, old=lambda: self._old_tree(work), work=work / "rebase")
        channel, target = self.adapters.channel, self.adapters.target
        case = Case(
            root=self.workspace.root,
            spec=self.spec,
            version=self.source.version,
            target={"buildroot": channel.buildroot, "python": target.python, "variant": channel.variant},
        )
        return take_over(case, text, tried)

    def _old_tree(self, work: Path) -> Path | None:
        return None if isinstance(self.before, str) else self._unpacked(self.before, work / "old")

    def _unpacked(self, source: Source, directory: Path) -> Path:
        return extract(source.file, directory, now=int(self.adapters.now().timestamp())).root

    def _requirements(self, found: TakenOver, work: Path) -> tuple[tuple[RequirementChange, ...], tuple[str, ...]]:
        """What it requires otherwise, and what nobody can know before it is built.

        Its patches are applied once more for that, as they are to be written, to the source as it was fetched.
        """
        patches = self._written(found, work / "patches")
        new = inspect_source(self.adapters, replace(self.source, patches=patches))
        if isinstance(self.before, str):
            return (), ()
        try:
            old = inspect_source(self.adapters, self.before)
        except PybuildError as error:
            return (), (f"what {self.old} requires can't be told: {error.what}",)
        differences, unknown = _compared(old, new)
        return differences, (*unknown, *self._unaccepted(differences))

    def _unaccepted(self, found: Iterable[RequirementChange]) -> Iterator[str]:
        """What is needed now, and has no spec."""
        markers = self.adapters.target.markers
        for change in found:
            if change.kind == "Python" or change.before or self.workspace.accepts(change.name):
                continue
            if any(applies(Requirement(text), markers, frozenset()) for text in change.after):
                yield f"{change.name}, which it needs now, has no spec yet"

    def _written(self, found: TakenOver, directory: Path) -> tuple[AppliedPatch, ...]:
        """The patches of the new version, as they would be."""
        fresh = {change.file: change.after for change in found.changes}
        patches = []
        for one, news in zip(self.source.patches, found.news, strict=True):
            file = f"patches/{self.source.name}/{news.now or news.file}"
            path = one.path
            if data := fresh.get(file):
                path = directory / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            if news.fate != "merged":
                patches.append(AppliedPatch(file=file, path=path, sha256=sha256_file(path)))
        return tuple(patches)


def _compared(old: Project, new: Project) -> tuple[tuple[RequirementChange, ...], tuple[str, ...]]:
    found = [*changes("build", old.requires, new.requires), *python_change(old.requires_python, new.requires_python)]
    if old.requires_dist is None or new.requires_dist is None:
        return tuple(found), (
            "what it requires where it is installed is known to its backend only: its build will tell",
        )
    return (*found, *changes("install", old.requires_dist, new.requires_dist)), ()


def _content(archive: Path) -> str:
    """A digest of all that is in an archive but its times and the name of its top directory."""
    entries = []
    with damage(archive):
        for path, member in walk(archive):
            if member.kind == "directory":
                continue
            digest = hashlib.sha256()
            while member.data is not None and (piece := member.data.read(1 << 20)):
                digest.update(piece)
            entries.append((path, member.kind, member.target, member.executable, digest.hexdigest()))
    return hashlib.sha256(repr(sorted(entries)).encode()).hexdigest()

"""From what became of patches on a new source to what is written: new files, and the ranges of entries in the spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.version import Version

from pybuilder.errors import ConfigError
from pybuilder.patch_entries import Entry, EntryEdit, edited, listed
from pybuilder.patch_ranges import Split, contains, split
from pybuilder.patching.rebase import Tried
from pybuilder.spec import Spec, parse_spec
from pybuilder.toml_places import KeyPath
from pybuilder.uptake.prepared import PatchNews
from pybuilder.workspace.edits import Change, content


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Whose patches they are.

    Attributes:
        root: The workspace.
        spec: The spec as it is.
        version: The new version.
        target: What overrides may depend on: ``buildroot``, ``python``, ``variant``.
    """

    root: Path
    spec: Spec
    version: Version
    target: Mapping[str, str]

    @property
    def directory(self) -> Path:
        """Where the patches lie."""
        return self.root / "patches" / self.spec.name

    def files(self, spec: Spec, version: Version) -> tuple[str, ...]:
        """The patches of a version in order, as some text of the spec says."""
        effective = spec.effective(version=version, **self.target)
        if effective.patches is None:
            return tuple(sorted(path.name for path in self.directory.glob("*.patch") if path.name[0] != "."))
        return tuple(each.file for each in effective.patches if each.versions.contains(version, prereleases=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenOver:
    """What is written about patches.

    Attributes:
        text: The spec's text.
        changes: The patch files.
        news: What became of each.
        review: Why a person must look; empty where nobody must.
    """

    text: str = ""
    changes: tuple[Change, ...] = ()
    news: tuple[PatchNews, ...] = ()
    review: str = ""


class Unclear(ConfigError):
    """A person must write it; says why."""


def take_over(case: Case, text: str, tried: Sequence[Tried]) -> TakenOver:
    """Write what became of patches into a spec, so that every version that is pinned is built from the same as before.

    Args:
        case: Whose patches they are.
        text: The spec's text, with the new version pinned.
        tried: What became of them.

    Raises:
        Unclear: It can't be written so.
    """
    names = {one.patch: one.patch.relative_to(case.directory).as_posix() for one in tried}
    if tried[-1].fate == "rejected":
        news = [PatchNews(file=names[one.patch], fate=one.fate, why=one.why, rejects=one.rejects) for one in tried]
        return TakenOver(news=tuple(news), review=f"{tried[-1].why}, and it can't be rebased")
    pieces = {names[one.patch]: _pieces(case, names[one.patch], one) for one in tried if one.fate != "applies"}
    changes, news = [], []
    for one in tried:
        file = names[one.patch]
        piece = pieces.get(file)
        now = file if piece is None else _new_name(case, file)
        if one.fate == "rebased":
            changes.append(_patch_change(case, now, one.text, fresh=now != file))
        until = ", or ".join(filter(None, (piece.older, piece.later))) if piece else ""
        news.append(
            PatchNews(file=file, fate=one.fate, why=one.why, now=now if one.fate == "rebased" else "", until=until)
        )
    moved = {file: piece for file, piece in pieces.items() if piece is not None}
    fresh = {each.file: each.now for each in news}
    try:
        text = _edited(case, text, moved, fresh)
        _check(case, parse_spec(text, f"specs/{case.spec.name}.toml"), news, changes)
    except ConfigError as error:
        raise Unclear(error.what) from error
    return TakenOver(text=text, changes=tuple(changes), news=tuple(news))


def _pieces(case: Case, file: str, one: Tried) -> Split | None:
    """The ranges of a patch that is not for the new version any more; None where only that has it: it is replaced."""
    versions = _entry(case, file)[1]
    pinned = [version for version in case.spec.versions if version != case.version]
    is_alone = _times_listed(case.spec, file) == 1 and not any(contains(versions, version) for version in pinned)
    if one.fate == "rebased" and is_alone:
        return None
    found = split(versions, case.version, pinned=pinned)
    if found is None:
        raise Unclear(f"no ranges of versions keep the patch {file} apart from what {case.version} needs in its place")
    return found


def _times_listed(spec: Spec, file: str) -> int:
    """How many entries name a patch, for whichever versions and buildroots."""
    lists = (spec.patches, *(override.patches for override in spec.override))
    return sum(entry.file == file for entries in lists for entry in entries or ())


def _edited(case: Case, text: str, pieces: Mapping[str, Split], fresh: Mapping[str, str]) -> str:
    if not pieces:
        return text
    listing = _listing(case)
    if listing is None:
        entries: list[Entry] = []
        for file in case.files(case.spec, case.version):
            piece = pieces.get(file)
            entries += _added(file, piece, fresh[file]) if piece else ()
            entries.append(Entry(file=file, versions=piece.older if piece else ""))
        return listed(text, entries)
    edits = [
        EntryEdit(path=_entry(case, file)[0], versions=piece.older, added=_added(file, piece, fresh[file]))
        for file, piece in pieces.items()
    ]
    return edited(text, edits)


def _added(file: str, piece: Split, now: str) -> tuple[Entry, ...]:
    later = (Entry(file=file, versions=piece.later),) if piece.later else ()
    return (*later, *((Entry(file=now, versions=piece.newer),) if now else ()))


def _listing(case: Case) -> KeyPath | None:
    """Where the patches of the new version are listed; None where all files are taken."""
    matching = [
        index
        for index, override in enumerate(case.spec.override)
        if override.patches is not None and override.when.matches(version=case.version, **_when(case))
    ]
    if matching:
        return "override", matching[-1], "patches"
    return None if case.spec.patches is None else ("patches",)


def _when(case: Case) -> dict[str, str]:
    return {key: case.target[key] for key in ("buildroot", "python", "variant")}


def _entry(case: Case, file: str) -> tuple[KeyPath, str]:
    """Where a patch of the new version is listed, and for which versions."""
    listing = _listing(case)
    if listing is None:
        return (), ""
    entries: Any = case.spec.document.data
    for key in listing:
        entries = entries[key]
    for index, entry in enumerate(entries):
        versions = entry.get("versions", "")
        if entry["file"] == file and contains(versions, case.version):
            return (*listing, index), versions
    raise Unclear(f"the patch {file} is listed in a way that pybuild doesn't understand")


def _new_name(case: Case, file: str) -> str:
    """The name of a patch for the new version: its own, with the version in place of one that it may have already."""
    path = PurePosixPath(file)
    stem = path.stem
    for version in case.spec.versions:
        stem = stem.removesuffix(f"-{version}")
    return path.with_name(f"{stem}-{case.version}{path.suffix}").as_posix()


def _patch_change(case: Case, file: str, text: bytes, *, fresh: bool) -> Change:
    before = content(case.directory / file)
    if fresh and before not in (None, text):
        raise Unclear(f"patches/{case.spec.name}/{file} is there already, and is another patch")
    return Change(file=f"patches/{case.spec.name}/{file}", before=before, after=text)


def _check(case: Case, spec: Spec, news: Sequence[PatchNews], written: Sequence[Change]) -> None:
    """Make sure that versions that are pinned keep their patches, and the new one has those that were tried."""
    if written and spec.patches is None:
        raise Unclear(f"{written[0].file} would be for what lists no [[patches]] as well")
    for version in case.spec.versions:
        if version != case.version and case.files(spec, version) != case.files(case.spec, version):
            raise Unclear(f"{version} would not keep its patches")
    wanted = tuple(each.now or each.file for each in news if each.fate != "merged")
    if case.files(spec, case.version) != wanted:
        raise Unclear(f"{case.version} would not have the patches that were tried")

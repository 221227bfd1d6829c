"""What goes into the bills of materials of a payload that is published, from its record and the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pybuilder.files import remove_tree
from pybuilder.patching import apply
from pybuilder.sbom import Contents, Origin, PatchNote
from pybuilder.sbom.cargo import Crate, locked_crates
from pybuilder.sources.archive import extract, walk
from pybuilder.sources.members import damage
from pybuilder.wheel.bundled import read_bundled
from pybuilder.wheel.read import open_wheel

_LOCK = "Cargo.lock"
_LARGEST = 8 << 20


def contents(
    payload: Path,
    *,
    version: str,
    sha256: str,
    account: Mapping[str, Any],
    record: Path,
    source: Path | None,
    work: Path,
) -> Contents:
    """What a numbered wheel is made of.

    Args:
        payload: The payload.
        version: The numbered version.
        sha256: The payload's digest.
        account: The record of the attempt that made it.
        record: That record's directory, which has the patches.
        source: The source archive; None where the store has it no more.
        work: A directory for what has to be unpacked.

    Raises:
        BuildError: The payload is damaged.
        FetchError: The source is.
    """
    wheel = open_wheel(payload)
    bundled = read_bundled(wheel)
    named = [PatchNote(filename=patch["file"], sha256=patch["sha256"]) for patch in account["patches"]]
    patches = [record / "patches" / Path(patch.filename).name for patch in named]
    is_built = not account.get("prebuilt")
    crates = _crates(source if is_built else None, patches, work / sha256) if bundled.rust else ()
    origin = account["source"]
    return Contents(
        metadata=wheel.metadata,
        version=version,
        payload_sha256=sha256,
        origin=Origin(filename=origin["file"], sha256=origin["sha256"], url=origin["origin"]),
        patches=named,
        bundled=bundled,
        crates=crates,
        epoch=account["source_date_epoch"],
    )


def _crates(source: Path | None, patches: Sequence[Path], work: Path) -> tuple[Crate, ...] | None:
    """The crates that a source, patched, locks; None where it has no lock, or none that can be read.

    A source may have more locks, of its examples and tests: those nearest to its top are taken.
    """
    if source is None:
        return None
    locks = _patched_locks(source, patches, work) if patches else _locks(source)
    depth = min((path.count("/") for path in locks), default=0)
    found = [locked_crates(data, path) for path, data in sorted(locks.items()) if path.count("/") == depth]
    if not found or any(each is None for each in found):
        return None
    return tuple(sorted({crate for each in found for crate in each or ()}))


def _locks(source: Path) -> dict[str, bytes]:
    found = {}
    with damage(source):
        for path, member in walk(source):
            if path.rpartition("/")[2] == _LOCK and member.data is not None and member.size <= _LARGEST:
                found[path] = member.data.read()
    return found


def _patched_locks(source: Path, patches: Sequence[Path], work: Path) -> dict[str, bytes]:
    tree = extract(source, work).root
    try:
        apply(tree, patches)
        locks = [path for path in sorted(tree.rglob(_LOCK)) if path.is_file() and not path.is_symlink()]
        return {str(path.relative_to(tree)): path.read_bytes() for path in locks if path.stat().st_size <= _LARGEST}
    finally:
        remove_tree(tree)

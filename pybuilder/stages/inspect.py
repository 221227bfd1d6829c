"""What sources and payloads say of themselves, read once and remembered by digest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder import events
from pybuilder.clock import new_attempt_id
from pybuilder.errors import BuildError, StateError
from pybuilder.files import disk_errors
from pybuilder.metadata import build_system, parse_metadata, static_requirements
from pybuilder.patching import apply
from pybuilder.plan import digest
from pybuilder.sources.archive import extract, walk
from pybuilder.sources.limits import source_date_epoch
from pybuilder.sources.members import damage, zip_time
from pybuilder.stages import Adapters, Made, Project, Source
from pybuilder.stages.intact import intact_payload
from pybuilder.state import State
from pybuilder.timing import timed
from pybuilder.wheel.read import WheelName, open_archive, open_wheel
from pybuilder.wheel.tags import accepted
from pybuilder.work import work_directory

# Part of the digests under which facts are remembered: raise it when other facts are read.
VERSION = 1

_PYPROJECT, _PKG_INFO = "pyproject.toml", "PKG-INFO"
# What is larger is read from disk.
_STATED_LIMIT = 8 << 20


def inspect_source(adapters: Adapters, source: Source) -> Project:
    """What a source says of itself once its patches are applied, or upstream's wheel that is used in its place.

    Raises:
        FetchError: The archive can't be unpacked.
        ConfigError: A patch does not apply.
        BuildError: Its pyproject.toml can't be used, or the wheel is none.
    """
    subdirectory = source.spec.source.subdirectory
    patches = [patch.sha256 for patch in source.patches]
    key = digest([VERSION, source.sha256, *(["wheel"] if source.spec.prebuilt else [patches, subdirectory])])
    known = adapters.state.fact("project", key)
    if known is None:
        adapters.listen(events.Started(name=source.name, version=str(source.version), phase="inspect"))
        now = int(adapters.now().timestamp())
        with timed(adapters.listen, name=source.name, version=source.version, phase="inspect"):
            if source.spec.prebuilt:
                known = _read_wheel(source.file, now=now)
            else:
                files, newest = _stated_files(adapters, source)
                known = _read_project(files, source, newest, now=now)
        adapters.state.add_fact("project", key, known)
    return _project(known)


@contextmanager
def laid_out(adapters: Adapters, source: Source) -> Iterator[tuple[Path, int]]:
    """The unpacked, patched source in a directory that goes away, and the newest time in its archive."""
    with work_directory(adapters.layout, new_attempt_id(adapters.now())) as work:
        with disk_errors(work):
            extracted = extract(source.file, work / "unpacked", now=int(adapters.now().timestamp()))
            apply(extracted.root, [patch.path for patch in source.patches])
        yield extracted.root, extracted.newest_mtime


def _stated_files(adapters: Adapters, source: Source) -> tuple[dict[str, bytes], int]:
    """The files in which a source says what it is, patched, by name, and the newest time in its archive.

    They are read straight from the archive, unless a patch or a link stands in the way.
    """
    names = {f"{source.spec.source.subdirectory}/{name}".lstrip("/"): name for name in (_PYPROJECT, _PKG_INFO)}
    if not source.patches:
        files, newest, linked = {}, 0, False
        with damage(source.file):
            for path, member in walk(source.file):
                newest = max(newest, member.mtime)
                if name := names.get(path):
                    linked |= member.data is None or member.size > _STATED_LIMIT
                    files[name] = b"" if linked or member.data is None else member.data.read(_STATED_LIMIT)
        if not linked:
            return files, newest
    with laid_out(adapters, source) as (tree, newest):
        found = {name: tree / path for path, name in names.items()}
        return {name: path.read_bytes() for name, path in found.items() if path.is_file()}, newest


def _read_project(files: Mapping[str, bytes], source: Source, newest: int, *, now: int) -> dict[str, Any]:
    try:
        text = files[_PYPROJECT].decode() if _PYPROJECT in files else None
    except UnicodeDecodeError as error:
        raise BuildError(
            f"the pyproject.toml of {source.name} {source.version} is not UTF-8 (PEP 518)",
            cure="mend it with a patch",
        ) from error
    system = build_system(text)
    raw = files.get(_PKG_INFO)
    table: Mapping[str, Any] = tomli.loads(text) if text else {}
    static = static_requirements(raw, table)
    project = table.get("project", {})
    stated = parse_metadata(raw).requires_python if raw else project.get("requires-python", "")
    return {
        "source_date_epoch": source_date_epoch(newest, now=now),
        "requires": [str(requirement) for requirement in system.requires],
        "backend": system.backend,
        "backend_path": list(system.backend_path),
        "requires_dist": None if static is None else [str(requirement) for requirement in static],
        "requires_python": str(stated or ""),
    }


def _read_wheel(wheel: Path, *, now: int) -> dict[str, Any]:
    """The same facts of a wheel, which nothing needs to be built any more."""
    metadata = parse_metadata(open_wheel(wheel).metadata)
    with open_archive(wheel) as archive:
        newest = max(map(zip_time, archive.infolist()))
    return {
        "source_date_epoch": source_date_epoch(newest, now=now),
        "requires": [],
        "backend": "",
        "backend_path": [],
        "requires_dist": [str(requirement) for requirement in metadata.requires_dist],
        "requires_python": metadata.requires_python,
    }


def _project(facts: Mapping[str, Any]) -> Project:
    requires_dist = facts["requires_dist"]
    return Project(
        source_date_epoch=facts["source_date_epoch"],
        requires=tuple(Requirement(text) for text in facts["requires"]),
        backend=facts["backend"],
        backend_path=tuple(facts["backend_path"]),
        requires_dist=None if requires_dist is None else tuple(Requirement(text) for text in requires_dist),
        requires_python=facts["requires_python"],
    )


def made_from_payload(adapters: Adapters, *, sha256: str, key: str, recipe: str, attempt: str, target: str) -> Made:
    """A payload of the store, with what its METADATA says.

    Raises:
        StateError: It isn't there.
        BuildError: It is damaged.
    """
    path = adapters.store.payload(sha256)
    if path is None:
        raise StateError(
            "a payload is gone from the store",
            where=str(adapters.layout.payload(sha256)),
            cure="rebuild the package it belongs to",
        )
    requires = payload_requires(adapters.state, sha256, path)
    name = WheelName.parse(path.name)
    return Made(
        name=name.name,
        version=name.version,
        sha256=sha256,
        path=path,
        key=key,
        recipe=recipe,
        attempt=attempt,
        target=target,
        requires_dist=tuple(map(Requirement, requires)),
    )


def payload_requires(state: State, sha256: str, path: Path) -> Sequence[str]:
    """What a payload requires where it is installed, as its METADATA says.

    Raises:
        BuildError: It is damaged.
    """
    facts = state.fact("metadata", sha256)
    if facts is None:
        metadata = parse_metadata(open_wheel(path).metadata)
        if metadata.unreadable:
            raise BuildError(f"METADATA has a line that can't be read: {metadata.unreadable[0]}", where=str(path))
        facts = {"requires_dist": [str(requirement) for requirement in metadata.requires_dist]}
        state.add_fact("metadata", sha256, facts)
    requires: Sequence[str] = facts["requires_dist"]
    return requires


def published_build(adapters: Adapters, name: str, version: Version, number: int | None = None) -> Made | None:
    """What the channel has published of a version, under one number or the newest; None if it isn't there."""
    published = adapters.state.published(adapters.channel.name, canonicalize_name(name), str(version))
    wanted = max((wheel.number for wheel in published), default=0) if number is None else number
    for wheel in published:
        serves = accepted(WheelName.parse(wheel.wheel).tags, adapters.target.tags)
        if wheel.number == wanted and serves and intact_payload(adapters, wheel.payload):
            return made_from_payload(
                adapters,
                sha256=wheel.payload,
                key=wheel.key,
                recipe=wheel.recipe,
                attempt=wheel.attempt,
                target=wheel.target,
            )
    return None

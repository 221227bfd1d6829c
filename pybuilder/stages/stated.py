"""What a source says of itself, read from its archive, or from the wheel that is used in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli

from pybuilder.clock import new_attempt_id
from pybuilder.errors import BuildError
from pybuilder.files import disk_errors
from pybuilder.metadata import build_system, parse_metadata, static_requirements
from pybuilder.patching import apply
from pybuilder.sources.archive import extract, walk
from pybuilder.sources.limits import source_date_epoch
from pybuilder.sources.members import damage, zip_time
from pybuilder.stages import Adapters, Source
from pybuilder.wheel.read import open_archive, open_wheel
from pybuilder.work import work_directory

_PYPROJECT, _PKG_INFO = "pyproject.toml", "PKG-INFO"
# What is larger is read from disk.
_STATED_LIMIT = 8 << 20


def read_stated(adapters: Adapters, source: Source) -> dict[str, Any]:
    """The facts that ``inspect.VERSION`` stands for, once a source's patches are applied.

    Raises:
        FetchError: The archive can't be unpacked.
        ConfigError: A patch does not apply.
        BuildError: Its pyproject.toml can't be used, or the wheel is none.
    """
    now = int(adapters.now().timestamp())
    if source.spec.prebuilt:
        return _read_wheel(source.file, now=now)
    files, newest = _stated_files(adapters, source)
    return _read_project(files, source, newest, now=now)


@contextmanager
def laid_out(adapters: Adapters, source: Source) -> Iterator[tuple[Path, int]]:
    """The unpacked, patched source in a directory that goes away, and the newest time in its archive."""
    with work_directory(adapters.layout, new_attempt_id(adapters.now())) as work:
        with disk_errors(work):
            extracted = extract(source.file, work / "unpacked", now=int(adapters.now().timestamp()))
            apply(extracted.root, [patch.path for patch in source.patches], [patch.read() for patch in source.patches])
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

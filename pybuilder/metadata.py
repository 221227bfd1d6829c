"""What packages say of themselves: core metadata, pyproject.toml; read tolerantly, believed where it is honest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import tomli
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pybuilder.errors import BuildError

if TYPE_CHECKING:
    from packaging.metadata import RawMetadata

_LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
_LEGACY_REQUIREMENT = "setuptools>=40.8.0"
_STATIC_SINCE = Version("2.2")


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """Core metadata: a METADATA, a PKG-INFO, or the file beside a wheel on an index.

    Attributes:
        name: As it stands there; empty if missing.
        version: As it stands there; empty if missing.
        metadata_version: As it stands there; empty if missing.
        requires_dist: The requirements that parse.
        requires_python: The specifier as it stands there; empty for any Python.
        provides_extra: The extras, normalised.
        dynamic: The fields that a build may change (PEP 643), in lower case.
        licence: The licence expression, else a one-line License, else the licence classifiers.
        summary: One line, or nothing.
        project_urls: URLs by label; an old Home-page under ``Homepage``.
        unreadable: What was there and could not be understood, a sentence each.
    """

    name: str
    version: str
    metadata_version: str
    requires_dist: tuple[Requirement, ...]
    requires_python: str
    provides_extra: tuple[str, ...]
    dynamic: frozenset[str]
    licence: str
    summary: str
    project_urls: Mapping[str, str]
    unreadable: tuple[str, ...]

    @property
    def requirements_are_static(self) -> bool:
        """Whether every build of this source must come to the same requirements (PEP 643)."""
        try:
            recent = Version(self.metadata_version) >= _STATIC_SINCE
        except InvalidVersion:
            return False
        return recent and "requires-dist" not in self.dynamic and not self.unreadable


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildSystem:
    """Who builds a source, and what that takes (PEP 517, 518).

    Attributes:
        requires: The static build requirements.
        backend: The object with the hooks, ``module`` or ``module:object``.
        backend_path: Directories of the source that are put on the path for it.
    """

    requires: tuple[Requirement, ...]
    backend: str
    backend_path: tuple[str, ...]


# That of each package is read half a dozen times in a row.
@lru_cache(maxsize=64)
def parse_metadata(data: bytes) -> Metadata:
    """Read core metadata of any version, and report instead of failing: a fifth of real files are not valid."""
    from packaging.metadata import parse_email

    raw, unparsed = parse_email(data)
    unreadable = [f"the field {field!r} is not understood: {value!r}" for field, value in sorted(unparsed.items())]
    return Metadata(
        name=raw.get("name", "").strip(),
        version=raw.get("version", "").strip(),
        metadata_version=raw.get("metadata_version", "").strip(),
        requires_dist=_requirements(raw.get("requires_dist", []), unreadable, "Requires-Dist"),
        requires_python=raw.get("requires_python", "").strip(),
        provides_extra=tuple(canonicalize_name(extra) for extra in raw.get("provides_extra", [])),
        dynamic=frozenset(field.strip().lower() for field in raw.get("dynamic", [])),
        licence=_licence(raw),
        summary=raw.get("summary", "").strip(),
        project_urls=_project_urls(raw),
        unreadable=tuple(unreadable),
    )


def _project_urls(raw: RawMetadata) -> Mapping[str, str]:
    home = raw.get("home_page", "").strip()
    return {**({"Homepage": home} if home else {}), **raw.get("project_urls", {})}


def static_requirements(pkg_info: bytes | None, pyproject: Mapping[str, Any] | None) -> tuple[Requirement, ...] | None:
    """The install requirements of a source, where they can be known without running its backend.

    Args:
        pkg_info: The PKG-INFO of an sdist.
        pyproject: The parsed pyproject.toml, after patches.

    Returns:
        The requirements, those of extras with their ``extra`` marker; None where only the backend knows.
    """
    # pyproject.toml first: PKG-INFO was written before our patches.
    project = (pyproject or {}).get("project")
    if isinstance(project, Mapping):
        return _project_requirements(project)
    if pkg_info is None:
        return None
    metadata = parse_metadata(pkg_info)
    return metadata.requires_dist if metadata.requirements_are_static else None


def build_system(pyproject_text: str | None) -> BuildSystem:
    """Who builds a source, by its pyproject.toml; the defaults of PEP 517 and 518 where it says nothing.

    Args:
        pyproject_text: The text of the file, or None where there is no such file.

    Raises:
        BuildError: The file, or its ``[build-system]``, is wrong.
    """
    table = parse_pyproject(pyproject_text or "").get("build-system")
    if table is None:
        return BuildSystem(requires=(Requirement(_LEGACY_REQUIREMENT),), backend=_LEGACY_BACKEND, backend_path=())
    if not isinstance(table, Mapping):
        raise _wrong("[build-system]", "it is no table")
    if "requires" not in table:
        raise _wrong("[build-system].requires", "it is missing (PEP 518)")
    unreadable: list[str] = []
    requires = _requirements(_strings(table, "requires"), unreadable, "build requirement")
    if unreadable:
        raise _wrong("[build-system].requires", "; ".join(unreadable))
    backend = table.get("build-backend", _LEGACY_BACKEND)
    if not isinstance(backend, str) or not all(part.isidentifier() for part in backend.replace(":", ".", 1).split(".")):
        raise _wrong("[build-system].build-backend", f"{backend!r} names no object")
    if "build-backend" not in table and not any(canonicalize_name(item.name) == "setuptools" for item in requires):
        # The default backend is setuptools', and PEP 517 lets a file rely on it without saying so.
        requires = (*requires, Requirement(_LEGACY_REQUIREMENT))
    return BuildSystem(requires=requires, backend=backend, backend_path=_backend_path(table))


def parse_pyproject(text: str) -> dict[str, Any]:
    """The tables of a source's pyproject.toml.

    Raises:
        BuildError: It is no TOML.
    """
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise _wrong("", str(error)) from error


@lru_cache(maxsize=1024)
def supports_python(requires_python: str, python: str) -> bool | None:
    """Whether something is for a Python.

    Args:
        requires_python: Its Requires-Python; empty for any.
        python: The Python's full version.

    Returns:
        None where it says what is no specifier, as old releases do (``>=3.6.*``): nobody knows.
    """
    try:
        return SpecifierSet(requires_python).contains(python, prereleases=True)
    except InvalidSpecifier:
        return None


def _wrong(key: str, why: str) -> BuildError:
    cure = "patch the file (patches/<name>/), or report it upstream"
    return BuildError(f"the source's pyproject.toml is wrong: {why}", where=f"pyproject.toml {key}".rstrip(), cure=cure)


def _strings(table: Mapping[str, Any], key: str) -> list[str]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(f"[build-system].{key}", "it is no array of strings")
    return value


def _backend_path(table: Mapping[str, Any]) -> tuple[str, ...]:
    paths = tuple(_strings(table, "backend-path"))
    for path in paths:
        if path.startswith("/") or ".." in path.split("/"):
            raise _wrong("[build-system].backend-path", f"{path!r} leads out of the source (PEP 517)")
    return paths


def _requirements(lines: Iterable[str], unreadable: list[str], what: str) -> tuple[Requirement, ...]:
    found = []
    for line in lines:
        try:
            found.append(Requirement(line))
        except InvalidRequirement as error:
            unreadable.append(f"the {what} {line!r} does not parse: {str(error).splitlines()[0]}")
    return tuple(found)


def _project_requirements(project: Mapping[str, Any]) -> tuple[Requirement, ...] | None:
    """The requirements of a ``[project]`` table (PEP 621), or None where it leaves them open or has them wrong."""
    dynamic = project.get("dynamic", [])
    if not isinstance(dynamic, list) or {"dependencies", "optional-dependencies"} & set(map(str, dynamic)):
        return None
    plain, optional = project.get("dependencies", []), project.get("optional-dependencies", {})
    if not isinstance(plain, list) or not isinstance(optional, Mapping):
        return None
    unreadable: list[str] = []
    found = list(_requirements(map(str, plain), unreadable, "requirement"))
    for extra, lines in optional.items():
        if not isinstance(lines, list):
            return None
        found += [_of_extra(item, extra) for item in _requirements(map(str, lines), unreadable, "requirement")]
    return None if unreadable else tuple(found)


def _of_extra(requirement: Requirement, extra: str) -> Requirement:
    head, _, marker = str(requirement).partition(";")
    condition = f'extra == "{canonicalize_name(extra)}"'
    joined = f"({marker.strip()}) and {condition}" if marker else condition
    # A URL ends at a space (PEP 508).
    return Requirement(f"{head.rstrip()} ; {joined}")


def _licence(raw: RawMetadata) -> str:
    if expression := raw.get("license_expression", "").strip():
        return expression
    stated = raw.get("license", "").strip()
    if stated and "\n" not in stated and len(stated) < 80 and stated.upper() != "UNKNOWN":
        return stated
    classified = [line for line in raw.get("classifiers", []) if line.startswith("License ::")]
    return " AND ".join(line.rpartition("::")[2].strip() for line in classified)

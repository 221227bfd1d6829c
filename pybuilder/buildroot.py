"""The definition of a buildroot (DESIGN.md, "a buildroot"); the workspace reads the files and follows ``extends``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pybuilder.fields import Array, Environment, RelativePath, Rpm, Table, Url
from pybuilder.toml import Data, Document, merged, misnamed, parse, validated

HOST = """\
# Builds in a sandbox over this machine's own system, read-only, with the Python that runs pybuild.
# It needs nothing but bubblewrap; its records say "host".
name = "host"
engine = "host"
"""
"""The definition that ``pybuild init`` writes."""


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", text):
        raise ValueError(f"{text!r} is no buildroot's name; use lower-case letters, digits, '.' and '-'")
    return text


def _other_name(text: str) -> str:
    return _name(text) if text else text


def _python(text: str) -> str:
    if not re.fullmatch(r"3\.[0-9]{1,2}", text):
        raise ValueError(f"{text!r} is no Python; write it as '3.14'")
    return text


def _macro(text: str) -> str:
    if not re.fullmatch(r"%?[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError(f"{text!r} is no name of an RPM macro")
    return text


# dnf's own names. Its $basearch is another word than $arch for 32-bit systems alone, for which no wheels are built.
_VARIABLES = {"releasever": "release", "basearch": "arch", "arch": "arch"}
_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})")
_EXPANDED = ("metalink", "mirrorlist", "baseurl", "archive", "gpgkey")


def _known_variables(text: str) -> str:
    for plain, braced in _VARIABLE.findall(text):
        if (name := plain or braced) not in _VARIABLES:
            known = ", ".join(f"${each}" for each in _VARIABLES)
            raise ValueError(f"{text!r} has a variable ${name}; there are {known}")
    return text


_Variables = AfterValidator(_known_variables)
_Location = Annotated[Url, _Variables]


class Repository(Table):
    """A repository of RPMs, found by one of ``metalink``, ``mirrorlist`` and ``baseurl``.

    In a file, URLs and keys may have dnf's variables in them: ``$releasever``, ``$basearch`` and ``$arch``.
    """

    metalink: _Location | None = Field(default=None, description="URL of a metalink, which names mirrors and digests.")
    mirrorlist: _Location | None = Field(default=None, description="URL of a list of mirrors.")
    baseurl: _Location | None = Field(default=None, description="URL of the repository itself.")
    archive: Annotated[str, _Variables] = Field(
        default="", description="URL template tried last: {source} {version} {release} {key} {arch} {file}."
    )
    gpgkey: Array[Annotated[RelativePath, _Variables]] = Field(
        default=(), description="Files of keys, below buildroots/."
    )
    gpgcheck: bool = Field(default=True, description="Whether RPMs must be signed by one of the keys.")
    priority: int = Field(default=99, ge=1, le=99, description="The repository with the lowest number wins.")
    exclude: Array[Rpm] = Field(default=(), description="RPMs not taken from here; '*' stands for anything.")


class BuildrootKeys(Table):
    """The system that a build sees, as written in one file; what it leaves out may stand in the one it extends."""

    name: Annotated[str, AfterValidator(_name)] = Field(description="The file's name.")
    engine: Literal["podman", "host"] = Field(default="podman", description="What runs the builds.")
    distribution: str = Field(default="", description="The distribution, such as fedora.")
    release: str = Field(default="", description="Its release, such as 45.")
    arch: str = Field(default="", description="The architecture; the host engine's is this machine's.")
    pythons: Array[Annotated[str, AfterValidator(_python)]] = Field(
        default=(), description="Pythons in the order they are built for; the host engine's is the running one."
    )
    packages: Array[Rpm] = Field(default=(), description="RPMs in every build.")
    runtime: Array[Rpm] = Field(default=(), description="RPMs in every install test.")
    extends: Annotated[str, AfterValidator(_other_name)] = Field(default="", description="Another buildroot's name.")
    repositories: Mapping[str, Repository] = Field(default={}, description="Where RPMs come from.")
    env: Environment = Field(default={}, description="Environment variables of every build.")
    macros: Mapping[Annotated[str, AfterValidator(_macro)], str] = Field(default={}, description="RPM macros.")


class Buildroot(BuildrootKeys):
    """The system that a build sees, with everything its engine needs."""

    @model_validator(mode="after")
    def _suffices(self) -> Self:
        if self.engine == "host":
            return self
        needed = ("distribution", "release", "arch", "pythons", "packages", "repositories")
        missing = [key for key in needed if not getattr(self, key)]
        if missing:
            raise ValueError(f"a buildroot of engine 'podman' needs the keys {' and '.join(map(repr, missing))}")
        for name, repository in self.repositories.items():
            _check_repository(name, repository)
        return self


_LOCATIONS = ("metalink", "mirrorlist", "baseurl")


def _check_repository(name: str, repository: Repository) -> None:
    if len([key for key in _LOCATIONS if getattr(repository, key)]) != 1:
        raise ValueError(f"the repository {name!r} needs one of the keys 'metalink', 'mirrorlist' and 'baseurl'")
    if repository.gpgcheck and not repository.gpgkey:
        raise ValueError(f"the repository {name!r} needs the key 'gpgkey', or 'gpgcheck = false'")


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What one file, and those it extends, say.

    Attributes:
        data: The keys, merged with those of the definitions it extends.
        extends: The buildroot that it still waits for, or empty.
        document: The file, for messages that name its lines.
    """

    data: Data
    extends: str
    document: Document


def parse_buildroot(text: str, file: str) -> Definition:
    """Read one buildroot's file.

    Args:
        text: The file's text.
        file: Its path below the workspace, for messages and to compare its name with the buildroot's.

    Raises:
        ConfigError: Lists everything that is wrong with it, taken alone.
    """
    document = parse(text, file)
    found = misnamed(document)
    keys = validated(document, BuildrootKeys, found=found)
    if found:
        raise document.error(found)
    return Definition(data=document.data, extends=keys.extends, document=document)


def extend(child: Definition, parent: Definition) -> Definition:
    """The child's keys over the parent's: key by key; arrays and scalars replace.

    A repository that the child finds in another way (``baseurl`` for ``metalink``, say) is found in that way alone.
    """
    below = {key: value for key, value in parent.data.items() if key not in ("name", "extends")}
    own = child.data.get("repositories", {})
    repositories = {
        name: {key: value for key, value in repository.items() if key not in _LOCATIONS}
        if any(key in own.get(name, {}) for key in _LOCATIONS)
        else repository
        for name, repository in below.get("repositories", {}).items()
    }
    if repositories:
        below["repositories"] = repositories
    return Definition(data=merged(below, child.data), extends=parent.extends, document=child.document)


def complete(definition: Definition, *, python: str, arch: str) -> Buildroot:
    """The buildroot that a definition, extended as far as it goes, describes; variables have their values.

    Args:
        definition: What the files say.
        python: The running Python, ``3.11``, which a host buildroot has where it names none.
        arch: The machine's architecture, likewise.

    Raises:
        ConfigError: Something that its engine needs is missing.
    """
    defaults = {"pythons": [python], "arch": arch} if definition.data.get("engine") == "host" else {}
    data = {**defaults, **definition.data}
    repositories = {
        name: {key: _expanded(value, data) if key in _EXPANDED else value for key, value in repository.items()}
        for name, repository in data.get("repositories", {}).items()
    }
    return validated(definition.document, Buildroot, data={**data, "repositories": repositories})


def _expanded(value: Any, data: Data) -> Any:
    """A text, or each text of an array, with the values of variables; a release or arch that is missing is empty."""
    if isinstance(value, list):
        return [_expanded(each, data) for each in value]
    return _VARIABLE.sub(lambda match: str(data.get(_VARIABLES[match[1] or match[2]], "")), value)

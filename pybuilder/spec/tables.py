"""The tables of a spec, each with the rules of its own keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import cache
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from packaging.specifiers import SpecifierSet
from packaging.version import Version
from pydantic import AfterValidator, Field, PlainValidator, model_validator

from pybuilder.fields import (
    Array,
    Command,
    Duration,
    Environment,
    Module,
    PackageName,
    Pattern,
    Reason,
    RelativePath,
    Requires,
    Rpm,
    Size,
    Specifiers,
    Table,
    expand,
    is_hex,
    relative_path,
    sha256,
    specifiers,
    template,
    url,
)
from pybuilder.filenames import wheel_version
from pybuilder.toml import describe


def _source_url(text: str) -> str:
    if text:
        url(expand(template(text), name="name", version="1"), ("https", "http", "file", "ssh", "git"))
    return text


def _ref(text: str) -> str:
    if re.search(r"^-|[\s\x00-\x1f\x7f~^:?*\[\\]|\.\.", text):
        raise ValueError(f"{text!r} is no name of a tag")
    return template(text)


def _commit(text: str) -> str:
    if text and not is_hex(text, 40, 64):
        raise ValueError(f"{text!r} is no commit; write all 40 (or 64) lower-case hexadecimal digits")
    return text


def _sha256(text: str) -> str:
    return sha256(text) if text else text


def _positive(limit: timedelta) -> timedelta:
    if not limit:
        raise ValueError("a build needs some time; write for example '30m'")
    return limit


def _below(text: str) -> str:
    return relative_path(template(text)) if text else text


def _file_name(text: str) -> str:
    if text and (PurePosixPath(relative_path(text)).name != text or text.startswith(".")):
        raise ValueError(f"{text!r} must be a file's name alone")
    return text


def _series(text: str) -> str:
    if not text.endswith(".*"):
        raise ValueError(f"{text!r} is no series; write it as '5.3.*'")
    specifiers(f"=={text}")
    return text


def _ignored(value: Any) -> SpecifierSet:
    if not isinstance(value, str):
        raise ValueError(f"expected a version or a range, found {describe(value)}")
    return specifiers(f"=={value}" if value[:1].isdigit() else value)


@cache
def substitution(text: str) -> tuple[re.Pattern[str], str]:
    """The pattern and the replacement of ``s/PATTERN/REPLACEMENT/``, in which ``\\/`` is a slash.

    Raises:
        ValueError: It is no substitution.
    """
    match = re.fullmatch(r"s/((?:[^/\\]|\\.)+)/((?:[^/\\]|\\.)*)/", text)
    if not match:
        raise ValueError(f"{text!r} is no substitution; write it as 's/PATTERN/REPLACEMENT/'")
    replacement = match[2].replace(r"\/", "/")
    try:
        pattern = re.compile(match[1])
        pattern.sub(replacement, "")
    except (re.error, IndexError, RecursionError, OverflowError) as error:
        raise ValueError(f"{text!r} has no regular expression in it: {error}") from error
    return pattern, replacement


def _substitution(text: str) -> str:
    if text:
        substitution(text)
    return text


def _config_setting(value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError(f"expected a string or an array of strings, found {describe(value)}")


def _python_range(text: str) -> str:
    if text[:1] in "<>=!~":
        specifiers(text)
    elif not re.fullmatch(r"[0-9.*?]+", text):
        raise ValueError(f"{text!r} is no Python; write it as '3.11', '3.*' or '>=3.12'")
    return text


Digest = Annotated[str, AfterValidator(_sha256)]
Commit = Annotated[str, AfterValidator(_commit)]


class SourceKeys(Table):
    """The archive that a build starts from; texts know {name} and {version}."""

    type: Literal["sdist", "git", "url", "path"] = Field(default="sdist", description="Where the source comes from.")
    url: Annotated[str, AfterValidator(_source_url)] = Field(
        default="", description="The git repository or the archive."
    )
    tag: Annotated[str, AfterValidator(_ref)] = Field(default="", description="The git tag of a version.")
    commit: Commit = Field(default="", description="The git commit, in full.")
    submodules: bool = Field(default=False, description="Whether git submodules belong to the source.")
    path: Annotated[str, AfterValidator(_below)] = Field(default="", description="A directory of the workspace.")
    subdirectory: Annotated[str, AfterValidator(_below)] = Field(
        default="", description="The directory of the source in which the package is."
    )


SOURCE_KEYS = {
    "sdist": frozenset({"type", "subdirectory"}),
    "git": frozenset({"type", "subdirectory", "url", "tag", "commit", "submodules"}),
    "url": frozenset({"type", "subdirectory", "url"}),
    "path": frozenset({"type", "subdirectory", "path"}),
}


class Source(SourceKeys):
    """The archive that a build starts from, all of whose keys agree."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        stray = sorted(key for key in self.model_fields_set - SOURCE_KEYS[self.type] if getattr(self, key))
        if stray:
            raise ValueError(f"{' and '.join(stray)} mean nothing for a source of type {self.type!r}")
        if self.type in ("git", "url") and not self.url:
            raise ValueError(f"a source of type {self.type!r} needs the key 'url'")
        if self.type == "url" and self.url.startswith(("ssh:", "git:")):
            raise ValueError(f"{self.url!r} is for type 'git'; an archive is fetched from https, http or file")
        if self.type == "git" and bool(self.tag) == bool(self.commit):
            raise ValueError("a source of type 'git' needs one of the keys 'tag' and 'commit'")
        if self.type == "path" and not self.path:
            raise ValueError("a source of type 'path' needs the key 'path'")
        return self


class PatchEntry(Table):
    """One patch, and the versions it is for."""

    file: RelativePath = Field(description="The file below patches/<name>/.")
    versions: Specifiers = Field(
        default="", validate_default=True, description="The versions it is applied to (PEP 440)."
    )


class System(Table):
    """Fedora RPMs, by name or by anything they provide."""

    build: Array[Rpm] = Field(default=(), description="RPMs that the build needs.")
    runtime: Array[Rpm] = Field(default=(), description="RPMs that the wheel needs where it is installed.")


class Limits(Table):
    """What one build may use."""

    cpus: int = Field(default=0, ge=0, description="Processors; 0 is as many as are free when it starts.")
    memory: Size = Field(default="4G", validate_default=True, description="Memory, such as 4G.")
    timeout: Annotated[Duration, AfterValidator(_positive)] = Field(
        default="30m", validate_default=True, description="Time, such as 30m."
    )
    exclusive: bool = Field(default=False, description="Whether nothing else is built meanwhile.")


class Build(Table):
    """How the backend is called, and with what."""

    add_requires: Array[Requires] = Field(default=(), description="Build requirements that upstream forgot (PEP 508).")
    remove_requires: Array[PackageName] = Field(default=(), description="Build requirements that RPMs stand in for.")
    env: Environment = Field(default={}, description="Environment variables of the build.")
    config_settings: Mapping[
        str, Annotated[str | tuple[str, ...], PlainValidator(_config_setting, json_schema_input_type=str | list[str])]
    ] = Field(default={}, description="Settings for the backend (PEP 517).")
    vendor: Literal["", "cargo"] = Field(
        default="", description="What is fetched, pinned, before the network goes off."
    )
    limits: Limits = Field(default_factory=Limits, description="What one build may use.")


class Metadata(Table):
    """Corrections of what upstream states wrongly."""

    requires_dist: Array[Requires] = Field(default=(), description="Requirements in place of upstream's (PEP 508).")


class Test(Table):
    """What is tried in a clean installation of the wheel."""

    imports: Array[Module] = Field(default=(), description="Modules to import, in place of the wheel's top-level ones.")
    commands: Array[Command] = Field(default=(), description="Shell commands that must succeed.")


class UpdateKeys(Table):
    """How new upstream versions are found, in this order: select, strip, transform, parse, allow, cooldown."""

    source: Literal["pypi", "git", "github", "gitlab", "anitya", "url"] = Field(
        default="pypi", description="Who knows the versions."
    )
    id: str = Field(default="", description="The project's name, number or URL there.")
    tag_prefix: str = Field(default="", description="Only tags that begin so, which is cut off.")
    strip_prefix: str = Field(default="", description="Cut off at the beginning.")
    strip_suffix: str = Field(default="", description="Cut off at the end.")
    include: Pattern = Field(default="", description="Only what this regular expression finds.")
    exclude: Pattern = Field(default="", description="Nothing that this regular expression finds.")
    transform: Annotated[str, AfterValidator(_substitution)] = Field(default="", description="s/PATTERN/REPLACEMENT/.")
    allow: Specifiers = Field(default="", validate_default=True, description="The versions allowed (PEP 440).")
    series: Array[Annotated[str, AfterValidator(_series)]] = Field(
        default=(), description="Series kept alive, as 5.3.*."
    )
    ignore: Array[Annotated[SpecifierSet, PlainValidator(_ignored, json_schema_input_type=str)]] = Field(
        default=(), description="Versions never taken."
    )
    prereleases: bool = Field(default=False, description="Whether prereleases count.")
    cooldown: Duration | None = Field(default=None, description="How old a version must be; default: the workspace's.")
    mode: Literal["auto", "review", "off"] = Field(default="auto", description="Who decides on a new version.")
    reason: str = Field(default="", description="Why updates are off.")
    rebuild_dependents: bool = Field(default=False, description="Whether a new version rebuilds what needs it.")


class Update(UpdateKeys):
    """How new upstream versions are found, all of whose keys agree."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.mode == "off" and not self.reason.strip():
            raise ValueError("mode 'off' needs the key 'reason': say why nobody should update this")
        return self


class Prebuilt(Table):
    """The exception: upstream's wheel is used, and every later record shows the taint."""

    reason: Reason = Field(description="Why it can't be built from source.")


class When(Table):
    """What an override is for; every key given must match."""

    versions: Specifiers | None = Field(default=None, description="Versions of the package (PEP 440).")
    buildroot: str | None = Field(
        default=None, min_length=1, description="A buildroot's name or a pattern such as fedora-*."
    )
    python: Annotated[str, AfterValidator(_python_range)] | None = Field(
        None, min_length=1, description="A Python such as 3.11, a pattern such as 3.*, or a range such as >=3.12."
    )
    variant: str | None = Field(default=None, min_length=1, description="The variant's name.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("needs one of the keys 'versions', 'buildroot', 'python' and 'variant'")
        return self

    def matches(self, *, version: Version, buildroot: str, python: str, variant: str) -> bool:
        """Whether the override is for this version and target; prereleases count."""
        return (
            (self.versions is None or self.versions.contains(version, prereleases=True))
            and (self.buildroot is None or fnmatchcase(buildroot, self.buildroot))
            and (self.python is None or _is_python(python, self.python))
            and (self.variant is None or variant == self.variant)
        )


def _is_python(python: str, wanted: str) -> bool:
    if wanted[0] in "<>=!~":
        return specifiers(wanted).contains(python, prereleases=True)
    return fnmatchcase(python, wanted)


class Override(Table):
    """The same tables again, for some versions, buildroots, Pythons or variants."""

    when: When = Field(description="What this override is for.")
    source: SourceKeys | None = Field(default=None, description="The archive that a build starts from.")
    patches: Array[PatchEntry] | None = Field(default=None, description="Patches, in place of the others.")
    system: System | None = Field(default=None, description="Fedora RPMs.")
    build: Build | None = Field(default=None, description="How the backend is called, and with what.")
    metadata: Metadata | None = Field(default=None, description="Corrections of what upstream states wrongly.")
    test: Test | None = Field(default=None, description="What is tried in a clean installation of the wheel.")
    update: UpdateKeys | None = Field(default=None, description="How new upstream versions are found.")
    prebuilt: Prebuilt | None = Field(default=None, description="Use upstream's wheel.")


class Pin(Table):
    """The source of one version, by digest."""

    file: Annotated[str, AfterValidator(_file_name)] = Field(default="", description="The archive's name.")
    sha256: Digest = Field(default="", description="The archive's sha256.")
    commit: Commit = Field(default="", description="The git commit.")
    vendor: Digest = Field(default="", description="The sha256 of what was vendored.")
    url: str = Field(default="", description="Where the archive was found, if not on the index.")

    @property
    def is_wheel(self) -> bool:
        """Whether it pins upstream's wheel, and not a source."""
        return self.file.endswith(".whl")

    @model_validator(mode="after")
    def _pins(self) -> Self:
        if not self.sha256 and not self.commit:
            raise ValueError("a pin needs the key 'sha256' (of a file) or 'commit' (of a git source)")
        if self.sha256 and not self.file:
            raise ValueError("a pin with a 'sha256' needs the key 'file'")
        if self.is_wheel and wheel_version(self.file) is None:
            raise ValueError(f"{self.file!r} is no wheel's file name")
        return self

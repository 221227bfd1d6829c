"""A spec: how one package is built (DESIGN.md, "a spec"). Words only; the workspace reads the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

from packaging.version import InvalidVersion, Version
from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError

from pybuilder.fields import Array, OwnName, Table, VersionKey, left_out
from pybuilder.spec.tables import (
    SOURCE_KEYS,
    Build,
    Limits,
    Metadata,
    Override,
    PatchEntry,
    Pin,
    Prebuilt,
    Source,
    System,
    Test,
    Update,
)
from pybuilder.toml import Data, Document, Problem, merged, misnamed, parse, problems, validated
from pybuilder.toml_places import KeyPath

__all__ = [
    "Build",
    "EffectiveSpec",
    "Limits",
    "Metadata",
    "Override",
    "PatchEntry",
    "Pin",
    "Prebuilt",
    "Source",
    "Spec",
    "System",
    "Test",
    "Update",
    "parse_spec",
    "schema",
]

# Specs that are kept, since a pass over a workspace goes through all of them several times.
_KEPT = 4096


def _distinct(versions: Any) -> Any:
    """Refuse two spellings of one version, of which a mapping would silently keep the last."""
    seen: dict[Version, str] = {}
    for text in versions if isinstance(versions, dict) else ():
        try:
            other = seen.setdefault(Version(text), text)
        except InvalidVersion:
            continue  # reported where the key itself is read
        if other != text:
            raise ValueError(f"{other!r} and {text!r} are the same version; keep one")
    return versions


class EffectiveSpec(Table):
    """What a spec says for one version and one target: the overrides have been merged."""

    name: OwnName = Field(description="The normalised package name; the file's name is the same.")
    source: Source = Field(default_factory=left_out(Source), description="The archive that a build starts from.")
    patches: Array[PatchEntry] | None = Field(
        default=None, description="Patches in order; default: every patches/<name>/*.patch in order of name."
    )
    system: System = Field(default_factory=left_out(System), description="Fedora RPMs.")
    build: Build = Field(default_factory=left_out(Build), description="How the backend is called, and with what.")
    metadata: Metadata = Field(
        default_factory=left_out(Metadata), description="Corrections of what upstream states wrongly."
    )
    test: Test = Field(
        default_factory=left_out(Test), description="What is tried in a clean installation of the wheel."
    )
    update: Update = Field(default_factory=Update, description="How new upstream versions are found.")
    prebuilt: Prebuilt | None = Field(default=None, description="Use upstream's wheel.")


class Spec(EffectiveSpec):
    """How one package is built, as written."""

    override: Array[Override] = Field(
        default=(), description="The same tables for some versions or targets; the last wins."
    )
    versions: Annotated[Mapping[VersionKey, Pin], BeforeValidator(_distinct)] = Field(
        default={}, description="Pins, written by pybuild."
    )
    _document: Document = PrivateAttr()

    @property
    def document(self) -> Document:
        """The file that says so, for messages that name its lines."""
        return self._document

    def pin(self, version: Version) -> Pin | None:
        """The pin of a version, however it is spelled."""
        return self.versions.get(version)

    @property
    def knows_prebuilt(self) -> bool:
        """Whether upstream's wheel is used for any version or target."""
        return self.prebuilt is not None or any(override.prebuilt for override in self.override)

    @property
    def asks_index(self) -> bool:
        """Whether the upstream index knows versions of it: sdists, or wheels that are used in their place."""
        return self.source.type == "sdist" or self.knows_prebuilt

    @property
    def index_pins(self) -> Mapping[Version, Pin]:
        """The pins of files that are on the upstream index, or were; a file from elsewhere may have the same name."""
        kinds = [(each.when.versions, each.source.type) for each in self.override if each.source]

        def is_sdist(version: Version) -> bool:
            own = (kind for of, kind in kinds if of is None or of.contains(version, prereleases=True))
            return {self.source.type, *own} == {"sdist"}

        files = {version: pin for version, pin in self.versions.items() if pin.file and not pin.url}
        return {version: pin for version, pin in files.items() if pin.is_wheel or is_sdist(version)}

    def is_prebuilt(self, *, version: Version, buildroot: str, python: str, variant: str = "") -> bool:
        """Whether ``effective`` would say that upstream's wheel is used; the arguments are the same."""
        target = {"buildroot": buildroot, "python": python, "variant": variant}
        return self.prebuilt is not None or any(
            override.prebuilt and override.when.matches(version=version, **target) for override in self.override
        )

    def update_of(self, *, version: Version, buildroot: str, python: str, variant: str = "") -> Update:
        """The ``[update]`` of ``effective``, with its errors; at once where no override says anything of it."""
        if all(override.update is None for override in self.override):
            return self.update
        return self.effective(version=version, buildroot=buildroot, python=python, variant=variant).update

    def effective(self, *, version: Version, buildroot: str, python: str, variant: str = "") -> EffectiveSpec:
        """What this spec says for one version and target.

        Args:
            version: Upstream's version.
            buildroot: The buildroot's name.
            python: The Python's version, ``3.11``.
            variant: The variant, or empty.

        Raises:
            ConfigError: The overrides that match contradict each other.
        """
        target = {"buildroot": buildroot, "python": python, "variant": variant}
        chosen = [i for i, o in enumerate(self.override) if o.when.matches(version=version, **target)]
        if not chosen:
            # All of it has been read already.
            stated = {key: getattr(self, key) for key in EffectiveSpec.model_fields}
            return EffectiveSpec.model_construct(self.model_fields_set & stated.keys(), **stated)
        result = _overridden(self._document, chosen)
        if isinstance(result, list):
            raise self._document.error(result)
        return result


@lru_cache(maxsize=_KEPT)
def parse_spec(text: str, file: str) -> Spec:
    """Read a spec; a text that was read lately is not read again.

    Args:
        text: The file's text.
        file: Its path below the workspace, for messages and to compare its name with the spec's.

    Raises:
        ConfigError: Lists everything that is wrong with it.
    """
    document = parse(text, file)
    found = misnamed(document)
    spec = validated(document, Spec, found=found)
    spec._document = document
    for index in range(len(spec.override)):
        found += _override_problems(document, index)
    if found:
        raise document.error(found)
    return spec


def _override_problems(document: Document, index: int) -> list[Problem]:
    """What is wrong once an override is merged; it may rest on the overrides before it, or on none of them."""
    alone = _overridden(document, [index])
    if isinstance(alone, list) and isinstance(_overridden(document, range(index + 1)), list):
        return alone
    return []


def _overridden(document: Document, chosen: Sequence[int]) -> EffectiveSpec | list[Problem]:
    data: Data = {key: value for key, value in document.data.items() if key not in ("override", "versions")}
    origin: dict[str, KeyPath] = {}
    for index in chosen:
        override = {key: value for key, value in document.data["override"][index].items() if key != "when"}
        data = merged(_without_stale_source(data, override), override)
        origin |= dict.fromkeys(override, ("override", index))
    try:
        return EffectiveSpec.model_validate(data)
    except ValidationError as error:
        return [
            Problem(path=origin.get(str(problem.path[0]), ()) + problem.path, text=problem.text)
            for problem in problems(error, EffectiveSpec)
        ]


def _without_stale_source(data: Data, override: Data) -> Data:
    """An override that changes the source's type takes away the keys that mean nothing for the new one."""
    kind = override.get("source", {}).get("type")
    if kind is None or "source" not in data:
        return data
    kept = {key: value for key, value in data["source"].items() if key in SOURCE_KEYS[kind]}
    return {**data, "source": kept}


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a spec, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Spec.model_json_schema(by_alias=True),
        "title": "A pybuild spec",
    }

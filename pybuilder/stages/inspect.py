"""What sources and payloads say of themselves, read once and remembered by digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder import events
from pybuilder.errors import BuildError
from pybuilder.plan import Plan, digest
from pybuilder.stages import Adapters, Made, Project, Source
from pybuilder.stages.intact import intact_payload, published_wheels
from pybuilder.state import State
from pybuilder.timing import timed
from pybuilder.wheel.filename import WheelName
from pybuilder.wheel.tags import accepted

# Part of the digests under which facts are remembered: raise it when other facts are read.
VERSION = 1

# Packages name the same requirements again and again, and nobody changes one.
_requirement = lru_cache(maxsize=4096)(Requirement)


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
        # Imported here, since a source is read once.
        from pybuilder.stages.stated import read_stated

        adapters.listen(events.Started(name=source.name, version=str(source.version), phase="inspect"))
        with timed(adapters.listen, name=source.name, version=source.version, phase="inspect"):
            known = read_stated(adapters, source)
        adapters.state.add_fact("project", key, known)
    return _project(known)


def _project(facts: Mapping[str, Any]) -> Project:
    requires_dist = facts["requires_dist"]
    return Project(
        source_date_epoch=facts["source_date_epoch"],
        requires=tuple(map(_requirement, facts["requires"])),
        backend=facts["backend"],
        backend_path=tuple(facts["backend_path"]),
        requires_dist=None if requires_dist is None else tuple(map(_requirement, requires_dist)),
        requires_python=facts["requires_python"],
    )


def made_from_payload(
    adapters: Adapters, path: Path, *, sha256: str, key: str, recipe: str, attempt: str, target: str
) -> Made:
    """A payload of the store, with what its METADATA says.

    Raises:
        BuildError: It is damaged.
    """
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
        requires_dist=tuple(map(_requirement, requires)),
    )


def payload_requires(state: State, sha256: str, path: Path) -> Sequence[str]:
    """What a payload requires where it is installed, as its METADATA says.

    Raises:
        BuildError: It is damaged.
    """
    facts = state.fact("metadata", sha256)
    if facts is None:
        # Imported here, since a payload is read once.
        from pybuilder.metadata import parse_metadata
        from pybuilder.wheel.read import open_wheel

        metadata = parse_metadata(open_wheel(path).metadata)
        if metadata.unreadable:
            raise BuildError(f"METADATA has a line that can't be read: {metadata.unreadable[0]}", where=str(path))
        facts = {"requires_dist": [str(requirement) for requirement in metadata.requires_dist]}
        state.add_fact("metadata", sha256, facts)
    requires: Sequence[str] = facts["requires_dist"]
    return requires


def published_build(adapters: Adapters, name: str, version: Version, number: int | None = None) -> Made | None:
    """What the channel has published of a version, under one number or the newest; None if it isn't there."""
    published = published_wheels(adapters, canonicalize_name(name), version)
    wanted = max((wheel.number for wheel in published), default=0) if number is None else number
    for wheel in published:
        serves = accepted(WheelName.parse(wheel.wheel).tags, adapters.target.tags)
        if wheel.number == wanted and serves and (path := intact_payload(adapters, wheel.payload)):
            return made_from_payload(
                adapters,
                path,
                sha256=wheel.payload,
                key=wheel.key,
                recipe=wheel.recipe,
                attempt=wheel.attempt,
                target=wheel.target,
            )
    return None


def known_build(adapters: Adapters, plan: Plan) -> Made | None:
    """The payload that was made of a plan's very inputs, if there is one and it is whole."""
    attempt = adapters.state.succeeded(plan.key())
    if attempt is None or attempt.payload is None or not (path := intact_payload(adapters, attempt.payload)):
        return None
    return made_from_payload(
        adapters,
        path,
        sha256=attempt.payload,
        key=attempt.key,
        recipe=attempt.recipe,
        attempt=attempt.id,
        target=attempt.target,
    )

"""What a build is made from, by digest: the recipe, the plan, and the plan's digest, the *key* (DESIGN.md, "the key").

A plan is a value: it can be printed, hashed, compared and tested with no sandbox in sight.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

# Raise it when the meaning of a field below changes: every key changes with it.
FORMAT_VERSION = 1
UMASK = 0o022

# Of roots made of RPMs: raise it when the same RPMs would make another tree.
ROOT_FORMAT = 1

# Where builds find things, whatever engine runs them: compilers write paths into what they make.
ENVIRONMENT_PATH = "/env"
BUILD_PATH = "/build"


def canonical_json(value: Any) -> bytes:
    """One byte string for one value: keys sorted, no spaces, UTF-8 (RFC 8785, for strings and integers)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> str:
    """The sha256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def rpm_root_digest(rpms: Iterable[tuple[str, str]], macros: Mapping[str, str]) -> str:
    """The address of the root that consists of these RPMs, whichever way it is made.

    Args:
        rpms: Name with EVRA, as rpm prints it, and sha256 of each; in any order.
        macros: The buildroot's ``[macros]``.
    """
    return digest([ROOT_FORMAT, sorted(macros.items()), sorted(set(rpms))])


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What a person decides about one version of a package.

    Attributes:
        name: Normalised name.
        version: Upstream's version, normalised (PEP 440).
        source: sha256 of the source archive.
        subdirectory: Where in the source the project lies.
        patches: sha256 of each patch, in the order they are applied.
        add_requires: PEP 508, added to the build requirements.
        remove_requires: Names taken out of them.
        env: Environment of the build, over the buildroot's.
        config_settings: PEP 517 config settings.
        vendor: Digest of vendored crates, or empty.
        root_env: The buildroot's ``[env]``.
        root_macros: The buildroot's ``[macros]``.
    """

    name: str
    version: str
    source: str
    subdirectory: str
    patches: tuple[str, ...]
    add_requires: tuple[str, ...]
    remove_requires: tuple[str, ...]
    env: Mapping[str, str]
    config_settings: Mapping[str, Any]
    vendor: str
    root_env: Mapping[str, str]
    root_macros: Mapping[str, str]

    def digest(self) -> str:
        """The sha256 that says whether a published payload's recipe is still the current one."""
        return digest(dataclasses.asdict(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class Root:
    """What lies under a build: RPMs with their digests, or the host's own system.

    Attributes:
        kind: ``host`` or ``rpm``.
        digest: sha256 over everything that is part of it.
        contents: What the digest is over, for people to read and compare.
    """

    kind: str
    digest: str
    contents: Mapping[str, Any]

    def stated_digest(self, macros: Mapping[str, str]) -> str:
        """The digest that its contents have, which ``digest`` must be.

        Args:
            macros: The buildroot's ``[macros]``.

        Raises:
            KeyError, TypeError: The contents are not those of a root.
        """
        if self.kind == "host":
            return digest(self.contents)
        rpms = ((f"{rpm['name']}-{rpm['evra']}", rpm["sha256"]) for rpm in self.contents["rpms"])
        return rpm_root_digest(rpms, macros)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One Python on one architecture.

    Attributes:
        name: ``cp311-linux_x86_64``.
        python: ``3.11``.
        full_version: ``3.11.7``.
        tags: Every tag the interpreter accepts, best first, digested in the key.
        markers: The environment markers of the target (PEP 508).
    """

    name: str
    python: str
    full_version: str
    tags: tuple[str, ...]
    markers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Ingredient:
    """A payload in a build environment."""

    name: str
    version: str
    payload: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that can change a payload.

    Attributes:
        recipe: What a person decided.
        root: What lies under the build.
        target: For which Python.
        requires: The build requirements that were resolved, as strings, for people.
        environment: The payloads in the build environment, sorted.
        source_date_epoch: Seconds since 1970 that stand for the time in what is built.
        build_path: Where the source lies inside.
        environment_path: Where the build environment lies inside.
        sandbox_version: What a build can observe besides.
        canonicaliser_version: How a payload is made of what the backend wrote.
    """

    recipe: Recipe
    root: Root
    target: Target
    requires: tuple[str, ...]
    environment: tuple[Ingredient, ...]
    source_date_epoch: int
    build_path: str
    environment_path: str
    sandbox_version: int
    canonicaliser_version: int

    def key(self) -> str:
        """The digest of the plan; equal keys mean that a payload can be taken over."""
        return self._key

    @cached_property
    def _key(self) -> str:
        # Asked half a dozen times for each build, of which the tags alone are forty kilobytes.
        return digest(
            {
                "format": FORMAT_VERSION,
                "recipe": dataclasses.asdict(self.recipe),
                "root": [self.root.kind, self.root.digest],
                "python": [self.target.name, self.target.full_version, digest(self.target.tags)],
                "environment": sorted(ingredient.payload for ingredient in self.environment),
                "source_date_epoch": self.source_date_epoch,
                "umask": UMASK,
                "paths": [self.build_path, self.environment_path],
                "sandbox": self.sandbox_version,
                "canonicaliser": self.canonicaliser_version,
            }
        )

    def as_json(self) -> dict[str, Any]:
        """The plan as the record keeps it, its key included."""
        return {"key": self.key(), "format": FORMAT_VERSION, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Plan:
        """The plan that ``as_json`` wrote; whether its key is the written one is for the caller to compare.

        Raises:
            KeyError, TypeError: It is no plan of this format.
        """
        facts = {field.name: value[field.name] for field in dataclasses.fields(cls)}
        facts |= {"recipe": Recipe(**facts["recipe"]), "root": Root(**facts["root"])}
        facts |= {"target": Target(**facts["target"])}
        facts |= {"environment": tuple(Ingredient(**each) for each in facts["environment"])}
        return cls(**facts)

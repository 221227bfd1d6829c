"""Telling a backend its version where it would ask git: no source that is built has a ``.git`` in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version


def scm_env(name: NormalizedName, version: Version) -> dict[str, str]:
    """Environment variables that tell the version to all tools that take it from there.

    setuptools-scm (9 and 10) and vcs-versioning prefer the variable with the name in it. hatch-vcs calls
    setuptools-scm without a name, so the one without is needed too; only this package is built where they are set.
    versioningit takes no version from the environment: see ``tell_versioningit``.
    """
    text, suffix = str(version), canonicalize_name(name).replace("-", "_").upper()
    tools = ("SETUPTOOLS_SCM", "VCS_VERSIONING")
    general = {f"{tool}_PRETEND_VERSION": text for tool in tools}
    named = {f"{tool}_PRETEND_VERSION_FOR_{suffix}": text for tool in tools}
    return general | named | {"PDM_BUILD_SCM_VERSION": text}


def tell_versioningit(directory: Path, name: NormalizedName, version: Version, requires: Iterable[Requirement]) -> bool:
    """Write a PKG-INFO for versioningit, which knows no other way to be told a version (3.3, ``core.py``).

    Only where a build requires it, since other backends take a PKG-INFO for the sign of an sdist and believe all of it.

    Args:
        directory: Where pyproject.toml is.
        name: The package's name.
        version: Its version.
        requires: Its build requirements.

    Returns:
        Whether it was written.
    """
    file = directory / "PKG-INFO"
    if file.exists() or not any(canonicalize_name(item.name) == "versioningit" for item in requires):
        return False
    file.write_text(f"Metadata-Version: 1.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    file.chmod(0o644)
    return True

"""The modules in a source archive, as most backends would install them."""

from __future__ import annotations

from pathlib import Path

from pybuilder.sources.kept import members
from pybuilder.sources.limits import Limits
from pybuilder.sources.members import damage

_LARGEST = 4 << 20  # bytes that an archive may take, to be looked into for nothing but speed
# Directories that few backends install, or nobody imports to build something.
_NOT_INSTALLED = {"test", "tests", "docs", "examples", "benchmarks"}


def installed_modules(archive: Path) -> dict[str, bytes]:
    """The contents of modules by their most likely path below site-packages; none of an archive that is large.

    Raises:
        FetchError: It is damaged, or asks for something that no source should.
    """
    found: dict[tuple[str, ...], bytes] = {}
    if archive.stat().st_size > _LARGEST:
        return {}
    with damage(archive):
        for member in members(archive, Limits()):
            _, *path = member.name.split("/")
            if member.data and len(path) > 1 and path[-1].endswith(".py") and _NOT_INSTALLED.isdisjoint(path):
                found[tuple(path)] = member.data.read()
    packages = {path[0] for path in found if path[1:] == ("__init__.py",)}
    layouts = (path[1:] if path[0] == "src" else path if path[0] in packages else () for path in found)
    return {"/".join(layout): found[path] for path, layout in zip(found, layouts, strict=True) if layout}

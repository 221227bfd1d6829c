"""``pylock.toml`` (PEP 751): what a tree installs, each package with the source it is built from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.markers import Marker
from packaging.pylock import Package as Locked
from packaging.pylock import PackageArchive, PackageSdist, PackageWheel, Pylock
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidSdistFilename, NormalizedName, parse_sdist_filename
from packaging.version import InvalidVersion, Version

from pybuilder.errors import FetchError, UsageError
from pybuilder.tree import Archive, Node, Package, Tree, package_id

# What tells one target from another; the rest of PEP 508's variables follow from these or change with an update.
_TELLING = ("implementation_name", "python_version", "sys_platform", "platform_machine")


def pylock(
    tree: Tree,
    *,
    unlearned: Collection[Package],
    markers: Mapping[str, str],
    channel: str,
    path: Callable[[Archive], str],
) -> Pylock:
    """What a tree installs, as PEP 751 has it; valid by packaging's own rules.

    The tree is one target's, so no package has a marker: what the target's markers leave out is not in it. What is
    needed to build alone is not in it either.

    Args:
        tree: The tree.
        unlearned: Packages of which nobody knows what they require before they are built, which they may not be.
        markers: The target's environment (PEP 508).
        channel: For whose index the packages are built.
        path: Where a source lies that has no URL of its own, as one made from git or from a directory: a path with
            forward slashes, from the directory that the file is written to.

    Raises:
        UsageError: Two versions of a package are installed, which one file can't say.
        FetchError: A package can't be built, or nobody knows what it requires.
    """
    nodes = [node for node in tree if node.package in tree.installed]
    _check(nodes, unlearned)
    locked = Pylock(
        lock_version=Version("1.0"),
        environments=[Marker(" and ".join(f'{name} == "{markers[name]}"' for name in _TELLING))],
        requires_python=SpecifierSet(f"=={markers['python_version']}.*"),
        created_by="pybuild",
        packages=[_locked(node, path) for node in nodes],
        tool={"pybuild": {"target": tree.target, "channel": channel}},
    )
    locked.validate()
    return locked


def format_pylock(lock: Pylock) -> str:
    """The file's text: a package's facts one a line, the same lock the same text."""
    import tomlkit

    document = tomlkit.document()
    facts = dict(lock.to_dict())
    packages, tool = facts.pop("packages"), facts.pop("tool")
    for key, value in facts.items():
        document.add(key, value)
    tables = tomlkit.aot()
    for package in packages:
        table = tomlkit.table()
        for key, value in package.items():
            table.add(key, _inline(value))
        tables.append(table)
    document.add("packages", tables if packages else [])
    document.add("tool", tomlkit.item(tool))
    return tomlkit.dumps(document)


def _inline(value: Any) -> Any:
    import tomlkit

    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        table.update({key: _inline(each) for key, each in value.items()})
        return table
    if isinstance(value, list):
        array = tomlkit.array()
        array.extend(map(_inline, value))
        return array.multiline(len(value) > 1)
    return value


def _check(nodes: list[Node], unlearned: Collection[Package]) -> None:
    counted = Counter(node.name for node in nodes)
    if twice := [package_id(node.package) for node in nodes if counted[node.name] > 1]:
        raise UsageError(
            f"the tree installs {' and '.join(twice)}, and a pylock.toml holds one version of a package",
            cure="plan the requirements that want them one by one",
        )
    if unseen := [package_id(node.package) for node in nodes if node.source is None]:
        raise FetchError(
            f"pylock.toml can't be written: {', '.join(unseen)} can't be built from a source",
            cure="mend what keeps it from that, or ask for a version instead of a build, and plan again",
        )
    if unknown := [package_id(node.package) for node in nodes if node.package in unlearned]:
        raise FetchError(
            f"pylock.toml can't be written: what {', '.join(unknown)} requires is not known before it is built",
            cure="take it in, with what builds it (--accept-new, or pybuild review approve), and plan again",
        )


def _locked(node: Node, path: Callable[[Archive], str]) -> Locked:
    source = node.source
    assert source is not None, node
    names = {need.package[0] for need in node.installs} - {node.name}
    return Locked(
        name=node.name,
        version=node.version,
        requires_python=_specifiers(node.requires_python),
        dependencies=[{"name": name} for name in sorted(names)] or None,
        **_source(node, source, path),
    )


def _specifiers(text: str) -> SpecifierSet | None:
    """Sources from before PEP 440 was enforced state what is no specifier; installers need not be told twice."""
    try:
        return SpecifierSet(text) if text else None
    except InvalidSpecifier:
        return None


def _source(node: Node, source: Archive, path: Callable[[Archive], str]) -> dict[str, Any]:
    """The one key of PEP 751 that fits a source: an sdist by PEP 625's name, upstream's wheel, else any archive."""
    place = {"url": source.url} if _is_own_url(source) else {"path": path(source)}
    facts: dict[str, Any] = {**place, "size": source.size, "hashes": {"sha256": source.sha256}}
    if node.prebuilt:
        return {"wheels": [PackageWheel(name=source.file, **facts)]}
    if _sdist(source.file) == node.package:
        return {"sdist": PackageSdist(name=source.file, **facts)}
    return {"archive": PackageArchive(**facts)}


def _is_own_url(source: Archive) -> bool:
    """Whether the URL is the archive's: a repository's, from which pybuild made the archive, gives other bytes."""
    return PurePosixPath(unquote(urlsplit(source.url).path)).name == source.file


def _sdist(file: str) -> tuple[NormalizedName, Version] | None:
    try:
        return parse_sdist_filename(file)
    except (InvalidSdistFilename, InvalidVersion):
        return None

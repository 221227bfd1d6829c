"""Where published wheels came from, and whether all that is kept of them agrees: from the index alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder import interruption
from pybuilder.audit.evidence import Check, Evidence
from pybuilder.audit.graph import Graph, Node, ingredients, node_of, walk
from pybuilder.audit.judge import KINDS, Flag, Kind
from pybuilder.audit.shelf import Shelf, Trust
from pybuilder.errors import UsageError, ValidationError
from pybuilder.index.pages import File, split_filename
from pybuilder.index.reader import DirectoryReader, HttpReader, Place, Reader
from pybuilder.names import any_number

__all__ = [
    "KINDS",
    "Audit",
    "Check",
    "DirectoryReader",
    "Everything",
    "Evidence",
    "Flag",
    "Graph",
    "HttpReader",
    "Kind",
    "Node",
    "Place",
    "Reader",
    "Shelf",
    "Trust",
    "audit",
    "audit_all",
    "named",
    "wheels_of",
]

_THREADS = min(8, 2 * (os.cpu_count() or 1))
Extra = Callable[[Evidence], tuple[Check, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """What is known of a published wheel.

    Attributes:
        shelf: The index that has it.
        file: As its page lists it.
        evidence: What the index has of it.
        graph: What it came from.
    """

    shelf: Shelf
    file: File
    evidence: Evidence
    graph: Graph

    @property
    def ok(self) -> bool:
        """Whether everything agrees, down to the seeds."""
        return self.graph.ok

    def problems(self) -> Iterator[tuple[Node, Check]]:
        """What is wrong, and with which payload; the wheel's own first."""
        return ((node, check) for node in self.graph.nodes.values() for check in node.problems)


@dataclass(frozen=True, kw_only=True, slots=True)
class Everything:
    """What is known of all the wheels of an index.

    Attributes:
        wheels: The nodes of the wheels, in order of project and version.
        problems: What is wrong: the wheel's or page's name, and what was compared.
    """

    wheels: tuple[Node, ...]
    problems: tuple[tuple[str, Check], ...]

    def flagged(self) -> dict[Kind, int]:
        """How many wheels are tainted by what."""
        kinds = [flag.kind for node in self.wheels for flag in node.flags]
        return {kind: kinds.count(kind) for kind in KINDS if kind in kinds}


def audit(shelf: Shelf, file: File, *, content: Path | None = None, extra: Extra | None = None) -> Audit:
    """Compare everything that an index has of a wheel, and of all that built it, down to the seeds.

    Args:
        shelf: The index.
        file: The wheel, as its page lists it.
        content: The wheel itself, where it is another file than the index has.
        extra: Further checks of the wheel itself.

    Raises:
        ValidationError: A page of the index is damaged.
        FetchError: The index can't be read.
    """
    found = shelf.evidence(file, content=content)
    graph = walk(found, shelf.find)
    if extra:
        top = replace(graph.top, checks=(*graph.top.checks, *extra(found)))
        graph = Graph(top=top, nodes={**graph.nodes, top.payload: top})
    return Audit(shelf=shelf, file=file, evidence=found, graph=graph)


def audit_all(shelf: Shelf, *, extra: Extra | None = None) -> Everything:
    """Compare everything that an index has of each of its wheels, and what built them.

    Args:
        shelf: The index.
        extra: Further checks of each wheel.

    Raises:
        ValidationError: The list of projects is damaged.
        UsageError: There is no index.
        FetchError: The index can't be read.
    """
    problems: list[tuple[str, Check]] = []
    files = list(_listed(shelf, problems))
    found = interruption.side_by_side(shelf.evidence, files, threads=_THREADS)
    # What a wheel that was changed since claims to be is not missed as well: its own checks tell.
    there = {each.payload for each in found} | {each.claim.payload_sha256 for each in found if each.claim}
    nodes = []
    for each in found:
        node = node_of(each)
        more = extra(each) if extra else ()
        nodes.append(node)
        problems += [(each.filename, check) for check in (*node.problems, *more) if check.problem]
        problems += [
            (each.filename, Check(what="the index has what built it", problem=f"no wheel in it is {name}"))
            for name in _lacking(each, there)
        ]
    return Everything(wheels=tuple(nodes), problems=tuple(problems))


def _listed(shelf: Shelf, problems: list[tuple[str, Check]]) -> Iterator[File]:
    """Every wheel that is listed; pages that are damaged or missing are noted."""
    for project in shelf.projects():
        page = f"simple/{project}/index.json"
        try:
            wheels = shelf.wheels(project)
        except ValidationError as error:
            problems.append((page, Check(what="the page can be read", problem=error.what)))
            continue
        if not wheels:
            problems.append((page, Check(what="the page is there", problem="it is missing or lists nothing")))
        yield from wheels


def _lacking(found: Evidence, there: set[str]) -> Iterator[str]:
    for each in ingredients(found):
        if each.payload not in there:
            yield f"{each.name} {each.version} with the payload {each.payload}"


def named(shelf: Shelf, filename: str) -> File:
    """The listed wheel with this file name.

    Raises:
        UsageError: The index lists none.
        ValidationError: Its project's page is damaged.
    """
    split = split_filename(filename)
    for file in shelf.wheels(split[0]) if split else ():
        if file.filename == filename:
            return file
    raise UsageError(f"the index lists no {filename}", where=shelf.reader.where, cure="audit a wheel that it has")


def wheels_of(shelf: Shelf, name: NormalizedName, version: Version | None) -> tuple[File, ...]:
    """The wheels that a person means by a name and, perhaps, a version: those of the newest number that it fits.

    Raises:
        UsageError: The index lists none.
        ValidationError: The project's page is damaged.
    """
    fitting = [file for file in shelf.wheels(name) if version is None or _fits(Version(file.version), version)]
    if not fitting:
        wanted = f"{name}=={version}" if version else name
        raise UsageError(f"the index lists no {wanted}", where=shelf.reader.where, cure="audit a wheel that it has")
    newest = max(Version(file.version) for file in fitting)
    return tuple(file for file in fitting if Version(file.version) == newest)


def _fits(published: Version, wanted: Version) -> bool:
    split = any_number(published)
    return published == wanted or (split is not None and split[0] == wanted)

"""Which versions of everything that will be installed go together: uv, over an index of our own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.errors import EngineError
from pybuilder.facts import Facts
from pybuilder.joint.memory import noting, recall, remember
from pybuilder.joint.pages import Offer, plain
from pybuilder.joint.uv import compile_requirements, decisive
from pybuilder.joint.view import View, World
from pybuilder.processes import Completed
from pybuilder.resolution import Chosen, applies
from pybuilder.tree import Package

if TYPE_CHECKING:
    from pybuilder.joint.server import Served

__all__ = ["Offer", "Resolved", "Unknown", "World", "resolve_jointly"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unknown:
    """Versions that would be chosen, but nobody knows what they require.

    Attributes:
        packages: These versions, sorted; build them or ask their backends, and resolve again.
    """

    packages: tuple[Package, ...]


Resolved = Chosen | Unknown


def resolve_jointly(
    wanted: Sequence[Requirement],
    world: World,
    *,
    constraints: Sequence[Requirement] = (),
    markers: Mapping[str, str],
    python: str,
    preferred: Mapping[NormalizedName, Sequence[Version]],
    prereleases: Collection[NormalizedName] = (),
    cache: Path,
    facts: Facts | None = None,
) -> Resolved:
    """One version for every package that is wanted, directly or not.

    Args:
        wanted: The top requirements; those whose marker is false are left out.
        world: What exists; it is asked from several threads.
        constraints: What must hold for a package if it is needed.
        markers: The target's environment (PEP 508).
        python: The target's full version.
        preferred: By name, the versions to take if they satisfy, the best first; they may be yanked or prereleases.
            One without a local label stands for those with one, too (PEP 440), and of these uv takes the newest.
        prereleases: Packages of which prereleases count like other versions. Of others one is taken only where a
            requirement names one or nothing else satisfies.
        cache: A directory in which uv keeps what it knows about our interpreter.
        facts: Remembers what was chosen: as long as the same is asked and the world says the same, uv is not started.

    Returns:
        By name: the version, and the extras that were asked for; or the versions about which too little is known.

    Raises:
        ConflictError: No versions go together; says who wants what.
        PybuildError: What the world raised.
        EngineError: uv is missing or failed.
    """
    tops = [plain(requirement) for requirement in wanted if applies(requirement, markers, frozenset())]
    bounds = [requirement for requirement in constraints if applies(requirement, markers, frozenset())]
    if not tops:
        return {}
    limits = [plain(requirement) for requirement in bounds]
    question = [tops, limits, _texts(preferred), decisive(prereleases)]
    view = View(world, markers=markers, python=python)
    if facts is not None and (chosen := recall(facts, question, view.answer)) is not None:
        return _known(chosen, view)
    # Imported here, since most runs recall what was chosen.
    from pybuilder.joint.server import served

    # Another: that one may have been asked for what nobody wants any more.
    view, shown = View(world, markers=markers, python=python), dict[str, str]()
    with served(noting(view.answer, shown)) as server:
        ask = partial(
            compile_requirements,
            tops,
            constraints=limits,
            prereleases=prereleases,
            index=server.url,
            cache=cache,
        )
        answer = _by_preference(ask, preferred)
    if isinstance(answer, Completed):
        raise _failure(answer, view, server, bounds)
    if facts is not None:
        remember(facts, question, shown, answer)
    return _known(answer, view)


def _texts(preferred: Mapping[NormalizedName, Sequence[Version]]) -> dict[str, list[str]]:
    return {name: [str(version) for version in versions] for name, versions in preferred.items()}


def descending_runs(versions: Sequence[Version]) -> list[Sequence[Version]]:
    """The versions in their order, cut wherever one is newer than the one before it."""
    starts = [i for i, version in enumerate(versions) if i == 0 or version > versions[i - 1]]
    return [versions[start:end] for start, end in pairwise([*starts, len(versions)])]


def _by_preference(
    ask: Callable[..., Chosen | Completed], preferred: Mapping[NormalizedName, Sequence[Version]]
) -> Chosen | Completed:
    # Of several preferred versions uv takes the newest, so the newer but less wanted are kept back until needed.
    runs = {name: descending_runs(versions) for name, versions in preferred.items() if versions}
    while True:
        answer = ask(preferred={name: left[0] for name, left in runs.items()})
        if isinstance(answer, Completed):
            return answer
        spent = {
            name for name, left in runs.items() if left[1:] and name in answer and not _among(left[0], answer[name][0])
        }
        if not spent:
            return answer
        runs = {name: left[1:] if name in spent else left for name, left in runs.items()}


def _among(preferred: Sequence[Version], version: Version) -> bool:
    return version in preferred or Version(version.public) in preferred


def _failure(done: Completed, view: View, server: Served, constraints: Sequence[Requirement]) -> BaseException:
    """Why uv chose nothing."""
    from pybuilder.joint.explain import conflict, is_conflict

    if server.failures:
        return server.failures[0]
    said = done.stderr.decode(errors="replace")
    if is_conflict(said):
        return conflict(said, view, constraints)
    return EngineError(
        f"uv failed with status {done.returncode}: {' '.join(said.replace(server.url, '').split())}",
        cure="mend what uv says, or install another uv",
    )


def _known(chosen: Chosen, view: View) -> Resolved:
    packages = sorted((name, version) for name, (version, _) in chosen.items())
    unknown = tuple(package for package in packages if package in view.unknown)
    if unknown:
        return Unknown(packages=unknown)
    for package in packages:
        if package in view.failed:
            raise view.failed[package]
    return chosen

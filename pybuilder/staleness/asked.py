"""The requests to rebuild of a workspace, by the versions that they are for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pybuilder.errors import ConfigError, PybuildError
from pybuilder.rebuild_requests import FILE, RebuildRequest, parse_requests
from pybuilder.staleness.living import Living
from pybuilder.staleness.today import Today
from pybuilder.tree import Package


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What somebody asks to have rebuilt.

    Attributes:
        requests: The requests for each version.
        problems: What is wrong with the file and its entries, by where it stands.
    """

    requests: Mapping[Package, Sequence[RebuildRequest]] = field(default_factory=dict)
    problems: tuple[tuple[str, PybuildError], ...] = ()

    @classmethod
    def of(cls, today: Today, living: Living) -> Asked:
        """Read them; those that nobody can fulfil are problems."""
        try:
            text = today.sources.workspace.text(FILE) or ""
        except ConfigError as error:
            return cls(problems=((FILE, error),))
        found, wrong = parse_requests(text)
        requests: dict[Package, list[RebuildRequest]] = {}
        problems: list[tuple[str, PybuildError]] = [(error.where.partition("\n")[0], error) for error in wrong]
        for request in found:
            try:
                for package in _packages(request, today, living):
                    requests.setdefault(package, []).append(request)
            except PybuildError as error:
                problems.append((request.place, error))
        return cls(requests=requests, problems=tuple(problems))


def _packages(request: RebuildRequest, today: Today, living: Living) -> Iterator[Package]:
    spec = today.spec(request.name)
    if spec is None:
        cure = f"correct the name, or accept the package: pybuild new {request.name}"
        raise ConfigError(f"nobody has accepted {request.name}", where=request.place, cure=cure)
    if request.version is None:
        yield from (package for package in living.packages if package[0] == request.name)
        return
    versions = today.all_versions(spec)
    if request.version not in versions:
        there = ", ".join(map(str, sorted(versions, reverse=True)[:8])) or "nothing"
        raise ConfigError(
            f"{request.name} {request.version} is neither pinned nor published",
            where=request.place,
            cure=f"name one of these: {there}",
        )
    yield request.name, request.version

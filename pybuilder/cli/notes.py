"""What became of requirements that were asked for and have no effect: nothing is left out without a word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pybuilder.request import Planned, Request
from pybuilder.resolution import applies
from pybuilder.tree import Package

_EXTRA = re.compile(r'extra == "([^"]+)"|"([^"]+)" == extra')


def notes(
    request: Request,
    planned: Planned,
    *,
    markers: Mapping[str, str],
    requirements: Callable[[Package], Sequence[Requirement] | None],
) -> Iterator[str]:
    """A sentence for the requirements whose marker is false, and for each extra that asks for nothing.

    Args:
        request: What was asked for.
        planned: What was planned for it.
        markers: The target's environment (PEP 508).
        requirements: What a package requires where it is installed; None where nobody knows.
    """
    tree = planned.tree
    if out := [str(top) for top in request.tops if not applies(top, markers, frozenset())]:
        yield f"left out by marker on {tree.target}: {', '.join(dict.fromkeys(out))}"
    for top in tree.tops:
        name, version = top.package
        asked = sorted(canonicalize_name(extra) for extra in Requirement(top.requirement).extras)
        stated = requirements(top.package) if asked and top.package not in planned.broken else None
        if stated is not None:
            known = {
                canonicalize_name(one or other)
                for requirement in stated
                for one, other in _EXTRA.findall(str(requirement.marker or ""))
            }
            for extra in asked:
                if extra not in known:
                    yield f"the extra {extra!r} of {name} {version} adds nothing: no requirement of it is for that"

"""What uv chose when it was asked the same before, and was shown the same.

Its answer depends on nothing else. A run that finds everything cached would start it only to hear that answer again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.errors import PybuildError
from pybuilder.facts import Facts
from pybuilder.interruption import side_by_side
from pybuilder.joint.pages import METADATA_SUFFIX
from pybuilder.plan import digest
from pybuilder.resolution import Chosen

Answer = Callable[[str], bytes | None]
"""What an index has at a path, or None."""

_FACT = "joint"
# As many as uv asks at once.
_THREADS = 16
_CHANGED = "changed"


def noting(answer: Answer, shown: dict[str, str]) -> Answer:
    """The same answers; what was shown at each path is noted, by its digest."""

    def noted(path: str) -> bytes | None:
        body = answer(path)
        now = _digest(body)
        if shown.setdefault(path, now) != now:
            shown[path] = _CHANGED
        return body

    return noted


def remember(facts: Facts, question: Any, shown: Mapping[str, str], chosen: Chosen) -> None:
    """Remember what was chosen.

    Args:
        facts: Where.
        question: All that decides besides what is shown, as JSON.
        shown: What ``noting`` has noted.
        chosen: What was chosen.
    """
    answer = {name: [str(version), sorted(extras)] for name, (version, extras) in chosen.items()}
    facts.add_fact(_FACT, digest(question), {"shown": dict(shown), "chosen": answer})


def recall(facts: Facts, question: Any, answer: Answer) -> Chosen | None:
    """What was chosen for this question, if all that was shown then is still so; else None.

    Args:
        facts: Where it was remembered.
        question: As for ``remember``.
        answer: The index as it is now; it is asked from several threads.
    """
    known = facts.fact(_FACT, digest(question))
    if known is None:
        return None
    # Where a page has changed, what was asked for because of it may be of no interest any more.
    pages = [path for path in known["shown"] if not path.endswith(METADATA_SUFFIX)]
    rest = [path for path in known["shown"] if path.endswith(METADATA_SUFFIX)]
    try:
        for paths in (pages, rest):
            if side_by_side(lambda path: _digest(answer(path)), paths, threads=_THREADS) != [
                known["shown"][path] for path in paths
            ]:
                return None
    except PybuildError:
        # It is told where it matters: by who asks next.
        return None
    return {
        NormalizedName(name): (Version(version), frozenset(map(NormalizedName, extras)))
        for name, (version, extras) in known["chosen"].items()
    }


def _digest(body: bytes | None) -> str:
    return "" if body is None else hashlib.sha256(body).hexdigest()

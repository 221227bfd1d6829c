"""Why no versions go together: uv's explanation in our words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from pybuilder.errors import ConflictError
from pybuilder.joint.pages import NO_PYTHON
from pybuilder.joint.view import View
from pybuilder.names import NAME, names_in

_CONFLICT = "No solution found when resolving dependencies"
_UNSATISFIABLE = "your requirements are unsatisfiable"

_HINT = re.compile(r"^hint:", re.MULTILINE)
_NOTHING = re.compile(r"there (?:is no version|are no versions) of ([^ ]*[^ ,])")
_TARGET = re.compile(r"the (?:current|requested) Python version \([^)]*\) does not satisfy Python[<>=][^ ]*[^ ,]")
_OTHER_PYTHON = re.compile(rf"(?P<who>(?P<name>{NAME})\S*) wants Python{NO_PYTHON}")

# uv's words and ours, in this order.
_WORDS = (
    (re.compile(r"\byou require "), "the command wants "),
    (re.compile(r"\ball versions of (\S+) depends? on "), r"every version of \1 wants "),
    (re.compile(r"\bdepends? on "), "wants "),
    (re.compile(r"\ball versions of (\S+) cannot be used"), r"no version of \1 can be used"),
    (re.compile(r"\ball versions of "), "every version of "),
    (re.compile(r"\bhave incompatible dependencies on themselves"), "conflicts with what it wants of itself"),
    (re.compile(r"\bwe know from (\(\d+\)) that "), r"by \1 "),
    (re.compile(r"\b(?:is|are) available\b"), "can be had"),
    (re.compile(r" has invalid metadata"), " requires what can't be read"),
    (re.compile(r" was not found in the package registry"), " does not exist upstream"),
)


def is_conflict(stderr: str) -> bool:
    """Whether uv ended because no versions go together."""
    return _CONFLICT in stderr


def conflict(stderr: str, view: View, constraints: Sequence[Requirement]) -> ConflictError:
    """The error for what uv printed when no versions go together.

    Args:
        stderr: What it printed.
        view: What it was shown.
        constraints: Those that count on the target. uv mixes them into what packages want, so they are named again.
    """
    *reasons, last = (in_our_words(sentence, view) for sentence in sentences(stderr))
    what = f"no versions go together: {'; '.join(reasons)}; and {last}" if reasons else last
    named = names_in(what)
    bounds = sorted(str(bound) for bound in constraints if canonicalize_name(bound.name) in named)
    if bounds:
        what += f"; the constraints are {', '.join(bounds)}"
    return ConflictError(what, cure=_cure(what, view, named))


def sentences(stderr: str) -> list[str]:
    """The explanation of uv, sentence by sentence, each on one line and without its "Because"; hints are left out."""
    body = _HINT.split(stderr.partition(_CONFLICT)[2])[0]
    lines = [line for line in (line.strip().removeprefix("cause: ") for line in body.splitlines()) if line]
    # Versions are listed one a line.
    text = " ".join(f"{line}," if " " not in line else line for line in lines)
    found = re.split(r"(?:^|(?<=[.)]) )(?:And because|Because) ", text)
    return [_concluded(sentence.strip()) for sentence in found if sentence.strip()]


def _concluded(sentence: str) -> str:
    facts, _, conclusion = sentence.partition(", we can conclude that ")
    # As in "… cannot be used. (1)": later sentences refer to it.
    conclusion = re.sub(r"\.(?: (\(\d+\)))?$", lambda end: f" {end[1]}" if end[1] else "", conclusion)
    return facts if conclusion in ("", _UNSATISFIABLE) else f"{facts}, so {conclusion}"


def in_our_words(sentence: str, view: View) -> str:
    """A sentence of uv as pybuild would say it.

    Args:
        sentence: One of ``sentences``.
        view: What uv was shown.
    """
    sentence = _TARGET.sub(f"the target's Python is {view.python}", sentence)
    sentence = _NOTHING.sub(lambda found: _nothing(found[1], view), sentence)
    for pattern, words in _WORDS:
        sentence = pattern.sub(words, sentence)
    return _OTHER_PYTHON.sub(lambda found: f"{found['who']} wants {_other_python(found['name'], view)}", sentence)


def _nothing(wanted: str, view: View) -> str:
    return f"{wanted} has no version with a source" if wanted in view.empty else f"{wanted} can't be had"


def _other_python(name: str, view: View) -> str:
    stated = view.other_pythons.get(canonicalize_name(name), {})
    if len(stated) == 1:
        return f"Python {next(iter(stated))}"
    newest = max(stated, key=stated.__getitem__, default="")
    return f"another Python, as {stated[newest]} does ({newest})" if newest else "another Python"


def _cure(what: str, view: View, named: set[NormalizedName]) -> str:
    for name in sorted(view.missing & named):
        return f"check how {name!r} is spelled, or require another package"
    for name in sorted(view.empty & named):
        return f"name the version, as {name}==1.0; where its source is, specs/{name}.toml says ([source])"
    if "the target's Python is" in what:
        return "take versions that support this Python, or a target with another Python"
    if " was yanked" in what:
        return "require another version, or name the yanked one with == on the command line or in a constraint"
    return "widen one of these, or pin another version"

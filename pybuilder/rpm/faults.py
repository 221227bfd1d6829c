"""What rpm says when a transaction fails, in terms of the RPMs: pure, from its output to an error."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from pybuilder.errors import EngineError, PybuildError, StateError

_FULL = re.compile(
    r"No space left on device|Disk quota exceeded|installing package \S+ needs \S+ .*on the .* filesystem"
)
# rpm goes on after most scriptlets that fail, and ends with 0.
_SCRIPTLET = re.compile(r"^(?:warning|error): %(?P<kind>\w+)\((?P<rpm>.+?)\) scriptlet failed, (?P<how>.+)")
_LUA = re.compile(r'^(?:warning|error): lua script failed: \[string "%?(?P<kind>\w+)\((?P<rpm>.+?)\)"\]:(?P<how>.+)')
# What Debian's rpm always says first; it means no harm to a root.
_DEBIAN = re.compile(r"^rpm: (?:RPM should not be used directly install RPM packages|However assuming you know)")
_CONFLICT = re.compile(r"^\s*file \S.* (?:conflicts with file from package|conflicts between attempted installs of) ")
_DEPENDENCY = re.compile(r"^\t(.+ (?:is needed by|conflicts with|is obsoleted by|is conflicted by) .+)")

_LAST = 12
_MOST = 8


@dataclass(slots=True)
class _Found:
    full: bool = False
    overlay: str = ""
    scriptlets: list[re.Match[str]] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    dependencies: list[str] = field(default_factory=list)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST))

    def add(self, line: str) -> None:
        if not _DEBIAN.match(line):
            self.last.append(line)
        self.full = self.full or bool(_FULL.search(line))
        if match := _SCRIPTLET.match(line) or _LUA.match(line):
            self.scriptlets.append(match)
        elif line.startswith("mount: /work/tree: "):
            self.overlay = line
        elif _CONFLICT.match(line):
            self.conflicts.append(line.strip())
        elif match := _DEPENDENCY.match(line):
            self.dependencies.append(match[1])


def fault(said: Iterable[str], *, status: int, log: str) -> PybuildError | None:
    """Why a transaction is not to be used, or None if it is.

    Args:
        said: The lines that rpm and the scriptlets wrote.
        status: The exit status, which says little: rpm ends well after most scriptlets that fail.
        log: Where the lines are kept, for the message.

    Returns:
        A StateError when the disk is full, else an EngineError that names the RPMs.
    """
    found = _Found()
    for line in said:
        found.add(line.rstrip("\n"))
    if status == 0 and not found.scriptlets:
        return None
    if found.full:
        cure = "free some space (`pybuild gc`), then run the same command again"
        return StateError("the disk is full", where=_lines(found.last), cure=cure)
    if found.scriptlets:
        return _scriptlets(found, log)
    if found.overlay:
        cure = "choose a directory on a local file system, such as ext4, xfs or btrfs, with --state"
        return EngineError("the file system of the state can't be below an overlay", where=found.overlay, cure=cure)
    if found.conflicts:
        return _refused("RPMs of one root have different files of the same name", found.conflicts)
    if found.dependencies:
        return _refused("RPMs of one root don't fit together", found.dependencies)
    return EngineError(f"rpm failed with exit status {status}", where=_lines(found.last), cure=f"read {log}")


def _scriptlets(found: _Found, log: str) -> EngineError:
    faults = list(dict.fromkeys(f"%{each['kind']} of {each['rpm']} failed: {each['how']}" for each in found.scriptlets))
    what = f"the scriptlet {faults[0]}" if len(faults) == 1 else f"{len(faults)} scriptlets failed"
    several = faults[:_MOST] if len(faults) > 1 else []
    name = found.scriptlets[0]["rpm"].rsplit("-", 2)[0]
    cure = f"read {log}; if the RPM is to blame, take another: pybuild buildroot lock --update {name}"
    return EngineError(what, where=_lines([*several, *found.last]), cure=cure)


def _refused(what: str, lines: list[str]) -> EngineError:
    more = [f"and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
    cure = "lock the buildroot again: pybuild buildroot lock; if they still clash, exclude one of them there"
    return EngineError(what, where=_lines([*lines[:_MOST], *more]), cure=cure)


def _lines(lines: Iterable[str]) -> str:
    return "\n         ".join(lines)

"""Applying patches by ``git apply``: exactly, or not at all."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from pybuilder.errors import ConfigError
from pybuilder.files import disk_errors, sha256_file
from pybuilder.patching.tool import git_apply
from pybuilder.processes import Completed

# What git says when a hunk does not fit, and when a path is one that it will not touch.
_FAILED_HUNK = re.compile(r"^error: patch failed: (?P<file>.*):(?P<line>\d+)$", re.MULTILINE)
_OUTSIDE = re.compile(r"^error: (invalid path '.*'|affected file '.*' is beyond a symbolic link)", re.MULTILINE)
_State = tuple[int, str] | None


def apply(tree: Path, patches: Sequence[Path], texts: Sequence[bytes] | None = None) -> None:
    """Apply patches in order. Each fits without fuzz, changes what it says and nothing else, or fails whole.

    Args:
        tree: The directory that paths in the patches start from, after their first component (``-p1``).
        patches: The patch files.
        texts: What stood in each when somebody looked; None for what stands there now.

    Raises:
        ConfigError: A patch does not apply, or reaches out of the tree; the patches before it have been applied.
        EngineError: git is missing.
    """
    for patch, text in zip(patches, texts or [patch.read_bytes() for patch in patches], strict=True):
        paths = touched(tree, patch, text)
        before = {path: _state(tree / path) for path in paths}
        _check(git_apply(tree, text, "--whitespace=nowarn"), patch)
        # git says nothing and exits 0 where it takes paths to be outside of what it should work on.
        unchanged = [path for path in paths if _state(tree / path) == before[path]]
        if unchanged:
            raise _fault(patch, f"git left {unchanged[0]!r} as it was")
        with disk_errors(tree):
            for path in paths:
                _settle(tree, path, patch)


def touched(tree: Path, patch: Path, text: bytes) -> tuple[str, ...]:
    """The paths that a patch says it changes.

    Args:
        tree: What it would be applied to.
        patch: Its file, for messages.
        text: What stands in it.

    Raises:
        ConfigError: It reaches out of the tree, or is no patch.
        EngineError: git is missing.
    """
    done = git_apply(tree, text, "--numstat", "-z")
    _check(done, patch)
    paths = [os.fsdecode(line.split(b"\t", 2)[2]) for line in done.stdout.split(b"\0") if line]
    for path in paths:
        if path.startswith("/") or ".." in path.split("/"):
            raise _fault(patch, f"it reaches out of the source: {path!r}")
    if not paths:
        raise _fault(patch, "it changes nothing")
    return tuple(paths)


def _check(done: Completed, patch: Path) -> None:
    if not done.returncode:
        return
    said = done.stderr.decode("utf-8", "replace").strip()
    if outside := _OUTSIDE.search(said):
        raise _fault(patch, f"it reaches out of the source: {outside[1]}")
    hunks = [f"hunk at line {found['line']} of {found['file']} does not apply" for found in _FAILED_HUNK.finditer(said)]
    raise _fault(patch, "; ".join(hunks) or said.replace("error: ", "").replace("\n", "; "))


def _fault(patch: Path, what: str) -> ConfigError:
    name = f"patches/{patch.parent.name}/{patch.name}"
    cure = "make the patch again from this very version, or restrict it to the versions that it fits"
    return ConfigError(f"{name}: {what}", where=str(patch), cure=cure)


def _state(path: Path) -> _State:
    """What a patch can change of a file: whether it is there, its kind and mode, its bytes."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    return mode, str(path.readlink()) if stat.S_ISLNK(mode) else sha256_file(path)


def _settle(tree: Path, path: str, patch: Path) -> None:
    """Give what was written the modes of a source, whatever the umask; refuse a link that leads out."""
    file = tree / path
    if file.is_symlink():
        if not file.resolve().is_relative_to(tree.resolve()):
            raise _fault(patch, f"it makes a link out of the source: {path!r}")
    elif file.exists():
        file.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)
        for parent in file.parents:
            if parent == tree:
                break
            parent.chmod(0o755)

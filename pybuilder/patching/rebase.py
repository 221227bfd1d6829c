"""What becomes of patches on a newer source: each still applies, was merged upstream, is rebased, or is rejected.

A patch is rebased by a merge of three sides, as ``git apply --3way`` and ``git cherry-pick`` do it: what the patch
makes of the old source is merged into the new one, and files that upstream has moved are followed. For this the old
source, the old source with the patch, and the new source become commits of a repository that lives as long as this
takes. Nothing in it is the source's: no settings, hooks or attributes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pybuilder.errors import ConfigError
from pybuilder.patching import apply
from pybuilder.processes import Completed, run
from pybuilder.record import printable_lines

Fate = Literal["applies", "merged", "rebased", "rejected"]

# The highest of git's sources of attributes: of those that a source brings, none has a say in what its bytes are.
_ATTRIBUTES = "* -text !eol !ident !filter !working-tree-encoding !merge !diff !whitespace !conflict-marker-size\n"
_FIRST_DIFF = re.compile(rb"^(?:diff --git |Index: |--- (?!$)[^\n]*\n\+\+\+ )", re.MULTILINE)
_SHOWN = 60  # lines of what was rejected
_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What became of one patch.

    Attributes:
        patch: The file.
        fate: In a word.
        why: Where it does not apply as it is; empty where it does.
        text: The patch for the new source, where it was rebased.
        rejects: The hunks that have no place in the new source, where it was rejected; lines for people.
    """

    patch: Path
    fate: Fate
    why: str = ""
    text: bytes = b""
    rejects: tuple[str, ...] = ()


def try_patches(new: Path, patches: Sequence[Path], *, old: Path | None, work: Path) -> tuple[Tried, ...]:
    """Try patches in order on a new source, and take them over where they don't apply.

    Args:
        new: The new source, unpacked; it is changed.
        patches: The patch files.
        old: The source that they were made for, unpacked; it is changed. None where it can't be had.
        work: An empty directory, for the repository.

    Returns:
        What became of each, up to the first that is rejected.

    Raises:
        ConfigError: A patch reaches out of the source, or is none.
        EngineError: git is missing.
    """
    done: list[Tried] = []
    merger = _Merger(new=new, old=old, work=work)
    for patch in patches:
        tried = merger.try_one(patch)
        done.append(tried)
        if tried.fate == "rejected":
            break
    return tuple(done)


@dataclass(kw_only=True, slots=True)
class _Merger:
    """The two sources, with the patches that have been tried so far."""

    new: Path
    old: Path | None
    work: Path
    _before: list[Path] = field(default_factory=list)

    def try_one(self, patch: Path) -> Tried:
        try:
            apply(self.new, [patch])
        except ConfigError as error:
            refused = error
        else:
            self._before.append(patch)
            return Tried(patch=patch, fate="applies")
        if not _is_diff(self.new, patch):
            raise refused
        if self._apply(patch, "--reverse", "--check").returncode == 0:
            return Tried(patch=patch, fate="merged", why=refused.what)
        rebased = self._rebased(patch)
        if rebased is None:
            return Tried(patch=patch, fate="rejected", why=refused.what, rejects=self._rejects(patch))
        if not rebased:
            return Tried(patch=patch, fate="merged", why=refused.what)
        self._before.append(patch)
        return Tried(patch=patch, fate="rebased", why=refused.what, text=_head(patch) + rebased)

    def _rebased(self, patch: Path) -> bytes | None:
        """The patch for the new source, which then has it; empty where it has it already; None where they conflict."""
        if self.old is None:
            return None
        try:
            apply(self.old, self._before)
            self._before.clear()
            base = self._commit(self.old)
            apply(self.old, [patch])
        except ConfigError:
            return None  # made for neither of the two
        theirs, ours = self._commit(self.old, base), self._commit(self.new, base)
        if self._git(self.new, "reset", "--quiet", "--soft", ours).returncode:
            return None
        if self._git(self.new, "cherry-pick", "--no-commit", theirs).returncode:
            self._git(self.new, "reset", "--quiet", "--hard", ours)
            return None
        # What stays as it was of a patch would say that it does something.
        return self._git(
            self.new, "diff", "--cached", "--binary", "--full-index", "--no-renames", "--no-ext-diff", ours
        ).stdout

    def _commit(self, tree: Path, *parents: str) -> str:
        """A commit of a directory as it is."""
        if not self._repository.exists():
            self._git(tree, "init", "--quiet")
            (self._repository / "info").mkdir(exist_ok=True)
            (self._repository / "info" / "attributes").write_text(_ATTRIBUTES)
        self._done(tree, "read-tree", "--empty")
        self._done(tree, "add", "--all", "--force", ".")
        written = self._done(tree, "write-tree")
        above = [word for parent in parents for word in ("-p", parent)]
        return self._done(tree, "commit-tree", written, *above, "-m", "x")

    @property
    def _repository(self) -> Path:
        return self.work / "git"

    def _done(self, tree: Path, *arguments: str) -> str:
        done = self._git(tree, *arguments)
        if done.returncode:
            said = printable_lines(done.stderr)[-1:] or ["it ended with an error"]
            raise ConfigError(f"git {arguments[0]} failed on the source: {said[0]}", where=str(tree))
        return done.stdout.decode().strip()

    def _git(self, tree: Path, *arguments: str) -> Completed:
        environ = _environ() | {
            "GIT_DIR": str(self._repository),
            "GIT_WORK_TREE": str(tree),
            "GIT_AUTHOR_NAME": "x",
            "GIT_AUTHOR_EMAIL": "x@localhost",
            "GIT_COMMITTER_NAME": "x",
            "GIT_COMMITTER_EMAIL": "x@localhost",
        }
        argv = ["git", "-c", "core.fsmonitor=false", "-c", "core.safecrlf=false", "-c", "gc.auto=0", *arguments]
        return run(argv, cwd=tree, env=environ, timeout=_SECONDS)

    def _apply(self, patch: Path, *options: str) -> Completed:
        return _apply(self.new, patch, *options)

    def _rejects(self, patch: Path) -> tuple[str, ...]:
        """The hunks that git finds no place for in the new source; those that fit are put into it."""
        self._apply(patch, "--reject", "--whitespace=nowarn")
        lines: list[str] = []
        for file in sorted(self.new.rglob("*.rej")):
            lines += printable_lines(file.read_bytes())
        return tuple(lines[:_SHOWN]) + ((f"… and {len(lines) - _SHOWN} lines more",) if len(lines) > _SHOWN else ())


def _is_diff(tree: Path, patch: Path) -> bool:
    """Whether git can read a patch at all, and all its paths are below the source."""
    return _apply(tree, patch, "--numstat").returncode == 0 and _apply(tree, patch, "--stat").stdout != b""


def _apply(tree: Path, patch: Path, *options: str) -> Completed:
    environ = _environ() | {"GIT_DIR": "/dev/null/none", "GIT_CEILING_DIRECTORIES": str(tree.resolve().parent)}
    return run(["git", "apply", "-p1", *options, str(patch.resolve())], cwd=tree, env=environ, timeout=_SECONDS)


def _environ() -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }


def _head(patch: Path) -> bytes:
    """What stands before the first difference: who made the patch and why."""
    data = patch.read_bytes()
    found = _FIRST_DIFF.search(data)
    head = data[: found.start()] if found else b""
    # The list of changed files that `git format-patch` adds counts lines of the old patch.
    return re.sub(rb"^---\n(?: [^\n]*\n)*\n?\Z", b"---\n\n", head, flags=re.MULTILINE)

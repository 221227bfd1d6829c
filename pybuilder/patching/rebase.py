"""What becomes of patches on a newer source: each still applies, was merged upstream, is rebased, or is rejected.

A patch is rebased by a merge of three sides, as ``git apply --3way`` and ``git cherry-pick`` do it: what the patch
makes of the old source is merged into the new one, and files that upstream has moved are followed. For this the old
source, the old source with the patch, and the new source become commits of a repository that lives as long as this
takes. Nothing in it is the source's: no settings, hooks or attributes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pybuilder.errors import ConfigError
from pybuilder.patching import apply, touched
from pybuilder.patching.tool import environment, git_apply
from pybuilder.printable import printable_lines
from pybuilder.processes import Completed, run

Fate = Literal["applies", "merged", "rebased", "rejected"]

# The highest of git's sources of attributes: of those that a source brings, none has a say in what its bytes are.
_ATTRIBUTES = "* -text !eol !ident !filter !working-tree-encoding !merge !diff !whitespace !conflict-marker-size\n"
_FILE_LIST = re.compile(rb"^---\n(?: [^\n]*\n)+\n?\Z", re.MULTILINE)
_FIRST_DIFF = re.compile(rb"^(?:diff --git |Index: |--- [^\n]*\n\+\+\+ )", re.MULTILINE)
# How like a file must be to one that is gone: git's own half is too little where nobody looks.
_MOVED = "--strategy-option=find-renames=75%"
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


def try_patches(new: Path, patches: Sequence[Path], *, old: Callable[[], Path | None], work: Path) -> tuple[Tried, ...]:
    """Try patches in order on a new source, and take them over where they don't apply.

    Args:
        new: The new source, unpacked; it is changed.
        patches: The patch files.
        old: Unpacks the source that they were made for, which is changed; None where it can't be had. Called at most
            once, and only where a patch does not fit.
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
    """The two sources, with the patches that have been tried so far.

    Attributes:
        new: The new source.
        old: Unpacks that which the patches were made for.
        work: An empty directory.
    """

    new: Path
    old: Callable[[], Path | None]
    work: Path
    _before: list[Path] = field(default_factory=list)
    _unpacked: list[Path | None] = field(default_factory=list)

    def try_one(self, patch: Path) -> Tried:
        text = patch.read_bytes()
        paths = touched(self.new, patch, text)
        if git_apply(self.new, text, "--check").returncode == 0:
            apply(self.new, [patch])
            self._before.append(patch)
            return Tried(patch=patch, fate="applies")
        why = self._refusal(patch)
        if git_apply(self.new, text, "--reverse", "--check").returncode == 0:
            rebased: bytes | None = b""
        else:
            rebased = self._rebased(patch)
        self._before.append(patch)
        if rebased is None:
            return Tried(patch=patch, fate="rejected", why=why, rejects=self._rejects(patch, paths))
        if not rebased:
            return Tried(patch=patch, fate="merged", why=why)
        return Tried(patch=patch, fate="rebased", why=why, text=_head(patch) + rebased)

    def _refusal(self, patch: Path) -> str:
        try:
            apply(self.new, [patch])
        except ConfigError as error:
            return error.what
        return ""

    def _rebased(self, patch: Path) -> bytes | None:
        """The patch for the new source, which then has it; empty where it had it already; None where they conflict."""
        if not self._unpacked:
            self._unpacked.append(self.old())
        [old] = self._unpacked
        if old is None:
            return None
        for before in self._before:
            # One that was never for the old source has no part in what this one was made for.
            with suppress(ConfigError):
                apply(old, [before])
        self._before.clear()
        try:
            base = self._commit(old)
            apply(old, [patch])
            theirs, ours = self._commit(old, base), self._commit(self.new, base)
            self._git(self.new, "reset", "--quiet", "--soft", ours)
        except ConfigError:
            return None
        if self._run(self.new, "cherry-pick", "--no-commit", _MOVED, theirs).returncode:
            self._git(self.new, "reset", "--quiet", "--hard", ours)
            return None
        options = ("--cached", "--binary", "--full-index", "--no-renames", "--no-ext-diff")
        return self._git(self.new, "diff", *options, ours)

    def _commit(self, tree: Path, *parents: str) -> str:
        """A commit of a directory as it is."""
        if not self._repository.exists():
            self._git(tree, "init", "--quiet", "--template=")
            (self._repository / "info").mkdir()
            (self._repository / "info" / "attributes").write_text(_ATTRIBUTES)
        self._git(tree, "read-tree", "--empty")
        self._git(tree, "add", "--all", "--force", ".")
        above = [word for parent in parents for word in ("-p", parent)]
        written = self._git(tree, "write-tree").decode().strip()
        return self._git(tree, "commit-tree", written, *above, "-m", "x").decode().strip()

    @property
    def _repository(self) -> Path:
        return self.work / "git"

    def _git(self, tree: Path, *arguments: str) -> bytes:
        """What git says.

        Raises:
            ConfigError: It can't do it.
        """
        done = self._run(tree, *arguments)
        if done.returncode:
            raise ConfigError(f"git {arguments[0]} failed on a source", where=str(tree))
        return done.stdout

    def _run(self, tree: Path, *arguments: str) -> Completed:
        environ = environment() | {
            "GIT_DIR": str(self._repository),
            "GIT_WORK_TREE": str(tree),
            "GIT_AUTHOR_NAME": "x",
            "GIT_AUTHOR_EMAIL": "x@localhost",
            "GIT_COMMITTER_NAME": "x",
            "GIT_COMMITTER_EMAIL": "x@localhost",
        }
        argv = ["git", "-c", "core.fsmonitor=false", "-c", "gc.auto=0", *arguments]
        return run(argv, cwd=tree, env=environ, timeout=_SECONDS)

    def _rejects(self, patch: Path, paths: Iterable[str]) -> tuple[str, ...]:
        """The hunks that git finds no place for in the new source; those that fit are put into it."""
        files = [self.new / f"{path}.rej" for path in paths]
        for file in files:
            file.unlink(missing_ok=True)
        git_apply(self.new, patch.read_bytes(), "--reject", "--whitespace=nowarn")
        lines = [line for file in files if file.is_file() for line in printable_lines(file.read_bytes())]
        more = (f"… and {len(lines) - _SHOWN} lines more",) if len(lines) > _SHOWN else ()
        return (*lines[:_SHOWN], *more)


def _head(patch: Path) -> bytes:
    """What stands before the first difference: who made the patch, and why."""
    data = patch.read_bytes()
    found = _FIRST_DIFF.search(data)
    head = data[: found.start()] if found else b""
    # The list of files that `git format-patch` adds counts the lines of the old patch.
    return _FILE_LIST.sub(b"---\n\n", head)

"""The git repository of a workspace, as far as pybuild commits to it: what is asked of git, and what it answers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pybuilder import interruption
from pybuilder.errors import CommitError, EngineError
from pybuilder.printable import printable_lines
from pybuilder.processes import Completed
from pybuilder.workspace.checkout import Run, own_environment

IDENTITY = ("pybuild", "pybuild@localhost")
"""Who commits where git has been told of nobody: name and address."""

# What git leaves in its directory while something that takes several commands has not come to its end.
_UNDER_WAY = {
    "MERGE_HEAD": "a merge",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
}
_PATIENCE = 2.0  # seconds: an editor that looks at the repository holds its lock for moments
_HOOK_SECONDS = 600.0
_TOLD = 15
_NOWHERE = "0" * 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Repository:
    """A working tree that has commits.

    Attributes:
        root: A directory of it: the workspace, which may lie below its top.
        run: Runs git; the shape of ``processes.run``.
        now: The clock, which dates commits.
    """

    root: Path
    run: Run
    now: Callable[[], datetime]

    @property
    def exists(self) -> bool:
        """Whether the workspace is in a git repository at all."""
        start = self.root.absolute()
        return any((directory / ".git").exists() for directory in (start, *start.parents))

    def check_ready(self) -> None:
        """Refuse where a commit would get into the way of what somebody has begun, or would be on no branch.

        Raises:
            CommitError: Says what is under way.
        """
        directory = Path(self._line("rev-parse", "--absolute-git-dir"))
        for file, what in _UNDER_WAY.items():
            if (directory / file).exists():
                raise CommitError(
                    f"{what} is under way in this git repository",
                    where=str(directory / file),
                    cure="finish it or abort it, then run the same command again",
                )
        if self._git("symbolic-ref", "--quiet", "HEAD").returncode:
            raise CommitError(
                "no branch is checked out (a detached HEAD), so that a commit would be lost",
                where=str(self.root),
                cure="git switch BRANCH, or let each update have a branch of its own with --branch",
            )
        self._wait_for(directory / "index.lock")

    def _wait_for(self, lock: Path) -> None:
        deadline = time.monotonic() + _PATIENCE
        while lock.exists():
            if time.monotonic() > deadline:
                raise CommitError(
                    "another git works in this repository, or one died there",
                    where=str(lock),
                    cure="wait until it has ended; if there is none, remove this file",
                )
            interruption.sleep(0.05)

    def forget_lock(self) -> None:
        """Take away the lock of a git that was killed together with us, once it is older than any commit of ours."""
        lock = Path(self._line("rev-parse", "--absolute-git-dir")) / "index.lock"
        with suppress(FileNotFoundError):
            if self.now().timestamp() - lock.stat().st_mtime > _HOOK_SECONDS:
                lock.unlink()

    def status(self, file: str) -> str:
        """Two letters about a file, as ``git status --porcelain`` has them; empty where it is as it was committed."""
        options = ("--porcelain", "-z", "--untracked-files=all", "--no-renames", "--ignored")
        return self._told("status", *options, "--", _literal(file))[:2].decode()

    def committed(self, file: str, revision: str = "HEAD") -> bytes | None:
        """The bytes of a file in a commit, or as it is staged where the revision is empty; None where it is not."""
        # Not `git show`, which takes a name with brackets for a pattern.
        done = self._git("cat-file", "blob", f"{revision}:./{file}")
        return None if done.returncode else done.stdout

    def head(self) -> str:
        """The commit that is checked out.

        Raises:
            CommitError: There is none yet.
        """
        return self._line("rev-parse", "--verify", "HEAD^{commit}")

    def branch(self, name: str) -> str:
        """The commit that a branch is at; empty where there is no such branch."""
        done = self._git("rev-parse", "--quiet", "--verify", f"refs/heads/{name}^{{commit}}")
        return done.stdout.decode().strip()

    def start_branch(self, name: str, commit: str) -> None:
        """Make a branch that is at a commit.

        Raises:
            CommitError: There is one of this name by now, or it can't be made.
        """
        self._told("update-ref", "-m", "pybuild update", f"refs/heads/{name}", commit, _NOWHERE)

    def last(self, files: Sequence[str]) -> str:
        """The last commit that changed one of these files."""
        return self._line("log", "-1", "--format=%H", "--", *map(_literal, files))

    def commit(self, files: Sequence[str], message: str) -> str:
        """Commit these files as they lie in the working tree, and nothing else that is changed or staged; the commit.

        Raises:
            CommitError: A hook or git itself refuses; nothing is committed, and staged is what was staged before.
        """
        named = [_literal(file) for file in files]
        new = [file for file in files if self.committed(file, "") is None and (self.root / file).exists()]
        try:
            if new:
                self._told("add", "--intent-to-add", "--", *map(_literal, new), writing=True)
            self._told(
                *self._identity(),
                "commit",
                "--quiet",
                "--only",
                "--cleanup=whitespace",
                "--file=-",
                "--",
                *named,
                writing=True,
                input=message.encode(),
            )
        except BaseException:
            if new:
                self._git("rm", "--cached", "--quiet", "--force", "--", *map(_literal, new))
            raise
        if self._git("diff", "--cached", "--quiet", "HEAD", "--", *named).returncode:
            # A hook changed them: git has committed that, and left what was staged before it.
            self._git("reset", "--quiet", "HEAD", "--", *named, writing=True)
        return self.head()

    @contextmanager
    def separate(self, directory: Path, commit: str) -> Iterator[Repository]:
        """A working tree of its own at a commit, on no branch, for as long as the block lasts.

        Hooks of a checkout don't run: they are for the trees in which people work.

        Args:
            directory: Where it is made.
            commit: What is checked out there.

        Raises:
            CommitError: It can't be made.
        """
        prefix = self._line("rev-parse", "--show-prefix")
        no_hooks = ("-c", f"core.hooksPath={os.devnull}")
        try:
            self._told(*no_hooks, "worktree", "add", "--quiet", "--detach", str(directory), commit, writing=True)
            yield Repository(root=directory / prefix, run=self.run, now=self.now)
        finally:
            self._git("worktree", "remove", "--force", str(directory))

    def forget_separate(self, parent: Path) -> None:
        """Forget separate working trees below a directory that are gone: a killed run left git with their names."""
        for line in self._line("worktree", "list", "--porcelain").splitlines():
            directory = Path(line.removeprefix("worktree "))
            if line.startswith("worktree ") and directory.is_relative_to(parent.resolve()) and not directory.exists():
                self._git("worktree", "remove", "--force", str(directory))

    def _identity(self) -> list[str]:
        """Settings that say who commits, where git's own and the environment don't."""
        options: list[str] = []
        for key, ours in zip(("name", "email"), IDENTITY, strict=True):
            known = self._git("config", "--get", f"user.{key}").stdout.strip()
            if not known:
                options += ["-c", f"user.{key}={ours}"]
        return options

    def _line(self, *arguments: str) -> str:
        return self._told(*arguments).decode(errors="surrogateescape").removesuffix("\n")

    def _told(self, *arguments: str, writing: bool = False, input: bytes | None = None) -> bytes:
        """What git says.

        Raises:
            CommitError: It fails; with what it says of that.
        """
        done = self._git(*arguments, writing=writing, input=input)
        if done.returncode == 0:
            return done.stdout
        said = printable_lines(done.stderr) or printable_lines(done.stdout) or [f"it ended with {done.returncode}"]
        command = next(word for word in arguments if not word.startswith("-") and "=" not in word)
        raise CommitError(
            f"git {command} failed: {'; '.join(line.strip() for line in said[-_TOLD:])}",
            where=str(self.root),
            cure="mend what git, or the hook that it ran, complains of; then run the same command again",
        )

    def _git(self, *arguments: str, writing: bool = False, input: bytes | None = None) -> Completed:
        date = f"@{int(self.now().timestamp())} +0000"
        environment: Mapping[str, str] = own_environment() | {
            "LC_ALL": "C.UTF-8",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_EDITOR": "true",
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_DATE": date,
            **({} if writing else {"GIT_OPTIONAL_LOCKS": "0"}),
        }
        argv = ["git", "-c", "core.fsmonitor=false", *arguments]
        try:
            return self.run(argv, cwd=self.root, env=environment, input=input, timeout=_HOOK_SECONDS)
        except EngineError as error:
            self._unlock(writing)
            raise CommitError(error.what, where=error.where or str(self.root), cure=error.cure) from error
        except BaseException:
            self._unlock(writing)
            raise

    def _unlock(self, writing: bool) -> None:
        """Take away the lock of a git that was killed with us; there was none before it began."""
        if writing:
            (self.root / self._line("rev-parse", "--git-path", "index.lock")).unlink(missing_ok=True)


def _literal(file: str) -> str:
    """A path for git that no character of means anything else."""
    return f":(literal){file}"

"""A workspace brought up to date from where its branch comes from, if that changes nothing of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pybuilder.errors import ConfigError, EngineError, FetchError, PybuildError
from pybuilder.workspace.checkout import Checkout, Run, own_environment

if TYPE_CHECKING:
    from pybuilder.processes import Completed

# Seconds; a server that sends nothing for so long sends nothing.
_PATIENCE = 600.0


def pull(root: Path, *, run: Run) -> tuple[PybuildError, ...]:
    """``git pull --ff-only``, step by step, so that each thing that can be wrong is known for what it is.

    Args:
        root: The workspace.
        run: Runs git; the shape of ``processes.run``.

    Returns:
        What somebody must look at; the workspace is what it was then, or newer.
    """
    return tuple(_Pull(root=root, run=run).steps())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pull:
    root: Path
    run: Run

    def steps(self) -> Iterator[PybuildError]:
        try:
            yield from self._steps()
        except EngineError as error:
            yield error

    def _steps(self) -> Iterator[PybuildError]:
        found = self._git("rev-parse", "--verify", "HEAD^{commit}")
        if found.returncode:
            yield self._no_commit(found)
            return
        changed = Checkout(root=self.root, run=self.run).changed_files()
        if changed:
            what = f"files of the workspace have changes that are not committed: {', '.join(changed)}"
            yield ConfigError(what, where=str(self.root), cure="commit them, or take them back with git restore")
        if self._git("rev-parse", "--verify", "--quiet", "@{upstream}").returncode:
            what = "the branch that is checked out follows none of a remote, so there is nothing to pull"
            yield ConfigError(what, where=str(self.root), cure="git branch --set-upstream-to=origin/BRANCH")
            return
        fetched = self._git("fetch", "--quiet")
        if fetched.returncode:
            yield FetchError(
                f"git fetch fails: {_last_line(fetched)}", where=str(self.root), cure="try git fetch there"
            )
            return
        yield from self._forward()

    def _forward(self) -> Iterator[PybuildError]:
        counted = self._git("rev-list", "--left-right", "--count", "HEAD...@{upstream}").stdout.split()
        ours, theirs = (int(count) for count in counted) if len(counted) == 2 else (0, 1)
        if ours and theirs:
            what = "the branch has diverged: it has commits that its upstream has not, and the other way"
            yield ConfigError(what, where=str(self.root), cure="git pull --rebase there, then git push")
        elif theirs and (merged := self._git("merge", "--ff-only", "--quiet", "@{upstream}")).returncode:
            yield refusal(merged, "git merge --ff-only", root=self.root)

    def _no_commit(self, done: Completed) -> ConfigError:
        """Why git can't tell what is checked out; it looks at no repository that belongs to another user."""
        if b"dubious ownership" in done.stderr:
            what, cure = (
                "the git repository belongs to another user",
                f"git config --global --add safe.directory {self.root}",
            )
            return ConfigError(what, where=str(self.root), cure=cure)
        what = f"there is no git commit to start from: {_last_line(done)}"
        return ConfigError(what, where=str(self.root), cure="git clone it anew, or do without --pull")

    def _git(self, *arguments: str) -> Completed:
        environment = own_environment() | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        return self.run(["git", *arguments], cwd=self.root, env=environment, timeout=_PATIENCE)


def refusal(done: Completed, what: str, *, root: Path) -> ConfigError:
    """Why git did not change the working tree.

    Args:
        done: How it ended.
        what: The command, for the message.
        root: The workspace.
    """
    told = done.stderr.decode(errors="replace")
    if lock := re.search(r"'([^'\n]*\.lock)': File exists", told):
        return ConfigError(
            f"{what} fails: a git that was killed left a lock",
            where=lock[1],
            cure="see that no git is at work there, then remove that file",
        )
    if "would be overwritten" in told:
        return ConfigError(
            f"{what} would overwrite changes that are not committed",
            where=str(root),
            cure="commit them, or take them back with git restore",
        )
    return ConfigError(f"{what} fails: {_last_line(done)}", where=str(root), cure="try it there")


def _last_line(done: Completed) -> str:
    lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "")
    # Who may read the message is not always who may know the password in a remote's URL.
    return re.sub(r"(?<=://)[^/\s]*@", "", told.partition(":")[2].strip() or told or f"status {done.returncode}")

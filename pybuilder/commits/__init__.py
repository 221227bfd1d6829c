"""Commits to a workspace: exactly the files that are named, whatever else somebody has changed or staged there.

A file that somebody has changed and not committed is refused: half-done work is never committed. Pins that pybuild has
written are no such change. A run that is killed between writing and committing has left a note in the state, by which
the next one finishes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from pybuilder.clock import new_attempt_id
from pybuilder.commits.journal import Entry, Journal
from pybuilder.commits.repository import Repository
from pybuilder.errors import CommitError, ConfigError, PybuildError
from pybuilder.files import file_lock
from pybuilder.layout import Layout
from pybuilder.spec import parse_spec
from pybuilder.spec_edit import with_pin
from pybuilder.state import State
from pybuilder.work import work_directory
from pybuilder.workspace import Workspace
from pybuilder.workspace.edits import Change, changed, clear_unfinished, content, undo, write

__all__ = ["Change", "Commits"]

_IGNORED = "!!"  # as `git status --porcelain` has it


@dataclass(frozen=True, kw_only=True, slots=True)
class Commits:
    """Writes changes into a workspace and commits them.

    Attributes:
        workspace: Whose files.
        layout: The state directory, for locks and for separate working trees.
        state: Keeps the note of what is not finished.
        now: The clock, which dates commits.
    """

    workspace: Workspace
    layout: Layout
    state: State
    now: Callable[[], datetime]

    def commit(self, changes: Sequence[Change], message: str, *, recheck: Callable[[], None] = lambda: None) -> str:
        """Write changes and commit them, on the branch that is checked out.

        Args:
            changes: In the order in which they are written. What an interrupted run has written already is committed.
            message: The commit's.
            recheck: Called while nobody else can write; where it raises, nothing is written.

        Returns:
            The commit; empty where the workspace is in no git repository, where the changes are written all the same.

        Raises:
            CommitError: Somebody's work is in the way, or a hook or git refuses; the files are as they were.
            ConfigError: Somebody has changed a file meanwhile.
            StateError: The disk doesn't let us.
        """
        with file_lock(self.layout.lock("commits")):
            with suppress(PybuildError):
                self._finish()
            return self._commit(Entry(changes=tuple(changes), message=message), recheck)

    def check(self, changes: Sequence[Change]) -> None:
        """Refuse what ``commit`` would refuse before it writes anything.

        Raises:
            CommitError: Somebody's work is in the way.
        """
        repository = self._repository
        if repository.exists:
            repository.check_ready()
            self._check_dirt(changes)

    def propose(self, changes: Sequence[Change], message: str, *, branch: str) -> str:
        """Commit changes on a branch of their own, which begins at what is checked out; nothing else is touched.

        Args:
            changes: What the commit has.
            message: The commit's.
            branch: The branch, which is made.

        Returns:
            The commit.

        Raises:
            CommitError: The workspace is in no git repository, somebody's work is in the way, there is such a branch,
                or a hook or git refuses.
        """
        repository = self._repository
        if not repository.exists:
            raise CommitError(
                "this workspace is in no git repository, so that there can be no branch",
                where=str(self.workspace.root),
                cure="git init, or write into the files with --apply",
            )
        with file_lock(self.layout.lock("commits")):
            if repository.branch(branch):
                raise CommitError(
                    f"there is a branch {branch} with something else on it",
                    where=str(self.workspace.root),
                    cure=f"merge it, or remove it: git branch -D {branch}",
                )
            self._check_dirt(changes)
            repository.forget_separate(self.layout.works)
            with work_directory(self.layout, new_attempt_id(self.now())) as work:
                with repository.separate(work / "tree", repository.head()) as separate:
                    write(separate.root, [_on(separate, each) for each in changes])
                    commit = separate.commit([each.file for each in changes], message)
                repository.start_branch(branch, commit)
            return commit

    def proposed(self, branch: str, file: str) -> tuple[str, bytes | None]:
        """The commit that a branch is at, and a file there; nothing where there is no such branch."""
        repository = self._repository
        tip = repository.branch(branch) if repository.exists else ""
        return tip, repository.committed(file, tip) if tip else None

    def finish(self) -> str:
        """Finish what a killed run has begun to commit; the commit, or nothing.

        Raises:
            CommitError: It can't be committed; its files are as they were.
        """
        with file_lock(self.layout.lock("commits")):
            return self._finish()

    @property
    def _repository(self) -> Repository:
        return Repository(root=self.workspace.root, run=self.workspace.run, now=self.now)

    def _finish(self) -> str:
        entry = self._journal.pending()
        if entry is None:
            return ""
        clear_unfinished(self.workspace.root, entry.changes)
        if changed(self.workspace.root, entry.changes):
            # Somebody has gone on with it by hand, and knows better.
            self._journal.clear()
            return ""
        if self._repository.exists:
            self._repository.forget_lock()
        return self._commit(entry)

    @property
    def _journal(self) -> Journal:
        return Journal(state=self.state, root=self.workspace.root)

    def _commit(self, entry: Entry, recheck: Callable[[], None] = lambda: None) -> str:
        repository, root = self._repository, self.workspace.root
        self.check(entry.changes)
        self._journal.begin(entry)
        ended = True
        try:
            write(root, entry.changes, recheck=recheck)
            if not repository.exists:
                return ""
            try:
                return self._record(repository, entry)
            except BaseException as error:
                # git may have made it: interrupted at its very end, or for a run that was killed before.
                if not self._is_committed(entry.changes):
                    ended = False
                    undo(root, entry.changes)
                    ended = True
                elif isinstance(error, CommitError):
                    return repository.last([each.file for each in entry.changes])
                raise
        finally:
            # What is half undone is finished by the next run.
            if ended:
                self._journal.clear()

    def _is_committed(self, changes: Sequence[Change]) -> bool:
        return all(self._repository.committed(each.file) == each.after for each in changes)

    def _record(self, repository: Repository, entry: Entry) -> str:
        files = [each.file for each in entry.changes]
        open_files = [file for file in files if repository.status(file)]
        return repository.commit(open_files, entry.message) if open_files else repository.last(files)

    def _check_dirt(self, changes: Sequence[Change]) -> None:
        """Refuse files with changes that are neither committed nor pybuild's own."""
        repository = self._repository
        for each in changes:
            status = repository.status(each.file)
            if not status:
                continue
            head, staged = repository.committed(each.file), repository.committed(each.file, "")
            if status == _IGNORED:
                what, cure = "is ignored by git, so that it can't be committed", "take it out of .gitignore"
            elif head is None and each.before not in (None, each.after):
                what, cure = "has never been committed", f"git add {each.file}, git commit; or take it away"
            elif all(_is_ours(data, each, head) for data in (content(self.workspace.root / each.file), staged)):
                continue
            else:
                what, cure = "has changes that nobody has committed", f"commit them, or undo them: git diff {each.file}"
            raise CommitError(f"{each.file} {what}", where=str(self.workspace.root / each.file), cure=cure)


def _on(separate: Repository, change: Change) -> Change:
    """A change in a tree where what nobody has committed is not to be found."""
    return Change(file=change.file, before=content(separate.root / change.file), after=change.after)


def _is_ours(data: bytes | None, change: Change, head: bytes | None) -> bool:
    """Whether what is in a file, or staged of it, was committed, or is what pybuild has written."""
    if data in (head, change.after):
        return True
    if head is None:
        return not data  # a file that was only announced to git, by a run that was killed then
    return data is not None and _has_more_pins(head, data, change.file)


def _has_more_pins(before: bytes, after: bytes, file: str) -> bool:
    """Whether a spec is what it was, line by line and comments included, but for pins that pybuild writes."""
    try:
        text, now = before.decode(), after.decode()
        old, new = parse_spec(text, file), parse_spec(now, file)
        for version, pin in new.versions.items():
            if old.pin(version) != pin:
                text = with_pin(text, version, pin)
    except (ConfigError, UnicodeDecodeError):
        return False
    return _lines(text) == _lines(now)


def _lines(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if line.strip())

"""What ``update`` does with new versions: writes them into specs, and commits them, on branches if that is wanted."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from packaging.version import Version

from pybuilder.cli.options import Options
from pybuilder.cli.places import open_layout, open_workspace
from pybuilder.cli.progress import listener
from pybuilder.errors import CommitError, PybuildError, ReviewError, UsageError
from pybuilder.printable import printable

if TYPE_CHECKING:
    from pybuilder.update import Finding
    from pybuilder.uptake import Prepared, Uptake

How = Literal["apply", "commit", "branch"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What became of one new version.

    Attributes:
        name: The package.
        version: The version.
        how: What was to be done with it.
        prepared: What it comes to; None where nobody could find out.
        error: Why it was not taken, or waits for a person; None where it was.
        commit: The commit, if there is one.
        branch: The branch that this is on, where it has one of its own.
    """

    name: str
    version: Version
    how: How
    prepared: Prepared | None = None
    error: PybuildError | None = None
    commit: str = ""
    branch: str = ""

    @property
    def as_json(self) -> dict[str, Any]:
        """For programs."""
        error = self.error
        told = {"phase": error.phase, "what": error.what, "where": error.where, "do": error.cure} if error else None
        facts = self.prepared.as_json if self.prepared else {"name": self.name, "version": str(self.version)}
        return {**facts, "taken": error is None, "commit": self.commit, "branch": self.branch, "error": told}

    def lines(self) -> Iterator[str]:
        """For people."""
        if self.prepared is None:
            return
        if self.error is None:
            yield f"{self.name} {self.version}: {self._done(self.prepared)}"
        else:
            yield f"{self.name} {self.version}: left as it was"
        yield from (f"  {line}" for line in prepared_lines(self.prepared))

    def _done(self, prepared: Prepared) -> str:
        files = ", ".join(change.file for change in prepared.changes)
        if self.branch:
            return f"commit {self.commit[:12]} on the branch {self.branch}"
        if self.commit:
            return f"commit {self.commit[:12]}: {files}"
        lacking = "; not committed, since the workspace is in no git repository" if self.how == "commit" else ""
        return f"written: {files}{lacking}"


def prepared_lines(prepared: Prepared) -> Iterator[str]:
    """What taking in a new version comes to, for people."""
    for change in prepared.requirements:
        yield change.line
    for patch in prepared.patches:
        yield f"patch {patch.line}"
        yield from (f"  {line}" for line in patch.rejects)
    yield from (f"look: {note}" for note in prepared.notes)
    if count := prepared.needed_by:
        yield f"{count} {'package needs' if count == 1 else 'packages need'} it"


def finish(options: Options) -> None:
    """Commit what a run was about to commit when it was killed; what can't be, is found as new again."""
    from pybuilder import clock
    from pybuilder.commits import Commits
    from pybuilder.state import State

    workspace = open_workspace(options)
    layout = open_layout(options, workspace)
    with contextlib.closing(State.open(layout)) as state, contextlib.suppress(CommitError):
        Commits(workspace=workspace, layout=layout, state=state, now=clock.now).finish()


def take(options: Options, findings: Sequence[Finding], how: How, *, named: Collection[str]) -> tuple[Taken, ...]:
    """Take the new versions that were found into their specs; what goes wrong with one is that one's error.

    Those that a person must look at first wait in the review queue.

    Args:
        options: What stands before the command.
        findings: What was found.
        how: What is done.
        named: The packages that were asked for by name.
    """
    from pybuilder.cli.session import open_session
    from pybuilder.review_queue import ask

    news = [(finding, version) for finding in findings for version in sorted(finding.news)]
    wanted = [(finding, version) for finding, version in news if finding.mode != "off" or finding.name in named]
    if not wanted:
        return ()
    with listener(options) as listen, open_session(options, listen) as session:
        uptake, adapters = session.uptake(), session.adapters
        taken = tuple(_take(uptake, finding, version, how) for finding, version in wanted)
        waits = [each for one in taken if isinstance(one.error, ReviewError) for each in one.error.wanted]
        if waits:
            ask(adapters.state, session.workspace, [adapters.index], waits, now=adapters.now())
        return taken


def _take(uptake: Uptake, finding: Finding, version: Version, how: How) -> Taken:
    name, prepared = finding.name, None
    try:
        if finding.mode == "off" and finding.spec:
            raise UsageError(
                f"updates of {name} are off: {printable(finding.spec.update.reason)}",
                where=finding.spec.document.place(("update", "mode")),
                cure="set [update] mode to auto or review",
            )
        prepared = uptake.prepare(name, version)
        commit = _do(uptake, prepared, how)
    except PybuildError as error:
        return Taken(name=name, version=version, how=how, prepared=prepared, error=error)
    branch = prepared.branch if how == "branch" else ""
    return Taken(name=name, version=version, how=how, prepared=prepared, commit=commit, branch=branch)


def _do(uptake: Uptake, prepared: Prepared, how: How) -> str:
    """Write a version, and commit it where that is wanted; the commit."""
    if how == "commit":
        return uptake.commit(prepared)
    if how == "branch":
        return uptake.propose(prepared)
    uptake.write(prepared)
    return ""

"""A person's yes and no: what becomes of a package, or of a new version, that waits for review.

Yes to a package is a spec, pinned and committed. No is an entry in ``specs/rejected.toml``, or a version that a spec
ignores from now on. The queue itself is not decided here: it is renewed from what the workspace says then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.commits import Change, Commits
from pybuilder.errors import UsageError
from pybuilder.new import NewSpec, SpecWriter
from pybuilder.printable import printable
from pybuilder.rejections import FILE, Rejection, with_rejection, without_rejection
from pybuilder.review_queue import Waiting, waiting, wanted_specifiers
from pybuilder.screening.policy import cure
from pybuilder.spec_edit import with_ignored
from pybuilder.state import State
from pybuilder.workspace import Workspace
from pybuilder.workspace.edits import content

Outcome = Literal["taken in", "updated", "accepted already", "rejected", "rejected already", "ignored"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What a yes or a no came to.

    Attributes:
        name: The package.
        outcome: In a word.
        versions: The versions that were pinned, or are ignored from now on; none where it is about the whole package.
        file: The file that says so, below the workspace.
        commit: The commit; empty where nothing had to be written, or the workspace is in no git repository.
        new: The spec that was written.
    """

    name: NormalizedName
    outcome: Outcome
    versions: tuple[Version, ...] = ()
    file: str
    commit: str = ""
    new: NewSpec | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reviews:
    """Carries out decisions, each as one commit.

    Attributes:
        workspace: Where they are written.
        state: The queue.
        commits: Commits them.
        writer: Writes first specs.
        update: Pins a new version of an accepted package, as ``pybuild update --commit`` does; the commit.
        now: The clock.
    """

    workspace: Workspace
    state: State
    commits: Commits
    writer: SpecWriter
    update: Callable[[NormalizedName, Version], str]
    now: Callable[[], datetime]

    def approve(self, name: NormalizedName, version: Version | None = None) -> Decision:
        """Take in a package, though it may have been rejected, or the new versions that wait of an accepted one.

        Args:
            name: The package.
            version: The version that is meant; None for the one that is wanted, or for all new ones that wait.

        Raises:
            UsageError: Nobody has asked for it, or somebody else rejects it meanwhile.
            PybuildError: It can't be had, or can't be committed; nothing has changed then but for the new versions
                before it, which are committed.
        """
        entries = waiting(self.state, name)
        if not self.workspace.accepts(name):
            return self._take_in(name, version, entries)
        file, updates = f"specs/{name}.toml", self._updates(name, version, entries)
        if updates:
            done = [self.update(name, each) for each in updates]
            return Decision(name=name, outcome="updated", versions=updates, file=file, commit=done[-1])
        if entries and all(entry.is_screening for entry in entries):
            raise UsageError(f"{name} is accepted; what waits is {entries[0].wanted_by}", where=file, cure=cure(name))
        return Decision(name=name, outcome="accepted already", file=file)

    def reject(self, name: NormalizedName, version: Version | None = None, *, reason: str) -> Decision:
        """Turn down a package for good, or the new versions that wait of an accepted one.

        Args:
            name: The package.
            version: The new version that is meant; None for all that wait, and of a package that is not accepted.
            reason: Why; may be empty.

        Raises:
            UsageError: It is accepted, or somebody else accepts it meanwhile, and nothing of it waits.
            PybuildError: It can't be committed; nothing has changed then.
        """
        self.workspace.spec_path(name)  # refuses a name that no package can have
        if self.workspace.accepts(name):
            return self._ignore(name, version, reason)
        if version is not None:
            cure = f"reject the package: pybuild review reject {name}"
            raise UsageError(f"{name} has no spec, so that it can't be told to ignore {version}", cure=cure)
        if name in self.workspace.rejections and not reason:
            return Decision(name=name, outcome="rejected already", file=FILE)
        before = content(self.workspace.root / FILE)
        by = self.workspace.author()
        after = with_rejection(_text(before), name, reason=reason, by=by, when=self.now()).encode()
        message = _message(f"Reject {name}", [reason, *_wishes(waiting(self.state, name))])
        changes = [Change(file=FILE, before=before, after=after)]
        commit = self.commits.commit(changes, message, recheck=partial(self._check_not_accepted, name))
        return Decision(name=name, outcome="rejected", file=FILE, commit=commit)

    def _take_in(self, name: NormalizedName, version: Version | None, entries: Sequence[Waiting]) -> Decision:
        rejection = self.workspace.rejections.get(name)
        if not entries and not rejection:
            raise UsageError(f"nobody waits for {name}", cure=f"write its spec: pybuild new {name}")
        new = self.writer.compose(Requirement(f"{name}{self._wanted(name, version, entries)}"))
        file = f"specs/{name}.toml"
        changes = [Change(file=file, before=None, after=new.text.encode())]
        about = [" · ".join(filter(None, (new.findings.summary, new.findings.licence))), *_wishes(entries)]
        if rejection:
            before = content(self.workspace.root / FILE)
            changes.append(Change(file=FILE, before=before, after=without_rejection(_text(before), name).encode()))
            about.append(f"It was {rejection.sentence}")
        message = _message(f"Take in {name} {new.version}", about)
        commit = self.commits.commit(changes, message, recheck=partial(self._check_not_rejected, name, rejection))
        return Decision(name=name, outcome="taken in", versions=(new.version,), file=file, commit=commit, new=new)

    def _check_not_accepted(self, name: NormalizedName) -> None:
        """Refuse to reject what somebody has taken in since we looked."""
        if self.workspace.accepts(name):
            raise _decided(name, "accepted", f"specs/{name}.toml")

    def _check_not_rejected(self, name: NormalizedName, rejection: Rejection | None) -> None:
        """Refuse to take in what somebody has rejected since we looked, for the first time or anew."""
        # A fresh workspace, which knows what has been written meanwhile.
        if replace(self.workspace).rejections.get(name, rejection) != rejection:
            raise _decided(name, "rejected", FILE)

    def _wanted(self, name: NormalizedName, version: Version | None, entries: Sequence[Waiting]) -> SpecifierSet:
        """What all want of the version together; where nothing satisfies that, what the first of them wants who can."""
        if version is not None:
            return SpecifierSet(f"=={version}")
        wanted = wanted_specifiers(entries)
        return next((each for each in wanted if self.writer.chooser.offered(name, each)), wanted[0])

    def _ignore(self, name: NormalizedName, version: Version | None, reason: str) -> Decision:
        file = f"specs/{name}.toml"
        versions = self._updates(name, version, waiting(self.state, name))
        if not versions:
            cure = f"to give it up, remove {file}; to leave out versions, list them there under [update] ignore"
            raise UsageError(f"{name} is accepted, and no new version of it waits", where=file, cure=cure)
        self.workspace.spec(name)  # refuses one that is wrong, with its line
        before = content(self.workspace.root / file)
        after = with_ignored(_text(before), versions, reason).encode()
        message = _message(f"Ignore {name} {', '.join(map(str, versions))}", [reason])
        commit = self.commits.commit([Change(file=file, before=before, after=after)], message)
        return Decision(name=name, outcome="ignored", versions=versions, file=file, commit=commit)

    def _updates(
        self, name: NormalizedName, version: Version | None, entries: Sequence[Waiting]
    ) -> tuple[Version, ...]:
        """The new versions that wait, oldest first: all, or the one that is meant."""
        there = sorted(entry.version for entry in entries if entry.is_update)
        if version is None:
            return tuple(there)
        if version not in there:
            listed = (
                f"what waits: {', '.join(map(str, there))}" if there else f"see what waits: pybuild review show {name}"
            )
            raise UsageError(f"{name} {version} does not wait for review", cure=listed)
        return (version,)


def _decided(name: NormalizedName, how: str, file: str) -> UsageError:
    return UsageError(
        f"somebody else has {how} {name} meanwhile", where=file, cure=f"look again: pybuild review show {name}"
    )


def _wishes(entries: Sequence[Waiting]) -> list[str]:
    return [f"Wanted as {each.requirement} by {each.wanted_by}" for each in entries if not each.is_screening]


def _message(title: str, paragraphs: Sequence[str]) -> str:
    """A commit's message; what strangers wrote in it is one line each."""
    told = [printable(" ".join(text.split())) for text in paragraphs]
    return "\n".join([title, *([""] if any(told) else []), *filter(None, told)]) + "\n"


def _text(data: bytes | None) -> str:
    return (data or b"").decode()

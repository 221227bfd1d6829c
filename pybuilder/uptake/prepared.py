"""A new version as it would be taken into a spec: what is written, what people should know, the commit's message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.patching.rebase import Fate
from pybuilder.printable import printable
from pybuilder.requirement_changes import RequirementChange
from pybuilder.spec import Pin
from pybuilder.workspace.edits import Change


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchNews:
    """What becomes of one patch.

    Attributes:
        file: Its name below ``patches/<name>/``.
        fate: In a word.
        why: Where it does not apply as it is.
        now: The file that takes its place for the new version, where it was rebased.
        until: The versions that it is for from now on, where that was changed.
        rejects: The hunks that have no place in the new source, where it was rejected.
    """

    file: str
    fate: Fate
    why: str = ""
    now: str = ""
    until: str = ""
    rejects: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """As a line of a message."""
        if self.fate == "merged":
            return f"{self.file}: upstream has merged it; it is for {self.until} from now on"
        if self.fate == "rebased":
            kept = f", the old one is for {self.until} from now on" if self.until else ""
            return f"{self.file}: rebased, as {self.now}{kept}"
        return f"{self.file}: {'still applies' if self.fate == 'applies' else 'does not apply, nor can it be rebased'}"

    @property
    def as_json(self) -> dict[str, Any]:
        """For programs."""
        stated = {"file": self.file, "fate": self.fate, "why": self.why, "now": self.now, "versions": self.until}
        return {**stated, "rejects": list(self.rejects)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A new version, ready to be written unless a person must look first.

    Attributes:
        name: Normalised package name.
        version: The new version.
        old: The newest that is pinned below it; None where there is none.
        pin: Its source.
        review: Why a person must look, a sentence; empty where nobody must.
        changes: What is written, in an order in which no older version ever gets a patch that is not its own; nothing
            where a person must look.
        patches: What becomes of those that are for it, up to one that is rejected.
        requirements: What it requires otherwise than the old version.
        notes: What else a person should know, a sentence each.
        needed_by: How many packages need it, by what is published.
    """

    name: NormalizedName
    version: Version
    old: Version | None
    pin: Pin
    review: str
    changes: tuple[Change, ...]
    patches: tuple[PatchNews, ...]
    requirements: tuple[RequirementChange, ...]
    notes: tuple[str, ...]
    needed_by: int

    @property
    def is_more_than_a_pin(self) -> bool:
        """Whether building it takes more than its pin: patches have changed, or the versions that they are for."""
        return any(patch.fate in ("merged", "rebased") for patch in self.patches)

    @property
    def branch(self) -> str:
        """The branch for reviewing it by pull request."""
        return f"pybuild/{self.name}-{self.version}"

    @property
    def message(self) -> str:
        """The message of the commit that takes it in."""
        return "\n".join(_message(self)) + "\n"

    @property
    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "version": str(self.version),
            "old": str(self.old or ""),
            "pin": self.pin.model_dump(by_alias=True, exclude_defaults=True),
            "review": self.review,
            "files": [change.file for change in self.changes],
            "patches": [patch.as_json for patch in self.patches],
            "requirements": [change.as_json for change in self.requirements],
            "notes": list(self.notes),
            "needed_by": self.needed_by,
        }


def _message(prepared: Prepared) -> Iterator[str]:
    pin = prepared.pin
    yield f"{prepared.name}: update to {prepared.version}" + (f" from {prepared.old}" if prepared.old else "")
    yield ""
    yield from filter(None, (pin.file and f"Source: {pin.file}", pin.commit and f"Commit: {pin.commit}"))
    if pin.sha256:
        yield f"sha256: {pin.sha256}"
    sections = {
        "Requirements": [change.line for change in prepared.requirements],
        "Patches": [patch.line for patch in prepared.patches],
        "Look": list(prepared.notes),
    }
    for title, lines in sections.items():
        if lines:
            yield from ("", f"{title}:", *(f"- {printable(line)}" for line in lines))
    count = prepared.needed_by
    yield from ("", f"Needed by {count} {'package' if count == 1 else 'packages'}." if count else "Nothing needs it.")

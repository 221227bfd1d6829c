"""What the rules of a spec say of what upstream has of a package (DESIGN.md, "which version a requirement gets")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from packaging.version import Version

from pybuilder.candidates import Found, Rules
from pybuilder.clock import timestamp
from pybuilder.state import State
from pybuilder.upstream.files import File


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The rules, and what they are about.

    Attributes:
        rules: The rules of the spec.
        found: What upstream says of each version.
        seen: When those were first heard of that upstream gives no time for.
    """

    rules: Rules
    found: Mapping[Version, Found]
    seen: Mapping[str, str]

    @classmethod
    def on(cls, files: Mapping[Version, File], rules: Rules, state: State) -> Self:
        """The verdict on the files that upstream has, one of each version; the state remembers first sights."""
        found = {version: _found(file) for version, file in files.items()}
        undated = rules.undated(found.items())
        seen = state.first_sights(rules.spec.name, undated, now=timestamp(rules.now)) if undated else {}
        return cls(rules=rules, found=found, seen=seen)

    def takes(self, version: Version, *, named: bool, asked_for: bool) -> bool:
        """Whether nothing forbids a version.

        Args:
            version: The version.
            named: Whether a requirement names it: it may be yanked (PEP 592).
            asked_for: Whether a person does: it may be young as well.
        """
        found = self.found[version]
        lasting = self.rules.lasting_objection(version, found)
        if lasting and not (lasting[0] == "yanked" and (named or asked_for)):
            return False
        return asked_for or self.rules.age_objection(version, found, self.seen) is None

    def is_only_young(self, version: Version) -> bool:
        """Whether a version's age is all that forbids it."""
        objection = self.rules.objection(version, self.found[version], self.seen)
        return objection is not None and objection[0] == "too young"

    def ripe_at(self, version: Version) -> datetime | None:
        """When a version will be old enough; None where it is."""
        return self.rules.ripe_at(version, self.found[version], self.seen)


def _found(file: File) -> Found:
    return Found(
        text=file.filename,
        uploaded=file.upload_time,
        yanked=file.yanked_reason if file.yanked else None,
        requires_python=file.requires_python,
        file=file.filename,
        sha256=file.sha256 or "",
    )

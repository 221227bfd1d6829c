"""Drafts of which nothing is written before it has been built, validated and published: for runs nobody watches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from pybuilder.provenance import CLEAN, DIRTY
from pybuilder.workspace.checkout import Revision
from pybuilder.workspace.drafts import Drafts

if TYPE_CHECKING:
    from pybuilder.spec import EffectiveSpec


@dataclass(frozen=True, kw_only=True)
class Held(Drafts):
    """A workspace that only gains what has been published; the state pins every source at first sight, as always.

    Attributes:
        proposed: As in ``Workspace``; ``propose`` adds to it.
    """

    proposed: dict[str, Path] = field(default_factory=dict)

    def propose(self, name: str, files: Mapping[str, Path]) -> None:
        """Take a package's spec and patches as they would be.

        Args:
            name: The package.
            files: By their paths below the workspace, files elsewhere.
        """
        self.proposed.update(files)
        self._specs.pop(name, None)

    @property
    def unwritten(self) -> tuple[tuple[str, Version], ...]:
        """The versions whose pins were noted, sorted."""
        return tuple(sorted(self._pins))

    def settle(self, packages: Iterable[tuple[str, Version]]) -> tuple[str, ...]:
        """Write nothing yet."""
        return ()

    def revision(
        self, package: str, version: Version, spec: EffectiveSpec, *, beside: Iterable[str], **more: Any
    ) -> Revision:
        """The same; no commit has a spec that is not written yet."""
        names = (package, *beside)
        found = super().revision(package, version, spec, beside=names[1:], **more)
        drafted = any(name in self.texts for name in names)
        return replace(found, state=DIRTY) if drafted and found.state == CLEAN else found

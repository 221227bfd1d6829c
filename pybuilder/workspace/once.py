"""A workspace that reads each of its specs once, for whoever looks at all of them several times."""

from __future__ import annotations

from dataclasses import dataclass, field

from pybuilder.spec import Spec
from pybuilder.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class ReadOnce(Workspace):
    """The workspace as it was when each spec was first asked for."""

    _specs: dict[str, Spec | None] = field(default_factory=dict)

    def spec(self, name: str) -> Spec | None:
        """The spec of a package; see ``Workspace.spec``."""
        if name not in self._specs:
            self._specs[name] = super().spec(name)
        return self._specs[name]

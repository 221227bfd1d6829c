"""A workspace with what a plan would add to it: specs of packages that nobody has accepted yet, and pins.

A plan looks further than what is accepted, so that a person sees everything at once that waits for review. Nothing is
written before somebody says so.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.version import Version

from pybuilder.errors import ConfigError
from pybuilder.names import normalize
from pybuilder.workspace import Workspace

if TYPE_CHECKING:
    from pybuilder.spec import Pin, Spec


@dataclass(frozen=True, kw_only=True)
class Drafts(Workspace):
    """A workspace in which every package has a spec: its own, a drafted one, or an empty one.

    Attributes:
        accept_new: Whether packages without a spec of their own count as accepted.
        texts: The drafted specs, by package.
    """

    accept_new: bool = False
    texts: dict[str, str] = field(default_factory=dict)
    _pins: dict[tuple[str, Version], Pin] = field(default_factory=dict)
    _specs: dict[str, Spec] = field(default_factory=dict)
    _changing: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def accepts(self, name: str) -> bool:
        """Whether builds of the package may run: it has a spec, or new ones are taken in and nobody has rejected it."""
        return super().accepts(name) or (self.accept_new and not self.refusal(name))

    def spec(self, name: str) -> Spec:
        """The spec of a package as it is, or as it would be; read once."""
        if found := self._specs.get(name):
            return found
        from pybuilder.spec import parse_spec

        # Who reads it while another thread drafts it must not put back what it was before.
        with self._changing:
            text = self.texts.get(name, f'name = "{normalize(name)}"\n')
            try:
                found = self._specs[name] = super().spec(name) or parse_spec(text, f"specs/{name}.toml")
            except ConfigError as error:
                # Else whoever needs it is blamed.
                error.package = (normalize(name), "")
                raise
        return found

    def has_spec(self, name: str) -> bool:
        """Whether the package has a spec of its own, or a drafted one."""
        return name in self.texts or super().accepts(name)

    def draft(self, name: str, text: str) -> None:
        """Give a package that has no spec one that is written by ``settle``."""
        with self._changing:
            self.texts[name] = text
            self._specs.pop(name, None)

    def write_pin(self, name: str, version: Version, pin: Pin) -> bool:
        """Note a pin; it is written by ``settle``."""
        self._pins[name, version] = pin
        return True

    def noted(self, name: str, version: Version) -> Pin | None:
        """The pin that ``write_pin`` was given for a version and ``settle`` has not written."""
        return self._pins.get((name, version))

    def settle(self, packages: Iterable[tuple[str, Version]]) -> tuple[str, ...]:
        """Write the drafted specs and the pins of these packages.

        Returns:
            The names of the packages that have a spec now and had none.

        Raises:
            StateError: The disk doesn't let us.
        """
        new = []
        for name, version in packages:
            if not super().accepts(name):
                if name not in self.texts:
                    continue
                if self.add_spec(name, self.texts[name]):
                    new.append(name)
            pin = self._pins.pop((name, version), None)
            if pin is not None:
                super().write_pin(name, version, pin)
        return tuple(dict.fromkeys(new))

"""One thing that was looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pybuilder.errors import PybuildError
from pybuilder.processes import run

HOST = "the host buildroot"
RPMS = "RPM buildroots"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        ok: Whether it is as it should be.
        found: What there is, or what is wrong.
        needed_for: Who needs it.
        cure: The command that mends it; empty where all is well.
    """

    name: str
    ok: bool
    found: str
    needed_for: str
    cure: str = ""

    @property
    def needed(self) -> bool:
        """Whether the host buildroot can't do without it."""
        return self.needed_for == HOST


def tried(name: str, needed_for: str, attempt: Callable[[], str]) -> Check:
    """A check that is well unless it raises.

    Args:
        name: What is looked at.
        needed_for: Who needs it.
        attempt: Says what there is.
    """
    try:
        return Check(name=name, ok=True, found=attempt(), needed_for=needed_for)
    except PybuildError as error:
        found = f"{error.what} ({error.where})" if error.where else error.what
        return Check(name=name, ok=False, found=found, needed_for=needed_for, cure=error.cure)


def version(program: str) -> str:
    """The last word of the first line that ``PROGRAM --version`` prints."""
    return run([program, "--version"], timeout=30).stdout.decode(errors="replace").splitlines()[0].split()[-1]

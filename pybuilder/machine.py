"""What a run over a tree has to run on."""

from __future__ import annotations

from dataclasses import dataclass

from pybuilder.spec import Limits

_LEAST_CPUS = 4  # Few enough that many builds at once don't drown a large machine.


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What the builds of a run may use together.

    Attributes:
        cpus: Processors.
        memory: Bytes.
        jobs: Builds at a time.
        jobs_stated: Whether somebody said how many; then there is not one more, however urgent.
    """

    cpus: int
    memory: int
    jobs: int
    jobs_stated: bool = False

    def least_cpus(self, limits: Limits) -> int:
        """Processors that a build may use at least: a long one must not sit on one while the others fall idle."""
        return limits.cpus or min(self.cpus, _LEAST_CPUS)

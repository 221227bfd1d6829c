"""What a run over a tree is made of: its tasks, what they have to run on, and what they say when they end or wait."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pybuilder.plan import Plan
from pybuilder.stages import Made
from pybuilder.stages.publish import Outcome
from pybuilder.tree import Package


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What the builds of a run may use together.

    Attributes:
        cpus: Processors.
        memory: Bytes.
        jobs: Builds at a time.
    """

    cpus: int
    memory: int
    jobs: int


@dataclass(frozen=True, eq=False, slots=True)
class TaskId:
    """A task: what is done, to which packages, and for the how many-th time since plans changed.

    One that makes a payload is prepared first, which takes no room on the machine, and suspended until there is some.
    """

    do: Literal["make", "publish"]
    packages: tuple[Package, ...]
    turn: int


class Making(NamedTuple):
    """How a payload is made: the task that ends with it, and the environment that it is made in."""

    task: TaskId
    environment: tuple[Package, ...]


MakePlan = Callable[[], Plan]
"""Makes the plan of a package; what it needs to know was looked up when the task started."""


class Wants(NamedTuple):
    """A running build waits for a plan with more in its environment."""

    task: TaskId
    answer: Future[MakePlan]


class Ended(NamedTuple):
    """A task has ended: with a payload, with a plan that has to be built, with what was published, or badly."""

    task: TaskId
    result: Made | Plan | tuple[Outcome, ...]
    error: BaseException | None

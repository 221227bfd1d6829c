"""What a run over a tree is made of: its tasks, and what they say when they end or wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pybuilder.errors import BuildError, PybuildError
from pybuilder.events import Listener, Remaining
from pybuilder.plan import Plan
from pybuilder.schedule import Schedule, Task
from pybuilder.spec.tables import Limits
from pybuilder.stages import Made
from pybuilder.stages.publish import Outcome
from pybuilder.tree import Package, package_id

# What has everything it needs is ready to be built in less time; seconds.
_MOMENT = 0.05

_BETWEEN = 0.5  # Seconds between two estimates of the time that is left, at least.
_WORTH = 0.02  # Of the time, for these.

# What a build without limits of its own is taken to need beside a processor, so that many don't fill the machine.
_USUAL_MEMORY = 1 << 30


@dataclass(frozen=True, eq=False, slots=True)
class TaskId:
    """A task: what is done, to which packages, and for the how many-th time since plans changed.

    One that makes a payload is prepared first, which takes no room on the machine, and suspended until there is some.
    One that publishes tests first, where it would have to wait for what is installed with it, and is suspended then.
    """

    do: Literal["make", "publish"]
    packages: tuple[Package, ...]
    turn: int


class Making(NamedTuple):
    """How a payload is made: the task that ends with it, and the environment that it is made in."""

    task: TaskId
    environment: tuple[Package, ...]


@dataclass(slots=True)
class Patience:
    """How long to wait for what is more urgent than all that could start, and is ready in a moment or two.

    A build makes way for nothing once it has begun; those that are ready together go by their paths.
    """

    _began: dict[TaskId, float] = field(default_factory=dict)

    def begin(self, task: TaskId) -> None:
        """A task is prepared."""
        self._began[task] = time.monotonic()

    def end(self, task: TaskId) -> None:
        """It is not prepared any more."""
        self._began.pop(task, None)

    def seconds(self, schedule: Schedule[TaskId]) -> float:
        """How long to wait at most; 0 is not at all."""
        now = time.monotonic()
        fresh = {task: began + _MOMENT - now for task, began in self._began.items() if began + _MOMENT > now}
        return max((left for task, left in fresh.items() if schedule.outranks(task)), default=0.0)


@dataclass(slots=True)
class Outlook:
    """The time that is left, told now and then: estimating it goes through all that is left."""

    _next: float = 0.0

    def tell(self, schedule: Schedule[TaskId], listen: Listener) -> None:
        """Tell it, if it is time for that."""
        began = time.monotonic()
        if began >= self._next:
            listen(Remaining(seconds=schedule.remaining()))
            ended = time.monotonic()
            self._next = ended + max(_BETWEEN, (ended - began) / _WORTH)


MakePlan = Callable[[], Plan]
"""Makes the plan of a package; what it needs to know was looked up when the task started."""


class Wants(NamedTuple):
    """A running build waits for a plan with more in its environment."""

    task: TaskId
    answer: Future[MakePlan]


class Tested(NamedTuple):
    """Payloads were tested, which can be published as soon as all that they are installed with is."""


class Published(NamedTuple):
    """Payloads were published."""

    outcomes: tuple[Outcome, ...]


class Ended(NamedTuple):
    """A task has ended: with a payload, with a plan that has to be built, tested, published, or badly."""

    task: TaskId
    result: Made | Plan | Tested | Published | None
    error: BaseException | None


def making_task(task: TaskId, needs: frozenset[TaskId], *, seconds: float, limits: Limits | None) -> Task[TaskId]:
    """What makes a payload, for the schedule.

    Args:
        task: Its id.
        needs: What must be done before.
        seconds: How long it takes.
        limits: What it may use; None while it is only prepared.
    """
    if limits is None:
        return Task(id=task, needs=needs, seconds=seconds, cpus=0)
    return Task(
        id=task,
        needs=needs,
        seconds=seconds,
        cpus=limits.cpus or 1,
        memory=limits.memory if "memory" in limits.model_fields_set else _USUAL_MEMORY,
        exclusive=limits.exclusive,
    )


def not_needed(package: Package) -> BuildError:
    """Why a build ends that another plan has no use for."""
    return BuildError(f"{package_id(package)} is not needed any more")


def other_requirements(package: Package, *, planned: bool) -> PybuildError:
    """Why a payload can't be used, where the plan can't be made anew.

    Args:
        package: The package.
        planned: Whether it was planned anew until that was enough.
    """
    what = f"{package[0]} {package[1]} requires other things than the plan was told, now that it is built"
    cure = "state its requirements under [metadata] requires-dist in its spec"
    return BuildError(what, cure=cure if planned else "plan again, without --locked")

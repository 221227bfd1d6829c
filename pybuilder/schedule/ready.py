"""The ready queue: of the tasks that wait for nothing but room on the machine, which may start now.

The first of the queue goes first. Once it does not fit, its room is set aside: from then on others overtake it only
if they fit beside it, together with all that have overtaken it already. So it waits for nothing but what ran when
it came to wait, and needs no clock and no estimate to be sure of that. It keeps the place until it starts, whatever
comes into the queue before it. Backfilling batch schedulers reserve a time for their first job (EASY, Lifka 1995);
we reserve the room instead, since estimates of builds are poor.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

TaskId = TypeVar("TaskId", bound=Hashable)


class Room(NamedTuple):
    """What a machine has or a task takes up.

    Attributes:
        jobs: Tasks at once.
        cpus: Processors.
        memory: Bytes.
    """

    jobs: int
    cpus: int
    memory: int

    def plus(self, other: Room) -> Room:
        """Both together."""
        return Room(self.jobs + other.jobs, self.cpus + other.cpus, self.memory + other.memory)

    def minus(self, other: Room) -> Room:
        """What is left of it without the other."""
        return Room(self.jobs - other.jobs, self.cpus - other.cpus, self.memory - other.memory)

    def holds(self, other: Room) -> bool:
        """Whether the other fits into it."""
        return other.jobs <= self.jobs and other.cpus <= self.cpus and other.memory <= self.memory


# What stands in the queue: whether it takes a job, its priority negated, its turn among equals, its id.
_Place = tuple[bool, float, int, TaskId]


@dataclass(kw_only=True, slots=True)
class Ready(Generic[TaskId]):
    """The queue, and the room that what was picked from it holds.

    A task takes up a job and a processor at least, or nothing at all; the latter starts at once, beside anything.
    None takes more than the machine has, so that the queue always moves once nothing holds any room.

    Attributes:
        machine: All the room there is.
        free: What of it nobody holds; less than nothing where tasks were squeezed in.
    """

    machine: Room
    free: Room = field(init=False)
    _queue: list[_Place[TaskId]] = field(default_factory=list)
    _places: dict[TaskId, _Place[TaskId]] = field(default_factory=dict)
    _takes: dict[TaskId, Room] = field(default_factory=dict)
    _held: dict[TaskId, Room] = field(default_factory=dict)
    _first: TaskId | None = None
    _overtakers: set[TaskId] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.free = self.machine

    def __contains__(self, task: object) -> bool:
        """Whether it is in the queue."""
        return task in self._places

    def put(self, task: TaskId, takes: Room, *, priority: float, turn: int) -> None:
        """Put a task into the queue.

        Args:
            task: One that is not in it.
            takes: The room it takes up.
            priority: The highest goes first.
            turn: A number of its own; of equal priorities the lowest goes first.
        """
        self._takes[task] = takes
        self._insert((takes.jobs > 0, -priority, turn, task))

    def move(self, task: TaskId, *, priority: float) -> None:
        """Give a task in the queue another priority."""
        takes_job, _, turn, _ = self._places[task]
        self._delete(task)
        self._insert((takes_job, -priority, turn, task))

    def remove(self, task: TaskId) -> None:
        """Take a task off the queue, if it is in it; nothing is set aside for it any longer."""
        if task in self._places:
            self._delete(task)
            del self._takes[task]
            if task == self._first:
                self._let_go()

    def pick(self) -> list[TaskId]:
        """Take everything off the queue that may start now; it holds its room until ``release``."""
        picked = []
        if self._first is not None and self.free.holds(self._takes[self._first]):
            picked.append(self._first)
            self._start(self._first)
            self._let_go()
        picked += self._pick_in_order()
        for task in picked:
            self.remove(task)
        return picked

    def first_that_fits(self) -> TaskId | None:
        """The first in the queue that takes up room, of which there is enough; None where there is none."""
        if self.free.jobs < 1 or self.free.cpus < 1:
            return None
        return next((task for takes, *_, task in self._queue if takes and self.free.holds(self._takes[task])), None)

    def first(self) -> TaskId | None:
        """The first in the queue that takes up room, if any is there."""
        return next((task for takes_job, *_, task in self._queue if takes_job), None)

    def squeeze_in(self, task: TaskId) -> bool:
        """Start a task of the queue though nothing is free for it; whether it could be.

        It takes up one job and one processor, there is memory for it, and no room is set aside for another. As many can
        be squeezed in as the machine has jobs.
        """
        takes = self._takes[task]
        fits = takes.cpus == 1 and takes.memory <= self.free.memory and self.free.jobs > -self.machine.jobs
        if not fits or self._first not in (None, task):
            return False
        self._start(task)
        self.remove(task)
        return True

    def release(self, task: TaskId) -> None:
        """Give back the room that a picked task holds."""
        self.free = self.free.plus(self._held.pop(task))
        self._overtakers.discard(task)

    def _pick_in_order(self) -> list[TaskId]:
        picked = []
        beside = self._beside()
        for takes_job, _, _, task in self._queue:
            if takes_job and min(self.free.jobs, self.free.cpus, beside.jobs, beside.cpus) < 1:
                break
            if task == self._first or task in self._held:
                continue
            takes = self._takes[task]
            # What takes up nothing fits everywhere, also where less than nothing is free.
            if not takes_job or (self.free.holds(takes) and beside.holds(takes)):
                picked.append(task)
                self._start(task)
                if self._first is not None:
                    beside = beside.minus(takes)
                    self._overtakers.add(task)
            elif self._first is None:
                self._first = task
                beside = self._beside()
        return picked

    def _start(self, task: TaskId) -> None:
        self._held[task] = self._takes[task]
        self.free = self.free.minus(self._takes[task])

    def _beside(self) -> Room:
        """The room for others beside what is set aside."""
        if self._first is None:
            return self.machine
        room = self.machine.minus(self._takes[self._first])
        for task in self._overtakers:
            room = room.minus(self._held[task])
        return room

    def _let_go(self) -> None:
        self._first = None
        self._overtakers.clear()

    def _insert(self, place: _Place[TaskId]) -> None:
        self._places[place[3]] = place
        insort(self._queue, place)

    def _delete(self, task: TaskId) -> None:
        del self._queue[bisect_left(self._queue, self._places.pop(task))]

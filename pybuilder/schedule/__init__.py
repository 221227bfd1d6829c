"""The schedule of a run: which of many tasks that need each other may start now, the longest remaining path first.

A task is ready when all that it needs is done (``tasks``); it then waits in the ready queue for room on the machine
(``ready``). Tasks may be added at any time, and a failure stops only what depends on it.

Nothing can get stuck. A cycle and a need that nobody knows are refused when they are added, what needs a failed task
is held back at once, and no task takes more room than the machine has. So while something is unfinished, something
runs or ``start`` starts something.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from pybuilder.schedule.ready import Ready, Room, TaskId
from pybuilder.schedule.tasks import LOST, TO_START, UNFINISHED, Cycle, Entry, State, Task, Tasks

__all__ = ["Cycle", "Schedule", "Start", "State", "Task"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Start(Generic[TaskId]):
    """A task that may start now.

    Attributes:
        task: The task.
        cpus: Processors that it may use: what it reserves or, for a task that reserves one, its share of what is free.
            What it is given beyond its reservation is not held: others may start beside it, since most builds use one
            processor whatever they are given.
        resumed: Whether it goes on after it was suspended.
        outranked: Whether something that runs as well has a longer path.
    """

    task: Task[TaskId]
    cpus: int
    resumed: bool
    outranked: bool


class Schedule(Generic[TaskId]):
    """Tasks, how far each is, and which may start.

    Args:
        cpus: Processors of the machine.
        memory: Bytes of it.
        jobs: How many tasks may run at once.
        urgent: Whether one more may start at once where its path is longer than those of all that run; its memory
            is there all the same. Whoever runs them lets those go ahead that nothing outranks.
        clock: Seconds of a clock that never jumps, for what remains.

    Raises:
        ValueError: There is no processor or no job.
    """

    def __init__(
        self,
        *,
        cpus: int,
        memory: int,
        jobs: int,
        urgent: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if cpus < 1 or jobs < 1:
            raise ValueError("nothing can run without a processor and a job")
        self._machine = Room(jobs, cpus, memory)
        self._ready: Ready[TaskId] = Ready(machine=self._machine)
        self._tasks: Tasks[TaskId] = Tasks()
        self._running: dict[TaskId, Entry[TaskId]] = {}
        self._lets_urgent_in = urgent
        self._clock = clock

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return not any(self._tasks.counts[state] for state in UNFINISHED)

    @property
    def running(self) -> tuple[TaskId, ...]:
        """What runs, in the order in which it started."""
        return tuple(self._running)

    @property
    def waiting(self) -> tuple[TaskId, ...]:
        """What has yet to start or to go on, in the order in which it was added."""
        return tuple(entry.task.id for entry in self._tasks.unfinished() if entry.state in TO_START)

    @property
    def counts(self) -> Mapping[State, int]:
        """How many tasks are in each state."""
        return {state: self._tasks.counts[state] for state in State}

    def state(self, task: TaskId) -> State:
        """How far a task is."""
        return self._tasks[task].state

    def remaining(self) -> float:
        """Seconds until all is done, at least: the longest path, or the work over the machine's jobs and processors.

        What tasks have worked already is taken off what they take.
        """
        self._compute_paths()
        now = self._clock()
        path = jobs = cpus = 0.0
        for entry in self._tasks.unfinished():
            gone = min(entry.worked_until(now), entry.task.seconds)
            room = self._room(entry.task)
            path = max(path, entry.path - gone)
            jobs += (entry.task.seconds - gone) * room.jobs
            cpus += (entry.task.seconds - gone) * room.cpus
        return max(path, jobs / self._machine.jobs, cpus / self._machine.cpus)

    def outranks(self, task: TaskId) -> bool:
        """Whether a task has a longer path than all that takes up room and could start now, if anything could."""
        self._compute_paths()
        first = self._ready.first_that_fits()
        return first is not None and self._tasks[task].path > self._tasks[first].path

    def add(self, tasks: Iterable[Task[TaskId]]) -> tuple[TaskId, ...]:
        """Add tasks, in any order, also while others run.

        A known task that has not started, or is suspended, is replaced: its needs are those given here from now on.
        One that runs or has ended stays what it is.

        Returns:
            What is held back, because something it needs has failed already, in the order in which it was added.

        Raises:
            Cycle: They would need each other.
            ValueError: A need is unknown, or a running task would get more. In each case nothing was added.
        """
        given = {task.id: task for task in tasks}
        for task in self._running.keys() & given.keys():
            if given[task].needs - self._tasks[task].task.needs:
                raise ValueError(f"{task} runs: it gets more needs only while it is suspended")
        entries = self._tasks.add({k: t for k, t in given.items() if k not in self._tasks or self.state(k) in TO_START})
        lost = [entry for entry in entries if any(self.state(need) in LOST for need in entry.task.needs)]
        held = self._tasks.hold_back(lost)
        for entry in [*entries, *held]:
            self._ready.remove(entry.task.id)
        self._queue(entries)
        return _ids(held)

    def drop(self, tasks: Iterable[TaskId]) -> tuple[TaskId, ...]:
        """Forget those of these tasks that have not started, also what is held back.

        Returns:
            What was forgotten.

        Raises:
            ValueError: A task that is left needs one of them. Then nothing was forgotten.
        """
        dropped = dict.fromkeys(task for task in tasks if self.state(task) in (State.WAITING, State.HELD_BACK))
        for task in dropped:
            left = [dependent for dependent in self._tasks[task].dependents if dependent not in dropped]
            if left:
                raise ValueError(f"{left[0]} needs {task}, which is to be dropped")
        for task in dropped:
            self._ready.remove(task)
        self._tasks.forget(dropped)
        return tuple(dropped)

    def start(self) -> tuple[Start[TaskId], ...]:
        """Everything that may start now, the longest remaining path first; it counts as running from now on."""
        self._compute_paths()
        picked = self._ready.pick()
        picked += self._squeeze_in(picked)
        if not picked:
            return ()
        entries = sorted((self._tasks[task] for task in picked), key=lambda e: (-e.path, e.turn))
        longest = max(entry.path for entry in (*self._running.values(), *entries))
        starts, now = [], self._clock()
        for entry, cpus in zip(entries, self._give(entries), strict=True):
            resumed, outranked = entry.state is State.SUSPENDED, entry.path < longest
            starts.append(Start(task=entry.task, cpus=cpus, resumed=resumed, outranked=outranked))
            self._tasks.turn(entry, State.RUNNING)
            entry.began = now
            self._running[entry.task.id] = entry
        return tuple(starts)

    def done(self, task: TaskId) -> None:
        """A running task has succeeded."""
        self._stop(task)
        self._queue(self._tasks.complete(self._tasks[task]))

    def fail(self, task: TaskId) -> tuple[TaskId, ...]:
        """A task has failed: one that runs, is suspended, or waits and is known not to succeed.

        Returns:
            What that holds back, directly or not, in the order in which it was added; suspended tasks may be among it.
        """
        if self.state(task) is State.RUNNING:
            self._stop(task)
        elif self.state(task) not in TO_START:
            raise ValueError(f"{task} has ended: it is {self.state(task).value}")
        held = self._tasks.lose(self._tasks[task])
        for gone in (task, *_ids(held)):
            self._ready.remove(gone)
        return _ids(held)

    def suspend(self, task: TaskId) -> None:
        """A running task gives its room back, and starts again when all that ``add`` makes it need is done."""
        self._stop(task)
        self._tasks.turn(self._tasks[task], State.SUSPENDED)
        self._queue([self._tasks[task]])

    def _squeeze_in(self, picked: Sequence[TaskId]) -> list[TaskId]:
        """Start the first that waits for room where it has a longer path than all that takes up room.

        Not beside what reserves several processors, or the machine: that has them for itself.
        """
        first = self._ready.first() if self._lets_urgent_in else None
        if first is None or self._runs_alone(self._tasks[first].task):
            return []
        started = (self._tasks[task] for task in picked)
        beside = [entry for entry in (*self._running.values(), *started) if entry.task.cpus]
        reserved = any(entry.task.cpus > 1 or self._runs_alone(entry.task) for entry in beside)
        outranks = all(entry.path < self._tasks[first].path for entry in beside)
        return [first] if outranks and not reserved and self._ready.squeeze_in(first) else []

    def _stop(self, task: TaskId) -> None:
        if task not in self._running:
            raise ValueError(f"{task} does not run: it is {self.state(task).value}")
        entry = self._running.pop(task)
        entry.worked = entry.worked_until(self._clock())
        self._ready.release(task)

    def _queue(self, entries: Iterable[Entry[TaskId]]) -> None:
        """Put those that are ready into the queue."""
        for entry in entries:
            if entry.is_ready:
                self._ready.put(entry.task.id, self._room(entry.task), priority=entry.path, turn=entry.turn)

    def _compute_paths(self) -> None:
        for entry in self._tasks.compute_paths():
            if entry.task.id in self._ready:
                self._ready.move(entry.task.id, priority=entry.path)

    def _room(self, task: Task[TaskId]) -> Room:
        """What a task takes up: all there is where it runs alone, as one does that wants more than there is."""
        return self._machine if self._runs_alone(task) else Room(min(task.cpus, 1), task.cpus, task.memory)

    def _runs_alone(self, task: Task[TaskId]) -> bool:
        return task.exclusive or task.cpus > self._machine.cpus or task.memory > self._machine.memory

    def _give(self, entries: Sequence[Entry[TaskId]]) -> Iterator[int]:
        """How many processors each of the tasks that start together may use."""
        sharing = sum(entry.task.cpus == 1 for entry in entries)
        share, more = divmod(max(self._ready.free.cpus, 0), max(sharing, 1))
        for entry in entries:
            if entry.task.cpus == 1:
                yield self._room(entry.task).cpus + share + (more > 0)
                more -= 1
            else:
                yield max(1, min(entry.task.cpus, self._machine.cpus))


def _ids(entries: Iterable[Entry[TaskId]]) -> tuple[TaskId, ...]:
    return tuple(entry.task.id for entry in entries)

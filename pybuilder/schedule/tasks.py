"""Tasks that need each other, how far each is, and how much depends on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from graphlib import CycleError, TopologicalSorter
from typing import Any, Generic

from pybuilder.schedule.ready import TaskId


class State(Enum):
    """How far a task is."""

    WAITING = "waiting"  # for its needs or for room
    RUNNING = "running"
    SUSPENDED = "suspended"  # it has started, and waits for more needs or for room
    DONE = "done"
    FAILED = "failed"
    HELD_BACK = "held back"  # by the failure of something it needs


TO_START = (State.WAITING, State.SUSPENDED)
UNFINISHED = (*TO_START, State.RUNNING)
LOST = (State.FAILED, State.HELD_BACK)


class Cycle(Exception):
    """Tasks that need each other.

    Attributes:
        path: Each needs the next; the last is the first again.
    """

    def __init__(self, path: tuple[Any, ...]) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True, kw_only=True, slots=True)
class Task(Generic[TaskId]):
    """Something to do.

    Attributes:
        id: What it is known by.
        needs: The tasks that have to be done before it starts.
        seconds: How long it will take, as far as is known.
        cpus: Processors reserved for it. With 1 it is given more where more are free; 0 is for what hardly works, such
            as publishing: it takes none of the jobs and starts as soon as its needs are done, beside anything.
        memory: Bytes reserved for it.
        exclusive: Whether it runs alone, but for tasks without a processor.

    Raises:
        ValueError: It reserves memory or the whole machine, but no processor.
    """

    id: TaskId
    needs: frozenset[TaskId] = frozenset()
    seconds: float
    cpus: int = 1
    memory: int = 0
    exclusive: bool = False

    def __post_init__(self) -> None:
        if not self.cpus and (self.memory or self.exclusive):
            raise ValueError(f"{self.id}: what takes no processor takes no memory either, and is not exclusive")


@dataclass(kw_only=True, slots=True, eq=False)
class Entry(Generic[TaskId]):
    """A task's place in the graph.

    Attributes:
        task: The task.
        turn: When it was added; decides between equals.
        state: How far it is.
        missing: How many of its needs are not done.
        dependents: What waits for it.
        path: Seconds of the longest chain of dependents, itself included; see ``Tasks.compute_paths``.
        began: When it started last, by the clock of the schedule.
        worked: For how many seconds it had worked before that; see ``worked_until``.
    """

    task: Task[TaskId]
    turn: int
    state: State = State.WAITING
    missing: int = 0
    dependents: dict[TaskId, None] = field(default_factory=dict)
    path: float = 0.0
    began: float = 0.0
    worked: float = 0.0

    @property
    def is_ready(self) -> bool:
        """Whether it may start, or go on, as far as its needs are concerned."""
        return self.state in TO_START and not self.missing

    def worked_until(self, now: float) -> float:
        """For how many seconds it has run, without those for which it was suspended."""
        # What has no processor hardly works: it may be prepared only, for which its seconds have no room.
        works = self.state is State.RUNNING and self.task.cpus
        return self.worked + (now - self.began if works else 0.0)


@dataclass(kw_only=True, slots=True)
class Tasks(Generic[TaskId]):
    """A graph of tasks without cycles.

    Attributes:
        counts: How many tasks are in each state.
    """

    counts: Counter[State] = field(default_factory=Counter)
    _entries: dict[TaskId, Entry[TaskId]] = field(default_factory=dict)
    _added: int = 0
    # Whose seconds or dependents have changed since paths were last computed; a dictionary, because sets have no order.
    _changed: dict[TaskId, None] = field(default_factory=dict)

    def __getitem__(self, task: TaskId) -> Entry[TaskId]:
        return self._entries[task]

    def __contains__(self, task: TaskId) -> bool:
        return task in self._entries

    def unfinished(self) -> Iterator[Entry[TaskId]]:
        """What has yet to end, in the order in which it was added."""
        return (entry for entry in self._entries.values() if entry.state in UNFINISHED)

    def turn(self, entry: Entry[TaskId], state: State) -> None:
        """Bring a task into another state."""
        self.counts[entry.state] -= 1
        self.counts[state] += 1
        entry.state = state

    def add(self, given: Mapping[TaskId, Task[TaskId]]) -> list[Entry[TaskId]]:
        """Add tasks that are new, and replace those that are known.

        Args:
            given: They by their ids; none that is known runs or has ended.

        Raises:
            Cycle: They would need each other.
            ValueError: A need is unknown. In either case nothing was added.
        """
        self._check(given)
        entries = [self._enter(task) for task in given.values()]
        for entry in entries:
            needs = [self._entries[need] for need in entry.task.needs]
            missing = [need for need in needs if need.state is not State.DONE]
            entry.missing = len(missing)
            for need in missing:
                need.dependents[entry.task.id] = None
        return entries

    def forget(self, tasks: Collection[TaskId]) -> None:
        """Remove tasks that nothing else waits for."""
        for task in tasks:
            self._unlink(self._entries[task])
        for task in tasks:
            self.counts[self._entries.pop(task).state] -= 1
            self._changed.pop(task, None)

    def complete(self, entry: Entry[TaskId]) -> list[Entry[TaskId]]:
        """A task is done.

        Returns:
            What waited for it.
        """
        self.turn(entry, State.DONE)
        dependents = [self._entries[dependent] for dependent in entry.dependents]
        for dependent in dependents:
            dependent.missing -= 1
        entry.dependents.clear()
        return dependents

    def lose(self, entry: Entry[TaskId]) -> list[Entry[TaskId]]:
        """A task has failed.

        Returns:
            What is held back by it, in the order in which it was added.
        """
        self.turn(entry, State.FAILED)
        self._unlink(entry)
        return self.hold_back([self._entries[dependent] for dependent in entry.dependents])

    def hold_back(self, entries: Iterable[Entry[TaskId]]) -> list[Entry[TaskId]]:
        """Hold back these and all that waits for them.

        Returns:
            What is held back now, in the order in which it was added.
        """
        held = []
        todo = list(entries)
        while todo:
            entry = todo.pop()
            if entry.state in TO_START:
                held.append(entry)
                self.turn(entry, State.HELD_BACK)
                todo.extend(self._entries[dependent] for dependent in entry.dependents)
        for entry in held:
            self._unlink(entry)
        return sorted(held, key=lambda entry: entry.turn)

    def compute_paths(self) -> list[Entry[TaskId]]:
        """Compute the paths of what has changed and of all that it needs.

        Returns:
            What has another path now.
        """
        graph: dict[TaskId, list[TaskId]] = {}
        todo = [task for task in self._changed if self._entries[task].state in UNFINISHED]
        self._changed.clear()
        while todo:
            task = todo.pop()
            if task not in graph:
                graph[task] = [n for n in self._entries[task].task.needs if self._entries[n].state in UNFINISHED]
                todo.extend(graph[task])
        moved = []
        for task in reversed([*TopologicalSorter(graph).static_order()]):
            entry = self._entries[task]
            path = entry.task.seconds + max((self._entries[d].path for d in entry.dependents), default=0.0)
            if path != entry.path:
                entry.path = path
                moved.append(entry)
        return moved

    def _check(self, given: Mapping[TaskId, Task[TaskId]]) -> None:
        place = {task: (0, turn) for turn, task in enumerate(given)}
        # Only where something old needs more than it did can a cycle lead through old tasks.
        everywhere = any(
            task.needs - self._entries[key].task.needs for key, task in given.items() if key in self._entries
        )
        graph: dict[TaskId, list[TaskId]] = {}
        todo = list(given)
        while todo:
            key = todo.pop()
            if key in graph:
                continue
            graph[key] = []
            for need in given[key].needs if key in given else self._entries[key].task.needs:
                if need not in given and need not in self._entries:
                    raise ValueError(f"{key} needs {need}, which is unknown")
                if need in given or (everywhere and self._entries[need].state in UNFINISHED):
                    graph[key].append(need)
            # Sorted, so that of several cycles the same one is named each time.
            graph[key].sort(key=lambda need: place[need] if need in place else (1, self._entries[need].turn))
            todo.extend(graph[key])
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            # It goes from what is needed to what needs it.
            raise Cycle(tuple(reversed(error.args[1]))) from None

    def _enter(self, task: Task[TaskId]) -> Entry[TaskId]:
        self._changed[task.id] = None
        entry = self._entries.get(task.id)
        if entry is None:
            entry = self._entries[task.id] = Entry(task=task, turn=self._added)
            self._added += 1
            self.counts[State.WAITING] += 1
        else:
            self._unlink(entry)
            entry.task = task
        return entry

    def _unlink(self, entry: Entry[TaskId]) -> None:
        """A task waits for nothing any longer."""
        for task in entry.task.needs:
            need = self._entries.get(task)
            if need and entry.task.id in need.dependents:
                del need.dependents[entry.task.id]
                self._changed[task] = None

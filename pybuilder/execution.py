"""Building a planned tree side by side: a thread for whatever runs, and one place that decides what starts.

Each package is *prepared* (its key is known now, its root and build environment are made ready) as soon as its build
environment is published, *built* when the machine has room, and *published* together with those that it is installed
with. What turns up on the way (a backend wants more, a wheel requires other things than was said) makes a new plan, and
the run goes on with that: what is done stays done.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from packaging.requirements import Requirement

from pybuilder import events
from pybuilder.errors import BuildError, PybuildError
from pybuilder.interruption import Interruption
from pybuilder.packages import Packages
from pybuilder.plan import Plan
from pybuilder.planner import Planned
from pybuilder.results import Failure
from pybuilder.schedule import Schedule, Start, State, Task
from pybuilder.stages import Made
from pybuilder.stages.publish import Item, Outcome, newest_build, publish
from pybuilder.statements import Statements
from pybuilder.tree import Node, Package, Tree, needing, package_id

MAX_REPLANS = 8

# Threads wait for sandboxes or for each other; how many builds run is the schedule's business.
_THREADS = 256
# What publishing takes, for the order only.
_PUBLISH_SECONDS = 0.5
# What a build without a memory limit of its own is taken to need, so that many don't fill the machine.
_USUAL_MEMORY = 1 << 30


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


class TaskId(NamedTuple):
    """A task: what is done, to which packages, and for the how many-th time since plans changed."""

    do: Literal["prepare", "build", "publish"]
    packages: tuple[Package, ...]
    turn: int


@dataclass(kw_only=True, slots=True)
class _Making:
    """How a payload is made: the task that ends with it, and the environment that it is made in."""

    task: TaskId
    environment: tuple[Package, ...]


class _Wants(NamedTuple):
    """A running build waits for a plan with more in its environment."""

    task: TaskId
    planned: Planned
    answer: Future[Node]


class _Ended(NamedTuple):
    """A task has ended: with a payload, with a plan that has to be built, with what was published, or badly."""

    task: TaskId
    result: Made | Plan | tuple[Outcome, ...] | None
    error: BaseException | None


@dataclass(kw_only=True, slots=True)
class Execution:
    """One run over a planned tree.

    Attributes:
        packages: What is known of packages, and what can be done with one.
        statements: What they say of themselves.
        machine: What builds may use.
        replan: Makes the tree anew with what has been found out meanwhile; None where it must stay as it is.
        accepts: Whether a package has been accepted.
        seconds: What builds take, as far as that is known.
    """

    packages: Packages
    statements: Statements
    machine: Machine
    replan: Callable[[], Planned] | None
    accepts: Callable[[str], bool]
    seconds: Mapping[Package, float]
    outcomes: dict[Package, Outcome] = field(default_factory=dict)
    failures: dict[PybuildError, Failure] = field(default_factory=dict)
    _tree: Tree = field(init=False)
    _schedule: Schedule[TaskId] = field(init=False)
    _pool: ThreadPoolExecutor = field(init=False)
    _inbox: queue.SimpleQueue[_Ended | _Wants] = field(default_factory=queue.SimpleQueue)
    _planning: threading.Lock = field(default_factory=threading.Lock)
    _tasks: dict[TaskId, Task[TaskId]] = field(default_factory=dict)
    _makings: dict[Package, _Making] = field(default_factory=dict)
    _plans: dict[TaskId, Plan] = field(default_factory=dict)
    _answers: dict[TaskId, Future[Node]] = field(default_factory=dict)
    _stopped: Interruption = field(default_factory=Interruption)
    _replans: int = 0

    def run(self, planned: Planned) -> None:
        """Build and publish everything that can be; a failure stops only what depends on it."""
        self._schedule = Schedule(cpus=self.machine.cpus, memory=self.machine.memory, jobs=self.machine.jobs)
        self._adopt(planned)
        self._pool = ThreadPoolExecutor(_THREADS)
        try:
            while not self._schedule.finished:
                for start in self._schedule.start():
                    self._begin(start)
                self._handle(self._inbox.get())
                self.packages.adapters.listen(events.Remaining(seconds=self._schedule.remaining()))
        except BaseException:
            self._abandon()
            raise
        finally:
            self._pool.shutdown()

    # From a plan to tasks.

    def _adopt(self, planned: Planned) -> None:
        """Make a plan the one that is followed; what is done or runs stays what it is."""
        self._tree = tree = planned.tree
        for error in dict.fromkeys(planned.broken.values()):
            self._note(error, needing(tree, [p for p, each in planned.broken.items() if each is error]))
        unaccepted = [node.package for node in tree if not self.accepts(node.name)]
        hopeless = needing(tree, [*planned.broken, *unaccepted])
        publishers: dict[Package, TaskId] = {}
        tasks: list[Task[TaskId]] = []
        for group in tree.groups:
            if hopeless.isdisjoint(group) and not self._is_settled(group):
                makers = list(filter(None, (self._maker(tree.nodes[package], publishers) for package in group)))
                tasks += [*makers, self._publisher(group, makers, publishers)]
                publishers |= dict.fromkeys(group, tasks[-1].id)
        old = self._tasks.keys()
        self._tasks = {task.id: task for task in tasks}
        self._release(self._schedule.add(tasks))
        self._schedule.drop(old - self._tasks.keys())
        for task in self._answers.keys() - self._tasks.keys():
            self._release([task, *self._schedule.fail(task)])

    def _maker(self, node: Node, publishers: Mapping[Package, TaskId]) -> Task[TaskId] | None:
        """What makes a payload: the task that is under way, else one that prepares it; None where it is there."""
        making = self._makings.get(node.package)
        if node.package in self.packages.made and (making is None or making.environment == node.environment):
            return None
        if making is None or making.environment != node.environment:
            self.packages.made.pop(node.package, None)
            turn = making.task.turn + 1 if making else 0
            making = _Making(task=TaskId("prepare", (node.package,), turn), environment=node.environment)
            self._makings[node.package] = making
        elif self._schedule.state(making.task) not in (State.WAITING, State.SUSPENDED):
            return self._tasks[making.task]
        needs = frozenset(publishers[need] for need in node.environment if need in publishers)
        if making.task.do == "build":
            return self._build_task(making.task, needs)
        seconds = self.seconds.get(node.package, 0.0)
        return Task(id=making.task, needs=needs, seconds=seconds, cpus=0, memory=0, exclusive=False)

    def _build_task(self, task: TaskId, needs: frozenset[TaskId]) -> Task[TaskId]:
        (package,) = task.packages
        limits = self.packages.source(package)[0].spec.build.limits
        return Task(
            id=task,
            needs=needs,
            seconds=self.seconds.get(package, 0.0),
            cpus=limits.cpus or 1,
            memory=limits.memory if "memory" in limits.model_fields_set else _USUAL_MEMORY,
            exclusive=limits.exclusive,
        )

    def _publisher(
        self, group: tuple[Package, ...], makers: Iterable[Task[TaskId]], publishers: Mapping[Package, TaskId]
    ) -> Task[TaskId]:
        """What publishes a group, after everything that is installed with it."""
        closure = {need for package in group for need in self._tree.nodes[package].closure}
        needs = {publishers[need] for need in closure.difference(group) if need in publishers}
        turn = max((self._makings[package].task.turn for package in group if package in self._makings), default=0)
        return Task(
            id=TaskId("publish", group, turn),
            needs=frozenset({*needs, *(task.id for task in makers)}),
            seconds=_PUBLISH_SECONDS,
            cpus=0,
            memory=0,
            exclusive=False,
        )

    def _is_settled(self, group: Collection[Package]) -> bool:
        """Whether a group is published as it should be."""
        return all(self._outcome(package) is not None for package in group)

    def _outcome(self, package: Package) -> Outcome | None:
        """What has become of a package, in this run or before it; None where something is to be done."""
        made = self.packages.made
        known = self.outcomes.get(package)
        if known is not None and known.made == made.get(package):
            return known
        closure = self._tree.nodes[package].closure
        if not made.keys() >= {package, *closure}:
            return None
        published = newest_build(self.packages.adapters, made[package])
        number = next((wheel.number for wheel in published if wheel.payload == made[package].sha256), None)
        if number is None or not self.packages.is_validated(made[package], [made[member] for member in closure]):
            return None
        self.outcomes[package] = Outcome(made=made[package], number=number, minted=False)
        if package in {top.package for top in self._tree.tops}:
            self.packages.tell(self.outcomes[package])
        return self.outcomes[package]

    # What runs, each in a thread of its own.

    def _begin(self, start: Start[TaskId]) -> None:
        """Start a task with what it needs to know: the tree is another one after the next plan."""
        task = start.task.id
        nodes = [self._tree.nodes[package] for package in task.packages]
        if start.resumed:
            self._answers.pop(task).set_result(nodes[0])
        elif task.do == "prepare":
            plan = self.packages.plan_of(nodes[0])
            self._pool.submit(self._work, task, lambda: self._prepare(plan))
        elif task.do == "build":
            self._pool.submit(self._work, task, lambda: self._build(task, start.cpus))
        else:
            made = self.packages.made
            items = [(made[node.package], [made[member] for member in node.closure]) for node in nodes]
            self._pool.submit(self._work, task, lambda: self._publish(items))

    def _work(self, task: TaskId, do: Callable[[], Made | Plan | tuple[Outcome, ...]]) -> None:
        try:
            with self._stopped.heard():
                self._inbox.put(_Ended(task, do(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the run is
            self._inbox.put(_Ended(task, None, error))

    def _prepare(self, plan: Plan) -> Made | Plan:
        """The payload, where its inputs were built before; else the plan, with what it needs made ready."""
        known = self.packages.known(plan)
        if known is None:
            self.packages.make_ready(plan)
        return known or plan

    def _build(self, task: TaskId, cpus: int) -> Made:
        (package,) = task.packages

        def replan(requires: tuple[Requirement, ...]) -> Plan:
            return self._plan_with(task, requires)

        return self.packages.build(package, self._plans[task], force=False, cpus=cpus, replan=replan)

    def _plan_with(self, task: TaskId, requires: tuple[Requirement, ...]) -> Plan:
        """The plan in which a running build has what its backend wants; waits until that has been built."""
        (package,) = task.packages
        if self.replan is None:
            wants = ", ".join(map(str, requires))
            raise BuildError(
                f"the backend of {package_id(package)} wants {wants}, which is not what was planned",
                cure="plan again, without --locked",
            )
        with self._planning:
            planned = self.replan()
        answer: Future[Node] = Future()
        self._inbox.put(_Wants(task, planned, answer))
        return self.packages.plan_of(answer.result())

    def _publish(self, items: Sequence[tuple[Made, Sequence[Made]]]) -> tuple[Outcome, ...]:
        """Validate and publish payloads, each with everything that is installed with it, as one group."""
        for made, members in items:
            self.packages.validate(made, members)
        return publish(self.packages.adapters, [Item(made=made, force=False) for made, _ in items])

    # What comes of it.

    def _handle(self, message: _Ended | _Wants) -> None:
        if isinstance(message, _Wants):
            self._suspend(message)
        elif self._schedule.state(message.task) is not State.RUNNING:
            # It was held back while it waited for more, and has ended because of that.
            return
        elif isinstance(message.error, PybuildError):
            self._fail(message.task, message.error)
        elif message.error is not None:
            raise message.error
        elif isinstance(message.result, Plan):
            self._queue_build(message.task, message.result)
        elif isinstance(message.result, Made):
            self._take(message.task, message.result)
        else:
            for outcome in message.result or ():
                self.outcomes[outcome.made.name, outcome.made.version] = outcome
                self.packages.tell(outcome)
            self._schedule.done(message.task)

    def _suspend(self, message: _Wants) -> None:
        """Let a build wait until what it wants is published; the plan has that in its environment."""
        (package,) = message.task.packages
        node = message.planned.tree.nodes.get(package)
        if node is None or package in message.planned.broken:
            gone = BuildError(f"{package_id(package)} is not needed any more")
            message.answer.set_exception(message.planned.broken.get(package, gone))
            return
        self._makings[package].environment = node.environment
        self._answers[message.task] = message.answer
        self._schedule.suspend(message.task)
        self._adopt(message.planned)

    def _queue_build(self, prepared: TaskId, plan: Plan) -> None:
        """A package is ready to be built; whatever publishes it has to wait for that."""
        (package,) = prepared.packages
        build = self._build_task(TaskId("build", prepared.packages, prepared.turn), frozenset())
        self._plans[build.id] = plan
        making = self._makings[package]
        if making.task == prepared:
            making.task = build.id
            publishers = [task for task in self._tasks.values() if prepared in task.needs]
            waiting = [_with_need(task, build.id) for task in publishers]
            self._tasks |= {task.id: task for task in (build, *waiting)}
            self._schedule.add([build, *waiting])
        self._schedule.done(prepared)

    def _take(self, task: TaskId, made: Made) -> None:
        """A payload is there; whether it requires what the plan was told."""
        (package,) = task.packages
        if package not in self._tree.nodes or self._makings[package].task != task:
            # The plan has changed meanwhile: it is not needed any more, or is made anew.
            self._schedule.done(task)
            return
        self.packages.made[package] = made
        if self.statements.hold(self._tree.nodes[package]):
            self._schedule.done(task)
            return
        self._replans += 1
        if self.replan is None or self._replans > MAX_REPLANS * len(self._tree.nodes):
            self._fail(task, _other_requirements(package, planned=self.replan is not None))
            return
        with self._planning:
            planned = self.replan()
        self._schedule.done(task)
        self._adopt(planned)

    def _fail(self, task: TaskId, error: PybuildError) -> None:
        held = self._schedule.fail(task)
        error.package = error.package or (task.packages[0][0], str(task.packages[0][1]))
        self._note(error, {package for each in (task, *held) for package in each.packages})
        self._release(held)

    def _note(self, error: PybuildError, packages: Collection[Package]) -> None:
        """Write down a failure, and which packages it holds back."""
        if error in self.failures:
            return
        name, version = error.package or ("", "")
        others = sorted(package for package in packages if (package[0], str(package[1])) != (name, version))
        self.failures[error] = Failure(
            name=name, version=version, error=error, held_back=tuple(map(package_id, others))
        )
        listen = self.packages.adapters.listen
        listen(events.Failed(name=name, version=version, phase=error.phase, error=error.what, log=error.log))
        for held in others:
            listen(events.Waiting(name=held[0], version=str(held[1]), on=f"{name}=={version}"))

    def _release(self, held: Iterable[TaskId]) -> None:
        """End the builds that waited for what can't be had."""
        for task in held:
            if answer := self._answers.pop(task, None):
                answer.set_exception(BuildError("what its backend wants could not be built"))

    def _abandon(self) -> None:
        """Stop whatever runs, and let nobody wait."""
        self._stopped.tell()
        self._release(list(self._answers))
        self._pool.shutdown(wait=False, cancel_futures=True)


def _with_need(task: Task[TaskId], need: TaskId) -> Task[TaskId]:
    return Task(
        id=task.id,
        needs=task.needs | {need},
        seconds=task.seconds,
        cpus=task.cpus,
        memory=task.memory,
        exclusive=task.exclusive,
    )


def _other_requirements(package: Package, *, planned: bool) -> PybuildError:
    name, version = package
    cure = (
        "state its requirements under [metadata] requires-dist in its spec"
        if planned
        else "plan again, without --locked"
    )
    return BuildError(f"{name} {version} requires other things than the plan was told, now that it is built", cure=cure)

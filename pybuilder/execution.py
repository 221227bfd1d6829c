"""Building a planned tree side by side: a thread for whatever runs, and one place that decides what starts.

Each package is *prepared* (its key is known now, its root and build environment are made ready) as soon as the payloads
of its environment are there, *built* when the machine has room, *tested* when the payloads that it is installed with
are there, and *published* after those or together with them. What turns up on the way (a backend wants more, a wheel
requires other things than was said) makes a new plan, and the run goes on with that: what is done stays done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace

from packaging.requirements import Requirement

from pybuilder.crew import Crew
from pybuilder.errors import BuildError, PybuildError, ReviewError
from pybuilder.interruption import outcome
from pybuilder.machine import Machine
from pybuilder.packages import Packages
from pybuilder.plan import Plan
from pybuilder.planner import MAX_REPLANS
from pybuilder.request import Planned
from pybuilder.results import Failure, Faults
from pybuilder.sandbox import Share
from pybuilder.schedule import Schedule, Start, State, Task
from pybuilder.settled import settled
from pybuilder.stages import Made
from pybuilder.stages.publish import Outcome
from pybuilder.statements import Statements
from pybuilder.tasks import (
    Ended,
    MakePlan,
    Making,
    Outlook,
    Patience,
    Published,
    TaskId,
    Tested,
    Wants,
    making_task,
    not_needed,
    other_requirements,
)
from pybuilder.tree import Node, Package, Tree, needing

_TO_START = (State.WAITING, State.SUSPENDED)

_THREADS = 256  # For all but builds, which wait for each other; how many run is the schedule's business.
_PUBLISH_SECONDS = 0.5  # For the order only.


@dataclass(kw_only=True, slots=True)
class Execution:
    """One run over a planned tree.

    Attributes:
        packages: What is known of packages, and what can be done with one.
        statements: What they say of themselves.
        machine: What builds may use.
        replan: Makes the tree anew with what has been found out meanwhile.
        accepts: Whether a package has been accepted.
        seconds: What builds take, as far as that is known.
        locked: Whether what is installed must stay as it is planned.
        outcomes: What has been published as it should be.
    """

    packages: Packages
    statements: Statements
    machine: Machine
    replan: Callable[[], Planned]
    accepts: Callable[[str], bool]
    seconds: Mapping[Package, float]
    locked: bool = False
    outcomes: dict[Package, Outcome] = field(default_factory=dict)
    _planned: Planned = field(init=False)
    _schedule: Schedule[TaskId] = field(init=False)
    _crew: Crew[Ended | Wants] = field(default_factory=lambda: Crew(_THREADS))
    _tasks: dict[TaskId, Task[TaskId]] = field(default_factory=dict)
    _makings: dict[Package, Making] = field(default_factory=dict)
    _publishings: dict[tuple[tuple[Package, ...], int], TaskId] = field(default_factory=dict)
    _plans: dict[TaskId, Plan] = field(default_factory=dict)
    _tested: set[TaskId] = field(default_factory=set)
    _publishers: dict[Package, TaskId] = field(default_factory=dict)
    _answers: dict[TaskId, Future[MakePlan]] = field(default_factory=dict)
    _released: set[TaskId] = field(default_factory=set)
    _failed: set[TaskId] = field(default_factory=set)
    _faults: Faults = field(default_factory=Faults)
    _replans: int = 0
    _outranked: dict[TaskId, bool] = field(default_factory=dict)
    _required: set[Package] = field(default_factory=set)
    _patience: Patience = field(default_factory=Patience)
    _outlook: Outlook = field(default_factory=Outlook)

    def run(self, planned: Planned) -> None:
        """Build and publish everything that can be; a failure stops only what depends on it."""
        machine = self.machine
        self._schedule = Schedule(
            cpus=machine.cpus, memory=machine.memory, jobs=machine.jobs, urgent=not machine.jobs_stated
        )
        self._adopt(planned)
        with self._crew:
            while not self._schedule.finished:
                for start in self._schedule.start():
                    self._begin(start)
                self._handle(self._crew.hear())
                while (seconds := self._patience.seconds(self._schedule)) and (m := self._crew.hear_within(seconds)):
                    self._handle(m)
                self._outlook.tell(self._schedule, self.packages.adapters.listen)

    @property
    def tree(self) -> Tree:
        """The tree that is built; another one after each new plan."""
        return self._planned.tree

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What went wrong, in order, each with all that it holds back in the tree as it is now."""
        return self._faults.failures(self.tree, self.outcomes)

    # From a plan to tasks.

    def _adopt(self, planned: Planned) -> None:
        """Make a plan the one that is followed; what is done or runs stays what it is."""
        self._planned, tree = planned, planned.tree
        self._required = {need for node in tree for need in node.environment}
        # What waits for review is told as that.
        for error in dict.fromkeys(e for e in planned.broken.values() if not isinstance(e, ReviewError)):
            self._note(error, [package for package, each in planned.broken.items() if each is error])
        # What is held back may not need what has failed any more.
        held = [task for task in self._tasks if self._schedule.state(task) is State.HELD_BACK]
        for task in self._schedule.drop(held):
            del self._tasks[task]
        unaccepted = [node.package for node in tree if not self.accepts(node.name)]
        hopeless = needing(tree, [*planned.broken, *unaccepted])
        # What is being published may be there already, and is told when news of it comes.
        publishing = {package for task in self._schedule.running if task.do == "publish" for package in task.packages}
        makers: dict[Package, TaskId] = {}
        self._publishers = {}
        tasks: list[Task[TaskId]] = []
        for group in tree.groups:
            if hopeless.isdisjoint(group) and (publishing.intersection(group) or not all(map(self._settled, group))):
                own = {package: self._maker(tree.nodes[package], makers) for package in group}
                made = [task for task in own.values() if task]
                makers |= {package: task.id for package, task in own.items() if task}
                tasks += [*made, self._publisher(group, makers)]
                self._publishers |= dict.fromkeys(group, tasks[-1].id)
        old = self._tasks.keys()
        self._tasks = {task.id: task for task in tasks}
        self._release(self._schedule.add(tasks))
        gone = old - self._tasks.keys()
        for task in gone:
            if self._schedule.state(task) is State.SUSPENDED:
                self._release([task, *self._schedule.fail(task)])
                # Another plan may want it again.
                self._publishings.pop((task.packages, task.turn), None)
        self._schedule.drop(gone)

    def _maker(self, node: Node, makers: Mapping[Package, TaskId]) -> Task[TaskId] | None:
        """What makes a payload: the task that is under way, else a new one; None where the payload is there.

        It needs the payloads of its environment, and does not wait until they are published: that is for its own
        publishing, so that nothing is published that was built with what is refused.
        """
        package, made = node.package, self.packages.made
        making = self._makings.get(package)
        changed = making is not None and making.environment != node.environment
        if package in made and not changed:
            return None
        task = making.task if making and making.task in self._tasks else None
        state = self._schedule.state(task) if task else None
        if task and (state is State.RUNNING or (state in (State.DONE, State.FAILED) and not changed)):
            # What runs in another environment is looked at when it ends: its backend may be about to want the new one.
            return self._tasks[task]
        if task is None or (changed and state is not State.WAITING and task not in self._answers):
            made.pop(package, None)
            task = TaskId("make", (package,), making.task.turn + 1 if making else 0)
        self._makings[package] = Making(task, node.environment)
        needs = frozenset(makers[need] for need in node.environment if need in makers)
        return self._making_task(task, needs)

    def _making_task(self, task: TaskId, needs: frozenset[TaskId]) -> Task[TaskId]:
        """Prepares a payload or, where it is prepared, builds it."""
        package = task.packages[0]
        limits = self.packages.source(package)[0].spec.build.limits if task in self._plans else None
        return making_task(task, needs, seconds=self.seconds.get(package, 0.0), limits=limits)

    def _publisher(self, group: tuple[Package, ...], makers: Mapping[Package, TaskId]) -> Task[TaskId]:
        """What publishes a group, after everything that is installed with it or was built into it.

        Where that is not published yet, it is tested meanwhile, as soon as there is what it is installed with.
        """
        turn = sum(self._makings[package].task.turn for package in group if package in self._makings)
        task = self._publishings.setdefault((group, turn), TaskId("publish", group, turn))
        needs: set[TaskId | None] = set()
        # What runs stays what it is.
        if task not in self._schedule.running:
            others = self._unpublished(task)
            tests = others and task not in self._tested
            installed = {need for package in group for need in self.tree.nodes[package].closure} if tests else ()
            needs = {*map(makers.get, (*group, *installed)), *(() if tests else others)}
        return Task(id=task, needs=frozenset(filter(None, needs)), seconds=_PUBLISH_SECONDS, cpus=0)

    def _unpublished(self, task: TaskId) -> set[TaskId]:
        """What is yet to publish something that must be published before what this task publishes."""
        nodes = [self.tree.nodes[package] for package in task.packages]
        # Versions are slow to hash: each package is looked up once.
        needs = (self._publishers.get(need) for node in nodes for need in (*node.closure, *node.environment))
        found = set(filter(None, needs)).difference(map(self._publishers.get, task.packages))
        return {each for each in found if each not in self._tasks or self._schedule.state(each) is not State.DONE}

    def _settled(self, package: Package) -> bool:
        return settled(self.tree, package, self.packages, self.outcomes) is not None

    # What runs, each in a thread of its own.

    def _begin(self, start: Start[TaskId]) -> None:
        """Start a task with what it needs to know: the tree is another one after the next plan."""
        task = start.task.id
        nodes = [self.tree.nodes[package] for package in task.packages]
        self._outranked[task] = start.outranked
        if task in self._answers:
            self._answers.pop(task).set_result(self.packages.planning(nodes[0]))
        elif task in self._plans:
            limits = self.packages.source(task.packages[0])[0].spec.build.limits
            cpus = max(start.cpus, self.machine.least_cpus(limits))
            self._start(task, lambda: self._build(task, cpus))
        elif task.do == "make":
            make_plan = self.packages.planning(nodes[0])
            self._patience.begin(task)
            self._start(task, lambda: self._prepare(make_plan()))
        else:
            made = self.packages.made
            group = [(made[node.package], [made[member] for member in node.closure]) for node in nodes]
            tests = task not in self._tested and self._unpublished(task)
            self._start(task, lambda: self._test(group) if tests else Published(self.packages.publish(group)))

    def _start(self, task: TaskId, do: Callable[[], Made | Plan | Tested | Published]) -> None:
        builds = task in self._plans
        self._crew.start(lambda: Ended(task, do(), None), lambda error: Ended(task, None, error), waits=builds)

    def _prepare(self, plan: Plan) -> Made | Plan:
        """The payload, where its inputs were built before; else the plan, with what it needs made ready."""
        known = self.packages.known(plan)
        if known is None:
            self.packages.make_ready(plan)
        return known or plan

    def _test(self, group: Iterable[tuple[Made, Sequence[Made]]]) -> Tested:
        """Test a group ahead; whoever publishes it meets the same, unless what it is installed with is refused."""
        with suppress(PybuildError):
            for made, members in group:
                self.packages.validate(made, members)
        return Tested()

    def _build(self, task: TaskId, cpus: int) -> Made:
        (package,) = task.packages
        share = Share(cpus=cpus, gives_way=lambda: self._outranked[task])

        def replan(requires: tuple[Requirement, ...]) -> Plan:
            answer: Future[MakePlan] = Future()
            self._crew.say(Wants(task, answer))
            return outcome(answer)()

        made = self.packages.build(package, self._plans[task], force=False, share=share, replan=replan)
        if package in self._required:
            # Now, as the only one: as soon as others have it, many of them would wait for that.
            self.packages.unpack(made)
        return made

    # What comes of it.

    def _handle(self, message: Ended | Wants) -> None:
        self._patience.end(message.task)
        if isinstance(message, Wants):
            self._suspend(message)
        elif message.task in self._released:
            return  # It has ended because what it waited for can't be had.
        elif message.error is not None and not isinstance(message.error, PybuildError):
            raise message.error
        elif isinstance(message.result, Published):
            for published in message.result.outcomes:
                self.outcomes[published.made.name, published.made.version] = published
                self.packages.tell(published)
            self._schedule.done(message.task)
        elif message.task not in self._tasks:
            # It is not needed any more.
            self._schedule.done(message.task)
        elif self._is_outdated(message.task):
            self._schedule.done(message.task)
            self._adopt(self._planned)
        elif message.error is not None:
            self._fail(message.task, message.error)
        elif isinstance(message.result, Plan):
            self._queue_build(message.task, message.result)
        elif isinstance(message.result, Tested):
            self._queue_publishing(message.task)
        elif isinstance(message.result, Made):
            self._take(message.task, message.result)

    def _is_outdated(self, task: TaskId) -> bool:
        """Whether what is made is to be made in another environment now."""
        package = task.packages[0]
        return task.do == "make" and self._makings[package].environment != self.tree.nodes[package].environment

    def _suspend(self, message: Wants) -> None:
        """Let a build wait until what it wants is published; the next plan has that in its environment."""
        task = message.task
        (package,) = task.packages
        try:
            if task not in self._tasks:
                raise not_needed(package)
            planned = self._plan_again()
            node = planned.tree.nodes.get(package)
            if node is None or package in planned.broken:
                raise planned.broken.get(package) or not_needed(package)
        except PybuildError as error:
            message.answer.set_exception(error)
            return
        self._makings[package] = Making(task, node.environment)
        self._answers[task] = message.answer
        self._schedule.suspend(task)
        self._adopt(planned)

    def _queue_build(self, task: TaskId, plan: Plan) -> None:
        """A package is ready to be built, as soon as there is room."""
        self._plans[task] = plan
        (package,) = task.packages
        publisher, failed = self._publishers.get(package), set[TaskId]()
        if publisher and self._schedule.state(publisher) is State.HELD_BACK:
            # Something has failed meanwhile without which it can't be published.
            failed = {each for each in self._failed if each in self._tasks and package in self._built_with(each)}
        self._tasks[task] = self._making_task(task, frozenset(failed))
        self._schedule.suspend(task)
        self._release(self._schedule.add([self._tasks[task]]))

    def _queue_publishing(self, task: TaskId) -> None:
        """A group may be published, as soon as what is installed with it is."""
        self._tested.add(task)
        self._schedule.suspend(task)
        self._tasks[task] = self._publisher(task.packages, {})
        self._release(self._schedule.add([self._tasks[task]]))

    def _take(self, task: TaskId, made: Made) -> None:
        """A payload is there; whether it requires what the plan was told."""
        (package,) = task.packages
        self.packages.made[package] = made
        try:
            if self.statements.hold(self.tree.nodes[package]):
                self._schedule.done(task)
                return
            if self.locked or self._replans > MAX_REPLANS * len(self.tree.nodes):
                raise other_requirements(package, planned=not self.locked)
            planned = self._plan_again()
        except PybuildError as error:
            # Others are planned without it from now on.
            del self.packages.made[package]
            self._fail(task, error)
            self.statements.give_up(package, error)
            return
        self._schedule.done(task)
        self._adopt(planned)

    def _plan_again(self) -> Planned:
        self._replans += 1
        return self.replan()

    def _fail(self, task: TaskId, error: PybuildError) -> None:
        name, version = task.packages[0]
        error.package = error.package or (name, str(version))
        self._note(error, task.packages)
        self._failed.add(task)
        self._release(self._schedule.fail(task))
        dependents = self._built_with(task)
        theirs = {self._makings[package].task for package in dependents if package in self._makings}
        theirs |= {self._publishers[package] for package in dependents if package in self._publishers}
        waiting = [each for each in theirs if each in self._tasks and self._schedule.state(each) in _TO_START]
        self._tasks |= {each: replace(self._tasks[each], needs=self._tasks[each].needs | {task}) for each in waiting}
        self._release(self._schedule.add(self._tasks[each] for each in waiting))

    def _built_with(self, task: TaskId) -> Set[Package]:
        """What is built with the packages of a task: where that is refused, it could never be published."""
        return needing(self.tree, task.packages).difference(task.packages)

    def _note(self, error: PybuildError, packages: Collection[Package]) -> None:
        if self._faults.add(error, packages):
            for event in self._faults.told(error, self.tree):
                self.packages.adapters.listen(event)

    def _release(self, held: Iterable[TaskId]) -> None:
        """End the builds that waited for what can't be had."""
        for task in held:
            if answer := self._answers.pop(task, None):
                self._released.add(task)
                answer.set_exception(BuildError("what its backend wants could not be built"))

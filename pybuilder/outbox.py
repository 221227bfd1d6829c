"""Messages on their way: kept in the state until who is to have them has taken them, and never too many."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta

from pybuilder.hooks import PATIENCE, Courier, Fault, public
from pybuilder.pass_messages import Document
from pybuilder.passes import Problem
from pybuilder.state import State

MOST = 500
"""Messages that wait for one address; of more the oldest are dropped."""
_KIND = "outbox"
_LONGEST_REST = timedelta(days=1)
_GRACE = 5.0  # seconds
_SLOW = Fault(what="its answer does not come to an end", cure="see whether it is up; its messages are kept")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What is wrong with an address.

    Attributes:
        what: The sentence; it stays the same trouble as long as this does.
        cure: What to do.
        exit_code: What it counts as.
        since: When it was found first, ISO 8601.
        told: Whether somebody has been told of it.
    """

    what: str
    cure: str
    exit_code: int
    since: str
    told: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """What waits for one address.

    Attributes:
        waiting: The messages, oldest first.
        dropped: How many were ever dropped.
        problem: What is wrong with the address, if anything.
        not_before: Until when it wants to be left alone, ISO 8601; empty where it doesn't say.
    """

    waiting: Sequence[Document] = ()
    dropped: int = 0
    problem: Trouble | None = None
    not_before: str = ""


@dataclass(slots=True, eq=False)
class _Round:
    """One address's turn in a pass, in a thread of its own."""

    courier: Courier
    waiting: Sequence[Document]
    done: list[str] = field(default_factory=list)
    fault: Fault | None = None

    def run(self) -> None:
        try:
            self.fault = self.courier(self.waiting, self.done.append, PATIENCE)
        except Exception as error:  # noqa: BLE001 - in a thread nobody else hears of it
            self.fault = Fault(what=f"sending failed: {type(error).__name__}", cure="report it", exit_code=1)


def queues(state: State, addresses: Sequence[str]) -> Mapping[str, Queue]:
    """What waits for each of these addresses."""
    return {address: _queue(state, address) for address in addresses}


def put(state: State, addresses: Sequence[str], messages: Sequence[Document]) -> None:
    """Keep messages for addresses; in a transaction of the caller's it is for all or for none."""
    for address in addresses:
        queue = _queue(state, address)
        waiting = [*queue.waiting, *messages]
        dropped = max(0, len(waiting) - MOST)
        _keep(state, address, replace(queue, waiting=waiting[dropped:], dropped=queue.dropped + dropped))


def deliver(state: State, couriers: Mapping[str, Courier], now: Callable[[], datetime]) -> tuple[Problem, ...]:
    """Send what waits, to all addresses at once, for a limited time; what is not taken waits on.

    Args:
        state: Keeps the messages.
        couriers: Who brings them, by address.
        now: The time, in UTC.

    Returns:
        What is wrong with addresses; new until ``told`` is called.
    """
    began = now()
    queues = {address: _queue(state, address) for address in couriers}
    due = [address for address, queue in queues.items() if queue.waiting and not _rests(queue, began)]
    rounds = {address: _Round(couriers[address], queues[address].waiting) for address in due}
    unanswered = _run(list(rounds.values()))
    problems = []
    for address, queue in queues.items():
        if turn := rounds.get(address):
            fault = _SLOW if turn in unanswered else turn.fault
            queue = _after(_without(_queue(state, address), set(turn.done.copy())), fault, began)
        elif not queue.waiting and queue.problem and queue.problem.told:
            queue = replace(queue, problem=None)
        if queue != queues[address]:
            _keep(state, address, queue)
        if queue.problem:
            problems.append(_problem(address, queue.problem))
    return tuple(problems)


def told(state: State, addresses: Sequence[str]) -> None:
    """Note that somebody has been told what is wrong with these addresses."""
    for address, queue in queues(state, addresses).items():
        if queue.problem and not queue.problem.told:
            _keep(state, address, replace(queue, problem=replace(queue.problem, told=True)))


def _run(rounds: Sequence[_Round]) -> list[_Round]:
    """Let all have their turn at once; those that have not come to an end when time was up, and are left behind.

    A courier keeps to its time only as long as the other side doesn't send its answer a byte at a time.
    """
    threads = [threading.Thread(target=each.run, daemon=True) for each in rounds]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE + _GRACE
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [each for each, thread in zip(rounds, threads, strict=True) if thread.is_alive()]


def _without(queue: Queue, done: set[str]) -> Queue:
    return replace(queue, waiting=[message for message in queue.waiting if message["id"] not in done])


def _after(queue: Queue, fault: Fault | None, now: datetime) -> Queue:
    """A queue after its turn."""
    if fault is None:
        return replace(queue, problem=None, not_before="")
    what = fault.what
    if queue.dropped and len(queue.waiting) == MOST:
        what += f"; {MOST} messages wait for it, and the oldest are dropped"
    trouble = Trouble(what=what, cure=fault.cure, exit_code=fault.exit_code, since=now.isoformat())
    if (before := queue.problem) and before.what == what:
        trouble = replace(trouble, since=before.since, told=before.told)
    rest = timedelta(seconds=min(fault.wait, _LONGEST_REST.total_seconds()))
    return replace(
        queue,
        problem=trouble,
        not_before=(now + rest).isoformat() if rest > timedelta() else "",
    )


def _rests(queue: Queue, now: datetime) -> bool:
    """Whether the address wants to be left alone; never for longer than a day, whatever a clock says that jumped."""
    if not queue.not_before:
        return False
    until = datetime.fromisoformat(queue.not_before)
    return now < until <= now + _LONGEST_REST


def _problem(address: str, trouble: Trouble) -> Problem:
    return Problem(
        kind="notify",
        subject=public(address),
        what=trouble.what,
        where="pybuild.toml [notify]",
        cure=trouble.cure,
        exit_code=trouble.exit_code,
        first_seen=datetime.fromisoformat(trouble.since),
        new=not trouble.told,
    )


def _queue(state: State, address: str) -> Queue:
    found = state.fact(_KIND, _key(address))
    if found is None:
        return Queue()
    problem = found.pop("problem")
    return Queue(**found, problem=Trouble(**problem) if problem else None)


def _keep(state: State, address: str, queue: Queue) -> None:
    state.add_fact(_KIND, _key(address), asdict(queue))


def _key(address: str) -> str:
    # The state is no place for an address's secrets.
    return hashlib.sha256(address.encode()).hexdigest()
